"""What a decoder may be: sizes, and the options of its blocks, each off by default."""

from __future__ import annotations

from collections import Counter
from typing import Any, Literal, Self

from pydantic import Field, model_validator

from isostate.config import Config, UserError
from isostate.mixers import MixerConfig
from isostate.model.layers import MLP_MATRICES, NORM_EPS, MlpKind, NormKind
from isostate.model.stack import AnyMixer, StackConfig, filled
from isostate.quantities import ParamCount, StateSize

Bias = Literal["none", "qkv", "attention", "mlp", "all"]
# What a choice of biases means for the mixer, whose config holds its own part.
MIXER_BIAS = {"none": "none", "qkv": "qkv", "attention": "all", "mlp": "none", "all": "all"}


class ModelConfig(Config):
    """A decoder. `d_ff` left out: 8/3 of d_model for gated kinds of `mlp`, else 4 times, rounded to a multiple of 8.

    Widths and biases stand once: the mixer takes `d_model` and its part of `bias` from here. GPT-2 drops attention
    weights too: that is the mixer's `attention_dropout`.
    """

    vocab_size: int
    n_layers: int
    d_model: int
    d_ff: int
    mixer: AnyMixer  # of all layers; or a stack, which has one a layer
    mlp: MlpKind = "swiglu"  # "none", as in Mamba: blocks of a norm and a mixer
    norm: NormKind = "rms"
    norm_eps: float | None = Field(None, gt=0)  # added to the mean square; left out: 1e-6, of layer norms 1e-5
    block: Literal["sequential", "parallel"] = "sequential"  # parallel: mixer and MLP read one norm, side by side
    conv_taps: int = 0  # 0: no convolution
    bias: Bias = "none"  # of the projections; a layer norm always has one
    embeddings: Literal["tied", "untied"] = "tied"
    position_embedding: Literal["none", "learned", "sinusoidal"] = "none"  # added to the tokens'; rotary is the mixer's
    max_context: int | None = None  # of learned positions
    dropout: float = Field(0.0, ge=0, lt=1)  # of embeddings, and of what is added to the residual stream
    logit_cap: float | None = Field(None, gt=0)  # logits become cap tanh(logits / cap) (Gemma 2)

    @model_validator(mode="before")
    @classmethod
    def _fill(cls, values: Any) -> Any:
        if not isinstance(values, dict):
            return values
        values = dict(values)
        width, bias = values.get("d_model"), values.get("bias", "none")
        mixer_bias = {"bias": MIXER_BIAS[bias]} if bias in MIXER_BIAS else {}
        values["mixer"] = filled(values.get("mixer"), {"d_model": width, **mixer_bias})
        if values.get("d_ff") is None and isinstance(width, int):
            values["d_ff"] = default_d_ff(width, values.get("mlp", "swiglu"))
        return values

    @model_validator(mode="after")
    def _sizes_are_possible(self) -> Self:
        for name in ("vocab_size", "n_layers", "d_model", "d_ff"):
            if getattr(self, name) < 1 and not (name == "d_ff" and self.mlp == "none"):
                raise ValueError(f"{name} = {getattr(self, name)}: must be at least 1")
        if self.conv_taps < 0 or self.conv_taps == 1:
            raise ValueError(f"conv_taps = {self.conv_taps}: 0 for no convolution, or at least 2 (4 is usual)")
        return self

    @model_validator(mode="after")
    def _no_mlp_has_no_options(self) -> Self:
        if self.mlp == "none":
            for name, allowed in (("d_ff", (0,)), ("block", ("sequential",)), ("bias", ("none", "qkv", "attention"))):
                if getattr(self, name) not in allowed:
                    raise ValueError(f'{name} = {getattr(self, name)}: mlp = "none" leaves no MLP that it could be of')
        return self

    @model_validator(mode="after")
    def _mixer_takes_what_stands_here(self) -> Self:
        wanted = MIXER_BIAS[self.bias]
        for mixer in self.mixer.mixers.values() if isinstance(self.mixer, StackConfig) else [self.mixer]:
            if mixer.d_model != self.d_model:
                raise ValueError(f"mixer.d_model = {mixer.d_model}: must equal d_model = {self.d_model}; leave it out")
            if mixer.bias != wanted:
                raise ValueError(f'mixer.bias = "{mixer.bias}": bias = "{self.bias}" makes it "{wanted}"; leave it out')
        return self

    @model_validator(mode="after")
    def _a_stack_fills_its_layers(self) -> Self:
        if isinstance(self.mixer, StackConfig) and self.n_layers % len(self.mixer.layers):
            raise ValueError(
                f"n_layers = {self.n_layers}: must be a multiple of the {len(self.mixer.layers)} layers of its stack, "
                f"{', '.join(self.mixer.layers)}"
            )
        return self

    @model_validator(mode="after")
    def _learned_positions_have_an_end(self) -> Self:
        learned = self.position_embedding == "learned"
        if learned and self.max_context is None:
            raise ValueError('position_embedding = "learned" needs max_context, the longest context; add it')
        if not learned and self.max_context is not None:
            raise ValueError(f"max_context = {self.max_context}: only learned positions end there; leave it out")
        if self.max_context is not None and self.max_context < 1:
            raise ValueError(f"max_context = {self.max_context}: must be at least 1")
        return self

    def check_context(self, context: int) -> None:
        """Raises UserError where learned positions end before `context` tokens."""
        if self.max_context is not None and context > self.max_context:
            raise UserError(
                f"a context of {context} tokens: the learned positions end at max_context = {self.max_context}; "
                "raise it, or shorten the context"
            )

    @property
    def mixers(self) -> tuple[MixerConfig, ...]:
        """A mixer a layer."""
        return self.mixer.at(self.n_layers) if isinstance(self.mixer, StackConfig) else (self.mixer,) * self.n_layers

    @property
    def mixer_groups(self) -> list[tuple[MixerConfig, int]]:
        """Mixers that differ, in the order in which they come, each with the number of its layers."""
        if not isinstance(self.mixer, StackConfig):
            return [(self.mixer, self.n_layers)]
        return list(Counter(self.mixers).items())

    @property
    def eps(self) -> float:
        """Of the norms around mixer and MLP, and of the last."""
        return NORM_EPS[self.norm] if self.norm_eps is None else self.norm_eps

    @property
    def mlp_matrices(self) -> int:
        """Of d_model x d_ff, in a block."""
        return 0 if self.mlp == "none" else MLP_MATRICES[self.mlp]

    @property
    def n_norms(self) -> int:
        """Of a block."""
        return 1 if self.block == "parallel" or self.mlp == "none" else 2

    def param_count(self) -> ParamCount:
        """Equal to the built model's, embeddings (tied ones once, learned positions, an untied head) apart."""
        norm = self.d_model * (2 if self.norm == "layer" else 1)
        block = self.n_norms * norm + self.conv_taps * self.d_model
        matrices = self.mlp_matrices
        block += matrices * self.d_model * self.d_ff
        if self.bias in ("mlp", "all"):
            block += (matrices - 1) * self.d_ff + self.d_model
        rows = self.vocab_size * (1 if self.embeddings == "tied" else 2) + (self.max_context or 0)
        in_mixers = sum(times * mixer.n_params() for mixer, times in self.mixer_groups)
        return ParamCount(rows * self.d_model, in_mixers + self.n_layers * block + norm)

    def state_size(self, context: int) -> StateSize:
        """What one sequence carries after `context` tokens, all layers; equals the live state to the element."""
        sizes = [times * mixer.state_size(context) for mixer, times in self.mixer_groups]
        if self.conv_taps:
            sizes.append(StateSize({"convolution": self.n_layers * (self.conv_taps - 1) * self.d_model}))
        return sum(sizes, StateSize())


def default_d_ff(d_model: int, mlp: str) -> int:
    """Left out, the width; of no MLP, none."""
    if mlp == "none":
        return 0
    return 8 * max(1, round(d_model * (8 / 3 if MLP_MATRICES.get(mlp) == 3 else 4) / 8))
