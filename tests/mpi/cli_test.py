"""Whole jobs as a user starts them: mpirun, the real binary, files on disk."""

import json
import re
import unittest

from tests.support.trireme_cli import JOB, CliTest, run, write_idx


def losses(folder):
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return [line["loss"] for line in lines if "loss" in line]


class CliJobTest(CliTest):
    def train(self, ranks, output, *more, job=None):
        done = run("train", job or self.job(), "--job.output", self.folder / output, *more, ranks=ranks)
        self.assertEqual(done.code, 0, done)
        return json.loads((self.folder / output / "summary.json").read_text())

    def test_loss_curve_does_not_depend_on_the_rank_count(self):
        # 600 samples, batch 70: no rank count divides it, and an epoch ends with a step of 40.
        first = None
        for ranks in (1, 2, 3, 4):
            self.train(ranks, f"run{ranks}", "--data.batch", 70, "--job.steps", 25)
            mine = losses(self.folder / f"run{ranks}")
            self.assertEqual(len(mine), 25)
            first = first or mine
            for step, (a, b) in enumerate(zip(first, mine)):
                self.assertAlmostEqual(a, b, delta=1e-4 * abs(a), msg=f"{ranks} ranks, step {step}")
        self.assertLess(first[-1], 0.5 * first[0])

    def test_same_layout_gives_the_same_bits(self):
        a = self.train(2, "a")
        b = self.train(2, "b")
        self.assertEqual(a["params_sha256"], b["params_sha256"])
        self.assertEqual(a["state_sha256"], b["state_sha256"])

    def test_run_folder_and_summary(self):
        summary = self.train(2, "run", "--optimizer.momentum", 0.9)
        folder = self.folder / "run"
        for name in ("summary.json", "metrics.jsonl", "job.cfg", "plan.txt", "checkpoints/step-20/DONE"):
            self.assertTrue((folder / name).exists(), name)
        self.assertEqual((summary["status"], summary["steps"], summary["world"], summary["layout"]["data"]), ("done", 20, 2, 2))
        for key in ("train_loss", "samples_per_s", "step_ms", "seconds", "parameters", "step_time_split", "peak_memory_bytes", "versions"):
            self.assertIn(key, summary)
        again = run("train", folder / "job.cfg", "--job.output", self.folder / "again", ranks=2)
        self.assertEqual(again.code, 0, again)
        twin = json.loads((self.folder / "again" / "summary.json").read_text())
        self.assertEqual(twin["params_sha256"], summary["params_sha256"], "job.cfg gives the same job again")

    def test_stop_and_resume_is_the_same_run(self):
        whole = self.train(2, "whole", "--optimizer.momentum", 0.9)
        self.train(2, "parts", "--optimizer.momentum", 0.9, "--job.stop_at", 7)
        rest = self.train(2, "parts", "--optimizer.momentum", 0.9)
        self.assertEqual(rest["params_sha256"], whole["params_sha256"])
        self.assertEqual(rest["state_sha256"], whole["state_sha256"])
        nothing = self.train(2, "parts", "--optimizer.momentum", 0.9)
        self.assertEqual(nothing["params_sha256"], whole["params_sha256"], "a finished job stays as it is")

    def test_canonical_bits_on_any_rank_count(self):
        # 600 samples, batch 70: nine steps an epoch, the last one short.
        flags = ("--job.deterministic", "canonical", "--data.batch", 70, "--job.steps", 25, "--optimizer.momentum", 0.9)
        one = self.train(1, "run1", *flags)
        for ranks in (2, 3, 4, 5, 8):
            many = self.train(ranks, f"run{ranks}", *flags)
            self.assertEqual(many["params_sha256"], one["params_sha256"], f"{ranks} ranks")
            self.assertEqual(many["state_sha256"], one["state_sha256"], f"{ranks} ranks")

    def test_canonical_resume_on_other_rank_counts(self):
        flags = ("--job.deterministic", "canonical", "--data.batch", 70, "--job.steps", 25, "--optimizer.momentum", 0.9)
        whole = self.train(2, "whole", *flags)
        for ranks, stop in ((3, 4), (1, 11), (4, 18)):
            self.train(ranks, "chain", *flags, "--job.stop_at", stop)
        rest = self.train(2, "chain", *flags)
        self.assertEqual(rest["params_sha256"], whole["params_sha256"])
        self.assertEqual(rest["state_sha256"], whole["state_sha256"])

    def test_evaluation_counts_each_sample_once_on_any_rank_count(self):
        self.train(1, "run", "--job.steps", 60)
        first = None
        for ranks in (1, 2, 3, 4):
            done = run("eval", self.job(), "--checkpoint", self.folder / "run" / "checkpoints", "--split", "test", "--json",
                       "--data.eval_batch", 13, ranks=ranks)
            self.assertEqual(done.code, 0, done)
            result = json.loads(done.out)
            self.assertEqual(result["samples"], 100)
            self.assertEqual(sum(sum(row) for row in result["confusion"]), 100)
            first = first or result
            self.assertEqual((result["accuracy"], result["top5"], result["confusion"]), (first["accuracy"], first["top5"], first["confusion"]))
            self.assertAlmostEqual(result["loss"], first["loss"], places=5)
        self.assertGreater(first["accuracy"], 0.8)

    def test_import_by_any_rank_count_gives_the_same_bytes(self):
        write_idx(self.folder / "idx", train=1500)
        first = None
        for ranks in (1, 2, 3):
            out = self.folder / f"set{ranks}"
            done = run("data", "import", "--source", f"idx:{self.folder / 'idx'}", "--out", out, "--shards", 4, "--split", "train=0.8,val=0.2",
                       ranks=ranks)
            self.assertEqual(done.code, 0, done)
            files = {path.name: path.read_bytes() for path in sorted(out.iterdir())}
            self.assertEqual(len(files), 4)
            first = first or files
            self.assertEqual(files, first, f"{ranks} ranks")
        self.assertEqual(run("data", "verify", self.folder / "set3").code, 0)

    def test_trace_shows_sums_during_backward(self):
        write_idx(self.folder / "idx", train=2000)
        run("data", "import", "--source", f"idx:{self.folder / 'idx'}", "--out", self.folder / "set")
        job = self.job(JOB.replace("name = mlp", "name = lenet"), data=self.folder / "set")
        self.train(2, "run", "--data.batch", 128, "--telemetry.trace", 12, job=job)
        events = json.loads((self.folder / "run" / "trace.json").read_text())["traceEvents"]
        self.assertEqual({e["pid"] for e in events}, {0, 1})
        for rank in (0, 1):
            mine = [e for e in events if e["pid"] == rank and e["ph"] == "X"]
            backward = [e for e in mine if e["name"].startswith("backward") and e["tid"] == 0]
            sums = [e for e in mine if e["name"] == "bucket 0"]
            self.assertEqual(len(sums), 12, "one a traced step")
            overlapping = 0
            for moved in sums:
                overlapping += any(e["ts"] < moved["ts"] + moved["dur"] and moved["ts"] < e["ts"] + e["dur"] for e in backward)
            # Where other processes take the cores a sum can be late: without overlap by design none of them would be in time.
            self.assertGreaterEqual(overlapping, 4, f"rank {rank}: bucket 0 overlaps backward in {overlapping} of 12 steps")

    def test_memory_is_what_was_planned_and_a_constant(self):
        # The constant of the process (code, libraries, MPI) is measured once, with another network and batch.
        def measured(*more):
            memory = self.train(1, "run" + re.sub(r"\W", "", "".join(map(str, more))), "--data.eval_batch", 10, *more)["peak_memory_bytes"]
            return memory["planned"], memory["process"]

        planned, process = measured("--model.file", "jobs/recipes/residual-net.toml", "--data.batch", 64)
        constant = process - planned
        for batch in (64, 600):
            planned, process = measured("--model.name", "lenet", "--data.batch", batch)
            sum_ = planned + constant
            self.assertLess(abs(process - sum_) / sum_, 0.05, f"batch {batch}: planned {planned} + constant {constant}, process {process}")

    def test_inspect_needs_no_data_and_says_so(self):
        done = run("inspect", "jobs/recipes/lenet-mnist.cfg", "--world", 4, "--what", "all", "--data.path", self.folder / "nothing")
        self.assertEqual(done.code, 0, done)
        for piece in ("graph:", "plan for 4 rank(s)", "program of rank 0", "memory of rank 0", "no data set at"):
            self.assertIn(piece, done.out)
        memory = json.loads(run("inspect", "jobs/recipes/lenet-mnist.cfg", "--world", 4, "--json").out)["memory"]
        sums = {"total", "on_device"}
        self.assertEqual(memory["total"], sum(v for k, v in memory.items() if k not in sums))
        self.assertEqual(memory["on_device"], sum(memory[k] for k in ("parameters", "optimizer_state", "gradients", "device_sums", "step_tables", "arena", "batch")))

    def test_inspect_plans_for_a_gpu_that_is_not_there(self):
        words = ("inspect", "jobs/recipes/resnet50.cfg", "--device", "cuda", "--world", 8, "--data.path", self.folder / "nothing")
        done = run(*words, "--sm", 90, "--what", "plan", "--precision.compute", "bf16")
        self.assertEqual(done.code, 0, done)
        for piece in ("device: sm_90 with cuDNN", "plan for 8 rank(s) on cuda", "of scratch a launch", "cudnn (conv:bf16)", "cublaslt (matmul:bf16"):
            self.assertIn(piece, done.out)
        memory = json.loads(run(*words, "--sm", 80, "--what", "memory", "--json").out)["memory"]
        self.assertGreater(memory["on_device"], memory["parameters"])
        self.assertGreater(memory["host_sums"], 0)
        self.expect(run(*words, "--sm", 70), 2, "--sm", "sm_70", "sm_80")
        self.expect(run("inspect", "jobs/recipes/resnet50.cfg", "--sm", 90), 2, "--device cuda")

    def test_version_and_doctor(self):
        self.assertIn("onednn", json.loads(run("version", "--json").out))
        self.assertIn("checks", json.loads(run("doctor", "--json", ranks=2).out))


if __name__ == "__main__":
    unittest.main()
