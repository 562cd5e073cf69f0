"""`trireme bench` as a user starts it. The peer is a stand-in that answers as torch_peer.py does, so that no torch is needed."""

import json
import sys
import unittest

from tests.support.trireme_cli import CliTest, run

# Says that each step took 1000 s, and writes down when it was asked.
PEER = """\
import json, sys
options = dict(word[2:].split("=", 1) for word in sys.argv[1:])
print(json.dumps({"version": "stand-in", "parameters": PARAMETERS}), flush=True)
for line in sys.stdin:
    steps = json.loads(line)["steps"]
    with open(LOG, "a") as log:
        print(options["mode"], options["rank"], options["batch"], options["threads"], options["precision"], options["lr"], steps, file=log)
    print(json.dumps({"seconds": [1000.0] * steps, "loss": 1, "peak_bytes": 12345}), flush=True)
    ENDING
"""
PARAMETERS = 784 * 32 + 32 + 32 * 10 + 10


class BenchTest(CliTest):
    def bench(self, *more, ranks=None):
        done = run("bench", "train", self.job(), "--steps", 3, "--json", *more, ranks=ranks)
        self.assertEqual(done.code, 0, done)
        self.assertFalse((self.folder / "run").exists(), "no run folder is left behind")
        return json.loads(done.out)

    def peer(self, parameters=PARAMETERS, ending=""):
        path = self.folder / "peer.py"
        path.write_text(PEER.replace("PARAMETERS", str(parameters)).replace("LOG", repr(str(self.folder / "log"))).replace("ENDING", ending))
        return "--peer", f"torch={sys.executable}", "--peer-script", path

    def test_alone(self):
        found = self.bench(ranks=2)
        self.assertEqual((found["world"], found["batch"], found["threads"], found["rounds"], found["steps_a_turn"]), (2, 30, 1, 1, 3))
        ours = found["contenders"][0]
        self.assertGreater(ours["step_ms"]["median"], 0)
        self.assertAlmostEqual(ours["samples_per_s"], 30e3 / ours["step_ms"]["median"], delta=1e-6 * ours["samples_per_s"])
        self.assertEqual([split["rank"] for split in found["ranks"]], [0, 1])
        self.assertEqual(found["ratios"], [])

    def test_against_other_settings(self):
        settings = "--job.deterministic canonical --parallel.virtual_shards 2"
        found = self.bench("--against", settings, "--rounds", 4, ranks=2)
        self.assertEqual([c["name"] for c in found["contenders"]], ["ours", "ours, " + settings])
        self.assertEqual([r["to"] for r in found["ratios"]], ["ours, " + settings])
        ratio = found["ratios"][0]
        self.assertLessEqual(ratio["p10"], ratio["median"])
        self.assertLessEqual(ratio["median"], ratio["p90"])

    def test_mistakes_in_the_other_settings(self):
        done = run("bench", "train", self.job(), "--against", "--job.deterministik canonical")
        self.expect(done, 2, "--job.deterministik: unknown flag (did you mean job.deterministic?)")

    def test_peers_take_turns(self):
        found = self.bench(*self.peer(), "--rounds", 3)
        self.assertEqual([c["name"] for c in found["contenders"]], ["ours", "torch eager", "torch compile"])
        self.assertEqual(found["torch"], "stand-in")
        for other in found["contenders"][1:]:
            self.assertEqual(other["step_ms"]["median"], 1e6)
            self.assertEqual(other["peak_memory_bytes"], 12345)
        for ratio in found["ratios"]:
            self.assertGreater(ratio["median"], 1)
            self.assertAlmostEqual(ratio["memory"], found["contenders"][0]["peak_memory_bytes"] / 12345)
        turns = (self.folder / "log").read_text().splitlines()
        self.assertEqual(set(turns), {f"{mode} 0 30 1 fp32 0.05 {steps}" for mode in ("eager", "compile") for steps in (2, 3)})
        # Two that warm up; then every round begins with another contender.
        self.assertEqual(" ".join(turn[0] for turn in turns), "e c e c e c c e")

    def test_peers_of_ranks(self):
        found = self.bench(*self.peer(), "--rounds", 2, ranks=2)
        self.assertEqual([c["name"] for c in found["contenders"]], ["ours", "torch ddp"])
        ranks = sorted(line.split()[1] for line in (self.folder / "log").read_text().splitlines())
        self.assertEqual(ranks, ["0"] * 3 + ["1"] * 3)

    def test_peer_with_another_network(self):
        done = run("bench", "train", self.job(), *self.peer(parameters=7))
        self.expect(done, 2, "7 parameters", f"the job's {PARAMETERS}", "not the same network")

    def test_peer_that_ends(self):
        done = run("bench", "train", self.job(), "--steps", 2, *self.peer(ending="sys.exit(1)"))
        self.expect(done, 2, "the peer", "has ended")

    def test_peer_that_is_not_there(self):
        done = run("bench", "train", self.job(), "--peer", "torch=/nowhere/python")
        self.expect(done, 2, "/nowhere/python", "cannot be started")
        self.expect(run("bench", "train", self.job(), "--peer", "jax=python3"), 2, "must be torch=PYTHON")

    def test_ops(self):
        found = self.bench("--ops")
        rows = {(row["node"], row["pass"]): row for row in found["ops"]}
        times = [row["ms"] for row in found["ops"]]
        self.assertEqual(times, sorted(times, reverse=True))
        self.assertGreater(found["roofline"]["flops_per_s"], 1e8)
        self.assertGreater(found["roofline"]["bytes_per_s"], 1e8)
        weights = 784 * 32
        for name in ("forward", "backward-weight"):
            row = rows["fc1", name]
            self.assertGreater(row["ms"], 0)
            self.assertAlmostEqual(row["flops"], 2 * weights * 30, delta=0.01 * row["flops"])
            self.assertAlmostEqual(row["bytes"], 4 * (weights + 32 + 30 * (784 + 32)), delta=1)
            least = max(row["flops"] / found["roofline"]["flops_per_s"], row["bytes"] / found["roofline"]["bytes_per_s"])
            self.assertAlmostEqual(row["roofline_share"], least / (row["ms"] * 1e-3), places=6)
        self.assertNotIn(("fc1", "backward-input"), rows, "nobody wants the gradient of the samples")
        self.assertIn(("", "update"), rows)

    def test_the_table_is_for_people(self):
        done = run("bench", "train", self.job(), "--steps", 2, "--ops")
        self.assertEqual(done.code, 0, done)
        for piece in ("test: batch 30, 1 rank(s) x 1 thread(s), fp32", "roofline:", "GFLOP/s", "backward-weight", "data_wait"):
            self.assertIn(piece, done.out)

    def test_reading(self):
        done = run("bench", "data", self.data(), "--rounds", 2, "--workers", 2, "--json")
        self.assertEqual(done.code, 0, done)
        found = json.loads(done.out)
        self.assertEqual((found["split"], found["workers"], found["warm"]), ("train", 2, False))
        stored = sum(path.stat().st_size for path in self.data().iterdir())
        for name, wanted in (("pread", stored), ("reading", 600 * (28 * 28 + 4))):
            turns = found[name]["turns"]
            self.assertEqual([turn["bytes"] for turn in turns], [wanted] * 2)
            for turn in turns:
                self.assertAlmostEqual(turn["gb_per_s"] * turn["seconds"] * 1e9, wanted, delta=1e-6 * wanted)
        self.assertGreater(found["ratio"], 0)
        self.expect(run("bench", "data", self.data(), "--split", "exam"), 2, "exam")

    def test_what_is_not_there_yet(self):
        for what in ("allreduce", "p2p", "scaling"):
            self.expect(run("bench", what), 2, "ConfigError", f"trireme bench {what} is not available yet")
        self.expect(run("bench", "trian"), 2, "unknown command bench trian (did you mean bench train?)")


if __name__ == "__main__":
    unittest.main()
