"""isostate.cli.cost_layouts: what `isostate cost --fit-on` prints, and its mistakes."""

from __future__ import annotations

import json

import pytest

from isostate.cli import main, show
from isostate.costs.fit_on import fit_on
from isostate.costs.sharding import ModelShape

FIT = ["cost", "llama-3-8b", "--fit-on", "64 x h100-80", "--batch", "512"]


def test_layouts_are_those_of_the_library_on_the_same_shape(capsys):
    assert main([*FIT, "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    shape = ModelShape.transformer(
        "llama-3-8b", 32, 4096, 32, 128_256, n_kv_heads=8, d_ff=14_336, gated=True, tied=False
    )
    own = fit_on("64 x h100-80", shape, 512, 8192)
    assert answer["n_tried"] == own.n_tried
    assert len(answer["layouts"]) == len(own.fits)
    for row, one in zip(answer["layouts"][:5], own.fits, strict=False):
        assert row["update_s"] == pytest.approx(one.time.total_s, rel=1e-3)  # norms are not in its shape
        assert row["memory"]["total"] == pytest.approx(one.memory.total, rel=1e-3)
    first = answer["layouts"][0]
    assert first["training_s"] == pytest.approx(20 * 8_030_261_248 / first["tokens_per_s"])


@pytest.mark.parametrize("width", [80, 160])
def test_the_table_fits_the_screen(width, monkeypatch, capsys):
    monkeypatch.setattr(show, "WIDTH", width)
    assert main(FIT) == 0
    told = capsys.readouterr().out
    assert "…" not in told
    assert "layouts fit in 77.3 GB a device" in told
    assert max(len(line.rstrip()) for line in told.splitlines()[1:-1]) <= 80


@pytest.mark.parametrize(
    "arguments, words",
    [(["mamba-130m", "--fit-on", "h100"], "mamba-130m: --fit-on splits models of equal blocks"),
     (["gpt-3-175b", "--fit-on", "2 x h100"], "gpt-3-175b does not fit on 2 x h100"),
     (["gpt2", "--fit-on", "0 x h100"], "0 devices; give 1 to"),
     (["gpt2", "--fit-on", "8 x h10"], "no hardware 'h10'"),
     (["gpt2", "--fit-on", "8 x h100", "--dtype", "fp32"], "layouts are for mixed precision"),
     (["ours.json", "--fit-on", "8 x h100"], "--fit-on takes presets and config.json files"),
     (["gpt2", "--fit-on", "h100", "--sweep", "batch", "1..2"], "--sweep and --fit-on are 2 questions"),
     (["--fit-on", "h100", "--compare", "gpt2", "gpt-1"], "leave out MODEL, --sweep, --fit-on and --verify")],
)  # fmt: skip
def test_a_mistake_is_one_clear_line(arguments, words, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    mixer = {"kind": "linear", "n_heads": 4}
    (tmp_path / "ours.json").write_text(json.dumps({"vocab_size": 97, "n_layers": 1, "d_model": 32, "mixer": mixer}))
    assert main(["cost", *arguments]) == 2
    told = capsys.readouterr()
    assert (told.out, told.err.count("\n")) == ("", 1)
    assert words in told.err
