"""The linear family by our own kernel: one call each way, whose heads are counted by the size of their states."""

from __future__ import annotations

from isostate.costs.engine_kernels import Engine
from isostate.costs.kernels import cost_of
from isostate.costs.own_engine_kernels import own_chunked, own_engine_kernels
from isostate.mixers.linear import LinearConfig
from isostate.mixers.power import PowerConfig
from isostate.mixers.taylor import TaylorConfig

BATCH, CONTEXT = 2, 100


def kernel_of(mixer):
    forward, backward = own_engine_kernels(mixer, BATCH, CONTEXT)
    (one,) = (kernel for kernel in forward if kernel.kind == "own engine")
    (back,) = (kernel for kernel in backward if kernel.kind == "own engine backward")
    assert (one.shape, one.units) == (back.shape, back.units)
    return one


def test_a_power_is_as_many_heads_as_it_has():
    for mixer in (LinearConfig(d_model=64, n_heads=4), PowerConfig(d_model=64, head_dim=16, degree=4)):
        one = kernel_of(mixer)
        assert one.shape == (mixer.feature_map.degree, 16, CONTEXT)
        assert one.units == BATCH * 4


def test_lower_degrees_beside_the_highest_count_as_more_heads():
    mixer = TaylorConfig(d_model=128, head_dim=16)
    assert kernel_of(mixer).units == round(BATCH * 8 * (1 + 16 + 136) / 136) > BATCH * 8


def test_shorter_values_count_as_fewer_heads():
    mixer = LinearConfig(d_model=64, n_heads=4)
    half = Engine(BATCH, 4, CONTEXT, 8, mixer.feature_map, None, False, True, True, False)
    assert own_chunked(half).forward[0].units == BATCH * 2


def test_a_gate_is_a_few_small_passes_more():
    plain, gated = (own_engine_kernels(LinearConfig(d_model=64, n_heads=4, gate=g), BATCH, 9) for g in ("none", "head"))
    assert len(gated.forward) > len(plain.forward)
    assert [k for k in gated.forward if "own" in k.kind] == [k for k in plain.forward if "own" in k.kind]


def test_its_cost_grows_with_the_state():
    two, four = cost_of("own engine", (2, 8, 10)), cost_of("own engine", (4, 8, 10))
    assert two.matmul_flops == 2 * 2 * 10 * 36 * 8
    assert four.matmul_flops * 36 == two.matmul_flops * 330
    assert 2 * cost_of("own engine backward", (2, 8, 10)).matmul_flops == 5 * two.matmul_flops
