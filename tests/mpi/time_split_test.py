"""Where the time of a step goes: delays that are put in on purpose show in their own column and name the rank."""

import json
import statistics
import unittest

from tests.support.trireme_cli import CliTest, run

COLUMNS = ("data_wait", "compute", "exposed_comm", "straggler_wait", "checkpoint")
# What a busy machine adds to a step is small beside it, and 2 % of it are more than what lies between two columns. The step
# itself takes less than a millisecond. No test says how long anything takes: only which is longer.
DELAY_MS = 300
STEPS = 6


class TimeSplitTest(CliTest):
    def train(self, ranks, fault, *more):
        done = run("train", self.job(), "--job.steps", STEPS, *more, ranks=ranks, environment={"TRIREME_FAULT": fault} if fault else {})
        self.assertEqual(done.code, 0, done)
        summary = json.loads((self.folder / "run" / "summary.json").read_text())
        self.assertEqual(set(summary["step_time_split"]), set(COLUMNS))
        self.assertEqual([r["rank"] for r in summary["ranks"]], list(range(ranks)))
        for split in summary["ranks"]:
            self.assertAlmostEqual(split["wall"] - self.parts(split), split["unaccounted"], places=9)
        return summary, done

    def train_slow(self, ranks, what, *more):
        """With every step slow on a rank, and so on all: there the columns must add up."""
        summary, done = self.train(ranks, f"{what}:step=0:ms={DELAY_MS}", *more)
        for split in summary["ranks"]:
            self.assertLess(abs(split["wall"] - self.parts(split)), 0.02 * split["wall"], f"{what}: {split}")
        return summary, done

    def parts(self, split):
        return sum(split[column] for column in COLUMNS)

    def largest(self, summary):
        """By rank: the column with most of the time, which is the delay's."""
        return [max(COLUMNS, key=lambda column: split[column]) for split in summary["ranks"]]

    def records(self):
        lines = (self.folder / "run" / "metrics.jsonl").read_text().splitlines()
        return [record["split"] for record in map(json.loads, lines) if "split" in record]

    def test_slow_data_on_all_ranks(self):
        summary, _ = self.train_slow(2, "slow-data:rank=all")
        self.assertEqual(self.largest(summary), ["data_wait"] * 2)

    def test_slow_compute_on_all_ranks(self):
        summary, _ = self.train_slow(2, "slow-compute:rank=all")
        self.assertEqual(self.largest(summary), ["compute"] * 2)

    def test_slow_data_of_one_rank(self):
        summary, done = self.train_slow(3, "slow-data:rank=1")
        self.assertEqual(self.largest(summary), ["straggler_wait", "data_wait", "straggler_wait"])
        named = summary["waited_for"]
        self.assertEqual((named["rank"], named["longer_in"], named["host"]), (1, "data_wait", summary["ranks"][1]["host"]))
        self.assertIn("for rank 1 (host", done.out)

    def test_slow_compute_of_rank_0(self):
        summary, _ = self.train_slow(3, "slow-compute:rank=0")
        self.assertEqual(self.largest(summary), ["compute", "straggler_wait", "straggler_wait"])
        named = summary["waited_for"]
        self.assertEqual((named["rank"], named["longer_in"]), (0, "compute"))

    def test_canonical_mode_names_the_rank_too(self):
        summary, _ = self.train_slow(2, "slow-compute:rank=1", "--job.deterministic", "canonical")
        self.assertEqual(self.largest(summary), ["straggler_wait", "compute"])
        self.assertEqual(summary["waited_for"]["rank"], 1)

    def test_saves_have_a_column(self):
        summary, _ = self.train_slow(2, "slow-data:rank=all", "--checkpoint.every", 1, "--checkpoint.async", "false")
        for split in summary["ranks"]:
            self.assertGreater(split["checkpoint"], 0)
        self.stood_still_between_records()

    def test_checks_of_replicas_have_it_too(self):
        self.train(2, None, "--job.hash_every", 1, "--checkpoint.every", 1000)
        self.stood_still_between_records()

    def stood_still_between_records(self):
        """What comes after a step's record is in the next one's; a step itself has nothing in this column."""
        saved = [split["checkpoint"] > 0 for split in self.records()]
        self.assertEqual(saved, [False] + [True] * (STEPS - 1))

    def test_a_delay_that_begins_later(self):
        self.train(1, f"slow-data:rank=0:step={STEPS // 2}:ms={DELAY_MS}")
        waits = [split["data_wait"] for split in self.records()]
        self.assertEqual(len(waits), STEPS)
        # A busy machine may delay one of the others, but hardly most of them.
        self.assertGreater(min(waits[STEPS // 2 :]), statistics.median(waits[: STEPS // 2]))

    def test_malformed_drill(self):
        done = run("train", self.job(), environment={"TRIREME_FAULT": "slow-data:rank=1:step=7"})
        self.expect(done, 2, "TRIREME_FAULT", "ms=M")


if __name__ == "__main__":
    unittest.main()
