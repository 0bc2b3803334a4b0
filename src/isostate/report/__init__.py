"""Records and fits to one self-contained page: figures, tables, an answer in a sentence. Knows tables, never models."""

from isostate.report import numbers, questions
from isostate.report.build import build_report
from isostate.report.fit_figures import fit_panels, write_figures
from isostate.report.fits import fit_laws
from isostate.report.joint_table import joint_summary
from isostate.report.tables import summary

__all__ = [
    "build_report",
    "fit_laws",
    "fit_panels",
    "joint_summary",
    "numbers",
    "questions",
    "summary",
    "write_figures",
]
