"""The forward cost of a decoder: its mixers', and what stands around them.

FORMULAS section 2: 1 multiply-accumulate = 2 FLOPs; matmul and other FLOPs apart; causal halving off. Matmul FLOPs are
those that the form runs from an empty state, padding included; the rest are estimates, named where they are made.
"""

from __future__ import annotations

from isostate.mixers import Causal, Form
from isostate.model import ModelConfig
from isostate.quantities import Cost

FLOAT32_BYTES = 4


def forward_cost(
    config: ModelConfig, batch: int, context: int, form: Form = "chunked", causal: Causal = "whole"
) -> Cost:
    """Cost of `batch` sequences of `context` tokens, from tokens to losses. Raises UserError for too long a context."""
    config.check_context(context)
    n_tokens = batch * context
    cost = config.n_layers * _around_the_mixer(config, n_tokens) + _head(config, n_tokens)
    return sum((times * mixer.cost(batch, context, form, causal) for mixer, times in config.mixer_groups), cost)


def _around_the_mixer(config: ModelConfig, n_tokens: int) -> Cost:
    """Norms at 4 FLOPs an element, residual sums, the convolution, the feed-forward at 5 an activation."""
    width, hidden = config.d_model, config.d_ff
    weights, n_sums = mlp_weights(config), 1 if config.mlp == "none" else 2
    other = n_tokens * (config.n_norms * 4 * width + n_sums * width + 2 * config.conv_taps * width + 5 * hidden)
    moved = weights + n_tokens * (6 * width + config.mlp_matrices * hidden)
    return Cost(2 * n_tokens * weights, other, FLOAT32_BYTES * moved)


def mlp_weights(config: ModelConfig) -> int:
    """Elements of a feed-forward's matrices."""
    return config.mlp_matrices * config.d_model * config.d_ff


def _head(config: ModelConfig, n_tokens: int) -> Cost:
    """The last norm, the logits, and a softmax at 5 FLOPs a logit."""
    weights = config.vocab_size * config.d_model
    other = n_tokens * (4 * config.d_model + 5 * config.vocab_size)
    return Cost(2 * n_tokens * weights, other, FLOAT32_BYTES * (weights + n_tokens * config.d_model))
