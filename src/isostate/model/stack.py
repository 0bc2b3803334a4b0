"""Mixers by layer: a pattern of names from the bottom up, over and over until the model is full.

    mixer = ["mamba2", "window"]        layers 0, 2, 4, .. are Mamba-2, layers 1, 3, 5, .. windows

One knob sets the state of a stack: that of its `free` mixer, the others' are fixed and part of the family's name.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from isostate.config import Config, nearest
from isostate.mixers import MIXERS, AnyMixerConfig, MixerConfig


class StackConfig(Config):
    """`layers` are names of `mixers`. A name that is a kind needs no `kind`, and no entry where its defaults serve."""

    kind: Literal["stack"] = "stack"
    layers: tuple[str, ...]
    mixers: dict[str, AnyMixerConfig]
    free: str | None = None  # left out: the first in `layers` that has a knob

    @model_validator(mode="before")
    @classmethod
    def _fill(cls, values: Any) -> Any:
        if not isinstance(values, dict) or not isinstance(values.get("mixers"), dict):
            return values
        mixers = {name: _with_kind(name, inner) for name, inner in values["mixers"].items()}
        if values.get("free") is None:
            in_order = [(name, mixers.get(name)) for name in values.get("layers", ()) if isinstance(name, str)]
            values = {**values, "free": next((name for name, inner in in_order if _has_knob(inner)), None)}
        return {**values, "mixers": mixers}

    @model_validator(mode="after")
    def _names_agree(self) -> Self:
        if not self.layers:
            raise ValueError('layers = []: must name a mixer a layer, such as ["mamba2", "window"]')
        for name in self.layers:
            if name not in self.mixers:
                raise ValueError(
                    f"layers: {name!r} is neither a kind nor named in mixers{nearest(name, {*self.mixers, *MIXERS})}"
                )
        for name in self.mixers:
            if name not in self.layers:
                raise ValueError(f"mixers.{name}: stands in no layer; add it to layers, or leave it out")
        if self.free is not None and (self.free not in self.mixers or self.mixers[self.free].knob is None):
            raise ValueError(f'free = "{self.free}": must name a mixer of the stack that has a knob for its state')
        return self

    def at(self, n_layers: int) -> tuple[MixerConfig, ...]:
        """A mixer a layer."""
        return tuple(self.mixers[self.layers[n % len(self.layers)]] for n in range(n_layers))

    @property
    def family(self) -> str:
        """Such as "3*mamba2+window:64": equal neighbours once, the knobs of all but the free mixer behind a colon."""
        runs = [(name, len(list(same))) for name, same in groupby(self.layers)]
        return "+".join((f"{times}*" if times > 1 else "") + self._label(name) for name, times in runs)

    def _label(self, name: str) -> str:
        mixer = self.mixers[name]
        return mixer.family if name == self.free or mixer.knob is None else f"{mixer.family}:{mixer.knob_value}"

    @property
    def knob(self) -> str | None:
        """Such as "mamba2.d_state"."""
        return None if self.free is None else f"{self.free}.{self.mixers[self.free].knob}"

    @property
    def knob_value(self) -> int | None:
        return None if self.free is None else self.mixers[self.free].knob_value

    def knob_values(self, context: int) -> Sequence[int]:
        return () if self.free is None else self.mixers[self.free].knob_values(context)

    def with_knob(self, value: int) -> Self:
        assert self.free is not None, "a stack without a knob has no other setting"
        mixers = {name: mixer.with_knob(value) if name == self.free else mixer for name, mixer in self.mixers.items()}
        return self.model_copy(update={"mixers": mixers})


AnyMixer = Annotated[AnyMixerConfig | StackConfig, Field(discriminator="kind")]


def filled(mixer: Any, shared: dict[str, Any]) -> Any:
    """A model's mixer as given, with what it shares with the model: for a stack, in each of its mixers.

    A list of names stands for a stack of them.
    """
    if isinstance(mixer, (list, tuple)):
        mixer = {"kind": "stack", "layers": list(mixer)}
    if not isinstance(mixer, dict):
        return mixer
    layers, mixers = mixer.get("layers"), mixer.get("mixers", {})
    if mixer.get("kind") != "stack":
        return shared | mixer
    if not isinstance(layers, (list, tuple)) or not isinstance(mixers, dict):
        return mixer
    named: dict[str, Any] = {name: {} for name in layers if isinstance(name, str) and name in MIXERS}
    named |= mixers
    return {**mixer, "mixers": {k: shared | inner if isinstance(inner, dict) else inner for k, inner in named.items()}}


def _with_kind(name: str, inner: Any) -> Any:
    return {"kind": name, **inner} if isinstance(inner, dict) and name in MIXERS else inner


def _has_knob(inner: Any) -> bool:
    kind = inner.get("kind") if isinstance(inner, dict) else getattr(inner, "kind", None)
    return kind in MIXERS and MIXERS[kind].config.knob is not None
