"""Precisions: what each keeps of a parameter, and how large activations are.

What runs here: fp32, and bf16 throughout (`model.to(torch.bfloat16)`, whose gradients and moments are bf16 too). Mixed
precision, with 32-bit master weights, is counted by formula: nothing here trains so, and under `torch.autocast` the
model's head refuses to run. FORMULAS section 2: 16 N bytes in fp32; mixed 18 N with 32-bit gradients, 16 N as ZeRO
counts them, with 16-bit ones.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

from isostate.model import ModelConfig

PrecisionName = Literal["fp32", "bf16", "mixed", "mixed-16-bit-gradients"]


class Precision(NamedTuple):
    """Bytes of a parameter's weight, master weight, gradient and both AdamW moments; of an element of activations."""

    weight: int
    master: int
    gradient: int
    moments: int
    activation: int
    runs_here: bool

    @property
    def parameter_bytes(self) -> int:
        return self.weight + self.master + self.gradient + self.moments


PRECISIONS: dict[PrecisionName, Precision] = {
    "fp32": Precision(4, 0, 4, 8, 4, True),
    "bf16": Precision(2, 0, 2, 4, 2, True),
    "mixed": Precision(2, 4, 4, 8, 2, False),
    "mixed-16-bit-gradients": Precision(2, 4, 2, 8, 2, False),
}


class ModelStateBytes(NamedTuple):
    """What training holds of the parameters, whatever the batch."""

    weights: int
    master: int
    gradients: int
    optimizer: int

    @property
    def total(self) -> int:
        return sum(self)


def model_state_bytes(n_params: int, precision: PrecisionName = "fp32") -> ModelStateBytes:
    """Weights, master weights, gradients, and AdamW's two moments, which equal the live ones to the byte."""
    each = PRECISIONS[precision]
    return ModelStateBytes(
        each.weight * n_params, each.master * n_params, each.gradient * n_params, each.moments * n_params
    )


def state_bytes(config: ModelConfig, batch: int, context: int, precision: PrecisionName = "fp32") -> int:
    """What `batch` sequences carry after `context` tokens: keys and values, matrices, taps."""
    return batch * config.state_size(context).elements * PRECISIONS[precision].activation


def break_even_batch(d_model: int, context: int, n_heads: int) -> float:
    """Sequences at which mixed precision's smaller activations outweigh its 2 N bytes more: 6 D^2 / (8 D S + A S^2).

    For a GPT with 4 D wide MLPs that keeps its scores, as FORMULAS section 2 has it; independent of depth.
    """
    return 6 * d_model**2 / (8 * d_model * context + n_heads * context**2)
