"""What a checkpoint of SmolLM2-135M's shape costs training: python3 tools/checkpoint_cost.py target/release/vapo [OLD_VAPO]

Makes a model of that shape with random weights and the built-in tokenizer (0.5 GB, in a temporary directory), and trains
policy and critic for a few steps: without checkpoints, with checkpoints for which training waits, and with checkpoints
written beside training, in turn for several rounds. Prints medians in seconds of

  step     a step that saves nothing, in the run without checkpoints
  first    how long training waits for the first checkpoint
  later    how long it waits for the second one, whose copy has its memory already
  in all   how much longer the steps from the first checkpoint to the second take together

An older program (OLD_VAPO) only takes part with its own way of writing. Needs about 7 GB of memory and 4 GB of disk.
"""

import argparse
import json
import random
import statistics
import struct
import subprocess
import tempfile
from pathlib import Path

SHAPE = {"vocab": 49152, "width": 576, "layers": 30, "heads": 9, "kv_heads": 3, "ffn": 1536}
STEPS, EVERY = 13, 6
BASE = Path(__file__).parent.parent / "crates/train/base/chain"
SETTINGS = [
    f"run.steps={STEPS}", "value_pretraining.steps=0", "rollout.prompts_per_step=2", "rollout.group_size=2",
    "rollout.max_new_tokens=16", "algorithm.minibatches_per_epoch=1", "run.check_logps=none", "eval.every=off", "eval.problems=1",
    "eval.samples=1", "eval.max_new_tokens=1", "checkpoint.keep=1", "policy_optimizer.learning_rate=1e-6",
]
WAITING = ["checkpoint.background=false"]
ONLY_NEW = ["checkpoint.keep_best=false", "checkpoint.every_minutes=off"]


def shapes():
    w, heads, kv = SHAPE["width"], SHAPE["heads"], SHAPE["kv_heads"]
    size = w // heads
    yield "model.embed_tokens.weight", [SHAPE["vocab"], w]
    yield "model.norm.weight", [w]
    for layer in range(SHAPE["layers"]):
        at = f"model.layers.{layer}."
        yield at + "input_layernorm.weight", [w]
        yield at + "post_attention_layernorm.weight", [w]
        yield at + "self_attn.q_proj.weight", [heads * size, w]
        yield at + "self_attn.k_proj.weight", [kv * size, w]
        yield at + "self_attn.v_proj.weight", [kv * size, w]
        yield at + "self_attn.o_proj.weight", [w, heads * size]
        yield at + "mlp.gate_proj.weight", [SHAPE["ffn"], w]
        yield at + "mlp.up_proj.weight", [SHAPE["ffn"], w]
        yield at + "mlp.down_proj.weight", [w, SHAPE["ffn"]]


def make_model(directory):
    directory.mkdir()
    for name in ["tokenizer.json", "tokenizer_config.json"]:
        (directory / name).write_bytes((BASE / name).read_bytes())
    config = json.loads((BASE / "config.json").read_text())
    config.update(
        vocab_size=SHAPE["vocab"], hidden_size=SHAPE["width"], intermediate_size=SHAPE["ffn"],
        num_hidden_layers=SHAPE["layers"], num_attention_heads=SHAPE["heads"],
        num_key_value_heads=SHAPE["kv_heads"], head_dim=SHAPE["width"] // SHAPE["heads"], tie_word_embeddings=True,
    )
    (directory / "config.json").write_text(json.dumps(config))
    header, offset = {}, 0
    for name, shape in shapes():
        size = 4 * shape[0] * (shape[1] if len(shape) > 1 else 1)
        header[name] = {"dtype": "F32", "shape": shape, "data_offsets": [offset, offset + size]}
        offset += size
    # The same 64 K normal values again and again: what they are does not change what writing them costs.
    generator = random.Random(0)
    block = struct.pack("<65536f", *(generator.gauss(0, 0.02) for _ in range(65536)))
    ones = struct.pack("<f", 1.0)
    text = json.dumps(header).encode()
    with open(directory / "model.safetensors", "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for name, shape in shapes():
            size = 4 * shape[0] * (shape[1] if len(shape) > 1 else 1)
            values = ones * (size // 4) if "norm" in name else block * (size // len(block) + 1)
            file.write(values[:size])


def seconds(vapo, model, root, settings):
    """Per step: its time, and the time for which it waited for a checkpoint."""
    run = Path(tempfile.mkdtemp(dir=root)) / "run"
    flags = [flag for setting in SETTINGS + settings + [f"model.path={model}"] for flag in ("--set", setting)]
    subprocess.run([vapo, "train", "--run-dir", run, *flags], check=True, stdout=subprocess.DEVNULL)
    rows = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    subprocess.run(["rm", "-r", run.parent], check=True)
    return [(row["timing_s/step"], row.get("timing_s/save_checkpoint") or 0.0) for row in rows[1:]]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("vapo")
    parser.add_argument("old", nargs="?")
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()
    every = f"checkpoint.every={EVERY}"
    ways = {
        "waiting": (args.vapo, [every] + WAITING + ONLY_NEW),
        "beside training": (args.vapo, [every] + ONLY_NEW),
    }
    if args.old:
        ways["older program"] = (args.old, [every])
    results = {name: ([], [], []) for name in ways}
    plain = []
    with tempfile.TemporaryDirectory() as root:
        make_model(Path(root) / "model")
        for _ in range(args.rounds):
            steps = seconds(args.vapo, Path(root) / "model", root, ["checkpoint.every=off"] + ONLY_NEW)
            step = statistics.median(time for time, _ in steps[:-1])
            plain.append(step)
            for name, (vapo, settings) in ways.items():
                steps = seconds(vapo, Path(root) / "model", root, settings)
                first, later, in_all = results[name]
                first.append(steps[EVERY - 1][1])
                later.append(steps[2 * EVERY - 1][1])
                cycle = steps[EVERY : 2 * EVERY - 1]
                in_all.append(steps[EVERY - 1][1] + sum(time for time, _ in cycle) - len(cycle) * step)
    print(f"step {statistics.median(plain):.2f} s")
    for name, columns in results.items():
        cells = (f"{title} {statistics.median(values):6.2f} s" for title, values in zip(["first", "later", "in all"], columns))
        print(f"{name:16}", "   ".join(cells))


if __name__ == "__main__":
    main()
