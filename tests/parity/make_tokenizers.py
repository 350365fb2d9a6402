"""Tokenizer fixtures: small tokenizers of every kind the library reads, and what they make of tricky text.

Used by make_fixtures.py, which gives two of them to its tiny models. For each tokenizer it writes
fixtures/tokenizers/<name>/tokenizer.json, tokenizer_config.json, tokens.json and, where the GGUF form of the same
tokenizer is meant to give the same ids, vocab.gguf (metadata only, no tensors).

The folders sp-* hold a tokenizer.model of SentencePiece's instead, with tokens.json in which "ids" and "decoded" are
SentencePiece's. multilingual.json holds, for each folder, number and hash of the ids of multilingual_text.py's text.

tokens.json: {"about", "cases": [{"text", "ids", "ids_bos", "ids_plain"?, "decoded"?, "decoded_skip"?}]}
    ids           encode(text, add_special_tokens=False)
    ids_bos       encode(text, add_special_tokens=True)
    ids_plain     as ids, but text that spells a special token is taken as text; left out where it equals ids
    decoded       decode(ids, skip_special_tokens=False); left out where it equals text
    decoded_skip  decode(ids, skip_special_tokens=True); left out where it equals decoded
"""

import json
import pathlib
import tempfile

import gguf
import sentencepiece
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

import multilingual_text

