"""PyTorch as the peer of `trireme bench train --peer torch=PYTHON`: the same network on the same batch, as fast as PyTorch goes.

It answers on standard output, a line of JSON each: {"version", "parameters"} once it has warmed up; then to each line
{"steps": N} on standard input {"seconds": [...], "loss", "peak_bytes"}. What it cannot do it tells as {"error"}.

It builds what the job's options say, or refuses: it never measures other work than the job's.

The peer is given its best: channels_last images, fused optimizers, gradients set to none, bf16 autocast where the job
computes in bf16, one resident batch (nothing is read or augmented in a step), and with DDP buckets as views.
"""

import argparse
import json
import os
import resource
import sys
import time

# Answers go to what was standard output at the start; what libraries print goes to standard error.
ANSWERS = os.fdopen(os.dup(1), "w")
os.dup2(2, 1)
# Before the turn's steps: threads of the contender before still spin for a while.
PAUSE = 0.03


def say(**answer):
    print(json.dumps(answer), file=ANSWERS, flush=True)


def arguments():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mode", choices=("eager", "compile", "ddp"), required=True)
    parser.add_argument("--model", required=True)
    parser.add_argument("--sample", required=True, help="shape of a sample: 32x32x3, or the positions of a text")
    parser.add_argument("--classes", type=int, required=True, help="outputs; of gpt: different tokens")
    parser.add_argument("--heads", type=int, default=0, help="of attention")
    parser.add_argument("--dropout", type=int, default=0, help="1: the job drops activations")
    parser.add_argument("--loss", required=True)
    parser.add_argument("--label-smoothing", type=float, default=0)
    parser.add_argument("--batch", type=int, required=True, help="samples of a step, of all ranks")
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("--precision", default="fp32")
    parser.add_argument("--optimizer", default="sgd")
    parser.add_argument("--lr", type=float, default=0.01)
    parser.add_argument("--momentum", type=float, default=0)
    parser.add_argument("--nesterov", type=int, default=0)
    parser.add_argument("--weight-decay", type=float, default=0)
    parser.add_argument("--clip", type=float, default=0, help="largest norm of all gradients; 0: any")
    parser.add_argument("--rank", type=int, default=0)
    parser.add_argument("--world", type=int, default=1)
    parser.add_argument("--meeting", default="", help="ddp: a file that is not there yet; who names it removes it")
    return parser.parse_args()


# What a sample of each network looks like; None: any number of positions.
SAMPLES = {"lenet": "28x28x1", "resnet18-cifar": "32x32x3", "gpt-char": None}
GPT_WIDTH = 384


def require_known(options):
    """Raises ValueError for what this program would not build as the job does."""
    if options.model not in SAMPLES:
        raise ValueError(f"no model {options.model}: there are {', '.join(SAMPLES)}")
    if options.precision not in ("fp32", "bf16"):
        raise ValueError(f"no precision {options.precision}: there are fp32 and bf16")
    if options.optimizer not in ("sgd", "adamw"):
        raise ValueError(f"no optimizer {options.optimizer}: there are sgd and adamw")
    if options.batch % options.world:
        raise ValueError(f"a batch of {options.batch} does not divide by {options.world} ranks")
    if options.loss != "softmax_cross_entropy":
        raise ValueError(f"no loss {options.loss}: there is softmax_cross_entropy (model.loss = cross-entropy)")
    if options.dropout:
        raise ValueError("no dropout here: set model.dropout = 0")
    shape = SAMPLES[options.model]
    if shape and options.sample != shape:
        raise ValueError(f"{options.model} takes samples of {shape} here, the job's are {options.sample} (model.input, or the data set's)")
    if not shape and not options.sample.isdigit():
        raise ValueError(f"{options.model} takes tokens, the job's samples are {options.sample}")
    if not shape and (options.heads < 1 or GPT_WIDTH % options.heads):
        raise ValueError(f"{options.model} has a width of {GPT_WIDTH} here, which {options.heads} heads do not divide")


