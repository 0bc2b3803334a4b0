"""The table of what changed between the famous models is the one that the presets give."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from isostate.costs.preset_table import find_preset, load_presets
from isostate.costs.what_changed import COLUMNS, what_changed

PAGE = Path(__file__).parents[2] / "docs" / "what-changed.md"


def row(family: str) -> dict[str, str]:
    lines = [line.strip("| \n").split(" | ") for line in PAGE.read_text(encoding="utf-8").splitlines()]
    lines = [line for line in lines if len(line) == 2 + len(COLUMNS)]
    names = lines[0]
    return dict(zip(names, next(line for line in lines if line[0] == family), strict=True))


def test_the_committed_page_is_what_the_function_writes(tmp_path):
    assert PAGE.read_text(encoding="utf-8") == what_changed()
    written = tmp_path / "page.md"
    subprocess.run([sys.executable, "-m", "isostate.costs.what_changed", str(written)], check=True)
    assert written.read_text(encoding="utf-8") == what_changed()


@pytest.mark.parametrize(
    "family, column, says",
    [
        # What the third note tells of them, family after family.
        ("GPT-1", "norm", "LayerNorm after"),
        ("GPT-1", "position", "learned"),
        ("GPT-1", "context", "512"),
        ("GPT-2", "norm", "LayerNorm before"),
        ("GPT-2", "context", "1,024"),
        ("GPT-2", "vocabulary", "50,257"),
        ("GPT-3", "attention", "multi-head, every other layer banded"),
        ("Jurassic-1", "vocabulary", "256,000"),
        ("Jurassic-1", "tokenizer", "SentencePiece"),
        ("Gopher", "norm", "RMSNorm before"),
        ("Gopher", "position", "relative (Transformer-XL)"),
        ("Gopher", "tokenizer", "SentencePiece"),
        ("Chinchilla", "tokenizer", "SentencePiece without NFKC"),
        ("PaLM", "attention", "multi-query"),
        ("PaLM", "block", "parallel"),
        ("PaLM", "activation", "SwiGLU"),
        ("PaLM", "position", "rotary"),
        ("LLaMA", "norm", "RMSNorm before"),
        ("LLaMA", "activation", "SwiGLU"),
        ("LLaMA", "position", "rotary"),
        ("Llama 2", "attention", "multi-head (7b, 13b); grouped-query (34b, 70b)"),
        ("Mistral", "attention", "grouped-query, all layers windowed at 4,096"),
        ("Mixtral", "activation", "SwiGLU, 2 of 8 experts"),
        ("DeepSeek-V3", "attention", "latent"),
        ("Gemma 2", "norm", "RMSNorm before and after"),
        ("Mamba", "attention", "none: Mamba"),
        ("BLOOM", "position", "ALiBi"),
        ("ViT", "attention", "multi-head, both ways"),
        ("ViT", "vocabulary", "none"),
    ],
)
def test_the_table_tells_what_changed(family, column, says):
    assert row(family)[column] == says


def test_every_family_has_a_row_and_every_parted_count_a_line():
    page = what_changed()
    families = {preset.family for preset in load_presets().values()}
    table = page.partition("## Where")[0]
    assert table.count("\n| ") == len(families) + 2
    parted = [claim for preset in load_presets().values() for claim in preset.published if claim.differs]
    assert page.count("\n| ") == len(families) + 2 + len(parted) + 2


def test_columns_describe_every_preset():
    for preset in load_presets().values():
        for describe in COLUMNS.values():
            assert describe(preset)


def test_a_padded_table_shows_the_tokens_that_the_tokenizer_has():
    assert COLUMNS["vocabulary"](find_preset("megatron-turing-530b")) == "50,257"
    assert COLUMNS["vocabulary"](find_preset("mamba-130m")) == "50,277"
