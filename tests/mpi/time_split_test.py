"""Where the time of a step goes: delays that are put in on purpose show in their own column and name the rank."""

import json
import unittest

from tests.support.trireme_cli import CliTest, run

COLUMNS = ("data_wait", "compute", "exposed_comm", "straggler_wait", "checkpoint")
# Much longer than a step, which takes less than a millisecond, and than what a busy machine may add to one.
DELAY_MS = 80
STEPS = 20
# A sleep lasts as long as it was asked to; a wait for it begins a little later.
SEEN = 0.5 * DELAY_MS / 1e3


class TimeSplitTest(CliTest):
    def train(self, ranks, fault, *more):
        done = run("train", self.job(), "--job.steps", STEPS, *more, ranks=ranks, environment={"TRIREME_FAULT": fault} if fault else {})
        self.assertEqual(done.code, 0, done)
        summary = json.loads((self.folder / "run" / "summary.json").read_text())
        self.assertEqual(set(summary["step_time_split"]), set(COLUMNS))
        self.assertEqual([r["rank"] for r in summary["ranks"]], list(range(ranks)))
        for split in summary["ranks"]:
            parts = sum(split[column] for column in COLUMNS)
            self.assertLess(abs(split["wall"] - parts), 0.02 * split["wall"], f"{fault}: {split}")
            self.assertAlmostEqual(split["wall"] - parts, split["unaccounted"], places=9)
            self.assertGreater(split["compute"], 0)
        return summary, done

    def largest(self, split):
        """The column with most of the time, which is the delay's, and that of nothing else."""
        name = max(COLUMNS, key=lambda column: split[column])
        self.assertGreater(split[name], SEEN, split)
        return name

    def test_slow_data_on_all_ranks(self):
        summary, _ = self.train(2, f"slow-data:rank=all:step=0:ms={DELAY_MS}")
        for split in summary["ranks"]:
            self.assertEqual(self.largest(split), "data_wait")
        self.assertIsNone(summary["waited_for"])

    def test_slow_compute_on_all_ranks(self):
        summary, _ = self.train(2, f"slow-compute:rank=all:step=0:ms={DELAY_MS}")
        for split in summary["ranks"]:
            self.assertEqual(self.largest(split), "compute")
        self.assertIsNone(summary["waited_for"])

    def test_slow_data_of_one_rank(self):
        summary, done = self.train(3, f"slow-data:rank=1:step=0:ms={DELAY_MS}")
        self.assertEqual([self.largest(split) for split in summary["ranks"]], ["straggler_wait", "data_wait", "straggler_wait"])
        named = summary["waited_for"]
        self.assertEqual((named["rank"], named["longer_in"], named["host"]), (1, "data_wait", summary["ranks"][1]["host"]))
        self.assertGreater(named["wait"], SEEN)
        self.assertIn("for rank 1 (host", done.out)

    def test_slow_compute_of_rank_0(self):
        summary, _ = self.train(3, f"slow-compute:rank=0:step=0:ms={DELAY_MS}")
        self.assertEqual([self.largest(split) for split in summary["ranks"]], ["compute", "straggler_wait", "straggler_wait"])
        named = summary["waited_for"]
        self.assertEqual((named["rank"], named["longer_in"]), (0, "compute"))

    def test_canonical_mode_names_the_rank_too(self):
        summary, _ = self.train(2, f"slow-compute:rank=1:step=0:ms={DELAY_MS}", "--job.deterministic", "canonical")
        self.assertEqual([self.largest(split) for split in summary["ranks"]], ["straggler_wait", "compute"])
        self.assertEqual(summary["waited_for"]["rank"], 1)

    def test_saves_have_a_column(self):
        summary, _ = self.train(2, f"slow-data:rank=all:step=0:ms={DELAY_MS}", "--checkpoint.every", 1, "--checkpoint.async", "false")
        for split in summary["ranks"]:
            self.assertGreater(split["checkpoint"], 0)

    def test_a_delay_that_begins_later(self):
        # Of 20 steps the last 5 are slow.
        summary, _ = self.train(1, f"slow-data:rank=0:step={STEPS - 5}:ms={DELAY_MS}")
        records = [json.loads(line) for line in (self.folder / "run" / "metrics.jsonl").read_text().splitlines()]
        waits = [record["split"]["data_wait"] for record in records if "split" in record]
        self.assertEqual(len(waits), STEPS)
        self.assertEqual([wait > SEEN for wait in waits], [False] * (STEPS - 5) + [True] * 5)

    def test_malformed_drill(self):
        done = run("train", self.job(), environment={"TRIREME_FAULT": "slow-data:rank=1:step=7"})
        self.expect(done, 2, "TRIREME_FAULT", "ms=M")


if __name__ == "__main__":
    unittest.main()
