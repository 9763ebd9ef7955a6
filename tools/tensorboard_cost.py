"""What event files cost a step of the built-in run: python3 tools/tensorboard_cost.py target/release/vapo [--rounds 9]

Trains the built-in model on one thread with and without event files, in turn, with the settings of the built-in run (256
responses of a step, every tenth step recorded). Prints medians over the rounds:
  step             processor seconds of a step without event files, everything included
  processor time   how much more a step with them takes: the ratio of the two runs of a round, with its quartiles
  bytes per step   size of the event files
"""

import argparse
import json
import statistics
import subprocess
import tempfile
from pathlib import Path

STEPS = 10
COMMON = [
    "value_pretraining.steps=0", f"run.steps={STEPS}", "eval.every=off", "eval.problems=1", "eval.samples=1",
    "checkpoint.every=off", "checkpoint.every_minutes=off", "checkpoint.keep_best=false", "run.threads=1",
]


def train(program, is_enabled):
    """Processor seconds of a run, and bytes of its event files."""
    with tempfile.TemporaryDirectory() as place:
        run = Path(place) / "run"
        settings = [*COMMON, f"tensorboard.enabled={str(is_enabled).lower()}"]
        arguments = [argument for setting in settings for argument in ["--set", setting]]
        command = [program, "train", "--run-dir", run, *arguments]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        size = sum(path.stat().st_size for path in (run / "tensorboard").iterdir())
        return json.loads((run / "summary.json").read_text())["cpu_secs"], size


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("program")
    parser.add_argument("--rounds", type=int, default=9)
    options = parser.parse_args()
    seconds, ratios = [], []
    for _ in range(options.rounds):
        without, _ = train(options.program, False)
        enabled, size = train(options.program, True)
        seconds.append(without / STEPS)
        ratios.append(enabled / without - 1)
    low, middle, high = statistics.quantiles(ratios, n=4)
    print(f"step             {statistics.median(seconds):.3f} s")
    print(f"processor time   {middle:+.2%} ({low:+.2%} to {high:+.2%})")
    print(f"bytes per step   {size / STEPS:.0f}")


if __name__ == "__main__":
    main()
