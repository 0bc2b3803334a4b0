"""Generation, one token of every sequence at a time: the whole model in buffers made once, the state changed in place.

    stepper = Stepper(model, batch=1, context=4096)
    stepper.load(state)                      after the prompt, by any form of the model
    logits_BU = stepper.step(tokens_B)       the next token's, in a buffer that the next step writes again
    state = stepper.state()                  as the model's forms know it

A step allocates nothing. It equals the model's recurrent form, which stays the definition (`mixers/steps/`).
"""

from __future__ import annotations

from functools import partial
from typing import cast

import torch
from torch import Tensor

from isostate.config import UserError
from isostate.mixers.steps import Call, Position
from isostate.mixers.steps.contract import check_batch, scalar
from isostate.mixers.steps.operations import linear
from isostate.model.block import Block
from isostate.model.block_step import BlockStep, norm
from isostate.model.decoder import Decoder, DecoderState


class Stepper:
    """Buffers for `batch` sequences at one position; `context`: positions that softmax layers keep.

    Weights are read where they are; what is made of them beforehand is as it was: after training, make another one.
    Nothing is dropped. Threads are torch's of when it is made. Raises UserError where softmax layers find no context.
    """

    @torch.inference_mode()
    def __init__(self, model: Decoder, batch: int, context: int | None = None) -> None:
        if batch < 1 or (context is not None and context < 1):
            raise UserError(f"batch = {batch}, context = {context}: must be at least 1")
        config, weight_UD = model.config, model.head_weight_UD
        self.model, self.batch = model, batch
        self.position = Position(weight_UD, context)
        z_BD = weight_UD.new_empty(batch, config.d_model)
        x_BD = torch.empty_like(z_BD)
        self.tokens_B = torch.zeros(batch, dtype=torch.long, device=weight_UD.device)
        self.logits_BU = weight_UD.new_empty(batch, config.vocab_size)
        self.z_BD = z_BD
        self.embed = self._embed()
        self.blocks = [BlockStep(block, z_BD, self.position) for block in cast(list[Block], list(model.blocks))]
        self.calls: list[Call] = [call for block in self.blocks for call in block.calls]
        self.calls += [*norm(model.final_norm, z_BD, x_BD), *linear(x_BD, weight_UD, None, self.logits_BU)]
        if config.logit_cap is not None:
            cap = scalar(config.logit_cap, self.logits_BU)
            self.calls += [partial(self.logits_BU.div_, cap), self.logits_BU.tanh_, partial(self.logits_BU.mul_, cap)]
        self.clear()

    @torch.inference_mode()
    def step(self, tokens_B: Tensor) -> Tensor:
        """logits_BU after these tokens, one a sequence: a buffer that the next step writes again.

        Raises UserError for another batch, and behind the last position that learned positions or softmax layers have.
        """
        check_batch("tokens", tokens_B, self.batch)
        self.check_context(self.position.now + 1)
        torch.index_select(self.model.embedding.weight, 0, self.tokens_B.copy_(tokens_B), out=self.z_BD)
        self.position.begin()
        for call in self.embed:
            call()
        for call in self.calls:
            call()
        self.position.now += 1
        return self.logits_BU

    @torch.inference_mode()
    def load(self, state: DecoderState) -> None:
        """Goes on from this state, which stays as it is. Raises UserError for one of sequences at several positions."""
        check_batch("a state", next(state.tensors()), self.batch)
        if not isinstance(state.position, int):
            raise UserError(
                "a state of sequences at several positions: this decoder steps those that are at one; split it"
            )
        self.check_context(state.position)
        self.position.now = state.position
        for block, layer in zip(self.blocks, state.layers, strict=True):
            block.load(layer)

    def clear(self) -> None:
        """Goes on from the empty state."""
        self.load(self.model.init_state(self.batch))

    def state(self) -> DecoderState:
        """A copy of what the sequences carry, of the size that it has as a state."""
        return DecoderState(tuple(block.state() for block in self.blocks))

    def check_context(self, context: int) -> None:
        """Raises UserError where so many positions are more than the model has, or its softmax layers keep."""
        self.model.config.check_context(context)
        held = self.position.context
        if held is not None and context > held and any(mixer.kind == "softmax" for mixer in self.model.config.mixers):
            raise UserError(f"a context of {context} tokens: this decoder keeps {held}; make one of a larger context")

    def _embed(self) -> list[Call]:
        """Positions, where they are added to the tokens' embeddings."""
        config, z_BD = self.model.config, self.z_BD
        table_SD = self.model.embedding_of_positions_SD
        if table_SD is not None:
            return [lambda: z_BD.add_(table_SD[self.position.now])]
        if config.position_embedding != "sinusoidal":
            return []
        pairs_D = torch.arange(0, config.d_model, 2, dtype=torch.float64, device=z_BD.device)
        cos_D, sin_D = self.position.angles(10_000.0 ** (-pairs_D / config.d_model))
        added_D, root = z_BD.new_empty(config.d_model), scalar(config.d_model**0.5, z_BD)
        self.position.then(
            partial(added_D[0::2].copy_, sin_D), partial(added_D[1::2].copy_, cos_D[: config.d_model // 2])
        )
        return [partial(z_BD.mul_, root), partial(z_BD.add_, added_D)]
