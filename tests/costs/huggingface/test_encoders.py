"""BERT, ViT, CLIP: heads by the file's `architectures`, towers in tables of their own."""

from __future__ import annotations

from isostate.costs.formula import count_params
from isostate.costs.huggingface.read import from_huggingface
from tests.costs.huggingface.cases import CASES
from tests.costs.huggingface.refusals import refusal


def test_what_stands_on_top_is_what_the_file_names():
    heads = {name: from_huggingface(CASES[name], name).head for name in CASES if name.startswith(("bert", "vit"))}
    assert {name: (head.kind, head.pooler, head.outputs) for name, head in heads.items()} == {
        "bert": ("pooled", True, None),
        "bert, masked": ("tied", False, None),
        "bert, pre-training": ("tied", True, 2),
        "vit": ("pooled", True, None),
        "vit, classes": ("pooled", False, 3),
    }
    unlabelled = {key: value for key, value in CASES["vit, classes"].items() if key != "id2label"}
    assert from_huggingface(unlabelled, "f").head.outputs == 2
    other = refusal(CASES["vit"], architectures=["ViTForMaskedImageModeling"])
    assert other.startswith("f: architectures.0 = \"ViTForMaskedImageModeling\": input should be 'ViTModel'")


def test_clip_has_a_causal_text_tower_and_an_image_tower_that_sees_all():
    model = from_huggingface(CASES["clip"], "f")
    assert model.attentions[0].causal
    assert not model.tower.attentions[0].causal
    assert model.tower.fixed_context == 16 + 1
    assert model.head.outputs == model.tower.head.outputs == 20
    alone = model.model_copy(update={"tower": None, "scalars": 0})
    assert count_params(model).total == count_params(alone).total + count_params(model.tower).total + 1


def test_malformed_towers_and_images_are_refused():
    assert refusal({"model_type": "clip", "text_config": {}}) == "f: missing key 'vision_config'; add it"
    bad = {"model_type": "clip", "text_config": {"hidden_size": "a"}, "vision_config": {}}
    assert refusal(bad).startswith('f, text_config: hidden_size = "a": input should be a valid integer')
    assert refusal({"model_type": "clip", "text_config": 3, "vision_config": {}}).startswith("f: text_config")
    assert refusal(CASES["vit"], image_size=4) == "f: patch_size = 8: at most image_size = 4"
    assert refusal(CASES["bert"], num_attention_heads=7) == "f: num_attention_heads = 7: must divide hidden_size = 48"
    heads = {"model_type": "clip", "text_config": {}, "vision_config": {"num_attention_heads": 7}}
    assert refusal(heads) == "f, vision_config: num_attention_heads = 7: must divide hidden_size = 768"
