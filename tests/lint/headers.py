"""Each public header compiles alone, without a warning, with every compiler given.

Usage: headers.py INCLUDE_FOLDER COMPILER... | headers.py --self-test COMPILER...
"""
import concurrent.futures
import os
import pathlib
import subprocess
import sys
import tempfile

FLAGS = "-std=c++20 -fsyntax-only -Wall -Wextra -Wpedantic -Werror -x c++".split()


def compile_alone(compiler, folder, header):
    """The compiler's complaint, or nothing."""
    source = f'#include "{header.relative_to(folder)}"\n'
    run = subprocess.run([compiler, *FLAGS, "-I", folder, "-"], input=source, text=True, capture_output=True)
    return f"{compiler}: {header} does not compile alone:\n{run.stderr}" if run.returncode else None


def problems_in(folder, compilers):
    headers = sorted(pathlib.Path(folder).rglob("*.hpp"))
    jobs = [(c, folder, h) for c in compilers for h in headers]
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        problems = [p for p in pool.map(lambda job: compile_alone(*job), jobs) if p]
    print(f"{len(headers)} headers, {', '.join(compilers)}: {len(problems)} problems")
    return problems if headers else [f"no headers in {folder}"]


def self_test(compilers):
    planted = {
        "complete.hpp": "#pragma once\n#include <string>\ninline std::string f() { return {}; }\n",
        "lacks_include.hpp": "#pragma once\ninline std::string f() { return {}; }\n",
        "warns.hpp": "#pragma once\ninline int f(int unused) { return 0; }\n",
    }
    with tempfile.TemporaryDirectory() as folder:
        for name, text in planted.items():
            pathlib.Path(folder, name).write_text(text)
        found = problems_in(folder, compilers)
    caught = sum("lacks_include.hpp" in p.splitlines()[0] or "warns.hpp" in p.splitlines()[0] for p in found)
    right = caught == len(found) == 2 * len(compilers)
    return [] if right else ["self-test: planted headers were judged wrongly", *found]


if __name__ == "__main__":
    folder, *compilers = sys.argv[1:]
    problems = self_test(compilers) if folder == "--self-test" else problems_in(folder, compilers)
    print("\n".join(problems))
    sys.exit(bool(problems))