LLAMA3 = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
QWEN2 = LLAMA3.replace(r"\p{N}{1,3}", r"\p{N}")
UPPER, LOWER = r"\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}", r"\p{Ll}\p{Lm}\p{Lo}\p{M}"
O200K_SUFFIX = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
O200K = (
    rf"[^\r\n\p{{L}}\p{{N}}]?[{UPPER}]*[{LOWER}]+{O200K_SUFFIX}|[^\r\n\p{{L}}\p{{N}}]?[{UPPER}]+[{LOWER}]*{O200K_SUFFIX}"
    r"|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
TEKKEN = O200K.replace(O200K_SUFFIX, "").replace(r"\p{N}{1,3}", r"\p{N}")
DEEPSEEK_V3 = [
    r"\p{N}{1,3}",
    "[一-龥\u3040-ゟ゠-ヿ]+",
    "[!\"#$%&'()*+,\\-./:;<=>?@\\[\\\\\\]^_`{|}~][A-Za-z]+|[^\r\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+"
    "| ?[\\p{P}\\p{S}]+[\r\n]*|\\s*[\r\n]+|\\s+(?!\\S)|\\s+",
]

CORPUS = """The harbour was quiet in the morning, and the boats lay side by side in the grey water.
A small fox ran through the tall grass and stopped when it heard the bell of the old church.
She counted the apples twice: there were 128 of them, and 37 were green. That's what she wrote down.
It's raining again, isn't it? We'll stay inside, they're not coming, I've made tea and I'd like some bread.
In 2019 the town had 12,345 people; by 2023 there were 13,902, and the new school had opened in May.
The quick brown fox jumps over the lazy dog. The five boxing wizards jump quickly.
for (int i = 0; i < 10; ++i) {\n    std::cout << values[i] << "\\n";\n}
def mean(values):\n    return sum(values) / len(values)  # the average\n\n
{"name": "order", "items": [1, 2, 3], "total": 45.50, "paid": true, "note": null}
Die Brücke über den Fluss ist schön, aber sie führt nicht nach Süden. Größe, Maß und Höhe.
Où est la bibliothèque? Elle est près de l'école, à côté du café. Ça va très bien, merci.
El niño pequeño comió una manzana mañana por la mañana. ¿Dónde está el año nuevo?
Привет, мир! Это простая проверка. Погода сегодня хорошая, и мы идём гулять.
今天天气很好。我们去公园散步。東京は日本の首都です。ありがとうございます。
The water in the harbour rose in the night and the boats were tied to the old wall again.
When the morning came, the fox was there again, and the bell was ringing over the grass.
There is a house by the river, and in the house there is a table, and on the table there is a letter.
The letter was written by someone who had lived in the house when the river was lower than it is today.
Ticket 4711: the printer on the third floor prints only the first page. Queue: hardware. Priority: low.
Ticket 4712: I cannot log in since this morning, the password was changed. Queue: accounts. Priority: high.
To make the soup, take three onions, two carrots and some water; cook them slowly for thirty minutes.
He said that the train would arrive at 10:45, but it arrived at 11:20, and nobody was surprised.
"""

TEXTS = [
    "",
    " ",
    "   ",
    "\n",
    "\n\n\n",
    "\r\n\r\n",
    "\t\ttabs\tand  spaces   here    ",
    "Hello, world!",
    " Hello",
    "  Hello",
    "The quick brown fox jumps over the lazy dog.",
    "the the  the\nthe\n the \n\nthe",
    "It's they'RE I'Ll we'd 'tis don't CAN'T",
    "0 1 12 123 1234 12345 123456 1,234,567.89",
    "v1.2.3-rc4 3.14159e-10 0xDEADBEEF 50%",
    "x=1;y = 2 ; if(a!=b){return -1;}// done\n",
    "def f(x):\n    return x**2  # square\n\n\n\tpass",
    "http://example.com/a/b?c=d&e=f#g",
    "snake_case camelCase PascalCase SCREAMING_CASE kebab-case",
    "ALLCAPS Mixed miXeD iPhone MacOS XMLHttpRequest",
    "Größe Maß schön über Straße",
    "café naïve Åland coöperate",
    "cafe\u0301 nai\u0308ve A\u030aland so\u0308",
    "e\u0301\u0323\u0302 o\u0323\u0301 \u1e9b\u0323",
    "Привет, мир! Ёлка",
    "今天天气很好。東京は日本の首都です。",
    "안녕하세요 세계 \u1112\u1161\u11ab",
    "مرحبا بالعالم \u0663\u0664\u0665 שלום",
    "हिन्दी में लिखा ก็ไม่รู้",
    "\U0001f600\U0001f44d\U0001f3fd \U0001f468\u200d\U0001f469\u200d\U0001f467\u200d\U0001f466 \U0001f1e9\U0001f1ea",
    "a\u00a0b\u2003c\u3000d\u200be\u2028f\ufefeg\ufeffh",
    "½ ² Ⅷ ①② \u0e53\u0969 १२३४",
    "“curly” ‘quotes’ — dash… ‹›«»",
    "\u2581under\u2581bar \u2581\u2581 and \u0120G\u010aC",
    "null\x00byte \x01\x02\x7f\x85 end",
    "\ufffd replacement \U0010ffff max \ue000 private",
    "!!!???...---***___###@@@$$$",
    "a" * 50,
    "ab" * 30 + " " * 20 + "\n" * 5 + "end",
    "trailing spaces   \n   leading \n\n   both   ",
    "<s>bos</s> <unk> <0x41> <pad>",
    "<|begin_of_text|>hi<|eot_id|> <|eot_id|><|eot_id|>\n<|start_header_id|>user<|end_header_id|>\n\nhi",
    "<|im_start|>user\nhi<|im_end|>\n<|im_start|> x <|im_end",
    "<|user|>\n  hi <|end|>  \n<|assistant|>",
    '<tool_call>{"a": 1}</tool_call><tool_call',
    "<start_of_turn>user\n\n\nhi<end_of_turn>\n\n<eos>",
    "Ticket 4711: the printer on the third floor prints only the first page.",
    "ǅ ǆ Ǆ ß ẞ ﬁ ŉ İ ı ſ K",
    "\U00010400\U00010428 \U0001d400\U0001d44e \U00020000",
]

LLAMA3_TEMPLATE = (
    "{{- bos_token }}{%- for message in messages %}{{- '<|start_header_id|>' + message['role'] + '<|end_header_id|>\n\n'"
    " + message['content'] | trim + '<|eot_id|>' }}{%- endfor %}{%- if add_generation_prompt %}"
    "{{- '<|start_header_id|>assistant<|end_header_id|>\n\n' }}{%- endif %}"
)
MISTRAL_TEMPLATE = (
    "{{ bos_token }}{% for message in messages %}{% if message['role'] == 'user' %}{{ '[INST] ' + message['content'] + "
    "' [/INST]' }}{% else %}{{ message['content'] + eos_token }}{% endif %}{% endfor %}"
)
CHATML_TEMPLATE = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)


def split(pattern, behavior="isolated", invert=False):
    return pre_tokenizers.Split(Regex(pattern), behavior=behavior, invert=invert)


BYTES = pre_tokenizers.ByteLevel(add_prefix_space=False, trim_offsets=True, use_regex=False)
GPT2 = pre_tokenizers.ByteLevel(add_prefix_space=False, trim_offsets=True, use_regex=True)
DIGITS = pre_tokenizers.Digits(individual_digits=True)


def special(text, **flags):
    return AddedToken(text, special=True, normalized=False, **flags)


