"""Packed documents equal separate ones, and ragged rows equal unpadded ones, in every mixer and form: outputs, states,
every gradient. What stands for separate is the plain path, a row and a document a call.
"""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch

from isostate.mixers import FORMS, Documents, State
from isostate.mixers.softmax import KeyValueState
from tests.mixers.cases import CASES, name_of
from tests.mixers.runs import assert_equal_results, build, state_after_history, tokens
from tests.tolerances import assert_agrees, relative_error

LENGTH = 65
every_case = pytest.mark.parametrize("config", CASES, ids=name_of)
# Where the documents of both rows begin; several cases of chunks (5, 7, 11, 12, 13, 16, 24) meet their edges here.
PATTERNS = {
    "at 0, documents of one position, chunk edges": ([0, 16, 17, 18, 48], [0, 1, 7, 24, 64]),
    "continued from the state": ([30], [13, 14, 60]),
    "one row alone begins anew": ([], [33]),
    "every position": (range(LENGTH), range(0, LENGTH, 3)),
}


def starts_at(places, length: int = LENGTH) -> torch.Tensor:
    starts_BT = torch.zeros(len(places), length, dtype=torch.bool)
    for row, begins in enumerate(places):
        starts_BT[row, list(begins)] = True
    return starts_BT


def rows_of(state: State) -> list[tuple]:
    """(tensors, position) of each row by itself, without what only pads it."""
    rows = []
    parts = list(state.tensors())
    for row in range(len(parts[0])):
        own = [part[row] for part in parts]
        if isinstance(state, KeyValueState) and state.begins_B is not None:
            own = [part[:, int(state.begins_B[row]) :] for part in own]
        position = state.position
        rows.append((own, position if isinstance(position, int) else int(position[row])))
    return rows


def separately(mixer, x_BTD, documents, state, form):
    """y_BTD, zero at padding, and the rows of the last states."""
    y, rows = [], []
    state = mixer.init_state(len(x_BTD)) if state is None else state
    for row, length in enumerate(documents.ends_B.tolist()):
        begins = documents.starts_BT[row].nonzero().flatten().tolist()
        places, now, reads = sorted({0, *begins, length}), state.index(torch.tensor([row])), []
        for start, stop in pairwise(places):
            now = None if start in begins else now
            read, now = mixer(x_BTD[row : row + 1, start:stop], now, form)
            reads.append(read)
        y.append(torch.cat([*reads, x_BTD.new_zeros(1, x_BTD.shape[1] - length, x_BTD.shape[2])], 1))
        rows += rows_of(now)
    return torch.cat(y), rows


def together(mixer, x_BTD, documents, state, form):
    y_BTD, after = mixer(x_BTD, state, form, documents)
    return y_BTD, rows_of(after)


def results(run, mixer, x_BTD, documents, state, form):
    """As `runs.results`: values and gradients of a random weighting of all of them, by name."""
    x_BTD = x_BTD.detach().requires_grad_()
    y_BTD, rows = run(mixer, x_BTD, documents, state, form)
    values = {"y": y_BTD}
    for row, (tensors, position) in enumerate(rows):
        values |= {f"row {row}, state {n}": tensor for n, tensor in enumerate(tensors)}
        values[f"row {row}, position"] = torch.tensor(float(position), dtype=torch.float64)
    generator = torch.Generator().manual_seed(3)
    loss = sum((torch.randn(v.shape, generator=generator, dtype=torch.float64) * v).sum() for v in values.values())
    wanted = {"x": x_BTD, **dict(mixer.named_parameters())}
    if state is not None:
        wanted |= {f"initial {n}": tensor for n, tensor in enumerate(state.tensors())}
    grads = torch.autograd.grad(loss, list(wanted.values()), allow_unused=True, materialize_grads=True)
    return values, dict(zip(wanted, grads, strict=True))


def assert_packed_equals_separate(config, documents, state_length, forms=FORMS):
    mixer, x_BTD = build(config), tokens(config, documents.starts_BT.shape[1])
    state = state_after_history(mixer, state_length) if state_length else None
    want = results(separately, mixer, x_BTD, documents, state, "chunked")
    for form in forms:
        assert_equal_results(results(together, mixer, x_BTD, documents, state, form), want, form)


