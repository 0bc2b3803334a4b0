"""Budgets on the command line: of compute, of time on given hardware, of memory; their limits, and what stays fixed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from isostate.cli import law_words
from isostate.cli.amounts import amounts_of, number_of, numbers_of
from isostate.config import UserError

if TYPE_CHECKING:
    from isostate.laws import Law
    from isostate.laws.allocate import CostOf


# Laws of models for which 6 N D is not what training computes.
DOUBTS = {
    "fine-grained": "6 N D counts every parameter, of which a mixture of experts computes with a few: budget for those",
    "precision": "6 N D counts a product of few bits as one of many",
}


@dataclass(frozen=True)
class Paid:
    """How a budget is paid: its options as given, one of `compute`, `hours` and `memory_bytes` among them."""

    compute: str | None = None
    hours: str | None = None
    flops_per_s: str | None = None
    inference_tokens: str | None = None
    memory_bytes: str | None = None
    bytes_per_param: str | None = None
    bytes_per_element: str | None = None
    sequences: str | None = None


@dataclass(frozen=True)
class Budget:
    """Amounts of one kind in the `unit` of `cost`, as given in `shown`; what they buy, and the cost in words."""

    amounts: tuple[float, ...]
    shown: tuple[str, ...]
    unit: str
    pair: tuple[str, str]
    cost: CostOf
    words: str


def budget_of(paid: Paid, law: Law) -> Budget:
    """The one budget that was given, for a law that has what it buys. Raises UserError."""
    from isostate.laws import allocate as costs

    goes_with = {
        "compute": {"inference_tokens"},
        "hours": {"flops_per_s", "inference_tokens"},
        "memory_bytes": {"bytes_per_param", "bytes_per_element", "sequences"},
    }
    given = {name: text for name, text in paid.__dict__.items() if text is not None}
    kinds = [name for name in goes_with if name in given]
    if len(kinds) != 1:
        raise UserError("give one budget: --compute FLOPS, or --hours with --flops-per-s, or --memory-bytes BYTES")
    kind = kinds[0]
    for name in given:
        if name not in {kind, *goes_with[kind]}:
            raise UserError(f"{_option(name)} does not go with {_option(kind)}; leave it out")
    first, second = pair = ("N", "S") if kind == "memory_bytes" else ("N", "D")
    if not {first, second} <= set(law.inputs):
        told = f"{_option(kind)} buys {first} and {second}, but law {law.name!r} takes {', '.join(law.inputs)}"
        raise UserError(f"{told}; take a law in both")
    amounts = numbers_of(given[kind], _option(kind))
    numbers = {name: number_of(text, _option(name)) for name, text in given.items() if name != kind}
    if kind == "memory_bytes":
        per_param, per_element = numbers.get("bytes_per_param", 2.0), numbers.get("bytes_per_element", 2.0)
        sequences = numbers.get("sequences", 1.0)
        if sequences != int(sequences):
            raise UserError(f"--sequences {sequences:g}: must be a whole number")
        words = f"{per_param:g} N + {per_element:g} x {sequences:g} S bytes"
        cost = costs.memory_bytes(per_param, per_element, int(sequences))
        return Budget(amounts, tuple(f"{law_words.number(a)} bytes" for a in amounts), "bytes", pair, cost, words)
    served = numbers.get("inference_tokens", 0.0)
    words = "6 N D FLOPs" + (f" + 2 N x {law_words.number(served)} tokens of inference" if served else "")
    if kind == "compute":
        shown = tuple(f"{law_words.number(a)} FLOPs" for a in amounts)
        return Budget(amounts, shown, "FLOPs", pair, costs.training_flops(served), words)
    if "flops_per_s" not in numbers:
        raise UserError("--hours needs --flops-per-s: the FLOPs a second that the hardware achieves, not its peak")
    rate = numbers["flops_per_s"]
    shown = tuple(f"{law_words.number(a)} h" for a in amounts)
    seconds = tuple(3600.0 * a for a in amounts)
    words = f"{words} at {law_words.number(rate)} FLOP/s"
    return Budget(seconds, shown, "seconds", pair, costs.training_seconds(rate, served), words)


def limits_of(law: Law, budget: Budget, most: str | None, least: str | None) -> dict[str, tuple[float, float]]:
    """--min and --max of what the budget buys."""
    from isostate.laws.allocate import WHOLE_RANGE
    from isostate.laws.columns import symbol_of

    limits: dict[str, tuple[float, float]] = {}
    for option, text in (("--min", least), ("--max", most)):
        for name, amount in amounts_of(text, option).items():
            symbol = symbol_of(law, name)
            if symbol not in budget.pair:
                raise UserError(f"{option} {name}: the budget buys {' and '.join(budget.pair)}; fix others by --at")
            low, high = limits.get(symbol, WHOLE_RANGE)
            limits[symbol] = (amount, high) if option == "--min" else (low, amount)
    for symbol, (low, high) in limits.items():
        if low >= high:
            raise UserError(f"{symbol} can be nothing between at least {low:g} and at most {high:g}")
    return limits


def fixed_of(law: Law, budget: Budget, at: str | None) -> dict[str, float]:
    """--at: the law's other inputs, every one of them."""
    from isostate.laws.columns import symbol_of, words_of

    fixed = {symbol_of(law, name): amount for name, amount in amounts_of(at, "--at").items()}
    for symbol in law.inputs:
        if symbol in budget.pair and symbol in fixed:
            raise UserError(f"--at {symbol}: {symbol} is what the budget buys; bound it by --min and --max")
        if symbol not in budget.pair and symbol not in fixed:
            raise UserError(
                f"law {law.name!r} also needs {symbol} ({words_of(symbol)}); give it by --at {symbol}=VALUE"
            )
    return fixed


def _option(name: str) -> str:
    return f"--{name.replace('_', '-')}"
