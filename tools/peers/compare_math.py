"""Grades files with vapo's math verifier and with Math-Verify, and lists the rows on which they differ.

    pip install "math-verify[antlr4_13_2]"
    python tools/peers/compare_math.py FILE.jsonl [..]

Each row of a file is a JSON object with `gold` and `pred` or `response`. Both verifiers get the same strings in one
process and one thread; each rate is that of the verifier's own loop, without startup and reading the file. If a row
has `expected`, the table says who agrees with it; with `--by FIELD`, a table says so for each value of that field.
"""

import argparse
import json
import logging
import subprocess
import sys
import time

from math_verify import parse, verify

OURS = "cargo run -q --release -p vapo-tasks --example math_score --"


def rows_of(path):
    rows = [json.loads(line) for line in open(path, encoding="utf-8")]
    return [(row["gold"], row.get("pred", row.get("response")), row.get("expected")) for row in rows]


def theirs(rows):
    """Verdicts of Math-Verify with its defaults, and rows per second of processor time."""
    verdicts = []
    start = time.process_time()
    for gold, answer, _ in rows:
        formula = is_bare(answer) and "\\" in answer
        verdicts.append(bool(verify(parse(f"${gold}$" if is_bare(gold) else gold), parse(f"${answer}$" if formula else answer))))
    return verdicts, len(rows) / (time.process_time() - start)


def is_bare(text):
    """Math-Verify only reads LaTeX between delimiters; to be fair, reference answers and formulas without delimiters get them."""
    marks = text.replace("\\$", "")
    return not any(mark in marks for mark in ["$", "\\boxed", "\\(", "\\["])


def ours(path, command):
    """Verdicts of vapo, and the rows per second that it reports."""
    result = subprocess.run([*command.split(), path], capture_output=True, text=True, check=True)
    rate = float(result.stderr.strip().splitlines()[-1].split()[0])
    return [line == "1" for line in result.stdout.split()], rate


def print_by(field, path, rows, ours, theirs):
    """How many rows of each kind each verifier grades as expected."""
    kinds = [str(json.loads(line).get(field, "")) for line in open(path, encoding="utf-8")]
    print(f"| {field} | rows | vapo | Math-Verify |\n|---|---|---|---|")
    for kind in dict.fromkeys(kinds):
        own = [index for index, other in enumerate(kinds) if other == kind]
        agree = [sum(verdicts[index] == rows[index][2] for index in own) for verdicts in (ours, theirs)]
        print(f"| {kind} | {len(own)} | {agree[0]} | {agree[1]} |")


def shortened(text, length=70):
    text = " ".join(text.split())
    return text if len(text) <= length else "..." + text[-length:]


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("files", nargs="+")
    arguments.add_argument("--ours", default=OURS, help="the command that grades a file with vapo")
    arguments.add_argument("--by", metavar="FIELD", help="a field of the rows that names their kind")
    options = arguments.parse_args()
    logging.disable(logging.CRITICAL)
    for path in options.files:
        rows = rows_of(path)
        our_verdicts, our_rate = ours(path, options.ours)
        their_verdicts, their_rate = theirs(rows)
        print(f"{path}: {len(rows)} rows, vapo {our_rate:.0f} rows/s, Math-Verify {their_rate:.0f} rows/s, "
              f"ratio {our_rate / their_rate:.0f}")
        for name, verdicts in [("vapo", our_verdicts), ("Math-Verify", their_verdicts)]:
            known = [verdict == row[2] for verdict, row in zip(verdicts, rows) if isinstance(row[2], bool)]
            if known:
                print(f"  {name} agrees with `expected` on {sum(known)} of {len(known)}")
        if options.by:
            print_by(options.by, path, rows, our_verdicts, their_verdicts)
            continue
        print("| gold | answer | vapo | Math-Verify | expected |\n|---|---|---|---|---|")
        for (gold, answer, expected), our_verdict, their_verdict in zip(rows, our_verdicts, their_verdicts):
            if our_verdict != their_verdict:
                print(f"| `{shortened(gold)}` | `{shortened(answer)}` | {our_verdict} | {their_verdict} | {expected} |")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
