"""Every C++ snippet of the documentation is compiled: it stands, word for word, in a file of the build.

A fence reads ```cpp PATH. Its lines stand in that file in this order; a line `// ...` leaves some out. Indentation does
not count. Relative links must lead somewhere as well.

Usage: check_snippets.py SOURCE_FOLDER | check_snippets.py --self-test
"""
import pathlib
import re
import sys
import tempfile

COMPILED = ("examples/", "include/", "src/", "kernels/", "tests/")
FENCE = re.compile(r"^```cpp *(\S*)\n(.*?)^```$", re.M | re.S)
LINK = re.compile(r"\]\((?!\w+:|#)([^)#\s]+)")


def lines_of(text):
    return [line.strip() for line in text.splitlines()]


def position(needle, lines, start):
    """The line after `needle`'s first occurrence in `lines` from `start` on, or None."""
    for i in range(start, len(lines) - len(needle) + 1):
        if lines[i : i + len(needle)] == needle:
            return i + len(needle)
    return None


def pieces(snippet):
    piece = []
    for line in lines_of(snippet):
        if line == "// ...":
            yield piece
            piece = []
        else:
            piece.append(line)
    yield piece


def snippet_problem(root, path, snippet):
    if not path.startswith(COMPILED) or not (root / path).is_file():
        return f"no compiled file '{path}'"
    lines, at = lines_of((root / path).read_text()), 0
    for piece in pieces(snippet):
        at = position(piece, lines, at)
        if at is None:
            return f"not in {path}: {piece[0]}"
    return None


def problems(root):
    for page in [*sorted((root / "docs").rglob("*.md")), *sorted(root.glob("*.md"))]:
        text = page.read_text()
        for match in FENCE.finditer(text):
            problem = snippet_problem(root, match[1], match[2])
            if problem:
                yield f"{page.relative_to(root)}:{text[: match.start()].count(chr(10)) + 1}: {problem}"
        for link in LINK.findall(text):
            if not (page.parent / link).exists():
                yield f"{page.relative_to(root)}: broken link {link}"


def self_test():
    with tempfile.TemporaryDirectory() as folder:
        root = pathlib.Path(folder)
        for name in ("docs", "src"):
            (root / name).mkdir()
        (root / "src/a.cpp").write_text("int a() {\n  return 1;\n}\nint b;\n")

        def found(text):
            (root / "docs/page.md").write_text(text)
            return len(list(problems(root)))

        assert found("```cpp src/a.cpp\nint a() {\n  return 1;\n// ...\nint b;\n```\n[a](../src/a.cpp)\n") == 0
        assert found("```cpp src/a.cpp\nreturn 2;\n```\n") == 1
        assert found("```cpp src/a.cpp\nint b;\n// ...\nreturn 1;\n```\n") == 1
        assert found("```cpp\nint b;\n```\n") == 1
        assert found("```cpp docs/page.md\nint b;\n```\n") == 1
        assert found("[a](../src/b.cpp)\n") == 1


def main():
    if sys.argv[1] == "--self-test":
        return self_test()
    found = list(problems(pathlib.Path(sys.argv[1])))
    print("\n".join(found) or "every snippet is compiled")
    sys.exit(bool(found))


if __name__ == "__main__":
    main()
