"""`trireme bench` as a user starts it. The peer is a stand-in that answers as torch_peer.py does, so that no torch is needed."""

import json
import pathlib
import subprocess
import sys
import unittest

from tests.support.trireme_cli import REPOSITORY, CliTest, run

# Says that each step took 1000 s, and writes down when it was asked.
PEER = """\
import json, sys
options = dict(word[2:].split("=", 1) for word in sys.argv[1:])
print(json.dumps({"version": "stand-in", "parameters": PARAMETERS}), flush=True)
for line in sys.stdin:
    steps = json.loads(line)["steps"]
    with open(LOG, "a") as log:
        print(options["meeting"], file=open(MEETING, "a"))
        print(options["mode"], options["rank"], options["batch"], options["threads"], options["precision"], options["lr"], steps, file=log)
    print(json.dumps({"seconds": [1000.0] * steps, "loss": 1, "peak_bytes": 12345}), flush=True)
    ENDING
"""
PARAMETERS = 784 * 32 + 32 + 32 * 10 + 10


class BenchTest(CliTest):
    def bench(self, *more, ranks=None, environment=None):
        done = run("bench", "train", self.job(), "--steps", 3, "--json", *more, ranks=ranks, environment=environment)
        self.assertEqual(done.code, 0, done)
        self.assertFalse((self.folder / "run").exists(), "no run folder is left behind")
        return json.loads(done.out)

    def peer(self, parameters=PARAMETERS, ending=""):
        path = self.folder / "peer.py"
        text = PEER.replace("ENDING", ending).replace("PARAMETERS", str(parameters))
        path.write_text(text.replace("LOG", repr(str(self.folder / "log"))).replace("MEETING", repr(str(self.folder / "meeting"))))
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
        self.assertIsNone(ratio["memory"])
        self.assertEqual([c["peak_memory_bytes"] for c in found["contenders"]], [None, None])

    def test_samples_are_counted_by_each_ones_batch(self):
        found = self.bench("--against", "--data.batch 60", "--rounds", 2, *self.peer())
        self.assertEqual([c["batch"] for c in found["contenders"]], [30, 60, 30, 30])
        for one in found["contenders"]:
            self.assertAlmostEqual(one["samples_per_s"], one["batch"] * 1e3 / one["step_ms"]["median"], delta=1e-6 * one["samples_per_s"])
        # Two of ours share a process; the peers do not.
        self.assertEqual([c["peak_memory_bytes"] for c in found["contenders"]], [None, None, 12345, 12345])
        self.assertEqual([r["memory"] for r in found["ratios"]], [None] * 3)

    def test_shared_memory_is_nobodys_in_the_table(self):
        done = run("bench", "train", self.job(), "--steps", 2, "--rounds", 1, "--against", "--data.batch 60")
        self.assertEqual(done.code, 0, done)
        ours = [line for line in done.out.splitlines() if line.startswith("ours")]
        self.assertEqual([line.split()[-1] for line in ours[:2]], ["-", "-"], done.out)
        self.assertIn("share a process", done.out)

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
        (self.folder / "tmp").mkdir()
        found = self.bench(*self.peer(ending="open(options['meeting'], 'a').close()"), "--rounds", 2, ranks=2, environment={"TMPDIR": str(self.folder / "tmp")})
        self.assertEqual([c["name"] for c in found["contenders"]], ["ours", "torch ddp"])
        ranks = sorted(line.split()[1] for line in (self.folder / "log").read_text().splitlines())
        self.assertEqual(ranks, ["0"] * 3 + ["1"] * 3)
        # They meet in one place of their own, of which nothing is left.
        meetings = set((self.folder / "meeting").read_text().split())
        self.assertEqual([pathlib.Path(meeting).parents[1] for meeting in meetings], [self.folder / "tmp"])
        self.assertEqual(list((self.folder / "tmp").iterdir()), [])

    def test_the_peer_is_told_what_the_network_does(self):
        self.bench(*self.peer(ending="json.dump(options, open(LOG, 'w'))"), "--rounds", 1, "--model.label_smoothing", 0.1)
        told = json.loads((self.folder / "log").read_text())
        names = ("model", "sample", "classes", "heads", "dropout", "loss", "label-smoothing")
        self.assertEqual([told[name] for name in names], ["mlp", "28x28x1", "10", "0", "0", "softmax_cross_entropy", "0.1"])

    def test_the_peer_refuses_what_it_does_not_build(self):
        known = dict(mode="eager", model="lenet", sample="28x28x1", classes=10, loss="softmax_cross_entropy", batch=8, threads=1)
        for changes, pieces in (
            (dict(sample="32x32x3"), ("lenet takes samples of 28x28x1", "32x32x3")),
            (dict(model="resnet18-cifar"), ("resnet18-cifar takes samples of 32x32x3",)),
            (dict(model="vgg16"), ("no model vgg16", "gpt-char")),
            (dict(model="gpt-char", sample="64", classes=256, heads=5), ("5 heads do not divide",)),
            (dict(loss="mean_squared_error"), ("no loss mean_squared_error",)),
            (dict(dropout=1), ("model.dropout = 0",)),
            (dict(optimizer="lamb"), ("no optimizer lamb",)),
            (dict(world=3), ("does not divide by 3 ranks",)),
        ):
            words = [f"--{name}={value}" for name, value in (known | changes).items()]
            done = subprocess.run([sys.executable, REPOSITORY / "tests/bench/torch_peer.py", *words], capture_output=True, text=True, stdin=subprocess.DEVNULL)
            answer = json.loads(done.stdout)
            for piece in pieces:
                self.assertIn(piece, answer["error"])

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
