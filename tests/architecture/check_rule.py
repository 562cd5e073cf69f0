"""Holds the sources of the repository against one rule of rules.py: check_rule.py ROOT RULE."""

import sys
from pathlib import Path

from rules import RULES, Source

FOLDERS = ("runtime", "layers", "comm", "io", "cluster", "jobs", "tests", "cmake", "docs")
ENDINGS = {".hpp", ".cpp", ".cu", ".cuh", ".sh", ".py", ".cmake", ".md", ".cfg", ".txt"}
# Prose may be as long as it needs to be.
PROSE = {".md", ".txt"}


def sources(root: Path, rule: str) -> list[Source]:
    found = []
    for folder in FOLDERS:
        for path in sorted((root / folder).rglob("*")):
            if path.suffix not in ENDINGS or not path.is_file():
                continue
            if rule == "file_length" and path.suffix in PROSE:
                continue
            found.append(Source(path.relative_to(root).as_posix(), path.read_text(encoding="utf-8")))
    return found


def main() -> int:
    root, rule = Path(sys.argv[1]), sys.argv[2]
    checked = sources(root, rule)
    # A rule that looked at nothing has shown nothing.
    if sum(source.is_cpp for source in checked) < 20:
        print(f"only {len(checked)} sources found under {root}: is this the repository root?")
        return 1
    violations = [violation for source in checked for violation in RULES[rule](source)]
    for violation in violations:
        print(violation)
    print(f"{rule}: {len(checked)} files, {len(violations)} violations")
    return 1 if violations else 0


if __name__ == "__main__":
    sys.exit(main())