def byte_level(pattern, vocab_size, specials, bos=None, nfc=False, ignore_merges=False, extra=(), corpus=CORPUS):
    """Byte-level BPE as in Llama 3, Qwen 2, Phi-4-mini, Mistral-Nemo; added tokens come last.

    pattern: a regular expression to split by, or all pre-tokenizers.
    """
    tokenizer = Tokenizer(models.BPE())
    steps = [split(pattern), BYTES] if isinstance(pattern, str) else pattern
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(steps)
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size - len(specials) - len(extra),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator([corpus], trainer)
    model = json.loads(tokenizer.to_str())["model"]
    vocab, merges = model["vocab"], [tuple(m) if isinstance(m, list) else tuple(m.split(" ")) for m in model["merges"]]
    if ignore_merges:
        # As in Llama 3, some whole words cannot be reached by merges: only ignore_merges yields their token.
        used = {part for merge in merges for part in merge}
        leaves = [m for m in merges if "".join(m) not in used and "".join(m).startswith("Ġ")]
        dropped = set(leaves[::6])
        merges = [m for m in merges if m not in dropped]
    tokenizer.model = models.BPE(vocab=vocab, merges=merges, ignore_merges=ignore_merges)
    if nfc:
        tokenizer.normalizer = normalizers.NFC()
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([special(s) if isinstance(s, str) else s for s in specials])
    tokenizer.add_tokens(list(extra))
    byte_level_post = processors.ByteLevel(trim_offsets=False)
    if bos:
        template = processors.TemplateProcessing(single=f"{bos} $A", special_tokens=[(bos, tokenizer.token_to_id(bos))])
        tokenizer.post_processor = processors.Sequence([byte_level_post, template])
    else:
        tokenizer.post_processor = byte_level_post
    assert tokenizer.get_vocab_size() == vocab_size, tokenizer.get_vocab_size()
    return tokenizer


def sentencepiece_like(
    vocab_size, prefix, specials=("<unk>", "<s>", "</s>"), added=(), bos="<s>", extra_characters="", corpus=CORPUS
):
    """BPE with byte fallback as converted from SentencePiece: Llama 2, Mistral ("prepend"), Gemma ("none").

    prefix: "prepend" puts U+2581 in front of every fragment (legacy), "first" only in front of the text, "none" never.
    Ids: specials, 256 bytes, merged pieces in training order, single characters, added tokens.
    """
    trained = Tokenizer(models.BPE())
    trained.pre_tokenizer = pre_tokenizers.Metaspace(replacement="▁", prepend_scheme="always", split=True)
    text = corpus.replace("\n", " ").replace("\t", " ") + extra_characters
    characters = sorted(set(text.replace(" ", "▁")) - {c for c in text if ord(c) > 0x2FFF})
    n_pieces = vocab_size - len(specials) - 256 - len(added) - len(characters)
    n_trained = n_pieces + 60 + len(set(text))  # some are left out below
    trainer = trainers.BpeTrainer(vocab_size=n_trained, limit_alphabet=1000, show_progress=False)
    trained.train_from_iterator([text], trainer)
    pieces = []
    for merge in json.loads(trained.to_str())["model"]["merges"]:
        piece = "".join(merge)
        if piece not in pieces and all(c in characters for c in piece) and len(pieces) < n_pieces:
            pieces.append(piece)
    ordered = [*specials, *(f"<0x{b:02X}>" for b in range(256)), *pieces, *characters]
    vocab = {token: i for i, token in enumerate(ordered)}
    # Every way to split a piece into two known tokens is a merge, ranked by the piece, as in converted models.
    merges = []
    for piece in pieces:
        splits = [(piece[:i], piece[i:]) for i in range(1, len(piece))]
        splits = [s for s in splits if s[0] in vocab and s[1] in vocab]
        merges += sorted(splits, key=lambda s: (len(s[0]), len(s[1])))
    tokenizer = Tokenizer(models.BPE(vocab=vocab, merges=merges, byte_fallback=True, fuse_unk=True, unk_token="<unk>"))
    space = normalizers.Replace(" ", "▁")
    tail = [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()]
    if prefix == "prepend":
        tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), space])
        tail.append(decoders.Strip(" ", 1, 0))
    elif prefix == "first":
        tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(replacement="▁", prepend_scheme="first", split=False)
        tail.append(decoders.Strip(" ", 1, 0))
    else:
        tokenizer.normalizer = space
    tokenizer.decoder = decoders.Sequence(tail)
    tokenizer.add_special_tokens([special(s) for s in specials])
    for token in added:
        (tokenizer.add_special_tokens if token.special else tokenizer.add_tokens)([token])
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{bos} $A", special_tokens=[(bos, tokenizer.token_to_id(bos))]
    )
    assert tokenizer.get_vocab_size() == vocab_size, tokenizer.get_vocab_size()
    return tokenizer


