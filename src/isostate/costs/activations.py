"""What a training step keeps for its backward, tensor by tensor: equal to torch's `saved_tensors_hooks`, to the byte.

A tensor counts its whole storage, once, whoever keeps it: three views of one projection are one row. Parameters do not
count; what all layers share (rotary tables) and the token ids do, once. Dropout on a CPU multiplies by a mask of the
tensor's own dtype; fused kernels, as CUDA's, keep a byte an element instead, and attention that drops inside its kernel
no mask and no scores at all.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal, NamedTuple

from isostate.config import UserError
from isostate.costs.precision import PRECISIONS, PrecisionName
from isostate.costs.tape import Step, Storage, training_step
from isostate.costs.tape.mixers import MIXERS_TOLD, tables_of
from isostate.costs.tape.operations import INT64
from isostate.mixers import Form, MixerConfig
from isostate.mixers.native import Kernels
from isostate.mixers.softmax import SoftmaxConfig
from isostate.model import ModelConfig, Recompute, StackConfig

Part = Literal["embedding", "layer", "head", "shared"]
Masks = Literal["cpu", "fused"]


class Activation(NamedTuple):
    """A tensor that is kept: of the embedding, of each layer (`times`), of the head, or shared by all layers."""

    part: Part
    name: str
    nbytes: int
    times: int = 1

    @property
    def total_bytes(self) -> int:
        return self.times * self.nbytes


class Activations(NamedTuple):
    """All that is kept, in the order of the forward."""

    rows: tuple[Activation, ...]

    @property
    def total_bytes(self) -> int:
        return sum(row.total_bytes for row in self.rows)

    @property
    def layer_bytes(self) -> int:
        """Of one layer, where layers are alike; of a stack's, all together."""
        return sum(row.nbytes for row in self.rows if row.part == "layer")


def kept_activations(
    config: ModelConfig,
    batch: int,
    context: int,
    form: Form = "chunked",
    recompute: Recompute = "none",
    precision: PrecisionName = "fp32",
    masks: Masks = "cpu",
    kernels: Kernels | None = None,
) -> Activations:
    """One step of `batch` sequences of `context` tokens; `kernels` as in `training_memory`.

    Raises UserError for a form that is not told for a mixer.
    """
    check_form(config, form)
    config.check_context(context)
    element_bytes = PRECISIONS[precision].activation
    if masks == "fused" and form == "chunked":
        config = _with_fused_kernels(config)
    step = training_step(config, batch, context, form, recompute, element_bytes, kernels=kernels)
    return kept_by(step, config, batch, context, recompute, element_bytes, masks)


def kept_by(
    step: Step,
    config: ModelConfig,
    batch: int,
    context: int,
    recompute: Recompute,
    element_bytes: int,
    masks: Masks = "cpu",
) -> Activations:
    """What a step that has been told keeps, with what stands outside of its tape."""
    rows = [Activation("embedding", "token ids", batch * context * INT64)]
    rows += _rows("embedding", step.embedding, 1, masks, element_bytes)
    if recompute == "none":
        rows += shared_tables(config, context, element_bytes)
    for times, layer in step.layers:
        rows += _rows("layer", layer, times, masks, element_bytes)
    rows += _rows("head", step.head, 1, masks, element_bytes)
    return Activations(tuple(rows))


def _with_fused_kernels(config: ModelConfig) -> ModelConfig:
    """Softmax attention drops inside its kernel: as if it did not drop."""

    def fused(mixer: MixerConfig) -> MixerConfig:
        return mixer.model_copy(update={"attention_dropout": 0.0}) if isinstance(mixer, SoftmaxConfig) else mixer

    if isinstance(config.mixer, StackConfig):
        mixers = {name: fused(mixer) for name, mixer in config.mixer.mixers.items()}
        return config.model_copy(update={"mixer": config.mixer.model_copy(update={"mixers": mixers})})
    return config.model_copy(update={"mixer": fused(config.mixer)})


def shared_tables(config: ModelConfig, context: int, element_bytes: int) -> list[Activation]:
    """Tables that all layers keep as one, such as rotary's cosines and sines."""
    tables = tables_of(config, context, element_bytes)
    return [Activation("shared", table.name, table.nbytes) for table in tables if table.kept]


def check_form(config: ModelConfig, form: Form) -> None:
    """Raises UserError where memory is not counted: loops over positions, and all pairs of the linear family."""
    for mixer, _ in config.mixer_groups:
        known = MIXERS_TOLD[mixer.kind].forms
        if form not in known:
            raise UserError(
                f'form = "{form}": kept bytes of {mixer.family} are counted for {" and ".join(known)}; '
                "choose one of those, or measure it"
            )


def gpt_block_bytes(
    batch: int, context: int, d_model: int, n_heads: int, element_bytes: int, expansion: int = 4, mask_bytes: int = 1
) -> int:
    """The published count of a GPT block that keeps its scores and drops: FORMULAS section 2.

    2 B D S (p (E + 4) + m) + A B S^2 (2 p + m): 34 BSD + 5 ABS^2 in 16 bits, 66 BSD + 9 ABS^2 in 32 (Korthikanti et al.
    2022, equation 2). It leaves out the norms' statistics, 4 B S numbers.
    """
    linear = 2 * batch * d_model * context * (element_bytes * (expansion + 4) + mask_bytes)
    return linear + n_heads * batch * context**2 * (2 * element_bytes + mask_bytes)


def _rows(part: Part, kept: Iterable[Storage], times: int, masks: Masks, element_bytes: int) -> list[Activation]:
    return [Activation(part, storage.name, _nbytes(storage, masks, element_bytes), times) for storage in kept]


def _nbytes(storage: Storage, masks: Masks, element_bytes: int) -> int:
    if masks == "fused" and storage.name.startswith("dropout mask"):
        return storage.nbytes // element_bytes
    return storage.nbytes
