"""Forward costs: matmul FLOPs are those that torch counts, to the integer; saved elements are those that it keeps."""

from __future__ import annotations

import pytest
import torch

from isostate.costs import forward_cost, saved_elements
from isostate.mixers import FORMS, softmax
from isostate.mixers.linear_family import LinearFamilyConfig
from isostate.model import Decoder, ModelConfig
from tests.costs.counting import matmul_flops, saved_float_elements
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


def shared_tables(config: ModelConfig, context: int) -> int:
    """Elements that all layers share: rotary angles, weights of monomials, ALiBi's slopes. No batch makes them more."""
    mixer = config.mixer
    angles = 2 * context * mixer.head_dim if mixer.positions == "rotary" else 0
    if not isinstance(mixer, LinearFamilyConfig):
        return angles
    slopes = mixer.n_heads if mixer.positions == "alibi" and mixer.gate == "none" else 0
    return angles + config.n_layers * (mixer.feature_map.expanded_size + slopes)


@pytest.mark.parametrize(
    "changes",
    [{}, {"mlp": "gelu", "norm": "layer"}, {"conv_taps": 4, "embeddings": "untied"}],
    ids=["defaults", "gelu and layer norm", "convolution, untied"],
)
@every_case
def test_saved_elements_are_what_torch_keeps(mixer, changes):
    config = model_of(mixer, **changes)
    model = Decoder(config)
    for context in (50, 128):
        given = [*model.parameters(), *model.init_state(BATCH).tensors()]
        kept = saved_float_elements(given, model.loss, tokens(context), tokens(context))
        assert kept == saved_elements(config, BATCH, context) + shared_tables(config, context)


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
    assert two.other_flops == 2 * one.other_flops > 0
    assert one.moved_bytes < two.moved_bytes <= 2 * one.moved_bytes, "weights are read once for the batch"
