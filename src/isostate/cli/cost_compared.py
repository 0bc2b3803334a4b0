"""`isostate cost --compare`: the sheets of two models, line beside line."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from isostate.cli import cost_words, show


def print_compared(sheets: Sequence[dict[str, Any]]) -> None:
    """Two models beside each other, and the second over the first where both are numbers."""
    screen = show.console()
    listed = [rows_of(sheet) for sheet in sheets]
    names = list(dict.fromkeys(name for rows in listed for name in rows))
    cells = []
    for name in names:
        pair = [rows.get(name, (None, "–")) for rows in listed]
        (first, text), (second, other) = pair
        over = f"{show.decimal(second / first)} x" if first and second is not None else ""
        cells.append([name, text, other, over])
    screen.print(show.table(["", *(sheet["model"] for sheet in sheets), "second / first"], cells))
    screen.print()
    for sheet in sheets:
        screen.print(f"{sheet['model']}: {cost_words.setting_words(sheet['setting'])}", soft_wrap=True)
    for sheet in sheets:
        for alarm in sheet["alarms"]:
            screen.print(f"alarm: {sheet['model']}: {alarm}", soft_wrap=True)


def rows_of(sheet: dict[str, Any]) -> dict[str, tuple[float | None, str]]:
    """The lines of a comparison: name -> (number, its text)."""
    found = sheet["numbers"]
    lines = {
        "parameters": ("params.total", "{:,}".format),
        "non-embedding": ("params.non_embedding", "{:,}".format),
        "active": ("params.active", "{:,}".format),
        "forward, matmul": ("forward.matmul_flops", cost_words.flop),
        "training step, matmul": ("training.matmul_flops", cost_words.flop),
        "decoded token, matmul": ("decode.token_flops", cost_words.flop),
        "weights : state FLOPs": ("ratio.value", show.decimal),
        "weights": ("weights_bytes", cost_words.decimal_bytes),
        "state, next token": ("state.token_bytes", cost_words.decimal_bytes),
        "state, a sequence": ("state.sequence_bytes", cost_words.decimal_bytes),
        "to train, no activations": ("training_bytes", cost_words.decimal_bytes),
        "kept activations": ("activation_bytes", cost_words.decimal_bytes),
        "peak of a step": ("peak_bytes", cost_words.decimal_bytes),
        "prefill": ("forward.seconds", cost_words.seconds),
        "prefill bound by": ("forward.bound", str),
        "decoded step": ("decode.seconds", cost_words.seconds),
        "decode bound by": ("decode.bound", str),
        "tokens/s": ("decode.tokens_per_s", show.decimal),
        "compute-bound from batch": ("decode.critical_batch", "{:,}".format),
        "sequences that fit": ("decode.largest_batch", "{:,}".format),
        "training tokens": ("tokens", cost_words.count),
        "training, matmul": ("training.total_flops", cost_words.flop),
        "training time": ("training.seconds", cost_words.seconds),
        "dollars, lowest": ("training.dollars_low", cost_words.dollars),
        "dollars, highest": ("training.dollars_high", cost_words.dollars),
    }
    values = {**found, "tokens": sheet["setting"]["tokens"]}
    told = {name: (values.get(key), write) for name, (key, write) in lines.items() if key in values}
    return {
        name: (value if isinstance(value, (int, float)) else None, "–" if value is None else write(value))  # type: ignore[operator]
        for name, (value, write) in told.items()
    }
