"""The zoo: (x, state) -> (y, state), three forms a mixer. Adding one is a file, a line here, a row in the tests."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, NamedTuple

from pydantic import Field

from isostate.mixers.contract import FORMS, Causal, Form, Mixer, MixerConfig, State
from isostate.mixers.documents import Documents
from isostate.mixers.linear import LinearConfig, LinearMixer
from isostate.mixers.mamba import MambaConfig, MambaMixer
from isostate.mixers.mamba2 import Mamba2Config, Mamba2Mixer
from isostate.mixers.power import PowerConfig, PowerMixer
from isostate.mixers.s4 import S4Config, S4Mixer
from isostate.mixers.softmax import SoftmaxConfig, SoftmaxMixer
from isostate.mixers.taylor import TaylorConfig, TaylorMixer
from isostate.mixers.window import WindowConfig, WindowMixer


class MixerSpec(NamedTuple):
    """What a mixer's file exports: its config, and the module built from one."""

    config: type[MixerConfig]
    module: Callable[..., Mixer]


MIXERS: dict[str, MixerSpec] = {
    "softmax": MixerSpec(SoftmaxConfig, SoftmaxMixer),
    "window": MixerSpec(WindowConfig, WindowMixer),
    "linear": MixerSpec(LinearConfig, LinearMixer),
    "taylor": MixerSpec(TaylorConfig, TaylorMixer),
    "power": MixerSpec(PowerConfig, PowerMixer),
    "mamba2": MixerSpec(Mamba2Config, Mamba2Mixer),
    "mamba": MixerSpec(MambaConfig, MambaMixer),
    "s4": MixerSpec(S4Config, S4Mixer),
}

AnyMixerConfig = Annotated[
    SoftmaxConfig | WindowConfig | LinearConfig | TaylorConfig | PowerConfig | Mamba2Config | MambaConfig | S4Config,
    Field(discriminator="kind"),
]


def build_mixer(config: MixerConfig) -> Mixer:
    return MIXERS[config.kind].module(config)


__all__ = [
    "FORMS",
    "MIXERS",
    "AnyMixerConfig",
    "Causal",
    "Documents",
    "Form",
    "Mixer",
    "MixerConfig",
    "MixerSpec",
    "State",
    "build_mixer",
]
