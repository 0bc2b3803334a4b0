"""The table of joint laws."""

from __future__ import annotations

from isostate.report.fits import fit_laws
from isostate.report.joint_table import joint_laws_table
from tests.report import planted_joint, studies


def test_the_table_has_every_parameter_and_the_exponent():
    table = planted_joint.contexts() + planted_joint.contexts("window")
    entries = fit_laws(table, {**studies.STUDY, "fit": [{"law": "state-context"}]})
    html = joint_laws_table(entries)
    assert html.count("<tbody>") == 2
    for name in ("χ", "τ", "exponent of S*", "hold-out error"):
        assert name in html
    assert joint_laws_table([]) == ""
