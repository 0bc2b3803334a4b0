"""Counts parameters and matmul FLOPs of transformers' own modules, to hold isostate.costs against. Run by hand.

    pip install transformers==5.24.0
    python scripts/count_transformers.py tests/costs/transformers_counts.json

Presets with a config.json are built on torch's meta device and their parameters counted. The small cases of
`tests/costs/huggingface/cases.py`, one and more a model type, also run on the CPU: matmul FLOPs of a forward, of a
forward and backward, and of both with every block checkpointed in torch's two ways. Dropout is 0. Attention is eager,
so that every score is a matrix product that torch's counter sees. The angles of rotary positions, which transformers
makes by a matrix product, are left out.
"""

import json
import sys
from pathlib import Path

import torch
import transformers
from torch.utils.flop_counter import FlopCounterMode
from transformers import AutoConfig, AutoModelForCausalLM

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from isostate.costs.preset_table import load_presets  # noqa: E402
from tests.costs.huggingface.cases import BATCH, CASES, CONTEXT  # noqa: E402


def build(values: dict) -> torch.nn.Module:
    """What transformers builds from a config.json: what its `architectures` name, else a causal model."""
    config = AutoConfig.for_model(**values, attn_implementation="eager", experts_implementation="eager")
    kinds = {"bert": "BertModel", "vit": "ViTModel", "clip": "CLIPModel"}
    name = (values.get("architectures") or [kinds.get(values["model_type"])])[0]
    if name is None:
        return AutoModelForCausalLM.from_config(config)
    return getattr(transformers, name)._from_config(config)


def count_parameters(model: torch.nn.Module) -> int:
    """Each once; with DeepSeek-V3's balancing biases, which its files hold and transformers keeps as buffers."""
    biases = sum(one.numel() for name, one in model.named_buffers() if name.endswith("e_score_correction_bias"))
    return biases + sum(one.numel() for one in model.parameters())


def inputs_of(values: dict) -> dict[str, torch.Tensor]:
    """BATCH sequences of CONTEXT tokens, BATCH images, or both."""
    tokens = torch.arange(BATCH * CONTEXT).view(BATCH, CONTEXT) % 7 + 3
    vision = values.get("vision_config", values)
    if "image_size" not in vision:
        return {"input_ids": tokens}
    images = torch.ones(BATCH, 3, vision["image_size"], vision["image_size"])
    return {"pixel_values": images} | ({"input_ids": tokens} if values["model_type"] == "clip" else {})


def matmul_flops(model: torch.nn.Module, values: dict, train: bool) -> dict[str, int]:
    """By operation of torch, without the products that make rotary angles."""
    counter = FlopCounterMode(display=False)
    with counter:
        output = model(**inputs_of(values), **({"use_cache": False} if values["model_type"] == "rwkv" else {}))
        if train:
            outputs = [one for one in output.values() if isinstance(one, torch.Tensor) and one.requires_grad]
            sum(one.float().sum() for one in outputs).backward()
    counts = counter.get_flop_counts()
    total = {str(operation): count for operation, count in counts["Global"].items()}
    for module, found in counts.items():
        if module.endswith("rotary_emb"):
            for operation, count in found.items():
                total[str(operation)] -= count
    return {operation: count for operation, count in sorted(total.items()) if count}


def without_dropout(model: torch.nn.Module) -> None:
    """In training mode too: transformers keeps the rates in modules and in numbers beside them."""
    for module in model.modules():
        for name, value in list(vars(module).items()):
            if "drop" in name and isinstance(value, float):
                setattr(module, name, 0.0)
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0


def main(path: Path) -> None:
    record = {"transformers": transformers.__version__, "torch": torch.__version__, "presets": {}, "cases": {}}
    for name, preset in load_presets().items():
        if preset.config is not None:
            with torch.device("meta"):
                record["presets"][name] = count_parameters(build(preset.config))
            print(name, record["presets"][name])
    for name, values in CASES.items():
        torch.manual_seed(0)
        model = build(values).float()
        record["cases"][name] = counted = {
            "parameters": count_parameters(model),
            "forward": matmul_flops(model.eval(), values, train=False),
            "train": matmul_flops(model.eval(), values, train=True),
        }
        if model.supports_gradient_checkpointing:
            without_dropout(model.train())
            for way, reentrant in [("block", False), ("block-reentrant", True)]:
                model.gradient_checkpointing_enable({"use_reentrant": reentrant})
                counted[way] = matmul_flops(model, values, train=True)
        print(name, record["cases"][name])
    path.write_text(json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        raise SystemExit("usage: python scripts/count_transformers.py RECORD.json")
    main(Path(sys.argv[1]))
