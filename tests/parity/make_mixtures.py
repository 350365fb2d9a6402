"""Parity fixtures of mixtures of experts.

    venv/bin/python make_mixtures.py [NAME...]    # rewrites these folders of fixtures/, or all that are listed here

Layout and rules are those of make_fixtures.py, whose parts this uses. gpt-oss has its experts in MXFP4 in both
containers, in the files' two arrangements.

Two experts of every layer score exactly alike for every token: their rows of the router are the same. Which of them
torch.topk takes is chance, so that what is fixed here is nibble's rule: of equals, the first. No other pair of experts
comes so close at the border of being chosen that rounding could decide (MIN_GAP).
"""

import contextlib
import json
import math
import shutil
import sys

import gguf
import numpy as np
import torch
from transformers import AutoModelForCausalLM, Mxfp4Config

import check_fixtures
import make_fixtures as fixtures
import make_tokenizers

MXFP4 = gguf.GGMLQuantizationType.MXFP4
MIN_GAP = 1e-4
TIED = (1, 2)  # experts

# hidden, layers, heads, kv heads, head_dim, ffn; experts, of them used, width of one.
MODELS = {
    "mixtral": dict(
        dims=(32, 2, 4, 2, 8, 32),
        experts=(4, 2, 32),
        architecture=("llama", "MixtralForCausalLM", "mixtral"),
        config={"rope_theta": 10000.0, "sliding_window": 12, "num_local_experts": 4, "num_experts_per_tok": 2},
    ),
    "qwen3moe": dict(
        dims=(32, 2, 4, 2, 12, 64),
        experts=(8, 3, 16),
        architecture=("qwen3moe", "Qwen3MoeForCausalLM", "qwen3_moe"),
        config={
            "rope_theta": 10000.0,
            "num_experts": 8,
            "num_experts_per_tok": 3,
            "moe_intermediate_size": 16,
            "norm_topk_prob": True,
        },
    ),
    "qwen3moe-unnormed": dict(
        dims=(32, 2, 4, 2, 8, 64),
        experts=(8, 3, 16),
        tied=True,
        architecture=("qwen3moe", "Qwen3MoeForCausalLM", "qwen3_moe"),
        config={
            "rope_theta": 10000.0,
            "num_experts": 8,
            "num_experts_per_tok": 3,
            "moe_intermediate_size": 16,
            "norm_topk_prob": False,
        },
    ),
    "gpt-oss": dict(
        dims=(64, 2, 4, 2, 16, 32),
        experts=(4, 2, 32),
        tied=True,
        max_position=160,
        architecture=("gpt-oss", "GptOssForCausalLM", "gpt_oss"),
        config={
            "rope_theta": 1000.0,
            "rope_scaling": {
                "rope_type": "yarn",
                "factor": 4.0,
                "beta_fast": 32.0,
                "beta_slow": 1.0,
                "truncate": False,
                "original_max_position_embeddings": 40,
            },
            "sliding_window": 12,
            "num_local_experts": 4,
            "num_experts_per_tok": 2,
            "attention_bias": True,
            "swiglu_limit": 7.0,
            "layer_types": ["sliding_attention", "full_attention"],
            "quantization_config": {
                "quant_method": "mxfp4",
                "modules_to_not_convert": [
                    "model.layers.*.self_attn",
                    "model.layers.*.mlp.router",
                    "model.embed_tokens",
                    "lm_head",
                ],
            },
        },
    ),
}
# The parts of an expert: in Mixtral's files, in others, in GGUF.
PARTS = (("w1", "gate_proj", "ffn_gate"), ("w3", "up_proj", "ffn_up"), ("w2", "down_proj", "ffn_down"))


class Router:
    """Stands for torch.topk: of equals the first; and sees how close the last chosen and the first left out were."""

    def __init__(self):
        self.topk, self.gap, self.n_ties = torch.topk, math.inf, 0

    def __call__(self, values, k, dim=-1, **kwargs):
        ordered, order = torch.sort(values, dim=dim, descending=True, stable=True)
        if k < values.shape[-1] and values.dim() == 2:
            gaps = ordered[:, k - 1] - ordered[:, k]
            self.n_ties += int((gaps == 0).sum())
            self.gap = min([self.gap, *gaps[gaps != 0].tolist()])
        return ordered[..., :k], order[..., :k]

    @contextlib.contextmanager
    def in_place(self):
        torch.topk = self
        try:
            yield self
        finally:
            torch.topk = self.topk


