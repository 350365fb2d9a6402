"""Trains the demo model's tokenizer and weights on the text from make_data.py, on one CPU thread.

    python train.py DATA_DIR OUT_DIR [--minutes 48 | --steps N]

Writes OUT_DIR/tokenizer.json, checkpoint.pt (weights and config) and log.jsonl.
"""
import argparse
import json
import math
import pathlib
import time

import numpy as np
import torch
import torch.nn.functional as F
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

from model import Config, Model

SPECIAL = ["<|endoftext|>", "<|user|>", "<|assistant|>", "<|end|>"]  # ids 0 to 3
PROMPT_WEIGHT = 0.4  # prompts are mostly chance (names, numbers); what matters is the answer


def read_documents(path):
    with open(path) as lines:
        for line in lines:
            yield json.loads(line)


def train_tokenizer(data, vocab):
    """Byte-level BPE with GPT-2's pre-tokenizer: `tokenizer.ggml.pre` is "gpt-2"."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(vocab_size=vocab, special_tokens=SPECIAL, initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()), show_progress=False)

    def texts():
        for number, document in enumerate(read_documents(data / "train.jsonl")):
            if number == 60000:
                return
            text = "".join(prompt + answer for prompt, answer in document)
            for special in SPECIAL:
                text = text.replace(special, "\n")
            yield text

    tokenizer.train_from_iterator(texts(), trainer)
    return tokenizer


def pack(data, tokenizer):
    """All documents in one stream, <|endoftext|> between them, with a loss weight for each token."""
    pieces, weights = [], []
    for document in read_documents(data / "train.jsonl"):
        pieces.append("<|endoftext|>")
        weights.append(1.0)
        for prompt, answer in document:
            # Stories are text throughout; a prompt of another kind counts less than its answer.
            pieces += [prompt, answer]
            weights += [PROMPT_WEIGHT, 1.0]
    ids, loss = [], []
    for start in range(0, len(pieces), 50000):
        for encoded, weight in zip(tokenizer.encode_batch(pieces[start:start + 50000]), weights[start:start + 50000]):
            ids.append(np.array(encoded.ids, dtype=np.int16))
            loss.append(np.full(len(encoded.ids), weight, dtype=np.float16))
    return np.concatenate(ids), np.concatenate(loss)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("data", type=pathlib.Path)
    parser.add_argument("out", type=pathlib.Path)
    parser.add_argument("--minutes", type=float, default=0, help="the schedule follows the clock")
    parser.add_argument("--steps", type=int, default=4500, help="the schedule follows the steps (without --minutes)")
    parser.add_argument("--length", type=int, default=384, help="tokens per sequence: longer than the window")
    parser.add_argument("--batch", type=int, default=12)
    parser.add_argument("--lr", type=float, default=4e-3)
    parser.add_argument("--warmup", type=int, default=100, help="steps")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--resume", type=pathlib.Path, help="start from the weights of this checkpoint")
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)
    torch.manual_seed(args.seed)

    cfg = Config()
    if args.resume:
        tokenizer = Tokenizer.from_file(str(args.resume.parent / "tokenizer.json"))
    else:
        tokenizer = train_tokenizer(args.data, cfg.vocab)
    tokenizer.save(str(args.out / "tokenizer.json"))
    assert tokenizer.get_vocab_size() == cfg.vocab
    ids, weights = pack(args.data, tokenizer)
    count = (len(ids) - 1) // args.length
    print(f"{len(ids)} tokens, {count} sequences of {args.length}", flush=True)

    model = Model(cfg)
    if args.resume:
        model.load_state_dict(torch.load(args.resume)["weights"])
    matrices = [p for name, p in model.named_parameters() if p.dim() == 2 and not name.startswith("embed")]
    others = [p for name, p in model.named_parameters() if p.dim() != 2 or name.startswith("embed")]
    # Muon learns small transformers in about half the tokens that AdamW needs; embeddings and norms stay with AdamW.
    optimizers = [
        torch.optim.Muon(matrices, lr=args.lr, weight_decay=0.02, adjust_lr_fn="match_rms_adamw"),
        torch.optim.AdamW(others, lr=args.lr, betas=(0.9, 0.98), weight_decay=0.0),
    ]

    def loss_of(x, y, w):
        logits = model(x).float().flatten(0, 1)
        each = F.cross_entropy(logits, y.flatten(), reduction="none")
        return (each * w.flatten()).sum() / w.sum()

    step_loss = torch.compile(loss_of)
    order = np.random.default_rng(args.seed).permutation(count)
    log = open(args.out / "log.jsonl", "w")
    begin, step, recent = time.time(), 0, []

    def save():
        torch.save({"config": cfg.to_dict(), "weights": model.state_dict(), "steps": step, "tokens": step * args.batch * args.length, "seconds": time.time() - begin}, args.out / "checkpoint.pt")

    while True:
        progress = (time.time() - begin) / 60 / args.minutes if args.minutes else step / args.steps
        if progress >= 1:
            break
        scale = min(1.0, (step + 1) / args.warmup) * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * progress)))
        for optimizer in optimizers:
            for group in optimizer.param_groups:
                group["lr"] = args.lr * scale
        rows = [order[(step * args.batch + i) % count] * args.length for i in range(args.batch)]
        take = lambda array, shift: np.stack([array[r + shift:r + shift + args.length] for r in rows])
        x = torch.from_numpy(take(ids, 0).astype(np.int64))
        y = torch.from_numpy(take(ids, 1).astype(np.int64))
        w = torch.from_numpy(take(weights, 1).astype(np.float32))
        with torch.autocast("cpu", dtype=torch.bfloat16):
            loss = step_loss(x, y, w)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for optimizer in optimizers:
            optimizer.step()
            optimizer.zero_grad()
        step += 1
        recent.append(loss.item())
        if step % 50 == 0:
            line = {"step": step, "loss": round(sum(recent) / len(recent), 4), "lr": args.lr * scale, "seconds": round(time.time() - begin), "tokens": step * args.batch * args.length}
            print(json.dumps(line), file=log, flush=True)
            print(line, flush=True)
            recent = []
        if step % 250 == 0:
            save()
    save()


if __name__ == "__main__":
    main()
