"""The decoder: embeddings, blocks (`block.py`), norm, head.

Its state is the tuple of its layers' states: what a sequence carries from one segment to the next.
Given `documents`, tokens of one see nothing of another, and positions count from where each begins; a target that is
negative, behind a document's end or at padding is none: losses leave it out. Features of padding mean nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal, cast

import torch
from torch import Tensor, nn
from torch.nn.functional import dropout
from torch.utils.checkpoint import checkpoint

from isostate.mixers import Documents, Form, Mixer, State
from isostate.mixers.documents import positions_of
from isostate.model.block import Block, BlockState
from isostate.model.config import ModelConfig
from isostate.model.head import logits_of, mean_loss, token_losses
from isostate.model.layers import ShortConvolution, build_norm

Recompute = Literal["none", "blocks"]


@dataclass(frozen=True)
class DecoderState(State):
    """One block state a layer, first layer first."""

    layers: tuple[BlockState, ...]

    @property
    def position(self) -> int | Tensor:
        """Tokens read so far; position_B of each row's document where they differ."""
        return cast(Any, self.layers[0].mixer).position


class Decoder(nn.Module):
    """Tokens to the features of the next token, and to losses. Same config and seed: same weights."""

    def __init__(self, config: ModelConfig, seed: int = 0) -> None:
        super().__init__()
        self.config = config
        self.embedding = nn.Embedding(config.vocab_size, config.d_model)
        self.embedding_of_positions_SD: nn.Parameter | None = None
        if config.max_context is not None:
            self.embedding_of_positions_SD = nn.Parameter(torch.empty(config.max_context, config.d_model))
        self.blocks = nn.ModuleList(Block(config, layer) for layer in range(config.n_layers))
        self.final_norm = build_norm(config.norm, config.d_model, config.eps)
        self.head = None if config.embeddings == "tied" else nn.Linear(config.d_model, config.vocab_size, bias=False)
        initialise(self, seed)

    @property
    def head_weight_UD(self) -> Tensor:
        return self.embedding.weight if self.head is None else self.head.weight

    def init_state(self, batch: int) -> DecoderState:
        blocks = cast(list[Block], list(self.blocks))
        return DecoderState(tuple(block.init_state(batch) for block in blocks))

    def features(
        self,
        tokens_BT: Tensor,
        state: DecoderState | None = None,
        form: Form = "chunked",
        documents: Documents | None = None,
    ) -> tuple[Tensor, DecoderState]:
        """x_BTD after the last norm, and the state; `state=None` is the empty one. Drops in training mode only."""
        state = self.init_state(tokens_BT.shape[0]) if state is None else state
        z_BTD = self._embed(tokens_BT, state.position, documents)
        layers = []
        for block, layer in zip(self.blocks, state.layers, strict=True):
            z_BTD, layer = block(z_BTD, layer, form, documents)
            layers.append(layer)
        return self.final_norm(z_BTD), DecoderState(tuple(layers))

    def forward(
        self,
        tokens_BT: Tensor,
        state: DecoderState | None = None,
        form: Form = "chunked",
        documents: Documents | None = None,
    ) -> tuple[Tensor, DecoderState]:
        """logits_BTU and the state."""
        x_BTD, state = self.features(tokens_BT, state, form, documents)
        return logits_of(x_BTD, self.head_weight_UD, self.config.logit_cap), state

    def loss(
        self,
        tokens_BT: Tensor,
        targets_BT: Tensor,
        state: DecoderState | None = None,
        form: Form = "chunked",
        documents: Documents | None = None,
    ) -> tuple[Tensor, DecoderState]:
        """Mean loss in nats a token, differentiable, and the state."""
        x_BTD, state = self.features(tokens_BT, state, form, documents)
        return self._mean_loss(x_BTD, targets_BT, documents), state

    def train_loss(
        self,
        tokens_BT: Tensor,
        targets_BT: Tensor,
        form: Form = "chunked",
        recompute: Recompute = "none",
        documents: Documents | None = None,
    ) -> Tensor:
        """The loss of sequences from their beginning, no state kept: what a training step calls.

        `recompute="blocks"` keeps each block's input alone and runs the block again in backward: the same gradients,
        bit for bit, in less memory and more time.
        """
        z_BTD = self._embed(tokens_BT, 0, documents)
        for block in cast(list[Block], list(self.blocks)):
            if recompute == "blocks":
                draws = self.training and block.draws
                z_BTD = checkpoint(block.alone, z_BTD, form, documents, use_reentrant=False, preserve_rng_state=draws)
            else:
                z_BTD = block.alone(z_BTD, form, documents)
        return self._mean_loss(self.final_norm(z_BTD), targets_BT, documents)

    @torch.no_grad()
    def token_losses(
        self,
        tokens_BT: Tensor,
        targets_BT: Tensor,
        state: DecoderState | None = None,
        form: Form = "chunked",
        documents: Documents | None = None,
    ) -> tuple[Tensor, DecoderState]:
        """losses_BT in nats, for evaluation (nothing is dropped), and the state. Zero where there is no target."""
        with _evaluating(self):
            x_BTD, state = self.features(tokens_BT, state, form, documents)
        targets_M = targets_BT.flatten() if documents is None else targets_BT.flatten().clamp(min=0)
        losses_M = token_losses(x_BTD.flatten(0, 1), self.head_weight_UD, targets_M, self.config.logit_cap)
        losses_BT = losses_M.view(targets_BT.shape)
        return losses_BT if documents is None else losses_BT * has_target(targets_BT, documents), state

    def _mean_loss(self, x_BTD: Tensor, targets_BT: Tensor, documents: Documents | None) -> Tensor:
        x_MD, targets_M = x_BTD.flatten(0, 1), targets_BT.flatten()
        if documents is not None:
            kept_M = has_target(targets_BT, documents).flatten().nonzero().squeeze(1)
            if not len(kept_M):
                return x_MD.sum() * 0.0
            x_MD, targets_M = x_MD.index_select(0, kept_M), targets_M[kept_M]
        return mean_loss(x_MD, self.head_weight_UD, targets_M, self.config.logit_cap)

    def _embed(self, tokens_BT: Tensor, start: int | Tensor, documents: Documents | None = None) -> Tensor:
        """Raises UserError where learned positions end before the last token."""
        config, places = self.config, positions_of(tokens_BT, start, documents)
        if documents is not None and documents.padding_BT is not None and isinstance(places, Tensor):
            places = places.masked_fill(documents.padding_BT, 0)
        start, end = (places, places + tokens_BT.shape[1]) if isinstance(places, int) else (0, int(places.max()) + 1)
        config.check_context(end)
        z_BTD = self.embedding(tokens_BT)
        if self.embedding_of_positions_SD is not None:
            z_BTD = z_BTD + self.embedding_of_positions_SD[slice(start, end) if isinstance(places, int) else places]
        elif config.position_embedding == "sinusoidal":
            of_positions = sinusoids(start, end, config.d_model, z_BTD.dtype, z_BTD.device)
            of_positions = of_positions if isinstance(places, int) else of_positions[places]
            z_BTD = z_BTD * config.d_model**0.5 + of_positions
        return dropout(z_BTD, config.dropout, self.training) if config.dropout else z_BTD


