"""One block on a tape: `model/block.py` and the layers in it."""

from __future__ import annotations

from isostate.costs.tape.mixers import MIXERS_TOLD
from isostate.costs.tape.norms import layer_norm, rms_norm
from isostate.costs.tape.operations import (
    add,
    convolution,
    dropped,
    linear,
    pointwise,
    pointwise_of_result,
    split,
    squared,
)
from isostate.costs.tape.tape import Storage, Tape, Value
from isostate.mixers import Form, MixerConfig
from isostate.model import ModelConfig
from isostate.model.layers import PLAIN


def block(tape: Tape, config: ModelConfig, z: Value, batch: int, context: int, form: Form, layer: int = 0) -> Value:
    """`Block.alone`: from the empty state, and without the state after it."""
    mixer, rows, width = config.mixers[layer], batch * context, config.d_model
    held = _empty_state(tape, config, mixer, batch)
    normed = norm(tape, config, z, rows, "mixer norm")
    if config.conv_taps:
        x, behind = convolution(tape, normed, batch, context, width, config.conv_taps)
        held.append(behind)
    else:
        x = tape.also(normed)
    y, state = MIXERS_TOLD[mixer.kind].step(tape, mixer, x, batch, context, form)
    added = dropped(tape, y, "mixer output") if config.dropout else tape.also(y)
    z1 = add(tape, z, added, "after the mixer")
    tape.free(added)
    if config.mlp == "none":
        tape.free(y, x, normed, *state, *held)
        return z1
    if config.block == "sequential":
        before, normed = normed, norm(tape, config, z1, rows, "MLP norm")
        tape.free(before)
    added = _mlp(tape, config, normed, rows)
    if config.dropout:
        whole, added = added, dropped(tape, added, "MLP output")
        tape.free(whole)
    z2 = add(tape, z1, added, "block output")
    tape.free(added, z1, y, x, normed, *state, *held)
    return z2


def norm(tape: Tape, config: ModelConfig, x: Value, rows: int, name: str) -> Value:
    return (rms_norm if config.norm == "rms" else layer_norm)(tape, x, rows, name)


def _empty_state(tape: Tape, config: ModelConfig, mixer: MixerConfig, batch: int) -> list[Storage]:
    taps = batch * (config.conv_taps - 1) * config.d_model if config.conv_taps else 0
    sizes = [("convolution", taps), *((k, batch * size) for k, size in mixer.state_size(0).parts.items())]
    return [tape.new(size, f"empty {name}") for name, size in sizes if size]


def _mlp(tape: Tape, config: ModelConfig, x: Value, rows: int) -> Value:
    width, hidden, bias = config.d_model, config.d_ff, config.bias in ("mlp", "all")
    if config.mlp in PLAIN:
        inner = linear(tape, x, rows, width, hidden, bias, "MLP inner")
        active = _activation(tape, config.mlp, inner)
        tape.free(inner)
        halves: list[Value] = []
    else:
        whole = linear(tape, x, rows, width, 2 * hidden, bias, "MLP gate and up")
        halves = split(tape, whole, [rows * hidden] * 2)
        tape.free(whole)
        opened = _activation(tape, config.mlp, halves[0])
        active = pointwise(tape, [opened, halves[1]], [opened.storage, halves[1].storage], "MLP product")
        tape.free(opened)
    out = linear(tape, active, rows, hidden, width, bias, "MLP output")
    tape.free(active, *halves)
    return out


def _activation(tape: Tape, kind: str, x: Value) -> Value:
    if kind in ("relu", "reglu"):
        return pointwise_of_result(tape, x, "MLP activation")
    if kind == "squared-relu":
        positive = pointwise_of_result(tape, x, "MLP activation")
        active = squared(tape, positive, "MLP activation, squared")
        tape.free(positive)
        return active
    return pointwise(tape, [x], [x.storage], "MLP activation")
