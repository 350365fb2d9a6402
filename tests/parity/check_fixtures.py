"""Checks the parity fixtures without torch: a float64 forward over the GGUF files alone must give the stored logits.

This is a second derivation of everything the fixtures claim: tensor names, row orders, every scaling of positions,
windows, soft-caps, multipliers, sinks, experts, split files. It needs numpy and gguf only. The two models that GGUF has
no words for are left out.

    python check_fixtures.py
"""

import json
import pathlib

import gguf
import numpy as np

FIXTURES = pathlib.Path(__file__).parent / "fixtures"
MAX_NMSE = 1e-11
ADJACENT_PAIRS = ("llama", "smollm3", "granite")  # the two columns of a rotary pair lie side by side


def read_gguf(files):
    """Metadata of the first file, tensors of all of them as float64 (rows, columns)."""
    readers = [gguf.GGUFReader(f) for f in files]
    fields = {key: field.contents() for key, field in readers[0].fields.items()}
    tensors = {}
    for n, reader in enumerate(readers):
        if len(readers) > 1:
            assert reader.fields["split.no"].contents() == n
            assert reader.fields["split.count"].contents() == len(readers)
        for t in reader.tensors:
            assert t.name not in tensors
            values = gguf.quants.dequantize(t.data, t.tensor_type)
            tensors[t.name] = values.reshape(t.shape[::-1].tolist()).astype(np.float64)
    assert fields.get("split.tensors.count", len(tensors)) == len(tensors)
    return fields, tensors


