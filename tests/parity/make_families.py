"""Parity fixtures of the families beside llama: tiny models with every quirk of theirs switched on.

    venv/bin/python make_families.py [NAME...]    # rewrites these folders of fixtures/, or all that are listed here

Layout and rules are those of make_fixtures.py, whose parts this uses. Weights are drawn for whatever parameters
transformers gives the model. For each quirk a setting of config.json is named that undoes it; the logits must then
change by more than rounding could, or the fixture is refused. Where GGUF has no words for a model there is no
model.gguf. expected.json also has `context`: what an engine must be opened with, where RoPE depends on it.
"""

import json
import math
import shutil
import sys

import gguf
import numpy as np
import torch
from transformers import AutoConfig, AutoModelForCausalLM

import make_fixtures
import make_tokenizers
from make_fixtures import FIXTURES, PROMPT, greedy, logits_of, permute, relative_error

PADDING = 12  # rows of the vocabulary without a token, where a model has such
SHORT = [1.0, 1.05, 1.1, 1.3, 1.6, 2.0]
LONG = [1.1, 1.4, 2.0, 3.5, 6.0, 9.0]

# dims: hidden, layers, heads, kv heads, head_dim, ffn. undo: quirk to the settings without it.
MODELS = {
    "qwen2": dict(
        hf="Qwen2ForCausalLM",
        dims=(32, 2, 4, 2, 8, 64),
        padding=PADDING,
        config={"rope_theta": 10000.0, "use_sliding_window": False, "sliding_window": 12, "max_window_layers": 1},
    ),
    "qwen2-window": dict(
        hf="Qwen2ForCausalLM",
        dims=(32, 3, 4, 2, 8, 64),
        gguf=False,
        config={"rope_theta": 10000.0, "use_sliding_window": True, "sliding_window": 12, "max_window_layers": 1},
        undo={"window": {"use_sliding_window": False}, "first_layers": {"max_window_layers": 0}},
    ),
    "qwen3-yarn": dict(
        hf="Qwen3ForCausalLM",
        dims=(32, 2, 4, 2, 16, 64),
        tied=True,
        padding=PADDING,
        max_position=160,
        config={
            "rope_theta": 1000.0,
            "rope_scaling": {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 40},
        },
        undo={"yarn": {"rope_scaling": None}},
    ),
    "phi3-long": dict(
        hf="Phi3ForCausalLM",
        dims=(48, 2, 4, 4, 12, 64),
        max_position=160,
        config={
            "rope_theta": 1000.0,
            "original_max_position_embeddings": 40,
            "rope_scaling": {"type": "longrope", "short_factor": SHORT, "long_factor": LONG},
            "sliding_window": 20,
        },
        undo={
            "window": {"sliding_window": None},
            "long": {"rope_scaling": {"type": "longrope", "short_factor": SHORT, "long_factor": SHORT}},
            "magnitude": {
                "rope_scaling": {"type": "longrope", "short_factor": SHORT, "long_factor": LONG, "attention_factor": 1.0}
            },
        },
    ),
    "phi4-mini": dict(
        hf="Phi3ForCausalLM",
        dims=(64, 2, 4, 2, 16, 64),
        tied=True,
        max_position=512,
        context=128,
        config={
            "rope_theta": 1000.0,
            "partial_rotary_factor": 0.75,
            "original_max_position_embeddings": 128,
            "rope_scaling": {"type": "longrope", "short_factor": SHORT, "long_factor": LONG},
            "sliding_window": 512,
        },
        undo={
            "short": {"rope_scaling": {"type": "longrope", "short_factor": LONG, "long_factor": LONG}},
            "partial": {
                "partial_rotary_factor": 1.0,
                "rope_scaling": {"type": "longrope", "short_factor": SHORT + [3, 4], "long_factor": LONG + [9, 9]},
            },
        },
    ),
    "gemma2": dict(
        hf="Gemma2ForCausalLM",
        dims=(32, 3, 4, 2, 16, 64),
        tied=True,
        config={
            "hidden_activation": "gelu_pytorch_tanh",
            "rope_theta": 10000.0,
            "query_pre_attn_scalar": 16,
            "attn_logit_softcapping": 6.0,
            "final_logit_softcapping": 9.0,
            "sliding_window": 12,
        },
        undo={
            "attention_softcap": {"attn_logit_softcapping": None},
            "logit_softcap": {"final_logit_softcapping": None},
            "window": {"sliding_window": 4096},
            "activation": {"hidden_activation": "silu"},
        },
    ),
    "gemma3": dict(
        hf="Gemma3ForCausalLM",
        dims=(32, 7, 4, 2, 16, 32),
        tied=True,
        config={
            "hidden_activation": "gelu_pytorch_tanh",
            "rope_theta": 5000.0,
            "rope_local_base_freq": 100.0,
            "rope_scaling": {"rope_type": "linear", "factor": 8.0},
            "query_pre_attn_scalar": 16,
            "sliding_window": 12,
        },
        undo={
            "window": {"sliding_window": 4096},
            "pattern": {"sliding_window_pattern": 4},
            "linear": {"rope_scaling": None},
            "local_base": {"rope_local_base_freq": 5000.0},
        },
    ),
    "smollm3": dict(
        hf="SmolLM3ForCausalLM",
        dims=(32, 4, 4, 2, 8, 48),
        tied=True,
        config={"rope_theta": 10000.0},
        undo={"no_rope": {"no_rope_layers": [1, 1, 1, 1]}},
    ),
    "granite": dict(
        hf="GraniteForCausalLM",
        dims=(32, 2, 4, 2, 8, 64),
        tied=True,
        config={
            "rope_theta": 10000.0,
            "embedding_multiplier": 1.6,
            "attention_multiplier": 0.5,
            "residual_multiplier": 1.4,
            "logits_scaling": 1.5,
        },
        undo={
            key: {key: value}
            for key, value in (
                ("embedding_multiplier", 1.0),
                ("attention_multiplier", 8**-0.5),
                ("residual_multiplier", 1.0),
                ("logits_scaling", 1.0),
            )
        },
    ),
    "llama-dynamic": dict(
        hf="LlamaForCausalLM",
        dims=(32, 2, 4, 2, 8, 64),
        tied=True,
        gguf=False,
        max_position=40,
        context=256,
        config={"rope_theta": 100.0, "rope_scaling": {"rope_type": "dynamic", "factor": 4.0}},
        undo={"dynamic": {"rope_scaling": None}},
    ),
}
ARCHITECTURES = {
    "Qwen2ForCausalLM": "qwen2",
    "Qwen3ForCausalLM": "qwen3",
    "Phi3ForCausalLM": "phi3",
    "Gemma2ForCausalLM": "gemma2",
    "Gemma3ForCausalLM": "gemma3",
    "SmolLM3ForCausalLM": "smollm3",
    "GraniteForCausalLM": "granite",
    "LlamaForCausalLM": "llama",
}
ADJACENT_PAIRS = ("smollm3", "granite", "llama")  # GGUF keeps the two columns of a rotary pair side by side


