"""isostate.cli.app: what all verbs share."""

from __future__ import annotations

import subprocess
import sys

import pytest

import isostate
from isostate.cli import app, main

VERBS = ["run", "plan", "status", "report", "fit", "allocate", "next", "cost", "doctor"]


def test_the_version_is_told(capsys):
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"isostate {isostate.__version__}\n"


def test_without_a_verb_the_help_names_them_all(capsys):
    assert main([]) == 0
    told = capsys.readouterr().out
    assert all(verb in told for verb in VERBS)


@pytest.mark.parametrize("verb", VERBS)
def test_every_verbs_help_has_an_example(verb, capsys):
    assert main([verb, "--help"]) == 0
    told = capsys.readouterr().out
    assert f"Example: isostate {verb}" in told
    assert "--json" in told


@pytest.mark.parametrize("raised, code", [(BrokenPipeError, 0), (KeyboardInterrupt, 130)])
def test_a_reader_that_left_is_no_mistake_and_a_ctrl_c_has_its_code(raised, code):
    program = (
        "import sys\nfrom isostate.cli import app as module\nimport isostate.cli.app as app\n"
        f"def verb(*a, **k): raise {raised.__name__}\n"
        "app.app = verb\nsys.exit(app.main(['status']))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (code, "")
    assert "Traceback" not in done.stderr


def test_what_nobody_foresaw_is_not_hidden(monkeypatch):
    def verb(**options):
        raise ZeroDivisionError

    monkeypatch.setattr(app, "app", verb)
    with pytest.raises(ZeroDivisionError):
        main(["status"])
