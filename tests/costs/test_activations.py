"""What is kept for backward: every storage that torch keeps has its row, and every row its storage, byte for byte."""

from __future__ import annotations

from collections import Counter

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from isostate.config import UserError
from isostate.costs import gpt_block_bytes, kept_activations
from isostate.costs.activations import Activations
from isostate.costs.counting import kept_bytes, kept_storages
from isostate.mixers.native import torch_operations
from isostate.model import Decoder, ModelConfig
from tests.costs.configurations import ALL, FUSED, Case

every_case = pytest.mark.parametrize("case", ALL.values(), ids=ALL)
DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}


def sizes(kept: Activations) -> Counter[int]:
    return Counter({size: times for size, times in _sizes(kept).items() if size})


def _sizes(kept: Activations) -> Counter[int]:
    counted: Counter[int] = Counter()
    for row in kept.rows:
        counted[row.nbytes] += row.times
    return counted


@pytest.mark.parametrize("recompute", ["none", "blocks"])
@pytest.mark.parametrize("precision", DTYPES)
@every_case
def test_every_storage_that_torch_keeps_is_a_row(case: Case, precision, recompute):
    model, tokens_BT = case.model(DTYPES[precision]), case.tokens()
    kept = kept_storages(model.parameters(), lambda: model.train_loss(tokens_BT, tokens_BT, recompute=recompute))
    predicted = kept_activations(case.config, case.batch, case.context, recompute=recompute, precision=precision)
    assert sizes(predicted) == kept
    assert predicted.total_bytes == sum(size * times for size, times in kept.items())


@pytest.mark.slow
@pytest.mark.parametrize("recompute", ["none", "blocks"])
@pytest.mark.parametrize("name", FUSED)
def test_torchs_operations_keep_other_storages(name, recompute):
    case = FUSED[name]
    model, tokens_BT = case.model(), case.tokens()
    with torch_operations():
        kept = kept_storages(model.parameters(), lambda: model.train_loss(tokens_BT, tokens_BT, recompute=recompute))
    torchs, ours = (
        kept_activations(case.config, case.batch, case.context, recompute=recompute, kernels=kernels)
        for kernels in ("torch", "own")
    )
    assert sizes(torchs) == kept
    mixer = case.config.mixer
    if recompute == "none" and (mixer.kind == "window" or (mixer.kind == "softmax" and mixer.positions == "alibi")):
        assert torchs.total_bytes > ours.total_bytes, "a bias, or padded copies"


@pytest.mark.parametrize("precision", DTYPES)
@pytest.mark.parametrize("name", [name for name, case in ALL.items() if not case.chunked])
def test_attention_that_holds_all_scores_is_counted_too(name, precision):
    case = ALL[name]
    model, tokens_BT = case.model(DTYPES[precision]), case.tokens()
    kept = kept_storages(model.parameters(), lambda: model.train_loss(tokens_BT, tokens_BT, "parallel"))
    assert sizes(kept_activations(case.config, case.batch, case.context, "parallel", precision=precision)) == kept


def test_forms_whose_memory_is_not_counted_are_refused_in_one_line():
    for name, form in (("softmax", "recurrent"), ("power-2/head_dim=8", "parallel")):
        with pytest.raises(UserError, match=rf'form = "{form}": kept bytes of .* are counted for chunked.*; choose'):
            kept_activations(ALL[name].config, 2, 16, form)
    with pytest.raises(UserError, match="learned positions end at max_context = 140"):
        kept_activations(ALL["learned positions, softmax"].config, 2, 141)


def gpt(dropout: float, width: int = 64, n_heads: int = 4, n_layers: int = 1) -> ModelConfig:
    """GPT-2's block, the vocabulary tiny: the published formula's."""
    mixer = {"kind": "softmax", "n_heads": n_heads, "attention_dropout": dropout}
    sizes = {"vocab_size": 16, "n_layers": n_layers, "d_model": width, "mlp": "gelu", "norm": "layer", "bias": "all"}
    return ModelConfig.parse(sizes | {"dropout": dropout, "mixer": mixer}, "gpt")


BATCH, CONTEXT = 2, 32


@pytest.mark.parametrize("precision, element_bytes", [("fp32", 4), ("bf16", 2)])
def test_a_block_that_keeps_its_scores_keeps_the_published_count_and_its_norms_statistics(precision, element_bytes):
    # FORMULAS section 2, whose masks are a byte an element, as fused kernels' are.
    config = gpt(dropout=0.1)
    fused = kept_activations(config, BATCH, CONTEXT, "parallel", precision=precision, masks="fused")
    statistics = 4 * BATCH * CONTEXT * element_bytes
    published = gpt_block_bytes(BATCH, CONTEXT, 64, 4, element_bytes)
    assert fused.layer_bytes == published + statistics
    b, s, d, a = BATCH, CONTEXT, 64, 4
    known = {2: 34 * b * s * d + 5 * a * b * s**2, 4: 66 * b * s * d + 9 * a * b * s**2}
    assert published == known[element_bytes]
    here = kept_activations(config, BATCH, CONTEXT, "parallel", precision=precision)
    assert here.layer_bytes == gpt_block_bytes(b, s, d, a, element_bytes, mask_bytes=element_bytes) + statistics


