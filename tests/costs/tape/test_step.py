"""The tape is the allocator's own log: what comes and goes, in order, and the most that is held at once."""

from __future__ import annotations

import pytest
import torch

from isostate.costs import counting
from isostate.costs.tape import chunks, ends, training_step
from isostate.costs.tape.step import draws
from isostate.mixers.native import torch_operations
from isostate.model import Decoder
from tests.costs.configurations import ALL, FUSED, Case

# Of a single token many a dimension is 1, and copies are not made that otherwise are: the tape does not go so far.
LONG = {name: case for name, case in ALL.items() if case.context > 1}
every_case = pytest.mark.parametrize("case", LONG.values(), ids=LONG)
SCALARS = 64  # bytes: what the tape leaves out, and the numbers of blocks that `repeat` makes


def real(case: Case, form: str, recompute: str) -> list[int]:
    """Bytes that one step takes from the allocator and gives back, its gradients and tables there already."""
    model, tokens_BT = case.model(), case.tokens()
    for parameter in model.parameters():
        parameter.grad = torch.zeros_like(parameter)
    step = lambda: model.train_loss(tokens_BT, tokens_BT, form, recompute).backward()  # noqa: E731
    step()
    return counting.allocations(step)


def peak_of(nbytes: list[int]) -> int:
    held = peak = 0
    for change in nbytes:
        held += change
        peak = max(peak, held)
    return peak


@pytest.mark.slow
@pytest.mark.parametrize("recompute", ["none", "blocks"])
@every_case
def test_the_most_that_is_held_at_once_is_the_allocators_but_for_scalars(case: Case, recompute):
    forms = ["chunked"] if case.chunked else ["chunked", "parallel"]
    for form in forms:
        predicted = training_step(case.config, case.batch, case.context, form, recompute).peak_bytes
        assert 0 <= peak_of(real(case, form, recompute)) - predicted <= SCALARS


@pytest.mark.parametrize("recompute", ["none", "blocks"])
@every_case
def test_what_comes_comes_in_the_allocators_order_and_size(case: Case, recompute, monkeypatch):
    """Of one layer, every allocation larger than a scalar, and what is held just after it."""
    monkeypatch.setattr(chunks, "ALIKE", 10**9)
    monkeypatch.setattr(ends, "PIECES_TOLD", 10**9)
    case = case._replace(config=case.config.model_copy(update={"n_layers": 1}))
    for form in ["chunked"] if case.chunked else ["chunked", "parallel"]:
        log = training_step(case.config, case.batch, case.context, form, recompute, logged=True).log
        told = _arrivals([sign * storage.nbytes for storage, sign in log])
        happened = _arrivals(real(case, form, recompute))
        assert [size for size, _ in told] == [size for size, _ in happened]
        differences = [real_ - mine for (_, mine), (_, real_) in zip(told, happened, strict=True)]
        assert max(abs(difference) for difference in differences) <= SCALARS


@pytest.mark.slow
@pytest.mark.parametrize("recompute", ["none", "blocks"])
@pytest.mark.parametrize("name", [name for name in FUSED if name in LONG])
def test_torchs_operations_are_told_as_well_and_are_others(name, recompute):
    case = FUSED[name]
    sizes = (case.config, case.batch, case.context, "chunked", recompute)
    with torch_operations():
        assert 0 <= peak_of(real(case, "chunked", recompute)) - training_step(*sizes).peak_bytes <= SCALARS
    torchs, ours = (training_step(*sizes, kernels=kernels, logged=True).log for kernels in ("torch", "own"))
    assert [event.storage.nbytes for event in torchs] != [event.storage.nbytes for event in ours]


def _arrivals(nbytes: list[int]) -> list[tuple[int, int]]:
    """(bytes, held after) of every allocation of more than a few scalars; those of biases' sums come at odd times."""
    held, arrivals = 0, []
    for change in nbytes:
        held += change
        if change > SCALARS:
            arrivals.append((change, held))
    return arrivals


@pytest.mark.parametrize("name", sorted(set(ALL) - set(LONG)))
def test_a_single_token_is_told_within_what_is_claimed(name):
    case = ALL[name]
    measured = peak_of(real(case, "chunked", "none"))
    assert training_step(case.config, case.batch, case.context).peak_bytes == pytest.approx(measured, rel=0.03)


def test_what_is_alive_at_the_peak_sums_to_it():
    for name in ("everything, softmax", "many layers", "a vocabulary in pieces"):
        case = ALL[name]
        step = training_step(case.config, case.batch, case.context, logged=True)
        assert sum(storage.nbytes for storage in step.alive_at_peak()) == step.peak_bytes


def test_many_groups_of_chunks_are_told_by_their_first_and_last(monkeypatch):
    monkeypatch.setattr(chunks.chunks, "GROUP_ELEMENTS", 4_000)
    with torch_operations():
        for name in (
            "power-2/head_dim=8",
            "power-2-gated/alibi/head_dim=8",
            "taylor-3-raw/head_dim=6",
            "power-4/alibi/head_dim=4",
        ):
            case = ALL[name]
            few = training_step(case.config, case.batch, case.context).peak_bytes
            assert 0 <= peak_of(real(case, "chunked", "none")) - few <= SCALARS
            with monkeypatch.context() as patch:
                patch.setattr(chunks, "ALIKE", 10**9)
                assert training_step(case.config, case.batch, case.context).peak_bytes == few


def test_a_block_draws_where_it_drops():
    assert draws(ALL["dropout, power"].config)
    assert draws(ALL["softmax/dropped"].config)
    assert not draws(ALL["softmax"].config)
    assert isinstance(Decoder(ALL["softmax"].config), Decoder)
