"""What tests/gpu/run_all.sh runs: a function a part, which returns its figures or raises Failed."""

import json
import re
import shutil

RECIPES = "jobs/recipes"
# Data sets that are made up have the shape of the real ones and can be learnt: kind, samples, and samples in a rehearsal.
SYNTHETIC = {"resnet18-cifar": ("cifar10", 20000, 64), "resnet50": ("imagenet", 4000, 16)}
TEXT = ("text:data/text/tinyshakespeare.txt.gz", "--split", "train=0.9,val=0.1")
SMALL_GPT = ("--model.layers", 2, "--model.width", 64, "--model.heads", 2, "--model.context", 32)


class Failed(Exception):
    """Why a part did not pass."""


def data(bench, recipe):
    if recipe in SYNTHETIC:
        kind, full, small = SYNTHETIC[recipe]
        return bench.data(kind, f"synthetic:{kind}:{bench.size(full, small)}")
    return bench.data("text", *TEXT) if recipe.startswith("gpt") else bench.data("mnist", "idx:data/mnist")


def job(bench, recipe, *keys):
    """The words of a job on the GPU: the recipe with its data set and further keys."""
    words = [f"{RECIPES}/{recipe}.cfg", "--data.path", data(bench, recipe), "--job.device", "cuda", "--telemetry.progress", "off"]
    if recipe.startswith("gpt"):
        words += bench.size((), SMALL_GPT)
    if recipe == "gpt2-124m":  # its own tokenizer is not in the repository: bytes, in its own embedding
        words += ["--model.vocabulary", bench.size(50257, 500)]
    return [*words, *keys]


def batch(bench, full, small):
    """Samples of a step; `full` is None where it is the recipe's."""
    samples = bench.size(full, small)
    return [] if samples is None else ["--data.batch", samples]


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
    return [record["loss"] for record in records if record.get("loss") is not None]  # null where steps were skipped


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
        # In a rehearsal no choice of algorithms depends on the type, and a node's scratch takes longest to clear.
        kind = "*Parity" if dtype == "f32" else bench.size("*Parity", "*GpuParity")
        return gtest(bench, "gpu_parity", f"{kind}.*/{dtype}", environment=bench.size(None, {"TRIREME_TEST_WORKSPACE_KB": "512"}))

    part.__doc__ = f"Every kernel of every provider against the fp64 reference, activations in {dtype}"
    return part


def graphs(bench):
    """A plan of cuDNN for every graph of every recipe, in four precisions, and the measurement of plans"""
    return gtest(bench, "gpu_cudnn", "GpuCudnn.*")