@pytest.mark.parametrize(
    "pattern", [*list(PATTERNS)[:2], *(pytest.param(name, marks=pytest.mark.slow) for name in list(PATTERNS)[2:])]
)
@every_case
def test_packed_documents_equal_separate_ones(config, pattern):
    documents = Documents(starts_at(PATTERNS[pattern]))
    continued = pattern == "continued from the state"
    assert_packed_equals_separate(config, documents, 0 if pattern.startswith("at 0") else 9, FORMS[not continued :])


@every_case
def test_ragged_rows_equal_unpadded_ones(config):
    assert_packed_equals_separate(config, Documents.ragged(torch.tensor([41, 65]), LENGTH), 9)
    assert_packed_equals_separate(config, Documents.ragged(torch.tensor([7, 0]), LENGTH), 0, ("parallel", "chunked"))


@every_case
def test_ragged_rows_of_packed_documents_equal_both_apart(config):
    documents = Documents(starts_at(([0, 20, 50], [12, 31])), torch.tensor([44, 58]))  # 50 is padding: no beginning
    assert_packed_equals_separate(config, documents, 9)


@every_case
def test_torch_does_what_kernels_do(config, monkeypatch):
    monkeypatch.setenv("ISOSTATE_KERNELS", "torch")
    documents = Documents(starts_at(([3, 20, 50], [31])), torch.tensor([58, 65]))
    assert_packed_equals_separate(config, documents, 9, ("chunked",))


def split_run(mixer, x_BTD, documents, cut, form):
    y, rows = [], None
    first_BTD, state = mixer(x_BTD[:, :cut], None, form, documents.slice(0, cut))
    second_BTD, state = mixer(x_BTD[:, cut:], state, form, documents.slice(cut, x_BTD.shape[1]))
    y, rows = torch.cat([first_BTD, second_BTD], 1), rows_of(state)
    return y, rows


def assert_splits_agree(config, cuts, documents):
    mixer, x_BTD = build(config), tokens(config, LENGTH)
    with torch.no_grad():
        want_BTD, want = separately(mixer, x_BTD, documents, None, "chunked")
        for form in ("parallel", "chunked"):
            for cut in cuts:
                y_BTD, rows = split_run(mixer, x_BTD, documents, cut, form)
                assert_agrees(y_BTD, want_BTD, f"{form} cut at {cut}")
                assert [position for _, position in rows] == [position for _, position in want]
                for (ours, _), (theirs, _) in zip(rows, want, strict=True):
                    for got, wanted in zip(ours, theirs, strict=True):
                        assert_agrees(got, wanted, f"{form} cut at {cut}: state")


SPLIT = Documents(starts_at(([0, 16, 17, 40], [3, 33])), torch.tensor([65, 50]))


@every_case
def test_a_split_within_or_between_documents_changes_nothing(config):
    assert_splits_agree(config, (17, 41, 55), SPLIT)


@pytest.mark.slow
@every_case
def test_no_split_changes_anything(config):
    assert_splits_agree(config, range(1, LENGTH), SPLIT)


@every_case
def test_nothing_leaks_from_one_document_into_the_next(config):
    """Not a bit of the gradient or the output, but for sums of gates, which round."""
    mixer, x_BTD = build(config), tokens(config, LENGTH)
    documents = Documents(starts_at(([30], [30])))
    exact = config.kind in ("softmax", "window", "mamba", "s4") or getattr(config, "gate", "head") == "none"
    changed_BTD = torch.cat([x_BTD[:, :30] + 1, x_BTD[:, 30:]], 1)
    for form in FORMS[1:]:
        x_BTD.grad = None
        y_BTD, state = mixer(x_BTD.requires_grad_(), None, form, documents)
        y_BTD[:, 30:].square().sum().backward()
        leaked = x_BTD.grad[:, :30].abs().max().item() / x_BTD.grad.abs().max().item()
        other_BTD, after = mixer(changed_BTD, None, form, documents)
        pairs = [(y_BTD[:, 30:], other_BTD[:, 30:]), *zip(state.tensors(), after.tensors(), strict=True)]
        if exact:
            assert leaked == 0, form
            assert all(torch.equal(one, other) for one, other in pairs), form
        else:
            assert leaked < 1e-12, form
            assert all(relative_error(one, other) < 1e-12 for one, other in pairs), form


