"""Trains a small run, kills and resumes it, and reads it with TensorBoard: python3 tools/test_tensorboard.py target/release/vapo

Compares every scalar with metrics.jsonl, histograms with the records (Parquet), texts as TensorBoard shows them with records
and evaluations, and looks for steps that are there twice, in the files and in a reader that was open meanwhile.
Needs tensorboard and duckdb.
"""

import json
import signal
import subprocess
import sys
import tempfile
import time
from html.parser import HTMLParser
from pathlib import Path

import duckdb
import numpy
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.backend.event_processing.event_file_loader import RawEventFileLoader
from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.plugin_util import markdown_to_safe_html

STEPS = 9
SETTINGS = [
    f"run.steps={STEPS - 1}", "rollout.prompts_per_step=6", "rollout.group_size=4", "rollout.max_new_tokens=48",
    "run.threads=1", "algorithm.minibatches_per_epoch=3", "policy_optimizer.learning_rate=3e-3",
    "policy_optimizer.warmup_updates=0", "value_pretraining.steps=1", "value_pretraining.prompts_per_step=8",
    "eval.problems=4", "eval.samples=2", "eval.every=4", "checkpoint.every=4", "records.every=1", "records.groups=all",
]
COLUMNS = {
    "rollouts/advantage": "unnest(advantage)", "rollouts/value": "unnest(value)", "rollouts/ratio": "unnest(ratio)",
    "rollouts/response_tokens": "response_tokens",
}
HOSTILE = [
    "<script>alert(1)</script>", "</pre></code><img src=x onerror=alert(1)>", "x\n```\nout\n```\n~~~\n# head", "x\n\n\n# head\n* item",
    "&lt; &amp; &#60;", "[a](javascript:x) ![i](http://x/y.png) <http://x>", "x\n<div>\n\ny\n</div>", "x\n<!-- y\n-->",
    "a|b\n-|-\n1|2", "[1]: http://x\n[1]", "    deep\nx", "<?php ?> <![CDATA[ x ]]>",
]


class Blocks(HTMLParser):
    """The texts of the blocks of code in a page, and the names of all tags."""

    def __init__(self, html):
        super().__init__()
        self.texts, self.tags, self.is_inside = [], set(), False
        self.feed(html)

    def handle_starttag(self, tag, attributes):
        self.tags.add(tag)
        if tag == "pre":
            self.is_inside = True
            self.texts.append("")

    def handle_endtag(self, tag):
        if tag == "pre":
            self.is_inside = False

    def handle_data(self, data):
        if self.is_inside:
            self.texts[-1] += data


def shown(markdown):
    """What TensorBoard shows of a sample: its texts, without space around them."""
    blocks = Blocks(markdown_to_safe_html(markdown))
    assert blocks.tags <= {"p", "strong", "pre", "code"}, blocks.tags
    return [text.strip() for text in blocks.texts]


