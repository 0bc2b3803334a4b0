"""The contract of every mixer: a recurrence with a state.

    y_BTD, state = mixer(x_BTD, state=None, form="chunked", documents=None)

`documents` says where documents begin that stand end to end in a row, and where rows end that are shorter than others
(`documents.py`): the result is that of separate documents, the state after it that of each row's last one. Without it
a row is one document, and nothing is computed or kept for its sake.

A mixer's file holds, in this order: its docstring (recurrence, source), its config, its three forms as pure functions,
its module, its cost. Here stand the three bases: `MixerConfig`, which knows a mixer's state and cost without building
it, `Mixer`, the module, and `State`, what a sequence carries from one position to the next. What mixers of queries,
keys and values share stands in `projections.py`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any, ClassVar, Literal, Self

import torch
from pydantic import model_validator
from torch import Tensor, nn

from isostate.config import Config
from isostate.mixers.documents import Documents
from isostate.quantities import Cost, StateSize

Form = Literal["recurrent", "parallel", "chunked"]
FORMS: tuple[Form, ...] = ("recurrent", "parallel", "chunked")
# "whole": every pair of positions that a matmul multiplies; "halved": of those, the ones that a position may see.
Causal = Literal["whole", "halved"]
Shapes = dict[str, tuple[int, ...]]


class MixerConfig(Config):
    """What every mixer has: a width, biases, and what it is asked without being built."""

    kind: str
    d_model: int
    bias: Literal["none", "qkv", "all"] = "none"  # of the projection in, or of both

    knob: ClassVar[str | None] = None  # the key that sets the family's state; None where only the context does

    @model_validator(mode="after")
    def _width_is_possible(self) -> Self:
        if self.d_model < 1:
            raise ValueError(f"d_model = {self.d_model}: must be at least 1")
        return self

    @property
    def family(self) -> str:
        """The name of a line in a figure: mixers of one family differ only in the knob that sets their state."""
        raise NotImplementedError

    @property
    def knob_value(self) -> int | None:
        return None if self.knob is None else getattr(self, self.knob)

    def knob_values(self, context: int) -> Sequence[int]:
        """Every setting of the knob at this width, in order of state: what `match` searches."""
        raise NotImplementedError

    def with_knob(self, value: int) -> Self:
        """The same mixer with another setting of its knob."""
        assert self.knob is not None, f"{self.family} has no knob"
        return type(self).model_validate(self.to_dict() | {self.knob: value})

    def state_size(self, context: int) -> StateSize:
        """What one sequence of `context` tokens carries, in float32 elements by part; equals the live state."""
        raise NotImplementedError

    @property
    def draws(self) -> bool:
        """Whether training drops anything here, so that running it again must draw the same numbers again."""
        return False

    def parameter_shapes(self) -> Shapes:
        """Every parameter of the module, by name, in its order."""
        raise NotImplementedError

    def n_params(self) -> int:
        return sum(prod(shape) for shape in self.parameter_shapes().values())

    def projection_cost(self, n_tokens: int) -> Cost:
        """The part of `cost` that is no recurrence: the projections in and out, and what goes with them."""
        raise NotImplementedError

    def cost(self, batch: int, context: int, form: Form = "chunked", causal: Causal = "whole") -> Cost:
        """Forward cost in this form, projections included; training costs are `costs/`'s to derive."""
        raise NotImplementedError


class Mixer(nn.Module):
    """Abstract: a module with a config. `own`: parameters that the mixer starts itself, and that never decay."""

    config: MixerConfig
    own: ClassVar[frozenset[str]] = frozenset()

    def init_state(self, batch: int) -> Any:
        raise NotImplementedError

    def start_own(self, generator: torch.Generator) -> None:
        """Draws those of its `own` parameters that do not start at fixed values."""

    def forward(
        self, x_BTD: Tensor, state: Any = None, form: Form = "chunked", documents: Documents | None = None
    ) -> tuple[Tensor, Any]:
        """y_BTD and the state after the last position; `state=None` is the empty one. Raises ValueError for a form."""
        raise NotImplementedError


def check_form(form: Form) -> None:
    """Raises ValueError for a form that is none."""
    if form not in FORMS:
        raise ValueError(f"form {form!r}: choose one of {', '.join(FORMS)}")


def linear_shapes(name: str, n_in: int, n_out: int, bias: bool) -> Shapes:
    """Those of a linear layer's parameters."""
    return {f"{name}.weight": (n_out, n_in)} | ({f"{name}.bias": (n_out,)} if bias else {})


@dataclass(frozen=True)
class State:
    """Base of live states: frozen dataclasses of tensors (batch first), other states, tuples of them, and integers.

    A mixer's has `position`, the tokens read so far of its document: an integer, or position_B where rows differ. That
    and other tensors of integers count as no elements; nor does what only pads a row to the length of the others.
    """

    def tensors(self) -> Iterator[Tensor]:
        """Those of numbers that sequences carry."""
        for field in dataclasses.fields(self):
            yield from _tensors(getattr(self, field.name))

    @property
    def numel(self) -> int:
        """Elements of all sequences together."""
        return sum(tensor.numel() for tensor in self.tensors()) - self.padding

    @property
    def padding(self) -> int:
        """Elements that only make rows equally long."""
        return sum(value.padding for value in _states(tuple(vars(self).values())))

    @property
    def nbytes(self) -> int:
        """Of memory, padding included."""
        return sum(tensor.numel() * tensor.element_size() for tensor in self.tensors())

    def map(self, change: Callable[[Tensor], Tensor]) -> Self:
        changed = {field.name: _map(getattr(self, field.name), change) for field in dataclasses.fields(self)}
        return dataclasses.replace(self, **changed)

    def detach(self) -> Self:
        return self.map(Tensor.detach)

    def clone(self) -> Self:
        return self.map(Tensor.clone)

    def index(self, rows_B: Tensor) -> Self:
        """The states of the sequences `rows_B` (indices into the batch), in that order."""
        return self.map(lambda tensor: tensor.index_select(0, rows_B))

    def to(self, device: torch.device | str) -> Self:
        return self.map(lambda tensor: tensor.to(device))


def _states(value: Any) -> Iterator[State]:
    if isinstance(value, State):
        yield value
    elif isinstance(value, tuple):
        for item in value:
            yield from _states(item)


def _tensors(value: Any) -> Iterator[Tensor]:
    if isinstance(value, Tensor):
        if value.is_floating_point():
            yield value
    elif isinstance(value, State):
        yield from value.tensors()
    elif isinstance(value, tuple):
        for item in value:
            yield from _tensors(item)


def _map(value: Any, change: Callable[[Tensor], Tensor]) -> Any:
    if isinstance(value, Tensor):
        return change(value)
    if isinstance(value, State):
        return value.map(change)
    if isinstance(value, tuple):
        return tuple(_map(item, change) for item in value)
    return value
