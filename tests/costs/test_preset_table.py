"""Every published parameter count: equal to the integer, or to the last digit that is printed."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from isostate.config import UserError
from isostate.costs.formula import count_params
from isostate.costs.preset_table import Claim, Preset, find_preset, load_presets, read_printed
from tests.costs.architectures import stack

CLAIMS = [(name, claim) for name, preset in load_presets().items() for claim in preset.published]
CHINCHILLAS = [
    {key: int(value) for key, value in row.items()}
    for row in csv.DictReader((Path(__file__).parent / "chinchilla_table_a9.csv").read_text().splitlines())
]


@pytest.mark.parametrize("name, claim", CLAIMS, ids=[f"{name} {claim.figure} {claim.value}" for name, claim in CLAIMS])
def test_the_published_count_is_met_or_it_is_said_why_not(name, claim):
    assert claim.is_met(find_preset(name)) == (not claim.differs)


@pytest.mark.parametrize(
    "name, count",
    [
        ("gpt-2-124m", 124_439_808),
        ("llama-2-7b", 6_738_415_616),
        ("mistral-7b", 7_241_732_096),
        ("mixtral-8x7b", 46_702_792_704),
        ("llama-3-8b", 8_030_261_248),
        ("deepseek-v3", 671_026_419_200),
        ("mamba-130m", 129_135_360),
        ("vit-b-16", 86_567_656),
        ("clip-b-32", 151_277_313),
    ],
)
def test_some_counts_that_the_field_knows_by_heart(name, count):
    assert count_params(find_preset(name).architecture).total == count


def test_every_family_that_issue_4_names_is_here_with_its_sizes():
    sizes: dict[str, int] = {}
    for preset in load_presets().values():
        sizes[preset.family] = sizes.get(preset.family, 0) + 1
    wanted = {
        "GPT-2": 4,
        "GPT-3": 8,
        "Jurassic-1": 2,
        "Megatron-Turing NLG": 1,
        "Gopher": 6,
        "Chinchilla": 1,
        "PaLM": 3,
        "LLaMA": 4,
        "Llama 2": 4,
        "Mamba": 5,
        "Mamba-2": 5,
        "RWKV-4": 6,
        "CLIP": 3,
    }
    assert {name: sizes[name] for name in wanted} == wanted
    assert {"Llama 3", "Mistral", "Mixtral", "DeepSeek-V2", "DeepSeek-V3", "Qwen 3", "Gemma 3", "ViT"} <= set(sizes)


def test_every_preset_says_where_it_is_from_and_has_a_published_count():
    for preset in load_presets().values():
        assert len(preset.source) > 20, preset.name
        assert preset.published, preset.name
        assert all(claim.where for claim in preset.published)
        assert 2017 < preset.year < 2027


@pytest.mark.parametrize("row", CHINCHILLAS, ids=lambda row: f"{row['parameters_million']}M")
def test_all_models_of_chinchillas_table_a9_have_the_count_printed_there(row):
    # Hoffmann et al. 2022, table A9: heads times their size is not always the width.
    attention = {
        "kind": "attention",
        "n_heads": row["n_heads"],
        "head_dim": row["kv_size"],
        "positions": "transformer-xl",
        "bias": "all",
    }
    mlp = {"kind": "mlp", "d_ff": row["ffw_size"], "activation": "gelu", "bias": True}
    norm = find_preset("chinchilla-70b").architecture.final_norm.to_dict()
    groups = [{"count": row["n_layers"], "blocks": [{"norm": norm, "sublayers": [attention, mlp]}]}]
    model = stack(1, [mlp], row["d_model"], 32_000, groups=groups, final_norm=norm)
    assert round(count_params(model).total / 1e6) == row["parameters_million"]
    without = [{"kind": "attention", "n_heads": row["n_heads"], "head_dim": row["kv_size"], "bias": "all"}, mlp]
    groups = [{"count": row["n_layers"], "blocks": [{"norm": norm, "sublayers": without}]}]
    wrong = stack(1, [mlp], row["d_model"], 32_000, groups=groups, final_norm=norm)
    assert round(count_params(wrong).total / 1e6) != row["parameters_million"]


def test_chinchillas_preset_is_described_as_the_models_of_its_table_are():
    attention, mlp = find_preset("chinchilla-70b").architecture.blocks()[0].sublayers
    assert (attention.positions, attention.bias, mlp.bias) == ("transformer-xl", "all", True)


def test_gophers_relative_positions_are_in_its_count():
    model = find_preset("gopher-280b").architecture
    count = count_params(model).total
    assert round(count / 1e9) == 280
    assert round((count - 80 * 16_384**2) / 1e9) == 258  # a GPT of the same shape, with learned positions or none


def test_gpt_3_13bs_width_is_5120_and_not_the_5140_of_table_2_1():
    preset = find_preset("gpt-3-13b")
    assert preset.architecture.d_model == 5120
    wide = Preset.parse(
        preset.to_dict() | {"described": preset.architecture.to_dict() | {"d_model": 5140}}, "as printed"
    )
    printed = next(claim for claim in preset.published if "D.1" in claim.where)
    assert printed.is_met(preset)
    assert not printed.is_met(wide)


@pytest.mark.parametrize(
    "text, number, half_digit",
    [
        ("6,738,415,616", 6_738_415_616, 0),
        ("175B", 175e9, 0.5e9),
        ("540.35B", 540.35e9, 5e6),
        ("1.693e8", 1.693e8, 5e4),
        ("356M", 356e6, 5e5),
    ],
)
def test_a_printed_number_has_half_a_digit_of_room_unless_all_are_printed(text, number, half_digit):
    assert read_printed(text) == pytest.approx((number, half_digit))


def test_a_claim_is_met_up_to_its_last_digit_and_no_further():
    preset = find_preset("gpt-2-124m")  # 124,439,808
    assert Claim(value="124M", where="here").is_met(preset)
    assert not Claim(value="125M", where="here").is_met(preset)
    assert not Claim(value="124,439,809", where="here").is_met(preset)
    assert Claim(value="124.44M", where="here").is_met(preset)


def test_an_unknown_preset_names_the_nearest():
    with pytest.raises(
        UserError, match=r'no preset \'llama2-7b\' \(did you mean "llama-2-7b"\?\); one of each family: '
    ):
        find_preset("llama2-7b")
    with pytest.raises(UserError) as caught:
        find_preset("zzz")
    assert "did you mean" not in str(caught.value)
    assert "\n" not in str(caught.value)
    assert "gpt-2-124m" in str(caught.value)


def test_a_preset_has_one_description():
    values = find_preset("gpt-2-124m").to_dict()
    with pytest.raises(UserError, match="give a config or an architecture, and not both"):
        Preset.parse(values | {"config": None}, "none")
