"""The parts of tests/gpu/run_all.sh, how they are run, and what is written about them.

Each part is a function that takes a Bench and returns its figures; it fails by an exception. Its result is kept in
OUT/<part>.json, so that a run which was cut off goes on with the next part. OUT/gpu.json holds them all, and OUT/gpu.txt says
the same on a page.
"""

import argparse
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2]))
from tests.gpu.parts import PARTS, Failed  # noqa: E402

REPOSITORY = pathlib.Path(__file__).resolve().parents[2]
# A part that takes longer has hung, or belongs cut in two.
PART_SECONDS = 480
NO_GPU = 77


class Bench:
    """What parts run with: programs, data sets that are made once, and the time that is left."""

    def __init__(self, programs, out, torch, rehearsal):
        self.programs, self.out, self.torch, self.rehearsal = programs, out, torch, rehearsal
        self.deadline = time.monotonic() + PART_SECONDS

    def size(self, full, small):
        """A number of steps, samples or rounds; the small one in a rehearsal, whose GPU is the CPU."""
        return small if self.rehearsal else full

    def program(self, name):
        path = self.programs / name
        if not path.exists():
            raise Failed(f"{path} is not there: cmake --preset cuda && cmake --build --preset cuda --target trireme tests_gpu")
        return str(path)

    def left(self):
        return max(self.deadline - time.monotonic(), 1)

    def run(self, *command, ranks=None, environment=None, allowed=(0,)):
        """Runs a command to its end and returns what it printed; any other exit code fails the part."""
        words = [str(word) for word in command]
        variables = dict(os.environ, OMPI_ALLOW_RUN_AS_ROOT="1", OMPI_ALLOW_RUN_AS_ROOT_CONFIRM="1", OMP_WAIT_POLICY="passive", **(environment or {}))
        if ranks is not None:
            beside = self.programs / "mpirun"
            words = [str(beside) if beside.exists() else "mpirun", "--oversubscribe", "--bind-to", "none", "-n", str(ranks), *words]
        # A job that is killed leaves Open MPI's files behind: they go with this folder.
        with tempfile.TemporaryDirectory(prefix="trireme-gpu-", ignore_cleanup_errors=True) as scratch:
            variables["OMPI_MCA_orte_tmpdir_base"] = scratch
            try:
                done = subprocess.run(words, capture_output=True, text=True, timeout=self.left(), env=variables, cwd=REPOSITORY, check=False)
            except subprocess.TimeoutExpired as late:
                raise Failed(f"not done within the {PART_SECONDS} s of a part: {' '.join(words)}") from late
        if done.returncode not in allowed:
            raise Failed(f"exit code {done.returncode}: {' '.join(words)}\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}")
        return done.stdout

    def trireme(self, *arguments, ranks=None, environment=None, allowed=(0,)):
        return self.run(self.program("trireme"), *arguments, ranks=ranks, environment=environment, allowed=allowed)

    def data(self, name, *source):
        """A data set of that name, imported when it is first needed."""
        path = self.out / "data" / name
        if not path.exists():
            self.trireme("data", "import", "--source", *source, "--out", path)
        return path


def emulated(programs):
    """The environment in which programs find the libraries of the emulated GPU (tests/emulated) instead of CUDA's."""
    libraries = programs.parent / "emulated"
    if not libraries.exists():
        raise SystemExit(f"{libraries} is not there: build the target tests_emulated of the preset cuda")
    return {"LD_LIBRARY_PATH": str(libraries), "TRIREME_CUDA_LIBRARIES": str(libraries)}


def gpu_of(programs):
    """The GPU's name, or None and the reason."""
    probe = programs / "gpu_device"
    if not probe.exists():
        return None, f"{probe} is not there: build the target tests_gpu of the preset cuda"
    done = subprocess.run([probe, "--gtest_filter=GpuDevice.TellsWhatItIs"], capture_output=True, text=True, check=False)
    for line in done.stdout.splitlines():
        if line.startswith("GPU: "):
            return line[5:], ""
    lines = [line for line in done.stdout.splitlines() if "job.device" in line]
    return None, lines[0].strip() if lines else done.stdout[-500:] + done.stderr[-500:]