def hf_config(spec, bundle):
    hidden, layers, heads, kv_heads, head_dim, ffn = spec["dims"]
    architecture = ARCHITECTURES[spec["hf"]]
    config = {
        "architectures": [spec["hf"]],
        "model_type": "gemma3_text" if architecture == "gemma3" else architecture,
        "bos_token_id": bundle.id(bundle.bos),
        "eos_token_id": bundle.id(bundle.eos),
        "pad_token_id": None,
        "hidden_size": hidden,
        "intermediate_size": ffn,
        "num_hidden_layers": layers,
        "num_attention_heads": heads,
        "num_key_value_heads": kv_heads,
        "max_position_embeddings": spec.get("max_position", 512),
        "rms_norm_eps": 1e-6,
        "tie_word_embeddings": spec.get("tied", False),
        "vocab_size": bundle.tokenizer.get_vocab_size() + spec.get("padding", 0),
        "dtype": "float32",
        **spec["config"],
    }
    config |= {} if "hidden_activation" in config else {"hidden_act": "silu"}
    return config | ({"head_dim": head_dim} if head_dim * heads != hidden else {})


def load(spec, config, weights):
    """The model that config.json and these weights mean, all in float32."""
    config = {**config, "rope_scaling": dict(config["rope_scaling"])} if config.get("rope_scaling") else config
    with torch.device("cpu"):
        model = AutoModelForCausalLM.from_config(
            AutoConfig.for_model(**config), dtype=torch.float32, attn_implementation="eager"
        ).eval()
    if weights is not None:
        left_over = model.load_state_dict(weights, strict=False)
        assert not left_over.unexpected_keys and set(left_over.missing_keys) <= {"lm_head.weight"}, left_over
    if "dynamic" in str(config.get("rope_scaling")):
        logits_of(model, [0] * spec["context"])  # its angles are now those of this context, and stay so
    return model


