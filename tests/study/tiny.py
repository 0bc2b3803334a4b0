"""A study that trains in no time: four documents of random words, models of a few thousand parameters, ten updates."""

from __future__ import annotations

import copy
import json
import random
from pathlib import Path
from typing import Any

from isostate.study.config import StudyConfig
from isostate.study.file import StudyFile

WORDS = ("the", "of", "and", "a", "to", "in", "he", "have", "it", "that", "for", "with", "as", "not", "on", "you")


def corpus(folder: Path) -> Path:
    """Four documents, each longer than any context here."""
    folder.mkdir(exist_ok=True)
    words = random.Random(0)
    for name in "abcd":
        (folder / f"{name}.txt").write_text(" ".join(words.choice(WORDS) for _ in range(1500)), encoding="utf-8")
    return folder


def values(text: Path | str = "bard", /, **tables: Any) -> dict[str, Any]:
    """Two windows and one power model; `tables` replace keys of tables, or whole values that are no tables."""
    study: dict[str, Any] = {
        "name": "tiny",
        "question": "Does it run?",
        "data": {"corpus": str(text), "context": 16, "holdout": 0.25},
        "model": {"n_layers": 1, "d_model": 16, "n_heads": 2, "positions": "alibi"},
        "train": {
            "steps": 10,
            "batch_tokens": 32,
            "lr": 0.01,
            "warmup_steps": 2,
            "checkpoint_every": 4,
            "log_every": 2,
        },
        "eval": {"contexts": [16, 32], "every": 5, "n_tokens": 64, "final_tokens": 128},
        "sweep": [{"mixer": "window", "state_size": [128, 256]}, {"mixer": "power", "head_dim": 4}],
        "fit": [{"law": "state"}],
    }
    for name, change in tables.items():
        both = isinstance(study.get(name), dict) and isinstance(change, dict)
        study[name] = {**study[name], **change} if both else change
    return copy.deepcopy({name: value for name, value in study.items() if value is not None})


def study(text: Path | str = "bard", /, **tables: Any) -> StudyConfig:
    return StudyConfig.parse(values(text, **tables), "tiny.toml")


def file(text: Path | str = "bard", /, **tables: Any) -> StudyFile:
    return StudyFile(Path("tiny.toml"), values(text, **tables))


def write(path: Path, study_values: dict[str, Any]) -> Path:
    """As TOML: JSON's strings, numbers and lists are TOML's."""
    lines = [f"{key} = {json.dumps(value)}" for key, value in study_values.items() if not _is_table(value)]
    for name, table in study_values.items():
        if _is_table(table):
            for one in table if isinstance(table, list) else [table]:
                lines.append(f"[[{name}]]" if isinstance(table, list) else f"[{name}]")
                lines += [f"{key} = {json.dumps(value)}" for key, value in one.items()]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def _is_table(value: Any) -> bool:
    return isinstance(value, dict) or (isinstance(value, list) and bool(value) and isinstance(value[0], dict))
