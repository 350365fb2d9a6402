"""Parity fixtures: tiny random-weight models with the logits that Hugging Face transformers computes for them.

    python3 -m venv venv && venv/bin/pip install -r requirements.txt
    venv/bin/python make_fixtures.py              # rewrites fixtures/ beside this file
    venv/bin/python check_fixtures.py             # float64 forward over the GGUF files alone, against the logits

Everything is seeded and the script is deterministic: on one machine it writes the same bytes again (on another CPU the
last bits of the logits may differ). Every model is one folder:

    fixtures/<model>/hf/            config.json, *.safetensors, tokenizer.json, tokenizer_config.json, ...
    fixtures/<model>/model.gguf     the same as GGUF (or model-0000N-of-00003.gguf), as converters write it
    fixtures/<model>/expected.json  prompt, prompt_ids, greedy_ids, dims and how far rounding moves the logits
    fixtures/<model>/logits.f32     raw little-endian float32, (n_prompt, vocab): logits after every prompt token

All of it is float32 with eager attention (so that the sliding window is honoured) and no KV cache: each greedy step is
a full forward. The bf16 and f16 models are stored rounded; their logits come from the rounded weights held in float32.
Weights are redrawn until every greedy step has a clear winner (MIN_MARGIN), the continuation is varied and holds no
special token, so that a correct implementation has no excuse for another token.
"""

import json
import math
import pathlib
import shutil

import gguf
import numpy as np
import safetensors.torch
import torch
from transformers import LlamaForCausalLM, MistralForCausalLM, LlamaConfig, MistralConfig

import make_tokenizers

FIXTURES = pathlib.Path(__file__).parent / "fixtures"
N_GREEDY = 64
MIN_MARGIN = 0.02  # between the best and the second logit of every greedy step; logits have a deviation of about 3
MIN_DISTINCT = 24  # tokens among the greedy ones

PROMPT = "The fox was there, and 128 boats. It's raining:\n  für 3 Äpfel. "

# hidden, layers, heads, kv heads, head_dim, ffn; then what makes the model different. "config" goes into config.json
# as it stands: some models use the older keys (rope_theta, rope_scaling), some the newer rope_parameters.
MODELS = {
    "llama-gqa-untied": dict(dims=(32, 3, 4, 2, 8, 64), config={"rope_theta": 10000.0}),
    "llama-tied": dict(dims=(32, 2, 4, 2, 8, 64), tied=True, config={"rope_theta": 500000.0}),
    "llama3-scaled": dict(
        dims=(32, 2, 2, 1, 16, 64),
        tied=True,
        max_position=320,
        config={
            "rope_theta": 500.0,
            "rope_scaling": {
                "rope_type": "llama3",
                "factor": 8.0,
                "low_freq_factor": 1.0,
                "high_freq_factor": 4.0,
                "original_max_position_embeddings": 40,
            },
        },
    ),
    "llama-linear": dict(
        dims=(32, 2, 4, 2, 8, 64),
        tied=True,
        config={"rope_theta": 10000.0, "rope_scaling": {"type": "linear", "factor": 4.0}},
    ),
    "llama-headdim": dict(
        dims=(32, 2, 4, 2, 24, 64),
        tied=True,
        config={"rope_parameters": {"rope_type": "default", "rope_theta": 10000.0}},
    ),
    "llama-bias": dict(
        dims=(32, 2, 4, 2, 8, 64),
        tied=True,
        bias=True,
        config={"rope_theta": 10000.0, "attention_bias": True, "mlp_bias": True},
    ),
    "mistral-window": dict(dims=(32, 3, 4, 1, 8, 64), config={"rope_theta": 10000.0, "sliding_window": 12}),
    "llama-sharded": dict(dims=(32, 2, 4, 4, 8, 64), shards=3, config={"rope_theta": 10000.0}),
    "llama-bf16": dict(dims=(32, 3, 4, 2, 8, 96), dtype="bfloat16", config={"rope_theta": 10000.0}),
    "llama-f16": dict(
        dims=(64, 2, 4, 2, 16, 96),
        dtype="float16",
        tied=True,
        max_position=320,
        config={
            "rope_parameters": {
                "rope_type": "llama3",
                "rope_theta": 10000.0,
                "factor": 8.0,
                "low_freq_factor": 1.0,
                "high_freq_factor": 4.0,
                "original_max_position_embeddings": 40,
            }
        },
    ),
}
TORCH = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


