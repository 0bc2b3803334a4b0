"""FLOPs of a training step: those that torch counts, to the integer, whatever backward computes again or leaves out."""

from __future__ import annotations

import pytest
from torch.utils.flop_counter import FlopCounterMode

from isostate.costs import forward_cost, step_flops
from isostate.costs.counting import matmul_flops
from isostate.mixers import FORMS
from isostate.model import ModelConfig
from tests.costs.configurations import ALL, Case

every_case = pytest.mark.parametrize("case", ALL.values(), ids=ALL)


def counted(case: Case, form: str, recompute: str) -> int:
    model, tokens_BT = case.model(), case.tokens()
    return matmul_flops(lambda: model.train_loss(tokens_BT, tokens_BT, form, recompute).backward())


@pytest.mark.slow
@pytest.mark.parametrize("form", FORMS)
@every_case
def test_a_step_runs_what_is_predicted_with_blocks_run_again_and_without(case: Case, form):
    short = case._replace(context=min(case.context, 7)) if form == "recurrent" else case
    for recompute in ("none", "blocks"):
        predicted = step_flops(short.config, short.batch, short.context, form, recompute)
        assert predicted.hardware == counted(short, form, recompute), recompute
        assert (predicted.recomputed > 0) == (recompute == "blocks")
        assert predicted.forward == forward_cost(short.config, short.batch, short.context, form).matmul_flops


def gpt(n_layers: int = 1, **changes) -> ModelConfig:
    mixer = {"kind": "softmax", "n_heads": 4}
    sizes = {"vocab_size": 64, "n_layers": n_layers, "d_model": 64, "mlp": "gelu", "norm": "layer"}
    return ModelConfig.parse(sizes | {"mixer": mixer} | changes, "gpt")


def test_a_checkpointed_gpt_block_runs_four_forwards_but_for_its_last_projection():
    # FORMULAS section 2: 4 F - F(last linear), 3.6923 F (at S = D / 2); the reentrant kind takes 4 F.
    batch, context = 2, 32
    block = 4 * batch * context * 64 * (context + 6 * 64)
    last = 2 * batch * context * 64 * 256
    case = Case(gpt(), batch, context)
    head = 3 * 2 * batch * context * 64 * 64
    plain, again = (counted(case, "parallel", recompute) for recompute in ("none", "blocks"))
    assert plain == 3 * block + head
    assert again == 4 * block - last + head
    assert again != 4 * block + head
    assert round((again - head) / block, 4) == 3.6923
    dropping = Case(gpt(dropout=0.1), batch, context)
    assert counted(dropping, "parallel", "blocks") == 4 * block + head, "a dropped output is needed, so all runs again"


def test_the_first_layer_too_passes_a_gradient_back():
    # ERRATA 15: the note's footnote saves it, but a trained embedding wants it: the ratio is exactly 3.
    case = Case(gpt(n_layers=1), 2, 64)
    forward = forward_cost(case.config, 2, 64, "parallel").matmul_flops
    assert counted(case, "parallel", "none") == 3 * forward
    first_linear = 2 * 2 * 64 * 64 * 3 * 64
    assert counted(case, "parallel", "none") != 3 * forward - first_linear


def test_training_flops_hold_their_layers_already():
    # ERRATA 16: 12 B D L S (S + (2 + E) D) is of all layers, though its heading says "per-layer".
    batch, context, width = 2, 64, 64
    for n_layers in (1, 2, 3):
        predicted = step_flops(gpt(n_layers), batch, context, "parallel")
        whole = 12 * batch * width * n_layers * context * (context + 6 * width) + 6 * batch * context * width * 64
        assert (
            predicted.model
            == predicted.hardware
            == whole
            == counted(Case(gpt(n_layers), batch, context), "parallel", "none")
        )
    assert predicted.model != n_layers * whole


def test_scores_take_a_sixth_of_a_gpts_weights_where_context_equals_width():
    # ERRATA 39: S / (6 D) at E = 4, so 17 % at S = D; counted.
    for context, share in ((64, 1 / 6), (384, 1.0)):
        case = Case(gpt(), 1, context)
        whole = matmul_flops(case.model().token_losses, case.tokens(), case.tokens())
        weights, head = 24 * context * 64**2, 2 * context * 64 * 64
        assert (whole - head - weights) / weights == pytest.approx(share)


def test_fused_attention_makes_its_scores_again():
    case = Case(gpt(), 2, 64)
    flops = step_flops(case.config, 2, 64)
    products = 4 * 2 * 64 * 64 * 64
    assert flops.hardware == flops.model + products // 2
    assert flops.hardware == counted(case, "chunked", "none")
    # torch's own counter knows none of it, though the CPU runs it.
    model, tokens_BT = case.model(), case.tokens()
    with FlopCounterMode(display=False) as counter:
        model.train_loss(tokens_BT, tokens_BT).backward()
    assert counter.get_total_flops() < flops.model
