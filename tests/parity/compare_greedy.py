"""Compares the greedy tokens of another engine with nibble's, of one model file that both read.

    python compare_greedy.py NIBBLE MODEL IDS [OPTION OF nibble eval...]

NIBBLE is the program. IDS is a text file of two lines: the token ids that the other engine was given, and those that it
chose. nibble evaluates all of them, so that every step is compared on the same past, and does so twice: as it runs, with
activations in 8 bits, and on the reference backend, in float32. The noise is how far the former's logits are from the
latter's (root mean square). Where the engines choose differently, the margin is how far the reference sets the two
tokens apart. One beyond WIDEST times the noise is more than rounding: the exit code is then 1. (In a mixture of experts
it may still be rounding, of a choice between two experts.)
"""

import pathlib
import subprocess
import sys
import tempfile

import numpy as np

WIDEST = 8  # about four deviations of a difference of two logits, each with the noise of two engines


def logits_of(nibble, model, ids, options):
    """(len(ids), vocabulary)"""
    with tempfile.TemporaryDirectory() as folder:
        out = pathlib.Path(folder) / "logits.f32"
        tokens = " ".join(map(str, ids))
        subprocess.run([nibble, "eval", "-m", model, "--tokens", tokens, "--logits", out, *options], check=True)
        return np.fromfile(out, "<f4").reshape(len(ids), -1)


def main(nibble, model, ids, *options):
    given, chosen = (list(map(int, line.split())) for line in pathlib.Path(ids).read_text().splitlines())
    steps = slice(len(given) - 1, -1)
    run = logits_of(nibble, model, given + chosen, options)[steps]
    exact = logits_of(nibble, model, given + chosen, [*options, "--backend", "reference"])[steps]
    noise = np.sqrt(((run - exact) ** 2).mean())
    differ = [n for n, token in enumerate(chosen) if run[n].argmax() != token]
    print(f"{len(chosen) - len(differ)} of {len(chosen)} tokens agree; noise {noise:.3g}")
    margins = [abs(exact[n, run[n].argmax()] - exact[n, chosen[n]]) / noise for n in differ]
    for n, margin in zip(differ, margins):
        print(f"step {n}: {run[n].argmax()} here, {chosen[n]} there, {margin:.1f} times the noise apart")
    return max(margins, default=0) > WIDEST


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