def start(program, *arguments):
    return subprocess.Popen([program, *arguments], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def rows_of(run):
    path = run / "metrics.jsonl"
    text = path.read_text() if path.exists() else ""
    return [json.loads(line) for line in text.splitlines(keepends=True) if line.endswith("\n")]


def reader(run):
    """A reader that keeps everything."""
    kinds = ["scalars", "histograms", "tensors", "compressedHistograms"]
    return EventAccumulator(str(run / "tensorboard"), size_guidance={kind: 0 for kind in kinds})


def train(program, run):
    """Trains with a kill after step 6; returns a reader that was open all the time."""
    process = start(program, "train", "--run-dir", run, *(part for setting in SETTINGS for part in ["--set", setting]))
    while len(rows_of(run)) < 7:
        assert process.poll() is None, "the run ended before it could be killed"
        time.sleep(0.002)
    process.send_signal(signal.SIGKILL)
    process.wait()
    (file,) = (run / "tensorboard").iterdir()
    with open(file, "ab") as half:
        half.write(file.read_bytes()[:50])
    watching = reader(run)
    watching.Reload()
    assert steps(watching, "training/global_step")[-1] >= 5, "there is something to cut"
    assert start(program, "resume", run).wait() == 0
    watching.Reload()
    return watching


def steps(accumulator, tag):
    return [event.step for event in accumulator.Scalars(tag)]


def check_scalars(accumulator, rows):
    tags = {key for row in rows for key, value in row.items() if isinstance(value, (int, float))}
    assert set(accumulator.Tags()["scalars"]) == tags
    for tag in tags:
        expected = [(row["training/global_step"], numpy.float32(row[tag])) for row in rows if row.get(tag) is not None]
        found = [(event.step, numpy.float32(event.value)) for event in accumulator.Scalars(tag)]
        assert found == expected, (tag, found, expected)
    return len(tags)


def check_histograms(accumulator, files):
    assert set(accumulator.Tags()["histograms"]) == set(COLUMNS)
    for tag, column in COLUMNS.items():
        rows = duckdb.sql(f"""
            SELECT step, count(x), min(x), max(x), sum(x), sum(x * x)
            FROM (SELECT step, CAST({column} AS DOUBLE) AS x FROM read_parquet('{files}'))
            WHERE x IS NOT NULL GROUP BY step ORDER BY step""").fetchall()
        events = accumulator.Histograms(tag)
        assert [event.step for event in events] == [step for step, *_ in rows], tag
        for event, (_, *expected) in zip(events, rows):
            value = event.histogram_value
            found = [value.num, value.min, value.max, value.sum, value.sum_squares]
            numpy.testing.assert_allclose(found, expected, rtol=1e-9, err_msg=tag)
            assert sum(value.bucket) == value.num and len(value.bucket) in (1, 30), value
            assert value.bucket_limit[-1] == value.max and value.bucket_limit == sorted(value.bucket_limit), value


def text_events(accumulator, tag):
    return {event.step: event.tensor_proto.string_val[0].decode() for event in accumulator.Tensors(tag)}


def check_texts(accumulator, run, files):
    samples = text_events(accumulator, "samples/training")
    rows = duckdb.sql(f"""
        SELECT step, first(verdict), first(prompt), first(response), first(answer), first(response_tokens)
        FROM (SELECT * FROM read_parquet('{files}', file_row_number = true) WHERE file_row_number = 0)
        GROUP BY step ORDER BY step""").fetchall()
    assert list(samples) == [step for step, *_ in rows] == list(range(1, STEPS + 1))
    for step, verdict, *texts, tokens in rows:
        assert samples[step].startswith(f"**{verdict}**, {tokens} tokens\n"), samples[step]
        assert shown(samples[step]) == [text.strip() for text in texts], (samples[step], texts)
    for path in sorted((run / "eval").iterdir()):
        problems = [json.loads(line) for line in path.read_text().splitlines()]
        answers = [(problem, sample) for problem in problems for sample in problem["samples"]]
        for tag, verdicts in [("held_out_right", ["right"]), ("held_out_wrong", ["wrong", "malformed"])]:
            found = text_events(accumulator, f"samples/{tag}").get(int(path.stem.split("-")[1]))
            expected = next((answer for answer in answers if answer[1]["verdict"] in verdicts), None)
            assert (found is None) == (expected is None), (path, tag)
            if expected:
                problem, sample = expected
                assert found.startswith(f"**{sample['verdict']}**, {sample['tokens']} tokens\n"), found
                assert shown(found) == [text.strip() for text in (problem["prompt"], sample["response"], problem["answer"])]
    return samples[1]


def check_hostile(sample):
    """A sample with other texts in place of its own is shown literally."""
    heading, *_ = sample.split("\n\n")
    for text in HOSTILE:
        block = "\n".join("    " + line for line in text.split("\n"))
        names = ["Prompt", "Response", "Reference answer"]
        markdown = "\n\n".join([heading, *(f"{name}\n\n{block}" for name in names)])
        assert shown(markdown) == [text.strip()] * 3, markdown


def check_files(run):
    """Every step is there once, in order, in both files; returns bytes per step."""
    paths = sorted((run / "tensorboard").iterdir())
    assert len(paths) == 2, paths
    seen = []
    for path in paths:
        events = [Event.FromString(event) for event in RawEventFileLoader(str(path)).Load()]
        assert events[0].file_version == "brain.Event:2"
        seen += [(event.step, event.summary.value[0].tag) for event in events if event.HasField("summary")]
    numbers = [step for step, _ in seen]
    assert numbers == sorted(numbers) and len(set(seen)) == len(seen), seen
    return sum(path.stat().st_size for path in paths) / STEPS


def check_watching(watching, accumulator):
    """A reader that was open all the time has nothing twice but the scalars of the checkpoint's step."""
    for tag in accumulator.Tags()["scalars"]:
        found = steps(watching, tag)
        assert found == sorted(found) and set(found) == set(steps(accumulator, tag)) and len(found) <= len(set(found)) + 1, (tag, found)
    for tag in COLUMNS:
        assert [event.step for event in watching.Histograms(tag)] == [event.step for event in accumulator.Histograms(tag)], tag


def main(program):
    with tempfile.TemporaryDirectory() as place:
        run = Path(place) / "run"
        watching = train(program, run)
        rows, files = rows_of(run), f"{run}/rollouts/*.parquet"
        assert [row["training/global_step"] for row in rows] == list(range(STEPS + 1))
        accumulator = reader(run)
        accumulator.Reload()
        tags = check_scalars(accumulator, rows)
        check_histograms(accumulator, files)
        check_hostile(check_texts(accumulator, run, files))
        size = check_files(run)
        check_watching(watching, accumulator)
        subprocess.run([program, "doctor", run], check=True, stdout=subprocess.DEVNULL)
    print(f"TensorBoard reads {tags} scalars, {len(COLUMNS)} histograms and 3 texts of {STEPS} steps, {size:.0f} bytes per step")


if __name__ == "__main__":
    main(sys.argv[1])
