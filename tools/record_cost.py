"""What recording rollouts costs a step of the built-in run: python3 tools/record_cost.py target/release/vapo [--rounds 5]

Trains the built-in model on one thread without records and with records of every response of every step, in turn: with
answers of its usual length, and with 400 tokens each (its end token is taken away). Other programs only ever make a step
slower, so everything is the least that was measured. Prints for each
  step             milliseconds of a step
  recording        milliseconds of recording it (timing_s/record), and their share of the step
  processor time   how much more the steps with records take
  bytes per token  size of the files by response tokens, all columns
  tokens           mean length of a response
Files are written to the directory for temporary files (TMPDIR): on a disk, recording includes waiting for it twice.
"""

import argparse
import json
import shutil
import subprocess
import tempfile
from pathlib import Path

BASE = Path(__file__).parent.parent / "crates/train/base/chain"
RESPONSES = 256
COMMON = [
    "value_pretraining.steps=0", "eval.every=off", "eval.problems=1", "eval.samples=1", "checkpoint.every=off",
    "checkpoint.every_minutes=off", "checkpoint.keep_best=false", "rollout.prompts_per_step=16", "rollout.group_size=16",
    "run.threads=1",
]
WITHOUT = ["records.every=off"]
WITH = ["records.every=1", "records.groups=all", "records.keep=all"]
STEPS_OF_LENGTH = {"usual": 8, 400: 2}


def make_endless(directory):
    """The built-in model without an end token: every answer is cut off."""
    shutil.copytree(BASE, directory)
    config = json.loads((directory / "config.json").read_text())
    del config["eos_token_id"]
    (directory / "config.json").write_text(json.dumps(config))


def train(program, length, settings):
    """Rows of the steps, and bytes of the records."""
    with tempfile.TemporaryDirectory() as place:
        run, model = Path(place) / "run", Path(place) / "model"
        settings = COMMON + settings + [f"run.steps={STEPS_OF_LENGTH[length]}"]
        if length != "usual":
            make_endless(model)
            settings += [f"model.path={model}", f"rollout.max_new_tokens={length}"]
        arguments = [argument for setting in settings for argument in ["--set", setting]]
        command = [program, "train", "--run-dir", run, *arguments]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        rows = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
        return rows[1:], sum(path.stat().st_size for path in (run / "rollouts").iterdir())


def column(runs, key):
    return [row[key] for rows in runs for row in rows]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("program")
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    print("answers      step     recording        processor time  bytes per token  tokens")
    for length in STEPS_OF_LENGTH:
        without, recorded = [], []
        for _ in range(options.rounds):
            without.append(train(options.program, length, WITHOUT)[0])
            rows, size = train(options.program, length, WITH)
            recorded.append(rows)
        step, record = min(column(recorded, "timing_s/step")), min(column(recorded, "timing_s/record"))
        extra = min(column(recorded, "perf/cpu_secs")) / min(column(without, "perf/cpu_secs")) - 1
        lengths = [row["response_length/mean"] for row in rows]
        tokens = sum(lengths) * RESPONSES
        print(
            f"{length!s:8} {1000 * step:8.0f} {1000 * record:8.1f} {record / step:9.2%} {extra:+17.2%} {size / tokens:16.1f}"
            f" {sum(lengths) / len(rows):7.1f}"
        )


if __name__ == "__main__":
    main()
