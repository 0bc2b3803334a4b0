"""Mamba-2 is what its formula says, step by step, and what Hugging Face runs with the same weights."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import softplus

from isostate.costs.formula import count_params
from isostate.costs.preset_table import find_preset
from isostate.mixers.mamba2 import FIRST_DECAYS, FIRST_STEPS, Mamba2Config, Mamba2Mixer
from tests.mixers.cases import CASES, name_of
from tests.mixers.runs import build, tokens
from tests.tolerances import assert_agrees

OWN_GROUPS = Mamba2Config(d_model=6, expand=1, n_heads=2, d_state=8, n_groups=2, conv_bias=False)
MAMBAS = [*(case for case in CASES if case.kind == "mamba2"), OWN_GROUPS]
every_case = pytest.mark.parametrize("config", MAMBAS, ids=name_of)


def one_by_one(mixer: Mamba2Mixer, u_TD: Tensor) -> Tensor:
    """The docstring's formula of one sequence, head by head and position by position."""
    c, reads = mixer.config, []
    group, inner = c.n_heads // c.n_groups, c.inner
    z, taken, d = (u_TD @ mixer.in_proj.weight.T).split([inner, c.convolved, c.n_heads], dim=-1)
    padded = torch.cat([taken.new_zeros(c.conv_taps - 1, c.convolved), taken])
    states = [taken.new_zeros(c.d_state, c.head_dim) for _ in range(c.n_heads)]
    for t in range(len(u_TD)):
        seen = sum(padded[t + w] * mixer.conv1d.weight[:, 0, w] for w in range(c.conv_taps))
        seen = seen + (0 if mixer.conv1d.bias is None else mixer.conv1d.bias)
        x, b, q = (seen * seen.sigmoid()).split([inner, c.n_groups * c.d_state, c.n_groups * c.d_state])
        y = []
        for head in range(c.n_heads):
            step = softplus(d[t, head] + mixer.dt_bias[head]).clamp(*(c.step_limits or (0, math.inf)))
            of_group = slice(head // group * c.d_state, (head // group + 1) * c.d_state)
            of_head = x[head * c.head_dim : (head + 1) * c.head_dim]
            kept = torch.exp(-step * mixer.A_log[head].exp()) * states[head]
            states[head] = kept + torch.outer(b[of_group], step * of_head)
            y.append(q[of_group] @ states[head] + mixer.D[head] * of_head)
        gated = (torch.cat(y) * z[t] * z[t].sigmoid()).view(c.n_groups, -1)
        normed = gated / (gated.square().mean(-1, keepdim=True) + c.norm_eps).sqrt()
        reads.append(mixer.out_proj.weight @ (mixer.norm.weight * normed.flatten()))
    return torch.stack(reads)


@every_case
def test_it_is_its_formula(config):
    mixer, x_BTD = build(config), tokens(config, 11)
    for form in ("recurrent", "parallel", "chunked"):
        y_BTD, _ = mixer(x_BTD, form=form)
        for row in range(len(x_BTD)):
            assert_agrees(y_BTD[row], one_by_one(mixer, x_BTD[row]), form)


def test_groups_share_their_keys_and_do_not_multiply_the_state():
    # FORMULAS section 1.3: heads are divided among the groups; the state is H K R, not G times that.
    sizes = {g: Mamba2Config(d_model=64, n_heads=8, d_state=16, n_groups=g).state_size(9) for g in (1, 4)}
    assert {size.parts["matrix"] for size in sizes.values()} == {128 * 16}
    assert [size.parts["convolution"] for size in sizes.values()] == [3 * (128 + 2 * g * 16) for g in (1, 4)]
    assert sizes[4].parts["matrix"] != 4 * sizes[1].parts["matrix"]


def test_fresh_heads_have_steps_and_decays_in_their_ranges():
    mixer = Mamba2Mixer(Mamba2Config(d_model=64, n_heads=64))
    drawn = []
    for start in (lambda: None, lambda: mixer.start_own(torch.Generator().manual_seed(0))):
        with torch.no_grad():
            start()
        for values, (low, high) in ((softplus(mixer.dt_bias), FIRST_STEPS), (mixer.A_log.exp(), FIRST_DECAYS)):
            assert low * (1 - 1e-4) <= values.min() < values.max() <= high * (1 + 1e-4)
            assert values.min() < low * (high / low) ** 0.3
        drawn.append(mixer.dt_bias.clone())
    assert not torch.equal(*drawn)


def test_published_models_have_their_published_parameters():
    # Layers of a norm and a mixer, the last norm, and one table for both ends; the preset is counted from formulas.
    for name, d_model, n_layers in (("mamba-2-130m", 768, 24), ("mamba-2-1.3b", 2048, 48)):
        config = Mamba2Config(d_model=d_model, head_dim=64)
        total = 50_288 * d_model + n_layers * (config.n_params() + d_model) + d_model
        assert total == count_params(find_preset(name).architecture).total


class Swapped(nn.Module):
    """Our mixer where Hugging Face's block expects its own."""

    def __init__(self, mixer: Mamba2Mixer, form: str) -> None:
        super().__init__()
        self.mixer, self.form = mixer, form

    def forward(self, hidden_states: Tensor, *args: object, **kwargs: object) -> Tensor:
        return self.mixer(hidden_states, form=self.form)[0]


@pytest.mark.slow
@pytest.mark.parametrize("n_groups, limit", [(1, (0.0, math.inf)), (2, (0.01, 0.05))])
def test_logits_are_hugging_faces(n_groups, limit):
    transformers = pytest.importorskip("transformers", reason="a check for developers: pip install transformers")
    theirs = transformers.Mamba2Config(
        **{"num_heads": 8, "head_dim": 8, "vocab_size": 61, "hidden_size": 32, "state_size": 16, "n_groups": n_groups},
        **{"num_hidden_layers": 2, "chunk_size": 16, "time_step_limit": limit, "use_cache": False},
    )
    limits = None if limit[1] == math.inf else limit
    ours = Mamba2Config(d_model=32, n_heads=8, d_state=16, n_groups=n_groups, step_limits=limits)
    torch.manual_seed(0)
    tokens_BT = torch.randint(61, (2, 45))
    for dtype, allowed in ((torch.float32, 1e-4), (torch.float64, 1e-6)):  # it runs its scan in float32 all the same
        model = transformers.Mamba2ForCausalLM(theirs).to(dtype).eval()
        with torch.no_grad():
            want_BTU = model(tokens_BT).logits
            for form in ("recurrent", "parallel", "chunked"):
                for block in model.backbone.layers:
                    mixer = Mamba2Mixer(ours).to(dtype)
                    before = block.mixer.mixer if isinstance(block.mixer, Swapped) else block.mixer
                    mixer.load_state_dict(before.state_dict())
                    block.mixer = Swapped(mixer, form)
                got_BTU = model(tokens_BT).logits
                assert want_BTU.abs().max() > 0.1
                assert (got_BTU - want_BTU).abs().max() < allowed, form
