"""Tables of finished runs in Markdown, one row per run: accuracy, largest fall and cost; optionally the ranges of their metrics.

    python tools/summarize_runs.py runs/seed-{0,1,2,3,4,5,6,7}
    python tools/summarize_runs.py runs/seed-* --ranges critic/vf_explained_var actor/ppo_kl
"""

import argparse
import json
import statistics
from pathlib import Path


def read(run):
    """The rows of a run's metrics and its summary."""
    rows = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return rows, json.loads((run / "summary.json").read_text())


def accuracies(rows):
    key = next(key for key in rows[0] if key.startswith("val-core/") and "/acc/mean@" in key)
    return [row[key] for row in rows if row.get(key) is not None]


def largest_fall(values):
    """How far a value lies below the best before it, at most."""
    best = fall = 0.0
    for value in values:
        best = max(best, value)
        fall = max(fall, best - value)
    return fall


def print_runs(runs):
    print("| seed | held-out accuracy before | after | largest fall | steps | updates | response tokens | CPU | peak memory |")
    print("|---|---|---|---|---|---|---|---|---|")
    for rows, summary in runs:
        values = accuracies(rows)
        cells = [
            summary["seed"], f"{100 * values[0]:.1f} %", f"{100 * values[-1]:.1f} %", f"{100 * largest_fall(values):.1f}",
            summary["steps"], f"{summary['updates']:,}", f"{summary['tokens']:,}",
            f"{summary['cpu_secs']:.0f} s", f"{summary['peak_rss_mb']:.0f} MB",
        ]
        print("|", " | ".join(map(str, cells)), "|")
    final = [100 * accuracies(rows)[-1] for rows, _ in runs]
    falls = [100 * largest_fall(accuracies(rows)) for rows, _ in runs]
    print(f"\nmean {statistics.mean(final):.1f} %, lowest {min(final):.1f} %, largest fall {max(falls):.1f} points")


def print_ranges(runs, keys):
    """Extremes over the steps of policy training of all runs, the range without the lowest and the highest twentieth of them,
    and the means of the first and the last ten steps."""
    print("\n| metric | lowest | 5 % | 95 % | highest | first steps | last steps |")
    print("|---|---|---|---|---|---|---|")
    for key in keys:
        columns = [[row[key] for row in rows if row.get("training/value_pretraining") == 0 and row.get(key) is not None] for rows, _ in runs]
        values = sorted(value for column in columns for value in column)
        if not values:
            print(f"| `{key}` | none |")
            continue
        last = len(values) - 1
        first_mean = statistics.mean(value for column in columns for value in column[:10])
        last_mean = statistics.mean(value for column in columns for value in column[-10:])
        numbers = [values[0], values[round(0.05 * last)], values[round(0.95 * last)], values[-1], first_mean, last_mean]
        print(f"| `{key}` |", " | ".join(f"{number:.3g}" for number in numbers), "|")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", type=Path, nargs="+", metavar="RUN")
    parser.add_argument("--ranges", nargs="+", metavar="METRIC", default=[])
    arguments = parser.parse_args()
    runs = [read(run) for run in arguments.runs]
    print_runs(runs)
    if arguments.ranges:
        print_ranges(runs, arguments.ranges)


if __name__ == "__main__":
    main()
