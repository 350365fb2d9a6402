"""GPTQ and AWQ fixtures: tiny folders as AutoGPTQ and AutoAWQ write them, with what their dequantised twins compute.

    venv/bin/python make_four_bit.py      # rewrites four_bit/ beside this file; the venv of make_fixtures.py

Each folder four_bit/<model>/ holds the model, expected.json (prompt, prompt_ids, greedy_ids) and logits.f32, which
transformers computes in float32 for the llama model whose matrices are scale * (code - zero), rounded nowhere. Only
numpy and torch make the layers, straight from the two formats' definitions:

    GPTQ  qweight (in/8, out) holds 8 inputs a word; zeros less one in the first version; g_idx names an input's group
    AWQ   qweight (in, out/8) holds 8 outputs a word, in the order 0 2 4 6 1 3 5 7; zeros as they are
"""

import json
import pathlib
import shutil

import numpy as np
import safetensors.torch
import torch
from transformers import LlamaConfig, LlamaForCausalLM

import make_fixtures
import make_tokenizers

FOLDER = pathlib.Path(__file__).parent / "four_bit"
DIMS = dict(hidden=128, heads=4, kv_heads=2, ffn=256)
AWQ_ORDER = [0, 2, 4, 6, 1, 3, 5, 7]

MODELS = {
    # As the first files were: symmetric, described beside config.json, groups in order, no g_idx.
    "gptq-symmetric": dict(method="gptq", group=32, symmetric=True, beside=True),
    # Inputs sorted by importance, a zero of 16 among the others.
    "gptq-act-order": dict(method="gptq", group=64, act_order=True),
    "gptq-v2-act-order": dict(method="gptq", group=128, act_order=True, version2=True),
    "awq-64": dict(method="awq", group=64),
    # All inputs of a layer in one group; one layer left as it was.
    "awq-whole-rows": dict(method="awq", group=-1, floats="self_attn.o_proj"),
}


def pack(codes, axis, order=range(8)):
    """Eight 4-bit codes along an axis to one int32."""
    codes = np.moveaxis(codes.astype(np.uint64), axis, 0)
    words = sum(codes[j::8] << np.uint64(4 * n) for n, j in enumerate(order))
    return torch.from_numpy(np.moveaxis(words, 0, axis).astype(np.uint32).view(np.int32).copy())


def quantise(spec, weight, rng):
    """(stored tensors by their last name, dequantised weight); weight is (out, in)."""
    w = weight.T
    ins, outs = w.shape
    size = ins if spec["group"] == -1 else spec["group"]
    group_of = np.arange(ins) // size
    if spec.get("act_order"):
        group_of = group_of[rng.permutation(ins)]
    n_groups = ins // size
    scales, zeros = np.zeros((n_groups, outs), np.float16), np.zeros((n_groups, outs), np.int64)
    for g in range(n_groups):
        part = w[group_of == g]
        if spec.get("symmetric"):
            scales[g], zeros[g] = np.abs(part).max(0) / 7.5, 8
        else:
            low, high = np.minimum(part.min(0), 0), np.maximum(part.max(0), 0)
            scales[g] = (high - low) / 15
            zeros[g] = np.clip(np.round(-low / scales[g].astype(np.float64)), 1, 15)
    if spec["method"] == "gptq" and not spec.get("symmetric") and not spec.get("version2"):
        zeros[0, ::7] = 16
    s, z = scales[group_of].astype(np.float32), zeros[group_of]
    codes = np.clip(np.round(w / s) + z, 0, 15).astype(np.int64)
    stored = {"scales": torch.from_numpy(scales)}
    if spec["method"] == "awq":
        stored.update(qweight=pack(codes, 1, AWQ_ORDER), qzeros=pack(zeros, 1, AWQ_ORDER))
    else:
        stored.update(qweight=pack(codes, 0), qzeros=pack(zeros - (not spec.get("version2")), 1))
        if not spec.get("beside"):
            stored["g_idx"] = torch.from_numpy(group_of.astype(np.int32))
    return stored, (s * (codes - z)).T.astype(np.float32)


