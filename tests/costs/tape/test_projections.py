"""What stands around the forms: rotary turns and repeated heads are told as they run; layouts decide what is copied."""

from __future__ import annotations

import pytest

from isostate.costs.tape.operations import copied
from isostate.costs.tape.projections import Heads, by_head, per_query_head, rotated
from isostate.costs.tape.tape import HEADS, TOKENS, TURNED, Tape, Value
from isostate.mixers import rotary, softmax
from tests.costs.tape.running import assert_same, in_torch, on_tape

B, T, H, K = 3, 20, 4, 8


def test_rotary_positions_are_told_as_they_run():
    def forward(x_BTHK):
        return rotary.rotate(x_BTHK.transpose(1, 2), 0)

    assert_same(on_tape(lambda t, x: rotated(t, x, "queries"), B * T * H * K), in_torch(forward, (B, T, H, K)))


@pytest.mark.parametrize("groups", [1, 2, 4])
def test_repeated_heads_are_copies_and_their_gradients_sums(groups):
    heads = Heads(B, T, H, groups, K)

    def tell(tape: Tape, x: Value) -> Value:
        repeated = per_query_head(tape, x, heads, "keys")
        y = copied(tape, repeated, "y") if groups == H else repeated
        tape.free(repeated) if groups == H else None
        return y

    def forward(x_BGTK):
        repeated = softmax.per_query_head(x_BGTK, H)
        return repeated.clone() if groups == H else repeated

    assert_same(on_tape(tell, heads.narrow), in_torch(forward, (B, groups, T, K)))


def test_sizes_are_those_of_queries_and_keys():
    heads = Heads(B, T, H, 2, K)
    assert (heads.wide, heads.narrow) == (B * T * H * K, B * T * 2 * K)
    assert heads.copies
    assert not Heads(1, T, H, 2, K).copies
    assert not Heads(B, T, 1, 1, K).copies


def test_head_by_head_is_position_by_position_where_there_is_one_of_either():
    assert by_head(T, H, K) == HEADS
    assert by_head(T, 1, K) == by_head(1, H, K) == TOKENS
    assert by_head(T, H, 1) == TURNED
