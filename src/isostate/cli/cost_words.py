"""A cost sheet on one screen: 80 columns suffice. Bytes and FLOPs in powers of 1,000, contexts as they are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rich.table import Table
from rich.text import Text

from isostate.cli import show

MOST_OPERATORS, MOST_KEPT = 10, 8  # rows; the rest stand together
YEAR, DAY = 365.25 * 86_400, 86_400
# (unit, seconds, below which it is used): three digits never become 1e+03 of the smaller one
UNITS: tuple[tuple[str, float, float], ...] = (
    ("µs", 1e-6, 999.5e-6), ("ms", 1e-3, 0.9995), ("s", 1, 60), ("min", 60, 3600), ("h", 3600, DAY), ("days", DAY, YEAR)
)  # fmt: skip


def print_sheet(sheet: dict[str, Any]) -> None:
    """Everything, with units; what is exact and what is estimated is said at the end."""
    screen, found, setting = show.console(), sheet["numbers"], sheet["setting"]
    screen.print(f"{sheet['model']} · {sheet['title']} · {setting_words(setting)}", soft_wrap=True)
    for title, rows in (
        ("parameters", parameters(sheet)),
        ("FLOPs", work(found, sheet["ratio_formula"])),
        ("bytes", kept(found, setting)),
        (f"time on {setting['hardware']}", times(found, setting)),
    ):
        screen.print()
        screen.print(facts(title, rows))
        if title == "FLOPs":
            screen.print()
            screen.print(operators(sheet["operators"]))
        if title == "bytes" and sheet["kept"]:
            screen.print()
            screen.print(activations(sheet["kept"]))
    screen.print()
    for name in ("exact", "estimated", "source"):
        screen.print(facts("", [(name, sheet[name])]))
    for alarm in sheet["alarms"]:
        screen.print(f"alarm: {alarm}", soft_wrap=True)


def print_presets(rows: Sequence[dict[str, Any]]) -> None:
    """A line a preset."""
    cells = [
        [
            row["name"],
            row["family"],
            str(row["year"]),
            count(row["parameters"]),
            "" if row["active"] == row["parameters"] else count(row["active"]),
            f"{row['context']:,}",
        ]
        for row in rows
    ]
    show.console().print(show.table(["preset", "family", "year", "parameters", "active", "context"], cells, left=2))


def setting_words(setting: dict[str, Any]) -> str:
    return f"batch {setting['batch']:,} · context {setting['context']:,} · {setting['dtype']} · {setting['hardware']}"


def parameters(sheet: dict[str, Any]) -> list[tuple[str, str]]:
    """Counted, beside what was published of the same figure."""
    found, rows = sheet["numbers"], []
    for figure in ("total", "non_embedding", "active"):
        count = found[f"params.{figure}"]
        said = [f"{one['value']} {one['verdict']}" for one in sheet["published"] if one["figure"] == figure]
        if figure == "active" and count == found["params.total"] and not said:
            continue
        beside = f"   published {', '.join(dict.fromkeys(said))}" if said else ""
        rows.append((figure.replace("_", "-"), f"{count:,}{beside}"))
    return rows


def work(found: dict[str, Any], formula: str | None) -> list[tuple[str, str]]:
    """A forward, a training step, a decoded token; the weight-state ratio."""
    rows = [
        (
            word,
            f"{flop(found[f'{name}.matmul_flops'])} in matrix products, {flop(found[f'{name}.other_flops'])} besides",
        )
        for name, word in (("forward", "forward"), ("training", "training step"))
    ]
    if "decode.token_flops" in found:
        rows.append(("decoded token", f"{flop(found['decode.token_flops'])} in matrix products"))
    if "ratio.value" in found:
        on, over = flop(found["ratio.weight_flops"]), flop(found["ratio.state_flops"])
        rows.append(("weights : state", f"{show.decimal(found['ratio.value'])} = {on} / {over}, a decoded token"))
        rows.append(("", f"= {formula}"))
    return rows


def operators(listed: dict[str, list[dict[str, Any]]]) -> Table:
    """Where FLOPs and bytes go, in a forward and in a decoded step."""
    heads, columns = ["\noperator"], []
    for phase, word in (("forward", "forward"), ("decode", "decode")):
        if phase in listed:
            heads += [f"{word}\nFLOPs", "\n%", f"{word}\nbytes", "\n%"]
            columns.append({row["name"]: row for row in listed[phase]})
    totals = [
        {key: sum(_amount(row, key) for row in column.values()) or 1 for key in ("flops", "bytes")}
        for column in columns
    ]
    names = sorted({name for column in columns for name in column}, key=lambda name: -_weight(columns, totals, name))
    cells = []
    shown = names if len(names) == MOST_OPERATORS + 1 else names[:MOST_OPERATORS]
    cells = [[name, *_cells(columns, totals, [name])] for name in shown]
    if rest := names[len(shown) :]:
        cells.append([f"{len(rest)} others", *_cells(columns, totals, rest)])
    return show.table(heads, cells)


def kept(found: dict[str, Any], setting: dict[str, Any]) -> list[tuple[str, str]]:
    """What must be held to generate, and to train."""
    rows = [("weights", amount(found["weights_bytes"]))]
    if "state.elements" in found:
        each = f"{found['state.token_bytes']:,} B the next token, {amount(found['state.sequence_bytes'])} a sequence"
        rows.append(("state", each))
        rest = found["decode.moved_bytes"] - found["decode.weight_bytes"] - found["decode.state_bytes"]
        moved = zip(("weights", "state", "activations"),
                    (found["decode.weight_bytes"], found["decode.state_bytes"], rest), strict=True)  # fmt: skip
        rows.append(("a decoded step", "moves " + ", ".join(f"{show.decimal(n, 'B')} of {word}" for word, n in moved)))
        memory = found["memory_bytes"]
        held = f" of {show.decimal(memory, 'B')}" if memory else ""
        rows.append(("to generate", f"{show.decimal(found['generation_bytes'], 'B')}{held}: weights and state"))
    train = ", ".join(
        f"{show.decimal(found[f'{name}_bytes'], 'B')} {word}"
        for name, word in (("gradients", "gradients"), ("optimizer", "AdamW"))
    )
    rows.append(("to train", f"{show.decimal(found['training_bytes'], 'B')} = weights + {train}"))
    if "activation_bytes" in found:
        how = {"none": "everything is kept", "blocks": "blocks run again"}[setting["recompute"]]
        each = f"{show.decimal(found['activation_layer_bytes'], 'B')} a layer, {how}"
        rows.append(("activations", f"{amount(found['activation_bytes'])} kept for the backward: {each}"))
        rows.append(("peak of a step", f"{amount(found['peak_bytes'])}, what comes and goes included"))
    else:
        advice = "--recompute none or blocks counts them, in 16 or 32 bits, where Isostate has the blocks"
        rows.append(("activations", f"not counted: {advice}"))
    return rows


def activations(rows: Sequence[dict[str, Any]]) -> Table:
    """The largest of what is kept, and the rest together."""
    totals = [(row["times"] * row["nbytes"], row) for row in rows]
    whole = sum(total for total, _ in totals)
    totals.sort(key=lambda pair: -pair[0])
    cells = []
    for total, row in totals[:MOST_KEPT]:
        each = f"{row['times']} x {show.decimal(row['nbytes'])}" if row["part"] == "layer" else row["part"]
        cells.append([row["name"], each, show.decimal(total), f"{100 * total / whole:.1f}"])
    if rest := totals[MOST_KEPT:]:
        summed = sum(total for total, _ in rest)
        cells.append([f"{len(rest)} others", "", show.decimal(summed), f"{100 * summed / whole:.1f}"])
    return show.table(["kept for the backward", "layers", "bytes", "%"], cells)


def times(found: dict[str, Any], setting: dict[str, Any]) -> list[tuple[str, str]]:
    """Latencies and what bounds them; what a training run takes."""
    rows = [("prefill", f"{seconds(found['forward.seconds'])}, {bound(found, 'forward')}")]
    if "decode.seconds" in found:
        rate = f"{show.decimal(found['decode.tokens_per_s'])} tokens/s"
        rows.append(("decoded step", f"{seconds(found['decode.seconds'])}, {rate}, {bound(found, 'decode')}"))
        batch = found["decode.critical_batch"]
        turns = (
            "at no batch: at this context reading the state takes longer" if batch is None else f"from batch {batch:,}"
        )
        fits = found["decode.largest_batch"]
        rows.append(("compute-bound", turns + ("" if fits is None else f"; {fits:,} sequences fit")))
    devices = "1 device" if setting["devices"] == 1 else f"{setting['devices']:,} devices"
    rows.append(("training", f"{count(setting['tokens'])} tokens, {flop(found['training.total_flops'])}"))
    bill = [f"{seconds(found['training.seconds'])} on {devices} at {100 * setting['utilised']:.3g} % MFU"]
    if found["training.dollars_low"] is not None:
        bill.append(f"{dollars(found['training.dollars_low'])} to {dollars(found['training.dollars_high'])}")
    if found["training.kwh"] is not None:
        bill.append(show.decimal(1000 * found["training.kwh"], "Wh").replace("K", "k"))
    rows.append(("", ", ".join(bill)))
    return rows


def facts(title: str, rows: Sequence[tuple[str, str]]) -> Table:
    """A title, and under it names and what is said of them, which wraps."""
    drawn = Table.grid(padding=(0, 2, 0, 0))
    drawn.add_column(no_wrap=True, min_width=16)
    drawn.add_column(overflow="fold")
    if title:
        drawn.add_row(Text(title, style="bold"), "")
    for name, text in rows:
        drawn.add_row(Text(f"  {name}" if title else name), Text(text))
    return drawn


def flop(count: float) -> str:
    return show.decimal(count, "FLOP") if count < 1e21 else f"{count:.3g} FLOP"


def amount(n_bytes: int) -> str:
    """'13.5 GB (13,476,831,232 B)'."""
    return f"{show.decimal(n_bytes, 'B')} ({n_bytes:,} B)" if n_bytes >= 1000 else f"{n_bytes} B"


def seconds(time_s: float) -> str:
    """'12.3 µs', '4.56 ms', '7.8 s', '3.5 min', '12.5 days', '8.1 years': as the page says it."""
    for unit, factor, end in UNITS:
        if time_s < end:
            return f"{time_s / factor:.3g} {unit}"
    return f"{show.decimal(time_s / YEAR)} years"


def dollars(amount: float) -> str:
    return f"${count(amount)}"


def bound(found: dict[str, Any], name: str) -> str:
    """'memory-bound (97 % of the time)'."""
    which = found[f"{name}.bound"]
    share = found[f"{name}.{which}_bound_s"] / found[f"{name}.seconds"]
    return f"{which}-bound ({100 * share:.0f} % of it)"


def count(number: float) -> str:
    """'6.74B': parameters, tokens and dollars are counted in billions."""
    return show.decimal(number).replace("G", "B")


def decimal_bytes(n_bytes: int) -> str:
    return show.decimal(n_bytes, "B")


def _amount(row: dict[str, Any], key: str) -> int:
    return row["moved_bytes"] if key == "bytes" else row["matmul_flops"] + row["other_flops"]


def _weight(columns: list[dict[str, Any]], totals: list[dict[str, int]], name: str) -> float:
    """By which operators are ordered: their largest share of anything."""
    shares = [
        _amount(column[name], key) / total[key]
        for column, total in zip(columns, totals, strict=True)
        for key in total
        if name in column
    ]
    return max(shares)


def _cells(columns: list[dict[str, Any]], totals: list[dict[str, int]], names: list[str]) -> list[str]:
    cells = []
    for column, total in zip(columns, totals, strict=True):
        for key in ("flops", "bytes"):
            summed = sum(_amount(column[name], key) for name in names if name in column)
            cells += [show.decimal(summed) if summed else "", f"{100 * summed / total[key]:.1f}" if summed else ""]
    return cells