def hf_config(spec, bundle):
    config = fixtures.hf_config(spec, bundle)
    _, config["architectures"][0], config["model_type"] = spec["architecture"]
    hidden, _, heads, _, head_dim, _ = spec["dims"]
    return config | {"head_dim": head_dim}


def draw_weights(spec, vocab, seed):
    """The dense model's, with experts for its MLP and, for Qwen, norms of queries and keys."""
    weights = fixtures.draw_weights(spec, vocab, seed)
    rng = np.random.default_rng(seed + 1)
    hidden, layers, _, _, head_dim, _ = spec["dims"]
    n_experts, _, ffn = spec["experts"]
    family = spec["architecture"][0]
    mixtral = family == "llama"

    def matrix(rows, cols, gain):
        return torch.from_numpy((rng.standard_normal((rows, cols)) * gain / math.sqrt(cols)).astype(np.float32))

    for i in range(layers):
        layer = f"model.layers.{i}"
        for part in ("gate", "up", "down"):
            del weights[f"{layer}.mlp.{part}_proj.weight"]
        if family == "gpt-oss":
            weights |= draw_gpt_oss(spec, layer, rng)
            continue
        block = f"{layer}.block_sparse_moe" if mixtral else f"{layer}.mlp"
        router = matrix(n_experts, hidden, 1.5)
        router[TIED[1]] = router[TIED[0]]
        weights[f"{block}.gate.weight"] = router
        for e in range(n_experts):
            for w, name, _ in PARTS:
                rows, cols = (hidden, ffn) if w == "w2" else (ffn, hidden)
                weights[f"{block}.experts.{e}.{w if mixtral else name}.weight"] = matrix(rows, cols, 2.0)
        if not mixtral:
            for part in ("q", "k"):
                norm = 1.3 + 0.2 * rng.standard_normal(head_dim)
                weights[f"{layer}.self_attn.{part}_norm.weight"] = torch.from_numpy(norm.astype(np.float32))
    return weights


