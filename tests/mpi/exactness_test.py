"""The promise of docs/exactness.md over MPI processes: the same bits on any number of ranks, whatever is stopped and resumed.

With TRIREME_TEST_ALL=1 every network runs on every rank count; without, the costly one on two of them.
"""

import json
import os
import random
import sys
import unittest

from tests.support.trireme_cli import CliTest, run

ALL = os.environ.get("TRIREME_TEST_ALL") == "1"
RANKS = (1, 2, 3, 4, 5, 8)

# 200 samples in batches of 16: an epoch has 13 steps, and the last of them has 8 samples, one a leaf. 25 steps cross it.
JOB = """\
[job]
output = {output}
steps = 25
deterministic = canonical
[data]
path = {data}
batch = 16
[model]
name = {model}
[optimizer]
lr = 0.02
momentum = 0.9
schedule = cosine
warmup = 3
[telemetry]
log_every = 1
progress = off
[deadline]
step = 120
"""

RESIDUAL_WITH_DROPOUT = """\
name = "small-residual"

[[layer]]
type = "conv2d"
name = "stem"
out_channels = 6
kernel = 3
padding = "same"
bias = false

[[layer]]
type = "batch_norm"
name = "stem_bn"

[[layer]]
type = "relu"
name = "stem_relu"

[[layer]]
type = "conv2d"
name = "branch"
out_channels = 6
kernel = 3
padding = "same"

[[layer]]
type = "add"
inputs = ["branch", "stem_relu"]

[[layer]]
type = "max_pool2d"
kernel = 4

[[layer]]
type = "flatten"

[[layer]]
type = "dropout"
name = "drop"
p = 0.3

[[layer]]
type = "linear"
name = "fc"
out_features = "classes"
"""


class ExactnessTest(CliTest):
    def made_up(self, kind):
        data = self.folder / kind
        if not data.exists():
            done = run("data", "import", "--source", f"synthetic:{kind}:200", "--out", data, "--shards", 3)
            self.assertEqual(done.code, 0, done)
        return data

    def job_of(self, model, kind):
        path = self.folder / f"{model}.cfg"
        path.write_text(JOB.format(output=self.folder / "run", data=self.made_up(kind), model=model))
        return path

    def train(self, job, ranks, name, *more):
        done = run("train", job, "--job.output", self.folder / name, *more, ranks=ranks, timeout=600)
        self.assertEqual(done.code, 0, done)
        summary = json.loads((self.folder / name / "summary.json").read_text())
        return summary["params_sha256"], summary["state_sha256"]

    def same_bits(self, model, kind, rank_counts, *more):
        job = self.job_of(model, kind)
        hashes = {ranks: self.train(job, ranks, f"{model}-{ranks}", *more) for ranks in rank_counts}
        first = hashes[rank_counts[0]]
        for ranks, mine in hashes.items():
            self.assertEqual(mine, first, f"{model} on {ranks} ranks")
        print(f"{model} on {rank_counts} ranks: params_sha256 {first[0]}, state_sha256 {first[1]}", file=sys.stderr)
        return job, first

    def same_bits_of_a_chain(self, job, whole, *more):
        """Four runs on different rank counts, stopped at random steps, make the run that nobody stopped."""
        dice = random.Random()
        stops = sorted(dice.sample(range(1, 25), 3))
        ranks = dice.sample(RANKS, 4)
        for count, stop in zip(ranks, [*stops, 25]):
            last = self.train(job, count, f"chain-{job.stem}", *more, "--job.stop_at", stop)
        self.assertEqual(last, whole, f"stopped at {stops}, on {ranks} ranks")
        print(f"{job.stem} stopped at {stops}, on {ranks} ranks: the same", file=sys.stderr)

    def test_lenet_has_the_same_bits_on_any_rank_count_and_through_stops(self):
        job, whole = self.same_bits("lenet", "mnist", RANKS)
        self.same_bits_of_a_chain(job, whole)

    def test_resnet_has_the_same_bits_on_any_rank_count_and_through_stops(self):
        if ALL:
            job, whole = self.same_bits("resnet18-cifar", "cifar10", RANKS)
            self.same_bits_of_a_chain(job, whole)
        else:
            # 36 samples: two full steps and one of 4 samples, which leaves half of the leaves empty.
            self.same_bits("resnet18-cifar", "cifar10", (1, 3), "--data.path", self.few_images(), "--job.steps", 4)

    def few_images(self):
        data = self.folder / "few"
        done = run("data", "import", "--source", "synthetic:cifar10:36", "--out", data)
        self.assertEqual(done.code, 0, done)
        return data

    def test_another_number_of_leaves_gives_other_bits(self):
        """What makes the comparisons of hashes say something."""
        job = self.job_of("lenet", "mnist")
        eight = self.train(job, 1, "eight", "--job.steps", 3)
        four = self.train(job, 2, "four", "--job.steps", 3, "--parallel.virtual_shards", 4)
        self.assertNotEqual(eight[0], four[0])

    def test_model_file_with_residual_branch_and_dropout(self):
        net = self.folder / "net.toml"
        net.write_text(RESIDUAL_WITH_DROPOUT)
        job = self.folder / "net.cfg"
        job.write_text(JOB.format(output=self.folder / "run", data=self.made_up("mnist"), model="lenet").replace("name = lenet", f"file = {net}"))
        one = self.train(job, 1, "one")
        self.assertEqual(self.train(job, 3, "three"), one)
        self.same_bits_of_a_chain(job, one)
        told, files = {}, {}
        for ranks in (1, 3):
            done = run("eval", job, "--checkpoint", self.folder / "one", "--split", "test", "--json", ranks=ranks)
            self.assertEqual(done.code, 0, done)
            told[ranks] = done.out
            out = self.folder / f"predictions-{ranks}.csv"
            done = run("predict", job, "--checkpoint", self.folder / "three", "--input", self.made_up("mnist"), "--out", out, ranks=ranks)
            self.assertEqual(done.code, 0, done)
            files[ranks] = out.read_bytes()
        self.assertEqual(told[1], told[3], "loss and counts to the last digit")
        self.assertEqual(files[1], files[3])
        # Dropout is there: without it the same run ends elsewhere.
        net.write_text(RESIDUAL_WITH_DROPOUT.replace("p = 0.3", "p = 0.0"))
        self.assertNotEqual(self.train(job, 1, "without"), one)


if __name__ == "__main__":
    unittest.main()
