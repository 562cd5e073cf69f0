"""Writes golden.json beside this file: what PyTorch computes, in float64 on the CPU, for one training step of
three networks, and the losses of fifty steps of one of them. The tests beside it hold the runtime to these
values; they need neither Python nor PyTorch.

    python3 -m venv /tmp/golden && /tmp/golden/bin/pip install torch numpy xxhash
    /tmp/golden/bin/python -B tests/parity/pytorch/make_golden.py

Weights are the runtime's initial values at the seed; parameters with one axis (biases, and weights of batch
norms) get a random offset in [-0.25, 0.25) on top, so that none hides behind a zero or a one. Samples and
classes come from the streams "parity/x" and "parity/classes". Of a tensor the file keeps its norm, its largest
magnitude and a few elements: the largest, the first, the last, and others drawn at random.

The fifty steps start from the initial values as they are, which fp32 can hold, and go round a few batches,
which are the instances 0, 1, ... of the two streams.
"""

import json
import pathlib
import platform
import re

import numpy
import torch

import models
from philox import RandomStream, he_uniform

SEED = 20
CASES = [
    {"model": "lenet", "input": [28, 28, 1], "classes": 10, "batch": 8},
    {"model": "resnet18-cifar", "input": [32, 32, 3], "classes": 10, "batch": 4},
    {"model": "resnet50", "input": [64, 64, 3], "classes": 20, "batch": 4},
]
CURVE = {"model": "lenet", "input": [28, 28, 1], "classes": 10, "batch": 16, "batches": 4, "steps": 50,
         "lr": 0.01, "momentum": 0.9}
SAMPLED = 16


def start_weights(network, seed, offsets):
    with torch.no_grad():
        for name, param in network.named_parameters():
            if param.dim() > 1:
                value = he_uniform(name, tuple(param.shape), seed).astype(numpy.float64)
            else:
                value = numpy.full(param.numel(), 0.0 if name.endswith("bias") else 1.0)
                if offsets:
                    value += 0.25 * RandomStream(seed, "parity/" + name).centred(param.numel())
            param.copy_(torch.from_numpy(value))


def batch_of(case, seed, instance=0):
    """Images as the runtime has them, [batch, height, width, channels], then put channels first."""
    shape = [case["batch"], *case["input"]]
    x = RandomStream(seed, "parity/x", instance).centred(int(numpy.prod(shape))).reshape(shape)
    classes = RandomStream(seed, "parity/classes", instance).below(case["batch"], case["classes"])
    return torch.from_numpy(x).permute(0, 3, 1, 2).contiguous(), torch.from_numpy(classes)


def digest(name, tensor):
    values = tensor.detach().reshape(-1)
    size = values.numel()
    drawn = RandomStream(SEED, "parity/elements/" + name).below(SAMPLED, size)
    indices = sorted({int(values.abs().argmax()), 0, size - 1, *map(int, drawn)})
    return {
        "size": size,
        "norm": float(values.norm()),
        "largest": float(values.abs().max()),
        "elements": [[i, float(values[i])] for i in indices],
    }


def golden_step(case):
    network = models.build(case["model"], case["classes"]).double()
    network.train()
    start_weights(network, SEED, offsets=True)
    x, classes = batch_of(case, SEED)
    x.requires_grad_(True)
    logits = network(x)
    loss = torch.nn.functional.cross_entropy(logits, classes, reduction="sum")
    loss.backward()
    buffers = {n: b for n, b in network.named_buffers() if not n.endswith("num_batches_tracked")}
    return {
        **case,
        "loss": float(loss.detach()),
        "logits": digest("logits", logits),
        "input_gradient": digest("input", x.grad.permute(0, 2, 3, 1)),
        "gradients": {n: digest(n, p.grad) for n, p in network.named_parameters()},
        "buffers": {n: digest(n, b) for n, b in buffers.items()},
    }


def golden_curve(case):
    """The mean loss of each step's batch, before its update."""
    network = models.build(case["model"], case["classes"]).double()
    start_weights(network, SEED, offsets=False)
    optimizer = torch.optim.SGD(network.parameters(), lr=case["lr"], momentum=case["momentum"])
    batches = [batch_of(case, SEED, instance) for instance in range(case["batches"])]
    losses = []
    for step in range(case["steps"]):
        x, classes = batches[step % len(batches)]
        optimizer.zero_grad()
        loss = torch.nn.functional.cross_entropy(network(x), classes)
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    return {**case, "losses": losses}


def main():
    torch.use_deterministic_algorithms(True)
    golden = {
        "versions": {"torch": torch.__version__, "numpy": numpy.__version__, "python": platform.python_version()},
        "seed": SEED,
        "steps": [golden_step(case) for case in CASES],
        "curve": golden_curve(CURVE),
    }
    # Index and value of an element on one line: half the lines, and a difference can be read.
    text = re.sub(r"\[\s+(\S+),\s+(\S+)\s+\]", r"[\1, \2]", json.dumps(golden, indent=1))
    path = pathlib.Path(__file__).resolve().parent / "golden.json"
    path.write_text(text + "\n")


if __name__ == "__main__":
    main()
