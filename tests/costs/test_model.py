"""Forward costs: matmul FLOPs are those that torch counts, to the integer, halved for causality or whole."""

from __future__ import annotations

import pytest
import torch

from isostate.config import UserError
from isostate.costs import forward_cost
from isostate.costs.counting import matmul_flops
from isostate.mixers import FORMS, softmax
from isostate.mixers.softmax import AttentionConfig
from isostate.model import Decoder, ModelConfig
from tests.mixers.cases import CASES, name_of

BATCH, VOCABULARY = 3, 29
every_case = pytest.mark.parametrize("mixer", CASES, ids=name_of)


def model_of(mixer, **changes) -> ModelConfig:
    sizes = {"vocab_size": VOCABULARY, "n_layers": 2, "d_model": mixer.d_model}
    return ModelConfig.parse(sizes | {"mixer": mixer.to_dict()} | changes, "m")


def tokens(context: int) -> torch.Tensor:
    return torch.zeros(BATCH, context, dtype=torch.long)


@pytest.mark.parametrize("form", FORMS)
@every_case
def test_matmul_flops_are_counted_to_the_integer(mixer, form):
    for context in (1, 19) if form == "recurrent" else (1, 50, 130):
        config = model_of(mixer, mlp="gelu" if context == 1 else "swiglu", conv_taps=4)
        counted = matmul_flops(Decoder(config).token_losses, tokens(context), tokens(context), None, form)
        assert forward_cost(config, BATCH, context, form).matmul_flops == counted


def test_blocks_of_queries_are_counted_against_their_past_alone(monkeypatch):
    monkeypatch.setattr(softmax, "BLOCK", 24)
    config = model_of(next(c for c in CASES if c.kind == "softmax" and c.positions == "alibi"))
    counted = matmul_flops(Decoder(config).token_losses, tokens(130), tokens(130))
    assert forward_cost(config, BATCH, 130).matmul_flops == counted
    assert counted < forward_cost(config, BATCH, 130, "parallel").matmul_flops


@pytest.mark.parametrize("form", FORMS)
@every_case
def test_halved_attention_is_the_pairs_that_are_seen(mixer, form):
    context = 40
    config = model_of(mixer)
    whole, halved = (forward_cost(config, BATCH, context, form, causal).matmul_flops for causal in ("whole", "halved"))
    if not isinstance(mixer, AttentionConfig):
        assert halved <= whole
        return
    window = getattr(mixer, "window", context)
    seen = sum(min(t + 1, window) for t in range(context))
    around = forward_cost(config, BATCH, context, "recurrent").matmul_flops
    pairs = 4 * config.n_layers * BATCH * mixer.n_heads * mixer.head_dim * seen
    assert halved == around, "the recurrent form multiplies what is seen alone"
    assert whole >= halved >= pairs


def test_halving_the_linear_family_halves_pairs_inside_its_chunks():
    mixer = CASES[10]  # two heads of 8, chunks of 16
    context, rows = 48, BATCH * 2
    whole, halved = (mixer.cost(BATCH, context, "chunked", causal).matmul_flops for causal in ("whole", "halved"))
    assert whole - halved == 2 * rows * 3 * (16 * 16 - 16 * 17 // 2) * (8 + 9)


def test_a_gpts_forward_is_the_published_formula():
    # FORMULAS section 2: 4 B S D (S + (2 + E) D) a block, and 2 B S D V for the head.
    config = ModelConfig.parse(
        {
            "vocab_size": 50257,
            "n_layers": 12,
            "d_model": 768,
            "mlp": "gelu",
            "mixer": {"kind": "softmax", "n_heads": 12},
        },
        "gpt2",
    )
    batch, context, width = 2, 1024, 768
    block = 4 * batch * context * width * (context + 6 * width)
    assert forward_cost(config, batch, context).matmul_flops == 12 * block + 2 * batch * context * width * 50257


@every_case
def test_costs_grow_with_the_batch_and_count_bytes_and_other_flops(mixer):
    one, two = (forward_cost(model_of(mixer), batch, 40) for batch in (1, 2))
    assert two.matmul_flops == 2 * one.matmul_flops
    if mixer.kind == "s4":  # its filters are made once for the batch
        assert one.other_flops < two.other_flops < 2 * one.other_flops
    else:
        assert two.other_flops == 2 * one.other_flops > 0
    assert one.moved_bytes < two.moved_bytes <= 2 * one.moved_bytes, "weights are read once for the batch"


def test_a_context_beyond_learned_positions_has_no_cost():
    config = model_of(CASES[0], position_embedding="learned", max_context=64)
    forward_cost(config, 1, 64)
    with pytest.raises(UserError, match="a context of 65 tokens: the learned positions end at max_context = 64"):
        forward_cost(config, 1, 65)
