"""Checks the parity fixtures without torch: a float64 forward over the GGUF files alone must give the stored logits.

This is a second derivation of everything the fixtures claim: tensor names, the Q/K row permutation with interleaved
RoPE, rope_freqs divisors, linear scaling, biases, the window, head sizes, split files. It needs numpy and gguf only, and
knows the llama family only.

    python check_fixtures.py
"""

import json
import pathlib

import gguf
import numpy as np

FIXTURES = pathlib.Path(__file__).parent / "fixtures"
MAX_NMSE = 1e-11


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


def forward(fields, tensors, ids):
    get = lambda key, default=None: fields.get(f"llama.{key}", default)  # noqa: E731
    heads, kv_heads = get("attention.head_count"), get("attention.head_count_kv")
    head_dim = get("attention.key_length", get("embedding_length") // heads)
    eps, window = get("attention.layer_norm_rms_epsilon"), get("attention.sliding_window", 1 << 30)
    assert get("rope.dimension_count") == head_dim
    n = len(ids)
    angles = np.arange(n)[:, None] * get("rope.freq_base") ** (-np.arange(0, head_dim, 2) / head_dim)
    angles = angles / tensors.get("rope_freqs.weight", 1.0)
    if get("rope.scaling.type") == "linear":
        angles = angles / get("rope.scaling.factor")
    cos, sin = np.cos(angles)[:, None], np.sin(angles)[:, None]
    distance = np.arange(n)[:, None] - np.arange(n)[None, :]
    mask = np.where((distance >= 0) & (distance < window), 0.0, -np.inf)

    def norm(x, name):
        return x / np.sqrt((x**2).mean(-1, keepdims=True) + eps) * tensors[f"{name}.weight"]

    def linear(x, name):
        return x @ tensors[f"{name}.weight"].T + tensors.get(f"{name}.bias", 0.0)

    def rope(x):
        even, odd = x[..., 0::2], x[..., 1::2]
        return np.stack([even * cos - odd * sin, even * sin + odd * cos], -1).reshape(x.shape)

    x = tensors["token_embd.weight"][ids]
    for layer in range(get("block_count")):
        block = f"blk.{layer}."
        h = norm(x, block + "attn_norm")
        q = rope(linear(h, block + "attn_q").reshape(n, heads, head_dim))
        k = rope(linear(h, block + "attn_k").reshape(n, kv_heads, head_dim)).repeat(heads // kv_heads, 1)
        v = linear(h, block + "attn_v").reshape(n, kv_heads, head_dim).repeat(heads // kv_heads, 1)
        scores = np.einsum("qhd,khd->hqk", q, k) / np.sqrt(head_dim) + mask
        p = np.exp(scores - scores.max(-1, keepdims=True))
        p /= p.sum(-1, keepdims=True)
        x = x + linear(np.einsum("hqk,khd->qhd", p, v).reshape(n, -1), block + "attn_output")
        h = norm(x, block + "ffn_norm")
        gate = linear(h, block + "ffn_gate")
        x = x + linear(gate / (1 + np.exp(-gate)) * linear(h, block + "ffn_up"), block + "ffn_down")
    output = tensors.get("output.weight", tensors["token_embd.weight"])
    return norm(x, "output_norm") @ output.T


def main():
    for path in sorted(FIXTURES.glob("*/expected.json")):
        config = json.loads((path.parent / "hf" / "config.json").read_text())
        if config["model_type"] not in ("llama", "mistral") or not list(path.parent.glob("*.gguf")):
            continue
        expected = json.loads(path.read_text())
        logits = np.fromfile(path.parent / "logits.f32", "<f4").reshape(expected["logits_shape"]).astype(np.float64)
        fields, tensors = read_gguf(sorted(path.parent.glob("*.gguf")))
        ids = expected["prompt_ids"]
        nmse = ((forward(fields, tensors, ids) - logits) ** 2).sum() / (logits**2).sum()
        assert nmse < MAX_NMSE, (path.parent.name, nmse)
        every = ids + expected["greedy_ids"]
        chosen = forward(fields, tensors, every)[len(ids) - 1 : -1].argmax(-1).tolist()
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
