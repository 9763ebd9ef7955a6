"""The runs that the browser looks at: a trained one, one without a critic, one that is hostile, one that is damaged, a large one."""

import json
import math
import random
import shutil
import subprocess
from pathlib import Path

import pyarrow
import pyarrow.parquet as parquet

COMMON = [
    "run.threads=1", "rollout.prompts_per_step=8", "rollout.group_size=4", "eval.problems=40", "eval.samples=4", "eval.every=4",
    "records.every=1", "records.groups=all",
]
#: Long enough to learn something.
SEEN = ["run.steps=24", "rollout.prompts_per_step=64", "value_pretraining.steps=4"]
#: What a model may write: markup, escape codes, marks of direction, characters of no width, controls, other scripts.
HOSTILE = [
    "<script>window.broken = 1</script>", "<img src=x onerror='window.broken = 1'>", "\x1b[31m", "\u202e", "\u05e9\u05dc\u05d5\u05dd",
    "\u200b", "\u200f", "\0", "\n", " ", "\t", "&amp;", "\u2028", "\ufeff", "\u65e5\u672c", "e\u0301\u0301\u0301", "</textarea></pre>", "\r",
]


def train(program, directory, settings, wait=True):
    arguments = [argument for setting in [*COMMON, *settings] for argument in ["--set", setting]]
    command = [str(program), "train", "--run-dir", str(directory), *arguments]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    if wait:
        _, error = process.communicate(timeout=600)
        assert process.returncode == 0, error
    return process


def metrics(run):
    return [json.loads(line) for line in (Path(run) / "metrics.jsonl").read_text().splitlines()]


def records(run):
    """All recorded rows with their step and row in the file."""
    rows = []
    for path in sorted((Path(run) / "rollouts").glob("*.parquet")):
        rows += [{"row": row, **content} for row, content in enumerate(parquet.read_table(path).to_pylist())]
    return rows


def accuracy(row):
    values = [value for key, value in row.items() if key.startswith("val-core/") and "/acc/mean@" in key]
    return sum(values) / len(values) if values else None


def copy_without_records(source, target):
    target.mkdir(parents=True)
    for name in ["config.toml", "metrics.jsonl", "summary.json"]:
        shutil.copy(source / name, target / name)
    (target / "rollouts").mkdir()


def write_records(source, target, step, rows):
    """Records with the schema and the metadata of a run's own."""
    schema = parquet.read_schema(next((source / "rollouts").glob("*.parquet")))
    table = pyarrow.Table.from_pylist(rows, schema=schema)
    parquet.write_table(table, target / "rollouts" / f"step-{step:06}.parquet", compression="zstd")


def response(base, tokens, verdict, seed):
    """A row with these tokens and made-up numbers."""
    dice, size, value, values = random.Random(seed), len(tokens), 0.5, []
    for _ in tokens:
        value = min(0.99, max(0.01, value + dice.gauss(0, 0.03)))
        values.append(value)
    logprobs = [-abs(dice.gauss(0, 0.8)) for _ in tokens]
    return {
        **base, "response": "".join(tokens), "verdict": verdict, "response_tokens": size, "token": tokens, "token_id": list(range(size)),
        "logprob": logprobs, "sampler_logprob": logprobs, "value": values, "advantage": [dice.gauss(0, 1) for _ in tokens],
        "return": [float(verdict == "right")] * size, "entropy": [abs(dice.gauss(0, 0.5)) for _ in tokens],
        "ratio": [math.exp(dice.gauss(0, 0.1)) for _ in tokens], "clip": [dice.choice(["none"] * 20 + ["low", "high"]) for _ in tokens],
        "first_wrong_token": size // 3 if verdict == "wrong" else None,
    }


def hostile(source, target):
    copy_without_records(source, target)
    rows = [row for row in records(source) if row["step"] == 10]
    for row in rows:
        row.pop("row")
    dice = random.Random(3)
    made = [response(rows[index], [dice.choice(HOSTILE) for _ in range(60)], ["right", "wrong"][index % 2], index) for index in range(8)]
    made.append({**response(rows[8], ["x" * 1_000_000, "\n", "y"], "malformed", 8), "reason": "<b>none</b>\u202e"})
    words = [" seven", " and", " three", " is", " carried", "\n", " so", "be", "fore"]
    made.append(response(rows[9], [dice.choice(words) for _ in range(10_000)], "wrong", 9))
    write_records(source, target, 10, made)
    return made


def damaged(source, target):
    """Half a line of metrics, and half a file of records."""
    copy_without_records(source, target)
    with (target / "metrics.jsonl").open("a") as file:
        file.write('{"training/global_step": 11, "actor/ent')
    for path in (source / "rollouts").glob("*.parquet"):
        shutil.copy(path, target / "rollouts" / path.name)
    broken = target / "rollouts" / "step-000009.parquet"
    broken.write_bytes(broken.read_bytes()[:2000])


def large(source, target, steps=400):
    """About 10^5 rollouts."""
    copy_without_records(source, target)
    rows = [{key: value for key, value in row.items() if key != "row"} for row in records(source) if row["step"] > 2]
    rows = (rows * (256 // len(rows) + 1))[:256]
    schema = parquet.read_schema(next((source / "rollouts").glob("*.parquet")))
    table = pyarrow.Table.from_pylist(rows, schema=schema)
    for step in range(1, steps + 1):
        steps_column = pyarrow.array([step] * len(rows), schema.field("step").type)
        moved = table.set_column(schema.get_field_index("step"), schema.field("step"), steps_column)
        parquet.write_table(moved, target / "rollouts" / f"step-{step:06}.parquet", compression="zstd")
    return steps * len(rows)


def mixed_group(rows):
    """The last group with right and wrong answers, or the last one."""
    groups = {}
    for row in rows:
        groups.setdefault((row["step"], row["prompt_id"]), []).append(row)
    mixed = [group for group in groups.values() if len({row["verdict"] for row in group}) > 1]
    return (mixed or list(groups.values()))[-1]


def study(program, directory):
    """A small study; returns its report."""
    directory.mkdir()
    file = directory.parent.parent / "small.toml"
    settings = "\n".join(setting.replace("=all", '="all"') for setting in COMMON)
    file.write_text(f"""
name = "small"
about = "Does a critic help <b>here</b>?"
seeds = 2
[settings]
run.steps = 4
{settings}
[[arms]]
name = "grpo"
set.algorithm.preset = "grpo"
[[arms]]
name = "vapo"
set.algorithm.preset = "vapo"
set.value_pretraining = {{ steps = 1, prompts_per_step = 8 }}
""")
    subprocess.run([program, "ablate", file, "--out", directory], check=True, stdout=subprocess.DEVNULL, timeout=600)
    return json.loads((directory / "report.json").read_text())
