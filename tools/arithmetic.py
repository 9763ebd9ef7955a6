"""Makes configs/data/arithmetic-{train,test}.jsonl: all one-digit sums, differences and products, every fifth held out.

    python tools/arithmetic.py
"""

import json
import random
from pathlib import Path

DIGITS = range(10)
PROBLEMS = (
    [(f"What is {a} + {b}?", a + b) for a in DIGITS for b in DIGITS]
    + [(f"What is {a} - {b}?", a - b) for a in DIGITS for b in DIGITS if a >= b]
    + [(f"What is {a} x {b}?", a * b) for a in DIGITS for b in DIGITS]
)


def main():
    random.Random(0).shuffle(PROBLEMS)
    folder = Path(__file__).parent.parent / "configs" / "data"
    for name, rows in [("test", PROBLEMS[::5]), ("train", [p for i, p in enumerate(PROBLEMS) if i % 5])]:
        lines = [json.dumps({"problem": problem, "answer": str(answer)}) for problem, answer in rows]
        (folder / f"arithmetic-{name}.jsonl").write_text("\n".join(lines) + "\n")
        print(f"arithmetic-{name}.jsonl: {len(rows)} problems")


main()