def gain(name, shifted):
    sharp = 3.5 if shifted else 1.6
    for part, value in (("q_proj", sharp), ("k_proj", sharp), ("qkv_proj", 1.5), ("lm_head", 3.0)):
        if part in name:
            return value
    return 1.5


def draw_weights(spec, config, seed):
    rng = np.random.default_rng(seed)
    shifted = ARCHITECTURES[spec["hf"]].startswith("gemma")
    weights = {}
    for name, like in load(spec, config, None).state_dict().items():
        shape = tuple(like.shape)
        if name == "lm_head.weight" and config["tie_word_embeddings"]:
            continue
        values = rng.standard_normal(shape)
        if "norm" in name:
            values = 0.1 * values + (0 if shifted else 1) + (0.4 if "q_norm" in name or "k_norm" in name else 0)
            # Gemma: layers must outweigh the scaled embedding, or a token only repeats itself.
            values += {"model.norm.weight": 6}.get(name, 0) if shifted else 0
        elif name.endswith("bias"):
            values *= 0.3
        elif "embed_tokens" in name:
            values *= 0.08 if shifted else 0.5
        else:
            values *= gain(name, shifted) / math.sqrt(shape[1])
        weights[name] = torch.from_numpy(values.astype(np.float32))
    return weights


GGUF_NAMES = make_fixtures.GGUF_NAMES | {
    "self_attn.q_norm": "attn_q_norm",
    "self_attn.k_norm": "attn_k_norm",
    "self_attn.qkv_proj": "attn_qkv",
    "mlp.gate_up_proj": "ffn_up",
    "pre_feedforward_layernorm": "ffn_norm",
    "post_feedforward_layernorm": "post_ffw_norm",
}


def gguf_name(architecture, hf_name):
    stem, kind = hf_name.rsplit(".", 1)
    if not stem.startswith("model.layers."):
        return f"{GGUF_NAMES[stem]}.{kind}"
    _, _, layer, rest = stem.split(".", 3)
    name = GGUF_NAMES[rest]
    if architecture.startswith("gemma") and rest == "post_attention_layernorm":
        name = "post_attention_norm"
    return f"blk.{layer}.{name}.{kind}"


def add_scaling(w, architecture, spec, config):
    """Rotary positions, as the usual converter writes them for each family."""
    rope = config.get("rope_scaling") or {}
    head_dim = spec["dims"][4]
    w.add_rope_freq_base(config["rope_theta"])
    w.add_rope_dimension_count(int(head_dim * config.get("partial_rotary_factor", 1.0)))
    kind = rope.get("rope_type", rope.get("type"))
    if kind == "linear":
        w.add_rope_scaling_type(gguf.RopeScalingType.LINEAR)
        w.add_rope_scaling_factor(rope["factor"])
    elif kind == "yarn":
        w.add_rope_scaling_type(gguf.RopeScalingType.YARN)
        w.add_rope_scaling_factor(rope["factor"])
        w.add_rope_scaling_orig_ctx_len(rope["original_max_position_embeddings"])
    elif kind == "longrope":
        original = config["original_max_position_embeddings"]
        scale = config["max_position_embeddings"] / original
        w.add_rope_scaling_orig_ctx_len(original)
        w.add_rope_scaling_attn_factors(math.sqrt(1 + math.log(scale) / math.log(original)))
        w.add_tensor("rope_factors_long.weight", np.array(rope["long_factor"], np.float32))
        w.add_tensor("rope_factors_short.weight", np.array(rope["short_factor"], np.float32))
    if "rope_local_base_freq" in config:
        w.add_rope_freq_base_swa(config["rope_local_base_freq"])


