#!/usr/bin/env python3
"""Models of published sizes: written, planned, loaded and run in turn; what they took against what was planned.

    python3 bench/presets.py build/release/bin/nibble --folder DIR [PRESET[:LAYERS] ...]

DIR needs room for one file at a time, the largest 9 GB. Each model runs in a process of its own, with a prompt that
with 16 tokens more fills the context, so that all that was planned is used. Prints a row of a table for each; ends
with 1 where a model's resident size at its peak is not within 5 % of the total of `nibble plan`.
"""
import argparse
import json
import os
import pathlib
import subprocess
import sys
import tempfile

UP_TO_14B = """smollm2-135m smollm2-360m smollm2-1.7b smollm3-3b tinyllama-1.1b llama-2-7b llama-2-13b llama-3-8b
    llama-3.1-8b r1-distill-llama-8b llama-3.2-1b llama-3.2-3b mistral-7b-v0.1 mistral-7b-v0.2 mistral-7b qwen2-0.5b
    qwen2-1.5b qwen2-7b qwen2.5-0.5b qwen2.5-1.5b qwen2.5-3b qwen2.5-7b qwen2.5-14b r1-distill-qwen-1.5b
    r1-distill-qwen-7b r1-distill-qwen-14b qwen3-0.6b qwen3-1.7b qwen3-4b qwen3-8b qwen3-14b phi-3-mini
    phi-3-mini-128k phi-3.5-mini phi-3-medium phi-3-medium-128k phi-4 phi-4-mini gemma-2-2b gemma-2-9b gemma-3-1b
    gemma-3-4b gemma-3-12b mixtral-8x7b:2 qwen3-30b-a3b:4 gpt-oss-20b:2""".split()
TOKENS = 16
TOLERANCE = 0.05


def run(*command):
    return subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout


def peak_bytes(*command):
    """Largest resident size of a process that ends well, and its output."""
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        output = process.stdout.read()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        raise subprocess.CalledProcessError(process.returncode, command)
    return usage.ru_maxrss * 1024, output


def measure(nibble, name, options, folder):
    """Bytes of the file, planned and resident at most."""
    preset, _, layers = name.partition(":")
    model, prompt = str(folder / "model.gguf"), str(folder / "prompt.txt")
    run(nibble, "synth", preset, model, "--type", options.type, *(["--layers", layers] if layers else []))
    engine = ["-m", model, "-t", str(options.threads), "-c", str(options.context)]
    plan = json.loads(run(nibble, "plan", *engine, "--json"))["memory"]["total"]
    letters = "the quick brown fox jumps over a lazy dog "  # each a token, behind the BOS
    length = options.context - TOKENS - 1
    pathlib.Path(prompt).write_text((letters * length)[:length])
    peak, output = peak_bytes(nibble, "generate", *engine, "-f", prompt, "-n", str(TOKENS), "--temp", "0", "--json")
    made = json.loads(output)
    if (made["prompt_tokens"], len(made["tokens"])) != (length + 1, TOKENS):
        sys.exit(f"{name}: {made['prompt_tokens']} tokens in, {len(made['tokens'])} out")
    return os.path.getsize(model), plan, peak


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("nibble")
    parser.add_argument("presets", nargs="*", default=UP_TO_14B, metavar="PRESET[:LAYERS]")
    parser.add_argument("--folder", default=None, help="for the files (default: the system's for temporary files)")
    parser.add_argument("--type", default="Q4_K_M")
    parser.add_argument("-t", "--threads", type=int, default=2)
    parser.add_argument("-c", "--context", type=int, default=512)
    options = parser.parse_intermixed_args()
    print("| preset | file, MB | planned | resident | ratio |\n|---|---|---|---|---|", flush=True)
    wrong = 0
    for name in options.presets:
        with tempfile.TemporaryDirectory(dir=options.folder) as folder:
            size, plan, peak = measure(options.nibble, name, options, pathlib.Path(folder))
        wrong += abs(peak / plan - 1) > TOLERANCE
        figures = " | ".join(f"{bytes_ / 1e6:.0f}" for bytes_ in (size, plan, peak))
        print(f"| {name.replace(':', ', layers: ')} | {figures} | {peak / plan:.3f} |", flush=True)
    return wrong != 0


if __name__ == "__main__":
    sys.exit(main())
