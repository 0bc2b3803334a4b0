"""Which form to believe: several laws fitted to the same points with the same objective, side by side.

Hold-out error (fit the small, predict the large) asks which law extrapolates; AICc and BIC ask which describes the
points with no more parameters than they pay for. The likelihood is the objective's: normal noise of free scale for
squares, Laplace noise of free scale for absolute errors and Huber, of the loss or of its log as the objective has it,
always as a density of the loss itself, so that objectives in logs compare with others. The scale counts as a parameter.
Sources: Burnham & Anderson 2002, chapter 2 (AICc, Akaike weights); Schwarz 1978 (BIC); Kass & Raftery 1995 (what a
difference of BIC says).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from isostate.config import UserError
from isostate.laws import advise
from isostate.laws.fit import fit_law
from isostate.laws.holdout import held_out
from isostate.laws.law import Array, Law
from isostate.laws.objectives import Objective
from isostate.laws.options import Options, objective_named
from isostate.laws.result import Fit
from isostate.laws.weighting import residuals

COMMON = "huber"  # the objective where the laws' own differ and none is named
POSITIVE_EVIDENCE = 2.0  # difference of BIC: Kass & Raftery 1995, section 3.2


@dataclass(frozen=True)
class Row:
    """One law. `n_params` counts the noise's scale; differences are to the best; hold-out errors are relative.

    A law that could not be fitted has no criteria, one whose smaller points cannot carry it no hold-out error.
    """

    fit: Fit
    n_params: int
    log_likelihood: float | None = None
    aicc: float | None = None
    bic: float | None = None
    delta_aicc: float | None = None
    delta_bic: float | None = None
    akaike_weight: float | None = None
    holdout_error: float | None = None  # mean of |predicted / observed - 1|
    holdout_bias: float | None = None  # mean of predicted / observed - 1

    @property
    def name(self) -> str:
        return self.fit.law.name

    def to_dict(self) -> dict[str, Any]:
        plain = {key: value for key, value in self.__dict__.items() if key != "fit"}
        return {"law": self.name, **plain, "alarms": list(self.fit.alarms)}


@dataclass(frozen=True)
class Comparison:
    """Rows with the best hold-out first, then by BIC; `words` say which to believe, and why."""

    objective: str
    likelihood: str
    rows: tuple[Row, ...]
    words: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        return {
            "objective": self.objective,
            "likelihood": self.likelihood,
            "rows": [row.to_dict() for row in self.rows],
            "words": list(self.words),
        }


def compare(
    laws: Sequence[Law], x: Mapping[str, ArrayLike], y: ArrayLike, options: Options | None = None, **named: Any
) -> Comparison:
    """Fits every law to the same points and compares them. `x` holds the inputs of all; `named` are fields of Options.

    Without `options` no bootstrap and no profile is made. The points held out are chosen by the first law's inputs.
    Raises UserError for fewer than two laws, or two of one name.
    """
    names = [law.name for law in laws]
    if len(laws) < 2 or len(set(names)) < len(names):
        raise UserError(f"a comparison takes two laws or more of different names, not {', '.join(names) or 'none'}")
    options = replace(options or Options(bootstrap=0, profile_points=0), **named)
    own = {law.objective for law in laws}
    objective = objective_named(options.objective or (own.pop() if len(own) == 1 else COMMON))
    first, y_n = advise.checked(laws[0], x, y)
    held_n = held_out(first, len(y_n), options.holdout)
    options = replace(options, objective=objective.name, holdout=held_n if held_n.any() else None)
    rows = _with_differences([_row(fit_law(law, x, y, options), x, y_n, objective) for law in laws])
    ordered = tuple(sorted(rows, key=lambda row: (_last(row.holdout_error), _last(row.bic))))
    return Comparison(
        objective.words, _likelihood_words(objective), ordered, tuple(_words(ordered, bool(held_n.any())))
    )


def _row(fit: Fit, x: Mapping[str, ArrayLike], y_n: Array, objective: Objective) -> Row:
    # one more for the scale of the noise, and one where its slope was estimated
    n_params = len(fit.law.names) + 1 + ("log_sd_slope" in fit.noise)
    if not fit.params:
        return Row(fit, n_params)
    inputs, _ = advise.checked(fit.law, x, y_n)
    weight_n = np.array([point.get("weight", 1.0) for point in fit.points])
    values_K = np.array([fit.values[name] for name in fit.law.names])
    likely, n = log_likelihood(residuals(fit.law, inputs, y_n, values_K, objective), y_n, weight_n, objective)
    spare = n - n_params - 1
    aicc = 2 * n_params - 2 * likely + 2 * n_params * (n_params + 1) / spare if spare > 0 else float("inf")
    bic = n_params * float(np.log(n)) - 2 * likely
    held = fit.holdout
    errors = (None, None) if held is None else (held.mean_abs_error, held.mean_error)
    return Row(fit, n_params, likely, aicc, bic, holdout_error=errors[0], holdout_bias=errors[1])


def log_likelihood(residual_n: Array, y_n: Array, weight_n: Array, objective: Objective) -> tuple[float, int]:
    """Of the losses at the most likely scale of the noise, and how many points it counts (those of weight > 0)."""
    kept = weight_n > 0
    r, w, y = residual_n[kept], weight_n[kept], y_n[kept]
    n = len(r)
    floor = np.finfo(float).tiny
    if objective.squares:
        scale = max(float(np.mean(w * r**2)), floor)
        value = -0.5 * n * (np.log(2 * np.pi * scale) + 1) + 0.5 * float(np.log(w).sum())
    else:
        scale = max(float(np.mean(w * np.abs(r))), floor)
        value = -n * (np.log(2 * scale) + 1) + float(np.log(w).sum())
    return float(value - (np.log(y).sum() if objective.log else 0.0)), n


def _with_differences(rows: list[Row]) -> list[Row]:
    fitted = [row for row in rows if row.bic is not None]
    if not fitted:
        return rows
    lowest_aicc, lowest_bic = min(_last(row.aicc) for row in fitted), min(_last(row.bic) for row in fitted)
    deltas = {row.name: _last(row.aicc) - lowest_aicc if np.isfinite(lowest_aicc) else 0.0 for row in fitted}
    total = sum(float(np.exp(-0.5 * delta)) for delta in deltas.values())
    return [
        row
        if row.bic is None
        else replace(
            row,
            delta_aicc=deltas[row.name],
            delta_bic=row.bic - lowest_bic,
            akaike_weight=float(np.exp(-0.5 * deltas[row.name])) / total,
        )
        for row in rows
    ]


def _likelihood_words(objective: Objective) -> str:
    noise = "normal" if objective.squares else "Laplace"
    return f"{noise} noise of free scale on the {'log loss' if objective.log else 'loss'}, as the objective has it"


def _words(rows: Sequence[Row], wanted_holdout: bool) -> list[str]:
    """Which law to believe, in sentences."""
    fitted = sorted((row for row in rows if row.bic is not None), key=lambda row: _last(row.bic))
    words = [f"{row.name} could not be fitted: {row.fit.alarms[0]}" for row in rows if row.bic is None]
    if not fitted:
        return words
    likely = fitted[0]
    words += [_by_bic(fitted)] if len(fitted) > 1 else []
    tested = [row for row in rows if row.holdout_error is not None]
    if not tested:
        return [*words, "no hold-out to test them: believe none of them beyond the points"] if wanted_holdout else words
    best = tested[0]
    told = f"{best.name} predicts the held-out points best ({best.holdout_error:.2%} off on average)"
    close = [row for row in tested[1:] if _last(row.holdout_error) - _last(best.holdout_error) < _noise_of_mean(best)]
    if close:
        others = ", ".join(row.name for row in close)
        told += f", but no better than {others} by more than the noise of those points"
    words.append(told)
    if best is likely:
        words.append(f"believe {best.name}: hold-out and BIC agree")
    elif likely in close:
        words.append(f"believe {likely.name}: the hold-out cannot tell it from {best.name}, BIC can")
    else:
        words.append(f"they disagree: within the points believe {likely.name}, beyond them {best.name}")
    missed = [row.name for row in tested if row.fit.holdout is not None and not row.fit.holdout.covered]
    if missed:
        words.append(f"outside its own interval at the largest point: {', '.join(missed)}")
    return words


def _by_bic(fitted: Sequence[Row]) -> str:
    first, second = fitted[0], fitted[1]
    gap = _last(second.delta_bic)
    if gap < POSITIVE_EVIDENCE:
        return f"BIC cannot tell {first.name} from {second.name} (they differ by {gap:.1f})"
    return f"BIC prefers {first.name}, by {gap:.1f} over {second.name}"


def _noise_of_mean(row: Row) -> float:
    """The relative sd of a mean over the held-out points: errors closer than this are not told apart."""
    assert row.fit.holdout is not None
    sd = row.fit.noise["sd"] or 0.0
    size = 1.0 if row.fit.noise["of"] == "log residual" else row.fit.holdout.observed
    return float(sd / size / np.sqrt(row.fit.holdout.n))


def _last(value: float | None) -> float:
    return float("inf") if value is None else value
