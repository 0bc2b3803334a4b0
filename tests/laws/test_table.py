"""Tables: conditions, columns, one fit or another; every mistake in one line; mixtures alarm."""

import numpy as np
import pytest

from isostate.config import UserError
from isostate.laws import LAWS
from isostate.laws.table import fit_table, from_rows, listing, mixtures, numbers, positive, select, where
from tests.laws.planted import PLANTED
from tests.laws.rows import planted_rows

ROWS = [{**row, "flops": 6 * row["n_params"] * row["n_tokens"], "corpus": "bard"} for row in planted_rows("chinchilla")]
X = {"N": "n_params", "D": "n_tokens"}


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


def test_a_loss_of_300_is_an_alarm():
    rows = [{**row, "loss": 300 * row["loss"]} for row in ROWS]
    fit = fit_table(from_rows(rows), LAWS["chinchilla"], X, "loss", bootstrap=0)
    assert any("cannot be nats" in alarm for alarm in fit.alarms)
    assert np.isfinite(fit.objective_value)


def test_conditions_hold_one_after_the_other_and_rows_keep_their_places():
    rows = [{"loss": value, "family": family} for value, family in ((2.0, "a"), ("died", "a"), (3.0, "b"), (None, "a"))]
    table, row_n = select(from_rows(rows), ["loss!=died", "loss>0", "family!=b"])
    assert row_n.tolist() == [0]
    assert table["loss"].tolist() == [2.0]
    some, row_n = select(from_rows(rows), ["loss!=died"])
    assert some["loss"].dtype == np.float64  # it held text before
    with pytest.raises(UserError, match="column 'loss', row 4: nan is not a positive"):
        positive(some, "loss", row_n)
    with pytest.raises(UserError, match="holds for none of 4 rows"):
        select(from_rows(rows), ["family==c"])


def test_a_column_may_be_called_anything_and_hold_booleans_or_numbers_among_words():
    table = from_rows([{"Training FLOP": 1e20, "ok": True, "k": 3}, {"Training FLOP": 1e22, "ok": False, "k": "all"}])
    assert where(table, "Training FLOP>1e21").tolist() == [False, True]
    assert where(table, "ok==true").tolist() == [True, False]
    assert where(table, "k==3").tolist() == [True, False]
    assert where(table, "k!=all").tolist() == [True, False]


def test_lists_of_equal_length_in_cells_are_no_matrix():
    table = from_rows([{"betas": [0.9, 0.95], "loss": 2.0}, {"betas": [0.9, 0.99], "loss": 3.0}])
    assert table["betas"].shape == (2,)


def test_a_listing_is_short_and_harmless():
    told = listing([f"config.train.x{i}" for i in range(40)] + ["loss", "\x1b[31mred"])
    assert told.startswith("loss, '\\x1b[31mred', ")
    assert told.endswith(" and 18 more")


def test_copies_alarm_in_the_small_sample_fit_and_seeds_do_not():
    sizes = np.repeat(np.geomspace(1e3, 1e6, 6), 2)
    seeds = 1.5 + 20 * sizes**-0.5 + 0.01 * np.random.default_rng(0).normal(size=12)
    rows = [{"state": s, "loss": v} for s, v in zip(sizes, seeds, strict=True)]
    law, x = LAWS["state"], {"S": "state"}
    assert not any("repeat" in alarm for alarm in fit_table(from_rows(rows), law, x, "loss", bootstrap=0).alarms)
    copied = fit_table(from_rows([*rows, rows[0]]), law, x, "loss", bootstrap=0)
    assert "1 rows repeat others exactly" in copied.alarms


def test_an_option_that_only_the_other_fit_knows_is_not_passed_over():
    rows = [{"state": s, "loss": 1.5 + 20 * s**-0.5} for s in np.geomspace(1e3, 1e6, 8)]
    law, x = LAWS["state"], {"S": "state"}
    assert "profile" in fit_table(from_rows(rows), law, x, "loss", bootstrap=100, objective=None).interval_method
    wild = fit_table(from_rows(rows), law, x, "loss", bootstrap=100, resampling="wild")
    assert wild.interval_method == "percentile bootstrap, wild"
    assert fit_table(from_rows(rows), law, x, "loss", bootstrap=0, holdout="none").holdout is None


