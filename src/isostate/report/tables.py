"""The tables: laws, runs, what was run where; as plain rows for the command line, as HTML for the page."""

from __future__ import annotations

import html
from collections.abc import Iterable
from typing import Any

from isostate.config import digest
from isostate.report import labels, law_words
from isostate.report import rows as runs
from isostate.report.fits import of_state
from isostate.report.rows import Row

Cell = tuple[str, Any]  # what is shown (HTML), what it sorts by


def summary(table: list[Row], fits: list[dict[str, Any]]) -> list[dict[str, str]]:
    """The table of laws at the longest evaluated context: a dict of printable cells a law, for the command line.

    Columns: family, size, L_inf, A, alpha (each with its interval), hold-out error. Contexts and conditions have
    columns where they vary.
    """
    fits = of_state(fits)
    longest = max((fit["group"]["eval_context"] for fit in fits), default=0)
    chosen = [fit for fit in fits if fit["group"]["eval_context"] == longest]
    varying = [name for name in ("train_context", "condition") if len({fit["group"][name] for fit in chosen}) > 1]
    names = {runs.size_name(key): runs.size_label(runs.done(table), key) for key in runs.sizes(runs.done(table))}
    return [
        {
            "family": labels.plain(fit["group"]["family"]),
            "size": names[fit["group"]["size"]],
            **{name.replace("_", " "): labels.plain(fit["group"][name]) for name in varying},
            **{name: _value(fit, name) for name in ("L_inf", "A", "alpha")},
            "hold-out error": labels.percent(fit["holdout"]["error"]) if fit["holdout"] else "–",
        }
        for fit in chosen
    ]


def _value(fit: dict[str, Any], name: str) -> str:
    return " ".join(law_words.parameter(fit, name)).strip()


def laws_table(table: list[Row], fits: list[dict[str, Any]]) -> str:
    """Every law in the state with its intervals, its test on the held-out state, and its alarms and advice in words."""
    fits = of_state(fits)
    if not fits:
        words = 'No law yet: a study asks for one with [[fit]] law = "state", and needs four states a family.'
        return f'<p class="empty">{html.escape(words)}</p>'
    head = [
        "family",
        "model",
        "training<br>context",
        "evaluated<br>at",
        "L<sub>∞</sub>",
        "A",
        "α",
        "hold-out error",
        "runs",
    ]
    done = runs.done(table)
    sizes = [runs.size_name(key) for key in runs.sizes(done)]
    counts = {runs.size_name(key): runs.size_count(done, key) for key in runs.sizes(done)}
    conditions = {fit["group"]["condition"] for fit in fits}
    bodies = []
    for fit in sorted(fits, key=lambda fit: -fit["group"]["eval_context"]):
        group, held = fit["group"], fit["holdout"]
        family = name(group["family"]) + (
            f"<br><small>{name(group['condition'])}</small>" if len(conditions) > 1 else ""
        )
        cells: list[Cell] = [
            (family, group["family"]),
            (
                f"{counts[group['size']]}<br><small>{group['size'].replace('x', ' × ')}</small>",
                sizes.index(group["size"]),
            ),
            (f"{group['train_context']:,}", group["train_context"]),
            (f"{group['eval_context']:,}", group["eval_context"]),
            *(_parameter(fit, key) for key in ("L_inf", "A", "alpha")),
            (_hold_out(held), abs(held["error"]) if held else None),
            (str(len(fit["points"])), len(fit["points"])),
        ]
        bodies.append(body(cells, said(fit["alarms"], fit["advice"])))
    caption = (
        f"L(S) = L<sub>∞</sub> + A S<sup>−α</sup>; {html.escape(fits[0]['objective'])}; brackets are 95 % intervals."
    )
    return sortable("laws", head, bodies, caption)


def _parameter(fit: dict[str, Any], key: str) -> Cell:
    value, interval = law_words.parameter(fit, key)
    if not interval:
        return value, None
    return f"{value}<br><small>{interval}</small>", fit["params"][key]["value"]


def _hold_out(held: dict[str, Any] | None) -> str:
    if held is None:
        return "–"
    predicted = f"{labels.loss(held['predicted'])} [{labels.loss(held['low'])}, {labels.loss(held['high'])}]"
    return f"{labels.percent(held['error'])}<br><small>{predicted} for {labels.loss(held['observed'])}</small>"


def said(alarms: Iterable[str], advice: Iterable[str]) -> str:
    """What a fit says about itself, as paragraphs; nothing where it is content."""
    told = {"alarms": "; ".join(alarms), "advice": "; ".join(advice)}
    paragraphs = (f'<p class="{kind}">{html.escape(labels.plain(text))}.</p>' for kind, text in told.items() if text)
    return "".join(paragraphs)