def draw(spec, vocab, seed):
    """(stored tensors, the twin's weights)."""
    rng = np.random.default_rng(seed)
    hidden, kv, ffn = DIMS["hidden"], DIMS["kv_heads"] * DIMS["hidden"] // DIMS["heads"], DIMS["ffn"]
    stored, twin = {}, {}

    def floats(name, values):
        stored[name] = torch.from_numpy(values.astype(np.float16))
        twin[name] = stored[name].float()

    floats("model.embed_tokens.weight", rng.standard_normal((vocab, hidden)) * 0.5)
    for name, rows, cols in (
        ("self_attn.q_proj", hidden, hidden),
        ("self_attn.k_proj", kv, hidden),
        ("self_attn.v_proj", kv, hidden),
        ("self_attn.o_proj", hidden, hidden),
        ("mlp.gate_proj", ffn, hidden),
        ("mlp.up_proj", ffn, hidden),
        ("mlp.down_proj", hidden, ffn),
    ):
        full = f"model.layers.0.{name}"
        values = rng.standard_normal((rows, cols)) * 1.6 / np.sqrt(cols)
        if spec.get("floats") == name:
            floats(f"{full}.weight", values)
            continue
        parts, dequantised = quantise(spec, values, rng)
        stored.update({f"{full}.{part}": tensor for part, tensor in parts.items()})
        twin[f"{full}.weight"] = torch.from_numpy(dequantised)
    for name in ("model.layers.0.input_layernorm", "model.layers.0.post_attention_layernorm", "model.norm"):
        floats(f"{name}.weight", 1 + 0.1 * rng.standard_normal(hidden))
    return stored, twin


def describe(spec):
    if spec["method"] == "awq":
        return {
            "quant_method": "awq",
            "bits": 4,
            "group_size": spec["group"],
            "version": "gemm",
            "zero_point": True,
            "modules_to_not_convert": [spec["floats"].split(".")[-1]] if "floats" in spec else None,
        }
    about = {"bits": 4, "group_size": spec["group"], "desc_act": spec.get("act_order", False)}
    about["sym"] = spec.get("symmetric", False)
    if not spec.get("beside"):
        about.update(quant_method="gptq", checkpoint_format="gptq_v2" if spec.get("version2") else "gptq")
    return about


def make_model(name, spec, bundle, first_seed):
    folder = FOLDER / name
    bundle.write_hf(folder)
    config = {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "bos_token_id": bundle.id(bundle.bos),
        "eos_token_id": bundle.id(bundle.eos),
        "hidden_act": "silu",
        "hidden_size": DIMS["hidden"],
        "intermediate_size": DIMS["ffn"],
        "num_hidden_layers": 1,
        "num_attention_heads": DIMS["heads"],
        "num_key_value_heads": DIMS["kv_heads"],
        "max_position_embeddings": 512,
        "rms_norm_eps": 1e-5,
        "rope_theta": 10000.0,
        "tie_word_embeddings": True,
        "vocab_size": bundle.tokenizer.get_vocab_size(),
        "torch_dtype": "float16",
    }
    prompt_ids = bundle.tokenizer.encode(make_fixtures.PROMPT, add_special_tokens=True).ids
    forbidden = {t["id"] for t in json.loads(bundle.tokenizer.to_str())["added_tokens"]}
    for seed in range(first_seed, first_seed + 400):
        stored, twin = draw(spec, config["vocab_size"], seed)
        model = LlamaForCausalLM._from_config(LlamaConfig(**config), attn_implementation="eager").float().eval()
        model.load_state_dict({**twin, "lm_head.weight": twin["model.embed_tokens.weight"]})
        result = make_fixtures.greedy(model, prompt_ids, forbidden)
        if result:
            break
    else:
        raise RuntimeError(f"{name}: no seed gives a clear and varied continuation")
    if spec.get("beside"):
        (folder / "quantize_config.json").write_text(json.dumps(describe(spec), indent=1) + "\n")
    else:
        config["quantization_config"] = describe(spec)
    (folder / "config.json").write_text(json.dumps(config, indent=1) + "\n")
    safetensors.torch.save_file(stored, folder / "model.safetensors", metadata={"format": "pt"})
    logits = make_fixtures.logits_of(model, prompt_ids)
    (folder / "logits.f32").write_bytes(logits.numpy().astype("<f4").tobytes())
    expected = {"seed": seed, "prompt_ids": prompt_ids, "greedy_ids": result[0], "smallest_greedy_margin": result[1]}
    (folder / "expected.json").write_text(json.dumps(expected) + "\n")
    print(f"{name:18} seed {seed} margin {result[1]:.4f} logit std {float(logits.std()):.2f}")


@torch.no_grad()
def main():
    torch.set_num_threads(1)
    shutil.rmtree(FOLDER, ignore_errors=True)
    bundle = make_tokenizers.llama3(288)
    for index, (name, spec) in enumerate(MODELS.items()):
        make_model(name, spec, bundle, 1000 * (index + 1))


if __name__ == "__main__":
    main()
