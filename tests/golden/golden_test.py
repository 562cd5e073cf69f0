"""Compares what `trireme inspect` prints with the files beside this one; --write writes them anew.

Plans are made for the reference device, whose kernels do not depend on the processor.
"""

import difflib
import os
import pathlib
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
BINARY = os.environ["TRIREME_BINARY"]
FIXED = ["--job.device", "reference", "--job.threads", "1", "--data.path", "nowhere"]
CASES = {
    "lenet_world4_all.txt": ["inspect", "jobs/recipes/lenet-mnist.cfg", "--world", "4", "--what", "all", *FIXED],
    "lenet_world3_microbatches_program.txt": [
        "inspect", "jobs/recipes/lenet-mnist.cfg", "--world", "3", "--rank", "2", "--what", "program",
        "--parallel.microbatches", "2", "--parallel.bucket_mb", "0.05", *FIXED],
    "mlp_world5_plan.txt": ["inspect", "jobs/recipes/lenet-mnist.cfg", "--model.name", "mlp", "--world", "5", "--what", "plan",
                            "--data.batch", "3", *FIXED],
    "help.txt": ["--help"],
}


def main():
    write = "--write" in sys.argv
    failed = 0
    for name, arguments in CASES.items():
        got = subprocess.run([BINARY, *arguments], capture_output=True, text=True, check=True, cwd=HERE.parents[1]).stdout
        path = HERE / name
        if write:
            path.write_text(got)
            continue
        wanted = path.read_text()
        if got != wanted:
            failed += 1
            sys.stdout.writelines(difflib.unified_diff(wanted.splitlines(True), got.splitlines(True), name, "now"))
    return 1 if failed else 0


sys.exit(main())
