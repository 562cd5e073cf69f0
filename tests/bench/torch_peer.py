"""PyTorch as the peer of `trireme bench train --peer torch=PYTHON`: the same network on the same batch, as fast as PyTorch goes.

It answers on standard output, a line of JSON each: {"version", "parameters"} once it has warmed up; then to each line
{"steps": N} on standard input {"seconds": [...], "loss", "peak_bytes"}. What it cannot do it tells as {"error"}.

It builds what the job's options say, or refuses: it never measures other work than the job's.

The peer is given its best: channels_last images, fused optimizers, gradients set to none, autocast where the job computes
in bf16 or fp16, one resident batch (nothing is read or augmented in a step), on a GPU cuDNN's search for the fastest
convolutions, and with DDP buckets as views.
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
    parser.add_argument("--mode", choices=("eager", "compile", "graph", "ddp"), required=True)
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
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
SAMPLES = {"lenet": "28x28x1", "resnet18-cifar": "32x32x3", "resnet50": "224x224x3", "gpt-char": None, "gpt2-124m": None}
# Width and blocks.
GPT = {"gpt-char": (384, 6), "gpt2-124m": (768, 12)}
PRECISIONS = ("fp32", "tf32", "bf16", "fp16")


def require_known(options):
    """Raises ValueError for what this program would not build as the job does."""
    if options.model not in SAMPLES:
        raise ValueError(f"no model {options.model}: there are {', '.join(SAMPLES)}")
    if options.precision not in PRECISIONS:
        raise ValueError(f"no precision {options.precision}: there are {', '.join(PRECISIONS)}")
    if options.mode == "graph" and (options.device != "cuda" or options.precision == "fp16"):
        raise ValueError("a captured step is one on a GPU, and one whose loss is not scaled")
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
    if not shape and (options.heads < 1 or GPT[options.model][0] % options.heads):
        raise ValueError(f"{options.model} has a width of {GPT[options.model][0]} here, which {options.heads} heads do not divide")


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

    class Bottleneck(nn.Module):
        def __init__(self, channels_in, channels, stride):
            super().__init__()
            self.conv1, self.bn1 = nn.Conv2d(channels_in, channels, 1, bias=False), nn.BatchNorm2d(channels)
            self.conv2, self.bn2 = nn.Conv2d(channels, channels, 3, stride, 1, bias=False), nn.BatchNorm2d(channels)
            self.conv3, self.bn3 = nn.Conv2d(channels, 4 * channels, 1, bias=False), nn.BatchNorm2d(4 * channels)
            self.shortcut = nn.Identity()
            if stride != 1 or channels_in != 4 * channels:
                self.shortcut = nn.Sequential(nn.Conv2d(channels_in, 4 * channels, 1, stride, bias=False), nn.BatchNorm2d(4 * channels))

        def forward(self, x):
            y = functional.relu(self.bn1(self.conv1(x)))
            y = functional.relu(self.bn2(self.conv2(y)))
            return functional.relu(self.bn3(self.conv3(y)) + self.shortcut(x))

    def resnet50():
        layers, channels = [nn.Conv2d(3, 64, 7, 2, 3, bias=False), nn.BatchNorm2d(64), nn.ReLU(), nn.MaxPool2d(3, 2, 1)], 64
        for width, blocks in ((64, 3), (128, 4), (256, 6), (512, 3)):
            for block in range(blocks):
                layers.append(Bottleneck(channels, width, 2 if block == 0 and width > 64 else 1))
                channels = 4 * width
        return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(2048, classes))

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
        def __init__(self, symbols, positions, heads, width, depth):
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
    if name == "resnet50":
        return resnet50().to(memory_format=torch.channels_last), *images(3, 224)
    if name in GPT:
        positions = int(sample)
        return Gpt(classes, positions, heads, *GPT[name]), torch.randint(classes, (samples, positions)), torch.randint(classes, (samples * positions,))
    raise AssertionError(name)


def build_optimizer(torch, options, parameters):
    if options.optimizer == "sgd":
        return torch.optim.SGD(parameters, options.lr, options.momentum, weight_decay=options.weight_decay,
                               nesterov=bool(options.nesterov), fused=True)
    return torch.optim.AdamW(parameters, options.lr, weight_decay=options.weight_decay, fused=True)


def captured(torch, step):
    """The step as one graph of the GPU's, which a call replays."""
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(3):
            step()
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        loss = step()

    def replay():
        graph.replay()
        return loss

    return replay


