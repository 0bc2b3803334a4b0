"""One finished study that tests of several verbs read, each in its own copy."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from isostate.cli import main
from tests.study import tiny


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with text/, tiny.toml and runs/, its study run to the end."""
    folder = tmp_path_factory.mktemp("trained")
    tiny.corpus(folder / "text")
    tiny.write(folder / "tiny.toml", tiny.values("text"))
    before = Path.cwd()
    os.chdir(folder)
    try:
        assert main(["run", "tiny.toml", "--jobs", "1"]) == 0
    finally:
        os.chdir(before)
    return folder


@pytest.fixture
def finished(trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of `trained` to be in."""
    shutil.copytree(trained, tmp_path / "copy")
    monkeypatch.chdir(tmp_path / "copy")
    return tmp_path / "copy"
