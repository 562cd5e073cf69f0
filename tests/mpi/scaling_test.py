"""jobs/scaling.py: the arithmetic on made-up runs, and one real run from end to end."""

import importlib.util
import json
import subprocess
import sys
import unittest

from tests.support.trireme_cli import BINARY, REPOSITORY, CliTest, mpi_scratch, mpi_variables

spec = importlib.util.spec_from_file_location("scaling", REPOSITORY / "jobs/scaling.py")
scaling = importlib.util.module_from_spec(spec)
spec.loader.exec_module(scaling)


def made_up(world, step_ms, compute, exposed=0.0, straggler=0.0):
    rank = {"compute": compute, "exposed_comm": exposed, "straggler_wait": straggler, "data_wait": 0.0, "wall": step_ms / 1e3}
    return {"world": world, "contenders": [{"step_ms": {"median": step_ms}}], "ranks": [rank] * world}


def run_scaling(*arguments):
    with mpi_scratch() as scratch:
        return subprocess.run([sys.executable, REPOSITORY / "jobs/scaling.py", *map(str, arguments)], capture_output=True, text=True,
                              env=mpi_variables(scratch, {"TRIREME": str(BINARY)}), cwd=REPOSITORY)


class ScalingTest(CliTest):
    def test_efficiency_and_split(self):
        runs = {(1, 64): made_up(1, 10, 0.010), (2, 64): made_up(2, 8, 0.006, exposed=0.002), (2, 128): made_up(2, 16, 0.012, straggler=0.004)}
        strong, weak = scaling.summary([runs, runs], [1, 2], 64)
        self.assertAlmostEqual(strong["efficiency"]["median"], 10 / (2 * 8))
        self.assertAlmostEqual(strong["compute"]["median"], 0.006 / 0.005)
        self.assertAlmostEqual(strong["exposed_comm"]["median"], 0.25)
        self.assertEqual((weak["scaling"], weak["ranks"], weak["batch"]), ("weak", 2, 128))
        self.assertAlmostEqual(weak["efficiency"]["median"], 10 / 16)
        self.assertAlmostEqual(weak["compute"]["median"], 1.2)
        self.assertAlmostEqual(weak["straggler_wait"]["median"], 0.25)
        self.assertIn("62.5%", scaling.text("a job", strong["step_ms"], [1, 2], 64, [strong, weak]))

    def test_what_is_measured(self):
        self.assertEqual(scaling.contenders([1, 2, 4], 8), [(1, 8), (2, 8), (4, 8), (2, 16), (4, 32)])
        self.assertEqual(scaling.quantiles([3.0, 1.0, 2.0]), {"median": 2.0, "p10": 1.0, "p90": 3.0})

    def test_a_job_on_one_and_two_ranks(self):
        done = run_scaling(self.job(), "--batch", 32, "--rounds", 2, "--steps", 3, "--json")
        self.assertEqual(done.returncode, 0, done.stderr)
        found = json.loads(done.stdout)
        self.assertEqual([(row["scaling"], row["batch"]) for row in found["scaling"]], [("strong", 32), ("weak", 64)])
        for row in found["scaling"]:
            self.assertGreater(row["efficiency"]["median"], 0)

    def test_a_job_that_fails_is_told(self):
        done = run_scaling("nowhere.cfg", "--batch", 32)
        self.assertEqual(done.returncode, 1)
        self.assertIn("nowhere.cfg", done.stderr)


if __name__ == "__main__":
    unittest.main()
