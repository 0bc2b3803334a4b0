"""Every mixer's three forms are one function: of the past alone, however the sequence is cut, gradients included."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from isostate.mixers import FORMS, chunks, softmax
from isostate.mixers.projections import QKVMixer
from tests.mixers.cases import CASES, name_of
from tests.mixers.runs import assert_equal_results, build, named, results, state_after_history, tokens
from tests.tolerances import assert_agrees

LENGTHS = (1, 7, 64, 65, 257)
every_case = pytest.mark.parametrize("config", CASES, ids=name_of)
every_chunked_case = pytest.mark.parametrize("config", [c for c in CASES if hasattr(c, "chunk")], ids=name_of)


@pytest.mark.parametrize("length", LENGTHS)
@every_case
def test_forms_agree_on_outputs_state_and_every_gradient(config, length):
    mixer, x_BTD = build(config), tokens(config, length)
    starts = [state_after_history(mixer)] + [None] * (length < 257)  # once is enough of the definition's long loop
    for start in starts:
        definition = results(mixer, x_BTD, start, "recurrent")
        for form in ("parallel", "chunked"):
            what = f"{form}, {'empty start' if start is None else 'from a state'}"
            assert_equal_results(results(mixer, x_BTD, start, form), definition, what)


@pytest.mark.parametrize("loss_of", ["y", "state"])
@every_case
def test_gradients_agree_where_only_the_outputs_or_only_the_final_state_matter(config, loss_of):
    mixer = build(config)
    for length, start in [(65, None), (20, None), (65, state_after_history(mixer))]:
        x_BTD = tokens(config, length)
        definition = results(mixer, x_BTD, start, "recurrent", loss_of)
        for form in ("parallel", "chunked"):
            what = f"{form}, {length} tokens, {'empty start' if start is None else 'from a state'}"
            assert_equal_results(results(mixer, x_BTD, start, form, loss_of), definition, what)


@every_case
def test_float32_stays_within_the_table_of_the_float64_definition(config):
    """On keys that are the queries' own, so that no sum of weights comes near zero: conditioning is another question.

    A gradient's error is measured against a tenth of the largest: the chunked form takes the gate's as a difference of
    sums as large as the others' gradients, hence with their rounding.
    """
    exact, single = build(config), build(config, torch.float32)
    if isinstance(exact, QKVMixer):
        n_query_rows, n_key_rows = exact.widths[:2]
        with torch.no_grad():
            exact.in_proj.weight[n_query_rows : n_query_rows + n_key_rows] = exact.in_proj.weight[:n_key_rows]
    single.load_state_dict(exact.state_dict())
    exact.load_state_dict(single.state_dict())  # the same weights, rounded once
    x_BTD = tokens(config, 65, torch.float32)
    definition = results(exact, x_BTD.double(), None, "recurrent")
    for form in FORMS:
        assert_equal_results(results(single, x_BTD, None, form), definition, form, floor=0.1)


@every_case
def test_an_output_depends_on_no_later_position(config):
    mixer, x_BTD = build(config), tokens(config, 65)
    changed_BTD = x_BTD.clone()
    changed_BTD[:, 40:] += 1.0
    for form in FORMS:
        y_BTD, _ = mixer(x_BTD, form=form)
        other_BTD, _ = mixer(changed_BTD, form=form)
        if config.kind == "s4" and form != "recurrent":  # a Fourier transform spreads rounding over its positions
            assert_agrees(y_BTD[:, :40], other_BTD[:, :40], form)
        else:
            assert torch.equal(y_BTD[:, :40], other_BTD[:, :40]), form
        assert (y_BTD[:, 40:] - other_BTD[:, 40:]).abs().min(dim=1).values.max() > 1e-6, "the later ones do change"


@every_case
def test_any_split_of_the_sequence_equals_the_whole(config):
    mixer, x_BTD = build(config), tokens(config, 65)
    with torch.no_grad():
        whole_BTD, end = mixer(x_BTD, form="recurrent")
        for form, cuts in (("parallel", (1, 32, 64)), ("chunked", range(1, 65))):
            for cut in cuts:
                first_BTD, state = mixer(x_BTD[:, :cut], form=form)
                second_BTD, state = mixer(x_BTD[:, cut:], state, form)
                assert_agrees(torch.cat([first_BTD, second_BTD], 1), whole_BTD, f"{form} cut at {cut}")
                for name, tensor in named(state).items():
                    assert_agrees(tensor, named(end)[name], f"{form} cut at {cut}: {name}")


@every_case
def test_gradients_flow_through_splits_and_forms_may_change_between_them(config):
    mixer, x_BTD = build(config), tokens(config, 65)
    start = state_after_history(mixer)

    def in_pieces(x_BTD, state, form):
        y = []
        for piece_BTD, form in zip(x_BTD.split([33, 1, 31], 1), ("chunked", "recurrent", "parallel"), strict=True):
            y_BTD, state = mixer(piece_BTD, state, form)
            y.append(y_BTD)
        return torch.cat(y, 1), state

    in_pieces.named_parameters = mixer.named_parameters
    whole = results(mixer, x_BTD, start, "recurrent")
    assert_equal_results(results(in_pieces, x_BTD, start, ""), whole, "in three pieces")


@every_case
def test_sequences_of_a_batch_do_not_meet(config):
    mixer, x_BTD = build(config), tokens(config, 33)
    for form in FORMS:
        both_BTD, _ = mixer(x_BTD, form=form)
        alone_BTD, _ = mixer(x_BTD[1:], form=form)
        assert_agrees(both_BTD[1:], alone_BTD, form)


@pytest.mark.parametrize("chunks_at_once", [1, 3])
@pytest.mark.parametrize("config", [c for c in CASES if hasattr(c, "feature_map")], ids=name_of)
def test_chunks_taken_in_groups_change_nothing(config, chunks_at_once, monkeypatch):
    config = type(config).model_validate(config.to_dict() | {"chunk": 8})
    mixer, x_BTD = build(config), tokens(config, 60)
    start = state_after_history(mixer)
    definition = results(mixer, x_BTD, start, "recurrent")
    per_chunk = 2 * config.n_heads * 8 * max(8, config.feature_map.expanded_size)
    monkeypatch.setattr(chunks, "GROUP_ELEMENTS", chunks_at_once * per_chunk)
    assert_equal_results(results(mixer, x_BTD, start, "chunked"), definition, f"{chunks_at_once} chunks at once")


@pytest.mark.parametrize("config", [c for c in CASES if c.kind == "softmax"], ids=name_of)
def test_blocks_of_queries_change_nothing(config, monkeypatch):
    monkeypatch.setattr(softmax, "BLOCK", 24)
    mixer, x_BTD = build(config), tokens(config, 65)
    for start in (None, state_after_history(mixer)):
        definition = results(mixer, x_BTD, start, "recurrent")
        assert_equal_results(results(mixer, x_BTD, start, "chunked"), definition, "blocks of 24")


@every_chunked_case
def test_the_chunk_size_is_no_part_of_the_function(config):
    x_BTD = tokens(config, 50)
    by_chunk = {}
    for chunk in (None, 1, 7, 50, 64):
        mixer = build(type(config).model_validate(config.to_dict() | {"chunk": chunk}))
        by_chunk[chunk] = mixer(x_BTD)[0]
    for chunk, y_BTD in by_chunk.items():
        assert_agrees(y_BTD, by_chunk[None], f"chunk {chunk}")


@every_case
def test_positions_count_tokens_across_segments(config):
    mixer = build(config)
    for form in FORMS:
        state = None
        for length in (3, 1, 9):
            _, state = mixer(tokens(config, length), state, form)
        assert {field.name: getattr(state, field.name) for field in dataclasses.fields(state)}["position"] == 13
