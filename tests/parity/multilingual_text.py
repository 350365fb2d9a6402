#!/usr/bin/env python3
"""Writes a text of many scripts for tokenizers to disagree about: multilingual_text.py OUT [BYTES]

Always the same text for the same number of bytes (default 2^20): made-up words in thirty scripts, with the marks, digits,
spaces, line ends, contractions, code and emoji that pre-tokenizers, normalizers and added tokens look at. Only characters
that Unicode has had since version 9, so that libraries of different age see the same classes.
"""

import sys


class Dice:
    """xorshift64*: the same numbers from any version of Python."""

    def __init__(self, seed):
        self.state = seed

    def roll(self, n):
        s = self.state
        s ^= s >> 12
        s ^= s << 25 & 0xFFFFFFFFFFFFFFFF
        s ^= s >> 27
        self.state = s
        return (s * 0x2545F4914F6CDD1D & 0xFFFFFFFFFFFFFFFF) % n if n > 1 else 0

    def pick(self, items):
        return items[self.roll(len(items))]


def letters(*ranges):
    return [chr(c) for first, last in ranges for c in range(first, last + 1)]


# Letters, then marks that may follow each of them.
SCRIPTS = [
    (list("etaoinshrdlucmfwypvbgk"), []),
    (list("ETAOINSHRDLUCM"), []),
    (list("enrstaudhäöüßéèêàçñíóøåæœłżšřğı"), []),
    (list("aeiounAEIOUN"), ["\u0301", "\u0308", "\u0323", "\u0323\u0301", "\u0327"]),
    (list("ΑΒΓΔΕαβγδεζηθικλμνξοπρστυφχψωάέήίόύώς"), []),
    (list("АБВГДабвгдежзийклмнопрстуфхцчшщъыьэюяёїєґ"), ["", "", "\u0301"]),
    (letters((0x561, 0x586)), []),
    (letters((0x10D0, 0x10F0)), []),
    (letters((0x5D0, 0x5EA)), ["", "", "\u05b8", "\u05bc\u05b7"]),
    (letters((0x627, 0x63A), (0x641, 0x64A)), ["", "", "", "\u064e", "\u0651\u0650"]),
    (letters((0x915, 0x939)), ["", "\u093e", "\u093f", "\u094d", "\u0902"]),
    (letters((0x995, 0x9A8)), ["", "\u09be", "\u09cd", "\u09c7\u09be"]),
    (letters((0xB95, 0xB95), (0xBA8, 0xBAA), (0xBAE, 0xBB9)), ["", "\u0bbe", "\u0bcd", "\u0bc6\u0bbe"]),
    (letters((0xC15, 0xC28)), ["", "\u0c3e", "\u0c4d"]),
    (letters((0xE01, 0xE2E)), ["", "\u0e31", "\u0e35\u0e48", "\u0e32"]),
    (letters((0xF40, 0xF47), (0xF49, 0xF6C)), ["", "\u0f72", "\u0f71\u0f74", "\u0f0b"]),
    (letters((0x1780, 0x17A2)), ["", "\u17b6", "\u17d2\u1780"]),
    (letters((0x1000, 0x1020)), ["", "\u102c", "\u1037\u1039\u1000"]),
    (letters((0x1200, 0x1206), (0x1260, 0x1286)), []),
    (letters((0x13A0, 0x13F5)), []),
    (letters((0x1820, 0x1842)), []),
    (letters((0xAC00, 0xAC40), (0xC544, 0xC580), (0xD558, 0xD590)), []),
    (["\u1112\u1161\u11ab", "\u1100\u1173\u11af", "\u110b\u1175", "\u1103\u1161"], []),
    (letters((0x3042, 0x3093)), []),
    (letters((0x30A2, 0x30F3)) + ["ー"], []),
    (letters((0x4E00, 0x4E80), (0x5728, 0x5780), (0x6211, 0x6240), (0x8A71, 0x8A90)), []),
    (letters((0x20000, 0x20020), (0xF900, 0xF920)), []),
    (letters((0x1D400, 0x1D433), (0x10400, 0x10427), (0x10428, 0x1044F)), []),
    (list("ǅǈǋᾈʰˠªºſﬁﬂŉĿİẞKΩÅ"), []),
    (list("０１２ＡＢＣａｂｃ！？（）"), []),
]
DIGITS = ["0123456789", "٠١٢٣٤٥٦٧٨٩", "०१२३४५६७८९", "๐๑๒๓๔๕๖๗๘๙", "½¼²³①②ⅧⅣ", "〇一二三百千万"]
MARKS = [", ", ", ", ". ", ". ", "! ", "? ", "; ", ": ", " - ", " — ", "…", "、", "。", "！", "，", "؟ ", "، ", "। ", "¿", "«", "» ",
         "“", "” ", "‘", "’ ", "(", ") ", "[", "] ", "{", "}", "/", "\\", "|", "@", "#", "$", "€", "%", "^", "&", "*", "+", "=",
         "<", ">", "~", "`", "\"", "'", "§", "°", "±", "×", "→", "■", "\u200d", "\u200b", "\u00ad", "\ufeff", "\u2060"]
