"""Reads a demo GGUF file back into the PyTorch model (weights dequantised to float) and its tokenizer."""
import gguf
import torch
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

from export import NAMES
from model import Config, Model


def half_split(rows, heads):
    """The inverse of export.interleave."""
    count, width = rows.shape
    return rows.reshape(heads, count // heads // 2, 2, width).swapaxes(1, 2).reshape(count, width)


def load(path, dtype=torch.float32):
    """(model, tokenizer, quantisation of the matrices) from the GGUF file alone."""
    reader = gguf.GGUFReader(str(path))
    key = lambda name: reader.fields[name].contents()
    cfg = Config(
        vocab=key("llama.vocab_size"), dim=key("llama.embedding_length"), ffn=key("llama.feed_forward_length"),
        layers=key("llama.block_count"), heads=key("llama.attention.head_count"), kv_heads=key("llama.attention.head_count_kv"),
        head_dim=key("llama.rope.dimension_count"), context=key("llama.context_length"), window=key("llama.attention.sliding_window"),
        rope_base=key("llama.rope.freq_base"), eps=key("llama.attention.layer_norm_rms_epsilon"),
    )
    arrays = {t.name: gguf.quants.dequantize(t.data, t.tensor_type) for t in reader.tensors}
    kinds = {t.tensor_type.name for t in reader.tensors if len(t.shape) == 2}

    state = {"embed.weight": arrays["token_embd.weight"], "norm.weight": arrays["output_norm.weight"]}
    for layer in range(cfg.layers):
        for ours, theirs in NAMES.items():
            array = arrays[f"blk.{layer}.{theirs}.weight"]
            if ours in ("q", "k"):
                array = half_split(array, cfg.heads if ours == "q" else cfg.kv_heads)
            state[f"layers.{layer}.{ours}.weight"] = array
    model = Model(cfg)
    model.load_state_dict({name: torch.tensor(array) for name, array in state.items()})

    tokens = key("tokenizer.ggml.tokens")
    merges = [tuple(merge.split(" ")) for merge in key("tokenizer.ggml.merges")]
    tokenizer = Tokenizer(models.BPE(vocab={token: i for i, token in enumerate(tokens)}, merges=merges))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
    tokenizer.decoder = decoders.ByteLevel()
    control = gguf.TokenType.CONTROL
    tokenizer.add_special_tokens([AddedToken(tokens[i], special=True, normalized=False) for i, kind in enumerate(key("tokenizer.ggml.token_type")) if kind == control])
    return model.to(dtype).eval(), tokenizer, "/".join(sorted(kinds))
