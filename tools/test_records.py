"""Trains a small run and reads its records with DuckDB, polars and pandas: python3 tools/test_records.py target/release/vapo

Checks numbers of rows, types, lengths of lists and values against metrics.jsonl, and that the three agree on a query.
Needs duckdb, polars, pandas and pyarrow.
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

import duckdb
import pandas
import polars

SETTINGS = [
    "run.steps=3", "rollout.prompts_per_step=6", "rollout.group_size=4", "rollout.max_new_tokens=48", "run.threads=1",
    "algorithm.minibatches_per_epoch=3", "policy_optimizer.learning_rate=3e-3", "policy_optimizer.warmup_updates=0",
    "value_pretraining.steps=1", "value_pretraining.prompts_per_step=8", "eval.problems=2", "eval.samples=1",
    "records.every=1", "records.groups=all",
]
LISTS = {
    "token_id": "INTEGER[]", "token": "VARCHAR[]", "logprob": "FLOAT[]", "sampler_logprob": "FLOAT[]", "value": "FLOAT[]",
    "advantage": "FLOAT[]", "return": "FLOAT[]", "entropy": "FLOAT[]", "ratio": "FLOAT[]", "clip": "VARCHAR[]",
}
COLUMNS = {
    "step": "BIGINT", "prompt_id": "BIGINT", "problem": "BIGINT", "data_source": "VARCHAR", "prompt": "VARCHAR",
    "response": "VARCHAR", "answer": "VARCHAR", "extracted_answer": "VARCHAR", "verdict": "VARCHAR", "reason": "VARCHAR",
    "score": "FLOAT", "scores": "MAP(VARCHAR, FLOAT)", "reward": "FLOAT", "stop_reason": "VARCHAR", "prompt_tokens": "INTEGER",
    "response_tokens": "INTEGER", "lambda": "DOUBLE", "first_wrong_token": "INTEGER", "policy_version": "BIGINT", **LISTS,
}
IN_UPDATES = ["entropy", "ratio", "clip"]


def close(found, expected):
    assert abs(found - expected) < 1e-4, (found, expected)


def check_duckdb(files, rows):
    """Types, lengths, and the figures of each step; returns mean advantage and number of the tokens by clip state."""
    source = f"read_parquet('{files}')"
    types = duckdb.sql(f"DESCRIBE SELECT * FROM {source}").fetchall()
    assert {name: kind for name, kind, *_ in types} == COLUMNS, types
    other_length = " OR ".join(f'len("{name}") <> response_tokens' for name in LISTS)
    assert duckdb.sql(f"SELECT count(*) FROM {source} WHERE {other_length}").fetchall() == [(0,)]
    wrong = duckdb.sql(f"""
        SELECT count(first_wrong_token), count(*), bool_and(verdict <> 'right' AND first_wrong_token < response_tokens)
        FROM {source} WHERE first_wrong_token IS NOT NULL OR verdict = 'wrong'""").fetchall()
    assert wrong[0][0] > wrong[0][1] / 2 and wrong[0][2], wrong
    by_step = duckdb.sql(f"""
        SELECT step, count(*), avg(reward), avg(response_tokens), count(entropy), list_avg(flatten(list(entropy)))
        FROM {source} GROUP BY step ORDER BY step""").fetchall()
    assert [step for step, *_ in by_step] == [1, 2, 3, 4]
    for step, count, reward, length, updated, entropy in by_step:
        row = rows[step]
        close(reward, row["critic/rewards/mean"])
        close(length, row["response_length/mean"])
        assert (count, updated) == ((8, 0) if step == 1 else (24, 24)), (step, count, updated)
        if updated:
            close(entropy, row["actor/entropy"])
    clipped = duckdb.sql(f"""
        SELECT clip, avg(advantage), count(*)
        FROM (SELECT unnest(clip) AS clip, unnest(advantage) AS advantage FROM {source} WHERE step > 1)
        GROUP BY clip""").fetchall()
    return {clip: (advantage, count) for clip, advantage, count in clipped}


def check_polars(files):
    table = polars.read_parquet(files)
    assert set(table.columns) == set(COLUMNS)
    kinds = {"INTEGER[]": polars.Int32, "FLOAT[]": polars.Float32, "VARCHAR[]": polars.String}
    for name, kind in LISTS.items():
        assert table.schema[name] == polars.List(kinds[kind]), (name, table.schema[name])
        present = table.filter(polars.col(name).is_not_null())
        assert len(present) == len(table) - (8 if name in IN_UPDATES else 0), name
        assert (present[name].list.len() == present["response_tokens"]).all(), name
    tokens = table.filter(polars.col("step") > 1).select("clip", "advantage").explode("clip", "advantage")
    means = tokens.group_by("clip").agg(polars.col("advantage").cast(polars.Float64).mean(), polars.len())
    return {clip: (advantage, count) for clip, advantage, count in means.iter_rows()}


def check_pandas(paths):
    table = pandas.concat([pandas.read_parquet(path) for path in paths], ignore_index=True)
    assert set(table.columns) == set(COLUMNS)
    assert (table["token_id"].map(len) == table["response_tokens"]).all()
    tokens = table.loc[table["step"] > 1, ["clip", "advantage"]].explode(["clip", "advantage"])
    means = tokens.astype({"advantage": "float64"}).groupby("clip")["advantage"].agg(["mean", "size"])
    return {clip: (advantage, count) for clip, advantage, count in means.itertuples()}


def main(program):
    with tempfile.TemporaryDirectory() as place:
        run = Path(place) / "run"
        arguments = [argument for setting in SETTINGS for argument in ["--set", setting]]
        subprocess.run([program, "train", "--run-dir", run, *arguments], check=True, stdout=subprocess.DEVNULL)
        rows = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
        files = f"{run}/rollouts/*.parquet"
        answers = check_duckdb(files, rows), check_polars(files), check_pandas(sorted((run / "rollouts").iterdir()))
    states = {"none", "low", "high"}
    for name, answer in zip(["DuckDB", "polars", "pandas"], answers):
        assert set(answer) == states, f"{name}: {answer}"
        for state in states:
            assert answer[state][1] == answers[0][state][1], f"{name}: {answer}"
            close(answer[state][0], answers[0][state][0])
    # Only good tokens are clipped at the upper bound, and only bad ones at the lower.
    assert answers[0]["high"][0] > 0 > answers[0]["low"][0], answers[0]
    counts = ", ".join(f"{state} {count} tokens with mean advantage {mean:.3f}" for state, (mean, count) in sorted(answers[0].items()))
    print(f"DuckDB, polars and pandas agree on 4 recorded steps: {counts}")


if __name__ == "__main__":
    main(sys.argv[1])
