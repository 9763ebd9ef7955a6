"""What a reward in Python costs a step of the built-in run: python3 tools/python_reward_cost.py target/release/vapo [--rounds 5]

Trains the built-in model on problems of its task in a data file, 256 responses per step, in turn with the verifier `numeric`
and with functions of configs/rewards/rewards.py: with verl's parameters, with TRL's, and with both, weighted. Other programs
only ever make a step slower, so everything is the least that was measured. Prints for each
  step      milliseconds of a step
  more      how much longer it is than a step with `numeric`
  waiting   milliseconds that grading takes when all responses are sampled (timing_s/reward)
  verifier  milliseconds of all calls of the functions, most of them while other responses are sampled
"""

import argparse
import json
import subprocess
import tempfile
from pathlib import Path

ROOT = Path(__file__).parent.parent
BASE = ROOT / "crates/train/base/chain"
REWARDS = ROOT / "configs/rewards/rewards.py"
COMMON = [
    f"model.path={BASE}", "data.train=train.jsonl", "data.eval=test.jsonl", "value_pretraining.steps=0", "eval.every=off",
    "eval.problems=1", "eval.samples=1", "checkpoint.every=off", "checkpoint.every_minutes=off",
    "checkpoint.keep_best=false", "records.every=off", "tensorboard.enabled=false", "rollout.prompts_per_step=16",
    "rollout.group_size=16", "run.steps=8",
]


def python(function, settings=""):
    return f'{{ kind = "python", file = "{REWARDS}", function = "{function}", name = "{function}"{settings} }}'


VERIFIERS = {
    "numeric": '"numeric"',
    "verl": python("compute_score"),
    "TRL": python("brevity"),
    "both": f'[{python("compute_score")}, {python("brevity", ", weight = 0.01")}]',
}


def vapo(program, place, run, settings):
    arguments = [argument for setting in settings for argument in ["--set", setting]]
    subprocess.run(
        [Path(program).resolve(), "train", "--run-dir", run, *arguments], cwd=place, check=True,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )
    return [json.loads(line) for line in (place / run / "metrics.jsonl").read_text().splitlines()]


def write_problems(program, place):
    """Problems of the built-in task as data files, from an evaluation."""
    vapo(program, place, "problems", ["run.steps=1", "value_pretraining.steps=0", "eval.problems=300", "eval.samples=1"])
    lines = (place / "problems/eval/step-000000.jsonl").read_text().splitlines()
    rows = [{name: json.loads(line)[name] for name in ("prompt", "answer")} for line in lines]
    for name, part in (("train.jsonl", rows[10:]), ("test.jsonl", rows[:10])):
        (place / name).write_text("".join(json.dumps(row) + "\n" for row in part))


def calls(row):
    return sum(seconds for name, seconds in row.items() if name.startswith("timing_s/reward/"))


MEASURES = (lambda row: row["timing_s/step"], lambda row: row["timing_s/reward"], calls)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("program")
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    rows = {name: [] for name in VERIFIERS}
    with tempfile.TemporaryDirectory() as directory:
        place = Path(directory)
        write_problems(options.program, place)
        for number in range(options.rounds):
            for name, verifier in VERIFIERS.items():
                settings = COMMON + [f"reward.verifier={verifier}"]
                # The first row is the evaluation before the first step; in the first step, processes start.
                rows[name] += vapo(options.program, place, f"{name}-{number}", settings)[2:]
    least = {
        name: [1000 * min(map(measure, steps)) for measure in MEASURES]
        for name, steps in rows.items()
    }
    print("verifier       step     more  waiting  verifier")
    for name, (step, waiting, verifier) in least.items():
        print(f"{name:10} {step:8.0f} {step / least['numeric'][0] - 1:+8.1%} {waiting:8.1f} {verifier:9.1f}")


if __name__ == "__main__":
    main()
