"""Two runs of the same benchmarks: which became faster, which slower, and which cannot be told apart.

Usage: compare.py OLD.json NEW.json     both from `nibble bench -o json`, or both from Google Benchmark
       (--benchmark_out=FILE; with --benchmark_repetitions=7 or so)

The verdict on a benchmark rests on its repetitions, all of them:

  faster, slower   medians differ by 2 % or more, and the Mann-Whitney test calls that chance in at most 1 of 100
                   cases: it takes 5 repetitions on either side to say so
  same             the ratio of medians lies within 2 % of 1, and so does its bootstrap interval of 99 %
  unclear          anything else: too much noise or too few repetitions

Ends with 1 where anything is slower, with 2 where the files cannot be compared.
"""
import functools
import json
import math
import random
import statistics
import sys

WORTH = 0.02  # relative change that matters
CHANCE = 0.01
RESAMPLES = 2000
FEWEST = 3  # repetitions that "same" needs


def bench_samples(records):
    """Name -> tokens per second of each repetition, from `nibble bench`."""
    return {
        f"{r['model']} {r['backend']} {r['kv']} t{r['n_threads']} {r['test']}": r["samples_ts"] for r in records
    }


def google_samples(run):
    """Name -> iterations per second of each repetition, from Google Benchmark."""
    seconds = {"ns": 1e-9, "us": 1e-6, "ms": 1e-3, "s": 1.0}
    samples = {}
    for b in run["benchmarks"]:
        if b.get("run_type", "iteration") == "iteration" and not b.get("error_occurred"):
            rate = 1 / (b["cpu_time"] * seconds[b["time_unit"]])
            samples.setdefault(b.get("run_name", b["name"]), []).append(rate)
    return samples


def load(path):
    with open(path) as file:
        run = json.load(file)
    return bench_samples(run) if isinstance(run, list) else google_samples(run)


@functools.cache
def orders(u, n, m):
    """Ways to mix n and m values in which u pairs have the one of the n in front."""
    if u < 0 or u > n * m:
        return 0
    return 1 if n == 0 or m == 0 else orders(u - m, n - 1, m) + orders(u, n, m - 1)


def chance(old, new):
    """Of samples from one source being at least this far apart: Mann-Whitney, exact, two-sided."""
    n, m = len(old), len(new)
    ahead = sum((b > a) + 0.5 * (b == a) for a in old for b in new)
    fewer = math.ceil(min(ahead, n * m - ahead))
    return min(1.0, 2 * sum(orders(u, n, m) for u in range(fewer + 1)) / math.comb(n + m, n))


def interval(old, new):
    """Of median(new) / median(old), by resampling; the same for the same samples."""
    source = random.Random(1)

    def resampled(values):
        return statistics.median(source.choices(values, k=len(values)))

    ratios = sorted(resampled(new) / resampled(old) for _ in range(RESAMPLES))
    tail = int(CHANCE / 2 * RESAMPLES)
    return ratios[tail], ratios[-1 - tail]


def verdict(old, new):
    """(word, ratio, (low, high))"""
    ratio = statistics.median(new) / statistics.median(old)
    low, high = interval(old, new)
    word = "unclear"
    if abs(ratio - 1) >= WORTH:
        if chance(old, new) <= CHANCE:
            word = "faster" if ratio > 1 else "slower"
    elif 1 - WORTH <= low and high <= 1 + WORTH and min(len(old), len(new)) >= FEWEST:
        word = "same"
    return word, ratio, (low, high)


def main(old_path, new_path):
    old, new = load(old_path), load(new_path)
    both = [name for name in old if name in new]
    if not both:
        print("compare.py: the two files have no benchmark in common", file=sys.stderr)
        return 2
    width = max(map(len, both))
    words = []
    for name in both:
        word, ratio, (low, high) = verdict(old[name], new[name])
        words.append(word)
        print(f"{name:<{width}}  {word:<7}  x {ratio:.3f}  ({low:.3f} to {high:.3f})")
    for missing, where in ((old.keys() - new, "old"), (new.keys() - old, "new")):
        for name in sorted(missing):
            print(f"{name}: only in the {where} file")
    print(", ".join(f"{words.count(w)} {w}" for w in ("faster", "slower", "same", "unclear")))
    return 1 if "slower" in words else 0


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    try:
        sys.exit(main(*sys.argv[1:]))
    except (OSError, ValueError, KeyError, TypeError) as error:
        print(f"compare.py: {type(error).__name__}: {error}", file=sys.stderr)
        sys.exit(2)
