"""GPT-1, GPT-2, OPT, Bloom: where norms and positions stand, other names of keys, what is refused."""

from __future__ import annotations

from isostate.costs.formula import count_params
from isostate.costs.huggingface.read import from_huggingface
from tests.costs.huggingface.cases import CASES
from tests.costs.huggingface.refusals import refusal


def test_gpt_1_norms_after_the_sums_and_not_at_the_end():
    one, two = (from_huggingface(CASES[name], name) for name in ("openai-gpt", "gpt2"))
    assert (one.blocks()[0].norms, one.final_norm) == ("post", None)
    assert two.blocks()[0].norms == "pre"
    assert count_params(two).total - count_params(one).total == 2 * 48  # the last norm


def test_other_names_of_a_key_are_read():
    named = {"hidden_size": 48, "num_hidden_layers": 3, "num_attention_heads": 6, "max_position_embeddings": 32}
    values = {"model_type": "gpt2", "vocab_size": 101} | named
    assert from_huggingface(values, "names") == from_huggingface(CASES["gpt2"], "gpt2")
    named = {"n_embed": 48, "num_hidden_layers": 3, "num_attention_heads": 6}
    values = {"model_type": "bloom", "vocab_size": 101} | named
    assert from_huggingface(values, "names") == from_huggingface(CASES["bloom"], "bloom")


def test_opts_positions_have_two_rows_that_no_context_reaches():
    model = from_huggingface(CASES["opt"], "opt")
    assert (model.embedding.n_positions, model.embedding.unused_positions) == (32, 2)
    assert count_params(model).parts["embedding"] == (101 + 32 + 2) * 48


def test_a_narrow_table_leads_to_the_model_and_back():
    model = from_huggingface(CASES["opt, narrow table"], "opt")
    assert model.embedding.width == 20
    assert count_params(model).parts["head"] == 20 * 48
    assert count_params(model).parts["embedding"] == 101 * 20 + (32 + 2) * 48 + 20 * 48


def test_heads_that_do_not_divide_and_cross_attention_are_refused():
    assert refusal(CASES["gpt2"], n_head=5) == "f: n_head = 5: must divide n_embd = 48"
    assert refusal(CASES["openai-gpt"], n_head=5) == "f: n_head = 5: must divide n_embd = 48"
    assert refusal(CASES["opt"], num_attention_heads=5) == "f: num_attention_heads = 5: must divide hidden_size = 48"
    assert refusal(CASES["bloom"], n_head=5) == "f: n_head = 5: must divide hidden_size = 48"
    assert refusal(CASES["gpt2"], add_cross_attention=True).startswith("f: add_cross_attention = true: input should be")