def has_target(targets_BT: Tensor, documents: Documents) -> Tensor:
    """Whether a position has a next token to predict that is of its own document."""
    return documents.predicts_BT & (targets_BT >= 0)


@contextmanager
def _evaluating(model: nn.Module) -> Iterator[None]:
    """Inside, the model is in evaluation mode."""
    was_training = model.training
    if was_training:
        model.eval()
    try:
        yield
    finally:
        if was_training:
            model.train()


@lru_cache(maxsize=16)
@torch.inference_mode(False)  # else a cache first filled while generating could not be used in training
def sinusoids(start: int, end: int, d_model: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    """Positions start .. end - 1, (T, D): sin and cos of position / 10000^(2i/D), i = 0, 1, .. (Vaswani et al. 2017).

    Token embeddings are multiplied by sqrt(D) before these are added, as there.
    """
    frequency_D = 10_000.0 ** (-torch.arange(0, d_model, 2, dtype=torch.float64, device=device) / d_model)
    angle_TD = torch.arange(start, end, dtype=torch.float64, device=device)[:, None] * frequency_D
    return torch.stack([angle_TD.sin(), angle_TD.cos()], dim=-1).flatten(1)[:, :d_model].to(dtype)


def initialise(model: Decoder, seed: int) -> None:
    """Normal weights of deviation 1/sqrt(fan in), those that write to the residual stream over sqrt(2 L) (GPT-2).

    The embedding has deviation 1/sqrt(D), so that a tied head starts with logits of order one. Vectors keep what their
    layers set; what is a layer's `own`, that layer starts.
    """
    generator, own = torch.Generator().manual_seed(seed), own_parameters(model)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.ndim < 2 or name in own:
                continue
            deviation = parameter.shape[1] ** -0.5
            if name.endswith("out_proj.weight"):
                deviation /= (2 * model.config.n_layers) ** 0.5
            parameter.normal_(0.0, deviation, generator=generator)
        for block in cast(list[Block], list(model.blocks)):
            block.mixer.start_own(generator)


def own_parameters(model: nn.Module) -> set[str]:
    """Names of parameters that are neither drawn nor decayed as matrices are: their layers say which."""
    layers = [(name, layer) for name, layer in model.named_modules() if isinstance(layer, (Mixer, ShortConvolution))]
    return {f"{prefix}.{name}" for prefix, layer in layers for name in layer.own}


def decayed_parameters(model: nn.Module) -> tuple[dict[str, nn.Parameter], dict[str, nn.Parameter]]:
    """(with weight decay, without): matrices decay; vectors, what is a layer's own, and embeddings do not."""
    own = own_parameters(model)
    decay: dict[str, nn.Parameter] = {}
    rest: dict[str, nn.Parameter] = {}
    for name, parameter in model.named_parameters():
        is_matrix = parameter.ndim >= 2 and name not in own and not name.startswith("embedding")
        (decay if is_matrix else rest)[name] = parameter
    return decay, rest
