"""What is counted: each formula against a count that does not use it."""

from __future__ import annotations

import pytest
import torch

from isostate.model import Decoder, ModelConfig
from isostate.report.claims import verdict
from isostate.report.note import Studies, every_claim, exact
from isostate.report.note.studies import STATE_LAWS
from tests.report import planted_note


def test_the_largest_state_of_head_varied_linear_is_the_notes():
    claim = exact.limit(Studies([])[STATE_LAWS])
    assert claim.verdict == "confirmed"
    assert claim.parts[0].estimate.value == 122_880_000
    assert "122,880,000" in claim.evidence
    assert claim.parts[0].estimate.value / 25 != 122_880_000  # GPT-2 XL's own 25 heads hold a 25th of it


def test_states_of_linear_runs_are_held_against_the_formula():
    rows = [planted_note.row("linear", 4_096, 3.0), planted_note.row("linear", 8_192, 3.0)]
    for row, matrix in zip(rows, (2 * 64 * 64 // 4, 999), strict=True):
        row["mixer"] |= {"n_heads": 4}
        row["state"]["parts"] = {"matrix": matrix}
    claim = exact.limit(planted_note.study(STATE_LAWS, rows)[STATE_LAWS])
    assert "1 of 2 linear runs" in claim.evidence


def test_a_window_sees_less_than_w_l():
    claim = exact.reach()
    assert claim.verdict == "refuted"
    assert claim.parts[0].estimate.value == 61 != 64
    seen = {0}  # walked layer by layer: which positions reach the last
    for _ in range(4):
        seen = {s - back for s in seen for back in range(16)}
    assert len(seen) == 61
    assert "gives 64, off by l − 1 = 3 tokens" in claim.evidence
    assert "l (w − 1) + l (c − 1) + 1 = 65" in claim.evidence


def reached(n_layers: int, window: int, taps: int) -> int:
    """How many of the last tokens move a model's last output, by changing one after another."""
    mixer = {"kind": "window", "window": window, "n_heads": 2}
    config = {"vocab_size": 7, "n_layers": n_layers, "d_model": 8, "d_ff": 8, "mixer": mixer, "conv_taps": taps}
    torch.manual_seed(0)
    model, tokens_BT = Decoder(ModelConfig.model_validate(config)).double().eval(), torch.zeros(1, 24, dtype=torch.long)
    for name, weight in model.named_parameters():
        if "convolution" in name:  # starts as the token itself
            torch.nn.init.normal_(weight)
    changed_BT = tokens_BT.repeat(24, 1)
    changed_BT[torch.arange(24), torch.arange(24)] = 1
    with torch.no_grad():
        whole_U, other_BU = model(tokens_BT, form="parallel")[0][0, -1], model(changed_BT, form="parallel")[0][:, -1]
    return int(((other_BU - whole_U).abs().amax(-1) > 1e-12).sum())


@pytest.mark.parametrize(("n_layers", "window"), [(1, 4), (2, 4), (3, 3)])
def test_both_reaches_are_those_of_a_model(n_layers, window):
    assert reached(n_layers, window, 0) == n_layers * (window - 1) + 1
    assert reached(n_layers, window, 2) == n_layers * (window - 1) + n_layers + 1 == n_layers * window + 1


def test_the_cache_of_the_largest_gpt_2_is_the_models_own_count():
    claim = exact.cache()
    config = ModelConfig.model_validate(
        {"vocab_size": 50_257, "n_layers": 48, "d_model": 1_600, "mixer": {"kind": "softmax", "n_heads": 25}}
    )
    assert claim.parts[0].estimate.value == config.state_size(1_024).elements == 157_286_400
    assert claim.verdict == "confirmed"
    assert claim.parts[0].estimate.value != 48 * 1_024 * 1_600  # keys alone would be refuted
    assert verdict(48 * 1_024 * 1_600, 48 * 1_024 * 1_600, claim.parts[0].allowed) == "refuted"


@pytest.mark.parametrize("units", [1, 3, 64])
def test_the_state_of_an_lstm_over_its_parameters_is_torchs(units):
    layer = torch.nn.LSTM(units, units)
    _, (hidden, cell) = layer(torch.zeros(1, 1, units))
    parameters = sum(p.numel() for name, p in layer.named_parameters() if name != "bias_hh_l0")  # torch has two
    assert exact.state_of_lstm(units) == pytest.approx((hidden.numel() + cell.numel()) / parameters)


def test_an_lstm_of_three_units_and_more_is_much_smaller_in_state_than_in_parameters():
    claim = exact.lstm()
    assert claim.verdict == "confirmed"
    assert exact.state_of_lstm(3) < 0.1 < exact.state_of_lstm(1)
    assert "0.00024 at 1,024 units" in claim.evidence


def test_without_records_only_what_is_exact_is_decided():
    found = {claim.asked.key: claim for claim in every_claim(Studies([]))}
    decided = {key: claim.verdict for key, claim in found.items() if claim.verdict != "undecided"}
    assert decided == {"limit": "confirmed", "reach": "refuted", "cache-2019": "confirmed", "lstm": "confirmed"}
    rest = {claim.evidence for claim in found.values() if claim.verdict == "undecided"}
    assert {told for told in rest if not told.startswith("not tested: ")} == {"not trained yet"}
    assert len(rest) == 4
