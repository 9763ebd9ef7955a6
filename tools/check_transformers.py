"""Checks that a checkpoint written by vapo loads in transformers.

    python tools/check_transformers.py runs/NAME/checkpoints/step-000100/policy [--prompt TEXT] [--tokens N] [--same-as DIR]
    python tools/check_transformers.py runs/NAME/checkpoints/step-000100/critic [--prompt TEXT]

Prints one line: architecture, number of parameters, and the greedy continuation of the prompt (policy) or the value after each of
its tokens (critic). Fails if a tensor is missing, unexpected or has the wrong shape. Without a tokenizer, the prompt is the tokens 0 to 7.
With `--same-as`, also fails if the logits of the prompt's tokens are not those of the model in DIR, within 1e-5.
"""

import argparse
import json
from pathlib import Path

import torch
import transformers
from transformers import AutoModelForCausalLM, AutoModelForTokenClassification, AutoTokenizer

import critic_classes


def load(directory):
    architecture = json.loads((directory / "config.json").read_text())["architectures"][0]
    is_critic = architecture.endswith("ForTokenClassification")
    kind = AutoModelForTokenClassification if is_critic else AutoModelForCausalLM
    model, report = kind.from_pretrained(directory, dtype=torch.float32, output_loading_info=True)
    faults = {key: sorted(map(str, names)) for key, names in report.items() if names}
    if faults:
        raise SystemExit(f"{directory}: {architecture} does not fit the file: {faults}")
    return architecture, is_critic, model.eval()


def prompt_tokens(directory, text):
    """Token ids of the prompt `[1, T]`, and a function that turns ids back into text."""
    if not (directory / "tokenizer.json").exists():
        return torch.arange(8)[None], lambda ids: " ".join(map(str, ids.tolist()))
    words = AutoTokenizer.from_pretrained(directory)
    return torch.tensor([words.encode(text, add_special_tokens=False)]), words.decode


def compare(logits, tokens, directory):
    _, _, other = load(directory)
    difference = (logits - other(input_ids=tokens).logits).abs().max().item()
    if difference > 1e-5:
        raise SystemExit(f"logits differ from those of {directory} by {difference:.1e}")


@torch.no_grad()
def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("directory", type=Path)
    parser.add_argument("--prompt", default="1+1=")
    parser.add_argument("--tokens", type=int, default=32, help="at most this many new tokens")
    parser.add_argument("--same-as", type=Path, metavar="DIR", help="a model that must have the same logits")
    arguments = parser.parse_args()
    critic_classes.add_missing()
    transformers.utils.logging.disable_progress_bar()

    architecture, is_critic, model = load(arguments.directory)
    tokens, decode = prompt_tokens(arguments.directory, arguments.prompt)
    logits = model(input_ids=tokens).logits
    if arguments.same_as:
        compare(logits, tokens, arguments.same_as)
    if is_critic:
        shown = "values " + " ".join(f"{value:.4f}" for value in logits[0, :, 0].tolist())
    else:
        out = model.generate(tokens, attention_mask=torch.ones_like(tokens), do_sample=False, max_new_tokens=arguments.tokens)
        shown = f"{decode(tokens[0])!r} -> {decode(out[0, tokens.shape[1]:])!r}"
    print(f"{architecture}, {sum(p.numel() for p in model.parameters()):,} parameters, {shown}")


if __name__ == "__main__":
    main()
