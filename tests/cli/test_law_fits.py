"""isostate.cli.law_fits: tables, studies and options to fits, and bad ones to one line or an alarm."""

from __future__ import annotations

import gzip
import json
import random

import numpy as np
import pytest

from isostate.cli import law_fits, main
from isostate.cli.law_fits import check_options, law_named, open_table
from isostate.cli.laws import Request
from isostate.config import UserError
from isostate.laws import LAWS
from isostate.records import durable
from isostate.records import table as records_table
from tests.laws.rows import planted_rows, write

ROWS = planted_rows("chinchilla", sd=0.005)
FIT = ["--law", "chinchilla", "--bootstrap", "0"]


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def refused(arguments, words, capsys):
    code = main(arguments)
    captured = capsys.readouterr()
    assert code == 2, captured
    assert captured.out == ""
    assert captured.err.startswith("error: ")
    assert captured.err.count("\n") == 1
    assert words in captured.err


def changed(change, rows=ROWS):
    """Rows of the planted table, the sixth replaced."""
    return [{**row, **change} if i == 5 else row for i, row in enumerate(rows)]


def every(change, rows=ROWS):
    """Rows of the planted table with these values in each; a function is called with the row's number."""
    made = [{key: value(i) if callable(value) else value for key, value in change.items()} for i in range(len(rows))]
    return [{**row, **new} for row, new in zip(rows, made, strict=True)]


# name: (rows, words of the line)
REFUSED_ROWS = {
    "missing column": ([{"n_params": 1.0, "loss": 2.0}], "no column is known to be D (tokens): law 'chinchilla' needs"),
    "NaN": (changed({"loss": float("nan")}), "column 'loss', row 6: nan is not a positive finite number"),
    "infinite": (changed({"loss": float("inf")}), "row 6: inf is not a positive"),
    "empty cell": (changed({"n_tokens": None}), "column 'n_tokens', row 6: nan is not"),
    "negative loss": (
        changed({"loss": -2.0}),
        "column 'loss', row 6: -2 is not a positive finite number; mend",
    ),
    "loss of zero": (changed({"loss": 0.0}), "row 6: 0 is not a positive"),
    "input of zero": (changed({"n_params": 0.0}), "column 'n_params', row 6: 0 is not a positive"),
    "negative input": (changed({"n_tokens": -1e9}), "column 'n_tokens', row 6: -1e+09 is not a positive"),
    "words for a number": (changed({"loss": "diverged"}), "row 6: 'diverged' is not a number; mend the row, or leave"),
    "an input no model has": (changed({"n_params": 1e90}), "row 6: 1e+90 is no amount of anything"),
    "two columns that could be it": (every({"params": 1e6}), "n_params, params could each be N"),
}

ONE_SIZE = every({"n_params": 1e8, "n_tokens": lambda i: 1e9 * (i + 1)})

# name: (rows, arguments, part of an alarm, whether parameters came out)
ALARMING_ROWS = {
    "one point": (ROWS[:1], [], "too few points: 1 runs at 1 settings", False),
    "as many points as parameters": (ROWS[:5], [], "too few points", False),
    "all N equal": (ONE_SIZE, [], "N is 1e+08 in every run: its parameters cannot be told from the rest", False),
    "every point the same": (ROWS[:1] * 30, [], "too few points: 30 runs at 1 settings", False),
    "copies": ([*ROWS, ROWS[3]], [], "1 rows repeat others exactly", True),
    "mixed tokenizers": (every({"tokenizer": lambda i: "ab"[i % 2]}), [], "mixed tokenizer: a, b", True),
    "mixed corpora": (every({"corpus": lambda i: "ab"[i % 2]}), [], "mixed corpus: a, b", True),
    "mixed counts": (every({"param_count": lambda i: "ab"[i % 2]}), [], "mixed param_count: a, b", True),
    "loss of 300": ([{**row, "loss": 150 * row["loss"]} for row in ROWS], [], "cannot be nats a token", True),
    "averaged Huber": (ROWS, ["--objective", "huber-mean"], "averaged Huber", True),
    "hold-out that leaves too little": (ROWS, ["--holdout", "n_params>1e8"], "cannot carry the law", True),
}  # fmt: skip