def run_part(name, bench):
    """Runs a part and keeps its result."""
    print(f"==> {name}: {PARTS[name].__doc__.splitlines()[0]}", flush=True)
    begin = time.monotonic()
    try:
        result = {"status": "passed", "figures": PARTS[name](bench)}
    except Failed as failure:
        result = {"status": "failed", "reason": str(failure)}
    result["seconds"] = round(time.monotonic() - begin, 1)
    (bench.out / f"{name}.json").write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    print(f"    {result['status']} after {result['seconds']} s", flush=True)
    if result["status"] == "failed":
        print("    " + result["reason"].replace("\n", "\n    "), flush=True)
    return result


def figure_lines(figures, indent="  "):
    for key, value in figures.items():
        if isinstance(value, dict):
            yield f"{indent}{key}:"
            yield from figure_lines(value, indent + "  ")
        else:
            yield f"{indent}{key}: {value}"


def write_report(out, gpu, versions):
    """One JSON and one page of all results that there are."""
    results = {name: json.loads((out / f"{name}.json").read_text(encoding="utf-8")) for name in PARTS if (out / f"{name}.json").exists()}
    (out / "gpu.json").write_text(json.dumps({"gpu": gpu, "versions": versions, "parts": results}, indent=2) + "\n", encoding="utf-8")
    lines = [f"Trireme on {gpu}, {time.strftime('%Y-%m-%d')}", ", ".join(f"{name} {version}" for name, version in versions.items()), ""]
    for name, result in results.items():
        lines.append(f"{name}: {result['status']}, {result['seconds']} s")
        lines += figure_lines(result.get("figures", {})) if result["status"] == "passed" else [f"  {result['reason'].splitlines()[0]}"]
    missing = [name for name in PARTS if name not in results]
    lines += ["", f"not run yet: {', '.join(missing)}"] if missing else []
    (out / "gpu.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return results


def arguments():
    parser = argparse.ArgumentParser(prog="tests/gpu/run_all.sh")
    parser.add_argument("--list", action="store_true", help="the parts and what they show")
    parser.add_argument("--programs", type=pathlib.Path, default=REPOSITORY / "build/cuda/bin")
    parser.add_argument("--out", type=pathlib.Path, default=REPOSITORY / "build/gpu-results")
    parser.add_argument("--torch", default="", help="a Python that has PyTorch")
    parser.add_argument("--rehearse", action="store_true", help="on the emulated GPU of the build, in small: figures mean nothing")
    parser.add_argument("parts", nargs="*", metavar="PART")
    options = parser.parse_args()
    if unknown := [name for name in options.parts if name not in PARTS]:
        parser.error(f"no part {', '.join(unknown)}: there are {', '.join(PARTS)}")
    return options


def main():
    options = arguments()
    if options.list:
        for name, part in PARTS.items():
            print(f"{name:<20} {part.__doc__.splitlines()[0]}")
        return 0
    programs, out = options.programs.resolve(), options.out.resolve()
    if options.rehearse:
        os.environ |= emulated(programs)
    gpu, reason = gpu_of(programs)
    if gpu is None:
        print(f"no GPU can be used: {reason}")
        return NO_GPU
    out.mkdir(parents=True, exist_ok=True)
    wanted = options.parts or [name for name in PARTS if not (out / f"{name}.json").exists()]
    for name in wanted:
        run_part(name, Bench(programs, out, options.torch, options.rehearse))
    versions = json.loads(subprocess.run([programs / "trireme", "version", "--json"], capture_output=True, text=True, check=True).stdout)
    results = write_report(out, gpu, versions)
    print((out / "gpu.txt").read_text(encoding="utf-8"))
    return 1 if any(result["status"] == "failed" for result in results.values()) else 0


if __name__ == "__main__":
    sys.exit(main())
