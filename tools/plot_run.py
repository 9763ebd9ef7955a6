"""Draws a run's curves from its metrics.jsonl: held-out accuracy and training reward, response length, entropy, explained variance.

    pip install matplotlib
    python tools/plot_run.py runs/vapo-001 docs/images/builtin-run.svg
"""

import argparse
import json
from pathlib import Path

import matplotlib

matplotlib.use("svg")
matplotlib.rcParams.update({
    "svg.hashsalt": "vapo",  # the same run gives the same file
    "font.size": 9, "axes.spines.top": False, "axes.spines.right": False, "axes.titlesize": 9, "axes.titlelocation": "left",
})
from matplotlib import pyplot  # noqa: E402 (after choosing the backend)


def column(rows, key):
    """Steps and values of the rows that have the key."""
    pairs = [(row["training/global_step"], row[key]) for row in rows if row.get(key) is not None]
    return [step for step, _ in pairs], [value for _, value in pairs]


def accuracy_key(rows):
    return next(key for key in rows[0] if key.startswith("val-core/") and "/acc/mean@" in key)


def draw(rows, out):
    figure, panels = pyplot.subplot_mosaic([["accuracy"] * 3, ["length", "entropy", "explained"]], figsize=(8, 4.6), height_ratios=[2, 1])
    accuracy = panels["accuracy"]
    accuracy.plot(*column(rows, "critic/rewards/mean"), color="#9db4c8", linewidth=1.2, label="reward in training, mean of a step")
    pretraining = [row["training/global_step"] for row in rows if row.get("training/value_pretraining") == 1]
    steps, values = column(rows, accuracy_key(rows))
    accuracy.plot(steps, values, "o", color="#c0392b")
    if pretraining:  # the policy, and so its accuracy, does not change meanwhile
        steps, values = [steps[0], pretraining[-1], *steps[1:]], [values[0], values[0], *values[1:]]
    accuracy.plot(steps, values, color="#c0392b", linewidth=1.8, label="held-out accuracy")
    for step, value in zip(*column(rows, accuracy_key(rows))):
        accuracy.annotate(f"{100 * value:.0f} %", (step, value), textcoords="offset points", xytext=(0, 7), ha="center", color="#c0392b")
    accuracy.set_ylim(0, 1)
    accuracy.legend(loc="lower right", frameon=False)
    for name, key, title in [("length", "response_length/mean", "response length, tokens"), ("entropy", "actor/entropy", "entropy, nats per token"),
                             ("explained", "critic/vf_explained_var", "critic's explained variance")]:
        panels[name].plot(*column(rows, key), color="#34495e", linewidth=1.2)
        panels[name].set_title(title)
    panels["length"].set_ylim(bottom=0)
    panels["entropy"].set_ylim(bottom=0)
    for panel in panels.values():
        panel.set_xlim(-1, rows[-1]["training/global_step"] * 1.02)
        if pretraining:
            panel.axvspan(-1, pretraining[-1], color="#f2f2f2", zorder=0)
    if pretraining:
        accuracy.text(pretraining[-1] / 2, 0.93, "value pretraining", ha="center", color="#888888")
    accuracy.set_xlabel("step (one rollout each)")
    figure.tight_layout()
    figure.savefig(out, metadata={"Date": None})


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("out", type=Path)
    arguments = parser.parse_args()
    lines = (arguments.run / "metrics.jsonl").read_text().splitlines()
    draw([json.loads(line) for line in lines], arguments.out)


if __name__ == "__main__":
    main()
