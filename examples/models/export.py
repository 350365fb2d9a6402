"""Writes the trained model as GGUF: demo-f32.gguf, and demo.gguf in Q8_0.

    python export.py RUN_DIR OUT_DIR

RUN_DIR holds checkpoint.pt and tokenizer.json from train.py.
"""
import argparse
import json
import pathlib

import gguf
import numpy as np
import torch
from gguf import GGMLQuantizationType as Type

from model import Config

# What nibble's chat renders; train.py saw the same form. System messages were never trained on.
CHAT_TEMPLATE = (
    "{%- for message in messages -%}"
    "{%- if message['role'] not in ['user', 'assistant'] -%}"
    "{{- raise_exception('the demo model takes user and assistant messages only') -}}"
    "{%- endif -%}"
    "{{- '<|' + message['role'] + '|>\\n' + message['content'] + '<|end|>\\n' -}}"
    "{%- endfor -%}"
    "{%- if add_generation_prompt -%}{{- '<|assistant|>\\n' -}}{%- endif -%}"
)

NAMES = {
    "attn_norm": "attn_norm", "q": "attn_q", "k": "attn_k", "v": "attn_v", "o": "attn_output",
    "ffn_norm": "ffn_norm", "gate": "ffn_gate", "up": "ffn_up", "down": "ffn_down",
}


def interleave(rows, heads):
    """Q and K rows from half-split pairs (j, j + half) to the pairs (2j, 2j + 1) that llama GGUF files use."""
    count, width = rows.shape
    return rows.reshape(heads, 2, count // heads // 2, width).swapaxes(1, 2).reshape(count, width)


def tensors(weights, cfg):
    """(GGUF name, float32 array) in file order. No output.weight: the embedding serves both ends."""
    yield "token_embd.weight", weights["embed.weight"]
    for layer in range(cfg.layers):
        for ours, theirs in NAMES.items():
            array = weights[f"layers.{layer}.{ours}.weight"]
            if ours in ("q", "k"):
                array = interleave(array, cfg.heads if ours == "q" else cfg.kv_heads)
            yield f"blk.{layer}.{theirs}.weight", array
    yield "output_norm.weight", weights["norm.weight"]


def write(path, weights, cfg, tokenizer, quantised):
    writer = gguf.GGUFWriter(str(path), "llama")
    writer.add_type("model")
    writer.add_name("nibble demo")
    writer.add_description("A tiny model for tests and first steps: short stories, ticket routing, records to JSON.")
    writer.add_license("MIT")
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_Q8_0 if quantised else gguf.LlamaFileType.ALL_F32)
    writer.add_quantization_version(gguf.GGML_QUANT_VERSION)
    writer.add_block_count(cfg.layers)
    writer.add_context_length(cfg.context)
    writer.add_embedding_length(cfg.dim)
    writer.add_feed_forward_length(cfg.ffn)
    writer.add_head_count(cfg.heads)
    writer.add_head_count_kv(cfg.kv_heads)
    writer.add_key_length(cfg.head_dim)
    writer.add_value_length(cfg.head_dim)
    writer.add_layer_norm_rms_eps(cfg.eps)
    writer.add_rope_dimension_count(cfg.head_dim)
    writer.add_rope_freq_base(cfg.rope_base)
    writer.add_sliding_window(cfg.window)
    writer.add_vocab_size(cfg.vocab)

    state = json.loads(tokenizer.read_text())
    special = {entry["id"] for entry in state["added_tokens"]}
    tokens = [token for token, _ in sorted(state["model"]["vocab"].items(), key=lambda pair: pair[1])]
    assert len(tokens) == cfg.vocab
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list(tokens)
    writer.add_token_types([gguf.TokenType.CONTROL if i in special else gguf.TokenType.NORMAL for i in range(cfg.vocab)])
    writer.add_token_merges([merge if isinstance(merge, str) else " ".join(merge) for merge in state["model"]["merges"]])
    # Every training document follows <|endoftext|>, so a prompt starts with it too.
    writer.add_bos_token_id(tokens.index("<|endoftext|>"))
    writer.add_eos_token_id(tokens.index("<|endoftext|>"))
    writer.add_eot_token_id(tokens.index("<|end|>"))
    writer.add_add_bos_token(True)
    writer.add_add_eos_token(False)
    writer.add_chat_template(CHAT_TEMPLATE)

    for name, array in tensors(weights, cfg):
        array = np.ascontiguousarray(array, dtype=np.float32)
        if quantised and array.ndim == 2:
            writer.add_tensor(name, gguf.quants.quantize(array, Type.Q8_0), raw_dtype=Type.Q8_0)
        else:
            writer.add_tensor(name, array)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    print(path, path.stat().st_size, "bytes")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("run", type=pathlib.Path)
    parser.add_argument("out", type=pathlib.Path)
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    checkpoint = torch.load(args.run / "checkpoint.pt")
    cfg = Config(**checkpoint["config"])
    weights = {name: value.float().numpy() for name, value in checkpoint["weights"].items()}
    write(args.out / "demo-f32.gguf", weights, cfg, args.run / "tokenizer.json", quantised=False)
    write(args.out / "demo.gguf", weights, cfg, args.run / "tokenizer.json", quantised=True)


if __name__ == "__main__":
    main()
