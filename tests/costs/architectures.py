"""Small architectures for tests, built from few numbers."""

from __future__ import annotations

from typing import Any

from isostate.costs.architecture import Architecture

LAYER, RMS = {"kind": "layer", "bias": True}, {"kind": "rms"}


def stack(count: int, sublayers: list[dict[str, Any]], d_model: int, vocab_size: int = 0, **changes) -> Architecture:
    """`count` equal blocks; without a vocabulary nothing is tied and the table has one row."""
    values: dict[str, Any] = {
        "d_model": d_model,
        "embedding": {"kind": "tokens", "vocab_size": vocab_size or 1},
        "groups": [{"count": count, "blocks": [{"norm": RMS, "sublayers": sublayers}]}],
        "final_norm": RMS,
        "head": {"kind": "tied"},
    }
    return Architecture.parse(values | changes, "test")


def gpt(n_layers: int, d_model: int, n_heads: int, vocab_size: int, bias: bool = False, **attention) -> Architecture:
    """GPT's block: softmax attention and a feed-forward of 4 d_model; without biases also no norm has parameters."""
    sublayers = [
        {
            "kind": "attention",
            "n_heads": n_heads,
            "head_dim": d_model // n_heads,
            "bias": "all" if bias else "none",
            **attention,
        },
        {"kind": "mlp", "d_ff": 4 * d_model, "activation": "gelu", "bias": bias},
    ]
    norm = LAYER if bias else {"kind": "layer", "gain": False}
    groups = [{"count": n_layers, "blocks": [{"norm": norm, "sublayers": sublayers}]}]
    return stack(1, sublayers, d_model, vocab_size, groups=groups, final_norm=norm)
