"""Compares vapo with transformers in float32: log-probs, greedy text, and the directories that vapo writes.

    python tools/peers/parity.py [DIR ...] [--vapo target/release/vapo] [--train]

Makes random tiny models of each family (untied and tied heads, RoPE scaling, one file and shards, float32, bfloat16 and float16), also takes
given model directories, and prints a line for each: the largest log-prob difference over random texts (`vapo score`), and how many greedy
continuations of 64 tokens are identical (`vapo generate`). With `--train`, vapo also trains each model for a step, and its saved files are compared:
the policy's log-probs and the critic's values, of the directories in a checkpoint. Needs torch and transformers.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import torch
import transformers
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import (AutoModelForCausalLM, AutoModelForTokenClassification, AutoTokenizer, Gemma3TextConfig, LlamaConfig,
                          MinistralConfig, MistralConfig, Olmo2Config, Olmo3Config, Phi3Config, PreTrainedTokenizerFast, Qwen2Config,
                          Qwen3Config, SmolLM3Config)

sys.path.append(str(Path(__file__).resolve().parents[1]))
import critic_classes

GREEDY_TOKENS = 64
PROMPTS = ["Q: What is 3 + 4?\nA:", "The capital of France is", "def add(a, b):\n", "Once upon a time", "1 2 3 4 5", "It's naïve, 東京 🙂:"]
# No token that the tokenizer lacks: vapo would not sample it.
TINY = dict(vocab_size=258, hidden_size=64, intermediate_size=144, num_hidden_layers=3, num_attention_heads=4, num_key_value_heads=2,
            max_position_embeddings=512, bos_token_id=256, eos_token_id=257, pad_token_id=None)
UNTIED = dict(**TINY, tie_word_embeddings=False)
LLAMA3 = {"rope_type": "llama3", "rope_theta": 10000.0, "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
          "original_max_position_embeddings": 64}
YARN = {"rope_type": "yarn", "rope_theta": 10000.0, "factor": 4.0, "original_max_position_embeddings": 128}
LONGROPE = {"rope_type": "longrope", "rope_theta": 10000.0, "partial_rotary_factor": 0.75, "factor": 8.0,
            "short_factor": [1.0, 1.1, 1.3, 1.6, 2.0, 2.5], "long_factor": [2.0] * 6}
RANDOM_MODELS = {  # config, type in the file, largest shard
    "llama": (LlamaConfig(**TINY, tie_word_embeddings=False), torch.float32, "1GB"),
    "llama, tied, llama3 rope": (LlamaConfig(**TINY, tie_word_embeddings=True, rope_parameters=LLAMA3), torch.float32, "1GB"),
    "llama, linear rope, bf16": (LlamaConfig(**TINY, tie_word_embeddings=False, rope_parameters={
        "rope_type": "linear", "rope_theta": 10000.0, "factor": 4.0}), torch.bfloat16, "1GB"),
    "qwen2, shards": (Qwen2Config(**TINY, tie_word_embeddings=False), torch.float32, "100KB"),
    "qwen2, tied, f16": (Qwen2Config(**TINY, tie_word_embeddings=True), torch.float16, "1GB"),
    "qwen3, shards": (Qwen3Config(**TINY, tie_word_embeddings=False, head_dim=32), torch.float32, "100KB"),
    "qwen3, tied": (Qwen3Config(**TINY, tie_word_embeddings=True, head_dim=32), torch.float32, "1GB"),
    "llama, biases, dynamic rope": (LlamaConfig(**UNTIED, attention_bias=True, mlp_bias=True, rope_parameters={
        "rope_type": "dynamic", "rope_theta": 10000.0, "factor": 2.0}), torch.float32, "1GB"),
    "qwen2, yarn": (Qwen2Config(**UNTIED, rope_parameters={**YARN}), torch.float32, "1GB"),
    "qwen2, windows": (Qwen2Config(**UNTIED, use_sliding_window=True, sliding_window=20, max_window_layers=1), torch.float32, "1GB"),
    "mistral, window": (MistralConfig(**UNTIED, head_dim=32, sliding_window=20), torch.float32, "1GB"),
    "ministral": (MinistralConfig(**UNTIED, head_dim=32, sliding_window=20, layer_types=[
        "sliding_attention", "full_attention", "sliding_attention"]), torch.float32, "1GB"),
    "gemma3, bf16": (Gemma3TextConfig(**TINY, head_dim=32, sliding_window=20, sliding_window_pattern=3, query_pre_attn_scalar=24,
                                      rope_parameters={"full_attention": {"rope_type": "linear", "rope_theta": 1e6, "factor": 8.0}}),
                     torch.bfloat16, "1GB"),
    "phi3, shards": (Phi3Config(**UNTIED, sliding_window=20, rope_parameters={
        "rope_type": "default", "rope_theta": 10000.0, "partial_rotary_factor": 0.75}), torch.float32, "100KB"),
    # The original context holds all texts, so transformers divides by the short factors, as vapo does for the whole model.
    "phi3, tied, longrope": (Phi3Config(**TINY, tie_word_embeddings=True, original_max_position_embeddings=512,
                                        rope_parameters={**LONGROPE}), torch.float32, "1GB"),
    "olmo2": (Olmo2Config(**UNTIED), torch.float32, "1GB"),
    "olmo3, yarn": (Olmo3Config(**UNTIED, sliding_window=20, layer_types=["sliding_attention", "full_attention", "sliding_attention"],
                                rope_parameters={"full_attention": {**YARN, "rope_theta": 500000.0}}), torch.float32, "1GB"),
    "smollm3, tied": (SmolLM3Config(**TINY, tie_word_embeddings=True, no_rope_layer_interval=2), torch.float32, "1GB"),
}


def byte_tokenizer(directory):
    """One token per byte, so that random models can read text."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer = Tokenizer(models.BPE(vocab={token: i for i, token in enumerate(alphabet)}, merges=[]))
    tokenizer.pre_tokenizer, tokenizer.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token="<bos>", eos_token="<eos>").save_pretrained(directory)