def build_step(torch, options):
    """One training step as a function that returns the loss, and the number of parameters."""
    torch.manual_seed(0)
    network, x, target = build(torch, options.model, options.batch // options.world, options.sample, options.classes, options.heads)
    network, x, target = network.to(options.device), x.to(options.device), target.to(options.device)
    count = sum(p.numel() for p in network.parameters())
    if options.mode == "ddp":
        backend = "nccl" if options.device == "cuda" else "gloo"
        torch.distributed.init_process_group(backend, init_method=f"file://{options.meeting}", rank=options.rank, world_size=options.world)
        network = torch.nn.parallel.DistributedDataParallel(network, gradient_as_bucket_view=True)
    optimizer = build_optimizer(torch, options, network.parameters())
    forward = torch.compile(network) if options.mode == "compile" else network
    half = {"bf16": torch.bfloat16, "fp16": torch.float16}.get(options.precision)
    scaler = torch.amp.GradScaler(options.device, enabled=options.precision == "fp16")

    def step():
        with torch.autocast(options.device, dtype=half or torch.bfloat16, enabled=half is not None):
            loss = torch.nn.functional.cross_entropy(forward(x), target, label_smoothing=options.label_smoothing)
        scaler.scale(loss).backward()
        if options.clip > 0:
            scaler.unscale_(optimizer)
            torch.nn.utils.clip_grad_norm_(network.parameters(), options.clip, foreach=True)
        scaler.step(optimizer)
        scaler.update()
        optimizer.zero_grad(set_to_none=True)
        return loss

    return (captured(torch, step) if options.mode == "graph" else step), count


def times_on_cores(step, steps):
    seconds = []
    for _ in range(steps):
        begin = time.perf_counter()
        loss = step()
        seconds.append(time.perf_counter() - begin)
    return seconds, loss, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def times_on_gpu(torch, step, steps):
    """The GPU's own times between the ends of steps: the host does not wait in between."""
    marks = [torch.cuda.Event(enable_timing=True) for _ in range(steps + 1)]
    torch.cuda.synchronize()
    marks[0].record()
    for mark in marks[1:]:
        loss = step()
        mark.record()
    torch.cuda.synchronize()
    seconds = [begin.elapsed_time(end) / 1e3 for begin, end in zip(marks, marks[1:])]
    return seconds, loss, torch.cuda.max_memory_allocated()


def take_turn(torch, options, step, steps):
    time.sleep(PAUSE)
    step()
    seconds, loss, peak = times_on_gpu(torch, step, steps) if options.device == "cuda" else times_on_cores(step, steps)
    say(seconds=seconds, loss=float(loss.detach()), peak_bytes=peak)


def prepare_gpu(torch, options):
    torch.cuda.set_device(options.rank % torch.cuda.device_count())
    torch.backends.cudnn.benchmark = True
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = options.precision != "fp32"


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
    if options.device == "cuda":
        if not torch.cuda.is_available():
            return say(error=f"{sys.executable}: PyTorch finds no GPU")
        prepare_gpu(torch, options)
    step, parameters = build_step(torch, options)
    for _ in range(3):
        step()
    say(version=torch.__version__, parameters=parameters)
    for line in sys.stdin:
        take_turn(torch, options, step, json.loads(line)["steps"])
    if options.mode == "ddp":
        torch.distributed.destroy_process_group()


main()
