"""Draws the curves of a run from its metrics.jsonl: held-out accuracy, training reward, response length, entropy and the critic's
explained variance. Further runs of the same settings with other seeds are drawn as thin lines.

    pip install matplotlib
    python tools/plot_run.py runs/vapo-001 -o curves.svg
    python tools/plot_run.py runs/seed-{0,1,2,3,4,5,6,7} -o docs/images/builtin-run.svg
"""

import argparse
import json
from pathlib import Path

import matplotlib

matplotlib.use("svg")
matplotlib.rcParams.update({
    "svg.hashsalt": "vapo",  # the same runs give the same file
    "font.size": 9, "axes.titlesize": 9, "axes.titlelocation": "left", "axes.spines.top": False, "axes.spines.right": False,
    "axes.edgecolor": "#8a8f98", "axes.labelcolor": "#4a4f57", "xtick.color": "#4a4f57", "ytick.color": "#4a4f57",
    "axes.grid": True, "axes.grid.axis": "y", "grid.color": "#e8eaed", "grid.linewidth": 0.8, "axes.axisbelow": True,
})
from matplotlib import pyplot, ticker  # noqa: E402 (after choosing the backend)

ACCURACY, REWARD, DETAIL = "#c0392b", "#6b8cae", "#34495e"
PANELS = [
    ("response_length/mean", "response length, tokens"),
    ("actor/entropy", "entropy, nats per token"),
    ("critic/vf_explained_var", "critic's explained variance"),
]


def read(run):
    return [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]


def column(rows, key):
    """Steps and values of the rows that have the key."""
    pairs = [(row["training/global_step"], row[key]) for row in rows if row.get(key) is not None]
    return [step for step, _ in pairs], [value for _, value in pairs]


def last_pretraining_step(rows):
    return max((row["training/global_step"] for row in rows if row.get("training/value_pretraining") == 1), default=0)


def evaluations(rows):
    """Steps and values of held-out accuracy."""
    return column(rows, next(key for key in rows[0] if key.startswith("val-core/") and "/acc/mean@" in key))


def accuracy(rows):
    """The same as a line, flat during value pretraining, which does not change the policy."""
    steps, values = evaluations(rows)
    flat = last_pretraining_step(rows)
    if flat and flat < steps[1]:
        steps, values = [steps[0], flat, *steps[1:]], [values[0], values[0], *values[1:]]
    return steps, values


def draw_accuracy(panel, runs):
    """Accuracy and reward of the first run, and the accuracy of the others as thin lines."""
    first, others = runs[0], runs[1:]
    panel.plot(*column(first, "critic/rewards/mean"), color=REWARD, alpha=0.55, linewidth=1, label="mean reward of a training step")
    for index, rows in enumerate(others):
        label = f"held-out accuracy of {len(others)} other seeds" if index == 0 else None
        panel.plot(*accuracy(rows), color=ACCURACY, alpha=0.3, linewidth=0.9, label=label)
    panel.plot(*accuracy(first), color=ACCURACY, linewidth=2, label="held-out accuracy")
    steps, values = evaluations(first)
    panel.plot(steps, values, "o", color=ACCURACY, markersize=4)
    for index, (step, value) in enumerate(zip(steps, values)):
        steep = index > 0 and index + 1 < len(values) and values[index + 1] - value > 0.1
        offset, align = ((7, -5), "left") if steep else ((0, 7), "center" if index > 0 else "left")
        panel.annotate(f"{100 * value:.0f} %", (step, value), textcoords="offset points", xytext=offset, ha=align, color=ACCURACY)
    panel.set_ylim(0, 1.04)
    panel.yaxis.set_major_formatter(ticker.PercentFormatter(1, decimals=0))
    panel.set_xlabel("step (one rollout each)")
    panel.legend(loc="lower right", frameon=False)


def draw_detail(panel, runs, key, title):
    for rows in runs[1:]:
        panel.plot(*column(rows, key), color=DETAIL, alpha=0.2, linewidth=0.7)
    panel.plot(*column(runs[0], key), color=DETAIL, linewidth=1.3)
    panel.set_title(title)
    if key != "critic/vf_explained_var":
        panel.set_ylim(bottom=0)


def draw(runs, out):
    figure, panels = pyplot.subplot_mosaic([["accuracy"] * 3, [key for key, _ in PANELS]], figsize=(8, 5), height_ratios=[2.2, 1])
    draw_accuracy(panels["accuracy"], runs)
    for key, title in PANELS:
        draw_detail(panels[key], runs, key, title)
    last, pretraining = runs[0][-1]["training/global_step"], last_pretraining_step(runs[0])
    for panel in panels.values():
        panel.set_xlim(-0.02 * last, 1.04 * last)
        if pretraining:
            panel.axvspan(-0.02 * last, pretraining, color="#eef1f4", zorder=0)
    if pretraining:
        panels["accuracy"].annotate("value pretraining", (pretraining, 0.97), textcoords="offset points", xytext=(4, 0), va="center", color="#8a8f98")
    figure.tight_layout()
    figure.savefig(out, metadata={"Date": None})


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", type=Path, nargs="+", metavar="RUN")
    parser.add_argument("-o", "--out", type=Path, required=True)
    arguments = parser.parse_args()
    draw([read(run) for run in arguments.runs], arguments.out)


if __name__ == "__main__":
    main()
