"""The house: what HOUSE_STYLE and DESIGN ask for and a machine can check. Each failure says how to mend it."""

from __future__ import annotations

import importlib
import re
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

import pytest

from tests.house import BANNED_NAMES, MAX_FILE_LINES, RULES, Source, short_functions

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "src" / "isostate"
TESTS = ROOT / "tests"
SOURCES = [Source(path.relative_to(PACKAGE).as_posix(), path.read_text()) for path in sorted(PACKAGE.rglob("*.py"))]

# Tests of more than one file, and why they mirror none.
MIRROR_NOTHING = {
    "test_house.py": "the whole tree",
    "test_tolerances.py": "tests/tolerances.py, which other tests trust",
    "test_examples.py": "runs examples/",
    "test_studies.py": "checks and runs studies/",
    "test_reference_studies.py": "checks studies/reference/",
    "test_state_scaling_page.py": "docs/state-scaling.html, which studies/reference/write_article.py writes",
    "test_bad_input.py": "every verb against what users get wrong",
    "test_errata.py": "docs/errata.md",
    "test_gallery.py": "docs/gallery.md, which scripts/write_gallery.py writes",
    "test_benchmark_records.py": "benchmarks/records/, and docs/counters.md",
    "errata/test_attention.py": "what the notes get wrong, where Isostate has no code for it",
    "errata/test_inference.py": "what the notes get wrong, where Isostate has no code for it",
    "errata/test_memory.py": "what the notes get wrong, where Isostate has no code for it",
    "errata/test_parallel.py": "what the notes get wrong, where Isostate has no code for it",
    "errata/test_states.py": "what the notes get wrong, where Isostate has no code for it",
    "errata/test_steps.py": "what the notes get wrong, where Isostate has no code for it",
    "mixers/test_forms.py": "all mixers: forms agree",
    "model/test_documents.py": "all decoders: packed documents equal separate ones",
    "mixers/test_contract.py": "all mixers: causal, state sizes, prefill and decode",
}
MACHINE_PATH = re.compile(r"(?<![\w.$}/-])/(tmp|root|work|home|Users|private)/[A-Za-z0-9_.-]+")


def refuse(offences: Iterable[str], mend: str) -> None:
    listed = "\n  ".join(offences)
    if listed:
        pytest.fail(f"{mend}:\n  {listed}", pytrace=False)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_the_package_keeps_the_rule(rule):
    offences = [f"src/isostate/{s.path}:{line}: {what}" for s in SOURCES for line, what in sorted(set(rule(s)))]
    refuse(offences, RULES[rule])


PLANTED = {
    "imports_downward": [
        ("laws/fit.py", "from isostate.mixers import MIXERS"),
        ("mixers/power.py", "from ..model import block"),
        ("report/page.py", "from isostate import train"),
        ("novelty/thing.py", "x = 1"),
    ],
    "torch_kept_out": [("laws/fit.py", "def f():\n    import torch.nn"), ("cli.py", "import torch")],
    "imports_at_the_top": [("train/loop.py", "def f():\n    import json")],
    "short_files": [("a.py", "x = 1\n" * 301)],
    "short_functions": [("a.py", "def f():\n" + "    x = 1\n" * 50)],
    "no_printing": [("train/loop.py", "print(1)")],
    "no_pickle": [("records.py", "import pickle"), ("a.py", "torch.load(p)"), ("a.py", "load(p, allow_pickle=True)")],
    "no_broad_except": [
        ("a.py", "try:\n    f()\nexcept:\n    pass"),
        ("a.py", "try:\n    f()\nexcept (OSError, Exception) as e:\n    g(e)"),
        ("a.py", "with contextlib.suppress(Exception):\n    f()"),
    ],
    "nothing_at_import": [
        ("a.py", "import os\nHOME = os.environ['HOME']"),
        ("a.py", "def f(x=os.getenv('A')):\n    pass"),
        ("a.py", "class A:\n    gpu = torch.cuda.is_available()"),
        ("a.py", "setup()"),
        ("a.py", "text = open('x').read()"),
    ],
    "tensors_carry_shapes": [
        ("mixers/a.py", "def f(q: Tensor): ..."),
        ("model/a.py", "def f(x_BTD, mask: torch.Tensor | None = None): ..."),
        ("mixers/a.py", "@dataclass(frozen=True)\nclass A:\n    matrix: Tensor"),
        ("mixers/a.py", "y_BTX = f(x_BTD)"),
    ],
    "law_symbols_in_laws": [("train/a.py", "N = 1"), ("costs/a.py", "def f(C): ..."), ("costs/a.py", "flops = 3")],
    "configs_are_frozen": [
        ("a.py", "class DataConfig:\n    x: int"),
        ("a.py", "class Data(BaseModel):\n    x: int"),
        ("a.py", "class AConfig(Config):\n    model_config = ConfigDict(frozen=False)"),
    ],
    "docstrings_on_what_is_public": [("a.py", "x = 1"), ("a.py", '"""A."""\ndef f():\n    g()\n    h()')],
    "inits_only_gather": [("mixers/__init__.py", "def f():\n    g()\n    h()")],
    "no_banned_names": [("train/utils.py", ""), ("common/a.py", "")],
    "no_loose_ends": [("a.py", "x = 1  # " + "TODO later")],
}


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_the_rule_catches_what_is_planted(rule):
    for path, text in PLANTED[rule.__name__]:
        assert list(rule(Source(path, text))), f"{rule.__name__} passes over {text!r} in {path}"


