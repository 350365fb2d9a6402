"""Parity fixtures of mixtures of experts: the part of make_fixtures.py that draws and writes those.

Two experts of every layer score exactly alike for every token: their rows of the router are the same. Which of them
torch.topk takes is chance, so that what is fixed here is nibble's rule: of equals, the first. No other pair of experts
comes so close at the border of being chosen that rounding could decide (MIN_GAP).
"""

import contextlib
import json
import math

import gguf
import numpy as np
import torch
from transformers import AutoModelForCausalLM

import make_fixtures as fixtures

MIN_GAP = 1e-3
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
            gaps = (ordered[:, k - 1] - ordered[:, k]) / ordered[:, k - 1]
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
    mixtral = spec["architecture"][0] == "llama"

    def matrix(rows, cols, gain):
        return torch.from_numpy((rng.standard_normal((rows, cols)) * gain / math.sqrt(cols)).astype(np.float32))

    for i in range(layers):
        layer = f"model.layers.{i}"
        for part in ("gate", "up", "down"):
            del weights[f"{layer}.mlp.{part}_proj.weight"]
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


def gguf_tensors(spec, weights):
    """GGUF names and values: experts stacked, rows of q and k in the order of the llama converter."""
    hidden, layers, heads, kv_heads, _, _ = spec["dims"]
    mixtral = spec["architecture"][0] == "llama"
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
        else:
            yield fixtures.gguf_name(name), values
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
    if "moe_intermediate_size" in config:
        w.add_expert_feed_forward_length(expert_ffn)
    if not config.get("norm_topk_prob", True):
        w.add_expert_weights_norm(False)
    if "sliding_window" in config:
        w.add_sliding_window(config["sliding_window"])
    w.add_file_type(gguf.LlamaFileType.ALL_F32)
    w.add_quantization_version(gguf.GGML_QUANT_VERSION)
    bundle.add_to_gguf(w)
    for tensor, values in gguf_tensors(spec, weights):
        w.add_tensor(tensor, np.ascontiguousarray(values))
    w.write_header_to_file()
    w.write_kv_data_to_file()
    w.write_tensors_to_file()
    w.close()


def load(hf):
    return AutoModelForCausalLM.from_pretrained(
        hf, dtype=torch.float32, attn_implementation="eager", experts_implementation="eager"
    ).eval()


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
    fixtures.write_expected(folder, spec, config, bundle, seed, prompt_ids, result, logits, {
        "experts": spec["experts"],
        "tied_at_the_border": router.n_ties,
        "smallest_gap_at_the_border": router.gap,
    })
    print(f"{name:17} seed {seed} margin {result[1]:.4f} ties {router.n_ties} gap {router.gap:.1e}")


@torch.no_grad()
def write_all(bundle):
    for index, (name, spec) in enumerate(MODELS.items()):
        make_model(name, spec, bundle, 100_000 * (index + 1))
