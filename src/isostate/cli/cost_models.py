"""What `isostate cost` can be given: a preset, a config.json of Hugging Face, a config of Isostate's own."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from isostate.config import UserError, load_toml

if TYPE_CHECKING:
    from isostate.costs.subject import Subject

# Hugging Face's names of models whose sizes we name.
ALIASES = {
    "gpt2": "gpt-2-124m",
    "gpt2-medium": "gpt-2-355m",
    "gpt2-large": "gpt-2-774m",
    "gpt2-xl": "gpt-2-1.5b",
    "gpt3": "gpt-3-175b",
}


def subject_named(name: str) -> Subject:
    """The model of that name or file. Raises UserError, one line, where it is none."""
    from isostate.costs.preset_table import find_preset
    from isostate.costs.subject import of_preset

    path = Path(name)
    if path.suffix in (".json", ".toml") or "/" in name or path.exists():
        return _of_file(path / "config.json" if path.is_dir() else path)
    wanted = "-".join(name.lower().replace("_", " ").split())
    return of_preset(find_preset(ALIASES.get(wanted, wanted)))


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


def _of_file(path: Path) -> Subject:
    """By what the file holds: model_type is Hugging Face's, mixer is ours, a table "model" a run's or a study's."""
    from isostate.costs.architecture import Architecture
    from isostate.costs.huggingface.read import from_huggingface, read_json
    from isostate.costs.subject import of_architecture

    values = load_toml(path) if path.suffix == ".toml" else read_json(path)
    if not isinstance(values, dict):
        raise UserError(f"{path}: not a table of keys; give a model's config")
    if values.get("model_type", "isostate") != "isostate":
        return of_architecture(
            from_huggingface(values, str(path)), str(path), f"a config.json, {values['model_type']}", str(path)
        )
    if "groups" in values:
        return of_architecture(Architecture.parse(values, str(path)), str(path), "an architecture", str(path))
    return _of_ours(values, path)


def _of_ours(values: dict[str, Any], path: Path) -> Subject:
    """A config of Isostate's own: this is where torch is needed."""
    model = values.get("model", values)
    if not isinstance(model, dict) or "mixer" not in model:
        advice = "give one run of it: RUNS/STUDY/RUN/config.json" if "sweep" in values else "see `isostate cost --help`"
        raise UserError(f"{path}: neither a model_type of Hugging Face's nor a mixer of Isostate's; {advice}")
    from isostate.costs.decoder import of_config
    from isostate.model import ModelConfig

    config = ModelConfig.parse(model, str(path))
    data = values.get("data")
    context = data.get("context") if isinstance(data, dict) else None
    return of_config(config, str(path), str(path), context if isinstance(context, int) else config.max_context or 2048)