def inverse_frequencies(get, tensors, context, local):
    """Of each rotary pair, and what cos and sin are multiplied by. `local`: of gemma3's layers with a window."""
    dim, base, kind = get("rope.dimension_count"), get("rope.freq_base"), get("rope.scaling.type")
    if local and get("rope.freq_base_swa"):
        base, kind = get("rope.freq_base_swa"), None
    inverse = base ** (-np.arange(0, dim, 2) / dim) / tensors.get("rope_freqs.weight", 1.0)
    factor, original = get("rope.scaling.factor"), get("rope.scaling.original_context_length")
    if kind == "linear":
        inverse = inverse / factor
    elif kind == "yarn":
        ends = [dim * np.log(original / (turns * 2 * np.pi)) / (2 * np.log(base)) for turns in (32, 1)]
        if get("") != "gpt-oss":
            ends = [np.floor(ends[0]), np.ceil(ends[1])]
        low, high = max(ends[0], 0), min(ends[1], dim - 1)
        slow = np.clip((np.arange(dim // 2) - low) / (high - low), 0, 1)
        return inverse / factor * slow + inverse * (1 - slow), 0.1 * np.log(factor) + 1
    elif "rope_factors_long.weight" in tensors:
        stretched = "long" if context > original else "short"
        return inverse / tensors[f"rope_factors_{stretched}.weight"], get("rope.scaling.attn_factor")
    return inverse, 1.0


def softmax(scores):
    p = np.exp(scores - scores.max(-1, keepdims=True))
    return p / p.sum(-1, keepdims=True)


def softcapped(x, cap):
    return np.tanh(x / cap) * cap if cap else x


def as_int8(x):
    """What is left of activations that nibble's vector tiers multiply coded weights by: kernels/cpu/int8_rows.hpp."""
    groups = np.split(x, range(128, x.shape[-1], 128), -1)
    scales = [np.abs(group).max(-1, keepdims=True) / 127 for group in groups]
    return np.concatenate([np.rint(group / scale) * scale for group, scale in zip(groups, scales)], -1)


def gated(family, gate, up):
    if family.startswith("gemma"):
        return 0.5 * gate * (1 + np.tanh(np.sqrt(2 / np.pi) * (gate + 0.044715 * gate**3))) * up
    if family == "gpt-oss":
        gate, up = np.minimum(gate, 7), np.clip(up, -7, 7) + 1
        return gate / (1 + np.exp(-1.702 * gate)) * up
    return gate / (1 + np.exp(-gate)) * up


def is_global(family, layer):
    """Whether a layer has no window where others have."""
    return {"gemma2": layer % 2 == 1, "gpt-oss": layer % 2 == 1, "gemma3": layer % 6 == 5}.get(family, False)


def forward(fields, tensors, ids, context, experts_read=lambda x: x):
    """Logits (ids, vocabulary). experts_read: what the matrices of experts see of their input."""
    family = fields["general.architecture"]
    get = lambda key, default=None: fields.get(f"{family}.{key}", default) if key else family  # noqa: E731
    heads, kv_heads = get("attention.head_count"), get("attention.head_count_kv")
    head_dim = get("attention.key_length", get("embedding_length") // heads)
    eps, window = get("attention.layer_norm_rms_epsilon"), get("attention.sliding_window", 1 << 30)
    n, dim = len(ids), get("rope.dimension_count")
    pairs = (slice(0, dim, 2), slice(1, dim, 2)) if family in ADJACENT_PAIRS else (slice(dim // 2), slice(dim // 2, dim))
    distance = np.arange(n)[:, None] - np.arange(n)[None, :]

    def norm(x, name):
        return x / np.sqrt((x**2).mean(-1, keepdims=True) + eps) * tensors[f"{name}.weight"]

    def norm_if_there(x, name):
        return norm(x, name) if f"{name}.weight" in tensors else x

    def linear(x, name, expert=...):
        bias = tensors[f"{name}.bias"][expert] if f"{name}.bias" in tensors else 0.0
        seen = experts_read(x) if name.endswith("_exps") else x
        return seen @ tensors[f"{name}.weight"][expert].T + bias

    def rope(x, local):
        inverse, magnitude = inverse_frequencies(get, tensors, context, local)
        angles = np.arange(n)[:, None, None] * inverse
        cos, sin = np.cos(angles) * magnitude, np.sin(angles) * magnitude
        turned = x.copy()
        turned[..., pairs[0]] = x[..., pairs[0]] * cos - x[..., pairs[1]] * sin
        turned[..., pairs[1]] = x[..., pairs[0]] * sin + x[..., pairs[1]] * cos
        return turned

    def attention(h, layer, block):
        sizes = np.cumsum([heads * head_dim, kv_heads * head_dim])
        if f"{block}attn_qkv.weight" in tensors:
            q, k, v = np.split(linear(h, block + "attn_qkv"), sizes, -1)
        else:
            q, k, v = (linear(h, f"{block}attn_{part}") for part in "qkv")
        q, k, v = (x.reshape(n, -1, head_dim) for x in (q, k, v))
        q, k = norm_if_there(q, block + "attn_q_norm"), norm_if_there(k, block + "attn_k_norm")
        local = not is_global(family, layer)
        if family != "smollm3" or layer % 4 != 3:
            q, k = rope(q, local), rope(k, local)
        k, v = k.repeat(heads // kv_heads, 1), v.repeat(heads // kv_heads, 1)
        scores = np.einsum("qhd,khd->hqk", q, k) * get("attention.scale", head_dim**-0.5)
        seen = (distance >= 0) & (distance < (window if local else n))
        scores = np.where(seen, softcapped(scores, get("attn_logit_softcapping")), -np.inf)
        sinks = tensors.get(f"{block}attn_sinks.weight", np.full(heads, -np.inf))
        p = softmax(np.concatenate([scores, np.broadcast_to(sinks[:, None, None], (heads, n, 1))], -1))[..., :-1]
        return linear(np.einsum("hqk,khd->qhd", p, v).reshape(n, -1), block + "attn_output")

    def mlp(h, block, *expert):
        stem = "_exps" if expert else ""
        if f"{block}ffn_gate{stem}.weight" in tensors:
            gate, up = (linear(h, f"{block}ffn_{part}{stem}", *expert) for part in ("gate", "up"))
        else:
            gate, up = np.split(linear(h, block + "ffn_up"), 2, -1)
        return linear(gated(family, gate, up), f"{block}ffn_down{stem}", *expert)

    def mixture(h, block):
        scores = linear(h, block + "ffn_gate_inp")
        chosen = np.argsort(-scores, -1, kind="stable")[:, : get("expert_used_count")]
        if get("expert_weights_norm", True):
            weights = softmax(np.take_along_axis(scores, chosen, -1))
        else:
            weights = np.take_along_axis(softmax(scores), chosen, -1)
        return np.stack([sum(w * mlp(h[t], block, e) for e, w in zip(chosen[t], weights[t])) for t in range(n)])

    residual = get("residual_scale", 1.0)
    x = tensors["token_embd.weight"][ids] * get("embedding_scale", 1.0)
    if family.startswith("gemma"):
        x = x * np.sqrt(x.shape[-1])
    for layer in range(get("block_count")):
        block = f"blk.{layer}."
        h = attention(norm(x, block + "attn_norm"), layer, block)
        # gpt-oss calls what stands before its experts so; in Gemma it stands after attention.
        before = "ffn_norm" if f"{block}ffn_norm.weight" in tensors else "post_attention_norm"
        x = x + residual * (norm_if_there(h, block + "post_attention_norm") if before == "ffn_norm" else h)
        h = norm(x, block + before)
        h = mixture(h, block) if f"{block}ffn_gate_inp.weight" in tensors else mlp(h, block)
        x = x + residual * norm_if_there(h, block + "post_ffw_norm")
    output = tensors.get("output.weight", tensors["token_embd.weight"])
    return softcapped(norm(x, "output_norm") @ output.T / get("logit_scale", 1.0), get("final_logit_softcapping"))


def main():
    for path in sorted(FIXTURES.glob("*/expected.json")):
        if not list(path.parent.glob("*.gguf")):
            continue
        expected = json.loads(path.read_text())
        logits = np.fromfile(path.parent / "logits.f32", "<f4").reshape(expected["logits_shape"]).astype(np.float64)
        fields, tensors = read_gguf(sorted(path.parent.glob("*.gguf")))
        ids, context = expected["prompt_ids"], expected.get("context", 256)
        nmse = ((forward(fields, tensors, ids, context) - logits) ** 2).sum() / (logits**2).sum()
        assert nmse < MAX_NMSE, (path.parent.name, nmse)
        every = ids + expected["greedy_ids"]
        chosen = forward(fields, tensors, every, context)[len(ids) - 1 : -1].argmax(-1).tolist()
        assert chosen == expected["greedy_ids"], path.parent.name
        print(f"{path.parent.name:17} nmse {nmse:.1e}, {len(chosen)} greedy tokens agree, {len(tensors)} tensors")
    for path in sorted(FIXTURES.glob("tokenizers/*/vocab.gguf")):
        reader = gguf.GGUFReader(path)
        assert not reader.tensors
        vocab = json.loads((path.parent / "tokenizer.json").read_text())
        vocab = {**vocab["model"]["vocab"], **{t["content"]: t["id"] for t in vocab["added_tokens"]}}
        assert reader.fields["tokenizer.ggml.tokens"].contents() == sorted(vocab, key=vocab.get), path
        print(f"{path.parent.name:17} vocab.gguf holds the tokens of tokenizer.json")


if __name__ == "__main__":
    main()
