"""The counters themselves, where torch's own miss something; and that counting a config touches no tensor at all."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch
from torch import nn
from torch.nn.functional import linear, scaled_dot_product_attention
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode

from isostate import costs
from isostate.costs import counting
from isostate.costs.decoder import decoder_operators
from isostate.costs.sublayer import Run
from isostate.mixers.native import torch_operations
from isostate.model import Decoder
from tests.costs.configurations import ALL


def test_fused_attention_and_addition_in_place_are_counted_where_torch_counts_nothing():
    q, k, v = (torch.randn(2, 3, 16, 8, requires_grad=True) for _ in range(3))

    def attend() -> None:
        scaled_dot_product_attention(q, k, v, is_causal=True).sum().backward()

    products = 2 * 2 * 3 * 16 * 16 * 8
    assert counting.matmul_flops(attend) == 2 * products + 5 * products
    with FlopCounterMode(display=False) as torchs:
        attend()
    assert torchs.get_total_flops() == 0
    total, a, b = torch.zeros(4, 6), torch.ones(4, 5), torch.ones(5, 6)
    assert counting.matmul_flops(lambda: total.addmm_(a, b)) == 2 * 4 * 5 * 6


def test_a_storage_counts_once_and_whole_and_what_is_gone_does_not():
    weight = nn.Parameter(torch.ones(8, 8))
    x = torch.ones(4, 8, requires_grad=True)

    def work(wanted: bool) -> torch.Tensor:
        y = linear(x, weight)
        views = y[:, :4] * y[:, 4:]  # two views of one storage, which both factors keep
        other = (y.exp() * y).sum() if wanted else (y.exp() * y).sum().detach()
        return views.sum() + other

    one = 4 * 8 * 4
    assert counting.kept_storages([weight], work, True) == {one: 3}, "x, y and its exponential"
    assert counting.kept_storages([weight], work, False) == {one: 2}, "the exponential's graph is gone"
    assert counting.kept_bytes([weight, x], work, False) == one


def test_the_peak_is_of_what_is_held_at_once():
    def work() -> torch.Tensor:
        a = torch.ones(1000)
        b = a + 1
        del a
        return b + 1

    large = [nbytes for nbytes in counting.allocations(work) if abs(nbytes) > 8]
    assert large == [4000, 4000, -4000, 4000, -4000, -4000]
    assert 8000 <= counting.peak_allocated_bytes(work) <= 8016


def test_growth_of_the_process_is_of_memory_that_is_touched():
    code = (  # in a process of its own, which has nothing freed to use again
        "import torch; from isostate.costs.counting import resident_growth; torch.ones(10).sum(); "
        "print(resident_growth(lambda: torch.ones(8_000_000).sum()))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=True)
    if done.stdout.strip() == "None":
        pytest.skip("this system tells no resident memory")
    assert 30e6 < int(done.stdout) < 40e6


@pytest.mark.slow
@pytest.mark.parametrize("name", ["softmax-2kv/rotary/dropped", "window/alibi/window=64", "everything, power"])
def test_fake_tensors_count_what_real_ones_do_and_leave_no_fake_table_behind(name):
    config, batch, context = ALL[name]

    def counts() -> tuple[int, ...]:
        model, tokens_BT = Decoder(config), torch.zeros(batch, context, dtype=torch.long)

        def step() -> torch.Tensor:
            return model.train_loss(tokens_BT, tokens_BT)

        kept = counting.kept_bytes(model.parameters(), step)
        return counting.matmul_flops(lambda: step().backward()), kept

    with torch_operations():
        real = counts()
    with counting.fake_tensors():
        assert counts() == real
        assert type(torch.ones(1)).__name__ == "FakeTensor"
    with torch_operations():
        assert counts() == real
    assert type(torch.ones(1)) is torch.Tensor


class NoTensors(TorchDispatchMode):
    """Fails at any operation of torch's."""

    def __torch_dispatch__(self, function, types, arguments=(), keywords=None):
        raise AssertionError(f"counting ran {function}")


def test_counting_builds_no_module_and_runs_no_operation(monkeypatch):
    def built(*arguments, **keywords):
        raise AssertionError("counting built a module")

    counting.forget_tables()
    monkeypatch.setattr(nn.Module, "__init__", built)
    with NoTensors():
        for case in ALL.values():
            config, batch, context = case
            config = type(config).parse(config.to_dict(), "m")
            config.param_count()
            costs.parameter_shapes(config)
            costs.state_bytes(config, batch, context)
            costs.forward_cost(config, batch, context, causal="halved")
            decoder_operators(config, Run(batch, context, "decode"))
            for recompute in ("none", "blocks"):
                costs.step_flops(config, batch, context, recompute=recompute)
                costs.kept_activations(config, batch, context, recompute=recompute)
                costs.training_memory(config, batch, context, recompute=recompute)
            costs.alive_at_peak(config, batch, context)
        with pytest.raises(AssertionError, match="counting ran"):
            torch.ones(1)
