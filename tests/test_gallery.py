"""docs/gallery.md is what the registry says now, and the figures measure what their caption says."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from isostate.mixers import MIXERS

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "scripts"))
import write_gallery  # noqa: E402


def test_the_committed_page_is_what_the_registry_says():
    assert (ROOT / "docs" / "gallery.md").read_text(encoding="utf-8") == write_gallery.page()


def test_every_mixer_has_its_figure():
    figures = {path.stem for path in (ROOT / "docs" / "gallery").glob("*.svg")}
    assert figures == set(MIXERS) == set(write_gallery.SHOWN) == set(write_gallery.FRESH)


@pytest.fixture
def small(monkeypatch):
    monkeypatch.setattr(write_gallery, "FRESH_CONTEXT", 65)
    monkeypatch.setattr(write_gallery, "SAMPLES", 8)


def test_a_fresh_window_hears_nothing_beyond_itself(small):
    ages, heard = write_gallery.heard(write_gallery.built("window", 16, {}, 8))
    assert all((loud > 0) == (age < 8) for age, loud in zip(ages, heard, strict=True))
    assert ages[0] == 1.0


def test_a_fixed_decay_is_heard_at_its_own_rate(small):
    options = {"phi": "identity", "normaliser": "none", "decay": "retention", "n_heads": 1, "head_dim": 16}
    config = MIXERS["linear"].config.model_validate({"kind": "linear", "d_model": 16, **options})
    ages, heard = write_gallery.heard(config)
    assert heard[-1] / heard[0] == pytest.approx((1 - 2**-5) ** (ages[-1] - ages[0]), rel=0.5)
    assert heard[-1] / heard[0] < 0.5  # where nothing is forgotten they are alike
