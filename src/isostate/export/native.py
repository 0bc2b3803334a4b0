"""Our own folder: config.json with the whole `ModelConfig`, and every parameter under its own name.

It holds any mixer, and transformers loads it too, beside `isostate.export.transformers`: hence the keys around `model`
and the prefix of the names.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from torch import Tensor

from isostate.config import UserError
from isostate.export.folder import SHARD_BYTES, Checkpoint, read_config, write_folder
from isostate.model import Decoder, ModelConfig
from isostate.records import RunDirectory, newest_valid_checkpoint

MODEL_TYPE, ARCHITECTURE, PREFIX = "isostate", "IsostateForCausalLM", "decoder."


def save_model(
    model: Decoder, folder: Path, context: int | None = None, shard_bytes: int = SHARD_BYTES
) -> tuple[str, list[str]]:
    """Writes the folder; the model type and the files written."""
    config = {
        "model_type": MODEL_TYPE,
        "architectures": [ARCHITECTURE],
        "dtype": "float32",
        "model": model.config.to_dict(),
        **({} if context is None else {"max_position_embeddings": context}),
    }
    tensors = {PREFIX + name: parameter for name, parameter in model.named_parameters()}
    return MODEL_TYPE, write_folder(folder, config, tensors, shard_bytes)


def load_model(folder: Path) -> Decoder:
    """The decoder of such a folder, or of a run's newest whole checkpoint. Raises UserError."""
    if (folder / "FORMAT").is_file():
        return _of_run(RunDirectory(folder))
    values, where = read_config(folder)
    if values.get("model_type") != MODEL_TYPE or not isinstance(values.get("model"), dict):
        raise UserError(f"{where}: no model of Isostate's; `isostate import` makes one of a Hugging Face folder")
    model = Decoder(ModelConfig.parse(values["model"], where))
    with Checkpoint(folder) as checkpoint:
        if unknown := checkpoint.names - {PREFIX + name for name, _ in model.named_parameters()}:
            raise UserError(f"{folder}: {min(unknown)!r} is no tensor of the model that {where} describes")
        _fill(model, {name: checkpoint.read(PREFIX + name) for name, _ in model.named_parameters()}, str(folder))
    return model


def trained_context(folder: Path) -> int | None:
    """Tokens in a window of the run's training, or what the folder says; None where it says nothing."""
    if (folder / "FORMAT").is_file():
        return RunDirectory(folder).config()["data"]["context"]
    return read_config(folder)[0].get("max_position_embeddings")


def _of_run(run: RunDirectory) -> Decoder:
    config = run.config()
    checkpoint, problems = newest_valid_checkpoint(run.path)
    if checkpoint is None:
        why = problems[0] if problems else "it has not trained that far"
        raise UserError(f"{run.path}: no whole checkpoint: {why}")
    model = Decoder(ModelConfig.parse(config["model"], f"{run.path}/config.json, model"))
    _fill(model, safetensors.torch.load((checkpoint / "model.safetensors").read_bytes()), str(checkpoint))
    return model


def _fill(model: Decoder, tensors: Mapping[str, Tensor], where: str) -> None:
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            found: Any = tensors.get(name)
            if found is None or found.shape != parameter.shape:
                got = "is not there" if found is None else f"has the sizes {list(found.shape)}"
                raise UserError(f"{where}: {name} {got}, where the model has {list(parameter.shape)}")
            parameter.copy_(found)
