"""Precisions: what training holds of a parameter, equal to live optimizers; live states; what refuses to run."""

from __future__ import annotations

import pytest
import torch

from isostate.costs import break_even_batch, gpt_block_bytes, model_state_bytes, state_bytes
from isostate.costs.precision import PRECISIONS
from isostate.model import Decoder, ModelConfig, decayed_parameters
from isostate.train import OPTIMIZERS
from tests.costs.configurations import ALL, Case

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}
every_case = pytest.mark.parametrize("case", ALL.values(), ids=ALL)


def test_bytes_of_a_parameter_are_those_of_formulas_2():
    totals = {name: model_state_bytes(1, name).total for name in PRECISIONS}
    assert totals == {"fp32": 16, "bf16": 8, "mixed": 18, "mixed-16-bit-gradients": 16}
    mixed = model_state_bytes(7_000_000_000, "mixed")
    assert (mixed.weights, mixed.master + mixed.optimizer, mixed.gradients) == (14e9, 84e9, 28e9)
    # ERRATA 38: whether gradients are 4 N or, as ZeRO counts, 2 N is a choice, and not 18 N always.
    assert model_state_bytes(1, "mixed-16-bit-gradients").gradients == 2 != mixed.gradients // 7_000_000_000
    assert {name for name, each in PRECISIONS.items() if each.runs_here} == set(DTYPES)


@pytest.mark.parametrize("precision", DTYPES)
@pytest.mark.parametrize("name", ["softmax", "power-2-gated/alibi/head_dim=8", "everything, softmax"])
def test_moments_gradients_and_weights_are_the_live_ones(name, precision):
    case = ALL[name]
    model, tokens_BT = case.model(DTYPES[precision]), case.tokens()
    ours = OPTIMIZERS["adamw"](*decayed_parameters(model), betas=(0.9, 0.99), eps=1e-8, weight_decay=0.1)
    model.train_loss(tokens_BT, tokens_BT).backward()
    ours.step(1e-3)
    predicted = model_state_bytes(case.config.param_count().total, precision)
    assert sum(tensor.nbytes for tensor in ours.tensors().values()) == predicted.optimizer
    assert sum(parameter.nbytes for parameter in model.parameters()) == predicted.weights
    assert sum(parameter.grad.nbytes for parameter in model.parameters()) == predicted.gradients
    torchs = torch.optim.AdamW(model.parameters())
    torchs.step()
    moments = [state[key] for state in torchs.state.values() for key in ("exp_avg", "exp_avg_sq")]
    assert sum(moment.nbytes for moment in moments) == predicted.optimizer


@pytest.mark.parametrize("precision", DTYPES)
@every_case
def test_states_are_as_large_as_the_live_ones(case: Case, precision):
    model, tokens_BT = case.model(DTYPES[precision]), case.tokens()
    _, state = model.token_losses(tokens_BT, tokens_BT)
    assert state_bytes(case.config, case.batch, case.context, precision) == state.nbytes


PUBLISHED = {  # bytes a token in 16 bits: FORMULAS section 2
    "GPT-3": ({"n_layers": 96, "d_model": 12288}, {"n_heads": 96}, 4_718_592),
    "Llama-2 7B": ({"n_layers": 32, "d_model": 4096}, {"n_heads": 32}, 524_288),
    "Llama-2 13B": ({"n_layers": 40, "d_model": 5120}, {"n_heads": 40}, 819_200),
    "Llama-2 34B": ({"n_layers": 48, "d_model": 8192}, {"n_heads": 64, "n_kv_heads": 8}, 196_608),
    "Llama-2 70B": ({"n_layers": 80, "d_model": 8192}, {"n_heads": 64, "n_kv_heads": 8}, 327_680),
    "52B": ({"n_layers": 64, "d_model": 8192}, {"n_heads": 64}, 2_097_152),
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_a_token_of_a_famous_cache_is_as_large_as_published(name):
    sizes, mixer, per_token = PUBLISHED[name]
    config = ModelConfig.parse({"vocab_size": 32_000} | sizes | {"mixer": {"kind": "softmax", **mixer}}, name)
    assert state_bytes(config, 1, 1, "bf16") == per_token
    assert state_bytes(config, 3, 2048, "bf16") == 3 * 2048 * per_token


def test_caches_that_the_notes_count_wrong():
    gpt3 = 2048 * PUBLISHED["GPT-3"][2]
    assert round(gpt3 / 1e9, 2) == 9.66 != 5.6
    # Of 34B: eight query heads share one key head, so grouping saves 8 times, not 5.
    sizes, _, per_token = PUBLISHED["Llama-2 34B"]
    whole = ModelConfig.parse({"vocab_size": 8} | sizes | {"mixer": {"kind": "softmax", "n_heads": 64}}, "whole")
    assert state_bytes(whole, 1, 1, "bf16") == 8 * per_token != 5 * per_token


@pytest.mark.parametrize("n_kv_heads", [1, 2, 4])
def test_a_cache_is_of_the_heads_that_keys_have(n_kv_heads):
    # ERRATA 27: 2 p B D L S needs a factor of K_v / A with grouped queries. Measured.
    mixer = {"kind": "softmax", "n_heads": 4, "n_kv_heads": n_kv_heads}
    config = ModelConfig.parse({"vocab_size": 29, "n_layers": 2, "d_model": 16, "mixer": mixer}, "m")
    tokens_BT = torch.zeros(3, 20, dtype=torch.long)
    _, state = Decoder(config).token_losses(tokens_BT, tokens_BT)
    note = 2 * 4 * 3 * 16 * 2 * 20
    assert state.nbytes == state_bytes(config, 3, 20) == note * n_kv_heads // 4
    assert (state.nbytes == note) == (n_kv_heads == 4)


def test_mixed_precision_breaks_even_where_formulas_2_says():
    d_model, context, n_heads = 1024, 512, 16
    batch = break_even_batch(d_model, context, n_heads)
    assert batch == 6 * d_model**2 / (8 * d_model * context + n_heads * context**2)
    # From its parts: 2 bytes more for each of 12 D^2 parameters, against what activations save.
    extra = (18 - 16) * 12 * d_model**2
    saved = gpt_block_bytes(1, context, d_model, n_heads, 4) - gpt_block_bytes(1, context, d_model, n_heads, 2)
    assert batch == pytest.approx(extra / saved)


def test_autocast_is_no_precision_of_this_model():
    model, tokens_BT = Decoder(ALL["softmax"].config), ALL["softmax"].tokens()
    with torch.autocast("cpu", torch.bfloat16), pytest.raises(RuntimeError, match="dtype"):
        model.train_loss(tokens_BT, tokens_BT)
