"""The decoder: embeddings, blocks (norm, short convolution, mixer; norm, feed-forward), norm, head.

    z1 = z + Mixer(Conv(Norm(z)))      z2 = z1 + MLP(Norm(z1))          (FORMULAS section 1.5)

Its state is the tuple of its layers' states: what a sequence carries from one segment to the next.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, Self, cast

import torch
from pydantic import model_validator
from torch import Tensor, nn

from isostate.config import Config
from isostate.mixers import AnyMixerConfig, Form, State, build_mixer
from isostate.model.head import mean_loss, token_losses
from isostate.model.layers import MLP_MATRICES, MLPS, ConvolutionState, ShortConvolution, build_norm
from isostate.quantities import ParamCount, StateSize


class ModelConfig(Config):
    """A decoder. `d_ff` left out: 8/3 of d_model for swiglu and 4 times for gelu, rounded to a multiple of 8.

    Widths stand once: the mixer takes `d_model` from here.
    """

    vocab_size: int
    n_layers: int
    d_model: int
    d_ff: int
    mixer: AnyMixerConfig
    mlp: Literal["swiglu", "gelu"] = "swiglu"
    norm: Literal["rms", "layer"] = "rms"
    conv_taps: int = 0  # 0: no convolution
    embeddings: Literal["tied", "untied"] = "tied"

    @model_validator(mode="before")
    @classmethod
    def _fill(cls, values: Any) -> Any:
        if not isinstance(values, dict):
            return values
        values = dict(values)
        width = values.get("d_model")
        if isinstance(values.get("mixer"), dict):
            values["mixer"] = {"d_model": width, **values["mixer"]}
        if values.get("d_ff") is None and isinstance(width, int):
            values["d_ff"] = default_d_ff(width, values.get("mlp", "swiglu"))
        return values

    @model_validator(mode="after")
    def _sizes_are_possible(self) -> Self:
        for name in ("vocab_size", "n_layers", "d_model", "d_ff"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} = {getattr(self, name)}: must be at least 1")
        if self.conv_taps < 0 or self.conv_taps == 1:
            raise ValueError(f"conv_taps = {self.conv_taps}: 0 for no convolution, or at least 2 (4 is usual)")
        if self.mixer.d_model != self.d_model:
            raise ValueError(f"mixer.d_model = {self.mixer.d_model}: must equal d_model = {self.d_model}; leave it out")
        return self

    def param_count(self) -> ParamCount:
        """Equal to the built model's, embeddings (tied ones once, an untied head too) apart."""
        norm = self.d_model * (2 if self.norm == "layer" else 1)
        block = 2 * norm + self.conv_taps * self.d_model + self.mixer.n_params()
        block += MLP_MATRICES[self.mlp] * self.d_model * self.d_ff
        tables = 1 if self.embeddings == "tied" else 2
        return ParamCount(tables * self.vocab_size * self.d_model, self.n_layers * block + norm)

    def state_size(self, context: int) -> StateSize:
        """What one sequence carries after `context` tokens, all layers; equals the live state to the element."""
        layer = self.mixer.state_size(context)
        if self.conv_taps:
            layer = layer + StateSize({"convolution": (self.conv_taps - 1) * self.d_model})
        return self.n_layers * layer


def default_d_ff(d_model: int, mlp: str) -> int:
    return 8 * max(1, round(d_model * (8 / 3 if mlp == "swiglu" else 4) / 8))


@dataclass(frozen=True)
class BlockState(State):
    """A layer's: the mixer's, and the convolution's where there is one."""

    mixer: State
    convolution: ConvolutionState | None


@dataclass(frozen=True)
class DecoderState(State):
    """One block state a layer, first layer first."""

    layers: tuple[BlockState, ...]


class Block(nn.Module):
    """One layer: mixer and feed-forward, each behind its norm, on a residual stream."""

    convolution: ShortConvolution | None

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.mixer_norm = build_norm(config.norm, config.d_model)
        self.convolution = ShortConvolution(config.d_model, config.conv_taps) if config.conv_taps else None
        self.mixer = build_mixer(config.mixer)
        self.mlp_norm = build_norm(config.norm, config.d_model)
        self.mlp = MLPS[config.mlp](config.d_model, config.d_ff)

    def init_state(self, batch: int) -> BlockState:
        convolution = None if self.convolution is None else self.convolution.init_state(batch)
        return BlockState(self.mixer.init_state(batch), convolution)

    def forward(self, z_BTD: Tensor, state: BlockState, form: Form) -> tuple[Tensor, BlockState]:
        x_BTD, convolution = self.mixer_norm(z_BTD), state.convolution
        if self.convolution is not None:
            x_BTD, convolution = self.convolution(x_BTD, convolution)
        y_BTD, mixer = self.mixer(x_BTD, state.mixer, form)
        z_BTD = z_BTD + y_BTD
        return z_BTD + self.mlp(self.mlp_norm(z_BTD)), BlockState(mixer, convolution)


