"""DeepSeek V2 and V3: dense layers first, shared experts, queries compressed or not."""

from __future__ import annotations

from isostate.costs.huggingface.read import from_huggingface
from tests.costs.huggingface.cases import CASES
from tests.costs.huggingface.refusals import refusal


def kinds(**changes) -> list[str]:
    model = from_huggingface(CASES["deepseek_v2"] | changes, "f")
    return [block.sublayers[1].kind for block in model.blocks()]


def test_dense_layers_come_first_and_experts_every_so_many():
    assert kinds() == ["mlp", "moe", "moe", "moe"]
    assert kinds(first_k_dense_replace=3) == ["mlp", "mlp", "mlp", "moe"]
    assert kinds(moe_layer_freq=2) == ["mlp", "mlp", "moe", "mlp"]


def test_shared_experts_are_one_feed_forward_as_wide_as_all_of_them():
    model = from_huggingface(CASES["deepseek_v2"], "f")
    assert model.blocks()[1].sublayers[1].shared_d_ff == 2 * 40
    none = from_huggingface(CASES["deepseek_v2"] | {"n_shared_experts": None}, "f")
    assert none.blocks()[1].sublayers[1].shared_d_ff == 0


def test_only_v3_has_a_balancing_bias_and_leaves_out_its_second_prediction():
    two, three = (from_huggingface(CASES[name], name) for name in ("deepseek_v2", "deepseek_v3"))
    assert (two.blocks()[1].sublayers[1].router_bias, three.blocks()[1].sublayers[1].router_bias) == (False, True)
    assert two.left_out == ""
    assert "second token" in three.left_out


def test_queries_are_compressed_only_where_a_rank_is_given():
    full, low = (from_huggingface(CASES[name], name) for name in ("deepseek_v2, full queries", "deepseek_v2"))
    assert (full.attentions[0].q_rank, low.attentions[0].q_rank) == (None, 28)


def test_too_few_experts_are_refused():
    says = "f: num_experts_per_tok = 9: at most n_routed_experts = 8"
    assert refusal(CASES["deepseek_v3"], num_experts_per_tok=9) == says
