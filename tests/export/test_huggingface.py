"""isostate.export.huggingface: the logits of Hugging Face's own modules, from their checkpoints and back into them."""

from __future__ import annotations

import json
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file

from isostate.config import UserError
from isostate.export import TYPES, load_huggingface, save_huggingface
from isostate.model import Decoder
from tests.export import peers
from tests.export.peers import CASES, LLAMA, MAMBA2, T

pytestmark = pytest.mark.slow  # transformers alone takes seconds to import; test_mapping.py needs none
LARGEST_DIFFERENCE = 1e-4  # of logits, float32


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """Each case's model, and the folder that transformers wrote of it; made once."""
    made = {}

    def of(name):
        if name not in made:
            kind, keys = CASES[name]
            model, folder = peers.build(kind, keys), tmp_path_factory.mktemp("theirs") / "model"
            model.save_pretrained(folder)
            made[name] = model, folder
        return made[name]

    return of


def ours_logits(model: Decoder, length: int = T, form: str = "chunked") -> torch.Tensor:
    with torch.no_grad():
        return model.eval()(peers.tokens(length), form=form)[0]


def difference(a, b):
    assert a.shape == b.shape
    assert b.std() > 0.1, "logits that say something"
    return (a - b).abs().max().item()


@pytest.mark.parametrize("name", CASES)
def test_a_checkpoint_of_theirs_gives_their_logits_here(name, saved):
    theirs, folder = saved(name)
    ours = load_huggingface(folder)
    assert difference(ours_logits(ours), peers.logits(theirs)) < LARGEST_DIFFERENCE
    assert ours.config.param_count().total == sum(p.numel() for p in theirs.parameters())


@pytest.mark.parametrize("name", CASES)
def test_a_checkpoint_of_ours_gives_our_logits_there_and_comes_back_bit_equal(name, saved, tmp_path):
    ours = load_huggingface(saved(name)[1])
    kind, files = save_huggingface(ours, tmp_path / "out", context=64)
    assert kind == ("llama" if name == "mistral, no window" else CASES[name][0])
    assert files == ["config.json", "model.safetensors"]
    theirs = peers.load(kind, tmp_path / "out")
    assert difference(peers.logits(theirs), ours_logits(ours)) < LARGEST_DIFFERENCE
    back = load_huggingface(tmp_path / "out")
    want = dict(ours.named_parameters())
    assert back.config == ours.config
    assert all(torch.equal(x, want.pop(key)) for key, x in back.named_parameters())
    assert not want
    if kind == CASES[name][0]:  # and theirs are what they were
        before, after = (load_file(folder / "model.safetensors") for folder in (saved(name)[1], tmp_path / "out"))
        assert before.keys() == after.keys()
        assert all(torch.equal(before[key], after[key]) for key in before)


@pytest.mark.parametrize("name", ["gpt2", "llama, grouped", "mistral", "mamba", "mamba2, groups"])
def test_shards_are_read_and_written(name, saved, tmp_path):
    theirs, whole = saved(name)
    theirs.save_pretrained(tmp_path / "theirs", max_shard_size="8KB")
    shards = list((tmp_path / "theirs").glob("model-*.safetensors"))
    assert len(shards) > 2
    ours, want = load_huggingface(tmp_path / "theirs"), load_huggingface(whole)
    assert all(torch.equal(a, b) for a, b in zip(ours.parameters(), want.parameters(), strict=True))
    kind, files = save_huggingface(ours, tmp_path / "ours", shard_bytes=8_000)
    assert sum(file.endswith(".safetensors") for file in files) > 2
    back, before = peers.load(kind, tmp_path / "ours").state_dict(), theirs.state_dict()
    assert back.keys() == before.keys()
    assert all(torch.equal(back[key], before[key]) for key in back)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_is_read_as_float32(dtype, saved, tmp_path):
    theirs, _ = saved("llama, grouped")
    halved = peers.build(*CASES["llama, grouped"]).to(dtype)
    halved.save_pretrained(tmp_path / "half")
    ours = load_huggingface(tmp_path / "half")
    assert {p.dtype for p in ours.parameters()} == {torch.float32}
    want = peers.logits(peers.load("llama", tmp_path / "half"))
    assert difference(ours_logits(ours), want) < LARGEST_DIFFERENCE
    assert difference(ours_logits(ours), peers.logits(theirs)) > LARGEST_DIFFERENCE  # what the rounding took


