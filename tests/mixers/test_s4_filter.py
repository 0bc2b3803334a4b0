"""The filter's forms: memory that grows with positions and not with states, any precision, the skip."""

from __future__ import annotations

import itertools

import pytest
import torch

from isostate.costs.counting import peak_allocated_bytes
from isostate.mixers.s4 import S4Config, S4Mixer
from isostate.mixers.s4_filter import chunked, parallel, recurrent
from tests.tolerances import assert_agrees

WIDTH, STATES, CHUNK, B = 16, 64, 32, 2


def mixer_of(**changes) -> S4Mixer:
    mixer = S4Mixer(S4Config(d_model=WIDTH, d_state=STATES, **changes))
    with torch.no_grad():
        mixer.start_own(torch.Generator().manual_seed(0))
    return mixer


def test_memory_grows_with_positions_and_a_state_a_chunk():
    """Per position forward and backward, in elements of a channel: y and dx; what the backward holds at its worst."""
    mixer, peaks = mixer_of(), []
    lengths = [n * CHUNK for n in (32, 64, 96)]
    for length in lengths:
        x_BTD, dy_BTD = (torch.randn(B, length, WIDTH) for _ in range(2))
        x_BTD.requires_grad_()

        def work(x_BTD=x_BTD, dy_BTD=dy_BTD):
            state = mixer.init_state(B).matrix_BDR
            chunked(x_BTD, mixer.modes(), mixer.D, state, CHUNK)[0].backward(dy_BTD)

        peaks.append(peak_allocated_bytes(work))
    slopes = [(b - a) / (32 * CHUNK * B * WIDTH * 4) for a, b in itertools.pairwise(peaks)]
    # y; x and dy by chunk, dx twice as long; states, their gradients, what was read of them, and rows of both.
    predicted = 1 + 2 + 2 + 1 + 3 * STATES / CHUNK + STATES / CHUNK
    assert slopes == pytest.approx([predicted] * 2, rel=0.1)
    assert max(slopes) < STATES / 4, "states of every position would be as many as these alone"


def test_bfloat16_is_filtered_in_float32_and_keeps_its_own_state():
    mixer = mixer_of()
    x_BTD, modes, state = torch.randn(B, 70, WIDTH), mixer.modes(), mixer.init_state(B).matrix_BDR
    y_BTD, last = chunked(x_BTD.bfloat16(), modes, mixer.D, state.bfloat16(), CHUNK)
    assert (y_BTD.dtype, last.dtype) == (torch.bfloat16, torch.bfloat16)
    wanted_BTD, _ = chunked(x_BTD.bfloat16().float(), modes, mixer.D, state, CHUNK)
    assert_agrees(y_BTD.detach(), wanted_BTD.bfloat16().detach())


def test_without_modes_only_the_skip_is_left():
    mixer = mixer_of()
    with torch.no_grad():
        mixer.C.zero_()
    x_BTD, state = torch.randn(B, 20, WIDTH), mixer.init_state(B).matrix_BDR
    for form in (recurrent, parallel, chunked):
        y_BTD, _ = form(x_BTD, mixer.modes(), mixer.D, state, 8)
        assert_agrees(y_BTD.detach(), (mixer.D * x_BTD).detach(), form.__name__)
