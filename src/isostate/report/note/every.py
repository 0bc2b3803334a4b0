"""Every claim of the note, and what was published since, judged by the studies' records."""

from __future__ import annotations

from isostate.report.note.claim import NOTE, Asked, Claim
from isostate.report.note.context import of_the_context
from isostate.report.note.exact import of_the_exact
from isostate.report.note.published import of_the_published
from isostate.report.note.size import of_the_size
from isostate.report.note.state import of_the_state
from isostate.report.note.studies import CONTEXT, TIME_BUDGETS, Studies
from isostate.report.note.text import of_the_text
from isostate.report.note.time import of_the_time

UNTESTED = {
    Asked("infinite", "embeddings of finite dimensionality “have infinite context length”", NOTE, CONTEXT):
        "not tested: the state is carried over any length, but whether that lowers the loss far beyond the training "
        "context is not told by these records, whose positions and evaluated contexts hold different text",
    Asked("square", "is an infinite state worth “the cost of using a t^2 training algorithm”?", NOTE,
          TIME_BUDGETS):
        "not tested: a question, whose answer hangs on the hardware's speed; these runs are of two CPU cores",
    Asked("chunked", "are linear transformers “that allow chunked worth it?”", NOTE, TIME_BUDGETS):
        "not tested: a question that the note leaves to a next post",
}  # fmt: skip


def every_claim(studies: Studies) -> list[Claim]:
    """In the order of the note; a claim whose study has no records yet is undecided and says so."""
    return [
        *of_the_exact(studies),
        *of_the_state(studies),
        *of_the_context(studies),
        *of_the_size(studies),
        *of_the_time(studies),
        *of_the_text(studies),
        *untested(),
        *of_the_published(studies),
    ]


def untested() -> list[Claim]:
    """What nothing here tests: undecided, with the reason."""
    return [Claim(asked, "undecided", reason) for asked, reason in UNTESTED.items()]
