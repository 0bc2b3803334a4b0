"""The forward cost of a decoder, and what it keeps for the backward: its mixers', and what stands around them.

FORMULAS section 2: 1 multiply-accumulate = 2 FLOPs; matmul and other FLOPs apart; causal halving off. Matmul FLOPs are
those that the form runs from an empty state, padding included; the rest are estimates, named where they are made.
"""

from __future__ import annotations

from isostate.mixers import Form
from isostate.model import ModelConfig
from isostate.model.layers import MLP_MATRICES
from isostate.quantities import Cost

FLOAT32_BYTES = 4
# Times d_ff that a feed-forward keeps a token: both halves, the activation's result, their product; or what gelu takes
# and gives; relu keeps its result alone, which is the next projection's input.
MLP_SAVED = {"swiglu": 4, "geglu": 4, "geglu-tanh": 4, "reglu": 4, "gelu": 2, "gelu-tanh": 2, "relu": 1}
MLP_SAVED["squared-relu"] = 2


def forward_cost(config: ModelConfig, batch: int, context: int, form: Form = "chunked") -> Cost:
    """Cost of `batch` sequences of `context` tokens, from tokens to losses."""
    n_tokens = batch * context
    layer = config.mixer.cost(batch, context, form) + _around_the_mixer(config, n_tokens)
    return config.n_layers * layer + _head(config, n_tokens)


def saved_elements(config: ModelConfig, batch: int, context: int) -> int:
    """Float32 elements kept for the backward of one forward in the chunked form, tables that layers share left out."""
    n_tokens, width = batch * context, config.d_model
    norm = 1 if config.norm == "rms" else 2  # of each token: the root mean square; mean and deviation
    layer = n_tokens * config.n_norms * (2 * width + norm) + n_tokens * MLP_SAVED[config.mlp] * config.d_ff
    if config.conv_taps:  # its input behind that of the last segment
        layer += batch * (context + config.conv_taps - 1) * width
    layer += config.mixer.saved_elements(batch, context)
    head = n_tokens * (2 * width + norm) + config.vocab_size * width  # the gradients of its input and its weight
    return config.n_layers * layer + head


def _around_the_mixer(config: ModelConfig, n_tokens: int) -> Cost:
    """Norms at 4 FLOPs an element, residual sums, the convolution, the feed-forward at 5 an activation."""
    width, hidden = config.d_model, config.d_ff
    weights = MLP_MATRICES[config.mlp] * width * hidden
    other = n_tokens * (config.n_norms * 4 * width + 2 * width + 2 * config.conv_taps * width + 5 * hidden)
    moved = weights + n_tokens * (6 * width + MLP_MATRICES[config.mlp] * hidden)
    return Cost(2 * n_tokens * weights, other, FLOAT32_BYTES * moved)


def _head(config: ModelConfig, n_tokens: int) -> Cost:
    """The last norm, the logits, and a softmax at 5 FLOPs a logit."""
    weights = config.vocab_size * config.d_model
    other = n_tokens * (4 * config.d_model + 5 * config.vocab_size)
    return Cost(2 * n_tokens * weights, other, FLOAT32_BYTES * (weights + n_tokens * config.d_model))
