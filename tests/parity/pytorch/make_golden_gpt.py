"""Writes golden_gpt.json beside this file: one training step of a small GPT in PyTorch, in float64 on the CPU.

The environment is that of make_golden.py beside this file, whose digests this one takes:

    /tmp/golden/bin/python -B tests/parity/pytorch/make_golden_gpt.py

Every parameter is 0.2 times the stream "parity/NAME" in [-1, 1), and 1 more where it is the weight of a norm.
Tokens come from the stream "parity/tokens", the tokens behind them from "parity/next".
"""

import json
import pathlib
import platform
import re

import numpy
import torch
from torch import nn
from torch.nn import functional

from make_golden import SEED, digest
from philox import RandomStream

CASE = {"context": 8, "layers": 2, "heads": 2, "width": 16, "vocabulary": 32, "batch": 3}


class Attention(nn.Module):
    def __init__(self, width, heads):
        super().__init__()
        self.heads = heads
        self.c_attn = nn.Linear(width, 3 * width)
        self.c_proj = nn.Linear(width, width)

    def forward(self, x):
        batch, positions, width = x.shape
        query, key, value = (
            part.view(batch, positions, self.heads, -1).transpose(1, 2) for part in self.c_attn(x).chunk(3, dim=-1)
        )
        y = functional.scaled_dot_product_attention(query, key, value, is_causal=True)
        return self.c_proj(y.transpose(1, 2).reshape(batch, positions, width))


class Mlp(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.c_fc = nn.Linear(width, 4 * width)
        self.c_proj = nn.Linear(4 * width, width)

    def forward(self, x):
        return self.c_proj(functional.gelu(self.c_fc(x), approximate="tanh"))


class Block(nn.Module):
    def __init__(self, width, heads):
        super().__init__()
        self.ln_1, self.attn = nn.LayerNorm(width), Attention(width, heads)
        self.ln_2, self.mlp = nn.LayerNorm(width), Mlp(width)

    def forward(self, x):
        x = x + self.attn(self.ln_1(x))
        return x + self.mlp(self.ln_2(x))


class Gpt(nn.Module):
    def __init__(self, case):
        super().__init__()
        self.wte = nn.Embedding(case["vocabulary"], case["width"])
        self.wpe = nn.Embedding(case["context"], case["width"])
        self.h = nn.ModuleList(Block(case["width"], case["heads"]) for _ in range(case["layers"]))
        self.ln_f = nn.LayerNorm(case["width"])

    def forward(self, tokens):
        x = self.wte(tokens) + self.wpe(torch.arange(tokens.shape[1]))
        for block in self.h:
            x = block(x)
        return functional.linear(self.ln_f(x), self.wte.weight)


def start_weights(network):
    with torch.no_grad():
        for name, param in network.named_parameters():
            value = 0.2 * RandomStream(SEED, "parity/" + name).centred(param.numel())
            if "ln_" in name and name.endswith("weight"):
                value += 1
            param.copy_(torch.from_numpy(value).reshape(param.shape))


def tokens_of(case, purpose):
    drawn = RandomStream(SEED, purpose).below(case["batch"] * case["context"], case["vocabulary"])
    return torch.from_numpy(drawn).reshape(case["batch"], case["context"])


def main():
    torch.use_deterministic_algorithms(True)
    network = Gpt(CASE).double()
    start_weights(network)
    logits = network(tokens_of(CASE, "parity/tokens"))
    targets = tokens_of(CASE, "parity/next")
    losses = functional.cross_entropy(logits.flatten(0, 1), targets.flatten(), reduction="none").view_as(targets)
    loss = losses.mean(dim=1).sum()
    loss.backward()
    golden = {
        "versions": {"torch": torch.__version__, "numpy": numpy.__version__, "python": platform.python_version()},
        "seed": SEED,
        **CASE,
        "loss": float(loss.detach()),
        "logits": digest("logits", logits),
        "gradients": {name: digest(name, param.grad) for name, param in network.named_parameters()},
    }
    text = re.sub(r"\[\s+(\S+),\s+(\S+)\s+\]", r"[\1, \2]", json.dumps(golden, indent=1))
    path = pathlib.Path(__file__).resolve().parent / "golden_gpt.json"
    path.write_text(text + "\n")


if __name__ == "__main__":
    main()
