"""The roofline: operators take the longer of their two sides, one after another; intensity as the notes should say."""

from __future__ import annotations

import pytest

from isostate.config import UserError
from isostate.costs.hardware_table import Hardware, find_hardware
from isostate.costs.roofline import (
    IDEAL,
    Efficiency,
    matmul_intensity,
    stated_efficiency,
    time_operators,
)
from isostate.quantities import Cost, Operator
from tests.costs.torch_free import imports_without_torch

# 100 FLOP/s in bf16, 10 in fp32, 5 B/s.
TOY = Hardware(
    name="toy",
    title="toy",
    vendor="v",
    year=2025,
    source="s",
    peak_flops_per_s={"bf16": 100.0, "fp32": 10.0},
    bandwidth_bytes_per_s=5.0,
)


def test_it_loads_without_torch():
    assert imports_without_torch("roofline")


def test_each_operator_takes_the_longer_of_its_two_sides():
    multiply = Operator("multiply", Cost(matmul_flops=400, moved_bytes=10), times=3)
    copy = Operator("copy", Cost(moved_bytes=20))
    square = Operator("square", Cost(other_flops=100, moved_bytes=5), times=2)  # at the fp32 peak
    timing = time_operators([multiply, copy, square], TOY, "bf16")
    assert [operator.seconds for operator in timing.operators] == [3 * 4.0, 4.0, 2 * 10.0]
    assert [operator.bound for operator in timing.operators] == ["compute", "memory", "compute"]
    assert timing.seconds == 36.0
    assert timing.bound_s() == {"compute": 32.0, "memory": 4.0, "overhead": 0.0}
    assert timing.bound == "compute"


def test_overlapping_everything_is_never_slower():
    compute, move = Operator("a", Cost(matmul_flops=1000)), Operator("b", Cost(moved_bytes=40))
    timing = time_operators([compute, move], TOY, "bf16")
    assert timing.seconds == 18.0
    assert timing.overlapped_s == 10.0  # max(10 s of FLOPs, 8 s of bytes)


def test_shares_of_the_peaks_and_overheads_make_it_slower():
    operator = Operator("a", Cost(matmul_flops=400, moved_bytes=10), times=2)
    slower = time_operators([operator], TOY, "bf16", Efficiency(compute=0.5, memory=0.5, overhead_s=1.0))
    assert slower.seconds == 2 * (8.0 + 1.0)
    slowest = time_operators([operator], TOY, "bf16", Efficiency(overhead_s=5.0))
    assert (slowest.seconds, slowest.bound) == (18.0, "overhead")


def test_without_a_vector_peak_other_flops_run_at_the_matmuls():
    tpu = find_hardware("tpu-v4")
    only = time_operators([Operator("a", Cost(other_flops=275 * 10**12))], tpu, "bf16")
    assert only.seconds == 1.0


def test_a_device_without_the_type_says_so():
    with pytest.raises(UserError, match="toy: the hardware table has no fp8 peak; it has fp32, bf16"):
        time_operators([], TOY, "fp8")


@pytest.mark.parametrize("shares", [{"compute": 0.0}, {"memory": 1.5}, {"link": -1.0}, {"overhead_s": -1e-6}])
def test_efficiencies_are_shares(shares):
    with pytest.raises(ValueError, match=next(iter(shares))):
        Efficiency(**shares)


def test_a_devices_own_measurement_goes_before_the_typical_share():
    assert stated_efficiency(find_hardware("a100-80")).compute == pytest.approx(0.8 * 0.869)
    assert stated_efficiency(find_hardware("l4")).compute == pytest.approx(0.8 * 0.8)
    measured = find_hardware("l4").model_copy(update={"matmul_efficiency": 1.0})  # this machine's row is so
    assert stated_efficiency(measured) == IDEAL
    assert Efficiency(1, 1, 1, 0) == IDEAL


def test_the_intensity_of_a_square_matmul():
    # FORMULAS section 2: 2 B S D / (p (2 B S + D)); ERRATA 3: the note's lacks the 2 (512 where 1024 is right).
    batch, context, width, p = 4, 1024, 4096, 2
    rows = batch * context
    right = 2 * rows * width / (p * (2 * rows + width))
    wrong = rows * width / (p * (2 * rows + width))
    assert matmul_intensity(rows, width, width, p) == pytest.approx(right, rel=1e-12)
    assert matmul_intensity(rows, width, width, p) == 2 * wrong != wrong
    # Many rows: 1024 FLOPs a byte at D = 2048, p = 2, not 512.
    assert matmul_intensity(10**9, 2048, 2048, 2) == pytest.approx(1024, rel=1e-5)


def test_a_square_of_1024_takes_2_gigaflop():
    # The article says 1 GFLOP; a multiply-accumulate is 2, so 1024^3 of them are 2.147.
    n = 1024
    flop = matmul_intensity(n, n, n, 1) * 3 * n * n
    assert flop == pytest.approx(2.147483648e9, rel=1e-12)
    assert abs(flop - 1e9) > 1e9