def test_the_rules_pass_over_good_code():
    good = Source(
        "mixers/power.py",
        '"""Power."""\n'
        "import torch\n"
        "from torch import Tensor\n"
        "from isostate.config import Config\n"
        "class PowerConfig(Config):\n"
        '    """Degree."""\n'
        "    degree: int = 2\n"
        "def power(q_BTHK: Tensor, scale: float, state_BHPV: Tensor | None = None) -> Tensor:\n"
        '    """phi(q)."""\n'
        "    try:\n"
        "        B, T, H, K = q_BTHK.shape\n"
        "    except BaseException:\n"
        "        clean()\n"
        "        raise\n"
        "    return q_BTHK\n",
    )
    assert {rule.__name__: list(rule(good)) for rule in RULES if list(rule(good))} == {}


def mirror_of(source: Source) -> str:
    return str(Path(source.path).with_name(f"test_{Path(source.path).name}").as_posix())


def test_every_file_has_its_tests():
    # A mixer's tests are its row in tests/mixers/cases.py (below): a new one costs three edits, not four.
    is_mixer = {s.path: s.component == "mixers" and 'kind: Literal["' in s.text for s in SOURCES}
    ours = [s for s in SOURCES if not s.is_init and not is_mixer[s.path]]
    refuse(
        [f"src/isostate/{s.path} has no tests/{mirror_of(s)}" for s in ours if not (TESTS / mirror_of(s)).exists()],
        "write the tests at the mirrored path",
    )


def test_every_test_file_has_its_file():
    known = {mirror_of(source) for source in SOURCES} | set(MIRROR_NOTHING)
    found = [path.relative_to(TESTS).as_posix() for path in sorted(TESTS.rglob("test_*.py"))]
    refuse(
        [f"tests/{path} mirrors no file of src/isostate" for path in found if path not in known],
        "rename it after the file it tests, or give its reason in MIRROR_NOTHING (tests/test_house.py)",
    )


def test_every_mixer_has_a_case():
    if not (TESTS / "mixers" / "cases.py").exists():
        pytest.skip("tests/mixers/cases.py is not written yet")
    mixers = importlib.import_module("isostate.mixers").MIXERS
    cases = importlib.import_module("tests.mixers.cases").CASES
    covered = {case.kind for case in cases}
    refuse(sorted(set(mixers) - covered), "add a row (a config of the mixer) to CASES in tests/mixers/cases.py")
    refuse(sorted(covered - set(mixers)), "these cases name no mixer of MIXERS; delete or rename them")


# Tables beside MIXERS in which a mixer needs a row, and what is wrong without it.
ROWS = {
    "isostate.costs.tape.mixers.MIXERS_TOLD": "its training memory and FLOPs cannot be counted",
    "isostate.costs.mixer_kernels.MIXER_PASSES": "the time of its training cannot be predicted",
    "isostate.costs.decode_kernels.MIXER_STEPS": "the time of its generation cannot be predicted",
    "isostate.mixers.steps.STEPS": "it cannot generate in buffers made once",
}


@pytest.mark.parametrize("table", ROWS)
def test_every_mixer_has_its_row(table):
    module, _, name = table.rpartition(".")
    rows = getattr(importlib.import_module(module), name)
    mixers = importlib.import_module("isostate.mixers").MIXERS
    refuse(sorted(set(mixers) ^ set(rows)), f"add a row to {table}; without it {ROWS[table]}")


@pytest.mark.parametrize("module", ["cli", "data", "laws", "records", "report"])
def test_it_imports_without_torch(module):
    if not ((PACKAGE / f"{module}.py").exists() or (PACKAGE / module / "__init__.py").exists()):
        pytest.skip(f"isostate.{module} is not written yet")
    code = f"import sys, isostate.{module}; sys.exit('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, f"importing isostate.{module} imports torch, or fails: {done.stderr[-500:]}"


def tracked_files() -> list[Path]:
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    try:
        listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    except (FileNotFoundError, subprocess.CalledProcessError):
        pytest.skip("not a git checkout: which files are ours is not known")
    return [path for name in listed.split("\0") if name and (path := ROOT / name).is_file()]


def test_no_file_names_a_place_on_one_machine():
    offences = []
    for path in tracked_files():
        if (
            path.suffix in {".py", ".md", ".toml", ".json", ".jsonl", ".yml", ".sh", ".html", ""}
            and path.stat().st_size < 1e6
        ):
            lines = path.read_text(errors="replace").splitlines()
            found = [
                (number, match.group()) for number, line in enumerate(lines, 1) for match in MACHINE_PATH.finditer(line)
            ]
            offences += [f"{path.relative_to(ROOT)}:{number}: {place}" for number, place in found]
    refuse(offences, "write the path relative to the repository, or take it from tmp_path or an argument")


def test_the_rule_on_places_catches_one():
    assert MACHINE_PATH.search('open("/' + 'home/someone/data.txt")')
    assert MACHINE_PATH.search("cd /" + "tmp/x")
    assert not MACHINE_PATH.search("#!/usr/bin/env bash, https://host/" + "home/page, src/" + "work/x")


def test_no_test_or_script_is_long_or_badly_named():
    offences = []
    for path in tracked_files():
        if path.suffix == ".py" and PACKAGE not in path.parents:
            source = Source(path.relative_to(ROOT).as_posix(), path.read_text())
            offences += [f"{source.path}: {what}" for _, what in short_functions(source)]
            lines = source.text.count("\n")
            offences += [f"{source.path}: {lines} lines, at most {MAX_FILE_LINES}"] * (lines > MAX_FILE_LINES)
            offences += [f"{source.path}: is named {path.stem!r}"] * (path.stem in BANNED_NAMES)
    refuse(offences, "it wants to be two things: split it, and name it after what it does")
