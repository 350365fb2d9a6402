#!/usr/bin/env python3
"""Writes the seeds of the containers and of saved states into corpus/: small right files that mutations start from."""
import json
import struct
from pathlib import Path

corpus = Path(__file__).parent / "corpus"


def save(name, seed, data):
    folder = corpus / name
    folder.mkdir(parents=True, exist_ok=True)
    (folder / seed).write_bytes(data)


def text(s):
    s = s.encode() if isinstance(s, str) else s
    return struct.pack("<Q", len(s)) + s


def entry(key, kind, value):
    return text(key) + struct.pack("<I", kind) + value


def array(kind, count, values):
    return struct.pack("<IQ", kind, count) + values


def tensor(name, dims, kind, offset):
    return text(name) + struct.pack(f"<I{len(dims)}QIQ", len(dims), *dims, kind, offset)


def gguf(entries, tensors, data, version=3, alignment=32):
    head = b"GGUF" + struct.pack("<IQQ", version, len(tensors), len(entries))
    head += b"".join(entries) + b"".join(tensors)
    return head + bytes(-len(head) % alignment if tensors else 0) + bytes(data)


scalars = [
    entry("u8", 0, b"\1"), entry("i8", 1, b"\xff"), entry("u16", 2, b"\2\0"), entry("i16", 3, b"\xfe\xff"),
    entry("u32", 4, struct.pack("<I", 3)), entry("i32", 5, struct.pack("<i", -3)),
    entry("f32", 6, struct.pack("<f", 0.5)), entry("bool", 7, b"\1"),
    entry("general.architecture", 8, text("llama")), entry("u64", 10, b"\xff" * 8),
    entry("i64", 11, struct.pack("<q", -4)), entry("f64", 12, struct.pack("<d", 0.25)),
]
arrays = [
    entry("strings", 9, array(8, 3, text("a") + text("") + text(b"\xff"))),
    entry("ints", 9, array(5, 2, struct.pack("<ii", -1, 1))),
    entry("bools", 9, array(7, 2, b"\0\1")),
    entry("floats", 9, array(6, 1, struct.pack("<f", 1.5))),
    entry("longs", 9, array(10, 1, struct.pack("<Q", 7))),
    entry("none", 9, array(8, 0, b"")),
]
save("gguf", "empty", gguf([], [], 0))
save("gguf", "version2", gguf(scalars[:1], [], 0, version=2))
save("gguf", "scalars", gguf(scalars, [], 0))
save("gguf", "arrays", gguf(arrays, [], 0))
save("gguf", "tensors", gguf(scalars[8:9], [tensor("a", [4, 3], 0, 0), tensor("b", [32], 8, 64),
                                             tensor("c", [1, 2, 1, 2], 1, 128)], 136))
save("gguf", "formats", gguf([], [tensor("k", [256], 12, 0), tensor("i8", [5], 24, 160),
                                  tensor("q4", [32, 2], 2, 192)], 228))
save("gguf", "aligned", gguf([entry("general.alignment", 4, struct.pack("<I", 8))],
                             [tensor("a", [2], 0, 8), tensor("b", [2], 0, 0)], 16, alignment=8))


def safetensors(header, data):
    return text(header) + bytes(data)


save("safetensors", "empty", safetensors("{}", 0))
save("safetensors", "one", safetensors('{"a":{"dtype":"F32","shape":[2,2],"data_offsets":[0,16]}}', 16))
save("safetensors", "metadata", safetensors(
    '{"__metadata__":{"format":"pt","note":"\\u00e9\\ud83d\\ude00"},'
    '"b":{"dtype":"BF16","shape":[],"data_offsets":[16,18]},'
    '"a":{"dtype":"I64","shape":[2],"data_offsets":[0,16]}}   ', 18))
save("safetensors", "narrow", safetensors(
    '{"f":{"dtype":"F4","shape":[4],"data_offsets":[0,2]},"e":{"dtype":"U8","shape":[0,7],"data_offsets":[2,2]},'
    '"g":{"more":[null,true,{"x":-1.5e3}],"dtype":"F8_E4M3","shape":[3],"data_offsets":[2,5]}}', 5))


def state(length, n_tokens, n_logits, n_pages, key=b"nibbleKV\2\0\0\0".ljust(40, b"\0"), help=3):
    body = key + struct.pack("<IIII", length, n_tokens, n_logits, n_pages)
    tokens = struct.pack(f"<{n_tokens}i", *(3 + i % 300 for i in range(n_tokens)))
    return bytes([help]) + body + tokens + bytes(4 * n_logits) + bytes(1024 * n_pages) + bytes(8)


