"""How numbers and tables look in a terminal."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

WIDTH = 160  # of a table that goes into a file or a pipe


def console(stderr: bool = False) -> Console:
    """Names are shown as they are: no markup, no colours guessed from the text."""
    stream = sys.stderr if stderr else sys.stdout
    return Console(file=stream, markup=False, highlight=False, width=None if stream.isatty() else WIDTH)


@contextmanager
def waiting(what: str) -> Iterator[None]:
    """A spinner on stderr while the block runs, where that is a terminal."""
    screen = console(stderr=True)
    with screen.status(what) if screen.is_terminal else nullcontext():
        yield


def print_json(values: Any) -> None:
    """One line, so that a stream of answers is JSONL."""
    print(json.dumps(values, sort_keys=True), flush=True)


def table(head: Sequence[str], rows: Sequence[Sequence[str]], left: int = 1) -> Table:
    """A plain table; columns after the first `left` are aligned to the right."""
    drawn = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for i, name in enumerate(head):
        drawn.add_column(Text(name), justify="left" if i < left else "right", no_wrap=True)
    for row in rows:
        drawn.add_row(*(Text(cell) for cell in row))
    return drawn


def decimal(number: float, unit: str = "") -> str:
    """'1.2M'; three digits at most. With a unit of measure, '86.2 GFLOP/s'."""
    space = " " if unit else ""
    for prefix, factor in (("E", 1e18), ("P", 1e15), ("T", 1e12), ("G", 1e9), ("M", 1e6), ("K", 1e3)):
        if abs(number) >= 0.9995 * factor:
            return f"{number / factor:.3g}{space}{prefix}{unit}"
    return f"{number:.3g}{space}{unit}"


def binary_bytes(n_bytes: float) -> str:
    """'12 MB' in units of 1024."""
    for unit, factor in (("GB", 2**30), ("MB", 2**20), ("KB", 2**10)):
        if n_bytes >= factor:
            return f"{n_bytes / factor:.3g} {unit}"
    return f"{n_bytes:.0f} B"


def duration(seconds: float) -> str:
    """'45 s', '3 min 20 s', '2 h 05 min'."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def plural(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def percent(share: float | None) -> str:
    return "" if share is None else f"{100 * share:+.1f} %"
