"""The demo model in plain PyTorch: a small llama with grouped-query attention and a sliding window.

No cache and no tricks: `forward` recomputes everything, so that it can serve as a reference.
"""
from dataclasses import asdict, dataclass

import torch
import torch.nn.functional as F
from torch import nn


@dataclass
class Config:
    vocab: int = 2048
    dim: int = 256
    ffn: int = 768
    layers: int = 4
    heads: int = 4
    kv_heads: int = 2
    head_dim: int = 64
    context: int = 1024
    window: int = 256  # a query at q sees the keys k with 0 <= q - k < window
    rope_base: float = 10000.0
    eps: float = 1e-5

    def to_dict(self):
        return asdict(self)


class RMSNorm(nn.Module):
    def __init__(self, dim, eps):
        super().__init__()
        self.eps = eps
        self.weight = nn.Parameter(torch.ones(dim))

    def forward(self, x):
        # In the weights' precision, even under autocast.
        x = x.to(self.weight.dtype)
        return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + self.eps) * self.weight


def rope_tables(cfg, length, dtype):
    """cos and sin of shape [length, head_dim / 2], computed in float64."""
    half = cfg.head_dim // 2
    freq = cfg.rope_base ** (-torch.arange(half, dtype=torch.float64) / half)
    angle = torch.arange(length, dtype=torch.float64)[:, None] * freq[None, :]
    return angle.cos().to(dtype), angle.sin().to(dtype)


def rotate(x, cos, sin):
    """Half-split rotation: element j pairs with j + head_dim / 2 (export.py reorders for GGUF)."""
    a, b = x.chunk(2, dim=-1)
    return torch.cat((a * cos - b * sin, b * cos + a * sin), dim=-1).to(x.dtype)


def window_mask(cfg, length):
    q = torch.arange(length)[:, None]
    k = torch.arange(length)[None, :]
    return (q >= k) & (q - k < cfg.window)


class Layer(nn.Module):
    def __init__(self, cfg):
        super().__init__()
        self.cfg = cfg
        self.attn_norm = RMSNorm(cfg.dim, cfg.eps)
        self.q = nn.Linear(cfg.dim, cfg.heads * cfg.head_dim, bias=False)
        self.k = nn.Linear(cfg.dim, cfg.kv_heads * cfg.head_dim, bias=False)
        self.v = nn.Linear(cfg.dim, cfg.kv_heads * cfg.head_dim, bias=False)
        self.o = nn.Linear(cfg.heads * cfg.head_dim, cfg.dim, bias=False)
        self.ffn_norm = RMSNorm(cfg.dim, cfg.eps)
        self.gate = nn.Linear(cfg.dim, cfg.ffn, bias=False)
        self.up = nn.Linear(cfg.dim, cfg.ffn, bias=False)
        self.down = nn.Linear(cfg.ffn, cfg.dim, bias=False)

    def attend(self, x, cos, sin, mask):
        batch, length, _ = x.shape
        cfg = self.cfg
        split = lambda y, heads: y.view(batch, length, heads, cfg.head_dim).transpose(1, 2)
        q = rotate(split(self.q(x), cfg.heads), cos, sin)
        k = rotate(split(self.k(x), cfg.kv_heads), cos, sin)
        v = split(self.v(x), cfg.kv_heads)
        # Query head h reads key/value head h // (heads / kv_heads).
        group = cfg.heads // cfg.kv_heads
        k = k.repeat_interleave(group, dim=1)
        v = v.repeat_interleave(group, dim=1)
        y = F.scaled_dot_product_attention(q, k, v, attn_mask=mask)
        return self.o(y.transpose(1, 2).reshape(batch, length, -1))

    def forward(self, x, cos, sin, mask):
        x = x + self.attend(self.attn_norm(x), cos, sin, mask)
        h = self.ffn_norm(x)
        return x + self.down(F.silu(self.gate(h)) * self.up(h))


class Model(nn.Module):
    def __init__(self, cfg):
        super().__init__()
        self.cfg = cfg
        self.embed = nn.Embedding(cfg.vocab, cfg.dim)  # also the output matrix
        self.layers = nn.ModuleList(Layer(cfg) for _ in range(cfg.layers))
        self.norm = RMSNorm(cfg.dim, cfg.eps)
        for name, p in self.named_parameters():
            if p.dim() == 2:
                scale = 0.02 if not name.endswith(("o.weight", "down.weight")) else 0.02 / (2 * cfg.layers) ** 0.5
                nn.init.normal_(p, std=scale)

    def hidden(self, ids, mask=None):
        """ids [batch, length] -> normalised hidden states. `mask` defaults to the plain window."""
        length = ids.shape[1]
        cos, sin = rope_tables(self.cfg, length, self.embed.weight.dtype)
        if mask is None:
            mask = window_mask(self.cfg, length)
        x = self.embed(ids)
        for layer in self.layers:
            x = layer(x, cos, sin, mask)
        return self.norm(x)

    def forward(self, ids):
        return F.linear(self.hidden(ids), self.embed.weight)
