"""A model's folder: config.json, and weights in safetensors, whole or in shards under an index. No pickle is read."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from isostate.config import UserError
from isostate.costs.huggingface.read import read_json
from isostate.records.durable import sync_file, sync_folder, temporary_name, write_synced

CONFIG, WHOLE, INDEX = "config.json", "model.safetensors", "model.safetensors.index.json"
SHARD_BYTES = 5 * 10**9  # transformers' shards were of this size for years; every reader takes them


class Checkpoint:
    """The tensors of a folder, read one at a time, as float32. A context: its files are open inside."""

    def __init__(self, folder: Path) -> None:
        self.folder, self._stack = folder, ExitStack()
        self._shards: dict[str, Any] = {}  # of each tensor, the open file that holds it

    def __enter__(self) -> Checkpoint:
        try:
            for name in self._files():
                shard = self._open(self.folder / name)
                self._shards |= dict.fromkeys(shard.keys(), shard)
        except BaseException:
            self._stack.close()
            raise
        return self

    def __exit__(self, *error: object) -> None:
        self._stack.close()

    @property
    def names(self) -> set[str]:
        return set(self._shards)

    def read(self, name: str) -> Tensor:
        """One tensor in float32. Raises UserError where it is missing, or holds no floating point numbers."""
        if name not in self._shards:
            raise UserError(f"{self.folder}: no tensor {name!r}, which config.json asks for: the folder is not whole")
        x = self._shards[name].get_tensor(name)
        if not x.is_floating_point() or x.element_size() < 2:
            raise UserError(f"{self.folder}: {name} holds {str(x.dtype).removeprefix('torch.')}; only floats are read")
        return x.to(torch.float32)

    def _files(self) -> list[str]:
        if (self.folder / WHOLE).is_file():
            return [WHOLE]
        if not (self.folder / INDEX).is_file():
            pickled = next(self.folder.glob("pytorch_model*.bin"), None)
            advice = f"{pickled.name} is a pickle, which can run code: convert it" if pickled else "give a whole folder"
            raise UserError(f"{self.folder}: neither {WHOLE} nor {INDEX}; {advice}")
        index = read_json(self.folder / INDEX)
        held = index.get("weight_map") if isinstance(index, dict) else None
        if not isinstance(held, dict) or not held:
            raise UserError(f"{self.folder / INDEX}: no table weight_map from tensors to files")
        files = sorted({str(file) for file in held.values()})
        for file in files:
            if Path(file).name != file:
                raise UserError(f"{self.folder / INDEX}: {file!r} is no file of this folder")
        return files

    def _open(self, path: Path) -> Any:
        if not path.is_file():
            raise UserError(f"no file {path}, which {INDEX} names; the folder is not whole")
        try:
            return self._stack.enter_context(safe_open(path, "pt"))
        except SafetensorError as error:
            raise UserError(f"{path}: not a whole safetensors file: {error}") from None


def read_config(folder: Path) -> tuple[dict[str, Any], str]:
    """What config.json holds, and its path. Raises UserError."""
    if not folder.is_dir():
        raise UserError(f"no folder {folder}; give one that holds {CONFIG} and {WHOLE}")
    values = read_json(folder / CONFIG)
    if not isinstance(values, dict):
        raise UserError(f"{folder / CONFIG}: not a table of keys; give a model's folder")
    return values, str(folder / CONFIG)


def write_folder(
    folder: Path, config: Mapping[str, Any], tensors: Mapping[str, Tensor], shard_bytes: int = SHARD_BYTES
) -> list[str]:
    """Writes the whole folder or nothing; returns its files. Raises UserError where something is there already."""
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UserError(f"{folder} is there already, and not empty; give another folder, or move it away")
    folder.parent.mkdir(parents=True, exist_ok=True)
    temporary = temporary_name(folder)
    temporary.mkdir()
    try:
        write_synced(temporary / CONFIG, _json(config))
        shards = _shards(tensors, shard_bytes)
        for name, held in shards.items():
            plain = {key: tensors[key].detach().contiguous().clone() for key in held}
            safetensors.torch.save_file(plain, temporary / name, {"format": "pt"})
            sync_file(temporary / name)
        if len(shards) > 1:
            total = sum(x.numel() * x.element_size() for x in tensors.values())
            where = {key: name for name, held in shards.items() for key in held}
            write_synced(temporary / INDEX, _json({"metadata": {"total_size": total}, "weight_map": where}))
        files = sorted(path.name for path in temporary.iterdir())
        sync_folder(temporary)
        os.rename(temporary, folder)  # replaces an empty folder
        sync_folder(folder.parent)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)  # gone already, unless something above rose
    return files


def _shards(tensors: Mapping[str, Tensor], shard_bytes: int) -> dict[str, list[str]]:
    """Names of files and what each holds, in order; a tensor larger than a shard has one of its own."""
    groups: list[list[str]] = [[]]
    held = 0
    for name, x in tensors.items():
        n_bytes = x.numel() * x.element_size()
        if groups[-1] and held + n_bytes > shard_bytes:
            groups.append([])
            held = 0
        groups[-1].append(name)
        held += n_bytes
    if len(groups) == 1:
        return {WHOLE: groups[0]}
    return {f"model-{n:05d}-of-{len(groups):05d}.safetensors": group for n, group in enumerate(groups, 1)}


def _json(values: Mapping[str, Any]) -> bytes:
    return (json.dumps(values, indent=2, sort_keys=True, allow_nan=False) + "\n").encode()
