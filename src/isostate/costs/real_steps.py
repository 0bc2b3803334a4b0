"""Real updates and tokens of a few small models, timed now and then while kernels are measured.

No disturbance of one moment is then in all of them. Models of next to no width tell the overhead of a call; three
others, whose sizes no prediction is made for, how much longer kernels take in turn than each in a loop.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import torch

from isostate.costs.clock import first_quartile, own_clock
from isostate.model import Decoder, ModelConfig

# Steps that are overhead: seconds a call, from what four more layers take.
TINY = {"vocab_size": 16, "d_model": 8, "d_ff": 8}
TINY_MIXERS = (
    {"kind": "softmax", "n_heads": 1},
    {"kind": "window", "n_heads": 1, "window": 2},
    {"kind": "linear", "n_heads": 1},
)
TINY_LAYERS, TINY_CONTEXT = (1, 5), 8
# Steps of kernels in turn.
WHOLE = {"vocab_size": 768, "n_layers": 2, "d_model": 96}
WHOLE_MIXERS = (
    {"kind": "softmax", "n_heads": 3, "positions": "rotary"},
    {"kind": "window", "n_heads": 3, "window": 48},
    {"kind": "power", "head_dim": 8, "degree": 2},
)
WHOLE_BATCH, WHOLE_CONTEXT = 3, 192
WARM_UP, TINY_STEPS, WHOLE_UPDATES, WHOLE_TOKENS = 2, 8, 2, 8  # of a model, in a visit


@dataclass
class Steps:
    """One model's update, or its token behind a context, and the seconds that it took."""

    config: ModelConfig
    batch: int
    context: int
    work: Callable[[], object] = field(repr=False)
    times: int = TINY_STEPS
    taken: list[float] = field(default_factory=list)

    def visit(self) -> None:
        for _ in range(WARM_UP):
            self.work()
        for _ in range(self.times):
            began = own_clock()
            self.work()
            self.taken.append(own_clock() - began)

    @property
    def seconds(self) -> float:
        return first_quartile(self.taken)


@dataclass(frozen=True)
class RealSteps:
    """`tiny`: (few layers, many) by mixer; `whole`: by mixer; updates first, then tokens."""

    tiny: tuple[list[tuple[Steps, Steps]], list[tuple[Steps, Steps]]]
    whole: tuple[list[Steps], list[Steps]]

    def visit(self) -> None:
        """Every step a few times more."""
        for steps in self.all():
            steps.visit()

    def all(self) -> Iterator[Steps]:
        for pairs in self.tiny:
            for pair in pairs:
                yield from pair
        for some in self.whole:
            yield from some


def prepare() -> RealSteps:
    """Models and states, before any step is timed."""
    tiny = [
        [_config({**TINY, "n_layers": n_layers, "mixer": mixer}) for n_layers in TINY_LAYERS] for mixer in TINY_MIXERS
    ]
    whole = [_config({**WHOLE, "mixer": mixer}) for mixer in WHOLE_MIXERS]
    sizes = WHOLE_BATCH, WHOLE_CONTEXT
    return RealSteps(
        (
            [(_updates(few, 1, TINY_CONTEXT), _updates(many, 1, TINY_CONTEXT)) for few, many in tiny],
            [(_tokens(few, 1, TINY_CONTEXT), _tokens(many, 1, TINY_CONTEXT)) for few, many in tiny],
        ),
        (
            [_updates(config, *sizes, WHOLE_UPDATES) for config in whole],
            [_tokens(config, *sizes, WHOLE_TOKENS) for config in whole],
        ),
    )


def _config(values: dict) -> ModelConfig:
    return ModelConfig.parse(values, "calibration")


def _updates(config: ModelConfig, batch: int, context: int, times: int = TINY_STEPS) -> Steps:
    """Forward and backward, gradients added up."""
    model, tokens_BT = Decoder(config), torch.zeros(batch, context, dtype=torch.long)
    for parameter in model.parameters():
        parameter.grad = torch.zeros_like(parameter)
    return Steps(config, batch, context, lambda: model.train_loss(tokens_BT, tokens_BT).backward(), times)


def _tokens(config: ModelConfig, batch: int, context: int, times: int = TINY_STEPS) -> Steps:
    """One token a sequence behind the same context each time."""
    model, tokens_BT = Decoder(config), torch.zeros(batch, context, dtype=torch.long)
    with torch.inference_mode():
        _, state = model(tokens_BT)

    def work() -> object:
        with torch.inference_mode():
            return model(tokens_BT[:, :1], state, "recurrent")

    return Steps(config, batch, context, work, times)