def draw_gpt_oss(spec, layer, rng):
    """What gpt-oss has in a layer beside matrices of attention and norms, as its Hugging Face files hold it."""
    hidden, _, heads, kv_heads, head_dim, _ = spec["dims"]
    n_experts, _, ffn = spec["experts"]
    draw = lambda gain, *shape: torch.from_numpy((rng.standard_normal(shape) * gain).astype(np.float32))  # noqa: E731
    router, router_bias = draw(1.5 / math.sqrt(hidden), n_experts, hidden), draw(0.3, n_experts)
    for t in (router, router_bias):
        t[TIED[1]] = t[TIED[0]]
    weights = {f"{layer}.mlp.router.weight": router, f"{layer}.mlp.router.bias": router_bias}
    weights[f"{layer}.self_attn.sinks"] = draw(2.0, heads)
    for part, size in (("q", heads), ("k", kv_heads), ("v", kv_heads)):
        weights[f"{layer}.self_attn.{part}_proj.bias"] = draw(0.3, size * head_dim)
    weights[f"{layer}.self_attn.o_proj.bias"] = draw(0.2, hidden)
    for part, rows, cols in (("gate_up_proj", 2 * ffn, hidden), ("down_proj", hidden, ffn)):
        values = draw(2.5 / math.sqrt(cols), n_experts, rows, cols).numpy()
        blocks = gguf.quants.quantize(values, MXFP4).reshape(n_experts, rows, cols // 32, 17)
        codes = np.concatenate([blocks[..., 1:] & 15, blocks[..., 1:] >> 4], axis=-1)
        packed = codes[..., 0::2] | codes[..., 1::2] << 4
        weights[f"{layer}.mlp.experts.{part}_blocks"] = torch.from_numpy(np.ascontiguousarray(packed))
        weights[f"{layer}.mlp.experts.{part}_scales"] = torch.from_numpy(np.ascontiguousarray(blocks[..., 0]))
        weights[f"{layer}.mlp.experts.{part}_bias"] = draw(0.5, n_experts, rows)
    return weights


def gpt_oss_experts(spec, weights):
    """GGUF names and values of gpt-oss's experts: gate and up apart, codes i and i + 16 in a byte."""
    for i in range(spec["dims"][1]):
        of = lambda name: weights[f"model.layers.{i}.mlp.experts.{name}"].numpy()  # noqa: B023, E731
        for part, stems in (("gate_up_proj", ("ffn_gate", "ffn_up")), ("down_proj", ("ffn_down",))):
            packed, scales = of(f"{part}_blocks"), of(f"{part}_scales")[..., None]
            codes = np.stack([packed & 15, packed >> 4], axis=-1).reshape(*packed.shape[:-1], 32)
            blocks = np.concatenate([scales, codes[..., :16] | codes[..., 16:] << 4], axis=-1)
            rows = blocks.reshape(*blocks.shape[:2], -1)
            for n, stem in enumerate(stems):
                yield f"blk.{i}.{stem}_exps.weight", rows[:, n :: len(stems)]
                yield f"blk.{i}.{stem}_exps.bias", of(f"{part}_bias")[:, n :: len(stems)]


def gguf_tensors(spec, weights):
    """GGUF names and values: experts stacked, rows of q and k in the order of the llama converter."""
    hidden, layers, heads, kv_heads, _, _ = spec["dims"]
    mixtral, gpt_oss = (spec["architecture"][0] == family for family in ("llama", "gpt-oss"))
    for name, tensor in weights.items():
        if ".experts." in name:
            continue
        values = tensor.numpy()
        if mixtral and (".q_proj." in name or ".k_proj." in name):
            values = fixtures.permute(values, heads if ".q_proj." in name else kv_heads)
        block = ".".join(["blk", *name.split(".")[2:3]])
        if name.endswith((".mlp.gate.weight", ".block_sparse_moe.gate.weight")):
            yield f"{block}.ffn_gate_inp.weight", values
        elif "_norm.weight" in name and "self_attn" in name:
            yield f"{block}.attn_{name.split('.')[-2]}.weight", values
        elif ".mlp.router." in name:
            yield f"{block}.ffn_gate_inp.{name.rsplit('.', 1)[1]}", values
        elif name.endswith(".sinks"):
            yield f"{block}.attn_sinks.weight", values
        elif gpt_oss and ".post_attention_layernorm." in name:
            yield f"{block}.post_attention_norm.weight", values
        else:
            yield fixtures.gguf_name(name), values
    if gpt_oss:
        yield from gpt_oss_experts(spec, weights)
        return
    for i in range(layers):
        for w, part, stem in PARTS:
            suffix = f".{w if mixtral else part}.weight"
            stack = [t.numpy() for n, t in weights.items() if f"layers.{i}." in n and "experts" in n and n.endswith(suffix)]
            assert len(stack) == spec["experts"][0]
            yield f"blk.{i}.{stem}_exps.weight", np.stack(stack)


def write_gguf(folder, name, spec, config, bundle, weights):
    hidden, layers, heads, kv_heads, head_dim, ffn = spec["dims"]
    n_experts, n_used, expert_ffn = spec["experts"]
    w = gguf.GGUFWriter(folder / "model.gguf", spec["architecture"][0])
    w.add_type("model")
    w.add_name(name)
    w.add_context_length(config["max_position_embeddings"])
    w.add_embedding_length(hidden)
    w.add_block_count(layers)
    w.add_feed_forward_length(ffn)
    w.add_head_count(heads)
    w.add_head_count_kv(kv_heads)
    w.add_key_length(head_dim)
    w.add_value_length(head_dim)
    w.add_layer_norm_rms_eps(config["rms_norm_eps"])
    w.add_vocab_size(config["vocab_size"])
    w.add_rope_dimension_count(head_dim)
    w.add_rope_freq_base(config["rope_theta"])
    w.add_expert_count(n_experts)
    w.add_expert_used_count(n_used)
    if rope := config.get("rope_scaling"):
        w.add_rope_scaling_type(gguf.RopeScalingType.YARN)
        w.add_rope_scaling_factor(rope["factor"])
        w.add_rope_scaling_orig_ctx_len(rope["original_max_position_embeddings"])
    if "moe_intermediate_size" in config or "quantization_config" in config:
        w.add_expert_feed_forward_length(expert_ffn)
    if not config.get("norm_topk_prob", True):
        w.add_expert_weights_norm(False)
    if "sliding_window" in config:
        w.add_sliding_window(config["sliding_window"])
    w.add_file_type(gguf.LlamaFileType.ALL_F32)
    w.add_quantization_version(gguf.GGML_QUANT_VERSION)
    bundle.add_to_gguf(w)
    for tensor, values in gguf_tensors(spec, weights):
        w.add_tensor(tensor, np.ascontiguousarray(values), raw_dtype=MXFP4 if values.dtype == np.uint8 else None)
    w.write_header_to_file()
    w.write_kv_data_to_file()
    w.write_tensors_to_file()
    w.close()


def load(hf, **overrides):
    if json.loads((hf / "config.json").read_text()).get("quantization_config"):
        overrides["quantization_config"] = Mxfp4Config(dequantize=True)
    return AutoModelForCausalLM.from_pretrained(
        hf, dtype=torch.float32, attn_implementation="eager", experts_implementation="eager", **overrides
    ).eval()


def write_int8_logits(folder, prompt_ids):
    """What tiers give that multiply coded weights by int8 activations."""
    fields, tensors = check_fixtures.read_gguf([folder / "model.gguf"])
    logits = check_fixtures.forward(fields, tensors, prompt_ids, 256, experts_read=check_fixtures.as_int8)
    (folder / "logits_int8.f32").write_bytes(logits.astype("<f4").tobytes())


def make_model(name, spec, bundle, first_seed):
    folder = fixtures.FIXTURES / name
    hf = folder / "hf"
    config = hf_config(spec, bundle)
    prompt_ids = bundle.tokenizer.encode(fixtures.PROMPT, add_special_tokens=True).ids
    forbidden = {t["id"] for t in json.loads(bundle.tokenizer.to_str())["added_tokens"]}
    for seed in range(first_seed, first_seed + 400):
        weights = draw_weights(spec, config["vocab_size"], seed)
        fixtures.write_hf_folder(hf, spec, config, bundle, weights)
        model = load(hf)
        with Router().in_place() as router:
            result = fixtures.greedy(model, prompt_ids, forbidden)
            logits = fixtures.logits_of(model, prompt_ids)
        if result and router.gap > MIN_GAP and router.n_ties > 0:
            break
    else:
        raise RuntimeError(f"{name}: no seed gives a clear and varied continuation")
    write_gguf(folder, name, spec, config, bundle, weights)
    coded = "quantization_config" in config
    if coded:
        write_int8_logits(folder, prompt_ids)
    fixtures.write_expected(folder, spec, config, bundle, seed, prompt_ids, result, logits, {
        **({"isa": "portable"} if coded else {}),
        "experts": spec["experts"],
        "tied_at_the_border": router.n_ties,
        "smallest_gap_at_the_border": router.gap,
    })
    print(f"{name:17} seed {seed} margin {result[1]:.4f} ties {router.n_ties} gap {router.gap:.1e}")


@torch.no_grad()
def main():
    torch.set_num_threads(1)
    torch.set_default_dtype(torch.float32)
    torch.use_deterministic_algorithms(True)
    bundle = make_tokenizers.llama3(288)
    for index, (name, spec) in enumerate(MODELS.items()):
        if len(sys.argv) == 1 or name in sys.argv:
            shutil.rmtree(fixtures.FIXTURES / name, ignore_errors=True)
            make_model(name, spec, bundle, 100_000 * (index + 1))


if __name__ == "__main__":
    main()
