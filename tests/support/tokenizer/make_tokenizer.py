"""Writes tiny.json beside this file, a byte-level BPE tokenizer of 400 tokens trained on data/text, and encodings.json: what
the Hugging Face tokenizers library makes of a few texts with it. The tests need the files only.

    python3 -m venv /tmp/tokenizers && /tmp/tokenizers/bin/pip install tokenizers
    /tmp/tokenizers/bin/python -B tests/support/tokenizer/make_tokenizer.py
"""

import gzip
import json
import pathlib

import tokenizers
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers

HERE = pathlib.Path(__file__).resolve().parent
TEXTS = [
    "",
    " ",
    "First Citizen:\nBefore we proceed any further, hear me speak.\n",
    "They're we'll I'd 'tis don't 'S o'clock 've",
    "   three spaces, \t\ttabs\n\n\nand lines   ",
    "trailing newline\n",
    "a  b   c\n d\n\n e",
    "numbers 12345 and 3.14 mixed4you ½ ٣٤",
    "Zürich, naïve café; Ελληνικά кириллица 漢字 🙂🙂!",
    "non\u00a0breaking\u2003space\u3000here",
    "<|endoftext|>between<|endoftext|><|end|>|>",
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
    "the the the thethethe the-the_the",
    "\u0301combining e\u0301 mark\u200d",
]


def main():
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(vocab_size=398, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False)
    text = gzip.open(HERE.parents[2] / "data/text/tinyshakespeare.txt.gz", "rt", encoding="utf-8").read()
    tokenizer.train_from_iterator([text[:200_000]], trainer)
    tokenizer.add_special_tokens([AddedToken("<|endoftext|>", special=True), AddedToken("<|end|>", special=True)])
    tokenizer.save(str(HERE / "tiny.json"), pretty=False)
    rows = [{"text": text, "tokens": tokenizer.encode(text).ids} for text in TEXTS]
    golden = {"tokenizers": tokenizers.__version__, "vocabulary": tokenizer.get_vocab_size(), "encodings": rows}
    (HERE / "encodings.json").write_text(json.dumps(golden, indent=1) + "\n")


if __name__ == "__main__":
    main()
