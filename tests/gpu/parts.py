"""What tests/gpu/run_all.sh runs: a function a part, which returns its figures or raises Failed."""

import json
import re
import shutil

RECIPES = "jobs/recipes"
# What a recipe trains on here, and how much of it a part of 60 seconds or a benchmark takes. The synthetic sets have the shape
# of the real ones, and can be learnt.
SETS = {
    "lenet-mnist": ("mnist", "idx:data/mnist"),
    "resnet18-cifar": ("cifar", "synthetic:cifar10:20000"),
    "resnet50": ("imagenet", "synthetic:imagenet:4000"),
    "gpt-char": ("shakespeare", "text:data/text/tinyshakespeare.txt.gz", "--split", "train=0.9,val=0.1"),
    "gpt2-124m": ("bytes", "text:data/text/tinyshakespeare.txt.gz", "--split", "train=0.9,val=0.1"),
}


class Failed(Exception):
    """Why a part did not pass."""


def job(bench, recipe, *keys):
    """The words of a job on the GPU: the recipe with its data set and further keys."""
    words = [f"{RECIPES}/{recipe}.cfg", "--data.path", bench.data(*SETS[recipe]), "--job.device", "cuda", "--telemetry.progress", "off"]
    if recipe == "gpt2-124m":  # its own tokenizer is not in the repository: bytes, in its own embedding
        words += ["--model.vocabulary", 50257]
    return [*words, *keys]


def gtest(bench, program, filter_, environment=None):
    """Runs a test program; returns how many of its tests passed and were skipped."""
    report = bench.out / f"{program}.gtest.json"
    report.unlink(missing_ok=True)
    text = bench.run(bench.program(program), f"--gtest_filter={filter_}", f"--gtest_output=json:{report}", environment=environment)
    suites = json.loads(report.read_text(encoding="utf-8"))["testsuites"]
    outcomes = [test["result"] for suite in suites for test in suite["testsuite"]]
    if not outcomes:
        raise Failed(f"no test of {program} is called {filter_}")
    figures = {"passed": outcomes.count("COMPLETED"), "skipped": outcomes.count("SKIPPED")}
    taken = [(provider, int(kernels)) for provider, kernels in re.findall(r"^(\w+) took (\d+) of \d+ kernels", text, re.M)]
    for provider in dict.fromkeys(provider for provider, _ in taken):
        figures[f"kernels of {provider}"] = sum(kernels for name, kernels in taken if name == provider)
    return figures


def summary(folder):
    return json.loads((folder / "summary.json").read_text(encoding="utf-8"))


