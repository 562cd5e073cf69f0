"""A text from file to generated letters, as a user goes about it: import, train on two ranks, evaluate, generate."""

import gzip
import json
import random
import unittest

from tests.support.trireme_cli import REPOSITORY, CliTest, run

TOKENIZER = REPOSITORY / "tests/support/tokenizer/tiny.json"

GPT_JOB = """\
[job]
name = test
output = {output}
steps = 30
threads = 1
[data]
path = {data}
batch = 16
[model]
name = gpt-char
context = 32
layers = 2
heads = 2
width = 32
[optimizer]
name = adamw
lr = 0.003
clip = 1
[optimizer.undecayed]
match = *.bias,*ln_*
weight_decay = 0
[telemetry]
log_every = 1
progress = off
"""


def write_text(path):
    dice = random.Random(3)
    words = ["the oars ", "a wave ", "rises. ", "falls, ", "beat the sea ", "in time.\n"]
    text = "".join(dice.choice(words) for _ in range(9000))
    with gzip.open(path, "wt") as file:
        file.write(text)
    return text


class TextTest(CliTest):
    def text_set(self, *more):
        write_text(self.folder / "text.gz")
        out = self.folder / "set"
        done = run("data", "import", "--source", f"text:{self.folder / 'text.gz'}", "--out", out, "--split", "train=0.8,val=0.2", *more)
        self.assertEqual(done.code, 0, done)
        return out

    def train(self, ranks, output, *more, data):
        done = run("train", self.job(GPT_JOB, data), "--job.output", self.folder / output, *more, ranks=ranks)
        self.assertEqual(done.code, 0, done)
        return json.loads((self.folder / output / "summary.json").read_text())

    def generate(self, *more, data):
        return run("generate", self.job(GPT_JOB, data), "--checkpoint", self.folder / "run", "--prompt", "the ", *more)

    def test_text_is_imported_trained_evaluated_and_generated(self):
        data = self.text_set()
        summary = self.train(2, "run", "--job.steps", 60, data=data)
        self.assertLess(summary["train_loss"], 2.3, "5.5 nats at first")
        done = run("eval", self.job(GPT_JOB, data), "--checkpoint", self.folder / "run", "--split", "val", "--json", ranks=2)
        self.assertEqual(done.code, 0, done)
        result = json.loads(done.out)
        self.assertIsNone(result["confusion"])
        self.assertLess(result["loss"], 2.3)
        self.assertGreater(result["samples"], 300)
        self.assertGreater(result["accuracy"], 0.3)
        self.assertGreater(result["top5"], result["accuracy"])
        first = self.generate("--tokens", 60, "--temperature", 0.5, "--seed", 4, data=data)
        self.assertEqual(first.code, 0, first)
        self.assertTrue(first.out.startswith("the "), first)
        self.assertEqual(len(first.out), len("the ") + 60 + 1)
        again = self.generate("--tokens", 60, "--temperature", 0.5, "--seed", 4, data=data)
        other = self.generate("--tokens", 60, "--temperature", 0.5, "--seed", 5, data=data)
        self.assertEqual(first.out, again.out)
        self.assertNotEqual(first.out, other.out)
        sure = [self.generate("--tokens", 20, "--temperature", 0, "--seed", seed, data=data).out for seed in (1, 2)]
        self.assertEqual(sure[0], sure[1], "the most probable token does not depend on the seed")

    def test_text_in_canonical_mode_gives_the_same_bits(self):
        data = self.text_set("--tokenizer", TOKENIZER)
        flags = ("--job.deterministic", "canonical", "--job.steps", 8, "--data.batch", 11, "--model.dropout", 0.1)
        whole = self.train(1, "one", *flags, data=data)
        for ranks in (2, 3):
            many = self.train(ranks, f"on{ranks}", *flags, data=data)
            self.assertEqual(many["state_sha256"], whole["state_sha256"], f"{ranks} ranks")
        self.train(3, "parts", *flags, "--job.stop_at", 3, data=data)
        rest = self.train(2, "parts", *flags, data=data)
        self.assertEqual(rest["state_sha256"], whole["state_sha256"], "stopped on 3 ranks, resumed on 2")

    def test_text_tokenizer_of_the_set_is_used(self):
        data = self.text_set("--tokenizer", TOKENIZER)
        described = json.loads(run("data", "inspect", data, "--json").out)
        self.assertEqual((described["classes"], described["tokenizer"], described["schema"]), (400, "bpe", 3))
        self.assertEqual(run("data", "verify", data).code, 0)
        self.train(1, "run", "--job.steps", 3, data=data)
        done = self.generate("--tokens", 5, "--temperature", 0, data=data)
        self.assertEqual(done.code, 0, done)
        self.assertTrue(done.out.startswith("the "))

    def test_text_wrong_use_is_told(self):
        data = self.text_set()
        job = self.job(GPT_JOB, data)
        self.expect(run("generate", job, "--prompt", "a"), 2, "--checkpoint: is missing")
        self.expect(run("generate", job, "--checkpoint", "x", "--prompt", "a", "--temperature", -1, "--tokens", 0), 2,
                    "--temperature = -1: must be a number from 0", "--tokens = 0: must be a whole number from 1")
        self.expect(run("generate", job, "--checkpoint", self.folder / "none", "--prompt", "a"), 3, "none")
        self.expect(run("train", job, "--model.context", 20000), 2, "model.context = 20000", "take a context of")
        self.expect(run("train", job, "--model.name", "mlp", "--model.context", "", "--model.layers", "", "--model.heads", "", "--model.width", ""),
                    2, "are tokens, which the presets gpt-char and gpt2-124m take")
        self.expect(run("train", self.job(GPT_JOB, self.data())), 2, "gpt-char takes tokens")
        self.expect(run("data", "import", "--source", "text:/nowhere", "--out", self.folder / "o"), 3, "cannot be opened")


if __name__ == "__main__":
    unittest.main()
