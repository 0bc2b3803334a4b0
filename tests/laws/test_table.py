"""Tables: three formats, one shape; every mistake in one line; mixtures alarm."""

import gzip
import json

import numpy as np
import pytest

from isostate.config import UserError
from isostate.laws import LAWS
from isostate.laws.table import fit_table, from_rows, mixtures, numbers, where
from isostate.laws.table_file import read_table
from tests.laws.planted import PLANTED

CASE = PLANTED["chinchilla"]
LOSS = LAWS["chinchilla"].predict(CASE.values, CASE.inputs)
ROWS = [
    {"n_params": float(n), "n_tokens": float(d), "flops": float(6 * n * d), "loss": float(y), "corpus": "bard"}
    for n, d, y in zip(CASE.inputs["N"], CASE.inputs["D"], LOSS, strict=True)
]
X = {"N": "n_params", "D": "n_tokens"}


def write(path):
    if path.suffix == ".parquet":
        pa = pytest.importorskip("pyarrow")
        pytest.importorskip("pyarrow.parquet").write_table(pa.Table.from_pylist(ROWS), path)
    elif "csv" in path.name:
        lines = [",".join(ROWS[0]), *(",".join(str(value) for value in row.values()) for row in ROWS)]
        text = ("\n".join(lines) + "\n").encode()
        path.write_bytes(gzip.compress(text) if path.suffix == ".gz" else text)
    else:
        path.write_text("\n".join(json.dumps(row) for row in ROWS))
    return path


@pytest.mark.parametrize("name", ["runs.csv", "runs.csv.gz", "runs.jsonl", "runs.parquet"])
def test_each_format_gives_the_same_fit(tmp_path, name):
    table = read_table(write(tmp_path / name))
    fit = fit_table(table, LAWS["chinchilla"], X, "loss", bootstrap=0)
    assert fit.values == pytest.approx(CASE.values, rel=1e-6)


def test_a_hold_out_condition_chooses_the_rows(tmp_path):
    fit = fit_table(from_rows(ROWS), LAWS["chinchilla"], X, "loss", holdout="flops>1e22", bootstrap=50)
    assert fit.holdout.n == sum(row["flops"] > 1e22 for row in ROWS)
    assert where(from_rows(ROWS), "corpus==bard").all()


def test_a_power_law_in_one_resource_uses_the_small_sample_fit():
    rows = [{"state": {"elements": s}, "loss": 1.5 + 20 * s**-0.5} for s in (1e3, 4e3, 1.6e4, 6.4e4, 2.5e5)]
    fit = fit_table(from_rows(rows), LAWS["state"], {"S": "state.elements"}, "loss")
    assert "profile likelihood" in fit.interval_method
    assert fit.values["alpha"] == pytest.approx(0.5, rel=1e-6)


def test_mixed_tokenizers_corpora_and_counts_alarm():
    rows = [{**row, "tokenizer": t, "param_count": c} for row, t, c in zip(ROWS, "ab" * 18, "xy" * 18, strict=True)]
    alarms = mixtures(from_rows(rows))
    assert len(alarms) == 2
    fit = fit_table(from_rows(rows), LAWS["chinchilla"], X, "loss", bootstrap=0)
    assert any("mixed tokenizer: a, b" in alarm for alarm in fit.alarms)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: numbers(from_rows(ROWS), "n_param"), 'did you mean "n_params"'),
        (lambda: numbers(from_rows(ROWS), "corpus"), "row 1: 'bard' is not a number"),
        (lambda: numbers(from_rows([*ROWS, {"loss": "low"}]), "loss"), "row 37: 'low' is not a number"),
        (
            lambda: fit_table(from_rows([*ROWS, {**ROWS[0], "loss": None}]), LAWS["chinchilla"], X, "loss"),
            "row 37: nan is not a positive",
        ),
        (lambda: where(from_rows(ROWS), "flops ~ 3"), "expected column"),
        (lambda: where(from_rows(ROWS), "flops>big"), "'big' is not a number"),
        (lambda: fit_table(from_rows(ROWS), LAWS["chinchilla"], {"N": "n_params"}, "loss"), "name a column for D"),
        (lambda: fit_table(from_rows(ROWS), LAWS["chinchilla"], X, "loss", holdout="flops>1e40"), "holds out no row"),
        (
            lambda: fit_table(from_rows([{**ROWS[0], "loss": "nan"}]), LAWS["chinchilla"], X, "loss"),
            "row 1: nan is not a positive",
        ),
        (
            lambda: fit_table(from_rows([{**ROWS[0], "loss": -1.0}]), LAWS["chinchilla"], X, "loss"),
            "row 1: -1 is not a positive",
        ),
    ],
)
def test_a_mistake_is_one_line_that_says_what_to_do(call, message):
    with pytest.raises(UserError, match=message) as error:
        call()
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("none.csv", None, "no file"),
        ("runs.xlsx", b"x", "not .xlsx"),
        ("runs.csv", b"", "holds no rows"),
        ("runs.jsonl", b"{", "not one JSON object a line"),
        ("runs.jsonl", b"3\n", "holds no rows"),
        ("runs.csv", b"\xff\xfe\x00", "not UTF-8"),
        ("runs.csv.gz", b"plain", "not UTF-8 text"),
        ("runs.parquet", b"nothing", "not a Parquet file"),
    ],
)
def test_a_file_that_is_no_table_is_told(tmp_path, name, content, message):
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UserError, match=message):
        read_table(path)


def test_a_loss_of_300_is_an_alarm():
    rows = [{**row, "loss": 300 * row["loss"]} for row in ROWS]
    fit = fit_table(from_rows(rows), LAWS["chinchilla"], X, "loss", bootstrap=0)
    assert any("cannot be nats" in alarm for alarm in fit.alarms)
    assert np.isfinite(fit.objective_value)