def make_random(name, directory):
    config, dtype, shard = RANDOM_MODELS[name]
    model = AutoModelForCausalLM.from_config(config)
    with torch.no_grad():
        for parameter_name, parameter in model.named_parameters():
            noise = 0.15 * torch.randn_like(parameter)
            # Norms around their first value: 1, or 0 where 1 is added.
            parameter.copy_(parameter + noise if "norm" in parameter_name else noise)
    model.to(dtype).save_pretrained(directory, max_shard_size=shard)
    byte_tokenizer(directory)


def run(vapo, *arguments):
    result = subprocess.run([vapo, *map(str, arguments)], capture_output=True, text=True)
    if result.returncode != 0:
        raise SystemExit(f"vapo {' '.join(map(str, arguments))}\n{result.stderr}")
    return [json.loads(line) for line in result.stdout.splitlines() if line.startswith("{")]


def random_rows(vocab_size, words):
    """Random tokens of several lengths, and texts."""
    lengths = [(1, 1), (3, 40), (17, 16), (60, 130), (200, 31)]
    rows = [(torch.randint(vocab_size, (p,)).tolist(), torch.randint(vocab_size, (r,)).tolist()) for p, r in lengths]
    return rows + [(words.encode(text, add_special_tokens=False), words.encode(" 7, and so on.", add_special_tokens=False)) for text in PROMPTS]


def write_rows(path, rows):
    path.write_text("".join(json.dumps({"prompt_tokens": p, "response_tokens": r}) + "\n" for p, r in rows))


@torch.no_grad()
def logprobs(model, prompt, response):
    logits = model(input_ids=torch.tensor([prompt + response])).logits[0, len(prompt) - 1:-1]
    return logits.log_softmax(-1).gather(1, torch.tensor(response)[:, None])[:, 0]


@torch.no_grad()
def values(critic, prompt, response):
    return critic(input_ids=torch.tensor([prompt + response])).logits[0, len(prompt) - 1:-1, 0]


def largest_difference(rows, scored, key, reference):
    return max((torch.tensor(row[key]) - reference(*tokens)).abs().max().item() for tokens, row in zip(rows, scored, strict=True))


def load(kind, directory):
    """A model in float32; every tensor in the file must match."""
    model, report = kind.from_pretrained(directory, dtype=torch.float32, output_loading_info=True)
    if faults := {key: sorted(map(str, names)) for key, names in report.items() if names}:
        raise SystemExit(f"{directory} does not fit {kind.__name__}: {faults}")
    return model.eval()


@torch.no_grad()
def same_continuations(vapo, directory, model, words, place):
    arguments = ["--model", directory, "--raw", "--json", "--temperature", 0, "--max-new-tokens", GREEDY_TOKENS, "--set", "rollout.stop_strings=[]"]
    same = 0
    for prompt, ours in zip(PROMPTS, run(vapo, "generate", *arguments, "--file", prompts_file(place)), strict=True):
        tokens = torch.tensor([words.encode(prompt)])
        theirs = model.generate(tokens, attention_mask=torch.ones_like(tokens), do_sample=False, max_new_tokens=GREEDY_TOKENS)
        same += ours["response_tokens"] == theirs[0, tokens.shape[1]:].tolist()
    return same


