"""A Hugging Face config.json as an `Architecture`, read without transformers.

Each model type has a config of the keys that decide its sizes, required where a wrong default would go unnoticed;
optional keys have transformers' defaults (5.24). Other keys do not change what is counted and are ignored.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from isostate.config import UserError, nearest
from isostate.costs.architecture import Architecture
from isostate.costs.huggingface import MODEL_TYPES


def read_huggingface(path: Path) -> Architecture:
    """The architecture that a config.json describes. Raises UserError, one line, for any file that describes none."""
    return from_huggingface(read_json(path), str(path))


def read_json(path: Path) -> Any:
    """What the file holds. Raises UserError, one line, where that is no JSON."""
    try:
        return json.loads(path.read_text(encoding="utf-8-sig"))
    except FileNotFoundError:
        raise UserError(f"no file {path}; give the path of a model's config.json") from None
    except IsADirectoryError:
        raise UserError(f"{path} is a folder; give the config.json inside it") from None
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}; give a file that you may read") from None
    except (UnicodeDecodeError, json.JSONDecodeError, RecursionError) as error:
        raise UserError(f"{path}: not valid JSON: {error}") from None


def from_huggingface(values: Any, where: str) -> Architecture:
    """The same from what the file holds; `where` begins the line of an error."""
    if not isinstance(values, dict):
        raise UserError(f"{where}: not a table of keys; give a model's config.json")
    if "model_type" not in values:
        raise UserError(f"{where}: missing key 'model_type'; give a config.json as transformers writes it")
    kind = values["model_type"]
    if not isinstance(kind, str) or kind not in MODEL_TYPES:
        close = nearest(kind, MODEL_TYPES) if isinstance(kind, str) else ""
        known = ", ".join(MODEL_TYPES)
        raise UserError(f"{where}: model_type = {json.dumps(kind)}: no such model type{close}; known: {known}")
    described = MODEL_TYPES[kind].read(values, where)
    try:
        return described.architecture()
    except ValidationError as error:  # sizes that are each possible, but not together
        message = error.errors()[0]["msg"].removeprefix("Value error, ")
        raise UserError(f"{where}: {message[0].lower()}{message[1:]}") from None
