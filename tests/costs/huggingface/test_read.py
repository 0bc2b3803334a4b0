"""Reading config.json: counts equal to transformers' own modules, one clear line for what describes no model.

`tests/costs/transformers_counts.json` holds what `scripts/count_transformers.py` counted; nothing here needs
transformers, but where it is installed, the defaults are held against its own.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from isostate.config import UserError
from isostate.costs.formula import count_params, forward_cost_of, operators, total_cost, train_cost_of
from isostate.costs.huggingface import MODEL_TYPES
from isostate.costs.huggingface.read import from_huggingface, read_huggingface
from isostate.costs.preset_table import load_presets
from isostate.costs.sublayer import Run
from tests.costs.huggingface.cases import BATCH, CASES, CONTEXT
from tests.costs.huggingface.refusals import MISSING, refusal

RECORD = json.loads((Path(__file__).parents[1] / "transformers_counts.json").read_text())
# transformers runs their scans element by element, or with B and C repeated for every head: no two alike.
SCANNED = {"mamba", "mamba2"}
WEIGHTS = {"aten.mm", "aten.addmm"}
# Left out, these follow from other keys: None here, filled in by transformers.
RULED = {"head_dim", "n_inner", "architectures", "id2label", "layer_types", "moe_layer_freq", "attention_hidden_size"}
RULED |= {"intermediate_size", "ffn_hidden_size", "word_embed_proj_dim", "mlp_only_layers", "time_step_rank"}
RULED |= {"num_key_value_heads", "num_kv_heads", "sliding_window_pattern", "sliding_window"}


def test_the_record_holds_every_case_preset_and_model_type():
    assert set(RECORD["cases"]) == set(CASES)
    assert set(RECORD["presets"]) == {name for name, one in load_presets().items() if one.config is not None}
    kinds = {values["model_type"] for values in CASES.values()}
    assert kinds == set(MODEL_TYPES) - {"gemma3"}  # the text model inside it is gemma3_text


@pytest.mark.parametrize("name", RECORD["presets"])
def test_presets_have_the_parameters_of_transformers_modules(name):
    assert count_params(load_presets()[name].architecture).total == RECORD["presets"][name]


def run_of(name: str) -> Run:
    return Run(BATCH, from_huggingface(CASES[name], name).fixed_context or CONTEXT)


@pytest.mark.parametrize("name", CASES)
def test_cases_have_the_parameters_and_flops_of_transformers_modules(name):
    model, run, counted = from_huggingface(CASES[name], name), run_of(name), RECORD["cases"][name]
    assert count_params(model).total == counted["parameters"]
    if CASES[name]["model_type"] in SCANNED:
        in_weights = total_cost(one for one in operators(model, run) if one.weight_bytes).matmul_flops
        assert in_weights == sum(counted["forward"].get(operation, 0) for operation in WEIGHTS)
        assert 3 * in_weights == sum(counted["train"].get(operation, 0) for operation in WEIGHTS)
        return
    assert forward_cost_of(model, run).matmul_flops == sum(counted["forward"].values())
    assert train_cost_of(model, run).matmul_flops == sum(counted["train"].values())


@pytest.mark.parametrize("way", ["block", "block-reentrant"])
@pytest.mark.parametrize("name", [name for name in CASES if "block" in RECORD["cases"][name]])
def test_checkpointed_blocks_compute_again_what_transformers_modules_do(name, way):
    model, run, counted = from_huggingface(CASES[name], name), run_of(name), RECORD["cases"][name]
    again = train_cost_of(model, run, way).matmul_flops - train_cost_of(model, run).matmul_flops
    operations = WEIGHTS if CASES[name]["model_type"] in SCANNED else set(counted[way])
    measured = sum(counted[way].get(one, 0) - counted["train"].get(one, 0) for one in operations)
    if CASES[name]["model_type"] in SCANNED:
        scans = total_cost(one for one in operators(model, run) if one.name.endswith(".scan"))
        again -= scans.matmul_flops
    assert again == measured


def test_mambas_scan_reads_its_state_once_a_token():
    # The one product in transformers' Mamba that is no weight's: C times the state, 2 E R a token.
    for name in ("mamba", "mamba, biases"):
        mixer = from_huggingface(CASES[name], name).blocks()[0].sublayers[0]
        read = 2 * BATCH * CONTEXT * 3 * mixer.d_inner * mixer.d_state
        assert RECORD["cases"][name]["forward"]["aten.bmm"] == read


@pytest.mark.slow  # importing transformers takes seconds
@pytest.mark.parametrize("name", CASES)
def test_optional_keys_have_the_defaults_of_transformers(name):
    transformers = pytest.importorskip("transformers", reason="a check for developers: pip install transformers")
    kind = CASES[name]["model_type"]
    theirs = transformers.AutoConfig.for_model(kind)
    fields = MODEL_TYPES[kind].model_fields
    ours = {key: field.default for key, field in fields.items() if not field.is_required()}
    for key in RULED & set(ours):
        del ours[key]
    renamed = {"hidden_act": "hidden_activation"} if kind in {"gemma2", "gemma3_text"} else {}
    assert {key: getattr(theirs, renamed.get(key, key)) for key in ours} == ours


def test_what_names_no_known_model_type_is_one_clear_line():
    assert refusal({"hidden_size": 8}).startswith("f: missing key 'model_type'")
    assert refusal([1, 2]).startswith("f: not a table of keys")
    near = 'f: model_type = "lama": no such model type (did you mean "llama"?); known: bert, bloom, '
    assert refusal({"model_type": "lama"}).startswith(near)
    assert 'model_type = "resnet": no such model type; known: bert,' in refusal({"model_type": "resnet"})
    assert "model_type = 3: no such model type; known: bert," in refusal({"model_type": 3})
    assert "model_type = null: no such model type; known: bert," in refusal({"model_type": None})


@pytest.mark.parametrize("name", CASES)
def test_every_key_that_is_required_is_missed_by_name(name):
    fields = MODEL_TYPES[CASES[name]["model_type"]].model_fields
    for key in (one for one, field in fields.items() if field.is_required()):
        assert refusal(CASES[name], **{key: MISSING}) == f"f: missing key {key!r}; add it"


def test_sizes_that_are_possible_apart_and_not_together_are_one_clear_line():
    assert refusal(CASES["mixtral"], num_experts_per_tok=6) == "f: top_k = 6: at most n_experts = 5"


def test_files_that_hold_no_config_are_one_clear_line(tmp_path):
    def refused(path: Path) -> str:
        with pytest.raises(UserError) as caught:
            read_huggingface(path)
        return str(caught.value)

    assert refused(tmp_path / "no.json") == f"no file {tmp_path / 'no.json'}; give the path of a model's config.json"
    assert refused(tmp_path) == f"{tmp_path} is a folder; give the config.json inside it"
    broken = tmp_path / "config.json"
    for content in (b"{", b"\xff\xfe{}", b"[" * 100_000):
        broken.write_bytes(content)
        assert refused(broken).startswith(f"{broken}: not valid JSON: ")
        assert "\n" not in refused(broken)
    broken.write_text(json.dumps(CASES["gpt2"]))
    assert count_params(read_huggingface(broken)).total == RECORD["cases"]["gpt2"]["parameters"]
