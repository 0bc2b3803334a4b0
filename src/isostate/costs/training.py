"""The cost of training, from the forward's: backward does each matmul twice, once for each operand's gradient.

What the chunked form computes again in its backward is not counted, nor is work that it skips: these are the FLOPs of
the model (as in MFU), not of the hardware.
"""

from __future__ import annotations

from isostate.costs.model import FLOAT32_BYTES, forward_cost, saved_elements
from isostate.mixers import Form
from isostate.mixers.chunks import GROUP_ELEMENTS
from isostate.mixers.linear_family import LinearFamilyConfig
from isostate.mixers.recurrence import best_chunk
from isostate.model import ModelConfig
from isostate.model.head import PIECE_ELEMENTS
from isostate.quantities import Cost

# Copies of every parameter: itself, its gradient, AdamW's two moments (FORMULAS section 2: 16 bytes a parameter).
PARAMETER_COPIES = 4
# Temporaries of the engine's backward, in groups of chunks: phi and its gradient, their lower degrees, weights, slopes.
GROUPS_AT_ONCE = 4


def train_step_cost(config: ModelConfig, batch: int, context: int, form: Form = "chunked") -> Cost:
    """One forward and backward of `batch` sequences; matmul FLOPs are about 6 a parameter and token."""
    return 3 * forward_cost(config, batch, context, form)


def train_flops(config: ModelConfig, context: int, n_tokens: int) -> int:
    """Matmul FLOPs of training on `n_tokens` in sequences of `context`: the C of scaling laws, attention included."""
    assert n_tokens % context == 0, f"{n_tokens} tokens are no whole number of sequences of {context}"
    return train_step_cost(config, n_tokens // context, context).matmul_flops


def peak_train_bytes(config: ModelConfig, batch: int, context: int) -> int:
    """Largest memory of torch's tensors in a step of `batch` sequences at once: an estimate, within a quarter.

    Parameters, gradients and AdamW's moments; what the forward keeps; and the largest temporary of three: the pieces of
    the head, the gradients inside a feed-forward, the groups of chunks. The interpreter and libraries come on top.
    """
    n_tokens = batch * context
    head = 2 * max(16 * config.vocab_size, min(PIECE_ELEMENTS, n_tokens * config.vocab_size))
    feed_forward = 4 * n_tokens * config.d_ff
    engine = _phi_elements(config.mixer, batch, context) if isinstance(config.mixer, LinearFamilyConfig) else 0
    kept = PARAMETER_COPIES * config.param_count().total + saved_elements(config, batch, context)
    return FLOAT32_BYTES * (kept + max(head, feed_forward, GROUPS_AT_ONCE * engine))


def _phi_elements(mixer: LinearFamilyConfig, batch: int, context: int) -> int:
    """phi of the chunks that the engine takes at once: at least one of every head and sequence."""
    value_size = mixer.head_dim + (mixer.normaliser == "sum")
    chunk = mixer.chunk or best_chunk(mixer.feature_map, value_size, context)
    one = batch * mixer.n_heads * chunk * max(mixer.feature_map.expanded_size, chunk)
    return max(one, min(GROUP_ELEMENTS, one * -(-context // chunk)))