def prompts_file(directory):
    path = directory / "prompts.jsonl"
    path.write_text("".join(json.dumps({"prompt": prompt}) + "\n" for prompt in PROMPTS))
    return path


def train_a_step(vapo, directory, place):
    """A checkpoint after one step from the model, with changed policy and critic."""
    problems = {name: place / f"{name}.jsonl" for name in ("train", "eval")}
    for b, path in enumerate(problems.values()):
        path.write_text("".join(json.dumps({"problem": f"{a}+{b}=", "answer": str(a + b)}) + "\n" for a in range(8)))
    settings = {
        "model.path": directory, "data.train": problems["train"], "data.eval": problems["eval"], "run.dir": place / "run", "run.steps": 1, "checkpoint.every": 0,
        "rollout.prompts_per_step": 4, "rollout.group_size": 2, "rollout.max_new_tokens": 8, "rollout.slots": 8, "algorithm.minibatches_per_epoch": 1,
        "value_pretraining.steps": 1, "value_pretraining.prompts_per_step": 4, "eval.problems": 2, "eval.samples": 1, "eval.every": 0,
        "policy_optimizer.learning_rate": 1e-4, "policy_optimizer.warmup_updates": 0,
        "critic_optimizer.learning_rate": 1e-3, "critic_optimizer.warmup_updates": 0, "critic.head_std": 0.02, "critic.bound": "none",
    }
    pairs = [part for key, value in settings.items() for part in ("--set", f"{key}={value}")]
    run(vapo, "train", *pairs)
    return sorted((place / "run/checkpoints").iterdir())[-1]


def compare(vapo, directory, train):
    words = AutoTokenizer.from_pretrained(directory)
    model = load(AutoModelForCausalLM, directory)
    with tempfile.TemporaryDirectory() as temporary:
        place = Path(temporary)
        rows = random_rows(model.config.vocab_size, words)
        write_rows(place / "rows.jsonl", rows)

        def score(directory, *more):
            return run(vapo, "score", "--model", directory, "--data", place / "rows.jsonl", *more)

        result = {
            "log-probs": largest_difference(rows, score(directory), "logprobs", lambda p, r: logprobs(model, p, r)),
            "greedy": same_continuations(vapo, directory, model, words, place),
        }
        if train:
            del model
            checkpoint = train_a_step(vapo, directory, place)
            scored = score(checkpoint, "--critic", checkpoint / "critic")
            policy = load(AutoModelForCausalLM, checkpoint / "policy")
            result["saved policy"] = largest_difference(rows, scored, "logprobs", lambda p, r: logprobs(policy, p, r))
            del policy
            critic = load(AutoModelForTokenClassification, checkpoint / "critic")
            result["saved critic"] = largest_difference(rows, scored, "values", lambda p, r: values(critic, p, r))
    return result


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("directories", type=Path, nargs="*", metavar="DIR")
    parser.add_argument("--vapo", default="target/release/vapo")
    parser.add_argument("--train", action="store_true", help="also compare the directories of a checkpoint")
    arguments = parser.parse_args()
    transformers.utils.logging.disable_progress_bar()
    transformers.utils.logging.set_verbosity_error()
    critic_classes.add_missing()
    torch.manual_seed(0)
    worst = 0.0
    with tempfile.TemporaryDirectory() as temporary:
        directories = {}
        for name in RANDOM_MODELS:
            directories[name] = Path(temporary) / name.replace(", ", "-").replace(" ", "-")
            make_random(name, directories[name])
        directories |= {path.name: path for path in arguments.directories}
        for name, directory in directories.items():
            result = compare(arguments.vapo, directory, arguments.train)
            shown = [f"{key} {value:.1e}" for key, value in result.items() if key != "greedy"]
            print(f"{name:26} greedy {result['greedy']}/{len(PROMPTS)}  " + "  ".join(shown), flush=True)
            worst = max(worst, *(value for key, value in result.items() if key != "greedy"), result["greedy"] < len(PROMPTS))
    if worst > 1e-4:
        sys.exit("failed: a difference above 1e-4, or another greedy continuation")


if __name__ == "__main__":
    main()
