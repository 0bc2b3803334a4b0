"""The page of a cost sheet: sliders for batch, context, dtype, device and tokens, with the arithmetic in the page.

Its data are plain JSON: the sheet, its closed form in batch and context, the devices. `assets/cost.js` computes with
them what `costs/sheet.py` computes; the tests hold one against the other.
"""

from __future__ import annotations

import html
from string import Template
from typing import Any

from isostate.report import labels, tables
from isostate.report.inline import asset, data_block, policy

Rows = list[tuple[str, str, str]]  # words, number, unit
PARAMETERS: Rows = [
    ("total", "params.total", "count"),
    ("non-embedding", "params.non_embedding", "count"),
    ("active, of one token", "params.active", "count"),
]
WORK: Rows = [
    ("forward, matrix products", "forward.matmul_flops", "flop"),
    ("forward, the rest", "forward.other_flops", "flop"),
    ("training step, matrix products", "training.matmul_flops", "flop"),
    ("training on all tokens", "training.total_flops", "flop"),
]
WORK_DECODING: Rows = [("a decoded token, matrix products", "decode.token_flops", "flop")]
RATIO: Rows = [
    ("weights, a decoded token", "ratio.weight_flops", "flop"),
    ("state, a decoded token", "ratio.state_flops", "flop"),
    ("weights : state", "ratio.value", "ratio"),
]
STATE: Rows = [
    ("state the next token adds", "state.token_bytes", "bytes"),
    ("state of a sequence", "state.sequence_bytes", "bytes"),
    ("weights and state of the batch", "generation_bytes", "bytes"),
]
DEVICE: Rows = [("memory of the device", "memory_bytes", "bytes")]
TRAINING: Rows = [
    ("gradients", "gradients_bytes", "bytes"),
    ("AdamW, master copy included", "optimizer_bytes", "bytes"),
    ("weights, gradients, AdamW", "training_bytes", "bytes"),
]
KEPT: Rows = [
    ("activations kept for the backward", "activation_bytes", "bytes"),
    ("of which by one layer", "activation_layer_bytes", "bytes"),
    ("peak of a step", "peak_bytes", "bytes"),
]
PREFILL: Rows = [("prefill", "forward.seconds", "seconds"), ("prefill is", "forward.bound", "word")]
DECODE: Rows = [
    ("a decoded step", "decode.seconds", "seconds"),
    ("decoding is", "decode.bound", "word"),
    ("tokens a second", "decode.tokens_per_s", "rate"),
    ("compute-bound from", "decode.critical_batch", "count"),
    ("sequences that fit", "decode.largest_batch", "count"),
]
BILL: Rows = [
    ("time", "training.seconds", "seconds"),
    ("lowest price", "training.dollars_low", "dollars"),
    ("highest price", "training.dollars_high", "dollars"),
    ("energy of the devices", "training.kwh", "kwh"),
]


def render_cost(data: dict[str, Any]) -> str:
    """The whole page. `data`: {"sheet", "program", "subject", "controls", "hardware", "bytes", "start"}."""
    sheet, script = data["sheet"], asset("cost.js")
    found = sheet["numbers"]
    decodes, keeps = "decode.seconds" in found, "ratio.value" in found
    utilised = f"{100 * sheet['setting']['utilised']:.3g} %"
    sections = [
        section("Parameters", PARAMETERS, published(sheet)),
        section("FLOPs", WORK + (WORK_DECODING if decodes else []) + (RATIO if keeps else []), ""),
        section("Bytes", [("weights", "weights_bytes", "bytes"), *(STATE if decodes else []), *DEVICE], ""),
        section("Bytes to train", TRAINING + (KEPT if "activation_bytes" in found else []), ""),
        section("Time on one device", PREFILL + (DECODE if decodes else []), ""),
        section(f"Training at {utilised} of the peak", BILL, ""),
    ]
    formula = sheet["ratio_formula"]
    said = f'<p class="note">Weights : state = {html.escape(labels.plain(formula))}.</p>' if formula else ""
    return Template(asset("cost.html")).substitute(
        policy=policy([script]),
        style=asset("page.css") + asset("cost.css"),
        script=script,
        title=html.escape(labels.plain(f"{sheet['model']}: what it costs")),
        about=tables.name(sheet["title"]),
        name=tables.name(sheet["model"]),
        source=tables.name(sheet["source"]),
        sections="\n".join(sections),
        operators=operators(sheet["operators"]),
        kept=kept(sheet),
        exact=html.escape(labels.plain(sheet["exact"])),
        estimated=html.escape(labels.plain(sheet["estimated"])),
        formula=said,
        data=data_block({key: value for key, value in data.items() if key != "sheet"}),
    )


