"""The models that tests/cuda/run.sh times, by PyTorch where it is installed: bf16, and int4 of its own kind.

Usage: peers.py [--device DEVICE] [--layers N] MODEL...
Prints a JSON list of {"peer", "model", "test", "tokens_per_s"} last, tests named as `nibble bench` names them. A
layer is compiled by torch.compile once and serves all layers; a step of decode is one CUDA graph, at one position:
what it costs a peer to go on to the next one is not counted. int4 is tinygemm, groups of 32 weights.
"""
import argparse
import json
import signal
import sys
import time

try:
    import torch
    import torch.nn.functional as F
except ImportError:
    print("no PyTorch here", file=sys.stderr)
    print("[]")
    sys.exit(0)

# layers, width, heads, KV heads, width of a head, width of the MLP, vocabulary
MODELS = {"llama-3.2-1b": (16, 2048, 32, 8, 64, 8192, 128256),
          "llama-3.1-8b": (32, 4096, 32, 8, 128, 14336, 128256)}
DECODE = [(0, 1), (0, 4), (0, 16), (0, 32), (0, 64), (4096, 1), (32768, 1)]  # depth, sequences
PROMPTS = [512, 2048, 8192]
GROUP = 32


class Bf16:
    name = "torch bf16"

    def __init__(self, rows, cols, device):
        self.weight = torch.randn(rows, cols, dtype=torch.bfloat16, device=device) * cols ** -0.5

    def tensors(self):
        return (self.weight,)

    @staticmethod
    def multiply(x, weight):
        return F.linear(x, weight)