def hf_config(spec, bundle):
    hidden, layers, heads, kv_heads, head_dim, ffn = spec["dims"]
    mistral = "sliding_window" in spec["config"]
    config = {
        "architectures": ["MistralForCausalLM" if mistral else "LlamaForCausalLM"],
        "model_type": "mistral" if mistral else "llama",
        "bos_token_id": bundle.id(bundle.bos),
        "eos_token_id": bundle.id(bundle.eos),
        "hidden_act": "silu",
        "hidden_size": hidden,
        "intermediate_size": ffn,
        "num_hidden_layers": layers,
        "num_attention_heads": heads,
        "num_key_value_heads": kv_heads,
        "max_position_embeddings": spec.get("max_position", 512),
        "rms_norm_eps": 1e-5,
        "tie_word_embeddings": spec.get("tied", False),
        "vocab_size": bundle.tokenizer.get_vocab_size(),
        "torch_dtype" if "rope_theta" in spec["config"] else "dtype": spec.get("dtype", "float32"),
        **spec["config"],
    }
    if head_dim * heads != hidden:
        config["head_dim"] = head_dim
    return config


def draw_weights(spec, vocab, seed):
    """HF names to float32 arrays. Gains are chosen so that attention is uneven and logits spread."""
    rng = np.random.default_rng(seed)
    hidden, layers, heads, kv_heads, head_dim, ffn = spec["dims"]
    weights = {}

    def matrix(name, rows, cols, gain):
        weights[f"{name}.weight"] = rng.standard_normal((rows, cols)) * gain / math.sqrt(cols)
        if spec.get("bias") and name.startswith("model.layers"):
            weights[f"{name}.bias"] = rng.standard_normal(rows) * 0.2

    def norm(name):
        weights[f"{name}.weight"] = 1 + 0.1 * rng.standard_normal(hidden)

    weights["model.embed_tokens.weight"] = rng.standard_normal((vocab, hidden)) * 0.5
    for i in range(layers):
        layer = f"model.layers.{i}"
        norm(f"{layer}.input_layernorm")
        matrix(f"{layer}.self_attn.q_proj", heads * head_dim, hidden, 1.6)
        matrix(f"{layer}.self_attn.k_proj", kv_heads * head_dim, hidden, 1.6)
        matrix(f"{layer}.self_attn.v_proj", kv_heads * head_dim, hidden, 1.5)
        matrix(f"{layer}.self_attn.o_proj", hidden, heads * head_dim, 1.5)
        norm(f"{layer}.post_attention_layernorm")
        matrix(f"{layer}.mlp.gate_proj", ffn, hidden, 1.5)
        matrix(f"{layer}.mlp.up_proj", ffn, hidden, 1.5)
        matrix(f"{layer}.mlp.down_proj", hidden, ffn, 1.5)
    norm("model.norm")
    if not spec.get("tied"):
        matrix("lm_head", vocab, hidden, 3.0)
    dtype = TORCH[spec.get("dtype", "float32")]
    return {name: torch.from_numpy(w.astype(np.float32)).to(dtype) for name, w in weights.items()}


def write_hf_folder(folder, spec, config, bundle, weights):
    bundle.write_hf(folder)
    (folder / "config.json").write_text(json.dumps(config, indent=1) + "\n")
    generation = {"bos_token_id": config["bos_token_id"], "eos_token_id": [config["eos_token_id"]], "do_sample": False}
    (folder / "generation_config.json").write_text(json.dumps(generation, indent=1) + "\n")
    n_shards = spec.get("shards", 1)
    if n_shards == 1:
        safetensors.torch.save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
        return
    names = list(weights)
    weight_map = {}
    for n in range(n_shards):
        part = names[n * len(names) // n_shards : (n + 1) * len(names) // n_shards]
        file = f"model-{n + 1:05d}-of-{n_shards:05d}.safetensors"
        safetensors.torch.save_file({name: weights[name] for name in part}, folder / file, metadata={"format": "pt"})
        weight_map.update({name: file for name in part})
    total = sum(w.numel() * w.element_size() for w in weights.values())
    index = {"metadata": {"total_size": total}, "weight_map": dict(sorted(weight_map.items()))}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index, indent=1) + "\n")


def load(folder, **overrides):
    """The folder as transformers reads it, all in float32."""
    mistral = json.loads((folder / "config.json").read_text())["model_type"] == "mistral"
    config_class, model_class = (MistralConfig, MistralForCausalLM) if mistral else (LlamaConfig, LlamaForCausalLM)
    config = config_class.from_pretrained(folder)
    for key, value in overrides.items():
        setattr(config, key, value)
    return model_class.from_pretrained(folder, config=config, dtype=torch.float32, attn_implementation="eager").eval()


def logits_of(model, ids):
    return model(torch.tensor([ids]), use_cache=False).logits[0]


def greedy(model, prompt_ids, forbidden):
    """(ids, smallest margin), or None as soon as the model turns out to be unsuitable."""
    ids, smallest = list(prompt_ids), math.inf
    for _ in range(N_GREEDY):
        values, tokens = torch.topk(logits_of(model, ids)[-1], 2)
        token = int(tokens[0])
        smallest = min(smallest, float(values[0] - values[1]))
        if smallest < MIN_MARGIN or token in forbidden:
            return None
        ids.append(token)
    generated = ids[len(prompt_ids) :]
    return (generated, smallest) if len(set(generated)) >= MIN_DISTINCT else None


