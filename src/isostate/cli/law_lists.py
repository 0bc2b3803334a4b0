"""What there is to fit: the laws, and the published fits of them."""

from __future__ import annotations

from isostate.cli import law_words, show


def list_laws(json: bool) -> int:
    """Every law with its equation, what it reads and predicts, and its source."""
    from isostate.laws import LAWS
    from isostate.laws.columns import words_of

    if json:
        keys = ("name", "equation", "inputs", "output", "names", "objective", "source")
        show.print_json([{key: getattr(law, key) for key in keys} for law in LAWS.values()])
        return 0
    screen = show.console()
    for law in LAWS.values():
        symbols = [f"{symbol} ({words_of(symbol)})" for symbol in (*law.inputs, law.output)]
        objective = "squares, for few points" if "L_inf" in law.names else law.objective
        told = f"{', '.join(symbols[:-1])} to {symbols[-1]}; by {objective}; {law.source}"
        screen.print(law_words.facts([(law.name, law.equation)]))
        screen.print(law_words.facts([("", told)]))
    return 0


def list_public(json: bool) -> int:
    """Every published fit: law, source, values, and whether its table is public."""
    from isostate.laws.registry import PUBLISHED

    rows = [
        {
            "name": fit.name,
            "law": fit.law.name,
            "values": fit.values,
            "source": fit.source,
            "table": fit.table.address if fit.table else None,
            "licence": fit.table.licence if fit.table else None,
        }
        for fit in PUBLISHED.values()
    ]
    if json:
        show.print_json(rows)
        return 0
    screen = show.console()
    for fit in PUBLISHED.values():
        table = f"its table is public (licence: {fit.table.licence})" if fit.table else "its table is not public"
        screen.print(law_words.facts([(fit.name, f"{fit.law.name}: {law_words.short(fit.values)}")]))
        screen.print(law_words.facts([("", f"{fit.source}; {table}")]))
    return 0