@every_case
def test_without_documents_the_past_is_seen(config):
    """What every test here would miss if nothing remembered: the same rows, taken for one document each."""
    mixer, x_BTD = build(config), tokens(config, LENGTH)
    packed_BTD, _ = mixer(x_BTD, documents=Documents(starts_at(([30], [30]))))
    whole_BTD, _ = mixer(x_BTD)
    assert torch.equal(packed_BTD[:, 0], whole_BTD[:, 0]) or config.kind == "s4"
    if getattr(config, "window", None) == 1:
        assert_agrees(packed_BTD, whole_BTD, "a window of one position has no past")
    else:
        assert relative_error(packed_BTD[:, 30:33], whole_BTD[:, 30:33]) > 1e-3


@every_case
def test_ragged_rows_decode_on_as_each_would_alone(config):
    mixer, x_BTD = build(config), tokens(config, LENGTH)
    lengths = torch.tensor([20, 37])
    with torch.no_grad():
        _, state = mixer(x_BTD[:, :37], documents=Documents.ragged(lengths, 37))
        rows_BTD = torch.stack([x[length : length + 9] for x, length in zip(x_BTD, lengths.tolist(), strict=True)])
        reads = []
        for form, piece_BTD in zip([*FORMS, "chunked"], rows_BTD.split([1, 1, 1, 6], 1), strict=True):
            y_BTD, state = mixer(piece_BTD, state, form)
            reads.append(y_BTD)
        for row, length in enumerate(lengths.tolist()):
            want_BTD, alone = mixer(x_BTD[row : row + 1, : length + 9])
            assert_agrees(torch.cat(reads, 1)[row], want_BTD[0, length:], f"row {row}")
            for got, wanted in zip(rows_of(state)[row][0], rows_of(alone)[0][0], strict=True):
                assert_agrees(got, wanted, f"row {row}: state")
            assert rows_of(state)[row][1] == length + 9


@every_case
def test_a_ragged_state_counts_what_each_row_would_carry_alone(config):
    mixer, x_BTD = build(config), tokens(config, LENGTH)
    lengths = torch.tensor([20, 37])
    _, state = mixer(x_BTD[:, :37], documents=Documents.ragged(lengths, 37))
    assert state.numel == sum(config.state_size(length).elements for length in lengths.tolist())
    _, state = mixer(x_BTD, documents=Documents(starts_at(([60], [5]))))
    assert state.numel == config.state_size(5).elements + config.state_size(60).elements


@every_case
def test_a_ragged_state_goes_with_its_rows(config):
    mixer, x_BTD = build(config), tokens(config, 30)
    with torch.no_grad():
        _, state = mixer(x_BTD[:, :20], documents=Documents.ragged(torch.tensor([12, 20]), 20))
        turned = state.index(torch.tensor([1, 0])).clone().detach().to("cpu")
        want_BTD, _ = mixer(x_BTD[:, 20:], state)
        got_BTD, _ = mixer(x_BTD[:, 20:].flip(0), turned)
        assert_agrees(got_BTD.flip(0), want_BTD)
        nothing_BTD, empty = mixer(x_BTD, documents=Documents.ragged(torch.tensor([0, 0]), 30))
        assert not nothing_BTD.any()
        assert empty.position == 0
        assert_agrees(mixer(x_BTD, empty)[0], mixer(x_BTD)[0], "from the state that nothing left")


def test_what_no_batch_can_be_is_refused_in_one_line():
    starts_BT = torch.zeros(2, 5, dtype=torch.bool)
    with pytest.raises(ValueError, match=r"starts: torch.int64 of shape \[2, 5\]; give bool of \(batch, length\)"):
        Documents(starts_BT.long())
    for lengths in ([1, 6], [-1, 2], [1, 2, 3]):
        with pytest.raises(ValueError, match="give 2 of them, each from 0 to 5"):
            Documents(starts_BT, torch.tensor(lengths))


def test_places_are_counted_from_where_documents_begin():
    documents = Documents(starts_at(([2, 3], [4]), 6), torch.tensor([5, 3]))  # 4 is padding in the second row
    assert documents.begins_BT.tolist() == [[-1, -1, 2, 3, 3, 3], [-1] * 6]
    assert documents.positions_BT(10).tolist() == [[10, 11, 0, 0, 1, 2], [10, 11, 12, 13, 14, 15]]
    assert documents.position_after(10).tolist() == [2, 13]
    assert Documents(starts_at(([1], [1]), 6)).position_after(10) == 5, "one number where rows agree"
    assert documents.slice(2, 4).begins_BT.tolist() == [[0, 1], [-1, -1]]
    assert documents.slice(2, 4).ends_B.tolist() == [2, 1]