def permute(w, n_heads):
    """Half-split RoPE rows (HF) to interleaved ones (GGUF "llama"): within a head, row 2j+t = old row t*hd/2 + j."""
    hd = w.shape[0] // n_heads
    return w.reshape(n_heads, 2, hd // 2, *w.shape[1:]).swapaxes(1, 2).reshape(w.shape)


def llama3_divisors(scaling, theta, head_dim):
    """rope_freqs.weight: what each frequency is divided by."""
    factor, original = scaling["factor"], scaling["original_max_position_embeddings"]
    low, high = scaling["low_freq_factor"], scaling["high_freq_factor"]
    divisors = []
    for freq in 1.0 / (theta ** (torch.arange(0, head_dim, 2, dtype=torch.float32) / head_dim)):
        wavelength = 2 * math.pi / float(freq)
        if wavelength < original / high:
            divisors.append(1.0)
        elif wavelength > original / low:
            divisors.append(factor)
        else:
            smooth = (original / wavelength - low) / (high - low)
            divisors.append(1 / ((1 - smooth) / factor + smooth))
    bands = {"kept" if d == 1 else "divided" if d == factor else "between" for d in divisors}
    assert len(bands) == 3, divisors
    return np.array(divisors, np.float32)


GGUF_NAMES = {
    "model.embed_tokens": "token_embd",
    "model.norm": "output_norm",
    "lm_head": "output",
    "input_layernorm": "attn_norm",
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "post_attention_layernorm": "ffn_norm",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
}


def gguf_name(hf_name):
    stem, kind = hf_name.rsplit(".", 1)
    if stem in GGUF_NAMES:
        return f"{GGUF_NAMES[stem]}.{kind}"
    _, _, layer, rest = stem.split(".", 3)
    return f"blk.{layer}.{GGUF_NAMES[rest]}.{kind}"


def write_gguf(folder, name, spec, config, bundle, weights):
    hidden, layers, heads, kv_heads, head_dim, ffn = spec["dims"]
    rope = config.get("rope_parameters") or config.get("rope_scaling") or {}
    theta = rope.get("rope_theta", config.get("rope_theta"))
    rope_type = rope.get("rope_type", rope.get("type", "default"))
    extra = rope_type == "llama3"
    n_files = spec.get("shards", 1)
    per_file = math.ceil((len(weights) + extra) / n_files) if n_files > 1 else 0
    file_type, matrix_type = {
        "float32": (gguf.LlamaFileType.ALL_F32, gguf.GGMLQuantizationType.F32),
        "float16": (gguf.LlamaFileType.MOSTLY_F16, gguf.GGMLQuantizationType.F16),
        "bfloat16": (gguf.LlamaFileType.MOSTLY_BF16, gguf.GGMLQuantizationType.BF16),
    }[spec.get("dtype", "float32")]

    w = gguf.GGUFWriter(folder / "model.gguf", "llama", split_max_tensors=per_file)
    w.add_type("model")
    w.add_name(name)
    w.add_context_length(config["max_position_embeddings"])
    w.add_embedding_length(hidden)
    w.add_block_count(layers)
    w.add_feed_forward_length(ffn)
    w.add_head_count(heads)
    w.add_head_count_kv(kv_heads)
    w.add_layer_norm_rms_eps(config["rms_norm_eps"])
    w.add_vocab_size(config["vocab_size"])
    w.add_rope_dimension_count(head_dim)
    w.add_rope_freq_base(theta)
    if "head_dim" in config:
        w.add_key_length(head_dim)
        w.add_value_length(head_dim)
    if "sliding_window" in config:
        w.add_sliding_window(config["sliding_window"])
    if rope_type == "linear":
        w.add_rope_scaling_type(gguf.RopeScalingType.LINEAR)
        w.add_rope_scaling_factor(rope["factor"])
    w.add_file_type(file_type)
    w.add_quantization_version(gguf.GGML_QUANT_VERSION)
    bundle.add_to_gguf(w)

    if extra:
        w.add_tensor("rope_freqs.weight", llama3_divisors(rope, theta, head_dim))
    for hf_name, tensor in weights.items():
        values = tensor.to(torch.float32).numpy()
        if ".q_proj." in hf_name:
            values = permute(values, heads)
        elif ".k_proj." in hf_name:
            values = permute(values, kv_heads)
        values = np.ascontiguousarray(values)
        kind = matrix_type if values.ndim == 2 else gguf.GGMLQuantizationType.F32
        w.add_tensor(gguf_name(hf_name), gguf.quants.quantize(values, kind), raw_dtype=kind)
    w.write_header_to_file()
    w.write_kv_data_to_file()
    w.write_tensors_to_file()
    w.close()


def relative_error(a, b):
    a, b = a.double(), b.double()
    return float(((a - b) ** 2).sum() / (b**2).sum())


def write_expected(folder, spec, config, bundle, seed, prompt_ids, result, logits, notes):
    greedy_ids, margin = result
    hidden, layers, heads, kv_heads, head_dim, ffn = spec["dims"]
    expected = {
        "about": "What transformers computes for this model; made by make_fixtures.py, keys explained there.",
        "dims": {
            "hidden": hidden,
            "layers": layers,
            "heads": heads,
            "kv_heads": kv_heads,
            "head_dim": head_dim,
            "ffn": ffn,
            "vocab": config["vocab_size"],
            "tied": config["tie_word_embeddings"],
        },
        "weights": spec.get("dtype", "float32"),
        "seed": seed,
        "prompt": PROMPT,
        "prompt_ids": prompt_ids,
        "greedy_ids": greedy_ids,
        "greedy_text": bundle.tokenizer.decode(greedy_ids, skip_special_tokens=False),
        "smallest_greedy_margin": margin,
        "logits_shape": list(logits.shape),
        "logits_std": float(logits.std()),
        **notes,
    }
    lines = ",\n".join(f" {json.dumps(k)}: {json.dumps(v)}" for k, v in expected.items())
    (folder / "expected.json").write_text("{\n" + lines + "\n}\n")
    (folder / "logits.f32").write_bytes(logits.numpy().astype("<f4").tobytes())


def make_model(name, spec, bundle, first_seed):
    folder = FIXTURES / name
    hf = folder / "hf"
    config = hf_config(spec, bundle)
    prompt_ids = bundle.tokenizer.encode(PROMPT, add_special_tokens=True).ids
    assert 48 <= len(prompt_ids) <= 64, len(prompt_ids)
    forbidden = {t["id"] for t in json.loads(bundle.tokenizer.to_str())["added_tokens"]}
    for seed in range(first_seed, first_seed + 400):
        weights = draw_weights(spec, config["vocab_size"], seed)
        write_hf_folder(hf, spec, config, bundle, weights)
        model = load(hf)
        result = greedy(model, prompt_ids, forbidden)
        if result:
            break
    else:
        raise RuntimeError(f"{name}: no seed gives a clear and varied continuation")
    greedy_ids, margin = result
    logits = logits_of(model, prompt_ids)
    # How much float32 rounding matters: the same forward with everything but norm, RoPE and softmax in float64.
    noise = relative_error(logits, logits_of(model.double(), prompt_ids))

    notes = {}
    if "sliding_window" in config:
        unbounded = relative_error(logits_of(load(hf, sliding_window=None), prompt_ids), logits)
        assert unbounded > 1e-2, unbounded
        notes["nmse_without_window"] = unbounded
    if "rope_scaling" in config or config.get("rope_parameters", {}).get("rope_type", "default") != "default":
        theta = config.get("rope_theta") or config["rope_parameters"]["rope_theta"]
        unscaled = relative_error(
            logits_of(load(hf, rope_parameters={"rope_type": "default", "rope_theta": theta}), prompt_ids), logits
        )
        assert unscaled > 1e-2, unscaled
        notes["nmse_without_rope_scaling"] = unscaled

    write_gguf(folder, name, spec, config, bundle, weights)
    notes = {"nmse_float32_against_float64": noise, **notes}
    write_expected(folder, spec, config, bundle, seed, prompt_ids, result, logits, notes)
    print(
        f"{name:17} seed {seed} prompt {len(prompt_ids)} margin {margin:.4f} distinct {len(set(greedy_ids))} "
        f"logit std {float(logits.std()):.2f} {notes}"
    )


@torch.no_grad()
def main():
    torch.set_num_threads(1)
    torch.set_default_dtype(torch.float32)
    torch.use_deterministic_algorithms(True)
    shutil.rmtree(FIXTURES, ignore_errors=True)
    make_tokenizers.write_all(FIXTURES / "tokenizers")
    llama, mistral = make_tokenizers.llama3(288), make_tokenizers.mistral(400)
    for index, (name, spec) in enumerate(MODELS.items()):
        make_model(name, spec, mistral if "sliding_window" in spec["config"] else llama, 1000 * (index + 1))
    for tokens, name, bundle in (
        ("tiny-llama3", "llama-gqa-untied", llama),
        ("tiny-mistral", "mistral-window", mistral),
    ):
        # The models' own tokenizers; their files lie in the models' folders.
        make_tokenizers.write_tokens(FIXTURES / name / "tokens.json", tokens, bundle)


if __name__ == "__main__":
    main()
