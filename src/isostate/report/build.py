"""A study's records to its page: report.html with laws.json beside it."""

from __future__ import annotations

from pathlib import Path

from isostate.config import UserError
from isostate.records import durable, table
from isostate.report.fits import fit_laws
from isostate.report.page import render


def build_report(study_dir: Path) -> Path:
    """Fits and draws from the records alone; the same records give the same bytes. Returns the page's path.

    Raises UserError where `study_dir` holds no study. Files are replaced whole or not at all.
    """
    if not (study_dir / "study.json").is_file():
        raise UserError(f"{study_dir} holds no study (no study.json); give the folder of one that `isostate run` made")
    study = durable.read_json(study_dir / "study.json")
    rows = table(study_dir)
    fits = fit_laws(rows, study)
    page = render(study, rows, fits)
    laws = {"format": 1, "study": study["name"], "laws": fits}
    durable.write_atomic(study_dir / "laws.json", durable.json_bytes(laws))
    durable.write_atomic(study_dir / "report.html", page.encode())
    return study_dir / "report.html"
