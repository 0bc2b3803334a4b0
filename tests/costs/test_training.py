"""Training costs: three forwards, about 6 N a token; the peak of memory, of the loop that trains."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from isostate.costs import (
    alive_at_peak,
    counting,
    kept_activations,
    peak_train_bytes,
    train_flops,
    train_step_cost,
    training_memory,
)
from isostate.mixers import MIXERS
from isostate.model import Decoder, ModelConfig, decayed_parameters
from isostate.train import OPTIMIZERS

BATCH, VOCABULARY = 3, 29


def model_of(mixer, **changes) -> ModelConfig:
    sizes = {"vocab_size": VOCABULARY, "n_layers": 2, "d_model": mixer["d_model"]}
    return ModelConfig.parse(sizes | {"mixer": mixer} | changes, "m")


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


GPT2 = {
    **{"mlp": "gelu-tanh", "norm": "layer", "bias": "all", "dropout": 0.1, "conv_taps": 0},
    **{"position_embedding": "learned", "max_context": 512},
}
OPTIONS = {"plain": {"conv_taps": 4}, "gpt2": GPT2, "parallel": {"block": "parallel", "mlp": "reglu", "norm": "layer"}}


def train(config: ModelConfig, batch: int, context: int, recompute: str) -> None:
    """What a run does (train/loop.py): two updates, of which the second begins with all that stays."""
    model = Decoder(config)
    optimizer = OPTIMIZERS["adamw"](*decayed_parameters(model), betas=(0.9, 0.99), eps=1e-8, weight_decay=0.1)
    inputs_BT, targets_BT = (torch.zeros(batch, context, dtype=torch.long) for _ in range(2))
    for _ in range(2):
        loss = model.train_loss(inputs_BT, targets_BT, recompute=recompute)
        loss.backward()
        optimizer.gradient_norm().item()
        optimizer.step(1e-3)


@pytest.mark.slow
@pytest.mark.parametrize("recompute", ["none", "blocks"])
@pytest.mark.parametrize("options", OPTIONS)
@pytest.mark.parametrize("name", MODELS)
def test_the_peak_of_training_is_the_allocators(name, options, recompute):
    config = model_of(MODELS[name], vocab_size=512, n_layers=3, **OPTIONS[options])
    batch, context = (4, 256) if options == "plain" else (2, 200)
    counting.forget_tables()
    measured = counting.peak_allocated_bytes(lambda: train(config, batch, context, recompute))
    predicted = training_memory(config, batch, context, recompute=recompute).total
    # 3 % is what is asked for; what is claimed is all but scalars and, where tables are made, their first versions.
    assert predicted == pytest.approx(measured, rel=1e-4)


def test_a_model_far_larger_than_its_batch_is_told_by_what_stays():
    config = model_of(MODELS["softmax"], vocab_size=4096, n_layers=2, d_ff=2048)
    measured = counting.peak_allocated_bytes(lambda: train(config, 1, 8, "none"))
    memory = training_memory(config, 1, 8)
    assert memory.total == pytest.approx(measured, rel=2e-3)
    assert memory.weights + memory.gradients + memory.optimizer > 0.75 * memory.total


def test_parts_of_the_memory_sum_to_it_and_recomputation_lowers_the_step_alone():
    config = model_of(MODELS["power"], n_layers=6)
    plain, again = (training_memory(config, 8, 256, recompute=recompute) for recompute in ("none", "blocks"))
    assert plain.total == plain.weights + plain.gradients + plain.optimizer + plain.batch + plain.tables + plain.step
    assert peak_train_bytes(config, 8, 256) == plain.total
    assert plain.kept == kept_activations(config, 8, 256)
    assert again.kept == kept_activations(config, 8, 256, recompute="blocks")
    assert peak_train_bytes(config, 8, 256, "blocks") == again.total
    assert again.step < plain.step / 2
    assert (again.weights, again.batch) == (plain.weights, plain.batch)


def test_what_lives_at_the_peak_has_names():
    config = model_of(MODELS["softmax"], n_layers=3)
    rows = alive_at_peak(config, 4, 256)
    assert sum(nbytes for _, nbytes in rows) == training_memory(config, 4, 256).step
    names = dict(rows)
    kept = kept_activations(config, 4, 256).layer_bytes
    assert names["kept by the other layers"] == 2 * kept


def test_memory_in_sixteen_bits_is_half_but_for_what_has_its_own_precision():
    config = model_of(MODELS["window"], n_layers=3)
    whole, half = (
        training_memory(config, 4, 256, precision=precision, kernels="torch") for precision in ("fp32", "bf16")
    )
    assert half.optimizer == whole.optimizer // 2
    assert half.batch == whole.batch
    assert 0.5 <= half.step / whole.step < 0.56


# Chunks that the engine's rule does not choose by the context, and a batch at which its groups are whole.
OF_ONE_LENGTH = {"linear", "taylor", "power", "mamba2"}


@pytest.mark.slow
@pytest.mark.parametrize("kind", MIXERS)
def test_memory_of_both_passes_grows_in_proportion_to_the_context_as_predicted(kind):
    """Of every chunked form: counts of the allocator lie on a line, and its slope is the prediction's within 10 %."""
    mixer = {"kind": kind} | ({"chunk": 64} if kind in OF_ONE_LENGTH else {})
    mixer |= {"window": 64} if kind == "window" else {}
    sizes = {"vocab_size": 64, "n_layers": 1, "d_model": 64, "mlp": "none", "mixer": mixer}
    config, batch, contexts = ModelConfig.parse(sizes, "m"), 8, (1024, 1536, 2048, 3072)
    model, counts = Decoder(config), []
    for context in contexts:
        tokens_BT = torch.zeros(batch, context, dtype=torch.long)

        def step(tokens_BT=tokens_BT) -> None:
            model.train_loss(tokens_BT, tokens_BT).backward()

        step()  # gradients and tables stay
        counts.append(counting.peak_allocated_bytes(step))
    predicted = [training_memory(config, batch, context).step for context in contexts]
    (slope, start), (told, _) = np.polyfit(contexts, counts, 1), np.polyfit(contexts, predicted, 1)
    assert told == pytest.approx(slope, rel=0.10)
    assert np.abs(np.array(counts) - start - slope * np.array(contexts)).max() < 0.03 * max(counts)
    quadratic = batch * 4 * contexts[-1] ** 2 * 4  # scores of 4 heads, which the parallel form keeps
    assert counts[-1] < quadratic
