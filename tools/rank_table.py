"""How long ranks exchange an update: python3 tools/rank_table.py

Arithmetic: each value of a network's gradient goes to the rank that sums it, and comes back as a weight, in float32. So a rank
sends 8 bytes for each weight, less its own share, and receives as many at the same time. Latency is left out: there are
4 log2 R exchanges. Prints the table of docs/cluster.md, in seconds for one update of a policy of Qwen2.5's sizes.
"""

MODELS = {"0.5B": 0.494e9, "1.5B": 1.544e9, "3B": 3.086e9, "7B": 7.616e9, "14B": 14.77e9, "32B": 32.76e9}
RANKS = [8, 64, 512]
GBIT = [10, 100, 400]


def seconds(weights, ranks, gbit):
    return 8 * weights * (ranks - 1) / ranks / (gbit * 1e9 / 8)


def shown(secs):
    return f"{secs:.0f}" if secs >= 10 else f"{secs:.2g}"


def main():
    columns = [(ranks, gbit) for gbit in GBIT for ranks in RANKS]
    print("| | " + " | ".join(f"{gbit} Gbit/s, {ranks}" for ranks, gbit in columns) + " |")
    print("|---|" + "---|" * len(columns))
    for name, weights in MODELS.items():
        print(f"| {name} | " + " | ".join(f"{shown(seconds(weights, ranks, gbit))}" for ranks, gbit in columns) + " |")


if __name__ == "__main__":
    main()
