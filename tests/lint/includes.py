"""Who may include whom: stages look left only, and third-party headers stay where they are used.

Usage: includes.py SOURCE_FOLDER | includes.py --self-test
"""
import pathlib
import re
import sys
import tempfile

# A stage of the flow and the stages it may name; core is open to all.
STAGES = {
    "core": "",
    "quant": "",
    "file": "quant",
    "text": "quant file",
    "model": "quant file",
    "arch": "quant file model",
    "sample": "",
    "backend": "quant file model",
    "kernels": "quant file model backend",
    "application": "quant file text model arch sample backend application",  # engine, session, nibble.hpp
}

# The one file of a stage that collects what later folders offer: a registry.
REGISTRIES = {
    "src/model/architecture.cpp": "arch",
    "src/backend/backend.cpp": "kernels",
}

# Headers that are not the C++ standard library's, and the folders that may include them.
THIRD_PARTY = [
    (r"Eigen/.*", ["kernels/reference"]),
    (r"nlohmann/.*", ["src/file", "src/text", "examples/cli"]),
    (r"pcre2\.h", ["src/text"]),
    (r"utf8proc\.h", ["src/file", "src/text"]),
    (r"xsimd/.*", ["kernels/cpu"]),
    (r"\w*intrin\.h|cpuid\.h|arm_neon\.h|asm/hwcap\.h|sys/auxv\.h", ["kernels/cpu"]),
    (r"cuda\w*\.h|mma\.h|cooperative_groups\.h", ["kernels/cuda"]),
    (r"benchmark/.*", ["bench"]),
    (r"CLI/.*|histedit\.h", ["examples/cli"]),
    # The operating system's, and C's.
    (r"(sys|linux)/.*|\w+\.h", ["src/core", "src/file", "kernels/cpu", "kernels/cuda", "examples/cli", "bench"]),
]

# What per-tier files must not instantiate: code that other translation units could then link instead.
CONTAINERS = set("deque functional list map memory set string unordered_map unordered_set valarray vector".split())

INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]', re.M)


def stage_of(path):
    """The stage a file or an included name belongs to."""
    parts = pathlib.PurePosixPath(path).parts
    if parts[0] == "kernels":
        return "kernels"
    inner = parts[2:] if parts[0] == "include" else parts[1:]  # below include/nibble/, nibble/ or src/
    if len(inner) == 1:
        return "core" if inner[0] == "version.hpp" else "application"
    return "application" if inner[0] in ("engine", "session") else inner[0]


def violations(root):
    """Yields 'file:line: what is wrong' for every include that breaks the order."""
    root = pathlib.Path(root)
    tiers = {p.name for p in (root / "kernels/cpu").glob("*/")}
    for folder in ("include", "src", "kernels", "examples", "bench"):
        for path in sorted((root / folder).rglob("*")):
            if path.suffix not in (".hpp", ".cpp", ".h", ".cu", ".cuh"):
                continue
            name = path.relative_to(root).as_posix()
            text = path.read_text()
            for match in INCLUDE.finditer(text):
                problem = check(name, match[1] == "<", match[2], tiers)
                if problem:
                    line = text.count("\n", 0, match.start(2)) + 1
                    yield f"{name}:{line}: {match[2]}: {problem}"


def check(name, angled, included, tiers):
    tier = re.match(r"kernels/cpu/(\w+)/", name)
    if included.startswith(("nibble/", "src/", "kernels/", "bench/")):
        return check_own(name, tier, included)
    if not angled:
        if name.startswith("examples/") and "/" not in included:  # a program's own parts
            return None
        return "quoted includes name nibble's own files from the root of the tree"
    if "." not in included and "/" not in included:  # the C++ standard library
        if tier and included in CONTAINERS:
            return "no containers in a tier's files"
        return None
    if name.startswith("include/"):
        return "a public header includes only nibble and the C++ standard library"
    for pattern, folders in THIRD_PARTY:
        if re.fullmatch(pattern, included):
            return None if name.startswith(tuple(folders)) else f"only in {', '.join(folders)}"
    return "unknown third-party header"


def check_own(name, tier, included):
    if name.startswith("bench/"):  # looks at everything, and is looked at by the command line alone
        return None
    if name.startswith("examples/cli/") and included.startswith("bench/probe/"):
        return None
    if name.startswith("examples/"):
        return None if included.startswith("nibble/") else "examples use the public interface only"
    if name.startswith("include/") and not included.startswith("nibble/"):
        return "a public header includes public headers only"
    here, there = stage_of(name), stage_of(included)
    if here not in STAGES or there not in STAGES:
        return f"unknown stage '{here if here not in STAGES else there}'"
    if there not in ("core", here, REGISTRIES.get(name)) and there not in STAGES[here].split():
        return f"{here} must not look at {there}"
    if here == there == "kernels" and included.count("/") > 1:
        backend, other = name.split("/")[1], included.split("/")[1]
        if backend != other:
            return f"the {backend} backend must not look at {other}"
        other_tier = re.match(r"kernels/cpu/(\w+)/", included)
        # vector/ is no tier but templates for all; avx2_vnni is avx2 with an instruction more
        if tier and other_tier and other_tier[1] not in (tier[1], tier[1].split("_")[0], "vector"):
            return f"tier {tier[1]} must not look at {other_tier[1]}"
    return None


