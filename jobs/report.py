#!/usr/bin/env python3
"""One HTML file about a run: loss, rate, where the time went, memory, every rank, and the job that gave it.

    python3 jobs/report.py RUN_FOLDER [-o report.html]

The file needs no network and no other file: plots stand in it as SVG, drawn by matplotlib (Debian: python3-matplotlib).
A run that has not ended yet has no summary; the report then shows what its records tell so far.
"""

import argparse
import html
import io
import json
import pathlib
import sys

COLUMNS = ("compute", "exposed_comm", "straggler_wait", "data_wait", "checkpoint")
# Told apart by hue and by lightness, so that prints in grey and colour-blind eyes can follow; what waits is warm.
COLOURS = {
    "compute": "#3b6ea5",
    "exposed_comm": "#8fc1e3",
    "straggler_wait": "#c1440e",
    "data_wait": "#f2a65a",
    "checkpoint": "#6b6b6b",
    "unaccounted": "#d9d9d9",
}
NAMES = {
    "compute": "compute",
    "exposed_comm": "exposed communication",
    "straggler_wait": "straggler wait",
    "data_wait": "data wait",
    "checkpoint": "checkpoint",
    "unaccounted": "unaccounted",
}

PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>
body {{ font: 15px/1.45 system-ui, sans-serif; color: #1d2430; background: #fff; margin: 2rem auto; max-width: 72rem; padding: 0 1.5rem; }}
h1 {{ font-size: 1.6rem; margin: 0; }}
h2 {{ font-size: 1.1rem; margin: 2rem 0 0.6rem; border-bottom: 1px solid #d8dde5; padding-bottom: 0.25rem; }}
.about {{ color: #5a6472; margin: 0.2rem 0 1.2rem; }}
.facts {{ display: flex; flex-wrap: wrap; gap: 0.7rem; }}
.fact {{ border: 1px solid #d8dde5; border-radius: 6px; padding: 0.5rem 0.9rem; min-width: 7.5rem; }}
.fact b {{ display: block; font-size: 1.2rem; font-variant-numeric: tabular-nums; }}
.fact span {{ color: #5a6472; font-size: 0.85rem; }}
.plots {{ display: grid; grid-template-columns: repeat(auto-fit, minmax(26rem, 1fr)); gap: 1rem; }}
.plots svg, .wide svg {{ width: 100%; height: auto; }}
table {{ border-collapse: collapse; font-variant-numeric: tabular-nums; }}
th, td {{ text-align: right; padding: 0.25rem 0.8rem; border-bottom: 1px solid #e6eaf0; }}
th {{ color: #5a6472; font-weight: 600; }}
th:first-child, td:first-child, .left {{ text-align: left; }}
.note {{ background: #fdf1e3; border-left: 4px solid #c1440e; padding: 0.5rem 0.9rem; }}
pre {{ background: #f5f7fa; padding: 0.9rem; overflow-x: auto; font-size: 0.85rem; }}
</style>
</head>
<body>
<h1>{heading}</h1>
<p class="about">{about}</p>
<div class="facts">{facts}</div>
{sections}
</body>
</html>
"""


def load_matplotlib():
    try:
        import matplotlib
    except ImportError:
        sys.exit(f"report.py: {sys.executable} has no matplotlib: apt-get install python3-matplotlib (and /usr/bin/python3), or pip install matplotlib")
    matplotlib.use("svg")
    import matplotlib.pyplot as plt

    plt.rcParams.update(
        {
            "svg.fonttype": "none",  # letters stay letters: smaller, and the browser's own
            "svg.hashsalt": "trireme",  # the same run gives the same file
            "font.family": "sans-serif",
            "font.size": 10,
            "axes.spines.top": False,
            "axes.spines.right": False,
            "axes.edgecolor": "#8a93a0",
            "axes.labelcolor": "#5a6472",
            "axes.grid": True,
            "axes.axisbelow": True,
            "grid.color": "#e6eaf0",
            "xtick.color": "#5a6472",
            "ytick.color": "#5a6472",
            "legend.frameon": False,
        }
    )
    return plt


def read_run(folder):
    """Summary (or {}), training records and evaluation records, each by step; what a resume wrote again counts."""
    summary_file, records_file = folder / "summary.json", folder / "metrics.jsonl"
    if not records_file.exists() and not summary_file.exists():
        sys.exit(f"report.py: {folder}: is no run folder: neither summary.json nor metrics.jsonl is there")
    summary = json.loads(summary_file.read_text()) if summary_file.exists() else {}
    training, evaluations = {}, {}
    if records_file.exists():
        for line in records_file.read_text().splitlines():
            try:
                record = json.loads(line)
            except json.JSONDecodeError:  # the last line of a run that is being written
                continue
            (training if "loss" in record else evaluations)[record["step"]] = record
    return summary, [training[s] for s in sorted(training)], [evaluations[s] for s in sorted(evaluations)]


def svg_of(plt, figure):
    text = io.StringIO()
    figure.savefig(text, format="svg", metadata={"Date": None})
    plt.close(figure)
    return text.getvalue()[text.getvalue().index("<svg") :]


def plot_loss(plt, training, evaluations):
    figure, axis = plt.subplots(figsize=(5.6, 3.4), layout="constrained")
    training = [r for r in training if r["loss"] is not None]  # of skipped steps it is null
    if training:
        axis.plot([r["step"] for r in training], [r["loss"] for r in training], color=COLOURS["compute"], label="training", linewidth=1.4)
    judged = [r for r in evaluations if "val_loss" in r]
    if judged:
        axis.plot([r["step"] for r in judged], [r["val_loss"] for r in judged], color=COLOURS["straggler_wait"], marker="o",
                  markersize=4, linewidth=1, label="validation")
    losses = [r["loss"] for r in training] + [r["val_loss"] for r in judged]
    if losses and min(losses) > 0 and max(losses) > 20 * min(losses):
        axis.set_yscale("log")
    axis.set(xlabel="step", ylabel="loss", title="Loss")
    axis.legend(loc="upper right")
    return svg_of(plt, figure)


def plot_accuracy(plt, evaluations):
    judged = [r for r in evaluations if "val_accuracy" in r]
    if not judged:
        return ""
    figure, axis = plt.subplots(figsize=(5.6, 3.4), layout="constrained")
    axis.plot([r["step"] for r in judged], [100 * r["val_accuracy"] for r in judged], color=COLOURS["straggler_wait"], marker="o", markersize=4)
    axis.set(xlabel="step", ylabel="%", title="Accuracy on the validation split")
    return svg_of(plt, figure)


def plot_rate(plt, training):
    figure, axis = plt.subplots(figsize=(5.6, 3.4), layout="constrained")
    axis.plot([r["step"] for r in training], [r["samples_per_s"] for r in training], color=COLOURS["compute"], linewidth=1.4)
    axis.set(xlabel="step", ylabel="samples / s", title="Rate")
    axis.set_ylim(bottom=0)
    return svg_of(plt, figure)


def plot_split(plt, training):
    """Of rank 0, over the run: milliseconds a step, one layer a column."""
    with_split = [r for r in training if "split" in r]
    if not with_split:
        return ""
    figure, axis = plt.subplots(figsize=(5.6, 3.4), layout="constrained")
    columns = [c for c in COLUMNS if c != "checkpoint"]
    # A record tells of the steps before it, so the first of them begins where the run began.
    steps = [r["step"] for r in with_split]
    drawn = [with_split[0], *with_split]
    begin = steps[0] - (steps[1] - steps[0] if len(steps) > 1 else 1)
    axis.stackplot([max(begin, 0), *steps], [[1e3 * r["split"][c] for r in drawn] for c in columns],
                   colors=[COLOURS[c] for c in columns], labels=[NAMES[c] for c in columns], linewidth=0, step="pre")
    axis.set(xlabel="step", ylabel="ms a step", title="Where rank 0's time went")
    axis.margins(x=0)
    axis.set_ylim(bottom=0, top=1.3 * axis.get_ylim()[1])  # room for the legend
    axis.legend(loc="upper center", ncol=2)
    return svg_of(plt, figure)


def plot_ranks(plt, ranks):
    """A bar a rank, over the whole run."""
    figure, axis = plt.subplots(figsize=(10, 1.3 + 0.42 * len(ranks)), layout="constrained")
    places = range(len(ranks))
    left = [0.0] * len(ranks)
    for column in (*COLUMNS, "unaccounted"):
        widths = [1e3 * max(rank[column], 0) for rank in ranks]
        axis.barh(places, widths, left=left, color=COLOURS[column], label=NAMES[column], height=0.66)
        left = [a + b for a, b in zip(left, widths)]
    axis.set_yticks(places, [f"rank {rank['rank']}" for rank in ranks])
    axis.invert_yaxis()
    axis.grid(axis="y", visible=False)
    axis.set_xlabel("ms a step, over the whole run")
    axis.legend(loc="lower left", ncol=6, bbox_to_anchor=(0, 1), handlelength=1.2, columnspacing=1.4, borderaxespad=0.2)
    return svg_of(plt, figure)


def number(value, digits=3):
    return "-" if value is None else f"{value:,.{digits}f}".rstrip("0").rstrip(".")


def mebibytes(value):
    return f"{value / 2**20:,.1f} MiB"


def clock(seconds):
    whole = round(seconds)
    hours, rest = divmod(whole, 3600)
    return f"{hours}:{rest // 60:02}:{rest % 60:02}" if hours else f"{rest // 60}:{rest % 60:02}"


def facts_of(summary, training):
    if not summary:
        last = training[-1]
        return [("step", f"{last['step']:,}"), ("training loss", number(last["loss"], 4)), ("samples / s", number(last["samples_per_s"], 0))]
    facts = [("steps", f"{summary['steps']:,}"), ("training loss", number(summary["train_loss"], 4))]
    if summary["val_loss"] is not None:
        facts.append(("validation loss", number(summary["val_loss"], 4)))
    if summary["val_accuracy"] is not None:
        facts.append(("validation accuracy", f"{100 * summary['val_accuracy']:.2f} %"))
    facts += [
        ("samples / s", number(summary["samples_per_s"], 0)),
        ("ms a step (median)", number(summary["step_ms"]["median"], 2)),
        ("time", clock(summary["seconds"])),
        ("ranks", str(summary["world"])),
        ("parameters", f"{summary['parameters']:,}"),
    ]
    return facts


def table(head, rows):
    cells = "".join(f"<th>{html.escape(cell)}</th>" for cell in head)
    lines = "".join("<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    return f"<table><tr>{cells}</tr>{lines}</table>"


def ranks_table(ranks):
    columns = ("data_wait", "compute", "exposed_comm", "straggler_wait", "checkpoint", "wall", "unaccounted")
    head = ["rank", "host", *(f"{NAMES.get(column, column)}, ms" for column in columns)]
    return table(head, [[str(rank["rank"]), rank["host"], *(number(1e3 * rank[column]) for column in columns)] for rank in ranks])


def waited_for(named):
    more = f", which took {1e3 * named['longer_by']:.2f} ms a step longer in {NAMES.get(named['longer_in'], named['longer_in'])}" if named["longer_in"] else ""
    return f"<p class='note'>The other ranks waited {1e3 * named['wait']:.2f} ms a step for rank {named['rank']} ({html.escape(named['host'])}){more}.</p>"


def sections_of(plt, folder, summary, training, evaluations):
    plots = [plot_loss(plt, training, evaluations), plot_accuracy(plt, evaluations)]
    if training:
        plots += [plot_rate(plt, training), plot_split(plt, training)]
    parts = ["<h2>Course of the run</h2>", "<div class='plots'>", *(f"<div>{plot}</div>" for plot in plots if plot), "</div>"]
    if summary.get("ranks") and training:
        parts += ["<h2>Time by rank</h2>", f"<div class='wide'>{plot_ranks(plt, summary['ranks'])}</div>"]
        if summary.get("waited_for"):
            parts.append(waited_for(summary["waited_for"]))
        parts.append(ranks_table(summary["ranks"]))
    if summary:
        memory = summary["peak_memory_bytes"]
        rows = [["planned", mebibytes(memory["planned"])], ["process", mebibytes(memory["process"])],
                ["process without plan: code, libraries, MPI", mebibytes(memory["process"] - memory["planned"])]]
        parts += ["<h2>Memory of rank 0</h2>", table(["", "peak"], rows)]
        rows = [[name, value] for name, value in sorted(summary["versions"].items())]
        rows += [["parameters sha256", summary["params_sha256"]], ["state sha256", summary["state_sha256"]]]
        parts += ["<h2>What made it</h2>", table(["", ""], rows).replace("<td>", "<td class='left'>")]
    if (folder / "trace.json").exists():
        parts.append("<p>This run has a trace of all ranks: <code>trace.json</code> opens in Perfetto or chrome://tracing.</p>")
    if (folder / "job.cfg").exists():
        parts += ["<h2>The job</h2>", f"<pre>{html.escape((folder / 'job.cfg').read_text())}</pre>"]
    return "\n".join(parts)


def report(folder):
    plt = load_matplotlib()
    summary, training, evaluations = read_run(folder)
    if not summary and not training:
        sys.exit(f"report.py: {folder}: this run has no records yet")
    status = summary.get("status", "has not ended yet")
    facts = "".join(f"<div class='fact'><b>{html.escape(value)}</b><span>{html.escape(name)}</span></div>" for name, value in facts_of(summary, training))
    name = folder.resolve().name
    return PAGE.format(title=html.escape(f"{name}: run report"), heading=html.escape(name), about=html.escape(f"{status}; {folder.resolve()}"),
                       facts=facts, sections=sections_of(plt, folder, summary, training, evaluations))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run_folder", type=pathlib.Path)
    parser.add_argument("-o", "--output", type=pathlib.Path, help="default: report.html in the run folder")
    options = parser.parse_args()
    output = options.output or options.run_folder / "report.html"
    output.write_text(report(options.run_folder))
    print(output)


if __name__ == "__main__":
    main()
