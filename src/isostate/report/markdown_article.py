"""An article as Markdown: a template (template.py) filled from the numbers of all studies and the claims on them.

Values: `<study>.<...>` as numbers.py and questions.py tell them, `claims.<key>.<...>` as note/claim.py does,
`published[...]` as questions.py does. Tables: TABLES of a study, named after `table:` with their study, and below.

    {{ table: hours }}  {{ table: published }}  {{ table: parts beats }}  {{ table: claims [STUDY] }}
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from isostate.config import nearest
from isostate.report import markdown, markdown_answers, markdown_settings, questions
from isostate.report.note import Claim
from isostate.report.template import UnfilledError, fill

Numbers = dict[str, Any]
TABLES: dict[str, Callable[..., str]] = {
    "settings": markdown_settings.settings,
    "by-state": markdown_settings.by_state,
    "noise": markdown_settings.noise,
    "by-rate": markdown_settings.by_rate,
    "laws": markdown.laws,
    "hold-outs": markdown.hold_outs,
    "effects": markdown_settings.effects,
    "equal-state": markdown_settings.equal_state,
    "rates": markdown_settings.rates,
    "parameters": markdown.parameters,
    "diverged": markdown.diverged,
    "grid": markdown_answers.grid,
    "contexts": markdown_answers.contexts,
    "against-softmax": markdown_answers.against_softmax,
    "compute": markdown_answers.compute,
    "joint": markdown_answers.joint,
    "budgets": markdown_answers.budgets,
    "texts": markdown_answers.texts,
}


def article(template: str, every: Mapping[str, Numbers], claims: Sequence[Claim], name: str = "template") -> str:
    """The article of these studies' numbers, by study. Raises UserError naming all that cannot be filled."""
    told = {claim.asked.key: claim.to_dict() for claim in claims}
    points = questions.published()

    def parts(*asked: str) -> str:
        return markdown_answers.parts(told, _known(asked, told, "claim"))

    of_all: dict[str, Callable[..., str]] = {
        "hours": lambda: markdown.hours(every),
        "published": lambda: markdown_answers.published(points),
        "claims": lambda chapter="": markdown_answers.claims(told, chapter),
        "parts": parts,
    }
    tables = {**{key: _of_study(builder, every) for key, builder in TABLES.items()}, **of_all}
    return fill(template, {**every, "claims": told, "published": points}, tables, name)


def _of_study(builder: Callable[..., str], every: Mapping[str, Numbers]) -> Callable[..., str]:
    def build(*asked: str) -> str:
        return builder(every[_known(asked, every, "study with records")], *asked[1:])

    return build


def _known(asked: Sequence[str], allowed: Mapping[str, Any], what: str) -> str:
    if not asked or asked[0] not in allowed:
        given = f"no {what} {asked[0]!r}{nearest(asked[0], allowed)}" if asked else f"name a {what}"
        raise UnfilledError(given)
    return asked[0]
