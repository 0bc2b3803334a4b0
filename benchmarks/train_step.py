"""A training step of ours against a plain PyTorch GPT of the same shape: SDPA, cross_entropy, fused AdamW.

    python benchmarks/train_step.py [shape ...]

Shapes and bounds (ratio of tokens a second, ours over plain): see SHAPES. "plain kept" is the plain loop with our
allocator setting, to tell what that setting alone gives.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional as F

from isostate.model import Decoder, ModelConfig, decayed_parameters
from isostate.train.heap import keep_freed_memory
from isostate.train.optimizer import AdamW
from side_by_side import compare, machine, serve


@dataclass(frozen=True)
class Shape:
    """One comparison: a model, a batch, the threads, and the least ratio we hold ourselves to."""

    n_layers: int
    d_model: int
    vocab_size: int
    batch: int
    threads: int
    least_ratio: float
    extras: bool = False  # ours with QK-norm, ALiBi and the short convolution, against ours without
    n_heads: int = 4
    context: int = 256


SHAPES = {
    "bytes": Shape(4, 128, 256, 16, 2, 0.95),
    "vocab2048": Shape(4, 96, 2048, 16, 2, 1.15),
    "small-1": Shape(2, 96, 1024, 4, 1, 1.1),
    "small-2": Shape(2, 96, 1024, 4, 2, 1.1),
    "extras-1": Shape(2, 96, 1024, 4, 1, 1 / 1.3, extras=True),
    "extras-2": Shape(2, 96, 1024, 4, 2, 1 / 1.3, extras=True),
}
ROUNDS, STEPS = 7, 10


class PlainBlock(nn.Module):
    def __init__(self, shape: Shape):
        super().__init__()
        d = shape.d_model
        self.n_heads = shape.n_heads
        self.ln_1, self.ln_2 = nn.LayerNorm(d), nn.LayerNorm(d)
        self.qkv, self.proj = nn.Linear(d, 3 * d, bias=False), nn.Linear(d, d, bias=False)
        self.fc, self.fc_out = nn.Linear(d, 4 * d, bias=False), nn.Linear(4 * d, d, bias=False)

    def forward(self, x):
        b, t, d = x.shape
        q, k, v = self.qkv(self.ln_1(x)).view(b, t, 3, self.n_heads, d // self.n_heads).permute(2, 0, 3, 1, 4)
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.proj(y.transpose(1, 2).reshape(b, t, d))
        return x + self.fc_out(F.gelu(self.fc(self.ln_2(x))))


class PlainGPT(nn.Module):
    def __init__(self, shape: Shape):
        super().__init__()
        self.embedding = nn.Embedding(shape.vocab_size, shape.d_model)
        self.position = nn.Embedding(shape.context, shape.d_model)
        self.blocks = nn.ModuleList(PlainBlock(shape) for _ in range(shape.n_layers))
        self.ln_f = nn.LayerNorm(shape.d_model)

    def forward(self, tokens, targets):
        x = self.embedding(tokens) + self.position(torch.arange(tokens.shape[1]))
        for block in self.blocks:
            x = block(x)
        logits = F.linear(self.ln_f(x), self.embedding.weight)
        return F.cross_entropy(logits.flatten(0, 1), targets.flatten())


def tokens_of(shape: Shape):
    torch.manual_seed(0)
    tokens = torch.randint(shape.vocab_size, (shape.batch, shape.context + 1))
    return tokens[:, :-1].contiguous(), tokens[:, 1:].contiguous()


def plain(shape: Shape, keep: bool):
    if keep:
        keep_freed_memory()
    torch.set_num_threads(shape.threads)
    model = PlainGPT(shape)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, fused=True)
    tokens, targets = tokens_of(shape)

    def play():
        for _ in range(STEPS):
            optimizer.zero_grad()
            loss = model(tokens, targets)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            loss.item()

    return play


def ours(shape: Shape, extras: bool):
    keep_freed_memory()
    torch.set_num_threads(shape.threads)
    mixer = {"kind": "softmax", "n_heads": shape.n_heads}
    if extras:
        mixer |= {"positions": "alibi", "qk_norm": "rms"}
    config = ModelConfig.parse(
        {
            "vocab_size": shape.vocab_size,
            "n_layers": shape.n_layers,
            "d_model": shape.d_model,
            "mlp": "gelu",
            "norm": "layer",
            "conv_taps": 4 if extras else 0,
            "mixer": mixer,
        },
        "benchmark",
    )
    model = Decoder(config)
    optimizer = AdamW(*decayed_parameters(model), betas=(0.9, 0.95), eps=1e-8, weight_decay=0.1)
    tokens, targets = tokens_of(shape)

    def play():
        for _ in range(STEPS):
            loss = model.train_loss(tokens, targets)
            loss.backward()
            value, norm = torch.stack([loss.detach(), optimizer.gradient_norm()]).tolist()
            assert value == value
            optimizer.step(1e-3, min(1.0, 1.0 / norm))

    return play


CONTESTANTS = {}
for name, shape in SHAPES.items():
    CONTESTANTS |= {
        f"{name}/plain": lambda shape=shape: plain(shape, keep=False),
        f"{name}/plain kept": lambda shape=shape: plain(shape, keep=True),
        f"{name}/ours": lambda shape=shape: ours(shape, extras=False),
        f"{name}/extras": lambda shape=shape: ours(shape, extras=True),
    }
serve(CONTESTANTS)

if __name__ == "__main__":
    for name in sys.argv[1:] or SHAPES:
        shape = SHAPES[name]
        first, *others = ("extras", "ours") if shape.extras else ("ours", "plain", "plain kept")
        results = compare([f"{name}/{who}" for who in (first, *others)], ROUNDS, shape.threads)
        tokens = STEPS * shape.batch * shape.context
        print(f"{name}: {shape} ({machine(shape.threads)}; medians of {ROUNDS})")
        for who, row in results.items():
            ratio = row["seconds"] / results[f"{name}/{first}"]["seconds"]
            print(
                f"  {who:24} {tokens / row['seconds']:9,.0f} tokens/s, {row['seconds'] / STEPS * 1e3:6.2f} ms a step "
                f"({row['low'] / STEPS * 1e3:.2f} to {row['high'] / STEPS * 1e3:.2f}), peak "
                f"{row['peak_bytes'] / 2**20:,.0f} MB; {first} is {ratio:.3f} times as fast"
            )
        ratio = results[f"{name}/{others[0]}"]["seconds"] / results[f"{name}/{first}"]["seconds"]
        print(f"  {'holds' if ratio >= shape.least_ratio else 'MISSED'}: {ratio:.3f}, at least {shape.least_ratio:.3f}")
