"""The reference study's files: what they promise of families, states, sizes, contexts; and the article's numbers."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

import pytest

from isostate.records import compact, run_directories, write_committed
from isostate.report.fits import DRAWN_LAWS
from isostate.study.file import read_study
from isostate.study.grid import expand
from isostate.study.plan import check_study
from isostate.study.remember import study_sha256
from tests.report import studies

REFERENCE = Path(__file__).resolve().parents[1] / "studies" / "reference"
FILES = sorted(REFERENCE.glob("*.toml"))


@pytest.fixture(scope="module")
def cells():
    """Cells by study name."""
    found = {}
    for path in FILES:
        study = check_study(read_study(path), DRAWN_LAWS)
        assert (study.name, study.question[-1]) == (path.stem, "?")
        found[study.name], notices = expand(study, path.stem)
        assert notices == []
    return found


def states_of(cells, **where):
    families = defaultdict(set)
    for cell in cells:
        if all(getattr(cell, name) == value for name, value in where.items()):
            families[cell.family].add(cell.state)
    return families


def test_there_is_a_file_for_each_question(cells):
    assert set(cells) == {
        "01_state_laws", "02_context", "03_model_size", "04_time_budgets", "05_data", "pilot",
    }  # fmt: skip


def test_every_cell_of_a_size_has_the_same_parameters_to_half_a_percent(cells):
    for study in cells.values():
        by_size = defaultdict(set)
        for cell in study:
            by_size[cell.size].add(cell.config.model.param_count().non_embedding)
        assert all(max(counts) / min(counts) < 1.01 for counts in by_size.values())  # each 0.5 % from softmax


def test_state_laws_have_six_states_a_family_and_three_model_sizes(cells):
    small = states_of(cells["01_state_laws"], size="small")
    assert set(small) == {
        "window", "linear", "linear-gated", "taylor-2", "taylor-2-gated", "power-2", "power-2-gated", "power-4",
        "power-4-gated", "mamba2",
    }  # fmt: skip
    assert all(len(sizes) == (7 if family.startswith("taylor") else 6) for family, sizes in small.items())
    decades = {family: math.log10(max(sizes) / min(sizes)) for family, sizes in small.items()}
    # Linear goes from heads of one element to one head; Mamba-2 until what its state is projected by leaves the
    # feed-forward a width of 11: no more is possible at equal width and parameters.
    narrow = {family: round(decades.pop(family), 1) for family in ("linear", "linear-gated", "mamba2")}
    assert narrow == {"linear": 1.5, "linear-gated": 1.5, "mamba2": 2.0}
    assert min(decades.values()) > 2.5
    counts = {cell.size: cell.config.model.param_count().non_embedding for cell in cells["01_state_laws"]}
    assert [round(counts[size] / 1e6, 1) for size in ("small", "medium", "large")] == [0.2, 0.9, 3.0]
    for size in ("medium", "large"):
        assert all(len(sizes) >= 3 for sizes in states_of(cells["01_state_laws"], size=size).values())


def test_contexts_go_from_128_to_4096_and_are_evaluated_at_16384(cells):
    configs = [cell.config for cell in cells["02_context"]]
    assert {config.data.context for config in configs} == {128, 512, 2048, 4096}
    assert {max(config.eval.contexts) for config in configs} == {16_384}
    assert {"softmax", "window", "power-2", "power-2-gated"} == {cell.family for cell in cells["02_context"]}


def test_runs_that_two_questions_ask_for_are_the_same_runs(cells):
    first = {cell.run_id for cell in cells["01_state_laws"]}
    sizes = [cell for cell in cells["03_model_size"] if cell.size != "tiny"]
    assert all(cell.run_id in first for cell in sizes)
    python = [cell for cell in cells["05_data"] if cell.config.data.text == "python"]
    assert all(cell.run_id in first for cell in python)
    assert {cell.run_id for cell in cells["04_time_budgets"]} <= {cell.run_id for cell in cells["02_context"]}


def test_the_data_have_recall_and_a_dilution(cells):
    texts = {cell.config.data.text for cell in cells["05_data"]}
    assert texts == {"python", "bard", "python + recall of 16 at 32, 30 %", "bard, 3 fillers"}


@pytest.mark.slow
def test_the_articles_numbers_come_from_committed_records_alone(tmp_path):
    """Synthetic runs, collected beside a copy of a study file: the script tells them, and refuses an altered record."""
    rows = [studies.run(family, state=state) for family in ("power-2", "window") for state in studies.STATES]
    for row in rows:
        row["config"] |= {"train": {"threads": 1, "steps": 1000}, "model": {"mixer": row["mixer"]}}
    studies.write(tmp_path / "runs", studies.STUDY, rows)
    (tmp_path / "made_up.toml").write_text('name = "made_up"\n[[fit]]\nlaw = "state"\n')
    file = read_study(tmp_path / "made_up.toml")
    study = {"study_sha256": study_sha256(file.values), "data": {}, "rates": {}, "notices": [], "settled": True}
    records = {run.run_id: compact(run, {}) for run in run_directories(tmp_path / "runs")}
    write_committed(file.records, {**study, "planned": sorted(records)}, records)
    command = [sys.executable, str(REFERENCE / "article_numbers.py"), str(file.path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    told, published = (json.loads(line) for line in done.stdout.splitlines())
    assert (told["study"], told["runs"], told["missing"]) == ("made_up", {"done": 12}, [])
    alpha = next(law for law in told["laws"] if law["group"]["family"] == "power-2")["params"]["alpha"]
    assert alpha["low"] < studies.FAMILIES["power-2"][2] < alpha["high"]
    assert len(told["answers"]["at_equal_state"]) == 12
    assert published["published"][0]["family"] == "linear"
    assert {claim["evidence"] for claim in published["claims"] if claim["key"] == "falls"} == {"not trained yet"}
    template, out = tmp_path / "article.md", tmp_path / "out.md"
    template.write_text("{{ made_up.seed_noise.dof }} of {{ made_up.runs.done }}\n{{ table: laws made_up }}\n")
    writing = [*command, "--write", "--template", str(template), "--out", str(out)]
    subprocess.run(writing, check=True, capture_output=True)
    assert out.read_text().splitlines()[0] == "0 of 12"
    assert "| power-2 |" in out.read_text()
    template.write_text("{{ made_up.seed_nois }}")
    done = subprocess.run(writing, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "no 'seed_nois' there (did you mean \"seed_noise\"?)" in done.stderr
    file.records.write_bytes(file.records.read_bytes().replace(b'"seed":0', b'"seed":1', 1))
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "was altered" in done.stderr


@pytest.mark.slow
def test_the_committed_article_is_what_the_template_and_the_records_say(tmp_path):
    """docs/state-scaling.md, whenever a question has records."""
    committed = REFERENCE.parents[1] / "docs" / "state-scaling.md"
    if not list((REFERENCE / "records").glob("[0-9]*.jsonl")):
        assert not committed.exists(), "an article without records backs nothing"
        return
    out = tmp_path / "state-scaling.md"
    command = [sys.executable, str(REFERENCE / "article_numbers.py"), "--write", "--out", str(out)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert committed.read_text(encoding="utf-8") == out.read_text(encoding="utf-8"), f"run {' '.join(command[1:3])}"
