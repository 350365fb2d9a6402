#!/usr/bin/env python3
"""What llvm-mca expects of the inner loop of a function in GCC's assembly for aarch64.

    aarch64-linux-gnu-g++ -std=c++20 -O3 -ffp-contract=off -march=armv8.2-a+dotprod -Iinclude -I. -S -o dots.s \\
        kernels/cpu/neon/table.cpp
    python3 bench/mca.py dots.s 'run_stream<nibble::v0::Q4_0, 1ul>'

Prints multiply-accumulates per cycle, for each CPU: of the innermost loop with the most dot products in the one
function whose name holds the given text. Loads are taken to hit the first-level cache.
"""
import argparse
import re
import subprocess
import sys

MACS = {"sdot": 16, "udot": 16, "usdot": 16, "smmla": 32, "ummla": 32, "usmmla": 32}


def functions(assembly):
    """Name as in the source -> lines of its body."""
    names = re.findall(r"^\s*\.type\s+(\S+), %function$", assembly, re.M)
    spelt = subprocess.run(["c++filt"], input="\n".join(names), capture_output=True, text=True, check=True)
    for name, demangled in zip(names, spelt.stdout.splitlines()):
        body = re.search(rf"^{re.escape(name)}:\n(.*?)^\s*\.size\s+{re.escape(name)},", assembly, re.M | re.S)
        if body:
            yield demangled.replace("(anonymous namespace)::", ""), body[1].splitlines()


def instructions(lines):
    return [line for line in lines if re.match(r"\s+[a-z]", line)]


def macs(lines):
    return sum(MACS.get(line.split()[0], 0) for line in instructions(lines))


def inner_loop(lines):
    """Of the loops that hold no other loop with dot products, the one with the most of them."""
    label_at = {line[:-1]: i for i, line in enumerate(lines) if re.match(r"\.L\w+:$", line)}
    loops = []
    for end, line in enumerate(lines):
        branch = re.match(r"\s+(?:b(?:\.?[a-z]+)?|cbn?z|tbn?z)\s.*?(\.L\w+)$", line)
        if branch and label_at.get(branch[1], end) < end and macs(lines[label_at[branch[1]] : end]):
            loops.append((label_at[branch[1]], end + 1))
    innermost = [a for a in loops if not any(a != b and a[0] <= b[0] and b[1] <= a[1] for b in loops)]
    if not innermost:
        sys.exit("no loop of dot products")
    begin, end = max(innermost, key=lambda loop: macs(lines[slice(*loop)]))
    return lines[begin:end]


def estimate(tool, cpu, loop, iterations=1000):
    """Cycles of one turn."""
    # Processors that know more than the tool's model says: all extensions that the code may use.
    command = [tool, "-mtriple=aarch64", f"-mcpu={cpu}", "-mattr=+dotprod,+i8mm,+fullfp16",
               f"-iterations={iterations}"]
    done = subprocess.run(command, input="\n".join(instructions(loop)), capture_output=True, text=True, check=True)
    return int(re.search(r"Total Cycles:\s+(\d+)", done.stdout)[1]) / iterations


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("assembly")
    parser.add_argument("function")
    parser.add_argument("--cpu", action="append", help="neoverse-v2 and apple-m1 unless told")
    parser.add_argument("--tool", default="llvm-mca")
    parser.add_argument("--show", action="store_true", help="the loop as well")
    options = parser.parse_args()
    with open(options.assembly, encoding="utf-8") as file:
        found = [(name, body) for name, body in functions(file.read()) if options.function in name]
    if len(found) != 1:
        sys.exit(f"{len(found)} functions: {[name for name, _ in found]}")
    loop = inner_loop(found[0][1])
    if options.show:
        print("\n".join(instructions(loop)))
    for cpu in options.cpu or ["neoverse-v2", "apple-m1"]:
        cycles = estimate(options.tool, cpu, loop)
        print(f"{cpu}: {macs(loop)} in {cycles:.1f} cycles, {macs(loop) / cycles:.1f} a cycle")


if __name__ == "__main__":
    main()
