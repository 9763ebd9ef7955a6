"""What the dashboard costs: python3 tools/dash_cost.py target/release/vapo [--steps 1000] [--rounds 3]

Opening: makes a run of 1,000 steps with all 256 rollouts of each (ten steps of the built-in run, under other names), serves it
and prints the seconds for what a page asks for before it shows anything, the seconds of filters over 100,000 rollouts, and the
server's memory (a fresh server for each row, so that every first answer reads the files).
Following: trains the built-in run on one thread, with nobody looking and with a page that follows it, in turn. A page asks again
for the run and six curves after every event. Prints for each
  lag              seconds from a row in metrics.jsonl until the page is told, median and most
  processor time   that of the server, as a share of the training's
  step             median seconds of a step without and with the page
"""

import argparse
import http.client
import json
import os
import re
import shutil
import statistics
import subprocess
import tempfile
import threading
import time
from pathlib import Path
from urllib.parse import quote

REAL_STEPS = 10
FILTERED = 100_000
RESPONSES = 256
COMMON = [
    "value_pretraining.steps=0", "checkpoint.every=off", "checkpoint.every_minutes=off", "checkpoint.keep_best=false",
    "rollout.prompts_per_step=16", "rollout.group_size=16", "run.threads=1",
]
RECORD_ALL = ["records.every=1", "records.groups=all", "records.keep=all", "eval.every=off", "eval.problems=1", "eval.samples=1"]
CURVES = [
    "accuracy", "critic/rewards/mean", "response_length/mean", "actor/entropy", "actor/pg_clipfrac", "critic/vf_explained_var",
]
FILTERS = {
    "a number": "length_min=43&reward_max=0.5",
    "a verdict, sorted": "verdict=wrong&sort=reward&descending=true",
    "a text": "text=3c%2B8%3D",
    "a text that is nowhere": "text=nowhere",
}
TICKS = os.sysconf("SC_CLK_TCK")


class Server:
    """`vapo dash` on a free port."""

    def __init__(self, program, root):
        self.process = subprocess.Popen([program, "dash", root, "--port", "0"], stdout=subprocess.PIPE, text=True)
        self.port = int(re.search(r"http://127\.0\.0\.1:(\d+)/", self.process.stdout.readline())[1])
        self.connection = http.client.HTTPConnection("127.0.0.1", self.port)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait()

    def get(self, target):
        self.connection.request("GET", target)
        answer = self.connection.getresponse()
        body = answer.read()
        if answer.status != 200:
            raise SystemExit(f"{target}: {answer.status} {body.decode()}")
        return body

    def seconds(self, *targets):
        begin = time.monotonic()
        for target in targets:
            self.get(target)
        return time.monotonic() - begin

    def memory_mb(self):
        """Resident memory now and at most."""
        lines = Path(f"/proc/{self.process.pid}/status").read_text().splitlines()
        fields = dict(line.split(":", 1) for line in lines)
        return [int(fields[name].split()[0]) * 1024 / 1e6 for name in ("VmRSS", "VmHWM")]

    def cpu_seconds(self):
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / TICKS


def train(program, run, steps, settings):
    arguments = [part for setting in [*COMMON, *settings, f"run.steps={steps}"] for part in ("--set", setting)]
    command = [program, "train", "--run-dir", run, *arguments]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def make_long_run(program, run, steps):
    """A run whose steps are those of a short one again and again; the files of records are links to its files."""
    if train(program, run, REAL_STEPS, RECORD_ALL).wait() != 0:
        raise SystemExit("training has failed")
    first, *rows = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    with (run / "metrics.jsonl").open("w") as file:
        print(json.dumps(first), file=file)
        for step in range(1, steps + 1):
            print(json.dumps(rows[step % REAL_STEPS] | {"training/global_step": step}), file=file)
    for step in range(REAL_STEPS + 1, steps + 1):
        original = run / f"rollouts/step-{step % REAL_STEPS + 1:06}.parquet"
        os.link(original, run / f"rollouts/step-{step:06}.parquet")


def page(run):
    """What a page of a run asks for."""
    curves = [f"/api/chart?run={run}&metric={quote(metric, safe='')}&width=600&height=300" for metric in CURVES]
    return ["/api/runs", f"/api/runs/{run}", *curves]


