"""The short table that tests/cuda/run.sh ends with: rates, their share of what the GPU reaches, and the peers' rates.

Usage: table.py RESULTS_FOLDER | table.py --self-test
Reads bench_*.json of `nibble bench`, matmuls.log of bench_cuda (its ceilings) and peers*.json of bench/cuda/peers.py;
what is not there leaves dashes.
"""
import json
import pathlib
import re
import sys


def ceilings(log):
    """(GB/s read, TFLOP/s of products), None where the log has none."""
    found = {unit: float(value) for value, unit in re.findall(r"^ceiling: ([\d.]+) (GB/s|TFLOP/s)$", log, re.M)}
    return found.get("GB/s"), found.get("TFLOP/s")


def share(record, gbps, tflops):
    """Per cent of the ceiling that is the nearer one, and which: of reads or of products. None without both."""
    if gbps is None or tflops is None:
        return "-"
    reads = 100 * record["gbps"] / gbps
    products = 100 * 2e-3 * (record["gmacs"] + record["attend_gmacs"]) / tflops
    return f"{max(reads, products):.1f} % of {'reads' if reads > products else 'products'}"


def rows(records, limits, peers):
    names = sorted({peer["peer"] for peer in peers})
    rates = {(peer["peer"], peer["model"], peer["test"]): peer["tokens_per_s"] for peer in peers}
    yield ["model", "test", "tokens/s", "GB/s", "of the ceiling", *names]
    for record in records:
        key = record["model"].removesuffix(".gguf"), record["test"]
        shape = key[0].split(":")[0]
        beside = (rates.get((name, shape, key[1])) for name in names)
        yield [*key, f"{record['median_ts']:.1f}", f"{record['gbps']:.0f}", share(record, *limits),
               *("-" if rate is None else f"{rate:.1f}" for rate in beside)]


def table(lines):
    lines = [[str(cell) for cell in line] for line in lines]
    widths = [max(map(len, column)) for column in zip(*lines)]
    return "\n".join("| " + " | ".join(cell.ljust(width) for cell, width in zip(line, widths)) + " |" for line in lines)


def self_test():
    assert ceilings("ceiling: 4300 GB/s\nceiling: 790 TFLOP/s\n") == (4300.0, 790.0)
    assert ceilings("") == (None, None)
    record = {"model": "a:Q4_0.gguf", "test": "tg64", "median_ts": 10.0, "gbps": 2150.0, "gmacs": 79.0,
              "attend_gmacs": 0.0}
    peers = [{"peer": "p", "model": "a", "test": "tg64", "tokens_per_s": 5.0}]
    assert list(rows([record], (4300.0, 790.0), peers))[1] == ["a:Q4_0", "tg64", "10.0", "2150", "50.0 % of reads", "5.0"]
    assert share(dict(record, gmacs=276500.0), 4300.0, 790.0) == "70.0 % of products"
    assert list(rows([record], (None, None), []))[1][-1] == "-"


def main(folder):
    log = folder / "matmuls.log"
    limits = ceilings(log.read_text()) if log.exists() else (None, None)
    records, peers = [], []
    for path in sorted(folder.glob("bench_*.json")):
        records += json.loads(path.read_text() or "[]")
    for path in sorted(folder.glob("peers*.json")):
        peers += json.loads(path.read_text() or "[]")
    print("ceilings: " + ", ".join(f"{limit:.0f} {unit}" if limit else f"no {unit}"
                                   for limit, unit in zip(limits, ("GB/s read", "TFLOP/s of products"))))
    if not peers:
        print("peers: none measured")
    print(table(rows(records, limits, peers)))


if __name__ == "__main__":
    self_test() if sys.argv[1:] == ["--self-test"] else main(pathlib.Path(sys.argv[1]))
