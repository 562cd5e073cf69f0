"""Whole jobs on the emulated GPU (docs/emulated-gpu.md), by the binary that would run on a real one: what they compute is what
cores compute, what they need is what was planned, and what goes wrong is told."""

import json
import pathlib

from tests.mpi.text_test import GPT_JOB, write_text
from tests.support.trireme_cli import BINARY, JOB, CliTest, run

LIBRARIES = pathlib.Path(BINARY).resolve().parents[1] / "emulated"
LENET = JOB.replace("name = mlp\nhidden = 32", "name = lenet").replace("batch = 30", "batch = 8").replace("steps = 20", "steps = 4")
RESNET = LENET.replace("name = lenet", "name = resnet18-cifar").replace("steps = 4", "steps = 2").replace("batch = 8", "batch = 4")
GPT = GPT_JOB.replace("steps = 30", "steps = 4").replace("batch = 16", "batch = 4")


def emulated(**knobs):
    """The environment of a host with an emulated GPU; `memory_mb=64` sets TRIREME_EMULATED_MEMORY_MB."""
    variables = {"LD_LIBRARY_PATH": str(LIBRARIES), "TRIREME_CUDA_LIBRARIES": str(LIBRARIES)}
    return variables | {f"TRIREME_EMULATED_{name.upper()}": str(value) for name, value in knobs.items()}


