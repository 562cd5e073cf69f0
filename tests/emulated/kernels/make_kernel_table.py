"""Writes the table of the emulated GPU's kernels from the object files of the CUDA build: each kernel that nvcc made, by its name, and
the same kernel compiled for the host."""

import argparse
import re
import subprocess
from pathlib import Path

SYMBOL = re.compile(r"[0-9a-f ]{16} \w (.*)")
KERNEL = re.compile(r"void trireme::cuda::(each|block)_kernel<.*>\((?:long, )+(?P<body>.*)\)")


def symbols(nm: str, objects: list[str], *options: str) -> list[str]:
    lines = subprocess.run([nm, "--no-sort", *options, *objects], capture_output=True, text=True, check=True).stdout.splitlines()
    return [found[1] for found in map(SYMBOL.fullmatch, lines) if found]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--nm", required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("objects", nargs="+")
    arguments = parser.parse_args()
    kernels = {}
    for mangled, plain in zip(symbols(arguments.nm, arguments.objects), symbols(arguments.nm, arguments.objects, "--demangle"), strict=True):
        if found := KERNEL.fullmatch(plain):
            # nvcc 13 gives the host's half of a template internal linkage (L), and not the kernel.
            kernels[mangled.replace("cudaL", "cuda", 1)] = f"bind_{found[1]}<{found['body']}>"
    if not kernels:
        raise SystemExit("no kernel was found in the object files: are they those of the CUDA build?")
    rows = "".join(f'    {{"{name}", {bind}}},\n' for name, bind in sorted(kernels.items()))
    arguments.out.write_text(
        '#include "tests/emulated/kernels/bind_kernel.hpp"\n\nnamespace trireme::emulated {\n\n'
        f"const NamedKernel named_kernels[] = {{\n{rows}    {{nullptr, nullptr}}}};\n\n}}  // namespace trireme::emulated\n",
        encoding="utf-8",
    )


if __name__ == "__main__":
    main()
