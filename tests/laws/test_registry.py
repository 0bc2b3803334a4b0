"""Published fits: whole, verified, refitted beside the authors' values."""

import http.client
import shutil
import urllib.error

import numpy as np
import pytest

from isostate.config import UserError
from isostate.laws import fit_law, registry
from isostate.laws.allocate import allocate
from isostate.laws.registry import PUBLISHED, as_fit, fetch, published, refit
from tests.laws.public import FOLDER, column, needs_tables, rows


def cached(name, path, cache):
    """Puts a public table where `fetch` would have put it, so that tests need no network."""
    table = published(name).table
    cache.mkdir(exist_ok=True)
    shutil.copy(FOLDER / path, cache / f"{table.sha256[:12]}-{table.address.rpartition('/')[2]}")


@pytest.mark.parametrize("name", PUBLISHED)
def test_every_entry_has_a_source_and_all_of_its_laws_parameters(name):
    fit = PUBLISHED[name]
    assert fit.source
    assert set(fit.values) == set(fit.law.names)
    for key, (low, high) in fit.intervals.items():
        assert low < fit.values[key] < high
    if fit.table is not None:
        assert fit.table.licence
        assert len(fit.table.sha256) == 64


@needs_tables
def test_the_epoch_table_is_verified_refitted_and_set_beside_theirs(tmp_path):
    cached("epoch-chinchilla", "epoch_chinchilla/svg_extracted_data.csv", tmp_path)
    theirs, ours, rows = refit("epoch-chinchilla", tmp_path, bootstrap=200, holdout=None)
    assert theirs.source.startswith("Besiroglu")
    assert {row["parameter"] for row in rows} == set(theirs.values)
    assert max(abs(row["relative"]) for row in rows) < 5e-4
    assert len(ours.points) == 240


@needs_tables
def test_clarks_table_refits_within_its_tolerances(tmp_path):
    cached("clark-rl-r", "clark_routed/curves.csv.gz", tmp_path)
    _, _, rows = refit("clark-rl-r", tmp_path, bootstrap=0, holdout=None)
    ours = {row["parameter"]: row["ours"] - row["theirs"] for row in rows}
    for name, tolerance in zip("abcd", (0.002, 0.012, 0.001, 0.012), strict=True):
        assert abs(ours[name]) < tolerance


def test_a_table_that_was_tampered_with_is_refused(tmp_path):
    table = published("epoch-chinchilla").table
    (tmp_path / f"{table.sha256[:12]}-svg_extracted_data.csv").write_text("x,y\n")
    with pytest.raises(UserError, match="delete it and fetch again"):
        fetch(published("epoch-chinchilla"), tmp_path)


def test_an_unknown_name_and_a_fit_without_a_table_are_told(tmp_path):
    with pytest.raises(UserError, match='did you mean "kaplan"'):
        published("kaplen")
    with pytest.raises(UserError, match="published no table"):
        fetch(published("kaplan"), tmp_path)


@pytest.mark.parametrize(
    "failure", [urllib.error.URLError("no name server"), TimeoutError("timed out"), http.client.IncompleteRead(b"x")]
)
def test_a_failed_download_says_where_the_file_belongs(failure, tmp_path, monkeypatch):
    def refuse(address, timeout):
        raise failure

    monkeypatch.setattr(registry.urllib.request, "urlopen", refuse)
    with pytest.raises(UserError, match="cannot fetch https://") as error:
        fetch(published("epoch-chinchilla"), tmp_path / "cache")
    assert f"put the file at {tmp_path}/cache/193478df4e90-svg_extracted_data.csv by hand" in str(error.value)
    assert list((tmp_path / "cache").iterdir()) == []


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_values_are_a_fit_that_predicts(name):
    fit = as_fit(PUBLISHED[name])
    assert fit.values == PUBLISHED[name].values
    assert fit.draws is None
    assert fit.points == ()


def test_published_values_allocate_without_intervals():
    # Besiroglu et al. 2024: at 5.76e23 FLOPs about 20 tokens a parameter, not the 70 that Hoffmann's values imply
    best = allocate(as_fit(published("epoch-chinchilla")), 5.76e23).amounts
    assert best["N"].low is None
    assert 15 < best["D"].value / best["N"].value < 30
    theirs = allocate(as_fit(published("hoffmann-chinchilla")), 5.76e23).amounts
    assert theirs["D"].value / theirs["N"].value > 50


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("muennighoff", "notebook utils/parametric_fit.ipynb"),
        ("gadre-c4", "208 JSON files"),
        ("porian-tuned", "pickles"),
    ],
)
def test_runs_that_no_single_table_holds_are_said_to_be_where_they_are(name, words, tmp_path):
    with pytest.raises(UserError, match=words) as error:
        fetch(published(name), tmp_path)
    assert "at commit" in str(error.value)
    assert "\n" not in str(error.value)


@needs_tables
@pytest.mark.parametrize(
    ("name", "dataset"), [("c4", "c4_original"), ("redpajama", "rpj"), ("refinedweb", "rw_original")]
)
def test_gadres_values_are_what_their_runs_give(name, dataset):
    small = ("d=96_l=8_h=4", "d=512_l=8_h=4", "d=576_l=24_h=8", "d=1024_l=24_h=8")
    table = [row for row in rows("gadre/runs.csv") if row["dataset"] == dataset]
    runs = [row for row in table if row["model"] in small and float(row["cc_mult"]) == 1]
    runs += [row for row in table if row["model"] == small[0] and float(row["cc_mult"]) == 16]
    with_1b = runs + [row for row in table if row["model"] == "open_lm_1b" and float(row["cc_mult"]) == 1]
    x = {"C": column(runs, "flops"), "M": column(runs, "tok_mult")}
    seen = {"L": column(with_1b, "loss_c4_val")}
    for theirs, inputs, y in (
        (published(f"gadre-{name}"), x, column(runs, "loss_c4_val")),
        (published(f"gadre-{name}-downstream"), seen, column(with_1b, "err_avg_subset")),
    ):
        ours = fit_law(theirs.law, inputs, y, objective=theirs.objective, bootstrap=0, profile_points=0, holdout=None)
        for key, value in theirs.values.items():
            assert ours.values[key] == pytest.approx(value, rel=4e-3), key


def test_the_published_precision_law_halves_a_model_at_two_bits():
    # Kumar et al. 2024, table 2: 1 - exp(-P / 2.6745)
    theirs = published("kumar-precision")
    x = {"N": np.full(2, 1e8), "D": np.full(2, 1e10), "P": np.array([2.6745 * np.log(2), 1e3])}
    half, full = theirs.law.predict(theirs.values, x)
    parameters = theirs.values["A"] * 1e8 ** -theirs.values["alpha"]
    assert half - full == pytest.approx(parameters * (2 ** theirs.values["alpha"] - 1))