SPACES = ["  ", "   ", "    ", "\t", "\t\t", "\u00a0", "\u2003", "\u3000", "\u2028", "\u0085", "\u000b", " \u00a0 ", "\u202f",
          "\n", "\n\n", "\r\n", "\r\n\r\n", " \n", "\n  ", "\r", "\n\n\n", " \t\n  \n", "                ", "\x1c", "\u180e"]
EMOJI = ["😀", "👍🏽", "👨‍👩‍👧‍👦", "🇩🇪", "🏳️‍🌈", "❤️", "✈", "🦙", "1️⃣", "♞"]
CODE = ["for (int i = 0; i < 10; ++i) {\n\treturn x[i] != y;\n}\n", "def f(self, *args):\n    return {k: v for k, v in args}\n",
        "https://example.org/a/b?c=d&e=%20#f", "user.name+tag@example.org", "snake_case_name", "camelCaseName",
        "XMLHttpRequest", "SCREAMING_CASE", "v1.2.3-rc.4+5", "{\"key\": [1, 2.50, null]}\r\n", "<p class=\"a\">x</p>",
        "$\\frac{a}{b}$", "if(a&&b||!c)", "//------\n", "/* *** */", "0xDEADBEEF", "1e-10", "C:\\dir\\file.txt"]
CONTRACTIONS = ["'s", "'t", "'re", "'ve", "'m", "'ll", "'d", "'S", "'RE", "'Ll", "'\u017f", "’s", "'x", "''s"]
ADDED = ["<s>", "</s>", "<unk>", "<|im_start|>", "<|im_end|>", "<|eot_id|>", "<|endoftext|>", "<|end|>", "<|user|>", "[INST]",
         "<tool_call>", "<start_of_turn>", "<end_of_turn>", "<0x0A>", "\u2581", "\u2581\u2581", "Ġ", "Ċ", "<|im_start", "<pad>"]


def word(dice, script):
    base, marks = script
    out = ""
    for _ in range(1 + dice.roll(3) + dice.roll(5)):
        out += dice.pick(base)
        if marks:
            out += dice.pick(marks)
    return out.capitalize() if dice.roll(9) == 0 and base[0].isascii() else out


def between(dice):
    """What stands between two words; a space, mostly."""
    kind = dice.roll(100)
    if kind < 74:
        return " "
    if kind < 86:
        return dice.pick(MARKS)
    if kind < 90:
        return dice.pick(SPACES)
    if kind < 93:
        return " " + "".join(dice.pick(dice.pick(DIGITS)) for _ in range(1 + dice.roll(7))) + " "
    if kind < 95:
        return dice.pick(CONTRACTIONS) + dice.pick(["", " "])
    if kind < 96:
        return dice.pick([" ", ""]) + dice.pick(EMOJI)
    if kind < 97:
        return " " + dice.pick(CODE)
    if kind < 98:
        return dice.pick(["", " ", "  ", "\n"]) + dice.pick(ADDED) + dice.pick(["", " ", "  ", "\n"])
    if kind < 99:
        return dice.pick(MARKS).strip() * (1 + dice.roll(9))
    return dice.pick(SPACES) * (1 + dice.roll(5))


def make(size):
    dice = Dice(20_240_229)
    out, length = [], 0
    vocabulary = [[word(dice, script) for _ in range(400)] for script in SCRIPTS]
    while length < size:
        # Words come back, as they do in every language; scripts change within a paragraph, but not often.
        words = vocabulary[dice.roll(len(SCRIPTS))]
        paragraph = ""
        for _ in range(5 + dice.roll(60)):
            known = dice.roll(400 if dice.roll(3) == 0 else 40)
            paragraph += words[known] + between(dice)
            if dice.roll(40) == 0:
                words = vocabulary[dice.roll(len(SCRIPTS))]
        paragraph += dice.pick(["\n", "\n\n", "\r\n", " \n"])
        out.append(paragraph)
        length += len(paragraph.encode())
    return "".join(out)


if __name__ == "__main__":
    text = make(int(sys.argv[2]) if len(sys.argv) > 2 else 1 << 20)
    with open(sys.argv[1], "wb") as file:
        file.write(text.encode())