def build(torch, name, samples, sample, classes, heads):
    """The network, its input and its target for so many samples."""
    nn, functional = torch.nn, torch.nn.functional

    class LeNet(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv1, self.conv2 = nn.Conv2d(1, 20, 5), nn.Conv2d(20, 50, 5)
            self.fc1, self.fc2 = nn.Linear(800, 500), nn.Linear(500, classes)

        def forward(self, x):
            x = functional.max_pool2d(functional.relu(self.conv1(x)), 2)
            x = functional.max_pool2d(functional.relu(self.conv2(x)), 2)
            return self.fc2(functional.relu(self.fc1(x.flatten(1))))

    class Block(nn.Module):
        def __init__(self, channels_in, channels, stride):
            super().__init__()
            self.conv1 = nn.Conv2d(channels_in, channels, 3, stride, 1, bias=False)
            self.bn1 = nn.BatchNorm2d(channels)
            self.conv2 = nn.Conv2d(channels, channels, 3, 1, 1, bias=False)
            self.bn2 = nn.BatchNorm2d(channels)
            self.shortcut = nn.Identity()
            if stride != 1 or channels_in != channels:
                self.shortcut = nn.Sequential(nn.Conv2d(channels_in, channels, 1, stride, bias=False), nn.BatchNorm2d(channels))

        def forward(self, x):
            y = functional.relu(self.bn1(self.conv1(x)))
            return functional.relu(self.bn2(self.conv2(y)) + self.shortcut(x))

    def resnet18_cifar():
        layers, channels = [nn.Conv2d(3, 64, 3, 1, 1, bias=False), nn.BatchNorm2d(64), nn.ReLU()], 64
        for width in (64, 128, 256, 512):
            layers += [Block(channels, width, 1 if width == 64 else 2), Block(width, width, 1)]
            channels = width
        return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(512, classes))

    class Attention(nn.Module):
        def __init__(self, width, heads):
            super().__init__()
            self.heads, self.qkv, self.out = heads, nn.Linear(width, 3 * width), nn.Linear(width, width)

        def forward(self, x):
            batch, positions, width = x.shape
            q, k, v = (part.view(batch, positions, self.heads, -1).transpose(1, 2) for part in self.qkv(x).chunk(3, -1))
            y = functional.scaled_dot_product_attention(q, k, v, is_causal=True)
            return self.out(y.transpose(1, 2).reshape(batch, positions, width))

    class Gpt(nn.Module):
        def __init__(self, symbols, positions, heads, width=GPT_WIDTH, depth=6):
            super().__init__()
            self.symbols, self.places = nn.Embedding(symbols, width), nn.Embedding(positions, width)
            self.register_buffer("order", torch.arange(positions), persistent=False)
            self.norms1 = nn.ModuleList(nn.LayerNorm(width) for _ in range(depth))
            self.norms2 = nn.ModuleList(nn.LayerNorm(width) for _ in range(depth))
            self.attention = nn.ModuleList(Attention(width, heads) for _ in range(depth))
            self.widen = nn.ModuleList(nn.Linear(width, 4 * width) for _ in range(depth))
            self.narrow = nn.ModuleList(nn.Linear(4 * width, width) for _ in range(depth))
            self.norm = nn.LayerNorm(width)

        def forward(self, tokens):
            x = self.symbols(tokens) + self.places(self.order)
            for norm1, attention, norm2, widen, narrow in zip(self.norms1, self.attention, self.norms2, self.widen, self.narrow):
                x = x + attention(norm1(x))
                x = x + narrow(functional.gelu(widen(norm2(x)), approximate="tanh"))
            return functional.linear(self.norm(x), self.symbols.weight).flatten(0, 1)

    def images(channels, size):
        x = torch.randn(samples, channels, size, size).contiguous(memory_format=torch.channels_last)
        return x, torch.randint(classes, (samples,))

    if name == "lenet":
        return LeNet().to(memory_format=torch.channels_last), *images(1, 28)
    if name == "resnet18-cifar":
        return resnet18_cifar().to(memory_format=torch.channels_last), *images(3, 32)
    if name == "gpt-char":
        positions = int(sample)
        return Gpt(classes, positions, heads), torch.randint(classes, (samples, positions)), torch.randint(classes, (samples * positions,))
    raise AssertionError(name)


def build_optimizer(torch, options, parameters):
    if options.optimizer == "sgd":
        return torch.optim.SGD(parameters, options.lr, options.momentum, weight_decay=options.weight_decay,
                               nesterov=bool(options.nesterov), fused=True)
    return torch.optim.AdamW(parameters, options.lr, weight_decay=options.weight_decay, fused=True)


def build_step(torch, options):
    """One training step as a function that returns the loss, and the number of parameters."""
    torch.manual_seed(0)
    network, x, target = build(torch, options.model, options.batch // options.world, options.sample, options.classes, options.heads)
    count = sum(p.numel() for p in network.parameters())
    if options.mode == "ddp":
        torch.distributed.init_process_group("gloo", init_method=f"file://{options.meeting}", rank=options.rank, world_size=options.world)
        network = torch.nn.parallel.DistributedDataParallel(network, gradient_as_bucket_view=True)
    optimizer = build_optimizer(torch, options, network.parameters())
    forward = torch.compile(network) if options.mode == "compile" else network
    half = options.precision == "bf16"

    def step():
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=half):
            loss = torch.nn.functional.cross_entropy(forward(x), target, label_smoothing=options.label_smoothing)
        loss.backward()
        if options.clip > 0:
            torch.nn.utils.clip_grad_norm_(network.parameters(), options.clip, foreach=True)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        return loss

    return step, count


def take_turn(step, steps):
    time.sleep(PAUSE)
    step()
    seconds = []
    for _ in range(steps):
        begin = time.perf_counter()
        loss = step()
        seconds.append(time.perf_counter() - begin)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    say(seconds=seconds, loss=float(loss.detach()), peak_bytes=peak)


def main():
    options = arguments()
    try:
        require_known(options)
    except ValueError as error:
        return say(error=str(error))
    try:
        import torch
    except ImportError as error:
        return say(error=f"{sys.executable}: {error}: name a Python that has torch (python3 -m venv V; V/bin/pip install torch)")
    torch.set_num_threads(options.threads)
    torch.set_num_interop_threads(1)
    step, parameters = build_step(torch, options)
    for _ in range(3):
        step()
    say(version=torch.__version__, parameters=parameters)
    for line in sys.stdin:
        take_turn(step, json.loads(line)["steps"])
    if options.mode == "ddp":
        torch.distributed.destroy_process_group()


main()