def same_bits(bench, recipe, samples):
    """The words of a short job in canonical mode."""
    keys = ["--job.deterministic", "canonical", "--job.share_device", "true", "--job.epochs", "", "--job.steps", bench.size(30, 3)]
    return job(bench, recipe, *keys, *batch(bench, samples, samples // 4))


def canonical(bench):
    """Canonical mode: the same bits on 1, 2 and 4 ranks, which share the GPU where there is one"""
    figures = {}
    for recipe, samples in (("lenet-mnist", 64), ("gpt-char", 16)):
        words = same_bits(bench, recipe, samples)
        hashes = {ranks: train(bench, f"canonical-{recipe}-{ranks}", *words, ranks=ranks)["params_sha256"] for ranks in (1, 2, 4)}
        if len(set(hashes.values())) != 1:
            raise Failed(f"{recipe} gave other bits on other rank counts: {hashes}")
        figures[recipe] = f"equal on 1, 2 and 4 ranks: {hashes[1][:16]}"
    return figures


def capture(bench):
    """Steps replayed as CUDA graphs: the bits of steps that are launched kernel by kernel, and what either takes"""
    figures = {}
    for recipe, samples in (("lenet-mnist", 64), ("gpt-char", 16)):
        words = same_bits(bench, recipe, samples)
        hashes = {
            captured: train(bench, f"capture-{captured}-{recipe}", *words, "--job.capture", captured)["params_sha256"] for captured in ("true", "false")
        }
        if len(set(hashes.values())) != 1:
            raise Failed(f"{recipe} gave other bits when its steps were replayed: {hashes}")
        turns = ["--steps", bench.size(50, 2), "--rounds", bench.size(5, 2)]
        words = job(bench, recipe, *batch(bench, None, 8))
        text = bench.trireme("bench", "train", *words, *turns, "--against", "--job.capture false", "--json")
        figures[recipe] = {"bits": hashes["true"][:16], **bench_figures(text)}
    return figures


def training(recipe, *keys, samples=(None, 8)):
    def part(bench):
        words = [*job(bench, recipe, *keys, *batch(bench, *samples)), "--job.epochs", ""]
        # How many steps are a minute: from a short run, of which the first steps are the slowest.
        probe = train(bench, f"probe-{recipe}", *words, "--job.steps", bench.size(30, 3))
        steps = bench.size(max(60, int(60e3 / probe["step_ms"]["median"])), 6)
        run = ["--job.steps", steps, "--telemetry.log_every", max(1, steps // 100), "--telemetry.eval_every", 0]
        done = train(bench, f"train-{recipe}", *words, *run)
        curve = losses(bench.out / "runs" / f"train-{recipe}")
        tenth = max(1, len(curve) // 10)
        first, last = sum(curve[:tenth]) / tenth, sum(curve[-tenth:]) / tenth
        if not last < first and not bench.rehearsal:
            raise Failed(f"the loss did not fall: {first:.4f} at first, {last:.4f} at last")
        return {"steps": steps, "loss": f"{first:.4f} to {last:.4f}", "samples/s": round(done["samples_per_s"]), "step ms": done["step_ms"]["median"]}

    part.__doc__ = f"A minute of training: {recipe} {' '.join(keys)}".rstrip()
    return part


def ops(text):
    """The ten slowest rows of the table of --ops: a line each."""
    done = json.loads(text)
    figures = {"roofline": f"{done['roofline']['flops_per_s'] * 1e-12:.1f} TFLOP/s, {done['roofline']['bytes_per_s'] * 1e-9:.0f} GB/s"}
    for row in done["ops"][:10]:
        figures[f"{row['node']} {row['pass']}".strip()] = f"{row['ms']:.3f} ms by {row['kernel'] or '-'}, {100 * row['roofline_share']:.0f} % of the roofline"
    return figures


def benchmark(recipe, *keys, steps=20, samples=(None, 8)):
    def part(bench):
        peer = ["--peer", f"torch={bench.torch}", "--peer-script", "tests/bench/torch_peer.py"] if bench.torch else []
        turns = ["--steps", bench.size(steps, 2), "--rounds", bench.size(5, 2)]
        words = job(bench, recipe, *keys, *batch(bench, *samples))
        text = bench.trireme("bench", "train", *words, *turns, *peer, "--ops", "--json")
        return {**bench_figures(text), "where a step goes": ops(text)}

    part.__doc__ = f"Step times, with PyTorch beside where --torch names one: {recipe} {' '.join(keys)}".rstrip()
    return part


def allreduce(bench):
    """What two ranks pay for their sums, by the split of a step"""
    words = job(bench, bench.size("resnet50", "lenet-mnist"), "--job.share_device", "true", *batch(bench, 64, 4))
    return bench_figures(bench.trireme("bench", "train", *words, "--steps", bench.size(20, 2), "--json", ranks=2))


def sums(bench):
    """A sum of 100 MB between two ranks by each way there is, and the same bits by all of comm's"""
    # The widest layer of this network has 100 MB of gradients, which are a bucket of their own.
    keys = ["--model.name", "mlp", "--model.hidden", bench.size("5000,5000", "500,500"), "--parallel.bucket_mb", bench.size(90, 1)]
    keys += ["--job.share_device", "true", *batch(bench, 64, 8), "--job.epochs", "", "--job.steps", 5, "--telemetry.eval_every", 0]
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
    "train-resnet18": training("resnet18-cifar", *BF16, samples=(None, 2)),
    "train-resnet50": training("resnet50", *BF16, samples=(128, 2)),
    "train-gpt-char": training("gpt-char", *BF16),
    "train-gpt2": training("gpt2-124m", *BF16, samples=(16, 8)),
    "bench-lenet": benchmark("lenet-mnist", steps=200),
    "bench-resnet18": benchmark("resnet18-cifar", *BF16, steps=50, samples=(None, 2)),
    "bench-resnet50": benchmark("resnet50", *BF16, samples=(None, 2)),
    "bench-gpt2": benchmark("gpt2-124m", *BF16, samples=(32, 8)),
    "allreduce": allreduce,
    "sums": sums,
    "memcheck": sanitizer("memcheck"),
    "racecheck": sanitizer("racecheck"),
}
