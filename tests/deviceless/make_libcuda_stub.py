"""Writes the C source of a libcuda.so.1 for hosts without a driver.

cuDNN opens libcuda.so.1 by name when it compiles kernels at run time (attention, unusual fusions), and gives up where a function is
missing. The CUDA toolkit has a stub of its own, but the wheels of PyPI have none. So every name of a driver function that cuda.h
declares, or that stands in one of cuDNN's libraries, becomes a function here. All answer 34 (CUDA_ERROR_STUB_LIBRARY) but those that
load a finished kernel, which succeed: so a plan is built to its end, with no device to run it on."""

import argparse
import mmap
import re
from pathlib import Path

STUB_LIBRARY = 34
# int NAME(void) is enough: where the caller removes the arguments, none need be looked at.
REFUSES = "int {name}(void) {{ return %d; }}" % STUB_LIBRARY
# What is loaded is given back through the first argument; it is never looked into.
GIVES = "int {name}(void** out) {{ static int thing; *out = &thing; return 0; }}"
SUCCEEDS = "int {name}(void) {{ return 0; }}"
GIVING = re.compile(r"cu(LibraryLoadData|LibraryGetKernel|LibraryGetModule|KernelGetFunction|ModuleLoadData(Ex)?|ModuleGetFunction)")
SUCCEEDING = re.compile(r"cu(LibraryUnload|ModuleUnload|KernelSetAttribute|FuncSetAttribute)")
DECLARED = re.compile(r"CUDAAPI\s+(cu[A-Z]\w*)\s*\(")
RENAMED = re.compile(r"#\s*define\s+(cu[A-Z]\w*)\s+(?:__CUDA_API_\w+\()?(cu[A-Z]\w*)")
IN_LIBRARY = re.compile(rb"(?<![\w.])(cu[A-Z][A-Za-z0-9_]{2,63})\x00")


def names_of_header(text: str) -> set[str]:
    names = set(DECLARED.findall(text))
    for pair in RENAMED.findall(text):
        names.update(pair)
    return names


def names_of_library(path: Path) -> set[str]:
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as bytes_of_file:
        return {name.decode() for name in IN_LIBRARY.findall(bytes_of_file)}


def function_of(name: str) -> str:
    form = GIVES if GIVING.fullmatch(name) else SUCCEEDS if SUCCEEDING.fullmatch(name) else REFUSES
    return form.format(name=name)


def source_of(names: set[str]) -> str:
    return "".join(function_of(name) + "\n" for name in sorted(names))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--header", type=Path, required=True, help="cuda.h")
    parser.add_argument("--libraries", type=Path, required=True, help="folder of libcudnn*.so.9")
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    names = names_of_header(arguments.header.read_text(encoding="utf-8", errors="replace"))
    # The precompiled kernels and the heuristics are data: they name no driver function, and are most of the bytes.
    for library in sorted(arguments.libraries.glob("libcudnn*.so.9")):
        if "precompiled" not in library.name and "heuristic" not in library.name:
            names |= names_of_library(library)
    arguments.out.write_text(source_of(names), encoding="utf-8")


if __name__ == "__main__":
    main()
