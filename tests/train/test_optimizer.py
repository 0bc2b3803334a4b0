"""AdamW over flat buffers: the textbook's update, decay where it belongs, a state that goes through a checkpoint."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from isostate.mixers import SoftmaxConfig
from isostate.model import Decoder, ModelConfig, decayed_parameters
from isostate.train.optimizer import ALIGN, OPTIMIZERS, AdamW

SETTINGS = {"betas": (0.9, 0.99), "eps": 1e-8, "weight_decay": 0.1}


def parameters(seed: int = 0) -> tuple[dict[str, nn.Parameter], dict[str, nn.Parameter]]:
    """Shapes that fill no whole number of aligned lines."""
    generator = torch.Generator().manual_seed(seed)
    shapes = {"a": (3, 5), "b": (17, 2), "gain": (7,), "bias": (1,)}
    made = {name: nn.Parameter(torch.randn(shape, generator=generator)) for name, shape in shapes.items()}
    return {n: made[n] for n in "ab"}, {n: made[n] for n in ("gain", "bias")}


def backward(parameters: dict[str, nn.Parameter], seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    loss = sum((p * torch.randn(p.shape, generator=generator)).sum() for p in parameters.values())
    loss.backward()


@pytest.mark.parametrize("decay_only", [False, True])
def test_updates_equal_pytorchs_own_adamw(decay_only):
    decay, rest = parameters()
    plain_decay, plain_rest = parameters()
    if decay_only:
        rest, plain_rest = {}, {}
    ours = AdamW(decay, rest, **SETTINGS)
    groups = [{"params": [*plain_decay.values()]}, {"params": [*plain_rest.values()], "weight_decay": 0.0}]
    plain = torch.optim.AdamW(groups, lr=0.0, foreach=False, **SETTINGS)
    for step in range(5):
        backward({**decay, **rest}, step)
        backward({**plain_decay, **plain_rest}, step)
        ours.step(0.01 * (step + 1))
        for group in plain.param_groups:
            group["lr"] = 0.01 * (step + 1)
        plain.step()
        plain.zero_grad()
    for name, parameter in {**decay, **rest}.items():
        assert torch.allclose(parameter, {**plain_decay, **plain_rest}[name], rtol=1e-5, atol=1e-7)


def test_only_what_is_to_be_decayed_decays():
    decay, rest = parameters()
    before = {name: p.detach().clone() for name, p in {**decay, **rest}.items()}
    AdamW(decay, rest, **SETTINGS).step(0.5)  # no gradient: nothing but decay moves a weight
    for name, parameter in decay.items():
        assert torch.allclose(parameter, before[name] * (1 - 0.5 * 0.1))
    for name, parameter in rest.items():
        assert torch.equal(parameter, before[name])


def test_norms_vectors_and_embeddings_of_the_decoder_do_not_decay():
    mixer = SoftmaxConfig(kind="softmax", d_model=16, n_heads=2, head_dim=8)
    model = Decoder(ModelConfig(vocab_size=32, n_layers=1, d_model=16, d_ff=24, conv_taps=4, mixer=mixer), seed=0)
    decay, rest = decayed_parameters(model)
    assert {*decay, *rest} == {name for name, _ in model.named_parameters()}
    assert all(parameter.ndim == 2 for parameter in decay.values())
    assert not any("norm" in name or "embedding" in name or "taps" in name for name in decay)
    assert {"embedding.weight", "final_norm.gain"} <= set(rest)


def test_the_gradients_norm_is_that_of_all_of_them_and_a_step_clears_them():
    decay, rest = parameters()
    optimizer = AdamW(decay, rest, **SETTINGS)
    everything = {**decay, **rest}
    backward(everything, 1)
    want = torch.cat([p.grad.flatten() for p in everything.values()]).norm()
    assert optimizer.gradient_norm().item() == pytest.approx(want.item(), rel=1e-6)
    optimizer.step(0.1)
    assert optimizer.gradient_norm().item() == 0
    assert all(not p.grad.any() for p in everything.values())


def test_gradients_are_scaled_before_the_update():
    moments = []
    for scale, times in ((0.25, 1.0), (1.0, 0.25)):
        decay, rest = parameters()
        optimizer = AdamW(decay, rest, **SETTINGS)
        sum((p * times).sum() for p in decay.values()).backward()
        optimizer.step(0.1, scale)
        moments.append(optimizer.tensors()["exp_avg.a"].clone())
    assert torch.equal(moments[0], moments[1])
    assert moments[0].any()


def test_a_state_taken_over_goes_on_to_the_bit():
    decay, rest = parameters()
    first = AdamW(decay, rest, **SETTINGS)
    for step in range(3):
        backward({**decay, **rest}, step)
        first.step(0.1)
    other_decay, other_rest = parameters(seed=9)
    with torch.no_grad():
        for name, parameter in {**other_decay, **other_rest}.items():
            parameter.copy_({**decay, **rest}[name])
    second = AdamW(other_decay, other_rest, **SETTINGS)
    backward(other_decay, 7)  # a gradient of before must not leak into the next step
    second.load({name: tensor.clone() for name, tensor in first.tensors().items()}, step=3)
    for optimizer, pair in ((first, (decay, rest)), (second, (other_decay, other_rest))):
        backward({**pair[0], **pair[1]}, 5)
        optimizer.step(0.1)
    for name, parameter in {**decay, **rest}.items():
        assert torch.equal(parameter, {**other_decay, **other_rest}[name])


def test_the_state_of_another_model_is_not_taken():
    optimizer = AdamW(*parameters(), **SETTINGS)
    with pytest.raises(AssertionError, match="another model"):
        optimizer.load({}, step=1)


def test_a_gradient_set_to_none_is_noticed():
    decay, rest = parameters()
    optimizer = AdamW(decay, rest, **SETTINGS)
    decay["a"].grad = None
    with pytest.raises(AssertionError, match="replaced a grad"):
        optimizer.step(0.1)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_every_weight_begins_on_an_aligned_line(name):
    decay, rest = parameters()
    OPTIMIZERS[name](decay, rest, **SETTINGS)
    starts = [parameter.storage_offset() for parameter in {**decay, **rest}.values()]
    assert all(start % ALIGN == 0 for start in starts)
    assert len(set(starts)) == len(starts)