def sentencepiece_model(corpus, vocab_size, **options):
    """A tokenizer.model, trained by SentencePiece itself as Llama's and Gemma's are: BPE, texts as they are."""
    usual = dict(model_type="bpe", byte_fallback=True, normalization_rule_name="identity", remove_extra_whitespaces=False)
    usual |= dict(vocab_size=vocab_size, character_coverage=0.995, num_threads=1, minloglevel=2)
    with tempfile.TemporaryDirectory() as folder:
        prefix = f"{folder}/trained"
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(corpus.split("\n")), model_prefix=prefix, **usual | options
        )
        return pathlib.Path(f"{prefix}.model").read_bytes()


class Bundle:
    """A tokenizer with all that the two container formats say about it."""

    def __init__(
        self, tokenizer, kind, pre, bos, eos, chat_template=None, add_bos=True, in_gguf=True, space_prefix=None
    ):
        self.tokenizer, self.kind, self.pre, self.bos, self.eos = tokenizer, kind, pre, bos, eos
        self.chat_template, self.add_bos, self.in_gguf, self.space_prefix = (
            chat_template,
            add_bos,
            in_gguf,
            space_prefix,
        )

    def id(self, token):
        return self.tokenizer.token_to_id(token)

    def write_hf(self, folder):
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "tokenizer.json").write_text(self.tokenizer.to_str(pretty=False) + "\n")
        added = json.loads(self.tokenizer.to_str())["added_tokens"]
        config = {
            "add_bos_token": self.add_bos,
            "added_tokens_decoder": {str(t["id"]): {k: v for k, v in t.items() if k != "id"} for t in added},
            "bos_token": self.bos,
            "eos_token": self.eos,
            "model_max_length": 512,
            "tokenizer_class": "LlamaTokenizer" if self.kind == "llama" else "PreTrainedTokenizerFast",
        }
        if self.chat_template:
            config["chat_template"] = self.chat_template
        (folder / "tokenizer_config.json").write_text(json.dumps(config, indent=1) + "\n")

    def write_gguf(self, path, name):
        writer = gguf.GGUFWriter(path, "llama")
        writer.add_type("model")
        writer.add_name(f"tokenizer {name}")
        self.add_to_gguf(writer)
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_ti_data_to_file()
        writer.close()

    def add_to_gguf(self, writer, rows=0):
        """The tokenizer.ggml.* keys, as the usual converter writes them, padded to so many tokens."""
        document = json.loads(self.tokenizer.to_str())
        size = self.tokenizer.get_vocab_size()
        tokens = [self.tokenizer.id_to_token(i) for i in range(size)] + [f"[PAD{i}]" for i in range(size, rows)]
        types = [gguf.TokenType.NORMAL] * size + [gguf.TokenType.UNUSED] * (len(tokens) - size)
        for token in document["added_tokens"]:
            types[token["id"]] = gguf.TokenType.CONTROL if token["special"] else gguf.TokenType.USER_DEFINED
        writer.add_tokenizer_model(self.kind)
        writer.add_tokenizer_pre(self.pre)
        if self.kind == "llama":
            types[self.id("<unk>")] = gguf.TokenType.UNKNOWN
            for b in range(256):
                types[self.id(f"<0x{b:02X}>")] = gguf.TokenType.BYTE
            first = self.id("<0xFF>") + 1
            scores = [0.0 if types[i] != gguf.TokenType.NORMAL else -float(i - first) for i in range(size)]
            writer.add_token_list(tokens)
            writer.add_token_scores(scores)
            writer.add_token_types(types)
        else:
            writer.add_token_list(tokens)
            writer.add_token_types(types)
            writer.add_token_merges([" ".join(m) if isinstance(m, list) else m for m in document["model"]["merges"]])
        if self.bos:
            writer.add_bos_token_id(self.id(self.bos))
        writer.add_eos_token_id(self.id(self.eos))
        if self.kind == "llama":
            writer.add_unk_token_id(self.id("<unk>"))
        writer.add_add_bos_token(self.add_bos)
        writer.add_add_eos_token(False)
        if self.space_prefix is not None:
            writer.add_add_space_prefix(self.space_prefix)
        if self.chat_template:
            writer.add_chat_template(self.chat_template)

    def cases(self):
        cases = []
        for text in TEXTS:
            self.tokenizer.encode_special_tokens = False
            ids = self.tokenizer.encode(text, add_special_tokens=False).ids
            ids_bos = self.tokenizer.encode(text, add_special_tokens=True).ids
            decoded = self.tokenizer.decode(ids, skip_special_tokens=False)
            decoded_skip = self.tokenizer.decode(ids, skip_special_tokens=True)
            self.tokenizer.encode_special_tokens = True
            plain = self.tokenizer.encode(text, add_special_tokens=False).ids
            self.tokenizer.encode_special_tokens = False
            case = {"text": text, "ids": ids, "ids_bos": ids_bos}
            case |= {"ids_plain": plain} if plain != ids else {}
            case |= {"decoded": decoded} if decoded != text else {}
            case |= {"decoded_skip": decoded_skip} if decoded_skip != decoded else {}
            cases.append(case)
        return cases


