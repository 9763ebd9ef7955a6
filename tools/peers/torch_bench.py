"""The PyTorch side of `vapo bench`: the same shapes and the same work with transformers, on a CPU.

    python tools/peers/torch_bench.py [--shape m1 m2] [--work train generate static] [--threads 1] [--seconds 20]

Shapes (float32, random weights, tied head):
    m1   vocab 512, width 256, 6 layers, 4 heads of 64, 2 kv heads, ffn 704
    m2   SmolLM2-135M: vocab 49152, width 576, 30 layers, 9 heads of 64, 3 kv heads, ffn 1536
Work:
    train      forward, loss = -mean(w_t logprob(target_t)), backward, fused AdamW; sdpa attention; m1 32 x 256 tokens, m2 4 x 128
    generate   sampling at temperature 1 with transformers' `generate()`; m1 batch 64, prompt 32, 224 new tokens, m2 batch 16, prompt 32, 32 new
    static     the same sampling with a hand-written loop and a preallocated cache

Each pair of shape and work runs in a separate process and prints one JSON object:
{"shape", "work", "threads", "tokens_per_cpu_s", "tokens_per_s", "tokens", "peak_rss_mb"}. CPU seconds are user plus system time of all threads;
generation counts the new tokens and includes the prefill. One untimed round comes first.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import time

SHAPES = {
    "m1": dict(vocab_size=512, hidden_size=256, num_hidden_layers=6, num_attention_heads=4, num_key_value_heads=2,
               intermediate_size=704, max_position_embeddings=512),
    "m2": dict(vocab_size=49152, hidden_size=576, num_hidden_layers=30, num_attention_heads=9, num_key_value_heads=3,
               intermediate_size=1536, max_position_embeddings=8192, rope_parameters={"rope_type": "default", "rope_theta": 100000.0}),
}
TRAIN = {"m1": (32, 256), "m2": (4, 128)}  # sequences, tokens of each
GENERATE = {"m1": (64, 32, 224), "m2": (16, 32, 32)}  # sequences, prompt tokens, new tokens
WORKS = ["train", "generate", "static"]


def build(shape):
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(0)
    config = LlamaConfig(head_dim=64, tie_word_embeddings=True, attn_implementation="sdpa", eos_token_id=None, bos_token_id=None,
                         pad_token_id=0, **SHAPES[shape])
    return LlamaForCausalLM(config)


def train(shape):
    """A function that performs one update and returns the number of tokens it trained on."""
    import torch

    sequences, length = TRAIN[shape]
    model = build(shape).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, fused=True)
    tokens = torch.randint(0, model.config.vocab_size, (sequences, length + 1))
    weights = torch.randn(sequences, length)

    def step():
        logits = model(input_ids=tokens[:, :-1], use_cache=False).logits
        negative_logp = torch.nn.functional.cross_entropy(logits.flatten(0, 1), tokens[:, 1:].flatten(), reduction="none")
        (weights.flatten() * negative_logp).mean().backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        return sequences * length

    return step


def generate(shape):
    """A function that samples one batch and returns the number of new tokens."""
    import torch

    sequences, prompt_length, new_tokens = GENERATE[shape]
    model = build(shape).eval()
    prompt = torch.randint(0, model.config.vocab_size, (sequences, prompt_length))

    @torch.no_grad()
    def step():
        out = model.generate(prompt, attention_mask=torch.ones_like(prompt), do_sample=True, temperature=1.0, top_k=0, top_p=1.0,
                             max_new_tokens=new_tokens)
        assert out.shape == (sequences, prompt_length + new_tokens)
        return sequences * new_tokens

    return step


def static(shape):
    """Like `generate`, with a specialized forward pass: fused projections, one preallocated cache, no masks after the prompt."""
    import torch
    from torch.nn.functional import linear, rms_norm, scaled_dot_product_attention, silu

    sequences, prompt_length, new_tokens = GENERATE[shape]
    total = prompt_length + new_tokens
    model = build(shape).eval()
    config, trunk = model.config, model.model
    heads, kv_heads, head_dim = config.num_attention_heads, config.num_key_value_heads, config.head_dim
    layers = [
        (torch.cat([layer.self_attn.q_proj.weight, layer.self_attn.k_proj.weight, layer.self_attn.v_proj.weight]).detach(),
         torch.cat([layer.mlp.gate_proj.weight, layer.mlp.up_proj.weight]).detach(), layer)
        for layer in trunk.layers
    ]
    keys, values = (torch.zeros(len(layers), sequences, kv_heads, total, head_dim) for _ in range(2))
    cos, sin = (t[0] for t in trunk.rotary_emb(keys, torch.arange(total)[None]))
    prompt = torch.randint(0, config.vocab_size, (sequences, prompt_length))

    def rotate(x, start):
        end = start + x.shape[2]
        first, second = x.chunk(2, dim=-1)
        return x * cos[start:end] + torch.cat((-second, first), dim=-1) * sin[start:end]

    def norm(x, layer_norm):
        return rms_norm(x, (config.hidden_size,), layer_norm.weight, config.rms_norm_eps)

    def last_logits(tokens, start):
        count = tokens.shape[1]
        end = start + count
        x = trunk.embed_tokens(tokens)
        for i, (qkv, gate_up, layer) in enumerate(layers):
            projected = linear(norm(x, layer.input_layernorm), qkv).view(sequences, count, heads + 2 * kv_heads, head_dim).transpose(1, 2)
            query, key, value = projected.split([heads, kv_heads, kv_heads], dim=1)
            keys[i, :, :, start:end] = rotate(key, start)
            values[i, :, :, start:end] = value
            attended = scaled_dot_product_attention(
                rotate(query, start), keys[i, :, :, :end], values[i, :, :, :end], is_causal=count > 1, enable_gqa=True)
            x = x + linear(attended.transpose(1, 2).reshape(sequences, count, heads * head_dim), layer.self_attn.o_proj.weight)
            gate, up = linear(norm(x, layer.post_attention_layernorm), gate_up).chunk(2, dim=-1)
            x = x + linear(silu(gate) * up, layer.mlp.down_proj.weight)
        return linear(norm(x[:, -1], trunk.norm), model.lm_head.weight)

    @torch.no_grad()
    def step():
        tokens, start = prompt, 0
        for _ in range(new_tokens):
            logits = last_logits(tokens, start)
            start += tokens.shape[1]
            tokens = torch.multinomial(logits.softmax(-1), 1)
        return sequences * new_tokens

    with torch.no_grad():
        assert torch.allclose(last_logits(prompt, 0), model(prompt).logits[:, -1], atol=1e-4)
    return step


def cpu_seconds():
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def measure(shape, work, threads, seconds):
    """Runs rounds of the work until `seconds` of wall time have passed."""
    import torch

    torch.set_num_threads(threads)
    step = {"train": train, "generate": generate, "static": static}[work](shape)
    step()
    tokens, cpu, wall = 0, cpu_seconds(), time.monotonic()
    while tokens == 0 or time.monotonic() - wall < seconds:
        tokens += step()
    cpu, wall = cpu_seconds() - cpu, time.monotonic() - wall
    peak_kb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return {"shape": shape, "work": work, "threads": threads, "tokens_per_cpu_s": round(tokens / cpu, 1),
            "tokens_per_s": round(tokens / wall, 1), "tokens": tokens, "peak_rss_mb": round(peak_kb * 1024 / 1e6)}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shape", nargs="+", choices=list(SHAPES), default=list(SHAPES))
    parser.add_argument("--work", nargs="+", choices=WORKS, default=WORKS)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=20, help="wall time of each measurement, at least one round")
    arguments = parser.parse_args()
    pairs = [(shape, work) for shape in arguments.shape for work in arguments.work]
    if len(pairs) == 1:
        print(json.dumps(measure(*pairs[0], arguments.threads, arguments.seconds)))
        return
    # Thread pools of other libraries read their size at startup.
    environment = {**os.environ, "OMP_NUM_THREADS": str(arguments.threads), "MKL_NUM_THREADS": str(arguments.threads)}
    for shape, work in pairs:
        subprocess.run([sys.executable, __file__, "--shape", shape, "--work", work, "--threads", str(arguments.threads),
                        "--seconds", str(arguments.seconds)], env=environment, check=True)


if __name__ == "__main__":
    main()
