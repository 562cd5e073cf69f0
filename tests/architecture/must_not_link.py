"""Builds a target that calls over a wrong arrow: must_not_link.py CMAKE BUILD_DIR TARGET SYMBOL.

Passes when the target compiles and the linker does not find SYMBOL. Any other failure, such as a source that does not
compile, shows nothing about arrows and fails."""

import re
import subprocess
import sys


def main() -> int:
    cmake, build_dir, target, symbol = sys.argv[1:]
    result = subprocess.run([cmake, "--build", build_dir, "--target", target], text=True, check=False,
                            stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    missing = set(re.findall(r"undefined reference to `([^']+)'", result.stdout))
    print(result.stdout[-4000:])
    if result.returncode == 0:
        print(f"{target} links: the box that it links against reaches up or sideways")
        return 1
    if not missing or any(symbol not in name for name in missing):
        print(f"{target} fails for another reason than a missing {symbol}; missing: {sorted(missing)}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
