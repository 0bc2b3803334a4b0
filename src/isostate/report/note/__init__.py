"""The claims of the note that Isostate comes from, each as code, and what was published since. See claims.py."""

from isostate.report.note.claim import Claim
from isostate.report.note.every import every_claim
from isostate.report.note.studies import Studies, Study

__all__ = ["Claim", "Studies", "Study", "every_claim"]
