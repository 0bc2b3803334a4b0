"""What stands before and after the blocks, on a tape: `Decoder._embed`, the last norm, `model/head.py`."""

from __future__ import annotations

from isostate.costs.tape.block import norm
from isostate.costs.tape.operations import BOOL, FLOAT64, dropped, gradient, pointwise, shifted
from isostate.costs.tape.tape import Storage, Tape, Value
from isostate.model import ModelConfig
from isostate.model.head import piece_rows

PIECES_TOLD = 2  # before the last one: a third meets what the second met


class Table:
    """The token table. Where the head shares it, its gradient from there waits for the embedding's."""

    def __init__(self, config: ModelConfig) -> None:
        self.size = config.vocab_size * config.d_model
        self.tied = config.embeddings == "tied"
        self.waiting: list[Storage] = []

    def from_head(self, tape: Tape) -> None:
        fresh = tape.new(self.size, "gradient of the head's weight")
        if self.tied:
            self.waiting.append(fresh)
        else:
            tape.free(fresh)

    def from_embedding(self, tape: Tape, given: Storage) -> None:
        fresh = tape.new(self.size, "gradient of the embedding")
        tape.free(given, *self.waiting, fresh)


def embed(tape: Tape, config: ModelConfig, table: Table, batch: int, context: int) -> Value:
    """Tokens to vectors, positions added."""
    tokens = tape.value(batch * context * config.d_model, "embedded tokens")
    tape.node(lambda: table.from_embedding(tape, tape.gradient_of(tokens)))
    z = tokens
    if config.position_embedding == "learned":
        z = _with_learned_positions(tape, config, tokens, context)
        tape.free(tokens)
    elif config.position_embedding == "sinusoidal":
        scaled = pointwise(tape, [tokens], [], "scaled embedding")
        z = shifted(tape, scaled, "embedded tokens and positions")
        tape.free(scaled, tokens)
    if config.dropout:
        whole, z = z, dropped(tape, z, "embedding")
        tape.free(whole)
    return z


def _with_learned_positions(tape: Tape, config: ModelConfig, tokens: Value, context: int) -> Value:
    z = tape.value(tokens.size, "embedded tokens and positions")
    assert config.max_context is not None
    size, whole = context * config.d_model, config.max_context * config.d_model

    def back() -> None:
        given = tape.gradient_of(z)
        summed = tape.new(size, "gradient of positions, summed over the batch")
        table = [tape.new(whole, "gradient of positions")] if whole > size else []
        tape.free(summed, *table)
        tape.arrive(tokens, given)

    tape.node(back)
    return z


def head(tape: Tape, config: ModelConfig, table: Table, z: Value, rows: int) -> None:
    """The last norm, then pieces of logits, of which the loss and both gradients are made at once; takes z over."""
    x = norm(tape, config, z, rows, "final norm")
    tape.free(z)
    dx = tape.new(x.size, "gradient of the head's input")
    dweight = tape.new(table.size, "gradient of the head's weight")
    at_once = min(rows, piece_rows(config.vocab_size))
    held: list[Storage] = []
    n_whole = (rows - 1) // at_once
    for size in [at_once] * min(n_whole, PIECES_TOLD) + [rows - n_whole * at_once]:
        held = _piece(tape, size, config.vocab_size, config.logit_cap is not None, held)
    tape.free(*held)
    kept = tape.keep(dx, dweight)
    tape.free(dx, dweight, x)

    def back() -> None:
        arriving = gradient(tape, x)
        table.from_head(tape)
        tape.free(*kept.storages)
        tape.arrive(x, arriving)

    tape.node(back)


def _piece(tape: Tape, rows: int, vocab_size: int, capped: bool, before: list[Storage]) -> list[Storage]:
    """One turn of the loop over pieces: its weights and chances, which the next turn still holds at first."""
    size = rows * vocab_size
    logits = tape.new(size, "logits of a piece")
    if capped:
        inner = tape.new(size, "logits over the cap")
        tanh = tape.new(size, "hyperbolic tangents of a piece")
        tape.free(inner)
        raw, logits = logits, tape.new(size, "capped logits of a piece")
        tape.free(raw, tanh)
    weights = tape.new(size, "weights of a piece")
    tape.free(*before[:1])
    chance = tape.new(rows, "chance of the target")
    tape.free(*before[1:])
    logs = tape.new(rows, "log of the chance")
    losses = tape.new(rows, "losses")
    tape.free(logs)
    tape.passing(rows, BOOL)  # where a chance is too small
    tape.passing(rows, FLOAT64)
    tape.free(losses)
    tape.passing(rows)
    if capped:
        inner, slope = tape.new(size, "logits over the cap"), tape.new(size, "slopes of a piece")
        tape.free(inner, slope)
    tape.free(logits)
    return [weights, chance]
