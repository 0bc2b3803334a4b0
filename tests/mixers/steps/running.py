"""A mixer's decode step against its recurrent form: outputs, state, and what torch's allocator gave."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from torch import Tensor

from isostate.costs import counting
from isostate.mixers import Mixer, MixerConfig, State
from isostate.mixers.steps import STEPS, MixerStep, Position
from tests.mixers.runs import BATCH, build, state_after_history, tokens
from tests.tolerances import TOLERANCES, relative_error

LENGTH, CONTEXT = 12, 24
by_kernel_and_by_torch = pytest.mark.parametrize("kernels", ["native", "torch"])
both_precisions = pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=["float64", "float32"])


def prepared(mixer: Mixer, context: int | None = CONTEXT) -> MixerStep:
    """From the empty state."""
    like = next(mixer.parameters())
    x_BD, y_BD = (torch.empty(BATCH, mixer.config.d_model, dtype=like.dtype) for _ in range(2))
    with torch.inference_mode():
        return STEPS[mixer.config.kind](mixer, x_BD, y_BD, Position(like.detach(), context))


def run(step: MixerStep, x_BTD: Tensor) -> Iterator[Tensor]:
    """y_BD of one position after another."""
    with torch.inference_mode():
        for t in range(x_BTD.shape[1]):
            step.x_BD.copy_(x_BTD[:, t])
            step.position.begin()
            step.run()
            step.position.now += 1
            yield step.y_BD.clone()


def load(step: MixerStep, state: State) -> None:
    with torch.inference_mode():
        step.position.now = state.position
        step.load(state)


def assert_steps_equal_the_recurrent_form(config: MixerConfig, dtype: torch.dtype) -> None:
    """From the empty state, and from one with a history; float32 no further from the truth than the definition is."""
    mixer = build(config, dtype).eval()
    exact = build(config).eval()
    for history in (0, 9):
        step, x_BTD = prepared(mixer), tokens(config, LENGTH, dtype)
        state = state_after_history(mixer, history).detach() if history else mixer.init_state(BATCH)
        load(step, state)
        with torch.no_grad():
            given_BTD, after = mixer(x_BTD, state, "recurrent")
            true_BTD, true_after = exact(x_BTD.double(), state.map(Tensor.double), "recurrent")
        got = [torch.stack(list(run(step, x_BTD)), dim=1), *step.state().tensors()]
        assert step.state().position == history + LENGTH
        for ours, theirs, truth in zip(
            got, [given_BTD, *after.tensors()], [true_BTD, *true_after.tensors()], strict=True
        ):
            allowed = max(TOLERANCES[dtype], 4 * relative_error(theirs, truth))
            assert ours.dtype == dtype
            assert relative_error(ours, truth) <= allowed, f"{config.family} after {history}"


def assert_allocates_nothing(config: MixerConfig) -> None:
    """At any position: the third step, and the next ones, past what a window keeps or a convolution turns over."""
    step = prepared(build(config, torch.float32))
    x_BTD = tokens(config, 2, torch.float32)
    list(run(step, x_BTD))
    with torch.inference_mode():
        step.x_BD.copy_(x_BTD[:, 0])

        def work() -> None:
            for _ in range(9):
                step.position.begin()
                step.run()
                step.position.now += 1

        assert counting.allocations(work) == []
