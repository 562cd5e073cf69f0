"""Runs the trireme binary as a user does, alone or under mpirun, for tests of the command line.

The binary's path comes from the environment variable TRIREME_BINARY, which ctest sets.
"""

import gzip
import os
import pathlib
import random
import shutil
import struct
import subprocess
import tempfile
import time
import unittest

BINARY = os.environ.get("TRIREME_BINARY", "build/release/bin/trireme")
REPOSITORY = pathlib.Path(__file__).resolve().parents[2]


class Outcome:
    """What a finished command left: exit code, both outputs, seconds."""

    def __init__(self, code, out, err, seconds):
        self.code, self.out, self.err, self.seconds = code, out, err, seconds

    def __str__(self):
        return f"exit code {self.code} after {self.seconds:.1f} s\n--- out\n{self.out}\n--- err\n{self.err}"


def mpi_scratch():
    """A folder for what Open MPI keeps of one job: its session files and shared memory, which a killed job leaves behind."""
    return tempfile.TemporaryDirectory(prefix="trireme-mpi-", dir="/dev/shm" if os.path.isdir("/dev/shm") else None, ignore_cleanup_errors=True)


def mpi_command(ranks):
    return ["mpirun", "--oversubscribe", "--bind-to", "none", "-n", str(ranks)]


def mpi_variables(scratch, environment=None):
    """The environment of a job whose ranks may be more than the cores, and whose user may be root."""
    return dict(
        os.environ,
        OMPI_ALLOW_RUN_AS_ROOT="1",
        OMPI_ALLOW_RUN_AS_ROOT_CONFIRM="1",
        OMPI_MCA_orte_tmpdir_base=scratch,
        OMPI_MCA_btl_vader_backing_directory=scratch,
        OMP_WAIT_POLICY="passive",
        **(environment or {}),
    )


def flip_bit(path, offset):
    """Damages one byte of a file."""
    with open(path, "r+b") as file:
        file.seek(offset)
        byte = file.read(1)[0]
        file.seek(offset)
        file.write(bytes([byte ^ 4]))


def run(*arguments, ranks=None, environment=None, timeout=120, prefix=()):
    """trireme ARGUMENTS, under mpirun when `ranks` is given. A command that outlives `timeout` fails the test."""
    command = [*([] if ranks is None else mpi_command(ranks)), *prefix, BINARY, *map(str, arguments)]
    begin = time.monotonic()
    with mpi_scratch() as scratch:
        done = subprocess.run(command, capture_output=True, text=True, timeout=timeout, env=mpi_variables(scratch, environment), cwd=REPOSITORY)
    return Outcome(done.returncode, done.stdout, done.stderr, time.monotonic() - begin)


def write_idx(folder, train=600, test=100, size=28, bad_label_at=None):
    """MNIST-shaped files of made-up, learnable images: a bright bar whose place tells the class."""
    folder = pathlib.Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    dice = random.Random(5)
    for prefix, count in (("train", train), ("t10k", test)):
        if count == 0:
            continue
        labels = bytes(dice.randrange(10) for _ in range(count))
        images = bytearray()
        for label in labels:
            image = bytearray(dice.randrange(60) for _ in range(size * size))
            for row in range(2 * label + 4, 2 * label + 6):
                image[row * size : row * size + size] = bytes(200 for _ in range(size))
            images += image
        if bad_label_at is not None and prefix == "train":
            labels = labels[:bad_label_at] + bytes([77]) + labels[bad_label_at + 1 :]
        header = struct.pack(">HBBIII", 0, 8, 3, count, size, size)
        with gzip.open(folder / f"{prefix}-images-idx3-ubyte.gz", "wb", 1) as file:
            file.write(header + bytes(images))
        with gzip.open(folder / f"{prefix}-labels-idx1-ubyte.gz", "wb", 1) as file:
            file.write(struct.pack(">HBBI", 0, 8, 1, count) + labels)
    return folder


JOB = """\
[job]
name = test
output = {output}
steps = 20
threads = 1
[data]
path = {data}
batch = 30
[model]
name = mlp
hidden = 32
[optimizer]
lr = 0.05
[telemetry]
log_every = 1
progress = off
"""


class CliTest(unittest.TestCase):
    """A test with a folder of its own; `data()` is made once for all tests of a process."""

    _shared = None

    @classmethod
    def tearDownClass(cls):
        if CliTest._shared is not None:
            CliTest._shared.cleanup()
            CliTest._shared = None

    def setUp(self):
        self._folder = tempfile.TemporaryDirectory(prefix="trireme-cli-")
        self.addCleanup(self._folder.cleanup)
        self.folder = pathlib.Path(self._folder.name)

    def data(self):
        if CliTest._shared is None:
            CliTest._shared = tempfile.TemporaryDirectory(prefix="trireme-cli-data-")
            root = pathlib.Path(CliTest._shared.name)
            write_idx(root / "idx")
            done = run("data", "import", "--source", f"idx:{root / 'idx'}", "--out", root / "set", "--shards", 3)
            self.assertEqual(done.code, 0, done)
        return pathlib.Path(CliTest._shared.name) / "set"

    def copy_of_data(self):
        shutil.copytree(self.data(), self.folder / "copy")
        return self.folder / "copy"

    def job(self, text=JOB, data=None):
        path = self.folder / "test.cfg"
        path.write_text(text.format(output=self.folder / "run", data=data or self.data()))
        return path

    def expect(self, outcome, code, *pieces):
        """The exit code, and every piece in what was told on standard error."""
        self.assertEqual(outcome.code, code, outcome)
        for piece in pieces:
            self.assertIn(piece, outcome.err, outcome)
        return outcome
