"""Typed configuration: frozen, unknown keys refused with the nearest known key named, TOML and JSON, a hash.

Each component's config stands just above what it builds; this file is only their base. A user's mistake, here and
everywhere, is a `UserError`: one line that says what was given, what is allowed, what to do. The command line prints
it and exits with code 2.
"""

from __future__ import annotations

import copy
import difflib
import hashlib
import json
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic_core import ErrorDetails


class UserError(ValueError):
    """A mistake of the user's: its message is one line that teaches, and no traceback is shown."""


class Config(BaseModel):
    """Base of every config. Immutable; equal configs have equal hashes, whatever order or file they came from."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=False, allow_inf_nan=False)

    def to_dict(self) -> dict[str, Any]:
        return self.model_dump(mode="json")

    def canonical_json(self) -> str:
        return canonical_json(self.to_dict())

    def digest(self) -> str:
        """First 16 hex digits of the SHA-256 of the canonical JSON: the name of a run."""
        return digest(self.to_dict())

    @classmethod
    def parse(cls, values: Mapping[str, Any], where: str) -> Self:
        """Checks `values` (a table of `where`, a file's name, say). Raises UserError with one line."""
        try:
            return cls.model_validate(values)
        except ValidationError as error:
            raise UserError(f"{where}: {explain(error, cls, values)}") from None


def canonical_json(values: Any) -> str:
    """One spelling a value: sorted keys, no spaces, ASCII. Raises ValueError for NaN and infinity."""
    return json.dumps(values, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)


def digest(values: Any) -> str:
    """First 16 hex digits of the SHA-256 of the canonical JSON."""
    return hashlib.sha256(canonical_json(values).encode()).hexdigest()[:16]


def load_toml(path: Path) -> dict[str, Any]:
    """Reads a TOML file. Raises UserError when it is missing, not a file, not readable, not UTF-8 or not TOML."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8-sig"))  # some editors begin a file with a byte order mark
    except FileNotFoundError:
        raise UserError(f"no file {path}; give the path of a study file, such as studies/quickstart.toml") from None
    except IsADirectoryError:
        raise UserError(f"{path} is a folder; give the path of a study file inside it") from None
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}; give a file that you may read") from None
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: not UTF-8 text at byte {error.start}; save the file as UTF-8") from None
    except tomllib.TOMLDecodeError as error:
        raise UserError(f"{path}: not valid TOML: {error}") from None


def apply_set(values: dict[str, Any], assignments: Iterable[str]) -> dict[str, Any]:
    """`--set train.steps=500`: a copy of `values` with the dotted paths replaced; the right side is read as TOML."""
    changed = copy.deepcopy(values)
    for assignment in assignments:
        path, equals, text = assignment.partition("=")
        *parents, last = [name.strip() for name in path.split(".")]
        if not equals or not all([*parents, last]) or "\n" in text:
            raise UserError(f"--set {assignment!r}: expected path=value, such as train.steps=500")
        try:
            value = tomllib.loads(f"value = {text}")["value"]
        except tomllib.TOMLDecodeError:
            value = text.strip()  # a bare word is a string, so that --set data.corpus=python needs no quotes
        table = changed
        for name in parents:
            table = table.setdefault(name, {})
            if not isinstance(table, dict):
                raise UserError(f"--set {assignment!r}: {name!r} is not a table in this file; edit the file instead")
        table[last] = value
    return changed


def nearest(word: str, allowed: Iterable[str]) -> str:
    """' (did you mean "steps"?)' for a near miss, else ''."""
    close = difflib.get_close_matches(word, list(allowed), n=1, cutoff=0.6)
    return f' (did you mean "{close[0]}"?)' if close else ""


def explain(error: ValidationError, config: type[BaseModel], values: Mapping[str, Any]) -> str:
    """The first problem of a pydantic error in one line; unknown keys first, since they often cause the others."""
    problems = sorted(error.errors(), key=lambda problem: problem["type"] != "extra_forbidden")
    problem, kind = problems[0], problems[0]["type"]
    path = _path_in(values, problem)
    if kind == "extra_forbidden":
        known = sorted(_fields_at(config, problem["loc"][:-1]))
        word = str(problem["loc"][-1])
        return f"unknown key {path!r}{nearest(word, known)}; known keys here: {', '.join(known)}"
    if kind == "missing":
        return f"missing key {path!r}; add it"
    if kind == "union_tag_not_found":
        return f"missing key {path + '.' + problem['ctx']['discriminator'].strip(chr(39))!r}; add it"
    if kind == "union_tag_invalid":
        key, tag = problem["ctx"]["discriminator"].strip("'"), problem["ctx"]["tag"]
        tags = [name.strip(" '") for name in problem["ctx"]["expected_tags"].split(",")]
        return f"{path}.{key} = {_shown(tag)}: no such {key}{nearest(tag, tags)}; known: {', '.join(tags)}"
    message = "; or ".join(_message(other) for other in problems if _path_in(values, other) == path)
    given = problem.get("input")
    if kind == "value_error" or isinstance(given, (dict, list, BaseModel)):
        return f"{path}: {message}" if path else message
    return f"{path} = {_shown(given)}: {message[0].lower()}{message[1:]}"


def _message(problem: ErrorDetails) -> str:
    return problem["msg"].removeprefix("Value error, ").removeprefix("Assertion failed, ").replace("\n", " ")


def _shown(given: Any) -> str:
    text = json.dumps(given, default=str)
    return text if len(text) <= 80 else f"{text[:77]}..."


def _path_in(values: Any, problem: ErrorDetails) -> str:
    """The dotted path as the user wrote it: without the tags of unions, which pydantic puts between the keys."""
    path = []
    parts = list(problem["loc"])
    for depth, part in enumerate(parts, 1):
        keys = range(len(values)) if isinstance(values, (list, tuple)) else values
        tag = values.get("kind") if isinstance(values, Mapping) else None
        ends_at_table = isinstance(problem.get("input"), Mapping) and problem["type"] != "missing"
        if part == tag and parts[depth - 2 : depth - 1] != [tag] and (depth < len(parts) or ends_at_table):
            continue  # a window has a key "window" too: the first of the two is the tag
        if isinstance(keys, (Mapping, range)) and part in keys:
            values = values[part]
        elif depth < len(parts) or problem["type"] != "missing":
            continue
        path.append(str(part))
    return ".".join(path)


def _fields_at(config: type[BaseModel], path: tuple[int | str, ...]) -> set[str]:
    """Known keys of the table that `path` leads to; walks nested configs, lists of them and unions of them."""
    models: list[type[BaseModel]] = [config]
    for part in path:
        tagged = [m for m in models if m.model_fields.get("kind") and m.model_fields["kind"].default == part]
        if tagged and len(models) > 1:  # the tag of a union: pydantic puts it in the path
            models = tagged
        elif fields := [model.model_fields[part] for model in models if part in model.model_fields]:
            models = [inner for field in fields for inner in _models_in(field.annotation)]
    return {name for model in models for name in model.model_fields}


def _models_in(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for argument in getattr(annotation, "__args__", ()) for model in _models_in(argument)]
