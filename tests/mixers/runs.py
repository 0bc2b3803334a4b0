"""Running a mixer for its tests: built in float64 with nothing left at its start value, and every result by name."""

from __future__ import annotations

import torch
from torch import Tensor

from isostate.mixers import Mixer, MixerConfig, State, build_mixer
from tests.tolerances import TOLERANCES

BATCH = 2
# Some gradients are zero but for rounding (a query's, where only itself is seen): their error is measured against this
# share of the largest gradient.
NEGLIGIBLE = 1e-3


def build(config: MixerConfig, dtype: torch.dtype = torch.float64, seed: int = 0) -> Mixer:
    """Gains, and gates from 0.05 to 0.999, are drawn too: at their start values half of the mixer is the identity."""
    torch.manual_seed(seed)
    mixer = build_mixer(config).to(dtype)
    with torch.no_grad():
        for name, parameter in mixer.named_parameters():
            if name == "gate_bias":
                parameter.copy_(torch.linspace(-3, 7, len(parameter)))
            elif name == "A_log":
                parameter.copy_(torch.linspace(-4, 0, parameter.numel()).view_as(parameter))
            elif parameter.ndim == 1:
                parameter.normal_(1.0, 0.2)
    return mixer


def tokens(config: MixerConfig, length: int, dtype: torch.dtype = torch.float64, seed: int = 1) -> Tensor:
    """x_BTD, normal."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(BATCH, length, config.d_model, generator=generator, dtype=torch.float64).to(dtype)


def state_after_history(mixer: Mixer, length: int = 9) -> State:
    """What random tokens of the past left behind, as leaves that take gradients."""
    with torch.no_grad():
        history = tokens(mixer.config, length, next(mixer.parameters()).dtype, seed=2)
        _, state = mixer(history, form="recurrent")
    return state.map(lambda tensor: tensor.clone().requires_grad_())


def named(state: State) -> dict[str, Tensor]:
    return {f"state {number}": tensor for number, tensor in enumerate(state.tensors())}


def results(
    mixer: Mixer, x_BTD: Tensor, state: State | None, form: str, loss_of: str = "y state"
) -> tuple[dict[str, Tensor], ...]:
    """(outputs and final state, gradients of parameters, input and initial state), by name.

    The gradients are those of a random weighting of the outputs, the final state, or both; zero where none flows.
    """
    x_BTD = x_BTD.detach().requires_grad_()
    y_BTD, after = mixer(x_BTD, state, form)
    values = {"y": y_BTD, **named(after)}
    generator = torch.Generator().manual_seed(3)
    weighted = [
        (torch.randn(value.shape, generator=generator).to(value) * value).sum()
        for name, value in values.items()
        if name.split()[0] in loss_of
    ]
    wanted = {"x": x_BTD, **dict(mixer.named_parameters())}
    if state is not None:
        wanted |= {f"initial {name}": tensor for name, tensor in named(state).items()}
    leaves = list(wanted.values())
    grads = torch.autograd.grad(torch.stack(weighted).sum(), leaves, allow_unused=True, materialize_grads=True)
    return values, dict(zip(wanted, grads, strict=True))


def assert_equal_results(
    got: tuple[dict[str, Tensor], ...], want: tuple[dict[str, Tensor], ...], what: str, floor: float = NEGLIGIBLE
) -> None:
    """Every tensor within its dtype's tolerance: |got - want| / |want| in the Euclidean norm.

    |want| of a gradient counts as at least `floor` of the largest gradient's.
    """
    largest = max(grad.norm().item() for grad in want[1].values())
    for least, ours, theirs in [(0.0, got[0], want[0]), (floor * largest, got[1], want[1])]:
        assert ours.keys() == theirs.keys()
        for name, wanted in theirs.items():
            assert ours[name].shape == wanted.shape, f"{what}: {name} is {ours[name].shape}, not {wanted.shape}"
            assert ours[name].isfinite().all(), f"{what}: {name} is not finite"
            difference = (ours[name].double() - wanted.double()).norm().item()
            error = difference / (max(wanted.norm().item(), least) or 1.0)
            allowed = TOLERANCES[ours[name].dtype]
            assert error <= allowed, f"{what}: {name}: relative error {error:.1e}, allowed {allowed:.0e}"
