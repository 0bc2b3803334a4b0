"""The examples run as they stand."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.study import tiny

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"


@pytest.mark.slow
def test_a_study_of_ones_own_text_prints_a_line_a_run(tmp_path):
    text = tiny.corpus(tmp_path / "text")
    command = [sys.executable, str(EXAMPLES / "own_study.py"), str(text), str(tmp_path / "runs")]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env={**os.environ}, timeout=300)
    rows = [line.split() for line in done.stdout.splitlines() if line[0].isdigit() and line.count(" ") == 2]
    assert sorted(row[0] for row in rows) == ["2", "8"]
    assert all(0 < float(row[2]) < 6 for row in rows)


def test_every_example_has_its_test():
    assert {path.name for path in EXAMPLES.glob("*.py")} == {"own_study.py"}
