"""Memory, files and step time of a long run: python3 tools/long_run.py [--steps 10000] [--program target/release/vapo]

Trains a tiny model for many short steps in a temporary directory and prints, for each tenth of the run, the resident
memory, the size of the run directory and the mean time of a step: none of the first and last may depend on the steps done.
"""

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

PARTS = 10
SETTINGS = """
run.threads=1 algorithm.preset=vapo algorithm.minibatches_per_epoch=1 value_pretraining.steps=1
value_pretraining.prompts_per_step=2 rollout.prompts_per_step=1 rollout.group_size=4 rollout.max_new_tokens=8
eval.every=100 eval.problems=4 eval.samples=1 checkpoint.every=100 checkpoint.keep=2
""".split()


def resident_mb(process):
    """Resident memory of the process now and at most, in MB."""
    lines = Path(f"/proc/{process.pid}/status").read_text().splitlines()
    fields = dict(line.split(":", 1) for line in lines)
    return [int(fields[name].split()[0]) * 1024 / 1e6 for name in ("VmRSS", "VmHWM")]


def size_mb(directory):
    """Size and number of a directory's files; those that vanish meanwhile count nothing."""
    sizes = []
    for path, _, names in os.walk(directory):
        for name in names:
            try:
                sizes.append(os.path.getsize(os.path.join(path, name)))
            except FileNotFoundError:
                pass
    return sum(sizes) / 1e6, len(sizes)


class Rows:
    """Counts the rows of a growing file, reading every byte once."""

    def __init__(self, path):
        self.path, self.file, self.count = path, None, 0

    def read(self):
        if self.file is None and self.path.exists():
            self.file = self.path.open("rb")
        if self.file:
            self.count += self.file.read().count(b"\n")
        return self.count


def measure(process, run, steps):
    """Prints a line after 100 steps and after each tenth of the run."""
    rows, marks = Rows(run / "metrics.jsonl"), [100] + [steps * part // PARTS for part in range(1, PARTS + 1)]
    before, begun = 0, time.monotonic()
    print(f"{'step':>7} {'memory MB':>10} {'peak MB':>8} {'directory MB':>13} {'files':>6} {'ms/step':>8}")
    while marks and process.poll() is None:
        time.sleep(0.01)
        done = rows.read() - 1
        if done < marks[0]:
            continue
        now = time.monotonic()
        (memory, peak), (size, files) = resident_mb(process), size_mb(run)
        mean = 1000 * (now - begun) / max(done - before, 1)
        print(f"{done:7} {memory:10.1f} {peak:8.1f} {size:13.1f} {files:6} {mean:8.2f}", flush=True)
        before, begun = done, now
        marks = [mark for mark in marks if mark > done]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=10_000)
    parser.add_argument("--program", default="target/release/vapo")
    arguments = parser.parse_args()
    program = str(Path(arguments.program).resolve())
    with tempfile.TemporaryDirectory() as place:
        base, run = Path(place) / "base", Path(place) / "run"
        tiny = "--updates 3 --demonstrations 4 --hidden-size 16 --layers 1".split()
        subprocess.run([program, "pretrain", "--out", base, *tiny], check=True, stdout=subprocess.DEVNULL)
        settings = [*SETTINGS, f"model.path={base}", f"run.steps={arguments.steps}"]
        command = [program, "train", "--run-dir", run]
        for setting in settings:
            command += ["--set", setting]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        measure(process, run, arguments.steps)
        status, peak = process.wait(), resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
        resumed = time.monotonic()
        subprocess.run([program, "resume", run], check=True, stdout=subprocess.DEVNULL)
        print(f"peak memory with the summary: {peak * 1024 / 1e6:.1f} MB; "
              f"resuming the finished run: {time.monotonic() - resumed:.1f} s")
    return status


if __name__ == "__main__":
    sys.exit(main())