class Decoder(nn.Module):
    """Tokens to the features of the next token, and to losses. Same config and seed: same weights."""

    def __init__(self, config: ModelConfig, seed: int = 0) -> None:
        super().__init__()
        self.config = config
        self.embedding = nn.Embedding(config.vocab_size, config.d_model)
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.n_layers))
        self.final_norm = build_norm(config.norm, config.d_model)
        self.head = None if config.embeddings == "tied" else nn.Linear(config.d_model, config.vocab_size, bias=False)
        initialise(self, seed)

    @property
    def head_weight_UD(self) -> Tensor:
        return self.embedding.weight if self.head is None else self.head.weight

    def init_state(self, batch: int) -> DecoderState:
        blocks = cast(list[Block], list(self.blocks))
        return DecoderState(tuple(block.init_state(batch) for block in blocks))

    def features(
        self, tokens_BT: Tensor, state: DecoderState | None = None, form: Form = "chunked"
    ) -> tuple[Tensor, DecoderState]:
        """x_BTD after the last norm, and the state; `state=None` is the empty one."""
        state = self.init_state(tokens_BT.shape[0]) if state is None else state
        z_BTD = self.embedding(tokens_BT)
        layers = []
        for block, layer in zip(self.blocks, state.layers, strict=True):
            z_BTD, layer = block(z_BTD, layer, form)
            layers.append(layer)
        return self.final_norm(z_BTD), DecoderState(tuple(layers))

    def forward(
        self, tokens_BT: Tensor, state: DecoderState | None = None, form: Form = "chunked"
    ) -> tuple[Tensor, DecoderState]:
        """logits_BTU and the state."""
        x_BTD, state = self.features(tokens_BT, state, form)
        return x_BTD @ self.head_weight_UD.T, state

    def loss(
        self, tokens_BT: Tensor, targets_BT: Tensor, state: DecoderState | None = None, form: Form = "chunked"
    ) -> tuple[Tensor, DecoderState]:
        """Mean loss in nats a token, for training, and the state."""
        x_BTD, state = self.features(tokens_BT, state, form)
        return mean_loss(x_BTD.flatten(0, 1), self.head_weight_UD, targets_BT.flatten()), state

    @torch.no_grad()
    def token_losses(
        self, tokens_BT: Tensor, targets_BT: Tensor, state: DecoderState | None = None, form: Form = "chunked"
    ) -> tuple[Tensor, DecoderState]:
        """losses_BT in nats, for evaluation, and the state."""
        x_BTD, state = self.features(tokens_BT, state, form)
        losses_M = token_losses(x_BTD.flatten(0, 1), self.head_weight_UD, targets_BT.flatten())
        return losses_M.view(targets_BT.shape), state


def initialise(model: Decoder, seed: int) -> None:
    """Normal weights of deviation 1/sqrt(fan in), those that write to the residual stream over sqrt(2 L) (GPT-2).

    The embedding has deviation 1/sqrt(D), so that a tied head starts with logits of order one. Vectors keep what their
    layers set.
    """
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.ndim < 2 or name.endswith("taps_WD"):
                continue
            deviation = parameter.shape[1] ** -0.5
            if name.endswith("out_proj.weight"):
                deviation /= (2 * model.config.n_layers) ** 0.5
            parameter.normal_(0.0, deviation, generator=generator)


def decayed_parameters(model: nn.Module) -> tuple[dict[str, nn.Parameter], dict[str, nn.Parameter]]:
    """(with weight decay, without): matrices decay; norms, gains, biases, taps and embeddings do not."""
    decay: dict[str, nn.Parameter] = {}
    rest: dict[str, nn.Parameter] = {}
    for name, parameter in model.named_parameters():
        is_matrix = parameter.ndim >= 2 and not name.endswith("taps_WD") and not name.startswith("embedding")
        (decay if is_matrix else rest)[name] = parameter
    return decay, rest