# name: (arguments, words); TABLE stands for a good table
REFUSED_OPTIONS = {
    "no table": (["fit", *FIT], "fit what? give a TABLE"),
    "no law": (["fit", "TABLE"], "which law? give --law NAME"),
    "unknown law": (["fit", "TABLE", "--law", "chinchila"], 'no law \'chinchila\' (did you mean "chinchilla"?)'),
    "unknown column": (["fit", "TABLE", *FIT, "--x", "n_param,n_tokens"], 'did you mean "n_params"'),
    "a column twice": (["fit", "TABLE", *FIT, "--x", "n_params,n_params"], "twice over"),
    "a column too few": (["fit", "TABLE", *FIT, "--x", "n_params"], "takes N, D, in this order"),
    "y among x": (["fit", "TABLE", *FIT, "--y", "n_params"], "is both an input and the L"),
    "unknown objective": (["fit", "TABLE", *FIT, "--objective", "hubr"], 'did you mean "huber"'),
    "unknown resampling": (["fit", "TABLE", *FIT, "--resampling", "jackknife"], "there are local, residual, wi"),
    "clusters without a name": (["fit", "TABLE", *FIT, "--resampling", "cluster"], "needs the column that names them"),
    "too few clusters": (["fit", "TABLE", *FIT, "--cluster", "corpus"], "names 1 cluster(s), too few"),
    "no such weights": (["fit", "TABLE", *FIT, "--weights", "weight"], "no column 'weight'"),
    "holds out nothing": (["fit", "TABLE", *FIT, "--holdout", "n_params>1e40"], "holds out no row"),
    "holds out everything": (["fit", "TABLE", *FIT, "--holdout", "n_params>0"], "holds out every row"),
    "no condition": (["fit", "TABLE", *FIT, "--holdout", "big"], "expected column, one of >="),
    "keeps nothing": (["fit", "TABLE", *FIT, "--where", "loss>99"], "holds for none of 36 rows"),
    "condition on no column": (["fit", "TABLE", *FIT, "--where", "family==x"], "no column 'family'"),
    "bootstrap of -1": (["fit", "TABLE", *FIT[:2], "--bootstrap", "-1"], "--bootstrap -1: give 0"),
    "bootstrap of 7": (["fit", "TABLE", *FIT[:2], "--bootstrap", "7"], "at least 100"),
    "too few draws": (["fit", "TABLE", *FIT[:2], "--level", "0.999"], "at least 4,000 for a level of 0.999"),
    "too many draws": (["fit", "TABLE", *FIT[:2], "--bootstrap", "999999999"], "too much memory for 36 rows"),
    "level of 95": (["fit", "TABLE", *FIT, "--level", "95"], "between 0 and 1, such as 0.95; 95 % is 0.95"),
    "level of 1": (["fit", "TABLE", *FIT, "--level", "1"], "must be between 0 and 1"),
    "level of nan": (["fit", "TABLE", *FIT, "--level", "nan"], "must be between 0 and 1"),
    "negative seed": (["fit", "TABLE", *FIT, "--seed", "-1"], "Invalid value for '--seed'"),
    "public with a table": (["fit", "TABLE", "--public", "kaplan"], "brings its own table, law and columns; leave T"),
    "public with a law": (["fit", "--law", "kaplan", "--public", "kaplan"], "leave --law out"),
    "unknown public": (["fit", "--public", "kaplen"], 'did you mean "kaplan"'),
    "a cache for nothing": (["fit", "TABLE", *FIT, "--cache", "x"], "--cache keeps the tables of --public"),
    "public without a table": (["fit", "--public", "kaplan"], "kaplan: its authors published no table"),
}  # fmt: skip


@pytest.mark.parametrize("rows, words", REFUSED_ROWS.values(), ids=REFUSED_ROWS)
def test_a_bad_table_is_one_line(rows, words, here, capsys):
    write(here / "runs.jsonl", rows)
    refused(["fit", "runs.jsonl", *FIT], words, capsys)


@pytest.mark.parametrize("rows, arguments, words, has_params", ALARMING_ROWS.values(), ids=ALARMING_ROWS)
def test_a_doubtful_table_is_an_alarm_in_the_result(rows, arguments, words, has_params, here, capsys):
    write(here / "runs.jsonl", rows)
    code = main(["fit", "runs.jsonl", *FIT, *arguments, "--json"])
    captured = capsys.readouterr()
    answer = json.loads(captured.out)
    assert captured.err == ""
    assert any(words in alarm for alarm in answer["alarms"]), answer["alarms"]
    assert answer["advice"]
    assert bool(answer["params"]) == has_params
    assert code == (0 if has_params else 1)


@pytest.mark.parametrize("arguments, words", REFUSED_OPTIONS.values(), ids=REFUSED_OPTIONS)
def test_options_that_cannot_be_are_one_line(arguments, words, here, capsys):
    write(here / "runs.csv", [{**row, "corpus": "bard"} for row in ROWS])
    refused(["runs.csv" if argument == "TABLE" else argument for argument in arguments], words, capsys)


@pytest.mark.parametrize(
    "name, content, words",
    [
        ("none.csv", None, "no file none.csv"),
        ("empty.csv", b"", "empty.csv: holds no rows"),
        ("header.csv", b"n_params,n_tokens,loss\n", "holds no rows"),
        ("prose.csv", b"It was the best of times,\nit was the worst of times\n", "no column is known to be N"),
        ("binary.csv", bytes(range(256)) * 9, "not UTF-8 text at byte 128"),
        ("elf.csv", b"\x7fELF\0\0\1\0" * 99, "a NUL at character 4, so it is binary"),
        ("sheet.xlsx", b"PK", "a table is .csv, .jsonl or .parquet, not .xlsx"),
        ("list.jsonl", b"[1, 2]\n", "line 1: not one JSON object a line"),
        ("packed.csv.gz", gzip.compress(b"a,b\n" * 99, mtime=0)[:20], "not a whole gzip file"),
        ("bad.parquet", b"PAR1", "not a Parquet file"),
        ("nothing", None, "nothing is no table (.csv, .jsonl, .parquet, .gz), nor a study with records"),
        (".", None, "nor a study with records"),
    ],
)
def test_what_is_no_table_is_one_line(name, content, words, here, capsys):
    if content is not None:
        (here / name).write_bytes(content)
    refused(["fit", name, *FIT], words, capsys)


