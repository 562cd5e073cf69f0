"""Holds all C++ sources against .clang-format: check_format.py ROOT CLANG_FORMAT."""

import subprocess
import sys
from pathlib import Path

FOLDERS = ("runtime", "layers", "comm", "io", "cluster", "jobs", "tests", "cmake")


def main() -> int:
    root, clang_format = Path(sys.argv[1]), sys.argv[2]
    files = [str(path.relative_to(root)) for folder in FOLDERS for path in sorted((root / folder).rglob("*"))
             if path.suffix in (".hpp", ".cpp", ".cu", ".cuh")]
    if len(files) < 20:
        print(f"only {len(files)} sources found under {root}: is this the repository root?")
        return 1
    result = subprocess.run([clang_format, "--dry-run", "-Werror", *files], cwd=root, check=False)
    print(f"{len(files)} files" if result.returncode == 0 else "to mend it: clang-format -i FILE")
    return result.returncode


if __name__ == "__main__":
    sys.exit(main())
