"""A decoder from a Hugging Face folder, and into one, to the same logits: config.json and safetensors both ways."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

from isostate.config import UserError, nearest
from isostate.export.folder import SHARD_BYTES, Checkpoint, read_config, write_folder
from isostate.export.gpt2 import GPT2_TYPE
from isostate.export.llama import LLAMA_TYPE
from isostate.export.mamba import MAMBA_TYPE
from isostate.export.mamba2 import MAMBA2_TYPE
from isostate.export.mapping import HuggingFaceType, Layout, same
from isostate.export.mistral import MISTRAL_TYPE
from isostate.model import Decoder, ModelConfig

TYPES: dict[str, HuggingFaceType] = {
    one.model_type: one for one in (GPT2_TYPE, LLAMA_TYPE, MISTRAL_TYPE, MAMBA_TYPE, MAMBA2_TYPE)
}
HEAD = "lm_head.weight"
# What files of older versions hold beside the weights: masks and tables that follow from the config.
FOLLOWS = (".attn.bias", ".attn.masked_bias", ".rotary_emb.inv_freq")


def load_huggingface(folder: Path) -> Decoder:
    """The decoder that gives the folder's logits, in float32. Raises UserError, one line, for what it cannot be."""
    values, where = read_config(folder)
    kind = values.get("model_type")
    if not isinstance(kind, str) or kind not in TYPES:
        close = nearest(kind, TYPES) if isinstance(kind, str) else ""
        raise UserError(f"{where}: model_type = {json.dumps(kind)}{close}: Isostate loads {', '.join(TYPES)}")
    config = TYPES[kind].read(values, where)
    with Checkpoint(folder) as checkpoint:
        return _filled(config, TYPES[kind], checkpoint)


def save_huggingface(
    model: Decoder, folder: Path, context: int | None = None, shard_bytes: int = SHARD_BYTES
) -> tuple[str, list[str]]:
    """Writes what transformers loads to the same logits; the model type and the files written.

    `context`, where it is known, becomes `max_position_embeddings`. Raises UserError naming what no type has.
    """
    kind = type_of(model.config)
    written = kind.to_huggingface(model.config, context) | {"dtype": "float32"}
    parameters: dict[str, Tensor] = dict(model.named_parameters())
    tensors: dict[str, Tensor] = {}
    for name, weight in layout_of(kind, model.config).items():
        tensors |= weight.split(parameters.pop(name))
    assert not parameters, f"no place for {', '.join(parameters)}"
    return kind.model_type, write_folder(folder, written, tensors, shard_bytes)


def type_of(config: ModelConfig) -> HuggingFaceType:
    """The model type that a decoder of this kind is. Raises UserError where there is none."""
    by_mixer = {"window": MISTRAL_TYPE, "mamba": MAMBA_TYPE, "mamba2": MAMBA2_TYPE}
    if config.mixer.kind == "softmax":
        return GPT2_TYPE if config.position_embedding == "learned" else LLAMA_TYPE
    if config.mixer.kind not in by_mixer:
        raise UserError(
            f"mixer {config.mixer.family}: no model type of Hugging Face's has it; "
            "export with --format isostate, which transformers loads beside isostate.export.transformers"
        )
    return by_mixer[config.mixer.kind]


def layout_of(kind: HuggingFaceType, config: ModelConfig) -> Layout:
    """Of all our parameters, an untied head's too."""
    head = {"head.weight": same(HEAD)} if config.embeddings == "untied" else {}
    return kind.layout(config) | head


def _filled(config: ModelConfig, kind: HuggingFaceType, checkpoint: Checkpoint) -> Decoder:
    model, layout = Decoder(config), layout_of(kind, config)
    parameters = dict(model.named_parameters())
    assert parameters.keys() == layout.keys(), "a layout names every parameter"
    read, known = _reader(kind, checkpoint)
    with torch.no_grad():
        for name, weight in layout.items():
            x = weight.join(read)
            if x.shape != parameters[name].shape:
                theirs = " and ".join(weight.rows)
                raise UserError(
                    f"{checkpoint.folder}: {theirs}: {list(x.shape)} where config.json asks for "
                    f"{list(parameters[name].shape)}"
                )
            parameters[name].copy_(x)
    wanted = {theirs for weight in layout.values() for theirs in weight.rows}
    rest = {name for name in known if not name.endswith(FOLLOWS)} - wanted
    if config.embeddings == "tied":
        rest.discard(HEAD)  # transformers ties over it
    if rest:
        raise UserError(f"{checkpoint.folder}: Isostate's {kind.model_type} has no use for the tensor {min(rest)!r}")
    return model


def _reader(kind: HuggingFaceType, checkpoint: Checkpoint) -> tuple[Callable[[str], Tensor], set[str]]:
    """By whole names, whether the file is of the model with a head or of the bare one; and the names, whole."""
    bare = not any(name.startswith(kind.prefix) for name in checkpoint.names)
    if not bare:
        return checkpoint.read, checkpoint.names

    def read(name: str) -> Tensor:
        return checkpoint.read(name.removeprefix(kind.prefix))

    return read, {name if name == HEAD else kind.prefix + name for name in checkpoint.names}
