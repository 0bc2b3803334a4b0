"""A block: mixer and feed-forward on a residual stream, one after the other or side by side.

sequential   z1 = z + Mixer(Conv(Norm(z)))      z2 = z1 + MLP(Norm(z1))
parallel     z1 = z + Mixer(Conv(Norm(z))) + MLP(Norm(z)),  one shared norm      (FORMULAS section 1.5)
without MLP  z1 = z + Mixer(Conv(Norm(z)))                                       (Mamba)
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn
from torch.nn.functional import dropout

from isostate.mixers import Documents, Form, State, build_mixer
from isostate.mixers.convolution import ConvolutionState
from isostate.model.config import ModelConfig
from isostate.model.layers import ShortConvolution, build_mlp, build_norm


@dataclass(frozen=True)
class BlockState(State):
    """A layer's: the mixer's, and the convolution's where there is one."""

    mixer: State
    convolution: ConvolutionState | None


class Block(nn.Module):
    """One layer. Dropout, where there is any, falls on what is added to the residual stream."""

    convolution: ShortConvolution | None
    mlp_norm: nn.Module | None
    mlp: nn.Module | None

    def __init__(self, config: ModelConfig, layer: int = 0) -> None:
        super().__init__()
        self.dropout = config.dropout
        self.mixer_norm = build_norm(config.norm, config.d_model, config.eps)
        self.convolution = ShortConvolution(config.d_model, config.conv_taps) if config.conv_taps else None
        self.mixer = build_mixer(config.mixers[layer])
        self.mlp_norm = self.mlp = None
        if config.n_norms == 2:
            self.mlp_norm = build_norm(config.norm, config.d_model, config.eps)
        if config.mlp != "none":
            self.mlp = build_mlp(config.mlp, config.d_model, config.d_ff, config.bias in ("mlp", "all"))

    @property
    def draws(self) -> bool:
        """Whether training drops anything here, so that running it again must draw the same numbers again."""
        return self.dropout > 0 or self.mixer.config.draws

    def init_state(self, batch: int) -> BlockState:
        convolution = None if self.convolution is None else self.convolution.init_state(batch)
        return BlockState(self.mixer.init_state(batch), convolution)

    def forward(
        self, z_BTD: Tensor, state: BlockState, form: Form, documents: Documents | None = None
    ) -> tuple[Tensor, BlockState]:
        normed_BTD = x_BTD = self.mixer_norm(z_BTD)
        convolution = state.convolution
        if self.convolution is not None:
            x_BTD, convolution = self.convolution(x_BTD, convolution, documents)
        y_BTD, mixer = self.mixer(x_BTD, state.mixer, form, documents)
        z_BTD, carried = z_BTD + self._drop(y_BTD), BlockState(mixer, convolution)
        if self.mlp is None:
            return z_BTD, carried
        if self.mlp_norm is not None:
            normed_BTD = self.mlp_norm(z_BTD)
        return z_BTD + self._drop(self.mlp(normed_BTD)), carried

    def alone(self, z_BTD: Tensor, form: Form, documents: Documents | None = None) -> Tensor:
        """From the empty state, and without the state after it."""
        return self(z_BTD, self.init_state(z_BTD.shape[0]), form, documents)[0]

    def _drop(self, y_BTD: Tensor) -> Tensor:
        return dropout(y_BTD, self.dropout, self.training) if self.dropout else y_BTD