def test_scores_of_float32_are_kept_nine_times_and_not_fifteen():
    # ERRATA 1: equation 53 of the note has 66 D + 15 A S. Measured by what grows with the square of the context.
    config = gpt(dropout=0.1)
    model = Decoder(config)

    def per_pair(context: int) -> float:
        tokens_BT = torch.zeros(BATCH, context, dtype=torch.long)
        kept = kept_bytes(model.parameters(), lambda: model.train_loss(tokens_BT, tokens_BT, "parallel"))
        masks = 4 - 1  # a CPU keeps 4 bytes of a mask, the formula 1
        linear = kept - masks * (3 * BATCH * context * 64 + 4 * BATCH * context**2)
        return linear

    square = (per_pair(64) - 2 * per_pair(32)) / (64**2 - 2 * 32**2)  # what is linear in the context cancels
    fixed = per_pair(64) - per_pair(32) - (per_pair(96) - per_pair(64))
    quadratic = -fixed / (32**2 * 2)
    assert quadratic == 9 * BATCH * 4
    assert quadratic != 15 * BATCH * 4
    assert square < 15 * BATCH * 4


def kept_of(module, *inputs) -> Counter[int]:
    return kept_storages([*module.parameters()] if isinstance(module, nn.Module) else [], lambda: module(*inputs))


def test_dropped_scores_are_kept_as_weights_mask_and_result():
    # ERRATA 13: 2 p + 1 bytes a score with dropout, p without: not "scores and normalised scores", nor "2 p -> p".
    scores = torch.randn(2, 3, 16, 16, requires_grad=True)
    v = torch.randn(2, 3, 16, 4, requires_grad=True)
    n_scores, values = scores.numel(), 4 * v.numel()
    plain = kept_bytes([], lambda: scores.softmax(-1) @ v)
    assert plain - values == 4 * n_scores
    dropped = kept_bytes([], lambda: F.dropout(scores.softmax(-1), 0.1) @ v)
    assert dropped - values == 4 * n_scores + 4 * n_scores + 4 * n_scores, "weights, mask of the CPU, what is left"
    with_byte_masks = dropped - values - 3 * n_scores
    assert with_byte_masks == (2 * 4 + 1) * n_scores != 8 * n_scores
    # In 16 bits 5 bytes a score with dropout, 2 without.
    case = gpt(dropout=0.1)
    for dropout, wanted in ((0.1, 5), (0.0, 2)):
        kept = kept_activations(gpt(dropout), BATCH, CONTEXT, "parallel", precision="bf16", masks="fused")
        n_scores = 4 * BATCH * CONTEXT**2
        assert sum(row.nbytes for row in kept.rows if "attention weights" in row.name) == wanted * n_scores
    assert case.mixer.attention_dropout == 0.1


def test_gelu_keeps_its_input_alone():
    # ERRATA 14: "both inputs and outputs must be used"; the output is kept because the next projection multiplies it.
    x = torch.randn(8, 32, requires_grad=True)
    assert kept_of(F.gelu, x) == Counter({x.nbytes: 1})
    kept = kept_activations(gpt(0.0), BATCH, CONTEXT).rows
    names = {row.name for row in kept}
    assert {"MLP inner", "MLP activation"} <= names
    squared = kept_activations(gpt(0.0).model_copy(update={"mlp": "relu"}), BATCH, CONTEXT).rows
    assert "MLP inner" not in {row.name for row in squared}, "relu keeps its result, which is the projection's input"


def test_a_fused_kernel_keeps_no_scores_whatever_it_drops():
    config = gpt(dropout=0.1)
    fused = kept_activations(config, BATCH, CONTEXT, masks="fused")
    here = kept_activations(config, BATCH, CONTEXT)
    assert not any("attention weights" in row.name for row in fused.rows)
    assert sum("attention weights" in row.name for row in here.rows) == 3
    assert fused.layer_bytes < here.layer_bytes


def test_layers_are_alike_and_rows_sum_to_the_whole():
    one, four = (kept_activations(gpt(0.1, n_layers=n), BATCH, CONTEXT) for n in (1, 4))
    assert four.layer_bytes == one.layer_bytes
    assert four.total_bytes - one.total_bytes == 3 * one.layer_bytes
    assert sum(row.nbytes * row.times for row in four.rows) == four.total_bytes
    assert {row.part for row in four.rows} == {"embedding", "layer", "head"}