def spm_by_scores(bundle, text):
    """The score-driven algorithm of the GGUF form ("llama") on one fragment: must equal tokenizer.json."""
    vocab = bundle.tokenizer.get_vocab()
    first = vocab["<0xFF>"] + 1
    symbols = list(("▁" if bundle.space_prefix is not False else "") + text.replace(" ", "▁")) if text else []
    while True:
        best = None
        for i in range(len(symbols) - 1):
            rank = vocab.get(symbols[i] + symbols[i + 1])
            if rank is not None and rank >= first and (best is None or rank < best[0]):
                best = (rank, i)
        if best is None:
            break
        i = best[1]
        symbols[i : i + 2] = [symbols[i] + symbols[i + 1]]
    ids = []
    for s in symbols:
        ids += [vocab[s]] if s in vocab else [vocab[f"<0x{b:02X}>"] for b in s.encode()]
    return ids


def check(name, bundle, cases):
    """Refuse fixtures that could not fail: round trips must hold, and the GGUF form must mean the same tokens."""
    document = json.loads(bundle.tokenizer.to_str())
    added = [t["content"] for t in document["added_tokens"]]
    if document["model"]["ignore_merges"]:
        document["model"]["ignore_merges"] = False
        by_merges = Tokenizer.from_str(json.dumps(document))
        assert any(by_merges.encode(c["text"], add_special_tokens=False).ids != c["ids"] for c in cases), name
    for case in cases:
        has_added = any(t in case["text"] for t in added)
        if bundle.kind == "gpt2" and bundle.in_gguf and not bundle.tokenizer.normalizer:
            assert "decoded" not in case, (name, case)
        if bundle.kind == "llama" and bundle.in_gguf and not has_added:
            assert spm_by_scores(bundle, case["text"]) == case["ids"], (name, case["text"])


LLAMA3_SPECIALS = ["<|begin_of_text|>", "<|end_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"]


def llama3(vocab_size):
    tokenizer = byte_level(LLAMA3, vocab_size, LLAMA3_SPECIALS, bos=LLAMA3_SPECIALS[0], ignore_merges=True)
    return Bundle(tokenizer, "gpt2", "llama-bpe", LLAMA3_SPECIALS[0], "<|eot_id|>", LLAMA3_TEMPLATE)


def mistral(vocab_size):
    tokenizer = sentencepiece_like(vocab_size, "prepend")
    return Bundle(tokenizer, "llama", "default", "<s>", "</s>", MISTRAL_TEMPLATE, space_prefix=True)