def test_the_row_that_a_message_names_is_that_of_the_file(here, capsys):
    write(here / "runs.csv", changed({"loss": -1.0}, every({"family": lambda i: "ab"[i % 2]})))
    refused(["fit", "runs.csv", *FIT, "--where", "family==b"], "column 'loss', row 6: -1", capsys)
    assert main(["fit", "runs.csv", *FIT, "--where", "loss>0"]) == 0
    assert "1 rows by --where" in capsys.readouterr().out


def test_a_table_of_anything_is_a_fit_a_refusal_or_a_mistake_and_never_a_traceback(here, capsys):
    chance = random.Random(0)
    odd = ["", "nan", "inf", "-1", "0", "1e-300", "1e300", "abc", "True", "7", "300"]
    names = sorted(set(LAWS) - {"farseer", "state-all", "fine-grained", "kaplan"})  # slower than they are different
    for trial in range(40):
        law = LAWS[names[trial % len(names)]]
        count, kind = chance.choice([1, 4, 9]), chance.choice(["far", "odd", "same", "few", "near"])
        make = {
            "far": lambda: str(10 ** chance.uniform(-70, 70)),
            "odd": lambda: chance.choice(odd) if chance.random() < 0.1 else str(chance.uniform(1, 9)),
            "same": lambda: "7",
            "few": lambda: chance.choice("124"),
            "near": lambda: str(1 + 1e-15 * chance.random()),
        }[kind]
        columns = [*law.inputs, law.output]
        lines = [",".join(columns), *(",".join(make() for _ in columns) for _ in range(count))]
        (here / "runs.csv").write_text("\n".join(lines))
        code = main(["fit", "runs.csv", "--law", law.name, "--bootstrap", chance.choice(["0", "100"])])
        captured = capsys.readouterr()
        assert code in (0, 1, 2)
        assert captured.err.count("\n") == (code == 2), captured.err


def test_a_study_is_a_table_of_its_finished_runs(finished, capsys):
    report = durable.read_json(finished / "runs" / "tiny" / "laws.json")["laws"]
    for name in ("tiny", "tiny.toml", "runs/tiny"):
        table, left_out = open_table(name, finished / "runs")
        assert len(table["run_id"]) == len(records_table(finished / "runs" / "tiny"))
        assert left_out == ()
    assert "curve" not in table
    refused(["fit", "tiny", "--law", "state"], "final.16.loss_nats, final.32.loss_nats could each be L (loss)", capsys)
    arguments = ["fit", "tiny", "--law", "state", "--y", "final.32.loss_nats", "--where", "family==window", "--json"]
    assert main(arguments) == 1  # two sizes carry no law of three parameters
    answer = json.loads(capsys.readouterr().out)
    (same,) = [law for law in report if law["group"]["family"] == "window" and law["group"]["eval_context"] == 32]
    assert answer["points"] == same["points"]
    assert answer["alarms"] == same["alarms"]


def test_runs_that_have_not_finished_are_left_out_and_counted(finished, capsys):
    run_dir = next((finished / "runs" / "tiny").glob("*/result.json")).parent
    (run_dir / "result.json").unlink()
    _, left_out = open_table("tiny", finished / "runs")
    assert left_out == ("1 runs unfinished, or at a worse learning rate",)
    for result in (finished / "runs" / "tiny").glob("*/result.json"):
        result.unlink()
    with pytest.raises(UserError, match="no run of tiny has finished"):
        open_table("tiny", finished / "runs")


def test_laws_are_known_by_name():
    assert law_named("chinchilla") is LAWS["chinchilla"]
    with pytest.raises(UserError, match="there are state, params"):
        law_named("zzz")


def test_numbers_that_can_be_are_let_through():
    for level, draws in ((0.95, 0), (0.95, 100), (0.999, 4000), (0.5, 100)):
        check_options(Request(level=level, bootstrap=draws), 240)


def test_a_search_that_leaves_the_range_of_floats_is_one_line(here, monkeypatch, capsys):
    def fail(*arguments, **options):
        raise np.linalg.LinAlgError("Eigenvalues did not converge")

    monkeypatch.setattr(law_fits, "fit_table", fail)
    write(here / "runs.csv", ROWS)
    refused(["fit", "runs.csv", *FIT], "left the range of floats (Eigenvalues did not converge); check", capsys)
