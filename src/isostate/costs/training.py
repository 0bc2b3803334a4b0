"""The cost of training: FLOPs of a step and of a run, and the most memory that a step takes.

`train_step_cost` and `train_flops` are the model's, three forwards (backward does each matmul twice, once for each
operand's gradient); what runs beyond them is `flops.py`'s.
"""

from __future__ import annotations

from dataclasses import dataclass

from isostate.costs.activations import Activations, check_form, kept_by
from isostate.costs.model import forward_cost
from isostate.costs.parameters import n_padded
from isostate.costs.precision import PRECISIONS, PrecisionName
from isostate.costs.tape import training_step
from isostate.costs.tape.mixers import tables_of
from isostate.costs.tape.operations import INT64
from isostate.mixers import Form
from isostate.mixers.native import Kernels, kernels_here
from isostate.model import ModelConfig, Recompute
from isostate.quantities import Cost

# Copies of every parameter: itself, its gradient, AdamW's two moments (FORMULAS section 2: 16 bytes a parameter).
PARAMETER_COPIES = 4
FLAT_ALIGN = 16  # elements: where a parameter begins in the flat buffers of `train/optimizer.py`


def train_step_cost(config: ModelConfig, batch: int, context: int, form: Form = "chunked") -> Cost:
    """One forward and backward of `batch` sequences; matmul FLOPs are about 6 a parameter and token."""
    return 3 * forward_cost(config, batch, context, form)


def train_flops(config: ModelConfig, context: int, n_tokens: int) -> int:
    """Matmul FLOPs of training on `n_tokens` in sequences of `context`: the C of scaling laws, attention included."""
    assert n_tokens % context == 0, f"{n_tokens} tokens are no whole number of sequences of {context}"
    return train_step_cost(config, n_tokens // context, context).matmul_flops


@dataclass(frozen=True)
class TrainingMemory:
    """Bytes of torch's tensors at the worst moment of a step; the interpreter and its libraries come on top.

    `step` is all that comes and goes; `kept`, of that, waits for the backward (`kept_activations`, from one count).
    """

    weights: int
    gradients: int
    optimizer: int
    batch: int  # token ids and targets
    tables: int  # rotary angles, numbers of monomials: made once
    step: int
    kept: Activations

    @property
    def total(self) -> int:
        return self.weights + self.gradients + self.optimizer + self.batch + self.tables + self.step


def training_memory(
    config: ModelConfig,
    batch: int,
    context: int,
    form: Form = "chunked",
    recompute: Recompute = "none",
    precision: PrecisionName = "fp32",
    n_threads: int = 1,
    kernels: Kernels | None = None,
) -> TrainingMemory:
    """Of the training loop here: flat buffers for weights, gradients and moments, then `batch` sequences at once.

    `kernels`: ours, or torch's operations as on other devices; left out, what this machine runs. In fp32 it is the
    allocator's peak but for scalars. In bf16 oneDNN's own buffers come on top, which depend on the processor.
    Raises UserError for a form whose memory is not counted.
    """
    check_form(config, form)
    config.check_context(context)
    each = PRECISIONS[precision]
    n_elements = n_padded(config, FLAT_ALIGN)
    step = training_step(config, batch, context, form, recompute, each.activation, n_threads, kernels=kernels)
    return TrainingMemory(
        weights=(each.weight + each.master) * n_elements,
        gradients=each.gradient * n_elements,
        optimizer=each.moments * n_elements,
        batch=2 * batch * context * INT64,
        tables=table_bytes(config, context, each.activation, kernels or kernels_here()),
        step=step.peak_bytes,
        kept=kept_by(step, config, batch, context, recompute, each.activation),
    )


def peak_train_bytes(
    config: ModelConfig,
    batch: int,
    context: int,
    recompute: Recompute = "none",
    n_threads: int = 1,
    kernels: Kernels | None = None,
) -> int:
    """Largest memory of torch's tensors in a step of `batch` sequences at once, in fp32."""
    return training_memory(config, batch, context, recompute=recompute, n_threads=n_threads, kernels=kernels).total


def alive_at_peak(
    config: ModelConfig,
    batch: int,
    context: int,
    form: Form = "chunked",
    recompute: Recompute = "none",
    kernels: Kernels | None = None,
) -> list[tuple[str, int]]:
    """(name, bytes) of what a step holds at its worst moment, beyond what stays; the other layers' as one row."""
    check_form(config, form)
    config.check_context(context)
    step = training_step(config, batch, context, form, recompute, logged=True, kernels=kernels)
    return [(storage.name, storage.nbytes) for storage in step.alive_at_peak() if storage.nbytes]


def table_bytes(config: ModelConfig, context: int, element_bytes: int, kernels: Kernels) -> int:
    """Tables that the first step makes and keeps for good."""
    tables = sum(table.nbytes for table in tables_of(config, context, element_bytes, kernels))
    if config.position_embedding == "sinusoidal":
        tables += context * config.d_model * element_bytes
    return tables
