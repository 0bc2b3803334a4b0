"""Every claim of the note, and what was published since, judged by the studies' records."""

from __future__ import annotations

from isostate.report.note.claim import Claim
from isostate.report.note.context import of_the_context
from isostate.report.note.published import of_the_published
from isostate.report.note.size import of_the_size
from isostate.report.note.state import of_the_state
from isostate.report.note.studies import Studies
from isostate.report.note.text import of_the_text
from isostate.report.note.time import of_the_time


def every_claim(studies: Studies) -> list[Claim]:
    """In the order of the note; a claim whose study has no records yet is undecided and says so."""
    return [
        *of_the_state(studies),
        *of_the_context(studies),
        *of_the_size(studies),
        *of_the_time(studies),
        *of_the_text(studies),
        *of_the_published(studies),
    ]
