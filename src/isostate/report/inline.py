"""What the page carries inside itself, and how it is kept inert: scripts by hash, data as JSON that HTML cannot read.

The page asks nothing of the network and runs only the two scripts it was made with: its content security policy admits
these by their hashes and refuses the rest.
"""

from __future__ import annotations

import base64
import hashlib
import json
import math
from importlib import resources
from typing import Any

POOLED = 6  # lists at least this long are written once, however many drawings use them
WORDS = 40  # characters: so are texts, whether alone or in such lists, and their lines


def policy(scripts: list[str]) -> str:
    """Everything is refused but these scripts, the page's own styles, and images that plotly makes of its drawings."""
    hashes = " ".join(f"'sha256-{base64.b64encode(hashlib.sha256(s.encode()).digest()).decode()}'" for s in scripts)
    return (
        f"default-src 'none'; script-src {hashes}; style-src 'unsafe-inline'; img-src data: blob:; "
        "base-uri 'none'; form-action 'none'"
    )


def data_block(value: Any) -> str:
    """JSON that HTML cannot read as anything else: no <, >, & and only ASCII."""
    text = json.dumps(value, separators=(",", ":"), sort_keys=True, ensure_ascii=True, allow_nan=False)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def pooled(figures: list[dict[str, Any]]) -> dict[str, Any]:
    """{"figures", "pool", "lines"}: long lists, and long texts of views, are replaced by {"pool": index}.

    A text stands in the pool as {"lines": indices}: what points say differs in a line or two, so each line is written
    once. A list there may hold texts of the pool, never lists. Floats keep six digits, NaN becomes null.
    """
    pool: list[Any] = []
    places: dict[str, int] = {}
    lines: dict[str, int] = {}

    def once(value: Any) -> dict[str, int]:
        key = json.dumps(value)
        if key not in places:
            places[key] = len(pool)
            pool.append(value)
        return {"pool": places[key]}

    def by_line(text: str) -> dict[str, list[int]]:
        return {"lines": [lines.setdefault(line, len(lines)) for line in text.split("<br>")]}

    def slim(value: Any, in_view: bool = False) -> Any:
        if isinstance(value, dict):
            return {key: slim(item, in_view or key == "views") for key, item in value.items()}
        if isinstance(value, float):
            return float(f"{value:.6g}") if math.isfinite(value) else None
        if isinstance(value, str):
            return once(by_line(value)) if in_view and len(value) >= WORDS else value
        if not isinstance(value, (list, tuple)):
            return value
        flat = not any(isinstance(item, (dict, list, tuple)) for item in value)
        items = [slim(item, in_view) for item in value]
        return once(items) if flat and len(items) >= POOLED else items

    slimmed = slim(figures)
    return {"figures": slimmed, "pool": pool, "lines": list(lines)}


def asset(filename: str) -> str:
    """A file of assets/, with the newlines that browsers see, so that hashes agree."""
    return resources.files("isostate.report").joinpath("assets", filename).read_text(encoding="utf-8")
