"""isostate.cli.cost_page_data: what the sliders offer. The page's numbers are held against ours in test_cost_page."""

from __future__ import annotations

import pytest

from isostate.cli.cost_page_data import contexts, page_data
from isostate.config import UserError
from isostate.costs.hardware_table import find_hardware
from isostate.costs.preset_table import find_preset
from isostate.costs.sheet import Setting, sheet
from isostate.costs.subject import of_preset


def setting(context, **changes) -> Setting:
    values = {"batch": 3, "context": context, "dtype": "bf16", "hardware": find_hardware("h100"), "tokens": 12_345}
    return Setting(**{**values, **changes})


def test_contexts_end_where_the_model_does():
    gpt, llama, vit = (of_preset(find_preset(name)) for name in ("gpt-2-124m", "llama-2-7b", "vit-b-16"))
    assert contexts(gpt, setting(1000)) == [*(2**power for power in range(10)), 1000, 1024]
    assert contexts(llama, setting(5000))[-3:] == [2**18, 2**19, 2**20]
    assert 5000 in contexts(llama, setting(5000))
    assert contexts(vit, setting(197)) == [197]


def test_what_was_asked_for_is_where_the_sliders_start():
    subject = of_preset(find_preset("gpt-2-124m"))
    at = setting(1000)
    data = page_data(subject, at, sheet(subject, at))
    for control in data["controls"]:
        assert data["start"][control["key"]] in control["values"]
        assert len(control["values"]) == len(control["labels"])
    assert {"batch", "context", "tokens", "devices", "dtype", "hardware"} == {one["key"] for one in data["controls"]}
    assert all(row["bandwidth"] for row in data["hardware"].values())


def test_half_bytes_have_no_page():
    subject = of_preset(find_preset("gpt-2-124m"))
    at = setting(1000, dtype="fp4", hardware=find_hardware("b200"))
    with pytest.raises(UserError, match="types of whole bytes only"):
        page_data(subject, at, sheet(subject, at))
