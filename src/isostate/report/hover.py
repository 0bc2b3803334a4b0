"""What a point says when a reader rests on it: everything that is known of the run, in plotly's label text."""

from __future__ import annotations

from itertools import pairwise
from statistics import fmean, stdev
from typing import Any

from isostate.laws import Fit
from isostate.report import fitted, labels
from isostate.report import rows as runs
from isostate.report.rows import Row


def of_run(row: Row, context: int | None) -> str:
    """One run, its final loss at `context` (None: at every context)."""
    contexts = [context] if context is not None else runs.eval_contexts([row]) if row.get("final") else []
    return "<br>".join([_headline(row), *(_loss_line(row, c) for c in contexts), *_about(row), _identity(row)])


def of_mean(group: list[Row], context: int, fit: dict[str, Any] | None) -> str:
    """The seeds of one state, and the law that runs through them."""
    if len(group) == 1:
        lines = [of_run(group[0], context)]
    else:
        losses = [runs.final_loss(row, context) for row in group]
        mean = f"mean loss {labels.loss(fmean(losses))} nats at context {context:,}"
        spread = f"{len(group)} seeds, standard deviation {labels.number(stdev(losses), 2)}"
        lines = [f"<b>{labels.plotly_text(group[0]['family'])}</b>", mean, spread, *_about(group[0])]
    return "<br>".join([*lines, *([of_law(fit)] if fit and fit["params"] else [])])


def of_law(fit: dict[str, Any]) -> str:
    """The law with its values: L = 2.31 + 14.2 S^-0.41, and the exponent's interval."""
    value = {name: labels.number(interval["value"], 3) for name, interval in fit["params"].items()}
    alpha = fit["params"]["alpha"]
    equation = f"L = {value['L_inf']} + {value['A']} S<sup>-{value['alpha']}</sup>"
    return f"law: {equation}, exponent in {labels.interval(alpha['low'], alpha['high'])}"


def of_holdout(name: str, held: dict[str, float]) -> str:
    """The test of a law: predicted without this state, observed, error. `name` is plotly text already."""
    return "<br>".join(
        [
            f"<b>{name}</b>, test of the law",
            f"predicted {labels.number(held['predicted'])} {labels.interval(held['low'], held['high'])}",
            f"observed {labels.number(held['observed'])}: error {labels.percent(held['error'])}",
        ]
    )


def of_points(fit: Fit) -> list[str]:
    """Each point of any fit: its inputs, what was observed, what the law says there."""
    table = fitted.columns(fit)
    output = labels.plotly_text(fit.law.output)
    predicted = fit.predict(table.x) if fit.params else None
    texts = []
    for i, held in enumerate(table.held):
        lines = [", ".join(fitted.amount(symbol, float(column[i])) for symbol, column in table.x.items())]
        lines.append(f"{output} observed {labels.number(float(table.y[i]))}")
        if predicted is not None:
            error = labels.percent(float(table.y[i] / predicted[i] - 1.0))
            lines.append(f"{output} by the law {labels.number(float(predicted[i]))}: observed {error} from it")
        texts.append("<br>".join([*lines, *(["held out of the test fit"] if held else [])]))
    return texts


def of_positions(edges: list[int]) -> list[str]:
    """A text for each bin of positions, for the place of %{text} in `around_positions`; the same for every line."""
    return [f"{lo + 1:,} to {hi:,}" for lo, hi in pairwise(edges)]


def around_positions(group: list[Row], context: int) -> str:
    """What all bins of a line say, as plotly's template: written once, since it is long."""
    head = _headline(group[0]) if len(group) == 1 else f"<b>{labels.plotly_text(group[0]['family'])}</b>"
    tail = [f"evaluated at context {context:,}", *_about(group[0])]
    if len(group) > 1:
        tail.append(f"mean of {len(group)} seeds")
    return "<br>".join([head, "%{y:.3f} nats at positions %{text}", *tail]) + "<extra></extra>"


def _headline(row: Row) -> str:
    return f"<b>{labels.plotly_text(row['family'])}</b>, seed {row['seed']}"


def _loss_line(row: Row, context: int) -> str:
    final = row["final"][str(context)]
    bits = f" ({labels.loss(final['bits_per_byte'])} bits per byte)"
    return f"loss {labels.loss(final['loss_nats'])} nats{bits} at context {context:,}"


def _about(row: Row) -> list[str]:
    state = row["state"]
    parts = ", ".join(f"{labels.plotly_text(name)} {count:,}" for name, count in state["parts"].items() if count)
    count = row["n_params"]["non_embedding"]
    shape = f"{labels.plural(row['n_layers'], 'layer')}, width {row['d_model']}"
    model = f"{labels.decimal(count)} parameters without embedding, {shape}"
    tokens = f"{row['steps']:,} updates of {row['batch_tokens']:,} tokens, learning rate {row['lr']:g}"
    compute = f", {labels.number(row['train_flops'], 3)} FLOPs" if row["train_flops"] else ""
    return [
        f"state {state['elements']:,} elements" + (f" ({parts})" if len(state["parts"]) > 1 else ""),
        model,
        f"trained at context {row['train_context']:,}{compute}",
        tokens,
    ]


def _identity(row: Row) -> str:
    return f"{labels.duration(row['train_s'])} of training, run {labels.plotly_text(row['run_id'])} ({row['status']})"
