"""Held-out figures of the demo model: routing accuracy, JSON validity and exactness, story perplexity.

    python evaluate.py MODEL.gguf [CASES.jsonl ...]                    with PyTorch
    python evaluate.py MODEL.gguf [CASES.jsonl ...] --nibble PATH      with nibble's command line

CASES defaults to heldout.jsonl beside this file. Decoding is greedy; an answer ends at its line's end.
"""
import argparse
import json
import math
import pathlib
import subprocess

LIMIT = {"ticket": 8, "record": 96}  # tokens an answer may take


class Torch:
    """Greedy answers by the plain forward pass, without a cache."""

    def __init__(self, path):
        import torch

        from load import load
        torch.set_num_threads(1)
        self.torch = torch
        self.model, self.tokenizer, self.kind = load(path)
        self.name = f"PyTorch, weights {self.kind}"

    def encode(self, text):
        return [0] + self.tokenizer.encode(text).ids  # 0 is <|endoftext|>, which starts every document

    def logits(self, rows):
        # Padding goes to the right, where the causal mask hides it from the real tokens.
        width = max(map(len, rows))
        with self.torch.no_grad():
            return self.model(self.torch.tensor([row + [0] * (width - len(row)) for row in rows]))

    def answer(self, prompt, limit):
        ids = self.encode(prompt)
        start = len(ids)
        while len(ids) - start < limit:
            ids.append(self.logits([ids])[0, -1].argmax().item())
            if ids[-1] == 0 or "\n" in self.tokenizer.decode(ids[-1:]):
                break
        return self.tokenizer.decode(ids[start:])

    def answers(self, cases):
        """Whether the greedy answer is the expected one takes a single pass; only the others are written out."""
        results = [None] * len(cases)
        order = sorted(range(len(cases)), key=lambda i: len(cases[i]["prompt"]))
        for begin in range(0, len(order), 32):
            batch = order[begin:begin + 32]
            prompts = [self.encode(cases[i]["prompt"]) for i in batch]
            fulls = [self.encode(cases[i]["prompt"] + " " + cases[i]["expected"] + "\n") for i in batch]
            best = self.logits(fulls).argmax(-1).tolist()
            for i, prompt, full, row in zip(batch, prompts, fulls, best):
                same = full[:len(prompt)] == prompt and row[len(prompt) - 1:len(full) - 1] == full[len(prompt):]
                results[i] = cases[i]["expected"] if same else self.answer(cases[i]["prompt"], LIMIT[cases[i]["task"]])
        return results

    def perplexity(self, cases):
        F = self.torch.nn.functional
        total, count, letters = 0.0, 0, 0
        for case in cases:
            prompt, full = self.encode(case["prompt"]), self.encode(case["prompt"] + case["expected"] + "\n")
            logits = self.logits([full])[0, len(prompt) - 1:-1]
            total += F.cross_entropy(logits, self.torch.tensor(full[len(prompt):]), reduction="sum").item()
            count += len(full) - len(prompt)
            letters += len(case["expected"]) + 1
        return math.exp(total / count), total / math.log(2) / letters


class Nibble:
    """The same by one call of the command-line program per case."""

    def __init__(self, path, program):
        self.path, self.program = path, program
        self.name = "nibble generate"

    def answers(self, cases):
        def run(case):
            command = [self.program, "generate", "-m", str(self.path), "-p", case["prompt"], "-n", str(LIMIT[case["task"]]), "--temp", "0"]
            return subprocess.run(command, check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True).stdout
        return [run(case) for case in cases]


def percent(part, whole):
    return f"{part}/{whole} = {100 * part / whole:.2f} %"


def parse(text):
    try:
        value = json.loads(text)
    except ValueError:
        return None
    return value if isinstance(value, dict) else None


def report(engine, cases, show):
    by_task = {}
    for case in cases:
        by_task.setdefault(case["task"], []).append(case)
    for task, group in by_task.items():
        if task == "story":
            if isinstance(engine, Torch):
                print("story: perplexity %.3f a token, %.3f bits a character" % engine.perplexity(group))
            continue
        lines = [answer.strip().split("\n")[0].strip() for answer in engine.answers(group)]
        pairs = list(zip(group, lines))
        if task == "ticket":
            wrong = [pair for pair in pairs if pair[1] != pair[0]["expected"]]
            print("ticket: routed to the right queue", percent(len(pairs) - len(wrong), len(pairs)))
        else:
            values = [(parse(line), json.loads(case["expected"])) for case, line in pairs]
            print("record: valid JSON object       ", percent(sum(got is not None for got, _ in values), len(values)))
            print("record: the right keys, in order", percent(sum(got is not None and list(got) == list(want) for got, want in values), len(values)))
            print("record: every field exact       ", percent(sum(got == want for got, want in values), len(values)))
            fields = [(got or {}).get(name) == value for got, want in values for name, value in want.items()]
            print("record: fields exact            ", percent(sum(fields), len(fields)))
            wrong = [pair for pair, (got, want) in zip(pairs, values) if got != want]
        for case, line in wrong[:show]:
            print(f"  {case['prompt']!r}\n    wanted {case['expected']}\n    got    {line}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("model", type=pathlib.Path)
    parser.add_argument("cases", type=pathlib.Path, nargs="*", default=[pathlib.Path(__file__).parent / "heldout.jsonl"])
    parser.add_argument("--nibble", help="the nibble program, instead of PyTorch")
    parser.add_argument("--show", type=int, default=0, help="print that many wrong answers of each task")
    args = parser.parse_args()
    engine = Nibble(args.model, args.nibble) if args.nibble else Torch(args.model)
    print(f"{args.model.name} ({engine.name})")
    for path in args.cases:
        cases = [json.loads(line) for line in path.read_text().splitlines()]
        print(f"{path.name}: {len(cases)} cases")
        report(engine, cases, args.show)


if __name__ == "__main__":
    main()
