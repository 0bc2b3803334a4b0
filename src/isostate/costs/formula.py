"""Counts of a whole architecture by formula: parameters by part, operators, training FLOPs, state, weight-state ratio.

Plain integers: nothing here imports torch or builds a module. FORMULAS section 2: 1 multiply-accumulate = 2 FLOPs,
matmul and other FLOPs apart, causal halving off unless a `Run` asks for it. The head makes logits of every position.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from isostate.config import UserError
from isostate.costs.architecture import Architecture, Block
from isostate.costs.sublayer import ACTIVATION_FLOPS, NORM_FLOPS, SOFTMAX_FLOPS, Linear, Run, linear_operator
from isostate.quantities import Cost, Operator, ParamCount, StateSize

PARTS = ("embedding", "attention", "ssm", "mlp", "experts", "router", "norm", "head")
Recompute = Literal["none", "scores", "block", "block-reentrant"]


@dataclass(frozen=True)
class Params:
    """Parameters by part, all `PARTS` in order; `inactive` of them one token does not use (experts not chosen)."""

    parts: dict[str, int]
    inactive: int = 0

    @property
    def total(self) -> int:
        return sum(self.parts.values())

    @property
    def active(self) -> int:
        return self.total - self.inactive

    @property
    def non_embedding(self) -> int:
        """Without tables of tokens and positions, and without a head of its own (Kaplan et al. 2020, section 2.1)."""
        return self.total - self.parts["embedding"] - self.parts["head"]

    def to_param_count(self) -> ParamCount:
        return ParamCount(self.total - self.non_embedding, self.non_embedding)


@dataclass(frozen=True)
class WeightStateRatio:
    """Forward FLOPs of one decoded token in weights over those on its state; `formula` says what was counted."""

    weight_flops: int
    state_flops: int
    formula: str

    @property
    def value(self) -> float:
        return self.weight_flops / self.state_flops


def count_params(architecture: Architecture) -> Params:
    """Parameters of both towers, where there are two."""
    parts, width, inactive = dict.fromkeys(PARTS, 0), architecture.d_model, 0
    for block, count in architecture.counted_blocks():
        parts["norm"] += count * block.n_norms * block.norm.n_params(width)
        for sublayer in block.sublayers:
            inactive += count * sublayer.inactive_params(width)
            for part, n_params in sublayer.params(width).items():
                parts[part] += count * n_params
    embedding, head = architecture.embedding, architecture.head
    parts["embedding"] += embedding.n_params(width)
    norms = (embedding.norm, architecture.final_norm, head.transform)
    parts["norm"] += sum(norm.n_params(width) for norm in norms if norm is not None)
    parts["head"] += architecture.scalars + sum(one.n_params for one in _token_head(architecture))
    parts["head"] += sum(one.n_params for one in _pooled_head(architecture))
    if head.kind == "tied" and embedding.kind == "tokens":
        parts["head"] -= embedding.n_table(width)  # the table stands under embedding; its bias is the head's own
    if architecture.tower is not None:
        tower = count_params(architecture.tower)
        parts = {part: parts[part] + tower.parts[part] for part in PARTS}
        inactive += tower.inactive
    return Params(parts, inactive)


def operators(architecture: Architecture, run: Run) -> list[Operator]:
    """Everything that runs, in order. Raises UserError where the architecture cannot be run so."""
    _check_run(architecture, run)
    rows = run.n_tokens
    result = _embedding_operators(architecture, run)
    for block, count in architecture.counted_blocks():
        listed = block_operators(block, architecture.d_model, run)
        result += [Operator(one.name, one.cost, count, one.weight_bytes, one.state_bytes) for one in listed]
    result += _head_operators(architecture, rows, run)
    if architecture.tower is not None:
        own = dataclasses.replace(run, context=architecture.tower.fixed_context or run.context)
        prefix = "image" if architecture.tower.fixed_context else "tower"
        tower = operators(architecture.tower, own)
        result += [dataclasses.replace(one, name=f"{prefix}.{one.name}") for one in tower]
        if architecture.head.outputs is not None:  # every sequence against every image
            similarity = Cost(2 * run.batch**2 * architecture.head.outputs)
            result.append(Operator("similarity", similarity))
    return result


def block_operators(block: Block, d_model: int, run: Run) -> list[Operator]:
    """Of one block: its sublayers, its norms, the sums on the residual stream."""
    result = [one for sublayer in block.sublayers for one in sublayer.operators(d_model, run)]
    elements = run.n_tokens * d_model
    other = elements * (NORM_FLOPS * block.n_norms + len(block.sublayers))
    moved = run.activation_bytes(elements * (2 * block.n_norms + 3 * len(block.sublayers)))
    weight_bytes = run.weight_bytes(block.n_norms * block.norm.n_params(d_model))
    return [*result, Operator("norms and sums", Cost(0, other, moved + weight_bytes), weight_bytes=weight_bytes)]


def total_cost(listed: Iterable[Operator]) -> Cost:
    """The sum of all that runs."""
    matmul = other = moved = 0  # in plain numbers: sums of Cost would be a third of a sweep's time
    for one in listed:
        matmul += one.times * one.cost.matmul_flops
        other += one.times * one.cost.other_flops
        moved += one.times * one.cost.moved_bytes
    return Cost(matmul, other, moved)


def forward_cost_of(architecture: Architecture, run: Run) -> Cost:
    return total_cost(operators(architecture, run))


def train_cost_of(architecture: Architecture, run: Run, recompute: Recompute = "none", dropout: bool = False) -> Cost:
    """Forward and backward: 3 forwards, but for linears that read pixels or fixed tables; and what is computed again.

    `scores`: the attention's scores and reading once more. `block`: every block once more, up to the last tensor that
    its backward needs, as non-reentrant checkpointing does: its last linear is left out, unless something behind it
    saves what it gives (a norm, a gate, dropout). `block-reentrant`: all of it.
    """
    if run.phase != "prefill":
        raise UserError(f"phase = {run.phase}: training runs whole sequences; use prefill")
    cost = 3 * forward_cost_of(architecture, run) + Cost(-_constant_inputs(architecture, run))
    for block, count in architecture.counted_blocks():
        cost = cost + count * _computed_again(block, architecture.d_model, run, recompute, dropout)
    if architecture.tower is not None:
        own = dataclasses.replace(run, context=architecture.tower.fixed_context or run.context)
        tower = train_cost_of(architecture.tower, own, recompute, dropout)
        cost = cost + tower + -3 * forward_cost_of(architecture.tower, own)  # its forwards stand in the first line
    return cost


def state_size_of(architecture: Architecture, context: int, state_bits: int = 16) -> StateSize:
    """What one sequence carries after `context` tokens: caches up to their windows, recurrent states whole.

    Raises UserError for bits that are no whole bytes.
    """
    if state_bits % 8:
        raise UserError(f"state_bits = {state_bits}: must be a multiple of 8")
    size = StateSize({}, state_bits // 8)
    for block, count in architecture.counted_blocks():
        for sublayer in block.sublayers:
            size = size + count * StateSize(sublayer.state_parts(architecture.d_model, context), state_bits // 8)
    return size


def state_growth(architecture: Architecture, context: int = 0, state_bits: int = 16) -> int:
    """Bytes that the next token adds to the state after `context` tokens: KV bytes a token while no window is full."""
    after = state_size_of(architecture, context + 1, state_bits).state_bytes
    return after - state_size_of(architecture, context, state_bits).state_bytes


def weight_state_ratio(architecture: Architecture, context: int) -> WeightStateRatio:
    """Of one token decoded with `context` in its state. Raises UserError for a model that keeps none."""
    run = Run(1, context, "decode")
    listed = operators(architecture, run)
    weight_flops = sum(one.total.matmul_flops for one in listed if one.weight_bytes)
    state_flops, counted = 0, []
    for block, count in architecture.counted_blocks():
        for sublayer in block.sublayers:
            if on_state := count * sublayer.state_flops(architecture.d_model, run):
                state_flops += on_state
                counted.append(f"{sublayer.kind}: {sublayer.state_formula}")
    if not state_flops:
        raise UserError("the model keeps no state from token to token, so no FLOPs are spent on it")
    formula = f"2 x weights that multiply a token / sum over layers of ({'; '.join(dict.fromkeys(counted))})"
    return WeightStateRatio(weight_flops, state_flops, formula)


def _check_run(architecture: Architecture, run: Run) -> None:
    fixed, limit = architecture.fixed_context, architecture.embedding.n_positions
    if run.phase == "decode" and not architecture.generates:
        raise UserError("phase = decode: this model generates no tokens; use prefill")
    if run.batch < 1 or run.context < 1:
        raise UserError(f"batch = {run.batch}, context = {run.context}: must both be at least 1")
    if fixed is not None and run.context != fixed:
        raise UserError(f"context = {run.context}: an image of this model has {fixed} positions; give that")
    if limit is not None and run.context > limit:
        raise UserError(f"context = {run.context}: the model has {limit} learned positions; give at most that")


def _embedding_operators(architecture: Architecture, run: Run) -> list[Operator]:
    embedding, width, rows = architecture.embedding, architecture.d_model, run.n_tokens
    n_read = rows - run.batch if embedding.kind == "patches" and embedding.class_token else rows
    looked_up = 0 if embedding.kind == "patches" else rows * (embedding.width or width)
    if embedding.kind == "tokens":
        added = (embedding.positions != "none") + (embedding.token_types > 0)
    else:
        added = 1
    other = rows * width * (added + (NORM_FLOPS if embedding.norm else 0))
    if embedding.kind == "patches" or embedding.positions == "learned":
        looked_up += width * (run.context if run.phase == "prefill" else 1)  # of positions, once for the batch
    weight_bytes = run.weight_bytes(looked_up + (embedding.norm.n_params(width) if embedding.norm else 0))
    cost = Cost(0, other, weight_bytes + run.activation_bytes(rows * width))
    first = Operator("embedding", cost, weight_bytes=weight_bytes)
    return [first, *(linear_operator(one, n_read, run) for one in embedding.linears(width))]


def _token_head(architecture: Architecture) -> list[Linear]:
    """Linears that every position goes through on its way to the logits."""
    head, embedding, width = architecture.head, architecture.embedding, architecture.d_model
    if embedding.kind != "tokens" or head.kind not in {"tied", "untied"}:
        return []
    linears = [Linear("head.transform", width, width, True)] if head.transform else []
    if embedding.width is not None:
        linears.append(Linear("head.from_model", width, embedding.width))
    return [*linears, Linear("head", embedding.width or width, embedding.vocab_size, head.bias)]


def _pooled_head(architecture: Architecture) -> list[Linear]:
    """Linears that one position of a sequence goes through."""
    head, width = architecture.head, architecture.d_model
    linears = [Linear("head.pooler", width, width, True)] if head.pooler else []
    return linears if head.outputs is None else [*linears, Linear("head", width, head.outputs, head.bias)]


def _head_operators(architecture: Architecture, rows: int, run: Run) -> list[Operator]:
    """Final norm, both kinds of head, a softmax over the vocabulary."""
    head, width = architecture.head, architecture.d_model
    result = []
    if architecture.final_norm is not None:
        weight_bytes = run.weight_bytes(architecture.final_norm.n_params(width))
        moved = weight_bytes + run.activation_bytes(2 * rows * width)
        result.append(Operator("final norm", Cost(0, NORM_FLOPS * rows * width, moved), weight_bytes=weight_bytes))
    result += [linear_operator(one, rows, run) for one in _token_head(architecture)]
    if head.kind in {"tied", "untied"} and architecture.embedding.kind == "tokens":
        vocabulary = rows * architecture.embedding.vocab_size
        other = SOFTMAX_FLOPS * vocabulary + (rows * width * (NORM_FLOPS + ACTIVATION_FLOPS) if head.transform else 0)
        result.append(Operator("softmax", Cost(0, other, run.activation_bytes(2 * vocabulary))))
    return [*result, *(linear_operator(one, run.batch, run) for one in _pooled_head(architecture))]


def _constant_inputs(architecture: Architecture, run: Run) -> int:
    """Matmul FLOPs of linears that pass no gradient on: they read pixels, or fixed sinusoids of distances."""
    width, result = architecture.d_model, 0
    if architecture.embedding.kind == "patches":
        patches = [one for one in _embedding_operators(architecture, run) if one.name == "embedding.patches"]
        result += total_cost(patches).matmul_flops
    for block, count in architecture.counted_blocks():
        result += count * sum(one.constant_inputs(width, run) for one in block.sublayers)
    return result


def _computed_again(block: Block, d_model: int, run: Run, recompute: Recompute, dropout: bool) -> Cost:
    listed = block_operators(block, d_model, run)
    if recompute == "none":
        return Cost()
    if recompute == "scores":
        return total_cost(one for one in listed if one.name == "attention.scores")
    cost, unsaved = total_cost(listed), block.sublayers[-1].unsaved_linear(d_model)
    if recompute == "block-reentrant" or dropout or block.norms in {"post", "sandwich"} or unsaved is None:
        return cost
    return cost + -1 * next(one.cost for one in reversed(listed) if one.name == unsaved)