def measure_opening(program, place, steps):
    root = place / "runs"
    make_long_run(program, root / "long", steps)
    print(f"opening a run of {steps} steps x {RESPONSES} rollouts\n")
    print("| | first, s | of the processor, s | again, s | memory, MB | at most, MB |\n|---|---|---|---|---|---|")
    last = FILTERED // RESPONSES
    rows = {"page of the run": page("long"), "list of rollouts": ["/api/runs/long/rollouts"]}
    for name, query in FILTERS.items():
        rows[f"filter by {name}, {last * RESPONSES:,} rollouts"] = [f"/api/runs/long/rollouts?step_max={last}&{query}"]
    for name, targets in rows.items():
        with Server(program, root) as server:
            if "filter" in name:
                server.get("/api/runs/long/rollouts")
            before = server.cpu_seconds()
            first, spent = server.seconds(*targets), server.cpu_seconds() - before
            again = min(server.seconds(*targets) for _ in range(5))
            resident, peak = server.memory_mb()
            print(f"| {name} | {first:.2f} | {spent:.2f} | {again:.3f} | {resident:.0f} | {peak:.0f} |", flush=True)
    shutil.rmtree(root)


class Page(threading.Thread):
    """Follows a run as a page does, and notes when each step was told."""

    def __init__(self, server, run):
        super().__init__(daemon=True)
        self.server, self.run_id, self.told = server, run, {}

    def run(self):
        events = http.client.HTTPConnection("127.0.0.1", self.server.port)
        events.request("GET", "/api/events")
        for line in events.getresponse():
            if line.startswith(b"data: "):
                step = json.loads(line[6:]).get("step")
                if step is not None:
                    self.told[step] = time.time()
                    self.server.seconds(*page(self.run_id))


def row_times(run, process):
    """When each step's row was written, and the processor time of the training."""
    times, done = {}, 0
    while process.poll() is None:
        time.sleep(0.005)
        path = run / "metrics.jsonl"
        rows = path.read_text().count("\n") if path.exists() else 0
        for step in range(done, rows):
            times[step] = time.time()
        done = rows
    return times


def lag_of(step, time, told):
    """Seconds until an event of this step or a later one; none for rows before the page listened."""
    later = [moment for seen, moment in told.items() if seen >= step and moment >= time]
    return min(later) - time if later else None


def measure_following(program, place, rounds, steps):
    lags, shares, alone, followed = [], [], [], []
    for turn in range(2 * rounds):
        root = place / f"turn-{turn}"
        root.mkdir()
        with Server(program, root) as server:
            if turn % 2 == 1:
                watcher = Page(server, "run")
                watcher.start()
            before = server.cpu_seconds()
            written = row_times(root / "run", train(program, root / "run", steps, ["eval.every=20", "eval.problems=50"]))
            spent = server.cpu_seconds() - before
            rows = [json.loads(line) for line in (root / "run/metrics.jsonl").read_text().splitlines()]
        times = [row["timing_s/step"] for row in rows if "timing_s/step" in row]
        if turn % 2 == 0:
            alone += times
            continue
        followed += times
        trained = sum(row.get("perf/cpu_secs", 0) for row in rows)
        shares.append(spent / trained)
        lags += [lag for step, time in written.items() if (lag := lag_of(step, time, watcher.told)) is not None]
    print(f"\nfollowing the built-in run, {rounds} times {steps} steps")
    print(f"  lag              {statistics.median(lags):.2f} s, at most {max(lags):.2f} s ({len(lags)} rows)")
    print(f"  processor time   {statistics.mean(shares):.2%} of the training's")
    print(f"  step             {statistics.median(alone):.3f} s without the page, {statistics.median(followed):.3f} s with it")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("program", type=Path)
    parser.add_argument("--steps", type=int, default=1000, help="steps of the long run")
    parser.add_argument("--rounds", type=int, default=3, help="runs that are followed")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        measure_opening(options.program.resolve(), Path(place), options.steps)
        measure_following(options.program.resolve(), Path(place), options.rounds, 75)


if __name__ == "__main__":
    main()
