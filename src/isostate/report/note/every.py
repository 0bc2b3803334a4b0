"""Every claim of the note, and what was published since, judged by the studies' records."""

from __future__ import annotations

from isostate.report.note.claim import Claim
from isostate.report.note.state import of_the_state
from isostate.report.note.studies import Studies


def every_claim(studies: Studies) -> list[Claim]:
    """In the order of the note; a claim whose study has no records yet is undecided and says so."""
    return [*of_the_state(studies)]
