"""The studies that are shipped: sound, and as large as they say; the smallest shape of the quickstart runs."""

from __future__ import annotations

import json
import textwrap
from collections import defaultdict
from pathlib import Path

import pytest

from isostate.mixers import MIXERS
from isostate.study.file import read_study
from isostate.study.grid import expand
from isostate.study.plan import check_study

STUDIES = Path(__file__).resolve().parents[1] / "studies"


def cells_of(name: str, *changes: str):
    file = read_study(STUDIES / f"{name}.toml", changes)
    return expand(check_study(file, ["state"]), name)[0]


@pytest.mark.parametrize("path", sorted(STUDIES.glob("*.toml")), ids=lambda path: path.stem)
def test_every_study_is_sound_and_named_after_its_file(path):
    study = check_study(read_study(path), ["state"])
    assert study.name == path.stem
    assert study.question.endswith("?")
    assert [fit.law for fit in study.fit] == (["state"] if study.name != "zoo" else [])


def test_the_zoo_trains_every_mixer_at_its_default_settings():
    cells = cells_of("zoo")
    kinds = {mixer.kind for cell in cells for mixer in cell.config.model.mixers}
    assert kinds == set(MIXERS)
    assert {cell.config.train.steps for cell in cells} == {300}
    assert {cell.config.model.n_layers for cell in cells} == {4}


def test_the_quickstart_compares_four_families_at_four_states_or_more():
    cells = cells_of("quickstart")
    states = defaultdict(set)
    for cell in cells:
        states[cell.family].add(cell.state)
    assert len(states) >= 4
    assert all(len(sizes) >= 4 for sizes in states.values())
    counts = [cell.config.model.param_count().non_embedding for cell in cells]
    assert max(counts) / min(counts) < 1.01  # each within 0.5 % of the softmax model
    assert len({cell.config.train for cell in cells}) == 1


def test_the_quickstarts_families_share_a_range_of_state_in_which_they_compare():
    spans = defaultdict(list)
    for cell in cells_of("quickstart"):
        spans[cell.family].append(cell.state)
    low, high = max(min(sizes) for sizes in spans.values()), min(max(sizes) for sizes in spans.values())
    assert high / low >= 2


def test_the_reference_study_has_sizes_contexts_and_seeds_as_coordinates():
    cells = cells_of("state_scaling")
    assert len({cell.size for cell in cells}) >= 2
    assert len({cell.config.data.context for cell in cells}) >= 3
    assert len({cell.config.seed for cell in cells}) >= 3


def test_the_hybrids_alternate_and_differ_in_one_knob_a_family():
    families = defaultdict(list)
    for cell in cells_of("hybrids"):
        families[cell.family].append(cell)
    assert len(families) == 5
    for cells in families.values():
        assert len({cell.state for cell in cells}) == len(cells) >= 4
    based = families["taylor-2-gated+window:8"][0].config.model
    assert [mixer.kind for mixer in based.mixers] == ["taylor", "window"] * 2
    solved = families["mamba2:4+window"]
    assert all(abs(cell.state / cell.wanted_state - 1) < 0.02 for cell in solved)


def test_the_readme_shows_the_quickstart_as_it_is_and_numbers_of_its_record():
    root = STUDIES.parent
    readme, study = (root / "README.md").read_text(), (STUDIES / "quickstart.toml").read_text()
    body = study[study.index("name =") :].rstrip()
    assert textwrap.indent(body, "    ") in readme
    record = [json.loads(line) for line in (root / "docs" / "quickstart.jsonl").read_text().splitlines()]
    loss = {(row["family"], row["state_elements"]): f"{row['loss_nats_1024']:.3f}" for row in record}
    assert len(record) == len(cells_of("quickstart"))
    told = " ".join(readme[readme.index("*The first figure") : readme.index("## Two commands")].split())
    assert f"stands at {loss['window-3kv', 1056]} nats" in told
    assert f"takes 3,360 elements to {loss['window', 3360]}." in told
