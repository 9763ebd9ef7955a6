"""What ranks cost: python3 tools/rank_speed.py target/release/vapo [--config FILE --set KEY=VALUE ..] [--ranks 2] [--rounds 5]

Trains the same run, in turn, as one process with N threads and as N ranks with one thread each (over TCP on this machine), and
compares the bytes of the policies: they must be equal. Prints medians over the rounds:
  tokens per second  of each, prompt and response tokens of all steps after the first
  ratio              ranks to threads, of the two runs of a round, with the quartiles
  in exchanges       share of a step in which a rank waited for others or exchanged bytes
  sent               megabytes that a rank sends in a step
  imbalance          seconds that the slowest rank worked, to the mean
"""

import argparse
import json
import os
import socket
import statistics
import subprocess
import tempfile
from pathlib import Path

COMMON = [
    "value_pretraining.steps=0", "run.steps=6", "run.gradient_shards=8", "eval.every=off", "eval.problems=1", "eval.samples=1",
    "checkpoint.every=off", "checkpoint.every_minutes=off", "checkpoint.keep_best=false", "records.every=off",
]


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def train(program, config, settings, ranks, threads):
    """Rows after the first step, and the bytes of the policy."""
    with tempfile.TemporaryDirectory() as place:
        run = Path(place) / "run"
        arguments = [argument for setting in [*settings, f"run.threads={threads}"] for argument in ["--set", setting]]
        command, port = [program, "train", *config, "--run-dir", run, *arguments], str(free_port())
        environments = [{}]
        if ranks > 1:
            size = str(ranks)
            environments = [{"RANK": str(rank), "WORLD_SIZE": size, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port} for rank in range(ranks)]
        processes = [
            subprocess.Popen(command, env=os.environ | environment, stdout=subprocess.DEVNULL) for environment in environments
        ]
        assert all([process.wait() == 0 for process in processes])
        rows = [json.loads(line) for line in (run / "metrics.jsonl").open()][2:]
        newest = sorted((run / "checkpoints").iterdir())[-1]
        return rows, (newest / "policy/model.safetensors").read_bytes()


def mean(rows, key):
    return statistics.mean(row[key] for row in rows)


def rate(rows):
    return sum(row["perf/total_num_tokens"] for row in rows) / sum(row["timing_s/step"] for row in rows)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("program")
    parser.add_argument("--config")
    parser.add_argument("--set", action="append", default=[])
    parser.add_argument("--ranks", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    config, settings = [options.config] if options.config else [], [*COMMON, *options.set]
    rates, ratios, shares, sent, imbalance = [], [], [], [], []
    for _ in range(options.rounds):
        threads, expected = train(options.program, config, settings, 1, options.ranks)
        ranks, found = train(options.program, config, settings, options.ranks, 1)
        assert expected == found, "the policies differ"
        rates.append((rate(threads), rate(ranks)))
        ratios.append(rate(ranks) / rate(threads))
        shares.append(mean(ranks, "timing_s/ranks") / mean(ranks, "timing_s/step"))
        sent.append(mean(ranks, "perf/rank_sent_mb"))
        imbalance.append(mean(ranks, "perf/rank_imbalance"))
    low, middle, high = statistics.quantiles(ratios, n=4) if len(ratios) > 1 else ratios * 3
    print(f"one process, {options.ranks} threads  {statistics.median(a for a, _ in rates):.0f} tokens/s")
    print(f"{options.ranks} ranks, one thread     {statistics.median(b for _, b in rates):.0f} tokens/s")
    print(f"ratio                   {middle:.3f} ({low:.3f} to {high:.3f})")
    print(f"in exchanges            {statistics.median(shares):.1%}")
    print(f"sent                    {statistics.median(sent):.2f} MB")
    print(f"imbalance               {statistics.median(imbalance):.2f}")


if __name__ == "__main__":
    main()
