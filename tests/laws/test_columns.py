"""Which columns a law reads: named in any way, or known by their names; what is missing is told with what there is."""

import numpy as np
import pytest

from isostate.config import UserError
from isostate.laws import LAWS
from isostate.laws.columns import KNOWN, choose, named_inputs, symbol_of, words_of
from isostate.laws.table import from_rows

ROW = {"n_params": 1e6, "n_tokens": 1e8, "flops": 6e14, "loss": 3.0, "corpus": "bard"}
LAW = LAWS["chinchilla"]


def chosen(row, x=None, y=None, law="chinchilla"):
    columns = choose(from_rows([row, row]), LAWS[law], x, y)
    return columns.x, columns.y


@pytest.mark.parametrize("x", [None, "n_params,n_tokens", " n_params , n_tokens ", "D=n_tokens,N=n_params"])
def test_columns_are_named_in_order_by_symbol_or_not_at_all(x):
    assert chosen(ROW, x) == ({"N": "n_params", "D": "n_tokens"}, "loss")


@pytest.mark.parametrize(
    ("row", "law", "x", "y"),
    [
        ({"Model Size": 1.0, "Training Tokens": 1.0, "val_loss": 1.0}, "chinchilla", ["Model Size", "Training Tokens"],
         "val_loss"),
        ({"N": 1.0, "D": 1.0, "L": 1.0}, "chinchilla", ["N", "D"], "L"),
        ({"N": 1.0, "D": 1.0, "L": 1.0, "n": 1.0}, "chinchilla", ["N", "D"], "L"),
        ({"n_params": {"total": 1.0, "non_embedding": 1.0}, "n_tokens": 1.0, "final": {"64": {"loss_nats": 2.0}}},
         "chinchilla", ["n_params.total", "n_tokens"], "final.64.loss_nats"),
        ({"n_params": {"non_embedding": 1.0}, "loss": 2.0}, "params", ["n_params.non_embedding"], "loss"),
        ({"state": {"elements": 4.0}, "loss": 2.0}, "state", ["state.elements"], "loss"),
        ({"loss": 2.0, "error": 0.5}, "downstream", ["loss"], "error"),
        ({"batch_size": 2.0, "steps": 5.0}, "critical-batch", ["batch_size"], "steps"),
    ],
)  # fmt: skip
def test_well_known_names_need_not_be_given(row, law, x, y):
    found, output = chosen(row, law=law)
    assert (list(found.values()), output) == (x, y)


def test_every_symbol_of_every_law_has_words():
    for law in LAWS.values():
        for symbol in (*law.inputs, law.output):
            assert symbol in KNOWN
            assert words_of(symbol)
    assert words_of("Z") == ""


def test_compute_stands_in_for_tokens_or_parameters():
    table = from_rows([{**ROW, "flops": 6.0 * n * 2e8, "n_params": n} for n in (1e6, 1e7)])
    columns = choose(table, LAW, "N=n_params,C=flops")
    assert columns.x == {"N": "n_params", "D": "flops / (6 n_params)"}
    np.testing.assert_allclose(columns.table[columns.x["D"]], 2e8, rtol=1e-14)
    assert choose(table, LAW, "D=n_tokens,C=flops").x["N"] == "flops / (6 n_tokens)"
    with pytest.raises(UserError, match="no input 'C'"):
        named_inputs(LAWS["params"], "N=n_params,C=flops")
    with pytest.raises(UserError, match="no input 'C'"):
        named_inputs(LAW, "N=n_params,D=n_tokens,C=flops")


def test_another_way_to_count_is_found_for_the_sensitivity():
    row = {"n_params": {"total": 2.0, "non_embedding": 1.0}, "n_tokens": 3.0, "loss": 2.0}
    assert choose(from_rows([row]), LAW).counts == {"n_params.non_embedding": {"N": "n_params.non_embedding"}}
    assert choose(from_rows([row]), LAW, "n_params.non_embedding,n_tokens").counts == {}


def test_a_resource_is_called_by_symbol_or_by_its_column():
    assert [symbol_of(LAW, name) for name in ("N", "n_params", "tokens")] == ["N", "N", "D"]
    with pytest.raises(UserError, match="no input 'S'; it takes N, D"):
        symbol_of(LAW, "S")


@pytest.mark.parametrize(
    ("row", "x", "y", "message"),
    [
        (ROW, "n_params", None, "names 1 column.s.; law 'chinchilla' takes N, D, in this order"),
        (ROW, "n_params,n_tokens,flops", None, "names 3 column"),
        (ROW, "n_params,n_params", None, "N=n_params twice over|D=n_params twice over"),
        (ROW, "N=n_params,N=n_tokens", None, "twice over"),
        (ROW, "N=n_params,n_tokens", None, "names some inputs and not others"),
        (ROW, "N=n_params,S=n_tokens", None, "no input 'S'"),
        (ROW, "N=n_params", None, "leaves out D"),
        (ROW, "", None, "has an empty name"),
        (ROW, "n_params,", None, "has an empty name"),
        (ROW, "n_params,n_token", None, 'no column .n_token. .did you mean "n_tokens"'),
        (ROW, None, "los", 'did you mean "loss"'),
        (ROW, None, "n_params", "is both an input and the L"),
        (
            {**ROW, "params": 1.0},
            None,
            None,
            "n_params, params could each be N .parameters.: law 'chin",
        ),
        ({"a": 1.0, "b": 2.0, "loss": 3.0}, None, None, "choose with --x among a, b, loss"),
        ({"a": "x"}, None, None, "no column holds numbers"),
        ({**ROW, "loss": None}, None, None, "no column is known to be L .loss.: .* choose with --y among n_params, "),
    ],
)
def test_what_is_wrong_is_told_with_what_there_is(row, x, y, message):
    with pytest.raises(UserError, match=message) as error:
        chosen(row, x, y)
    assert "\n" not in str(error.value)