class JobsTest(CliTest):
    def train(self, job, output, *keys, device="cuda", ranks=None, **knobs):
        words = [job, "--job.device", device, "--job.output", self.folder / output, "--telemetry.eval_every", 0, "--checkpoint.resume", "never", *keys]
        done = run("train", *words, ranks=ranks, environment=emulated(**knobs))
        self.assertEqual(done.code, 0, done)
        self.assertNotIn("emulated", done.err)  # what a double refuses, it tells
        return json.loads((self.folder / output / "summary.json").read_text())

    def losses(self, output):
        lines = (self.folder / output / "metrics.jsonl").read_text().splitlines()
        return {record["step"]: record["loss"] for record in map(json.loads, lines) if "loss" in record}

    def expect_losses_of_the_cpu(self, job, tolerance, *keys, gpu=()):
        self.train(job, "gpu", *keys, *gpu)
        self.train(job, "cpu", *keys, device="cpu")
        gpu, cpu = self.losses("gpu"), self.losses("cpu")
        self.assertEqual(gpu.keys(), cpu.keys())
        for step, loss in cpu.items():
            self.assertAlmostEqual(gpu[step], loss, delta=tolerance * loss, msg=f"step {step} of {gpu} and {cpu}")

    def synthetic(self):
        done = run("data", "import", "--source", "synthetic:cifar10:32", "--out", self.folder / "cifar")
        self.assertEqual(done.code, 0, done)
        return self.folder / "cifar"

    def text(self):
        write_text(self.folder / "text.gz")
        done = run("data", "import", "--source", f"text:{self.folder / 'text.gz'}", "--out", self.folder / "text", "--split", "train=0.8,val=0.2")
        self.assertEqual(done.code, 0, done)
        return self.folder / "text"

    def test_lenet_learns_as_on_cores(self):
        self.expect_losses_of_the_cpu(self.job(LENET), 1e-4)

    def test_a_residual_network_learns_as_on_cores(self):
        job = self.job(RESNET, self.synthetic())
        self.expect_losses_of_the_cpu(job, 1e-3)
        self.expect_losses_of_the_cpu(job, 2e-2, "--precision.compute", "bf16")

    def test_chains_with_norms_learn_in_fp16(self):
        job = self.job(RESNET, self.synthetic())
        self.expect_losses_of_the_cpu(job, 2e-2, gpu=("--precision.compute", "fp16", "--precision.loss_scale", 64))

    def test_a_loss_scale_finds_its_height(self):
        # Gradients of the first steps overflow in fp16: those steps leave no trace, and no loss.
        done = self.train(self.job(RESNET, self.synthetic()), "gpu", "--precision.compute", "fp16", "--data.batch", 2)
        losses = self.losses("gpu")
        self.assertGreater(done["skipped_steps"], 0)
        self.assertEqual(list(losses.values()).count(None), done["skipped_steps"])

    def test_a_transformer_learns_as_on_cores(self):
        job = self.job(GPT, self.text())
        self.expect_losses_of_the_cpu(job, 1e-4)
        self.expect_losses_of_the_cpu(job, 2e-2, "--precision.compute", "bf16")

    def test_a_resume_on_other_ranks_has_the_same_bits(self):
        job = self.job(LENET)
        keys = ["--job.deterministic", "canonical", "--job.share_device", "true", "--job.steps", 6]
        whole = self.train(job, "whole", *keys)
        self.train(job, "first", *keys, "--job.steps", 3, ranks=2, seed=5)
        cut = self.train(job, "second", *keys, "--checkpoint.resume", self.folder / "first", ranks=3, seed=9)
        self.assertEqual((whole["params_sha256"], whole["state_sha256"]), (cut["params_sha256"], cut["state_sha256"]))

    def test_planned_memory_is_what_is_allocated(self):
        report = self.folder / "memory.json"
        for job in (self.job(LENET), self.job(GPT, self.text())):
            done = self.train(job, "run", report=report)
            peak = json.loads(report.read_text())["peak_device_bytes"]
            self.assertAlmostEqual(peak, done["device_memory_bytes"], delta=4)  # an empty allocation has a byte

    def test_a_trained_model_predicts_as_on_cores(self):
        job = self.job(LENET)
        self.train(job, "run")
        results = {}
        for device in ("cuda", "cpu"):
            words = ["eval", job, "--checkpoint", self.folder / "run", "--job.device", device, "--json"]
            done = run(*words, environment=emulated())
            self.assertEqual(done.code, 0, done)
            results[device] = json.loads(done.out)
        self.assertAlmostEqual(results["cuda"]["loss"], results["cpu"]["loss"], delta=1e-4)
        self.assertEqual(results["cuda"]["accuracy"], results["cpu"]["accuracy"])

    def test_the_device_tells_where_a_step_goes(self):
        for capture in ("true", "false"):
            done = run("bench", "train", self.job(LENET), "--job.device", "cuda", "--steps", 2, "--ops", "--json", "--job.capture", capture, environment=emulated())
            self.assertEqual(done.code, 0, done)
            found = json.loads(done.out)
            rows = {(row["node"], row["pass"]): row for row in found["ops"]}
            for name in ("forward", "backward-weight"):
                self.assertGreater(rows["conv1", name]["ms"], 0)
                self.assertGreater(rows["conv1", name]["roofline_share"], 0)
            for name in ("update", "wait for samples", "wait for sums"):
                self.assertGreater(rows["", name]["ms"], 0)

    def test_an_old_driver_is_told(self):
        done = run("train", self.job(), "--job.device", "cuda", environment=emulated(driver=11080))
        self.expect(done, 4, "the NVIDIA driver runs CUDA up to 11.8, but this build needs", "update the driver")

    def test_no_driver_is_told(self):
        done = run("train", self.job(), "--job.device", "cuda", environment=emulated(driver=0))
        self.expect(done, 4, "DeviceError: job.device is cuda, and this host has no NVIDIA driver")

    def test_an_old_gpu_is_told(self):
        done = run("train", self.job(), "--job.device", "cuda", environment=emulated(sm=75))
        self.expect(done, 4, "is sm_75, and the kernels are compiled for sm_80")

    def test_too_little_memory_is_told_with_what_was_planned(self):
        done = run("train", self.job(LENET), "--job.device", "cuda", environment=emulated(memory_mb=8))
        self.expect(done, 4, "DeviceError", "8.0 MiB", "the plan needs")

    def test_ranks_take_a_gpu_each(self):
        self.train(self.job(), "run", ranks=2, devices=2)
        done = run("train", self.job(), "--job.device", "cuda", ranks=2, environment=emulated())
        self.expect(done, 4, "ranks took one GPU together", "ranks 0, 1 of host", "job.share_device = true")

    def test_gpus_that_read_each_other_wrong_are_told(self):
        done = self.train(self.job(LENET), "run", ranks=2, devices=2, deceived=1)
        self.assertIn("gradients between devices: staged", done["gradients"])
        self.assertIn("not ipc: rank 0: a sum of known numbers is wrong in ", done["gradients"])
        pinned = run("train", self.job(LENET), "--job.device", "cuda", "--parallel.algorithm", "ipc", ranks=2, environment=emulated(devices=2, deceived=1))
        self.expect(pinned, 4, "DeviceError: rank 0: a sum of known numbers is wrong in ", "An IOMMU or PCIe ACS", "Remove parallel.algorithm")

    def test_a_rank_that_fails_is_named_by_those_who_map_its_memory(self):
        words = [self.job(LENET), "--job.device", "cuda", "--job.steps", 40, "--parallel.algorithm", "ipc"]
        done = run("train", *words, ranks=3, environment=emulated(devices=3) | {"TRIREME_FAULT": "throw:rank=2:step=2"})
        self.expect(done, 70, "rank 2 (host", "InternalError: fault drill: thrown before step 2")
        verdict = json.loads((self.folder / "run" / "verdict.json").read_text())
        self.assertEqual((verdict["class"], verdict["rank"]), ("InternalError", 2))
