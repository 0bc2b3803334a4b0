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
    """{"figures", "pool"}: long lists are replaced by {"pool": index}; floats keep six digits, NaN becomes null."""
    pool: list[list[Any]] = []
    places: dict[str, int] = {}

    def slim(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: slim(item) for key, item in value.items()}
        if isinstance(value, float):
            return float(f"{value:.6g}") if math.isfinite(value) else None
        if not isinstance(value, (list, tuple)):
            return value
        items = [slim(item) for item in value]
        if len(items) < POOLED or any(isinstance(item, (dict, list)) for item in items):
            return items
        key = json.dumps(items)
        if key not in places:
            places[key] = len(pool)
            pool.append(items)
        return {"pool": places[key]}

    return {"figures": slim(figures), "pool": pool}


def asset(filename: str) -> str:
    """A file of assets/, with the newlines that browsers see, so that hashes agree."""
    return resources.files("isostate.report").joinpath("assets", filename).read_text(encoding="utf-8")
