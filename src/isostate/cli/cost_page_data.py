"""What the page of a cost sheet computes with: the closed form, the devices, and what its sliders offer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from isostate.cli import show
from isostate.config import UserError
from isostate.costs.closed_form import LONGEST, closed_form
from isostate.costs.hardware_table import BYTES_OF, Hardware, hardware_table
from isostate.costs.roofline import stated_efficiency
from isostate.costs.sheet import PRECISION_OF, Setting, kept_numbers, kernels_on
from isostate.costs.subject import Subject

if TYPE_CHECKING:
    from isostate.costs.precision import PrecisionName
    from isostate.mixers.native import Kernels
    from isostate.model import Recompute

DTYPES = ("fp64", "fp32", "tf32", "bf16", "fp16", "fp8", "int8")  # of whole bytes an element
MOST_BATCH, MOST_DEVICES = 2**12, 2**15
KEEPING: dict[Recompute, str] = {"none": "everything", "blocks": "the inputs of blocks, which run again"}
LONGEST_BUILT = 2**16  # tokens, where every context is counted for itself


def page_data(subject: Subject, at: Setting, sheet: dict[str, Any]) -> dict[str, Any]:
    """Plain JSON for report/cost_page.py. Raises UserError for a dtype that the page does not offer."""
    devices = {row.name: row for row in hardware_table().values() if row.bandwidth_bytes_per_s}
    devices[at.hardware.name] = at.hardware
    offered = contexts(subject, at)
    if at.dtype not in DTYPES:  # half a byte rounds up operator by operator: no formula of the page's
        raise UserError(f"--dtype {at.dtype}: the page has types of whole bytes only: {', '.join(DTYPES)}; or no --out")
    return {
        "sheet": sheet,
        "program": closed_form(subject, offered),
        "subject": {
            "params": {
                "total": subject.params.total,
                "non_embedding": subject.params.non_embedding,
                "active": subject.params.active,
            },
            "context": subject.context,
            "limited": subject.limit is not None or subject.fixed is not None,
            "keeps_state": subject.ratio is not None,
        },
        "controls": _controls(subject, at, offered, devices),
        "hardware": {name: _device(row) for name, row in devices.items()},
        "kept": _kept(subject, at, offered),
        "precisions": PRECISION_OF if subject.memory else {},
        "bytes": {name: int(BYTES_OF[name]) for name in DTYPES},
        "start": sheet["setting"],
    }


def contexts(subject: Subject, at: Setting) -> list[int]:
    """Powers of two up to where the model ends, and its own and the asked-for context."""
    if subject.fixed is not None:
        return [subject.fixed]
    end = LONGEST if subject.by_formula else LONGEST_BUILT
    end = min(end, subject.limit or end)
    powers = {2**power for power in range(end.bit_length()) if 2**power <= end}
    return sorted(powers | {subject.context, at.context, end})


def _controls(subject: Subject, at: Setting, offered: list[int], devices: dict[str, Hardware]) -> list[dict[str, Any]]:
    tokens = sorted({digit * 10**power for power in range(6, 15) for digit in (1, 2, 5)} | {at.tokens})
    keeping = {
        "key": "recompute",
        "label": "to train, keep",
        "kind": "select",
        "values": list(KEEPING),
        "labels": list(KEEPING.values()),
    }
    return [
        _slider("batch", "batch", _batches(at)),
        _slider("context", "context", offered),
        _slider("tokens", "tokens to train on", tokens)
        | {"labels": [show.decimal(one).replace("G", "B") for one in tokens]},
        _slider("devices", "devices to train on", _powers(MOST_DEVICES, at.devices)),
        {"key": "dtype", "label": "dtype", "kind": "select", "values": list(DTYPES), "labels": list(DTYPES)},
        {
            "key": "hardware",
            "label": "device",
            "kind": "select",
            "values": list(devices),
            "labels": [f"{name}: {row.title}" for name, row in devices.items()],
        },
        *([keeping] if subject.memory else []),
    ]


def _batches(at: Setting) -> list[int]:
    return _powers(MOST_BATCH, at.batch)


def _kept(subject: Subject, at: Setting, offered: list[int]) -> dict[str, Any]:
    """{precision: {recompute: {context: {batch: [all, a layer's, peak]}}}}, in texts: a tape has no closed form.

    "fp32 here": as processors run it, where our own kernels serve single precision.
    """
    memory = subject.memory
    if memory is None:
        return {}

    def told(precision: PrecisionName, kernels: Kernels | None) -> dict[str, Any]:
        return {
            recompute: {
                str(context): {
                    str(batch): [
                        str(n) for n in kept_numbers(memory(batch, context, precision, recompute, kernels)).values()
                    ]
                    for batch in _batches(at)
                }
                for context in offered
            }
            for recompute in KEEPING
        }

    everywhere = {precision: told(precision, "torch") for precision in dict.fromkeys(PRECISION_OF.values())}
    return everywhere | {"fp32 here": told("fp32", None)}


def _slider(key: str, label: str, values: list[int]) -> dict[str, Any]:
    return {"key": key, "label": label, "kind": "slider", "values": values, "labels": [f"{one:,}" for one in values]}


def _powers(most: int, asked: int) -> list[int]:
    return sorted({2**power for power in range(most.bit_length())} | {asked})


def _device(row: Hardware) -> dict[str, Any]:
    shares = stated_efficiency(row)
    return {
        "peaks": {name: peak for name, peak in row.peak_flops_per_s.items() if peak},
        "bandwidth": row.bandwidth_bytes_per_s,
        "memory": row.memory_bytes,
        "price": row.dollars_per_hour,
        "power": row.power_w,
        "here": kernels_on(row) is None,
        "compute": shares.compute,
        "memory_share": shares.memory,
    }
