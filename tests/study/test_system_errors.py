"""isostate.study.system_errors."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from isostate.study.system_errors import ADVICE, explain_os_error


@pytest.mark.parametrize("number", ADVICE, ids=errno.errorcode.get)
def test_it_names_the_path_and_what_to_do_in_one_line(number):
    line = explain_os_error(OSError(number, os.strerror(number), "runs/a"), Path("elsewhere"))
    assert line == f"runs/a: {os.strerror(number).lower()}; {ADVICE[number]}"


def test_without_a_path_of_its_own_it_names_where_it_was():
    line = explain_os_error(OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)), Path("runs/b"))
    assert line.startswith("runs/b: no space left on device; free some space")


def test_what_we_raised_ourselves_stays_as_it_is():
    assert explain_os_error(OSError("runs/ledger.sqlite: database or disk is full"), Path("x")) == (
        "runs/ledger.sqlite: database or disk is full"
    )
