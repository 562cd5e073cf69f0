"""The rules of the house as functions: each takes a Source and yields the places that break it.

They read text, not the file system, so that rules_test.py can show each of them a file that breaks it."""

import re
from dataclasses import dataclass
from typing import Callable, Iterator

BOXES = ("core", "layers", "comm", "io", "cluster", "runtime", "jobs")

# Which boxes a box may include: itself and what lies below it.
MAY_INCLUDE = {
    "core": {"core"},
    "layers": {"layers", "core"},
    "comm": {"comm", "core"},
    "io": {"io", "core"},
    "cluster": {"cluster", "core"},
    "runtime": {"runtime", "layers", "comm", "io", "cluster", "core"},
    "jobs": set(BOXES),
}

MAX_LINES = 450

CUDA_PLACES = ("runtime/device/cuda/", "runtime/kernels/cudnn/", "runtime/kernels/cublaslt/", "runtime/kernels/cuda/",
               "tests/deviceless/", "tests/gpu/", "tests/emulated/")
CUDA_TABLE = "runtime/available_backends_cuda.cpp"
# What lies in those folders and includes no CUDA header, so that every build can test it.
CUDA_FREE = re.compile(r"runtime/kernels/cuda/((bodies|nodes)/.*|host_device\.hpp|step_kernels\.hpp)")

INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]')
CONDITIONAL = re.compile(r"^\s*#\s*(if|ifdef|ifndef|elif|elifdef)\b(.*)")
BACKEND_WORD = re.compile(r"CUDA|CUDNN|CUBLAS|NCCL|HIP|ROCM|DNNL|ONEDNN|BACKEND|__has_include|(WITH|HAVE|USE|ENABLE)_\w+")
# Written in two pieces so that this file keeps the rule too.
FORBIDDEN_WORD = re.compile(r"\b(" + "TO" + "DO|FIX" + "ME|TB" + r"D)\b")


@dataclass(frozen=True)
class Source:
    path: str  # from the repository root, with forward slashes
    text: str

    @property
    def is_cpp(self) -> bool:
        return self.path.endswith((".hpp", ".cpp", ".cu", ".cuh"))

    @property
    def box(self) -> str:
        """The box that the file belongs to; "" for tests and others."""
        if self.path.startswith("runtime/core/"):
            return "core"
        first = self.path.split("/", 1)[0]
        return first if first in BOXES else ""

    def lines(self) -> Iterator[tuple[int, str]]:
        return enumerate(self.text.split("\n"), start=1)

    def includes(self) -> Iterator[tuple[int, str, str]]:
        """Line number, the kind of bracket, and the file of each #include."""
        for number, line in self.lines():
            if match := INCLUDE.match(line):
                yield number, match.group(1), match.group(2)


@dataclass(frozen=True)
class Violation:
    path: str
    line: int
    message: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.message}"


def _header_only_in(source: Source, header: re.Pattern, places: tuple[str, ...]) -> Iterator[Violation]:
    if not source.is_cpp or source.path.startswith(places):
        return
    for line, _, name in source.includes():
        if header.fullmatch(name):
            yield Violation(source.path, line, f"{name} may be included only under {', '.join(places)}")


def mpi_header(source: Source) -> Iterator[Violation]:
    return _header_only_in(source, re.compile(r"(.*/)?mpi(-ext|o|cxx)?\.h"), ("comm/", "tests/mpi/"))


def hdf5_header(source: Source) -> Iterator[Violation]:
    return _header_only_in(source, re.compile(r"(.*/)?(hdf5(_hl)?|H5\w*)\.h(pp)?"), ("io/",))


def cuda_headers(source: Source) -> Iterator[Violation]:
    """CUDA's headers, and those of ours that include them, stay in their folders and the table of the CUDA build."""
    if not source.is_cpp:
        return
    theirs = re.compile(r"(.*/)?(cuda|cudnn|cublas|cusparse|curand|nvrtc|nvml|nccl|cooperative_groups)\w*(\.h|\.hpp|\.cuh)|cub/.*")
    may = source.path.startswith(CUDA_PLACES) and not CUDA_FREE.fullmatch(source.path)
    for line, _, name in source.includes():
        if Source(name, "").box:
            if name.startswith(CUDA_PLACES) and not CUDA_FREE.fullmatch(name) and not may and source.path != CUDA_TABLE:
                yield Violation(source.path, line, f"{name} includes CUDA and may be included only there and in {CUDA_TABLE}")
        elif theirs.fullmatch(name) and not may:
            yield Violation(source.path, line, f"{name} may be included only under {', '.join(CUDA_PLACES)}")


def backend_conditionals(source: Source) -> Iterator[Violation]:
    """Builds differ by which available_backends_*.cpp is compiled, and by nothing else."""
    if not source.is_cpp or re.fullmatch(r"runtime/available_backends_\w+\.cpp", source.path):
        return
    for number, line in source.lines():
        match = CONDITIONAL.match(line)
        if match and (word := BACKEND_WORD.search(match.group(2))):
            yield Violation(source.path, number, f"#{match.group(1)} asks for a back end ({word.group(0)}): choose a "
                            "translation unit in CMake instead")


def arrows(source: Source) -> Iterator[Violation]:
    """jobs -> runtime -> {layers, comm, io, cluster} -> core. A box that is named in an include is the target."""
    if not source.is_cpp or not source.box:
        return
    for line, bracket, name in source.includes():
        target = Source(name, "").box
        if not target and bracket == '"':
            yield Violation(source.path, line, f'"{name}" does not start at a box: include by the path from the '
                            "repository root")
        elif target and target not in MAY_INCLUDE[source.box]:
            yield Violation(source.path, line, f"{source.box} must not include {target} ({name}): arrows point down")


def file_length(source: Source) -> Iterator[Violation]:
    count = source.text.count("\n")
    if count > MAX_LINES:
        yield Violation(source.path, count, f"{count} lines, {MAX_LINES} are allowed: split it")


def words(source: Source) -> Iterator[Violation]:
    for number, line in source.lines():
        if match := FORBIDDEN_WORD.search(line):
            yield Violation(source.path, number, f"{match.group(0)}: do it now, or open an issue")


RULES: dict[str, Callable[[Source], Iterator[Violation]]] = {
    "mpi_header": mpi_header,
    "hdf5_header": hdf5_header,
    "cuda_headers": cuda_headers,
    "backend_conditionals": backend_conditionals,
    "arrows": arrows,
    "file_length": file_length,
    "words": words,
}