def section(title: str, rows: Rows, below: str) -> str:
    """A small table; cost.js fills its cells."""
    cells = "".join(
        f'<tr><th scope="row">{words}</th><td data-number="{key}" data-unit="{unit}"></td></tr>'
        for words, key, unit in rows
    )
    return f"<section><h2>{html.escape(title)}</h2><table><tbody>{cells}</tbody></table>{below}</section>"


def published(sheet: dict[str, Any]) -> str:
    """What others print of the same counts, and whether ours agrees."""
    lines = []
    for one in sheet["published"]:
        figure = "" if one["figure"] == "total" else f" {one['figure'].replace('_', '-')}"
        why = f", because {one['why']}" if one["why"] else ""
        text = f"Published {one['value']}{figure} ({one['where']}): {one['verdict']}{why}."
        lines.append(f'<p class="note">{html.escape(labels.plain(text))}</p>')
    return "".join(lines)


def operators(listed: dict[str, list[dict[str, Any]]]) -> str:
    """FLOPs and bytes by operator, in a forward and in a decoded step."""
    words = {"forward": "forward", "decode": "decoded step"}
    columns = [(phase, kind) for phase in listed for kind in ("flops", "bytes")]
    heads = "".join(
        f'<th scope="col">{words[phase]}, {"FLOPs" if kind == "flops" else "bytes"}</th>' for phase, kind in columns
    )
    names = list(dict.fromkeys(row["name"] for rows in listed.values() for row in rows))
    body = "".join(
        f'<tr><th scope="row">{html.escape(name)}</th>' + "".join(_cell(name, *column) for column in columns) + "</tr>"
        for name in names
    )
    head = f'<thead><tr><th scope="col">operator</th>{heads}</tr></thead>'
    table = f'<table class="operators">{head}<tbody>{body}</tbody></table>'
    return f'<div class="scroll" role="region" aria-label="table of operators" tabindex="0">{table}</div>'


def kept(sheet: dict[str, Any]) -> str:
    """What a step keeps, tensor by tensor, where the sheet was asked for; empty where no tape tells it."""
    if not sheet["kept"]:
        return ""
    at, whole = sheet["setting"], sum(row["times"] * row["nbytes"] for row in sheet["kept"])
    body = ""
    for row in sorted(sheet["kept"], key=lambda row: -row["times"] * row["nbytes"]):
        total = row["times"] * row["nbytes"]
        each = f"{row['times']:,} layers of {row['nbytes']:,}" if row["part"] == "layer" else row["part"]
        name = html.escape(labels.plain(row["name"]))
        body += (
            f'<tr><th scope="row">{name}</th><td>{each}</td><td>{total:,}</td><td>{100 * total / whole:.1f} %</td></tr>'
        )
    where = f"batch {at['batch']:,}, context {at['context']:,}, {at['dtype']}"
    keeping = {"none": "everything kept", "blocks": "blocks run again"}[at["recompute"]]
    head = "".join(f'<th scope="col">{word}</th>' for word in ("tensor", "where", "bytes", "share"))
    return (
        f'<section><h2>Kept for the backward</h2><p class="note">At {where}, {keeping}; tensor by tensor.</p>'
        '<div class="scroll" role="region" aria-label="table of kept tensors" tabindex="0">'
        f'<table class="operators"><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div></section>'
    )


def _cell(name: str, phase: str, kind: str) -> str:
    at = f'data-operator="{html.escape(name)}" data-phase="{phase}" data-kind="{kind}"'
    return (
        f'<td {at}><span class="amount"></span> <small class="share"></small>'
        '<span class="track"><span class="bar"></span></span></td>'
    )
