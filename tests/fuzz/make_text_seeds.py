#!/usr/bin/env python3
"""Writes the seeds of the text stage's targets into corpus/, and tokenizer_json.dict."""
import json
import struct
from pathlib import Path

here = Path(__file__).parent


def save(name, seed, data):
    folder = here / "corpus" / name
    folder.mkdir(parents=True, exist_ok=True)
    (folder / seed).write_bytes(data)


def added(id, content, **flags):
    return {"id": id, "content": content, **flags}


def template(*before):
    return {
        "type": "TemplateProcessing",
        "single": [{"SpecialToken": {"id": t, "type_id": 0}} for t in before] + [{"Sequence": {"id": "A"}}],
        "special_tokens": {t: {"id": t, "ids": [0], "tokens": [t]} for t in before},
    }


def vocabulary(*texts):
    return {text: i for i, text in enumerate(texts)}


def pattern(text, kind="Regex", behavior="Isolated", **more):
    return {"type": "Split", "pattern": {kind: text}, "behavior": behavior, **more}


def replace(a, b):
    return {"type": "Replace", "pattern": {"String": a}, "content": b}


bytes_without_regex = {"type": "ByteLevel", "add_prefix_space": False, "use_regex": False}
seeds = {
    "smallest": {"model": {"vocab": {}, "merges": []}},
    "byte_level": {
        "added_tokens": [added(9, "<s>", special=True)],
        "pre_tokenizer": {"type": "ByteLevel"},
        "decoder": {"type": "ByteLevel"},
        "post_processor": {"type": "ByteLevel"},
        "model": {"type": "BPE", "vocab": vocabulary("H", "e", "l", "o", "Ġ", "ll", "el", "llo"),
                  "merges": ["l l", "e l", "ll o"], "ignore_merges": True},
        "bos_token": "<s>", "add_bos_token": True, "chat_template": "x", "eos_token_id": [9],
    },
    "splits": {
        "normalizer": {"type": "NFC"},
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": [
            pattern(r"\p{N}{1,3}"), pattern(" ", "String", "MergedWithNext"),
            pattern(r"(?i:'s)|[^\r\n\p{L}]?\p{L}+|\s+(?!\S)|\x41*?", behavior="Removed", invert=True),
            {"type": "Digits", "individual_digits": True}, bytes_without_regex]},
        "decoder": {"type": "Sequence", "decoders": [{"type": "ByteLevel"}]},
        "model": {"vocab": vocabulary("a", "aa", "1", "Ċ"), "merges": [["a", "a"]]},
        "truncation": {"max_length": 8, "stride": 2},
    },
    "sentencepiece": {
        "added_tokens": [added(0, "<s>", special=True, rstrip=True), added(1, "世", normalized=True, lstrip=True),
                         added(5, "xx", single_word=True)],
        "normalizer": {"type": "Sequence", "normalizers": [{"type": "Prepend", "prepend": "▁"}, replace(" ", "▁")]},
        "decoder": {"type": "Sequence", "decoders": [replace("▁", " "), {"type": "ByteFallback"}, {"type": "Fuse"},
                                                     {"type": "Strip", "content": " ", "start": 1, "stop": 0}]},
        "post_processor": {"type": "Sequence", "processors": [template("<s>")]},
        "model": {"type": "BPE", "unk_token": "<s>", "fuse_unk": True, "byte_fallback": True, "dropout": None,
                  "vocab": vocabulary("<s>", "世", "▁", "a", "▁a"), "merges": [["▁", "a"]]},
        "eos_token": {"content": "a"}, "eos_token_id": 3, "add_eos_token": True,
        "chat_template": [{"name": "default", "template": "y"}],
    },
    "metaspace": {
        "pre_tokenizer": {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "first", "split": True},
        "decoder": {"type": "Metaspace", "replacement": "▁", "add_prefix_space": False},
        "model": {"vocab": vocabulary("▁", "e", "é"), "merges": []},
    },
}
for name, document in seeds.items():
    save("tokenizer_json", name, json.dumps(document, ensure_ascii=False).encode())

words = set()


def collect(value):
    if isinstance(value, dict):
        words.update(value)
        for item in value.values():
            collect(item)
    elif isinstance(value, list):
        for item in value:
            collect(item)
    elif isinstance(value, str):
        words.add(value)


for document in seeds.values():
    collect({k: v for k, v in document.items() if k != "model"})
words.update(["type", "vocab", "merges", "unk_token", "ignore_merges", "byte_fallback", "MergedWithPrevious",
              "Contiguous", "always", "never", "add_prefix_space", "(?:", "(?=", "(?<!", r"[^\\s]", r"\\p{Lu}", "{2,}"])
lines = (json.dumps(json.dumps(w)) for w in sorted(words) if w.isascii())
(here / "tokenizer_json.dict").write_text("\n".join(lines) + "\n")



def field(number, value):
    """One field of a protobuf message: an int as varint, a float in 32 bits, bytes with their length."""

    def varint(n):
        n &= (1 << 64) - 1
        return bytes([n & 127 | 128]) + varint(n >> 7) if n > 127 else bytes([n])

    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    if isinstance(value, float):
        return varint(number << 3 | 5) + struct.pack("<f", value)
    return varint(number << 3 | 2) + varint(len(value)) + value


def piece(text, score, kind=1):
    return field(1, field(1, text.encode()) + field(2, score) + (field(3, kind) if kind != 1 else b""))


words_of_a_model = b"".join(piece(t, -float(i)) for i, t in enumerate(["▁", "l", "o", "e", "ll", "▁w", "é", "aa", "aaaa"]))
controls = piece("<unk>", 0.0, 2) + piece("<s>", 0.0, 3) + piece("</s>", 0.0, 3)
bpe = field(2, field(3, 2) + field(40, 0) + field(41, 1) + field(42, 2))
identity = field(3, field(1, b"identity") + field(2, b"") + field(3, 1) + field(4, 0) + field(5, 1))
save("tokenizer_model", "smallest", piece("<unk>", 0.0, 2) + field(2, field(3, 2) + field(41, -1) + field(42, -1))
     + field(3, field(4, 0)))
save("tokenizer_model", "words", controls + words_of_a_model + bpe + identity)
save("tokenizer_model", "bytes", controls + b"".join(piece(f"<0x{b:02X}>", 0.0, 6) for b in range(256))
     + words_of_a_model + bpe + identity)
save("tokenizer_model", "user_defined", controls + piece("▁▁", 0.0, 4) + piece("\n\n", 0.0, 4) + piece("l", 0.0, 5)
     + bpe + field(3, field(3, 0) + field(4, 0)) + field(5, b"") + field(900, 1.0))
save("tokenizer_model", "unigram", controls + words_of_a_model + field(2, field(3, 1)) + identity)

texts = ["", "hello world", "  aaaa  <tool> x<|im_end|>", "h\u00e9llo 世界 \U0001f600\n\n", "wor\x00\x01 ▁▁ <s><0x41>"]
for i, text in enumerate(texts):
    for options in range(8):
        save("text", f"{i}-{options}", bytes([options]) + text.encode())
save("text", "cut", b"\1ab\xe4\xb8")
save("text", "surrogate", b"\0a\xed\xa0\x80b")
