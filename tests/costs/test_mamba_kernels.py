"""What Mamba runs between its projections: scans of the right size, passes by tap."""

from __future__ import annotations

from isostate.costs.kernels import cost_of
from isostate.costs.mamba_kernels import convolution, scan, step
from isostate.mixers.mamba import MambaConfig

BATCH, CONTEXT = 2, 100


def test_a_scan_has_every_channel_of_every_position_and_its_states():
    mixer = MambaConfig(d_model=32, d_state=8)
    forward, backward = scan(mixer, BATCH, CONTEXT, "own")
    assert [kernel.shape for kernel in forward if kernel.kind == "scan"] == [(BATCH * CONTEXT * 64, 8)]
    assert [kernel.shape for kernel in backward if kernel.kind == "scan backward"] == [(BATCH * CONTEXT * 64, 8)]


def test_a_scan_costs_in_proportion_to_states_and_moves_none_of_them():
    few, many = cost_of("scan", (1000, 4)), cost_of("scan", (1000, 16))
    assert many.other_flops == 4 * few.other_flops == 7 * 16 * 1000
    assert many.moved_bytes == few.moved_bytes == 4 * 3 * 1000
    assert cost_of("scan backward", (1000, 4)).other_flops > 2 * few.other_flops


def test_the_convolution_passes_once_a_tap_and_a_bias_is_one_pass_more():
    def passes(**changes) -> int:
        forward, _ = convolution(MambaConfig(d_model=32, **changes), BATCH, CONTEXT)
        return sum(kernel.times for kernel in forward if kernel.kind in ("map", "update"))

    assert passes() == 5
    assert passes(conv_bias=False) == 4
    assert passes(conv_taps=2) == 3


def test_a_step_touches_every_state_of_every_sequence():
    mixer = MambaConfig(d_model=32, d_state=8)
    sizes = [max(kernel.shape) for batch in (1, 3) for kernel in step(mixer, batch) if kernel.kind == "exp"]
    assert sizes == [64 * 8, 3 * 64 * 8]
