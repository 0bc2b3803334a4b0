"""isostate.cli.options."""

from __future__ import annotations

from pathlib import Path

import pytest

from isostate.cli import options
from isostate.config import UserError


def test_processors_are_shared_among_runs_by_their_threads(monkeypatch):
    monkeypatch.setattr(options, "processors", lambda: 8)
    assert [options.jobs_for(None, threads) for threads in (1, 2, 3, 16)] == [8, 4, 2, 1]
    assert options.jobs_for(5, 16) == 5


@pytest.mark.parametrize("asked", [0, -1])
def test_no_workers_are_refused(asked):
    with pytest.raises(UserError, match="must be at least 1"):
        options.jobs_for(asked, 1)


def test_there_is_a_processor():
    assert options.processors() >= 1


def test_the_cache_is_no_study():
    assert options.cache_of(Path("runs")).parent == Path("runs")
    assert options.cache_of(Path("runs")).name.startswith(".")