def test_clusters_are_resampled_whole_and_widen_intervals_of_curves():
    rng = np.random.default_rng(1)
    runs = np.repeat(np.arange(36), 5)
    rows = [
        {**ROWS[run], "run": f"r{run}", "loss": ROWS[run]["loss"] * float(np.exp(shift))}
        for run, shift in zip(runs, 0.01 * rng.normal(size=36)[runs] + 0.0005 * rng.normal(size=180), strict=True)
    ]
    options = {"bootstrap": 200, "holdout": "none", "objective": "squares-log"}
    plain = fit_table(from_rows(rows), LAWS["chinchilla"], X, "loss", resampling="residual", **options)
    whole = fit_table(from_rows(rows), LAWS["chinchilla"], X, "loss", clusters="run", **options)
    assert whole.interval_method.endswith("cluster")
    assert whole.params["alpha"].se > 1.5 * plain.params["alpha"].se
    # points of equal inputs that agree better than the law fits are taken together without being told
    untold = fit_table(from_rows(rows), LAWS["chinchilla"], X, "loss", **options)
    assert "settings" in untold.interval_method
    assert untold.params["alpha"].se == pytest.approx(whole.params["alpha"].se, rel=0.2)
    told = "180 rows of 36 runs (column 'run'): those of one run are not independent"
    assert told in untold.alarms
    assert not any(told in fit.alarms for fit in (whole, plain))


def test_a_hold_out_that_leaves_too_little_is_an_alarm():
    fit = fit_table(from_rows(ROWS), LAWS["chinchilla"], X, "loss", holdout="n_params>1e8", bootstrap=0)
    assert any("the rows beside 'n_params>1e8' cannot carry the law" in alarm for alarm in fit.alarms)


def test_families_fitted_together_are_an_alarm_and_copies_of_a_column_alarm_once():
    rows = [
        {**row, "family": f, "config": {"tokenizer": f}, "tokenizer": f} for row, f in zip(ROWS, "ab" * 18, strict=True)
    ]
    assert mixtures(from_rows(rows)) == [
        "mixed family: a, b; each has a law of its own",
        "mixed config.tokenizer: a, b; their losses do not compare",
    ]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"holdout": "flops>0"}, "holds out every row"),
        ({"resampling": "clusters"}, 'did you mean "cluster"'),
        ({"resampling": "cluster"}, "needs the column that names them"),
        ({"resampling": "wild", "clusters": "corpus"}, "'wild' knows no clusters"),
        ({"clusters": "corpus"}, "names 1 cluster.s., too few"),
        ({"clusters": "blank"}, "row 1: names no cluster"),
        ({"clusters": "run"}, "no column 'run'"),
        ({"weights": "blank"}, "row 1: nan is not a positive"),
    ],
)
def test_options_that_do_not_go_together_are_told(options, message):
    table = from_rows([{**row, "blank": None} for row in ROWS])
    with pytest.raises(UserError, match=message):
        fit_table(table, LAWS["chinchilla"], X, "loss", **options)


@pytest.mark.parametrize(
    ("value", "message"), [(1e200, "no amount of anything"), (1e-200, "no amount"), (0.0, "row 1: 0")]
)
def test_what_no_input_can_be_is_told(value, message):
    with pytest.raises(UserError, match=message):
        positive(from_rows([{"n": value}]), "n")


def test_the_fit_of_a_table_recovers_the_planted_law():
    fit = fit_table(from_rows(ROWS), LAWS["chinchilla"], X, "loss", bootstrap=0)
    assert fit.values == pytest.approx(PLANTED["chinchilla"].values, rel=1e-6)
