"""The compile gate: the CUDA translation unit for one architecture, warnings as errors, no kernel that spills, and none
whose warpgroups wait for every product at once.

Usage: gate.py SOURCE_FOLDER ARCHITECTURE NVCC [LAUNCHER...] | gate.py --self-test
Without nvcc it is skipped, with exit code 77.
"""
import os
import re
import subprocess
import sys
import tempfile

# Bytes that a kernel may store of its registers to memory: a pair or two around the slow path of a division,
# outside of the loops. A kernel that keeps no room in its loops spills hundreds.
MOST_SPILLED = 32

KERNEL = re.compile(r"Compiling entry function '(\w+)'")
SERIALIZED = re.compile(r"wgmma\.mma_async instructions are serialized.* in the function '(\w+)'")
SPILLS = re.compile(r"(\d+) bytes stack frame, (\d+) bytes spill stores, (\d+) bytes spill loads")


def findings(log):
    """(number of kernels, [what is wrong]) of ptxas's report."""
    kernel, kernels, wrong = None, 0, []
    for line in log.splitlines():
        if match := KERNEL.search(line):
            kernel, kernels = match[1], kernels + 1
        elif (match := SPILLS.search(line)) and kernel:
            if int(match[2]) > MOST_SPILLED:
                wrong.append(f"{kernel} spills {match[2]} bytes")
            kernel = None
        elif match := SERIALIZED.search(line):
            wrong.append(f"{match[1]} has its products one by one")
    return kernels, wrong


def self_test():
    report = ("ptxas info : Compiling entry function 'a' for 'sm_80'\n"
              "  {0} bytes stack frame, {0} bytes spill stores, {0} bytes spill loads\n")
    assert findings(report.format(0)) == (1, [])
    assert findings(report.format(MOST_SPILLED + 4))[1] == [f"a spills {MOST_SPILLED + 4} bytes"]
    assert findings("") == (0, [])
    waits = "ptxas info : (C7514) Potential Performance Loss: wgmma.mma_async instructions are serialized due to"
    assert findings(f"{waits} reads in the function 'a'")[1] == ["a has its products one by one"]


def main(source, architecture, nvcc, *launcher):
    if not nvcc or nvcc.endswith("-NOTFOUND"):
        print("SKIPPED: nvcc was not found")
        return 77
    with tempfile.TemporaryDirectory() as folder:
        command = [*launcher, nvcc, "-std=c++20", "-O3", "-fmad=false", "--expt-relaxed-constexpr", "-Werror",
                   "all-warnings", "-Xptxas", "-v", "-I", f"{source}/include", "-I", source,
                   f"-gencode=arch=compute_{architecture},code=sm_{architecture}", "-c",
                   f"{source}/kernels/cuda/device.cu", "-o", os.path.join(folder, "device.o")]
        result = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if result.returncode != 0:
        print(result.stdout)
        return 1
    kernels, wrong = findings(result.stdout)
    print(f"sm_{architecture}: {kernels} kernels")
    print("\n".join(wrong))
    return 1 if wrong or kernels == 0 else 0


if __name__ == "__main__":
    sys.exit(self_test() if sys.argv[1:] == ["--self-test"] else main(*sys.argv[1:]))