def all_tokenizers():
    chatml = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    tools = [AddedToken(t, special=False, normalized=False) for t in ("<tool_call>", "</tool_call>")]
    phi3 = [special(t, rstrip=True) for t in ("<|endoftext|>", "<|user|>", "<|assistant|>", "<|end|>")]
    newlines = [AddedToken("\n" * n, special=False, normalized=False) for n in (2, 3)]
    gemma_added = [*newlines, special("<start_of_turn>"), special("<end_of_turn>")]
    gemma_specials = ("<pad>", "<eos>", "<bos>", "<unk>")
    gemma = sentencepiece_like(640, "none", gemma_specials, gemma_added, "<bos>", extra_characters="\n\t")
    qwen2 = byte_level(QWEN2, 768, chatml, nfc=True, extra=tools)
    o200k = byte_level(O200K, 768, ["<|endoftext|>", "<|user|>", "<|end|>"])
    tekken = byte_level(TEKKEN, 768, ["<unk>", "<s>", "</s>"], bos="<s>", ignore_merges=True)
    flagged = [special(t, lstrip=True, rstrip=True) for t in (*chatml, "<|im_sep|>")]
    phi4 = byte_level([split(LLAMA3, "removed", True), BYTES], 768, flagged)
    smollm = byte_level([DIGITS, GPT2], 768, chatml)
    deepseek = byte_level([*map(split, DEEPSEEK_V3), BYTES], 768, ["<｜begin▁of▁sentence｜>", "<｜end▁of▁sentence｜>"])
    first = sentencepiece_like(640, "first")
    rstrip = sentencepiece_like(640, "prepend", added=phi3)
    return {
        "llama3": llama3(896),
        "qwen2": Bundle(qwen2, "gpt2", "qwen2", None, "<|im_end|>", CHATML_TEMPLATE, add_bos=False),
        "o200k": Bundle(o200k, "gpt2", "gpt-4o", None, "<|endoftext|>", add_bos=False),
        "tekken": Bundle(tekken, "gpt2", "tekken", "<s>", "</s>"),
        "smollm": Bundle(smollm, "gpt2", "smollm", None, "<|im_end|>", add_bos=False),
        "phi4": Bundle(phi4, "gpt2", "dbrx", None, "<|im_end|>", add_bos=False, in_gguf=False),
        "deepseek": Bundle(deepseek, "gpt2", "deepseek-v3", None, "<｜end▁of▁sentence｜>", add_bos=False),
        "llama2": mistral(768),
        "llama2-first": Bundle(first, "llama", "default", "<s>", "</s>", in_gguf=False),
        "phi3": Bundle(rstrip, "llama", "default", "<s>", "<|endoftext|>", in_gguf=False),
        "gemma": Bundle(gemma, "llama", "default", "<bos>", "<eos>", space_prefix=False),
    }


def all_models():
    symbols = ["\n", "\n\n", "▁▁", "▁▁▁▁", "<tool_call>"]
    yield "sp-llama", sentencepiece_model(CORPUS, 640, split_digits=True, allow_whitespace_only_pieces=True)
    yield "sp-gemma", sentencepiece_model(CORPUS, 640, add_dummy_prefix=False, user_defined_symbols=symbols)


def model_cases(processor):
    for text in TEXTS:
        ids = processor.encode(text)
        decoded = processor.decode(ids)
        yield {"text": text, "ids": ids} | ({"decoded": decoded} if decoded != text else {})


def digest(ids):
    """FNV-1a with whole ids in the place of bytes."""
    value = 0xCBF29CE484222325
    for i in ids:
        value = (value ^ i) * 0x100000001B3 & 0xFFFFFFFFFFFFFFFF
    return {"n": len(ids), "fnv1a": f"{value:016x}"}


def write_tokens(path, name, bundle):
    cases = bundle.cases()
    check(name, bundle, cases)
    write_cases(path, name, "Hugging Face tokenizers", cases)


def write_cases(path, name, library, cases):
    about = f"Token ids and decoded text of the tokenizer {name}, by {library}; keys: see make_tokenizers.py."
    lines = ",\n".join(json.dumps(c, separators=(",", ":")) for c in cases)
    path.write_text(f'{{"about": {json.dumps(about)},\n"cases": [\n{lines}\n]}}\n')


def write_all(root: pathlib.Path):
    text = multilingual_text.make(1 << 20)
    digests = {}
    for name, bundle in all_tokenizers().items():
        folder = root / name
        bundle.write_hf(folder)
        write_tokens(folder / "tokens.json", name, bundle)
        digests[name] = digest(bundle.tokenizer.encode(text, add_special_tokens=False).ids)
        if bundle.in_gguf:
            bundle.write_gguf(folder / "vocab.gguf", name)
        print(f"tokenizer {name:13} {bundle.tokenizer.get_vocab_size():5} tokens")
    for name, model in all_models():
        (root / name).mkdir(parents=True, exist_ok=True)
        (root / name / "tokenizer.model").write_bytes(model)
        processor = sentencepiece.SentencePieceProcessor(model_proto=model)
        write_cases(root / name / "tokens.json", name, "SentencePiece", list(model_cases(processor)))
        digests[name] = digest(processor.encode(text))
        print(f"tokenizer {name:13} {processor.get_piece_size():5} tokens")
    about = "Number and hash of the ids of multilingual_text.py's text by each tokenizer; see make_tokenizers.py."
    (root / "multilingual.json").write_text(json.dumps({"about": about, "ids": digests}, indent=1) + "\n")
