"""The table of joint laws."""

from __future__ import annotations

from isostate.report.fits import fit_laws
from isostate.report.joint_table import joint_laws_table, joint_summary
from tests.report import planted_joint, studies


def test_the_table_has_every_parameter_and_the_exponent():
    table = planted_joint.contexts() + planted_joint.contexts("window")
    entries = fit_laws(table, {**studies.STUDY, "fit": [{"law": "state-context"}]})
    html = joint_laws_table(entries)
    assert html.count("<tbody>") == 2
    for name in ("χ", "τ", "exponent of S*", "hold-out error"):
        assert name in html
    assert joint_laws_table([]) == ""


def test_the_command_line_is_told_the_exponent_and_what_was_claimed():
    table = planted_joint.contexts() + planted_joint.contexts("window")
    entries = fit_laws(table, {**studies.STUDY, "fit": [{"law": "state"}, {"law": "state-context"}]})
    rows = joint_summary(entries)
    assert [(row["family"], row["joint law"]) for row in rows] == [
        ("power-2", "state-context"),
        ("window", "state-context"),
    ]
    for row, entry in zip(rows, [entry for entry in entries if entry["law"] == "state-context"], strict=True):
        exponent = entry["derived"]["state_exponent"]["value"]
        assert abs(float(row["exponent of S*"].split()[0]) - exponent) < 0.01
        assert row["claimed"].startswith("0.5, ")
