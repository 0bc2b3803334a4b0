"""isostate.export.transformers: folders of any mixer, loaded by transformers' Auto classes, and back bit-equal."""

from __future__ import annotations

import pytest
import torch
from torch.nn.functional import cross_entropy

from isostate.export import load_model, save_model
from isostate.model import Decoder, ModelConfig
from tests.mixers.cases import CASES, name_of
from tests.model.options import OPTIONS, STACKS, VOCABULARY, config_of, tokens

pytestmark = pytest.mark.slow  # transformers alone takes seconds to import; test_native.py needs none
MODELS = {
    **{name_of(mixer): config_of(mixer) for mixer in CASES},
    **{f"stack of {name}": config_of(stack, n_layers=4) for name, stack in STACKS.items()},
    "everything": config_of(CASES[4], **OPTIONS["everything"]),
    "no MLP": config_of(CASES[24], **OPTIONS["no MLP"]),
}


@pytest.fixture(scope="module")
def auto():
    from transformers import AutoConfig, AutoModelForCausalLM

    from isostate.export.transformers import register

    register()
    register()
    return AutoConfig, AutoModelForCausalLM


@pytest.mark.parametrize("name", MODELS)
def test_any_mixer_is_loaded_by_transformers_and_read_back_bit_equal(name, auto, tmp_path):
    ours = Decoder(MODELS[name], seed=3).eval()
    save_model(ours, tmp_path / "ours")
    theirs, info = auto[1].from_pretrained(tmp_path / "ours", output_loading_info=True)
    assert not any(info[key] for key in ("missing_keys", "unexpected_keys", "mismatched_keys"))
    with torch.no_grad():
        assert torch.equal(theirs(tokens()).logits, ours(tokens())[0])
    theirs.save_pretrained(tmp_path / "theirs")
    back = load_model(tmp_path / "theirs")
    assert back.config == ours.config
    assert all(torch.equal(a, b) for a, b in zip(back.parameters(), ours.parameters(), strict=True))


def test_sizes_are_where_transformers_looks_for_them(auto, tmp_path):
    config = MODELS["everything"]
    save_model(Decoder(config), tmp_path / "m", context=77)
    found = auto[0].from_pretrained(tmp_path / "m")
    assert (found.vocab_size, found.hidden_size, found.num_hidden_layers) == (VOCABULARY, 10, 2)
    assert found.max_position_embeddings == 77
    assert ModelConfig.parse(found.model, "m") == config


def test_it_trains_and_generates_there(auto, tmp_path):
    ours = Decoder(MODELS["everything"].model_copy(update={"dropout": 0.0}), seed=3)
    save_model(ours, tmp_path / "m")
    theirs = auto[1].from_pretrained(tmp_path / "m").eval()
    out = theirs(tokens(), labels=tokens())
    logits_BTU, _ = ours(tokens())
    want = cross_entropy(logits_BTU[:, :-1].flatten(0, 1), tokens()[:, 1:].flatten())
    assert torch.allclose(out.loss, want)
    out.loss.backward()
    assert all(p.grad is not None for p in theirs.parameters())
    with torch.no_grad():
        all_seen = torch.ones_like(tokens(5))
        made = theirs.generate(tokens(5), attention_mask=all_seen, max_new_tokens=4, do_sample=False, pad_token_id=0)
        text = tokens(5)
        for _ in range(4):
            text = torch.cat([text, ours.eval()(text)[0][:, -1:].argmax(-1)], dim=1)
    assert torch.equal(made, text)


def test_padding_in_front_is_refused(auto, tmp_path):
    save_model(Decoder(MODELS["no MLP"]), tmp_path / "m")
    theirs = auto[1].from_pretrained(tmp_path / "m")
    mask = torch.ones(2, 6, dtype=torch.int64)
    mask[0, :2] = 0
    with pytest.raises(ValueError, match="padding in front of the text"):
        theirs(tokens(6), attention_mask=mask)
    theirs(tokens(6), attention_mask=mask.flip(1))