class Int4:
    name = "torch int4"

    def __init__(self, rows, cols, device):
        codes = torch.randint(0, 256, (rows, cols // 2), dtype=torch.uint8, device=device)
        self.codes = torch.ops.aten._convert_weight_to_int4pack(codes, 8)
        self.scales = torch.zeros(cols // GROUP, rows, 2, dtype=torch.bfloat16, device=device)
        self.scales[..., 0] = 0.2 * cols ** -0.5

    def tensors(self):
        return self.codes, self.scales

    @staticmethod
    def multiply(x, codes, scales):
        flat = x.reshape(-1, x.shape[-1])
        return torch.ops.aten._weight_int4pack_mm(flat, codes, GROUP, scales).view(*x.shape[:-1], -1)


def norm(x):
    return F.rms_norm(x, (x.shape[-1],))


def rotate(x, angles):
    first, second = x.float().chunk(2, -1)
    return torch.cat((first * angles[0] - second * angles[1], second * angles[0] + first * angles[1]), -1).to(x.dtype)


def attend(kind, x, qkv, out, cache, angles, heads, kv_heads):
    """x (sequences, tokens, width); the cache (2, sequences, KV heads, positions, head) ends with these tokens."""
    n, tokens, _ = x.shape
    hd = cache.shape[-1]
    q, k, v = kind.multiply(norm(x), *qkv).split((heads * hd, kv_heads * hd, kv_heads * hd), -1)
    q, k, v = (y.view(n, tokens, -1, hd).transpose(1, 2) for y in (q, k, v))
    cache[0, :, :, -tokens:] = rotate(k, angles)
    cache[1, :, :, -tokens:] = v
    y = F.scaled_dot_product_attention(rotate(q, angles), cache[0], cache[1], is_causal=tokens > 1, enable_gqa=True)
    return x + kind.multiply(y.transpose(1, 2).reshape(n, tokens, -1), *out)


def layer(kind, x, qkv, out, gate_up, down, cache, angles, heads, kv_heads):
    x = attend(kind, x, qkv, out, cache, angles, heads, kv_heads)
    gate, up = kind.multiply(norm(x), *gate_up).chunk(2, -1)
    return x + kind.multiply(F.silu(gate) * up, *down)


class Model:
    def __init__(self, kind, name, device, layers):
        n, self.width, self.heads, self.kv_heads, self.hd, mlp, self.vocab = MODELS[name]
        self.kind, self.device = kind, device
        shapes = [((self.heads + 2 * self.kv_heads) * self.hd, self.width), (self.width, self.heads * self.hd),
                  (2 * mlp, self.width), (self.width, mlp)]
        self.layers = [[kind(*shape, device).tensors() for shape in shapes] for _ in range(min(n, layers))]
        self.embedding = torch.randn(self.vocab, self.width, dtype=torch.bfloat16, device=device)
        self.layer = torch.compile(layer, dynamic=False) if device == "cuda" else layer

    def inputs(self, sequences, tokens, positions):
        caches = [torch.randn(2, sequences, self.kv_heads, positions, self.hd, dtype=torch.bfloat16,
                              device=self.device) for _ in self.layers]
        angle = torch.rand(tokens, self.hd // 2, device=self.device)
        return torch.zeros(sequences, tokens, dtype=torch.long, device=self.device), caches, (angle.cos(), angle.sin())

    def step(self, tokens, caches, angles):
        x = self.embedding[tokens]
        for weights, cache in zip(self.layers, caches):
            x = self.layer(self.kind, x, *weights, cache, angles, self.heads, self.kv_heads)
        return F.linear(norm(x[:, -1]), self.embedding).argmax(-1)


def seconds(run, device, times):
    """Of one run, on average."""
    wait = torch.cuda.synchronize if device == "cuda" else lambda: None
    run(), run()
    wait()
    began = time.perf_counter()
    for _ in range(times):
        run()
    wait()
    return (time.perf_counter() - began) / times


def decode_seconds(model, depth, sequences):
    inputs = model.inputs(sequences, 1, depth + 32)
    if model.device != "cuda":
        return seconds(lambda: model.step(*inputs), model.device, 2)
    aside = torch.cuda.Stream()
    with torch.cuda.stream(aside):
        for _ in range(3):
            model.step(*inputs)
    torch.cuda.current_stream().wait_stream(aside)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        model.step(*inputs)
    return seconds(graph.replay, model.device, 50)


def measure(kind, name, device, layers, records):
    model = Model(kind, name, device, layers)

    def record(test, tokens, run):
        try:
            rate = tokens / run()
        except (RuntimeError, NotImplementedError) as error:  # too little memory, or not made for this GPU
            print(f"{kind.name} {name} {test}: {str(error).splitlines()[0]}", file=sys.stderr)
            return
        print(f"{kind.name} {name} {test}: {rate:.1f} tokens/s", file=sys.stderr)
        records.append({"peer": kind.name, "model": name, "test": test, "tokens_per_s": rate})

    for depth, n in DECODE:
        test = "tg64" + (f" b{n}" if n > 1 else "") + (f" @ d{depth}" if depth else "")
        record(test, n, lambda: decode_seconds(model, depth, n))
    for n in PROMPTS if kind is Bf16 else []:
        inputs = model.inputs(1, n, n)
        record(f"pp{n}", n, lambda: seconds(lambda: model.step(*inputs), device, 3))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--layers", type=int, default=1000)
    parser.add_argument("models", nargs="+", choices=MODELS)
    arguments = parser.parse_args()
    print(f"PyTorch {torch.__version__}", file=sys.stderr)
    if arguments.device == "cuda" and not torch.cuda.is_available():
        print("PyTorch without a GPU", file=sys.stderr)
        print("[]")
        return
    torch._dynamo.config.recompile_limit = 2 * len(MODELS) * len(DECODE + PROMPTS)  # once for each shape
    records = []
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # what has been measured is told
    try:
        with torch.inference_mode():
            for kind in (Bf16, Int4):
                for name in arguments.models:
                    try:
                        measure(kind, name, arguments.device, arguments.layers, records)
                    except (RuntimeError, NotImplementedError, AttributeError) as error:
                        print(f"{kind.name} {name}: not here: {str(error).splitlines()[0]}", file=sys.stderr)
    finally:
        print(json.dumps(records))


main()