def losses(folder):
    records = [json.loads(line) for line in (folder / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]
    return [record["loss"] for record in records if "loss" in record]


def train(bench, folder, *words, ranks=None):
    """Trains from the beginning in a run folder of its own and returns its summary."""
    path = bench.out / "runs" / folder
    shutil.rmtree(path, ignore_errors=True)
    bench.trireme("train", *words, "--job.output", path, ranks=ranks)
    return summary(path)


def bench_figures(text):
    """What `bench train --json` printed, in short: a line a contender and a line a ratio."""
    done = json.loads(text)
    figures = {"torch": done["torch"]} if "torch" in done else {}
    for one in done["contenders"]:
        step = one["step_ms"]
        figures[one["name"]] = f"{step['median']:.3f} ms ({step['p10']:.3f} to {step['p90']:.3f}), {one['samples_per_s']:.0f} samples/s"
    for ratio in done["ratios"]:
        figures[f"{ratio['to']} over ours"] = f"{ratio['median']:.3f} ({ratio['p10']:.3f} to {ratio['p90']:.3f})"
    return {**figures, "split": done["step_time_split"]}


def device(bench):
    """The GPU as a device: memory, copies, streams, events, messages"""
    return gtest(bench, "gpu_device", "GpuDevice.*")


def products(bench):
    """An algorithm of cuBLASLt for every product of every preset, in four precisions"""
    return gtest(bench, "gpu_cublaslt", "GpuCublaslt.*")


def parity(dtype):
    def part(bench):
        return gtest(bench, "gpu_parity", f"*Parity.*/{dtype}")

    part.__doc__ = f"Every kernel of every provider against the fp64 reference, activations in {dtype}"
    return part


def graphs(bench):
    """A plan of cuDNN for every graph of every recipe, in four precisions, and the measurement of plans"""
    return gtest(bench, "gpu_cudnn", "GpuCudnn.*")


def canonical(bench):
    """Canonical mode: the same bits on 1, 2 and 4 ranks, which share the GPU where there is one"""
    figures = {}
    for recipe, batch in (("lenet-mnist", 64), ("gpt-char", 16)):
        hashes = {}
        for ranks in (1, 2, 4):
            keys = ["--job.deterministic", "canonical", "--job.share_device", "true", "--job.epochs", "", "--job.steps", 30, "--data.batch", batch]
            done = train(bench, f"canonical-{recipe}-{ranks}", *job(bench, recipe, *keys), ranks=ranks)
            hashes[ranks] = done["params_sha256"]
        if len(set(hashes.values())) != 1:
            raise Failed(f"{recipe} gave other bits on other rank counts: {hashes}")
        figures[recipe] = f"equal on 1, 2 and 4 ranks: {hashes[1][:16]}"
    return figures


def capture(bench):
    """Steps replayed as CUDA graphs: the bits of steps that are launched kernel by kernel, and what either takes"""
    figures = {}
    for recipe, batch in (("lenet-mnist", 64), ("gpt-char", 16)):
        hashes = {}
        for captured in ("true", "false"):
            keys = ["--job.capture", captured, "--job.deterministic", "canonical", "--job.epochs", "", "--job.steps", 30, "--data.batch", batch]
            done = train(bench, f"capture-{captured}-{recipe}", *job(bench, recipe, *keys))
            hashes[captured] = done["params_sha256"]
        if len(set(hashes.values())) != 1:
            raise Failed(f"{recipe} gave other bits when its steps were replayed: {hashes}")
        text = bench.trireme("bench", "train", *job(bench, recipe), "--steps", 50, "--rounds", 5, "--against", "--job.capture false", "--json")
        figures[recipe] = {"bits": hashes["true"][:16], **bench_figures(text)}
    return figures


def training(recipe, *keys):
    def part(bench):
        # How many steps are a minute: from a short run, of which the first steps are the slowest.
        probe = train(bench, f"probe-{recipe}", *job(bench, recipe, *keys, "--job.epochs", "", "--job.steps", 30))
        steps = max(60, int(60e3 / probe["step_ms"]["median"]))
        run = ["--job.epochs", "", "--job.steps", steps, "--telemetry.log_every", max(1, steps // 100), "--telemetry.eval_every", 0]
        done = train(bench, f"train-{recipe}", *job(bench, recipe, *keys, *run))
        curve = losses(bench.out / "runs" / f"train-{recipe}")
        tenth = max(1, len(curve) // 10)
        first, last = sum(curve[:tenth]) / tenth, sum(curve[-tenth:]) / tenth
        if not last < first:
            raise Failed(f"the loss did not fall: {first:.4f} at first, {last:.4f} at last")
        return {"steps": steps, "loss": f"{first:.4f} to {last:.4f}", "samples/s": round(done["samples_per_s"]), "step ms": done["step_ms"]["median"]}

    part.__doc__ = f"A minute of training: {recipe} {' '.join(keys)}".rstrip()
    return part


def benchmark(recipe, *keys, steps=20):
    def part(bench):
        peer = ["--peer", f"torch={bench.torch}", "--peer-script", "tests/bench/torch_peer.py"] if bench.torch else []
        return bench_figures(bench.trireme("bench", "train", *job(bench, recipe, *keys), "--steps", steps, "--rounds", 5, *peer, "--json"))

    part.__doc__ = f"Step times, with PyTorch beside where --torch names one: {recipe} {' '.join(keys)}".rstrip()
    return part


def allreduce(bench):
    """What two ranks pay for their sums, by the split of a step"""
    keys = ["--job.share_device", "true", "--data.batch", 64]
    return bench_figures(bench.trireme("bench", "train", *job(bench, "resnet50", *keys), "--steps", 20, "--json", ranks=2))


def sums(bench):
    """A sum of 100 MB between two ranks by each way there is, and the same bits by all of comm's"""
    # The widest layer of this network has 100 MB of gradients, which are a bucket of their own.
    keys = ["--model.name", "mlp", "--model.hidden", "5000,5000", "--parallel.bucket_mb", 90, "--job.share_device", "true", "--data.batch", 64,
            "--job.epochs", "", "--job.steps", 5, "--telemetry.eval_every", 0]
    figures, hashes = {}, {}
    for way in ("auto", "staged", "ipc"):
        done = train(bench, f"sums-{way}", *job(bench, "lenet-mnist", *keys), "--parallel.algorithm", way, ranks=2)
        hashes[way] = done["params_sha256"]
        if way == "auto":
            measured = {name: float(ms) for name, ms in re.findall(r"(\w+) (\d+\.\d+) ms", done["gradients"])}
            if not {"staged", "ipc"} <= measured.keys():
                raise Failed(f"not both of staged and ipc were measured: {done['gradients']}")
            figures = {"told": done["gradients"], "staged over ipc": round(measured["staged"] / measured["ipc"], 1)}
    if len(set(hashes.values())) != 1:
        raise Failed(f"other ways gave other bits: {hashes}")
    return {**figures, "bits": f"equal: {hashes['ipc'][:16]}"}


def sanitizer(tool):
    def part(bench):
        if shutil.which("compute-sanitizer") is None:
            raise Failed("compute-sanitizer is not in the PATH (it is part of the CUDA toolkit)")
        cases = "*Parity.Elementwise/f32:*Parity.Normalization/f32:*Parity.Loss/f32:*Parity.Embedding/f32"
        bench.run("compute-sanitizer", "--tool", tool, "--error-exitcode", 9, bench.program("gpu_parity"), f"--gtest_filter={cases}")
        return {"tool": tool, "errors": 0}

    part.__doc__ = f"compute-sanitizer {tool} over our own kernels"
    return part


BF16 = ("--precision.compute", "bf16")
PARTS = {
    "device": device,
    "products": products,
    "graphs": graphs,
    "parity-f32": parity("f32"),
    "parity-bf16": parity("bf16"),
    "parity-f16": parity("f16"),
    "canonical": canonical,
    "capture": capture,
    "train-lenet": training("lenet-mnist"),
    "train-resnet18": training("resnet18-cifar", *BF16),
    "train-resnet50": training("resnet50", *BF16, "--data.batch", "128"),
    "train-gpt-char": training("gpt-char", *BF16),
    "train-gpt2": training("gpt2-124m", *BF16, "--data.batch", "16"),
    "bench-lenet": benchmark("lenet-mnist", steps=200),
    "bench-resnet18": benchmark("resnet18-cifar", *BF16, steps=50),
    "bench-resnet50": benchmark("resnet50", *BF16),
    "bench-gpt2": benchmark("gpt2-124m", *BF16, "--data.batch", "32"),
    "allreduce": allreduce,
    "sums": sums,
    "memcheck": sanitizer("memcheck"),
    "racecheck": sanitizer("racecheck"),
}