save("state", "nothing", state(0, 0, 0, 0))
save("state", "one_page", state(5, 5, 0, 1))
save("state", "logits", state(5, 5, 370, 1))
save("state", "to_evaluate", state(5, 9, 0, 1))
save("state", "window_passed", state(140, 140, 0, 1))
save("state", "another_engines", state(5, 5, 0, 1, help=2))
save("state", "no_checksum", state(5, 5, 0, 1, help=1))


def sums(name, calls, values):
    name = name.encode()
    return struct.pack("<I", len(name)) + name + struct.pack(f"<II{len(values)}f", calls, len(values), *values)


save("importance", "entries", struct.pack("<I", 2) + sums("a", 2, [1, 0, 3]) + sums("b", 0, [4]) + struct.pack("<I", 7))
save("importance", "tensors", gguf([], [tensor("a.in_sum2", [4, 2], 0, 0), tensor("a.counts", [1, 2], 0, 32)],
                                   struct.pack("<10f", 1, 2, 3, 4, 5, 6, 7, 8, 2, 0)))


# Hyperparameters: the config.json of every parity model, and GGUF metadata with every key that some family reads.
u32 = lambda n: (4, struct.pack("<I", n))  # noqa: E731
f32 = lambda x: (6, struct.pack("<f", x))  # noqa: E731
dense = {
    "block_count": u32(2), "context_length": u32(64), "embedding_length": u32(8), "feed_forward_length": u32(12),
    "attention.head_count": u32(2), "attention.head_count_kv": u32(1), "attention.layer_norm_rms_epsilon": f32(1e-6),
    "vocab_size": u32(6), "rope.dimension_count": u32(4), "rope.freq_base": f32(1e4),
    "attention.sliding_window": u32(16), "attention.key_length": u32(4), "attention.value_length": u32(4),
}
scaled = {"rope.scaling.type": (8, text("yarn")), "rope.scaling.factor": f32(4), "rope.scaling.yarn_beta_fast": f32(32),
          "rope.scaling.yarn_beta_slow": f32(1), "rope.scaling.yarn_attn_factor": f32(1.1),
          "rope.scaling.original_context_length": u32(16), "rope.scaling.attn_factor": f32(1.2)}
experts = {"expert_count": u32(4), "expert_used_count": u32(2), "expert_feed_forward_length": u32(8),
           "expert_weights_norm": (7, b"\0")}
more = {
    "gemma2": {"attn_logit_softcapping": f32(50), "final_logit_softcapping": f32(30)},
    "gemma3": {"attention.sliding_window_pattern": (9, array(7, 2, b"\1\0")), "rope.freq_base_swa": f32(1e3)},
    "granite": {"logit_scale": f32(8), "residual_scale": f32(0.2), "embedding_scale": f32(12), "attention.scale": f32(0.1),
                "rope.scaling.finetuned": (7, b"\1")},
    "llama": {}, "phi3": {"rope.scaling.type": (8, text("longrope"))}, "qwen2": {}, "qwen3": {}, "smollm3": {},
    "qwen3moe": experts, "gpt-oss": experts,
}
for architecture, keys in more.items():
    pairs = dense | (scaled if architecture != "granite" else {}) | keys
    entries = [entry(f"{architecture}.{key}", kind, value) for key, (kind, value) in pairs.items()]
    save("config", f"{architecture}.gguf", gguf([entry("general.architecture", 8, text(architecture)), *entries], [], 0))
for path in sorted((corpus.parent.parent / "parity" / "fixtures").glob("*/hf/config.json")):
    save("config", f"{path.parent.parent.name}.json", (json.dumps(json.loads(path.read_text())) + "\n").encode())


# flags, group size / 32, then kind, rows, cols of qweight, scales, qzeros and g_idx; the rest is what they hold
save("four_bit", "gptq", bytes([0, 1, 0, 8, 8, 0, 2, 8, 0, 2, 1]) + b"\x77")
save("four_bit", "gptq_v2_zeros", bytes([8, 2, 0, 16, 8, 0, 2, 8, 0, 2, 1, 1, 35, 69]))
save("four_bit", "gptq_act_order", bytes([16, 1, 0, 8, 8, 0, 2, 8, 0, 2, 1, 0, 64, 0])
     + b"".join(struct.pack("<i", i % 2) for i in range(64)))
save("four_bit", "awq", bytes([1, 4, 0, 128, 1, 0, 1, 8, 0, 1, 1, 9, 0x32]))
save("four_bit", "whole_rows", bytes([5, 255, 0, 64, 1, 0, 1, 8, 0, 1, 1, 9]))
