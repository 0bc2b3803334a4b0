"""The counts of a sheet as coefficients of few functions of batch B and context S, found exactly, for the page.

    count = sum_i  coefficient_i * term_i(B, S)

Terms are B^b S^s m^w times what bends: m = min(window, S), whether S < window, chunks of a Mamba-2 scan, experts that
B S tokens (or B, decoding) are expected to read. Coefficients are solved over the rationals from counts at some points
and must then give those at others, to the integer. Where no formula is known to hold (Isostate's own mixers choose
their chunks by the context), a term stands for one context alone, and the page offers these contexts.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import Any

from isostate.costs.subject import BYTE, Subject
from isostate.costs.sublayer import Phase, Run

Term = dict[str, Any]  # powers "b" and "s"; "window": [w, power], "below", "chunk": [c, blocks, power], "experts", "at"
KEYS = ("matmul", "other", "moved", "weights", "state")  # FLOPs and elements of one run of an operator
POWERS = ((0, 0), (0, 1), (1, 0), (2, 0), (1, 1), (1, 2))
SAMPLED, CHECKED = (1, 2, 5, 11), (1, 3, 64)  # batches
LONGEST = 2**20


def closed_form(subject: Subject, contexts: Sequence[int]) -> dict[str, Any]:
    """{"terms", "forward", "decode", "train", "state", "growth", "ratio"}: operators and counts as {term: coefficient}.

    Coefficients are texts, whole or fractions. `contexts` are those that the page offers.
    """
    terms = _terms(subject, contexts)
    sampled, checked = _points(subject, contexts)
    program: dict[str, Any] = {"terms": terms}
    phases: dict[str, Phase] = {"forward": "prefill", **({"decode": "decode"} if subject.generates else {})}
    for name, phase in phases.items():
        columns = [_operator_counts(subject, phase, *point) for point in sampled]
        solved = _solve(terms, phase, sampled, columns)
        expected = [_operator_counts(subject, phase, *point) for point in checked]
        _check(terms, phase, checked, expected, solved)
        listed = subject.operators(_run(phase, *sampled[0]))
        width = len(KEYS)
        program[name] = [
            {"name": one.name, "times": one.times} | dict(zip(KEYS, solved[width * i : width * (i + 1)], strict=True))
            for i, one in enumerate(listed)
        ]
    columns = [_counts(subject, *point) for point in sampled]
    solved = _solve(terms, "prefill", sampled, columns)
    _check(terms, "prefill", checked, [_counts(subject, *point) for point in checked], solved)
    names = ("train_matmul", "train_other", "state", "growth", "ratio_weight", "ratio_state")
    return _texts(program | dict(zip(names, solved, strict=True)))


def value(term: Term, phase: Phase, batch: int, context: int) -> int:
    """A term at a point; cost.js has the same."""
    if "at" in term and context != term["at"]:
        return 0
    result = batch ** term.get("b", 0) * context ** term.get("s", 0)
    if "window" in term:
        window, power = term["window"]
        result *= min(window, context) ** power
    if "below" in term:
        result *= context < term["below"]
    if "chunk" in term:
        chunk, power = term["chunk"]
        block = min(chunk, context)
        result *= -(-context // block) * block**power
    if "experts" in term:
        n_experts, top_k = term["experts"]
        n_tokens = batch * context if phase == "prefill" else batch
        result *= round(n_experts * (1 - (1 - top_k / n_experts) ** n_tokens))
    return result


def _terms(subject: Subject, contexts: Sequence[int]) -> list[Term]:
    if not subject.by_formula:
        return [{"at": context, "b": power} for context in contexts for power in (0, 1)]
    terms: list[Term] = [{"b": b, "s": s} for b, s in POWERS]
    for window in subject.windows:
        terms += [{"b": 1, "s": s, "window": [window, power]} for s, power in ((0, 1), (1, 1), (0, 2))]
        terms += [{"window": [window, 1]}, {"below": window}]
    terms += [{"b": 1, "chunk": [chunk, power]} for chunk in subject.chunks for power in (0, 1, 2)]
    return terms + [{"experts": list(pair)} for pair in subject.experts]


def _points(subject: Subject, contexts: Sequence[int]) -> tuple[list[tuple[int, int]], list[tuple[int, int]]]:
    """(batch, context) to solve from, and others to check against."""
    if not subject.by_formula:
        return [(b, s) for s in contexts for b in SAMPLED[:2]], [(b, s) for s in contexts for b in (3, 64)]
    if subject.fixed is not None:
        return [(b, subject.fixed) for b in (1, 2, 3, 5)], [(b, subject.fixed) for b in (7, 64)]
    longest = subject.limit or LONGEST
    bends = [*subject.windows, *subject.chunks]
    near = {
        1,
        2,
        3,
        7,
        10,
        50,
        77,
        300,
        1000,
        5000,
        *(b + d for b in bends for d in (-1, 0, 1, 57)),
        *(3 * b for b in bends),
    }
    far = {5, 11, 40, 64, 511, 2048, longest, longest // 3 + 1, *(2 * b - 1 for b in bends), *(b // 2 for b in bends)}
    inside = [[s for s in sorted(some) if 1 <= s <= longest] for some in (near, far)]
    return [(b, s) for s in inside[0] for b in SAMPLED], [(b, s) for s in inside[1] for b in CHECKED]


def _run(phase: Phase, batch: int, context: int) -> Run:
    return Run(batch, context, phase, False, BYTE, BYTE, BYTE)


def _operator_counts(subject: Subject, phase: Phase, batch: int, context: int) -> list[int]:
    counts: list[int] = []
    for one in subject.operators(_run(phase, batch, context)):
        cost = one.cost
        counts += [cost.matmul_flops, cost.other_flops, cost.moved_bytes, one.weight_bytes, one.state_bytes]
    return counts


def _counts(subject: Subject, batch: int, context: int) -> list[int]:
    """What stands beside the operators; zero where the model has none of it."""
    train = subject.train_cost(batch, context)
    ratio = subject.ratio(context) if subject.ratio else None
    after = subject.state_size(context).elements if subject.generates else 0
    growth = subject.state_size(context + 1).elements - after if subject.generates else 0
    on = (ratio.weight_flops, ratio.state_flops) if ratio else (0, 0)
    return [train.matmul_flops, train.other_flops, after, growth, *on]


def _solve(
    terms: list[Term], phase: Phase, points: list[tuple[int, int]], counts: list[list[int]]
) -> list[dict[int, Fraction]]:
    """Coefficients of every column of `counts`: as many independent points as there are independent terms."""
    reduced: list[tuple[int, list[Fraction], dict[int, Fraction]]] = []  # pivot, row, the points it is made of
    for place, point in enumerate(points):
        row = [Fraction(value(term, phase, *point)) for term in terms]
        made = {place: Fraction(1)}
        for pivot, other, parts in reduced:
            if factor := row[pivot]:
                row = [a - factor * b if b else a for a, b in zip(row, other, strict=True)]
                made = {key: made.get(key, Fraction()) - factor * parts.get(key, 0) for key in made | parts}
        pivot = next((i for i, entry in enumerate(row) if entry), None)  # type: ignore[assignment]
        if pivot is None:
            continue
        scale = 1 / row[pivot]
        reduced.append((pivot, [entry * scale for entry in row], {key: part * scale for key, part in made.items()}))
    result = []
    for column in zip(*counts, strict=True):
        found: dict[int, Fraction] = {}
        for pivot, row, parts in reversed(reduced if any(column) else []):
            total = sum((part * column[key] for key, part in parts.items()), Fraction())
            total -= sum((row[i] * known for i, known in found.items()), Fraction())
            if total:
                found[pivot] = total
        result.append(found)
    return result


def _check(
    terms: list[Term],
    phase: Phase,
    points: list[tuple[int, int]],
    counts: list[list[int]],
    solved: list[dict[int, Fraction]],
) -> None:
    for point, expected in zip(points, counts, strict=True):
        values = [value(term, phase, *point) for term in terms]
        for want, column in zip(expected, solved, strict=True):
            got = sum((part * values[i] for i, part in column.items()), Fraction())
            assert got == want, f"{phase} at batch and context {point}: {got} by its terms, {want} counted"


def _texts(found: Any) -> Any:
    if isinstance(found, Fraction):
        return str(found)
    if isinstance(found, dict):
        return {str(key): _texts(item) for key, item in found.items()}
    return [_texts(item) for item in found] if isinstance(found, list) else found
