"""Runs `vapo bench` and PyTorch alternately on this machine and prints how many times faster vapo is.

    cargo build --release
    python tools/peers/compare.py [--shape m1 m2] [--rounds 3] [--threads 1] [--seconds 20] [--vapo target/release/vapo]

A CPU second is not a stable unit (the clock frequency varies with the load of other cores), so each round runs all programs one after
the other, ratios are computed within a round, and the table shows medians over rounds. Run it on an idle machine. vapo's peak memory is that of the whole benchmark.
"""

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path
from statistics import median

ROOT = Path(__file__).resolve().parents[2]
VAPO_RATE = {"train": "train_tokens_per_cpu_s", "generate": "decode_tokens_per_cpu_s", "static": "decode_tokens_per_cpu_s"}


def json_output(command, threads):
    environment = {**os.environ, "OMP_NUM_THREADS": str(threads), "MKL_NUM_THREADS": str(threads)}
    return json.loads(subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE, text=True).stdout)


def run_vapo(arguments, shape):
    return json_output([arguments.vapo, "bench", "--shape", shape, "--json", "--threads", str(arguments.threads)], arguments.threads)


def run_torch(arguments, shape, work):
    bench = ROOT / "tools/peers/torch_bench.py"
    return json_output([sys.executable, bench, "--shape", shape, "--work", work, "--threads", str(arguments.threads),
                        "--seconds", str(arguments.seconds)], arguments.threads)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shape", nargs="+", choices=["m1", "m2"], default=["m1", "m2"])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=20, help="wall time of each PyTorch measurement")
    parser.add_argument("--vapo", default=ROOT / "target/release/vapo")
    arguments = parser.parse_args()

    rounds = {(shape, work): [] for shape in arguments.shape for work in VAPO_RATE}
    for number in range(arguments.rounds):
        print(f"round {number + 1} of {arguments.rounds}", file=sys.stderr)
        for shape in arguments.shape:
            vapo = run_vapo(arguments, shape)
            for work in VAPO_RATE:
                rounds[shape, work].append((vapo, run_torch(arguments, shape, work)))

    print("| shape | work | vapo tokens/CPU s | PyTorch tokens/CPU s | ratio | vapo MB | PyTorch MB |\n|---|---|---|---|---|---|---|")
    for (shape, work), pairs in rounds.items():
        ours = [vapo[VAPO_RATE[work]] for vapo, _ in pairs]
        theirs = [torch["tokens_per_cpu_s"] for _, torch in pairs]
        ratio = median(a / b for a, b in zip(ours, theirs))
        memory = [median(result["peak_rss_mb"] for result in side) for side in zip(*pairs)]
        print(f"| {shape} | {work} | {median(ours):.0f} | {median(theirs):.0f} | {ratio:.2f} | {memory[0]:.0f} | {memory[1]:.0f} |")


if __name__ == "__main__":
    main()
