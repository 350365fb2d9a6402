"""Each public header compiles alone, without a warning, with the first compiler given; all together with the others.

Usage: headers.py INCLUDE_FOLDER COMPILER... | headers.py --self-test COMPILER...
"""
import concurrent.futures
import os
import pathlib
import subprocess
import sys
import tempfile

FLAGS = "-std=c++20 -fsyntax-only -Wall -Wextra -Wpedantic -Werror -x c++".split()


def complaint(compiler, folder, headers):
    """What the compiler says of a file of these headers, or nothing."""
    source = "".join(f'#include "{header.relative_to(folder)}"\n' for header in headers)
    run = subprocess.run([compiler, *FLAGS, "-I", folder, "-"], input=source, text=True, capture_output=True)
    what = f"{headers[0]} does not compile alone" if len(headers) == 1 else "all headers do not compile together"
    return f"{compiler}: {what}:\n{run.stderr}" if run.returncode else None


def problems_in(folder, compilers):
    headers = sorted(pathlib.Path(folder).rglob("*.hpp"))
    if not headers:
        return [f"no headers in {folder}"]
    jobs = [(compilers[0], folder, [h]) for h in headers] + [(c, folder, headers) for c in compilers[1:]]
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        problems = [p for p in pool.map(lambda job: complaint(*job), jobs) if p]
    print(f"{len(headers)} headers, {', '.join(compilers)}: {len(problems)} problems")
    return problems


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
    alone, together = found[:2], found[2:]
    right = len(found) == 1 + len(compilers) and all("warns.hpp:2" in p for p in [alone[1], *together])
    right = right and "lacks_include.hpp does not compile alone" in alone[0]
    return [] if right else ["self-test: planted headers were judged wrongly", *found]


if __name__ == "__main__":
    folder, *compilers = sys.argv[1:]
    problems = self_test(compilers) if folder == "--self-test" else problems_in(folder, compilers)
    print("\n".join(problems))
    sys.exit(bool(problems))