# (file, its include line, is it allowed)
PLANTED = [
    ("include/nibble/core/a.hpp", '"nibble/quant/format.hpp"', False),
    ("include/nibble/quant/a.hpp", '"nibble/core/error.hpp"', True),
    ("include/nibble/quant/b.hpp", '"nibble/file/gguf.hpp"', False),
    ("include/nibble/arch/a.hpp", '"nibble/model/plan.hpp"', True),
    ("include/nibble/arch/b.hpp", '"nibble/backend/backend.hpp"', False),
    ("include/nibble/backend/a.hpp", '"nibble/arch/llama.hpp"', False),
    ("include/nibble/sample/a.hpp", '"nibble/model/plan.hpp"', False),
    ("include/nibble/model/a.hpp", '"nibble/engine.hpp"', False),
    ("include/nibble/core/b.hpp", "<vector>", True),
    ("include/nibble/core/c.hpp", "<Eigen/Dense>", False),
    ("include/nibble/core/d.hpp", "<immintrin.h>", False),
    ("include/nibble/core/e.hpp", "<sys/mman.h>", False),
    ("include/nibble/core/f.hpp", "<nlohmann/json.hpp>", False),
    ("include/nibble/core/g.hpp", "<xsimd/xsimd.hpp>", False),
    ("include/nibble/core/h.hpp", "<cuda_runtime.h>", False),
    ("include/nibble/engine2.hpp", '"kernels/cpu/table.hpp"', False),
    ("src/engine.cpp", '"nibble/session.hpp"', True),
    ("src/engine3.cpp", '"bench/probe/limits.hpp"', False),
    ("bench/a.cpp", '"kernels/cpu/table.hpp"', True),
    ("bench/b.cpp", "<benchmark/benchmark.h>", True),
    ("src/engine4.cpp", "<benchmark/benchmark.h>", False),
    ("examples/cli/bench.cpp", '"bench/probe/limits.hpp"', True),
    ("examples/07_bench.cpp", '"bench/probe/limits.hpp"', False),
    ("src/engine2.cpp", '"kernels/cpu/table.hpp"', False),
    ("src/model/architecture.cpp", '"nibble/arch/all.hpp"', True),
    ("src/model/config.cpp", '"nibble/arch/all.hpp"', False),
    ("src/model/b.cpp", "<nlohmann/json.hpp>", False),
    ("src/file/a.cpp", "<nlohmann/json.hpp>", True),
    ("src/text/a.cpp", "<pcre2.h>", True),
    ("src/sample/a.cpp", "<unistd.h>", False),
    ("kernels/reference/a.cpp", "<Eigen/Dense>", True),
    ("kernels/cpu/a.cpp", "<Eigen/Dense>", False),
    ("kernels/cpu/b.cpp", '"kernels/reference/a.hpp"', False),
    ("kernels/cpu/avx2/a.cpp", "<immintrin.h>", True),
    ("kernels/cpu/avx2/b.cpp", "<vector>", False),
    ("kernels/cpu/avx2/c.cpp", '"kernels/cpu/portable/a.hpp"', False),
    ("kernels/cpu/avx2/e.cpp", '"kernels/cpu/vector/a.hpp"', True),
    ("kernels/cpu/avx2_vnni/a.cpp", '"kernels/cpu/avx2/a.hpp"', True),
    ("kernels/cpu/avx2/f.cpp", '"kernels/cpu/avx2_vnni/a.hpp"', False),
    ("kernels/cpu/c.cpp", '"nibble/text/tokenizer.hpp"', False),
    ("examples/a.cpp", '"nibble/nibble.hpp"', True),
    ("examples/b.cpp", '"kernels/cpu/table.hpp"', False),
    ("examples/cli/a.cpp", '"terminal.hpp"', True),
    ("examples/cli/b.cpp", "<CLI/CLI.hpp>", True),
    ("src/engine/a.cpp", '"nibble/model.hpp"', True),
    ("kernels/cpu/d.cpp", '"kernels/backends.hpp"', True),
    ("kernels/cpu/avx2/d.cpp", "<algorithm>", True),
]


def self_test():
    with tempfile.TemporaryDirectory() as root:
        for name, included, _ in PLANTED:
            path = pathlib.Path(root, name)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(f"#include {included}\n")
        found = {line.split(":")[0] for line in violations(root)}
    wrong = [name for name, _, allowed in PLANTED if allowed == (name in found)]
    return [f"self-test: {name} was judged wrongly" for name in wrong]


if __name__ == "__main__":
    problems = self_test() if sys.argv[1:] == ["--self-test"] else list(violations(sys.argv[1]))
    print("\n".join(problems) or "include order: nothing to report")
    sys.exit(bool(problems))
