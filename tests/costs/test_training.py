"""Training costs: three forwards, about 6 N a token; the peak of memory within what the estimate claims."""

from __future__ import annotations

import pytest
import torch

from isostate.costs import forward_cost, peak_train_bytes, train_flops, train_step_cost
from isostate.mixers.linear_family import LinearFamilyConfig
from isostate.mixers.recurrence import best_chunk
from isostate.model import Decoder, ModelConfig
from tests.costs.counting import matmul_flops, peak_allocated_bytes
from tests.mixers.cases import CASES, name_of

BATCH, VOCABULARY = 3, 29


def model_of(mixer, **changes) -> ModelConfig:
    sizes = {"vocab_size": VOCABULARY, "n_layers": 2, "d_model": mixer["d_model"]}
    return ModelConfig.parse(sizes | {"mixer": mixer} | changes, "m")


def step(model: Decoder, batch: int, context: int) -> None:
    tokens_BT = torch.zeros(batch, context, dtype=torch.long)
    model.loss(tokens_BT, tokens_BT)[0].backward()


def recomputed_minus_skipped(mixer: LinearFamilyConfig, context: int) -> int:
    """The engine's backward makes the scores again, and passes nothing back to the last state, which nobody reads."""
    P, K, V = mixer.feature_map.expanded_size, mixer.head_dim, mixer.head_dim + (mixer.normaliser == "sum")
    chunk = mixer.chunk or best_chunk(mixer.feature_map, V, context)
    n_chunks = -(-context // chunk)
    return 2 * BATCH * mixer.n_heads * chunk * (n_chunks * chunk * K - 2 * P * V)


@pytest.mark.parametrize("mixer", [c for c in CASES if c.kind != "softmax"], ids=name_of)
def test_a_step_is_three_forwards_but_for_what_the_backward_computes_again_or_skips(mixer):
    config = model_of(mixer.to_dict(), conv_taps=4)
    model = Decoder(config)
    for context in (50, 130):
        counted = matmul_flops(step, model, BATCH, context)
        expected = 3 * forward_cost(config, BATCH, context).matmul_flops
        assert train_step_cost(config, BATCH, context).matmul_flops == expected
        extra = recomputed_minus_skipped(mixer, context) if isinstance(mixer, LinearFamilyConfig) else 0
        assert counted == expected + config.n_layers * extra


@pytest.mark.parametrize("kind", ["softmax", "linear", "power"])
def test_training_takes_about_6_flops_a_parameter_and_token(kind):
    # Wide and short, where parameters outweigh the mixing of positions. The tied table counts: the head multiplies it.
    config = model_of({"kind": kind, "d_model": 512, "head_dim": 16}, vocab_size=1024)
    flops = train_flops(config, context=64, n_tokens=6400)
    assert 1.0 < flops / (6 * config.param_count().total * 6400) < 1.1
    assert flops == 100 * train_step_cost(config, 1, 64).matmul_flops


MODELS = {
    "softmax": {"kind": "softmax", "d_model": 64, "positions": "alibi", "qk_norm": "rms"},
    "window": {"kind": "window", "d_model": 64, "window": 32, "positions": "alibi"},
    "linear": {"kind": "linear", "d_model": 64},
    "taylor": {"kind": "taylor", "d_model": 64, "head_dim": 16, "positions": "rotary"},
    "power": {"kind": "power", "d_model": 64, "head_dim": 16, "gate": "head", "qk_norm": "rms"},
    "power-4": {"kind": "power", "d_model": 64, "head_dim": 8, "degree": 4},
}


@pytest.mark.parametrize("vocab_size, batch, context", [(256, 16, 256), (2048, 2, 512)])
@pytest.mark.parametrize("name", MODELS)
def test_the_peak_of_memory_is_within_a_quarter_of_the_estimate(name, vocab_size, batch, context):
    config = model_of(MODELS[name], vocab_size=vocab_size, conv_taps=4)

    def train():
        model = Decoder(config)
        optimizer = torch.optim.AdamW(model.parameters(), fused=True)
        for _ in range(2):  # the second step has the moments from the beginning
            step(model, batch, context)
            optimizer.step()
            optimizer.zero_grad(set_to_none=False)

    measured = peak_allocated_bytes(train)
    assert 0.8 < peak_train_bytes(config, batch, context) / measured < 1.25
