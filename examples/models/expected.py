"""Writes what demo.gguf must produce: expected.json (greedy ids and text) and expected.f32 (last-position logits).

    python expected.py demo.gguf OUT_DIR

Computed in float64 from the file's own dequantised weights, by the plain forward pass; so any engine can be
held against it. `margin` is the smallest lead of the best logit over the second on the greedy path: an
engine whose logits are off by less than half of it must give the same ids. expected.f32 is little-endian
float32, one row of vocabulary size per case: the logits after the prompt's last token.
"""
import argparse
import hashlib
import json
import pathlib

import numpy as np
import torch

from load import load

RECORDS = [
    "Please send three red kettles to Oslo.", "In Lisbon it is sunny and 21 degrees.",
    "A parcel of 12 kg goes from Porto to Bergen. Handle with care.", "Book the oak room on Tuesday at 9 o'clock for twelve people.",
    "New order, 40 black umbrellas, delivery to Cork.", "Minus five degrees in Tromso, snowy.",
    "Room: garden. Day: Friday. Time: 14:30. People: 8.", "To Malmo from Ghent: one box, 7 kilos. Nothing in it can break.",
]
ANSWERS = [
    '{"item": "kettle", "quantity": 3, "colour": "red", "city": "Oslo"}', '{"city": "Lisbon", "sky": "sunny", "temperature": 21}',
    '{"from": "Porto", "to": "Bergen", "weight_kg": 12, "fragile": true}', '{"room": "oak", "day": "Tuesday", "time": "09:00", "people": 12}',
    '{"item": "umbrella", "quantity": 40, "colour": "black", "city": "Cork"}', '{"city": "Tromso", "sky": "snowy", "temperature": -5}',
    '{"room": "garden", "day": "Friday", "time": "14:30", "people": 8}', '{"from": "Ghent", "to": "Malmo", "weight_kg": 7, "fragile": false}',
]
# Longer than the window: earlier documents first, as in training.
LONG = "".join(f"Record: {r}\nJSON: {a}\n<|endoftext|>" for r, a in zip(RECORDS, ANSWERS)) + "Record: The shop in Leeds asked for 25 green garden chairs.\nJSON:"

PROMPTS = [
    ("ticket", "Ticket: Hello, I was charged twice for the same kettle. Please help.\nQueue:", 8),
    ("story", "Story: the little fox and the lantern\n", 64),
    ("chat", "<|user|>\nAs JSON: Please send three red kettles to Oslo.<|end|>\n<|assistant|>\n", 48),
    ("long", LONG, 48),
]


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("model", type=pathlib.Path)
    parser.add_argument("out", type=pathlib.Path)
    args = parser.parse_args()
    torch.set_num_threads(1)
    torch.set_grad_enabled(False)
    model, tokenizer, _ = load(args.model, torch.float64)
    single, _, _ = load(args.model, torch.float32)

    cases, rows = [], []
    for name, prompt, count in PROMPTS:
        ids = [0] + tokenizer.encode(prompt).ids
        path, margins = list(ids), []
        while len(path) - len(ids) < count:
            logits = model(torch.tensor([path]))[0, -1]
            if len(path) == len(ids):
                rows.append(logits.float().numpy())
                error = (single(torch.tensor([path]))[0, -1] - logits).abs().max().item()
            best = logits.topk(2)
            margins.append((best.values[0] - best.values[1]).item())
            path.append(best.indices[0].item())
            if path[-1] in (0, 3):  # <|endoftext|>, <|end|>
                break
        new = path[len(ids):]
        cases.append({
            "name": name, "prompt": prompt, "prompt_ids": ids, "ids": new, "text": tokenizer.decode(new),
            "margin": round(min(margins), 4), "float32_error": float(f"{error:.2g}"),
        })
        print(name, len(ids), "tokens; margin", cases[-1]["margin"], repr(cases[-1]["text"]))

    args.out.mkdir(parents=True, exist_ok=True)
    np.stack(rows).astype("<f4").tofile(args.out / "expected.f32")
    with open(args.out / "expected.json", "w") as out:
        digest = hashlib.sha256(args.model.read_bytes()).hexdigest()
        lines = ",\n".join("  " + json.dumps(case, ensure_ascii=False) for case in cases)
        out.write('{\n "model_sha256": "%s",\n "logits": "expected.f32",\n "cases": [\n%s\n ]\n}\n' % (digest, lines))


if __name__ == "__main__":
    main()