def runs_table(table: list[Row]) -> str:
    """Every run, finished or not, sortable."""
    if not table:
        return '<p class="empty">No run yet: <code>isostate run</code> trains what the study names.</p>'
    longest = max(runs.eval_contexts(runs.done(table)), default=None)
    at = f"loss at<br>{longest:,}" if longest else "loss"
    head = ["family", "state", "model", "context", "seed", "learning<br>rate", "updates", "tokens", at,
            "bits per<br>byte", "FLOPs", "time", "status", "run"]  # fmt: skip
    ordered = sorted(table, key=lambda row: (str(row.get("family")), _known(row, "n_params", "non_embedding") or 0,
                                             row.get("train_context", 0), _known(row, "state", "elements") or 0,
                                             row.get("seed", 0), row["run_id"]))  # fmt: skip
    return sortable("runs", head, [body(_run_cells(row, longest)) for row in ordered], "")


def _run_cells(row: Row, longest: int | None) -> list[Cell]:
    final = (row.get("final") or {}).get(str(longest), {})
    count, elements = _known(row, "n_params", "non_embedding"), _known(row, "state", "elements")
    shape = f" <small>{row['n_layers']} × {row['d_model']}</small>" if "n_layers" in row else ""
    tokens = row.get("n_tokens") or (row["steps"] * row["batch_tokens"] if "steps" in row else None)
    because = html.escape(labels.plain(row["reason"])) if row.get("reason") else ""
    reason = f'<br><small class="reason">{because}</small>' if because else ""
    return [
        (name(row.get("family", "–")), row.get("family")),
        (f"{elements:,}" if elements is not None else "–", elements),
        (f"{labels.decimal(count)}{shape}" if count is not None else "–", count),
        (f"{row['train_context']:,}" if "train_context" in row else "–", row.get("train_context")),
        (str(row.get("seed", "–")), row.get("seed")),
        (f"{row['lr']:g}" if "lr" in row else "–", row.get("lr")),
        (f"{row['steps']:,}" if "steps" in row else "–", row.get("steps")),
        (labels.decimal(tokens) if tokens else "–", tokens),
        (labels.loss(final.get("loss_nats")), final.get("loss_nats")),
        (labels.loss(final.get("bits_per_byte")), final.get("bits_per_byte")),
        (labels.number(row.get("train_flops"), 3), row.get("train_flops")),
        (labels.duration(row["train_s"]), row["train_s"]),
        (f'<span class="{html.escape(row["status"])}">{html.escape(row["status"])}</span>{reason}', row["status"]),
        (f"<code>{name(row['run_id'])}</code>", row["run_id"]),
    ]


def _known(row: Row, table: str, key: str) -> Any:
    """A value of a row's inner table; None where the run has not told yet."""
    return row[table][key] if table in row else None


def where_table(table: list[Row]) -> str:
    """Versions, machine and threads, a row for each distinct environment, with the data's and the records' hashes."""
    groups: dict[str, list[Row]] = {}
    for row in table:
        if row["environment"]:
            told = {key: value for key, value in row["environment"].items() if key != "started"}
            groups.setdefault(digest(told), []).append(row)
    if not groups:
        return '<p class="empty">No run has started, so no machine has been recorded.</p>'
    keys = ("isostate", "torch", "numpy", "python", "platform", "cpu", "threads", "kernels")
    bodies = []
    for group in groups.values():
        environment = group[0]["environment"]
        started = sorted(str(row["environment"].get("started", "–")) for row in group)
        prints = sorted({row["config"].get("data", {}).get("fingerprint", "")[:16] for row in group if "config" in row})
        shown = "<br>".join(f"<code>{name(text)}</code>" for text in prints if text)
        cells: list[Cell] = [(name(environment.get(key, "–")), environment.get(key)) for key in keys]
        cells += [(str(len(group)), len(group)), (name(started[0]), started[0]), (shown or "–", shown)]
        bodies.append(body(cells))
    return sortable("where", [*keys, "runs", "first started", "data"], bodies, "")


def records_digest(table: list[Row]) -> str:
    """Hash of all records, wherever they lie: equal pages come from equal digests."""
    return digest([{key: value for key, value in row.items() if key != "run_dir"} for row in table])


def name(text: Any) -> str:
    """A name in HTML: escaped, without control characters, and isolated so that its direction stays its own."""
    return f"<bdi>{html.escape(labels.plain(text))}</bdi>"


def sortable(identity: str, head: list[str], bodies: list[str], caption: str) -> str:
    """A table whose header cells sort it; each row is a <tbody>, so that its alarms move with it."""
    cells = "".join(f'<th scope="col" aria-sort="none"><button type="button">{cell}</button></th>' for cell in head)
    below = f'<p class="note">{caption}</p>' if caption else ""
    label = f'role="region" aria-label="table of {identity}" tabindex="0"'
    table = f'<table class="{identity}"><thead><tr>{cells}</tr></thead>{"".join(bodies)}</table>'
    return f'<div class="scroll" {label}>{table}</div>{below}'


def body(cells: list[Cell], below: str = "") -> str:
    """A row, and under it what belongs to it."""
    shown = "".join(f'<td data-sort="{html.escape(_sort_key(key))}">{text}</td>' for text, key in cells)
    extra = f'<tr class="below"><td colspan="{len(cells)}">{below}</td></tr>' if below else ""
    return f"<tbody><tr>{shown}</tr>{extra}</tbody>"


def _sort_key(key: Any) -> str:
    return "" if key is None else labels.plain(key)