@pytest.mark.parametrize("name", [name for name in CASES if CASES[name][0] in ("mamba", "mamba2", "mistral")])
def test_decoding_token_by_token_equals_their_prefill(name, saved):
    theirs, folder = saved(name)
    ours, state, steps = load_huggingface(folder).eval(), None, []
    with torch.no_grad():
        prefix_BT, rest_BT = peers.tokens().split([20, T - 20], dim=1)
        first, state = ours(prefix_BT, form="chunked")
        for t in range(rest_BT.shape[1]):
            one, state = ours(rest_BT[:, t : t + 1], state, form="recurrent")
            steps.append(one)
    decoded = torch.cat([first, *steps], dim=1)
    assert difference(decoded, ours_logits(ours)) < 1e-5
    assert difference(decoded, peers.logits(theirs)) < LARGEST_DIFFERENCE


def test_dynamic_scaling_is_plain_up_to_its_context_and_refused_with_that_advice(tmp_path):
    dynamic = {"rope_parameters": {"rope_type": "dynamic", "rope_theta": 500.0, "factor": 2.0}}
    theirs = peers.build("llama", LLAMA | dynamic | {"max_position_embeddings": 30})
    theirs.save_pretrained(tmp_path / "dynamic")
    with pytest.raises(UserError, match=r'rope_type = "dynamic".*max_position_embeddings = 30 tokens "default"'):
        load_huggingface(tmp_path / "dynamic")
    config = tmp_path / "dynamic" / "config.json"
    values = json.loads(config.read_text())
    values["rope_parameters"]["rope_type"] = "default"
    del values["rope_parameters"]["factor"]
    config.write_text(json.dumps(values))
    ours = load_huggingface(tmp_path / "dynamic")
    assert difference(ours_logits(ours, 30), peers.logits(theirs, 30)) < LARGEST_DIFFERENCE
    assert difference(ours_logits(ours, 45), peers.logits(theirs, 45)) > 1e-2  # beyond, another model


WRONG = {
    "gate and up the other way round": ("llama, grouped", "mlp.in_proj.weight", lambda x: torch.cat(x.chunk(2)[::-1])),
    "GPT-2's matrices not turned": ("gpt2", "mixer.out_proj.weight", torch.t),
    "pairs (2i, 2i + 1)": (
        "llama",
        "mixer.in_proj.weight",
        lambda x: torch.cat([x[:48].unflatten(0, (8, 2, 3)).transpose(1, 2).flatten(0, 2), x[48:]]),
    ),
    "a queries' head for another": ("llama, grouped", "mixer.in_proj.weight", lambda x: x.roll(6, 0)),
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_layouts_show(name, saved):
    case, part, change = WRONG[name]
    theirs, folder = saved(case)
    ours = load_huggingface(folder)
    parameter = dict(ours.named_parameters())[f"blocks.0.{part}"]
    with torch.no_grad():
        parameter.copy_(change(parameter.clone()))
    assert difference(ours_logits(ours), peers.logits(theirs)) > 100 * LARGEST_DIFFERENCE


def test_a_window_one_too_long_or_short_shows(saved):
    theirs, folder = saved("mistral")
    config = json.loads((folder / "config.json").read_text())
    for window in (6, 8):
        copy = folder.with_name(f"window-{window}")
        shutil.copytree(folder, copy)
        (copy / "config.json").write_text(json.dumps(config | {"sliding_window": window}))
        assert difference(ours_logits(load_huggingface(copy)), peers.logits(theirs)) > 100 * LARGEST_DIFFERENCE


def test_files_of_the_bare_model_and_tables_of_older_versions_are_read(saved, tmp_path):
    theirs, folder = saved("gpt2")
    shutil.copytree(folder, tmp_path / "bare")
    path = tmp_path / "bare" / "model.safetensors"
    tensors = {name.removeprefix("transformer."): x for name, x in load_file(path).items()}
    tensors["h.0.attn.bias"] = torch.ones(1, 1, 64, 64)  # OpenAI's file on the hub has both
    save_file(tensors, path)
    assert difference(ours_logits(load_huggingface(tmp_path / "bare")), peers.logits(theirs)) < LARGEST_DIFFERENCE


def test_every_type_has_a_case():
    assert {kind for kind, _ in CASES.values()} == set(TYPES)
    assert MAMBA2["num_heads"] % 3 == 0
