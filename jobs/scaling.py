#!/usr/bin/env python3
"""Weak and strong scaling of a job on this machine or allocation, with where the time went.

    python3 jobs/scaling.py JOB --batch 64 [--ranks 1,2] [--threads 1] [--rounds 5] [--steps 20] [--json]
        [--mpirun "mpirun --bind-to none"] [--section.key value ...]

Strong: the batch stays, so n ranks have an nth of it each. Weak: it grows with the ranks. Each rank has --threads kernel
threads, whatever the ranks. A round runs `trireme bench train` once for every rank count and
batch, in an order that turns from round to round, since clocks and neighbours drift; efficiency is formed within a round:
strong T(first) first / (T(n) n), weak T(first) / T(n) at n / first times the batch. Told are medians, p10 and p90.

The split says why an efficiency is below 1: `compute` is a rank's time in kernels over what it would be if they were as fast
as on the first rank count (above 1: ranks share memory bandwidth, caches or the clock, or their kernels have fewer samples);
the other columns are shares of the step. TRIREME names the binary (build/release/bin/trireme of the repository).
"""

import argparse
import json
import os
import pathlib
import shlex
import statistics
import subprocess
import sys

REPOSITORY = pathlib.Path(__file__).resolve().parent.parent
BINARY = os.environ.get("TRIREME", str(REPOSITORY / "build/release/bin/trireme"))
WAITS = ("exposed_comm", "straggler_wait", "data_wait")


def quantiles(values):
    """Median, p10 and p90; of few values the nearest ones."""
    ordered = sorted(values)
    at = lambda q: ordered[round(q * (len(ordered) - 1))]
    return {"median": statistics.median(ordered), "p10": at(0.1), "p90": at(0.9)}


def contenders(ranks, batch):
    """(ranks, batch) of all measurements: each count with the job's batch, and with its share of a growing one."""
    first = ranks[0]
    pairs = [(n, batch) for n in ranks] + [(n, batch * n // first) for n in ranks[1:]]
    return list(dict.fromkeys(pairs))


def measure(options, ranks, batch):
    """One run of the bench: what it prints as JSON."""
    command = [*shlex.split(options.mpirun), "-n", str(ranks), BINARY, "bench", "train", options.job, "--json", "--steps",
               str(options.steps), "--job.threads", str(options.threads), *options.keys, "--data.batch", str(batch)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"{shlex.join(command)} ended with {done.returncode}:\n{done.stderr}{done.stdout}")
    return json.loads(done.stdout)


def mean_split(run, column):
    """A column's seconds a step, mean over ranks."""
    return statistics.mean(rank[column] for rank in run["ranks"])


def compared(base, run, weak):
    """Efficiency of `run` and where the rest went, against `base` of the same round."""
    grown = run["world"] / base["world"]
    step, base_step = run["contenders"][0]["step_ms"]["median"], base["contenders"][0]["step_ms"]["median"]
    ideal_compute = mean_split(base, "compute") / (1 if weak else grown)
    wall = statistics.mean(rank["wall"] for rank in run["ranks"])
    row = {"efficiency": base_step / step / (1 if weak else grown), "compute": mean_split(run, "compute") / ideal_compute}
    return row | {column: mean_split(run, column) / wall for column in WAITS}


def summary(rounds, ranks, batch):
    """Rows of the table from all rounds' runs by (ranks, batch)."""
    first = ranks[0]
    rows = []
    for kind, weak in (("strong", False), ("weak", True)):
        for n in ranks[1:]:
            key = (n, batch * n // first if weak else batch)
            parts = [compared(runs[first, batch], runs[key], weak) for runs in rounds]
            steps = [runs[key]["contenders"][0]["step_ms"]["median"] for runs in rounds]
            row = {"scaling": kind, "ranks": n, "batch": key[1], "step_ms": quantiles(steps)}
            rows.append(row | {name: quantiles([part[name] for part in parts]) for name in parts[0]})
    return rows


def text(job, base_ms, ranks, batch, rows):
    lines = [f"{job}: {ranks[0]} rank(s), batch {batch}: {base_ms['median']:.2f} ms ({base_ms['p10']:.2f} to {base_ms['p90']:.2f})",
             f"{'scaling':8} {'ranks':>5} {'batch':>6} {'step ms':>9} {'efficiency':>22} {'compute':>9} {'exposed comm':>13} {'straggler':>10} {'data':>6}"]
    for row in rows:
        e = row["efficiency"]
        lines.append(f"{row['scaling']:8} {row['ranks']:5} {row['batch']:6} {row['step_ms']['median']:9.2f} "
                     f"{e['median']:8.1%} ({e['p10']:.1%} to {e['p90']:.1%})".ljust(53) +
                     f" {row['compute']['median']:8.2f}x {row['exposed_comm']['median']:13.1%}"
                     f" {row['straggler_wait']['median']:10.1%} {row['data_wait']['median']:6.1%}")
    return "\n".join(lines)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("job")
    parser.add_argument("--ranks", default="1,2", help="rank counts, the first is what others are compared with")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--threads", type=int, default=1, help="kernel threads of a rank")
    parser.add_argument("--batch", type=int, required=True, help="global samples a step of the first rank count")
    parser.add_argument("--mpirun", default="mpirun --bind-to none")
    parser.add_argument("--json", action="store_true")
    options, options.keys = parser.parse_known_args()
    ranks = [int(word) for word in options.ranks.split(",")]
    if len(ranks) < 2 or any(n <= 0 or options.batch * n % ranks[0] for n in ranks):
        parser.error("--ranks: two counts at least, and --batch times each must be a multiple of the first")
    pairs = contenders(ranks, options.batch)
    rounds = []
    for turn in range(options.rounds):
        order = pairs[turn % len(pairs):] + pairs[:turn % len(pairs)]
        rounds.append({pair: measure(options, *pair) for pair in order})
    rows = summary(rounds, ranks, options.batch)
    base = quantiles([runs[ranks[0], options.batch]["contenders"][0]["step_ms"]["median"] for runs in rounds])
    if options.json:
        print(json.dumps({"schema": 1, "job": options.job, "ranks": ranks[0], "batch": options.batch, "step_ms": base,
                          "rounds": options.rounds, "scaling": rows}, indent=2))
    else:
        print(text(options.job, base, ranks, options.batch, rows))


if __name__ == "__main__":
    main()