def write_gguf(folder, name, spec, config, bundle, weights):
    architecture = ARCHITECTURES[spec["hf"]]
    hidden, layers, heads, kv_heads, head_dim, ffn = spec["dims"]
    w = gguf.GGUFWriter(folder / "model.gguf", architecture)
    w.add_type("model")
    w.add_name(name)
    w.add_context_length(config["max_position_embeddings"])
    w.add_embedding_length(hidden)
    w.add_block_count(layers)
    w.add_feed_forward_length(ffn)
    w.add_head_count(heads)
    w.add_head_count_kv(kv_heads)
    w.add_layer_norm_rms_eps(config["rms_norm_eps"])
    if "head_dim" in config:
        w.add_key_length(head_dim)
        w.add_value_length(head_dim)
    add_scaling(w, architecture, spec, config)
    if architecture != "qwen2" and "sliding_window" in config:
        w.add_sliding_window(config["sliding_window"])
    for key, add in (
        ("attn_logit_softcapping", w.add_attn_logit_softcapping),
        ("final_logit_softcapping", w.add_final_logit_softcapping),
        ("embedding_multiplier", w.add_embedding_scale),
        ("attention_multiplier", w.add_attention_scale),
        ("residual_multiplier", w.add_residual_scale),
        ("logits_scaling", w.add_logit_scale),
    ):
        if key in config:
            add(config[key])
    w.add_file_type(gguf.LlamaFileType.ALL_F32)
    w.add_quantization_version(gguf.GGML_QUANT_VERSION)
    bundle.add_to_gguf(w, config["vocab_size"])
    for hf_name, tensor in weights.items():
        values = tensor.numpy()
        if architecture in ADJACENT_PAIRS and (".q_proj." in hf_name or ".k_proj." in hf_name):
            values = permute(values, heads if ".q_proj." in hf_name else kv_heads)
        if architecture.startswith("gemma") and "norm" in hf_name:
            values = values + np.float32(1)
        w.add_tensor(gguf_name(architecture, hf_name), np.ascontiguousarray(values))
    w.write_header_to_file()
    w.write_kv_data_to_file()
    w.write_tensors_to_file()
    w.close()


def make_model(name, spec, bundle, first_seed):
    folder = FIXTURES / name
    shutil.rmtree(folder, ignore_errors=True)
    config = hf_config(spec, bundle)
    prompt_ids = bundle.tokenizer.encode(PROMPT, add_special_tokens=True).ids
    forbidden = {t["id"] for t in json.loads(bundle.tokenizer.to_str())["added_tokens"]}
    forbidden |= set(range(bundle.tokenizer.get_vocab_size(), config["vocab_size"]))
    for seed in range(first_seed, first_seed + 400):
        weights = draw_weights(spec, config, seed)
        model = load(spec, config, weights)
        result = greedy(model, prompt_ids, forbidden)
        if result:
            break
    else:
        raise RuntimeError(f"{name}: no seed gives a clear and varied continuation")
    greedy_ids, margin = result
    logits = logits_of(model, prompt_ids)
    without = {
        quirk: relative_error(logits_of(load(spec, config | settings, weights), prompt_ids), logits)
        for quirk, settings in spec.get("undo", {}).items()
    }
    assert all(error > 1e-2 for error in without.values()), without

    make_fixtures.write_hf_folder(folder / "hf", {}, config, bundle, weights)
    if spec.get("gguf", True):
        write_gguf(folder, name, spec, config, bundle, weights)
    expected = {
        "about": "What transformers computes for this model; made by make_families.py, keys explained in make_fixtures.py.",
        "context": spec.get("context", 256),
        "seed": seed,
        "prompt": PROMPT,
        "prompt_ids": prompt_ids,
        "greedy_ids": greedy_ids,
        "smallest_greedy_margin": margin,
        "logits_shape": list(logits.shape),
        "logits_std": float(logits.std()),
        "nmse_float32_against_float64": relative_error(logits, logits_of(model.double(), prompt_ids)),
        "nmse_without": without,
    }
    lines = ",\n".join(f" {json.dumps(k)}: {json.dumps(v)}" for k, v in expected.items())
    (folder / "expected.json").write_text("{\n" + lines + "\n}\n")
    (folder / "logits.f32").write_bytes(logits.numpy().astype("<f4").tobytes())
    print(
        f"{name:14} seed {seed} margin {margin:.4f} distinct {len(set(greedy_ids))} std {expected['logits_std']:.2f} "
        f"float32 noise {expected['nmse_float32_against_float64']:.1e} without {without}"
    )


@torch.no_grad()
def main(names):
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    bundle = make_tokenizers.llama3(288)
    for index, (name, spec) in enumerate(MODELS.items()):
        if not names or name in names:
            make_model(name, spec, bundle, 100_000 + 1000 * index)


if __name__ == "__main__":
    main(sys.argv[1:])
