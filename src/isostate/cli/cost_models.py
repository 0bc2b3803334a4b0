"""What `isostate cost` can be given: a preset, a config.json of Hugging Face, a config of Isostate's own."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Any

from isostate.config import UserError, load_toml

if TYPE_CHECKING:
    from isostate.costs.architecture import Architecture
    from isostate.costs.preset_table import Preset
    from isostate.costs.subject import Subject
    from isostate.model import ModelConfig

DEFAULT_CONTEXT = 2048  # tokens, where a model names none

# Hugging Face's names of models whose sizes we name.
ALIASES = {
    "gpt2": "gpt-2-124m",
    "gpt2-medium": "gpt-2-355m",
    "gpt2-large": "gpt-2-774m",
    "gpt2-xl": "gpt-2-1.5b",
    "gpt3": "gpt-3-175b",
}


def subject_named(name: str, with_memory: bool = False) -> Subject:
    """The model of that name or file; `with_memory`, also what training it keeps, for which torch is imported.

    Raises UserError, one line, where it is none, or where Isostate cannot build the one whose memory is asked for.
    """
    from isostate.costs.subject import of_architecture, of_preset

    path = _path_of(name)
    if path is None:
        return _with_memory(of_preset(_preset(name)), name) if with_memory else of_preset(_preset(name))
    values = _read(path)
    if (architecture := _architecture_in(values, path)) is not None:
        kind = f"a config.json, {values['model_type']}" if "model_type" in values else "an architecture"
        found = of_architecture(architecture, str(path), kind, str(path))
        return _with_memory(found, name) if with_memory else found
    config, context = _ours_in(values, path)
    from isostate.costs.decoder import of_config

    return of_config(config, str(path), str(path), context)


def _with_memory(subject: Subject, name: str) -> Subject:
    from isostate.costs.decoder import memory_of

    exact = f"{subject.exact}; kept activations, as Isostate's blocks run"
    estimated = f"the peak of a step in 16 bits; {subject.estimated}"
    return dataclasses.replace(subject, memory=memory_of(config_named(name)[0]), exact=exact, estimated=estimated)


def list_presets() -> list[dict[str, Any]]:
    """Every preset: name, family, year, parameters counted, context."""
    from isostate.costs.formula import count_params
    from isostate.costs.preset_table import load_presets

    rows = []
    for preset in load_presets().values():
        params = count_params(preset.architecture)
        rows.append(
            {
                "name": preset.name,
                "family": preset.family,
                "year": preset.year,
                "parameters": params.total,
                "active": params.active,
                "context": preset.context,
            }
        )
    return rows


def config_named(name: str) -> tuple[ModelConfig, int]:
    """The decoder that Isostate builds of it, and its own context. Raises UserError where it lacks a part."""
    from isostate.costs.build import to_model_config

    path = _path_of(name)
    if path is None:
        preset = _preset(name)
        return to_model_config(preset.architecture), preset.context
    values = _read(path)
    if (architecture := _architecture_in(values, path)) is not None:
        limit = architecture.fixed_context or architecture.embedding.n_positions
        return to_model_config(architecture), limit or DEFAULT_CONTEXT
    return _ours_in(values, path)


def _preset(name: str) -> Preset:
    from isostate.costs.preset_table import find_preset

    wanted = "-".join(name.lower().replace("_", " ").split())
    return find_preset(ALIASES.get(wanted, wanted))


def _path_of(name: str) -> Path | None:
    """The file that the name names; None where it is no file's."""
    path = Path(name)
    if path.suffix in (".json", ".toml") or "/" in name or path.exists():
        return path / "config.json" if path.is_dir() else path
    return None


def _read(path: Path) -> dict[str, Any]:
    from isostate.costs.huggingface.read import read_json

    values = load_toml(path) if path.suffix == ".toml" else read_json(path)
    if not isinstance(values, dict):
        raise UserError(f"{path}: not a table of keys; give a model's config")
    return values


def _architecture_in(values: dict[str, Any], path: Path) -> Architecture | None:
    """By what the file holds: model_type is Hugging Face's, groups are an architecture's; else None."""
    from isostate.costs.architecture import Architecture
    from isostate.costs.huggingface.read import from_huggingface

    if values.get("model_type", "isostate") != "isostate":
        return from_huggingface(values, str(path))
    return Architecture.parse(values, str(path)) if "groups" in values else None


def _ours_in(values: dict[str, Any], path: Path) -> tuple[ModelConfig, int]:
    """A config of Isostate's own, a table "model" being a run's: this is where torch is needed. And its context."""
    model = values.get("model", values)
    if not isinstance(model, dict) or "mixer" not in model:
        advice = "give one run of it: RUNS/STUDY/RUN/config.json" if "sweep" in values else "see `isostate cost --help`"
        raise UserError(f"{path}: neither a model_type of Hugging Face's nor a mixer of Isostate's; {advice}")
    from isostate.model import ModelConfig

    config = ModelConfig.parse(model, str(path))
    data = values.get("data")
    context = data.get("context") if isinstance(data, dict) else None
    return config, context if isinstance(context, int) else config.max_context or DEFAULT_CONTEXT
