"""House style that a machine can judge: opening comments, names, tabs, short architectures, formatting.

Usage: style.py SOURCE_FOLDER [CLANG_FORMAT] | style.py --self-test [CLANG_FORMAT]
Prints the sizes of the longest files as well; they are an aim, not a limit.
"""
import concurrent.futures
import os
import pathlib
import re
import subprocess
import sys
import tempfile

FOLDERS = ("include", "src", "kernels", "bench", "tests", "examples", "cmake")
CODE = {".hpp", ".cpp", ".h", ".cu", ".cuh"}
TEXT = CODE | {".py", ".sh", ".cmake", ".txt", ".in", ".md", ".json"}
BANNED = {"util", "utils", "helper", "helpers", "common", "misc", "impl", "manager"}
# Types, namespaces and functions a file introduces.
DECLARED = re.compile(r"^\s*(?:class|struct|enum class|namespace|def|function\()\s*(\w+)", re.M)
LONGEST_ARCHITECTURE = 80


def words(name):
    """The words of a snake_case or PascalCase name."""
    return {w.lower() for w in re.findall(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])", name)}


def files(root):
    for folder in FOLDERS:
        for path in sorted(pathlib.Path(root, folder).rglob("*")):
            if path.suffix in TEXT and path.is_file() and "fixtures" not in path.parts:
                yield path


def file_problems(path, name):
    if words(name) & BANNED:
        yield f"{name}: a name that says nothing"
    text = path.read_text()
    if "\t" in text and path.suffix != ".json":
        yield f"{name}: tab"
    if text and not text.endswith("\n"):
        yield f"{name}: no newline at its end"
    for line, content in enumerate(text.splitlines(), 1):
        if content != content.rstrip() and path.suffix != ".md":
            yield f"{name}:{line}: trailing space"
    if path.suffix not in CODE:
        return
    lines = text.splitlines()
    opening = 1 if name.startswith("tests/") else 2
    if not all(line.startswith(("//", "/*")) for line in lines[:opening]) or len(lines) < opening:
        yield f"{name}: first says what it is, then its place in the flow"
    for match in DECLARED.finditer(text):
        if words(match[1]) & BANNED:
            yield f"{name}: '{match[1]}' says nothing"
    if re.fullmatch(r"include/nibble/arch/(?!all)\w+\.hpp", name) and len(lines) >= LONGEST_ARCHITECTURE:
        yield f"{name}: {len(lines)} lines; an architecture takes fewer than {LONGEST_ARCHITECTURE}"


def layout_problem(path, clang_format):
    """Compares rather than asks: clang-format 14's --dry-run objects to inline namespaces' closing comments."""
    formatted = subprocess.run([clang_format, "--style=file", path], text=True, capture_output=True).stdout
    return None if formatted == path.read_text() else f"{path}: clang-format would lay it out differently"


def problems_in(root, clang_format):
    problems, code = [], []
    for path in files(root):
        problems += file_problems(path, path.relative_to(root).as_posix())
        if path.suffix in CODE:
            code.append(path)
    if clang_format:
        with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
            problems += [p for p in pool.map(lambda path: layout_problem(path, clang_format), code) if p]
    return problems, code


def report_sizes(root, code):
    sizes = sorted(((len(p.read_text().splitlines()), p.relative_to(root).as_posix()) for p in code), reverse=True)
    print(f"{len(code)} files, {sum(n for n, _ in sizes)} lines; the longest:")
    for n, name in sizes[:8]:
        print(f"  {n:5} {name}")


OPENING = "// What.\n// Where.\n"
# (file, content, part of the one problem it must raise; none: must pass)
PLANTED = [
    ("include/nibble/core/fine.hpp", OPENING + "int f();\n", None),
    ("include/nibble/core/bare.hpp", "int f();\n", "first says"),
    ("include/nibble/core/string_utils.hpp", OPENING, "says nothing"),
    ("src/core/tab.cpp", OPENING + "\tint x;\n", "tab"),
    ("src/core/trailing.cpp", OPENING + "int x; \n", "trailing space"),
    ("src/core/names.cpp", OPENING + "class SessionManager;\n", "'SessionManager' says nothing"),
    ("include/nibble/arch/long.hpp", OPENING + "int f();\n" * 78, "80 lines"),
    ("kernels/cpu/end.cpp", OPENING + "int x;", "no newline"),
]


def self_test(clang_format):
    planted = PLANTED + [("src/core/layout.cpp", OPENING + "int   f( );\n", "lay it out")] * bool(clang_format)
    with tempfile.TemporaryDirectory() as root:
        pathlib.Path(root, ".clang-format").write_text("BasedOnStyle: Google\n")
        for name, content, _ in planted:
            path = pathlib.Path(root, name)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content)
        found, _ = problems_in(root, clang_format)
    wrong = []
    for name, _, expected in planted:
        about = [f for f in found if name in f]
        if about if expected is None else not any(expected in f for f in about):
            wrong.append(f"self-test: {name} was judged wrongly: {about}")
    return wrong


if __name__ == "__main__":
    root, clang_format = sys.argv[1], next(iter(sys.argv[2:]), None)
    if root == "--self-test":
        problems = self_test(clang_format)
    else:
        problems, code = problems_in(root, clang_format)
        report_sizes(root, code)
        if not clang_format:
            print("layout NOT checked: there is no clang-format-14 here")
    print("\n".join(problems))
    sys.exit(bool(problems))
