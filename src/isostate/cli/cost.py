"""`isostate cost`: the cost sheet of a preset, a config or a config.json; two side by side; a sweep; a page."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from isostate.cli import show
from isostate.cli.amounts import number_of, size_of
from isostate.cli.options import JsonOption
from isostate.config import UserError, nearest

if TYPE_CHECKING:
    from isostate.costs.sheet import Setting
    from isostate.costs.subject import Subject

TOKENS_PER_PARAMETER = 20  # of --tokens, where it is left out: about Chinchilla's (Hoffmann et al. 2022)
MEASURED = "this"
RECOMPUTE = ("none", "blocks")

ModelArgument = Annotated[
    str | None,
    typer.Argument(
        metavar="MODEL",
        help="A preset (see --list), a Hugging Face config.json, or a config of Isostate's: JSON, TOML, a run's.",
        show_default=False,
    ),
]
BatchOption = Annotated[int, typer.Option("--batch", metavar="B", help="Sequences at once.")]
ContextOption = Annotated[
    str | None,
    typer.Option("--context", metavar="S", help="Tokens of a sequence: 4096, 32k, 1M. [default: the model's own]"),
]
DtypeOption = Annotated[str, typer.Option("--dtype", help="Of weights, activations and state.")]
HardwareOption = Annotated[
    str, typer.Option("--hardware", metavar="NAME", help="A device of the table, or `this`: this machine, measured.")
]
TokensOption = Annotated[
    str | None, typer.Option("--tokens", metavar="D", help="To train on. [default: 20 a parameter]", show_default=False)
]
DevicesOption = Annotated[int, typer.Option("--devices", metavar="N", help="That train it.")]
MfuOption = Annotated[float, typer.Option("--mfu", help="Share of the peak that training reaches.")]
RecomputeOption = Annotated[
    str | None,
    typer.Option(
        "--recompute",
        metavar="WHAT",
        help="Tell what a training step keeps: `none`, or `blocks` run again. [default: none, of our own configs only]",
        show_default=False,
    ),
]
ListOption = Annotated[bool, typer.Option("--list", help="List the presets.")]
CompareOption = Annotated[
    tuple[str, str] | None, typer.Option("--compare", metavar="A B", help="Two models side by side.")
]
SweepOption = Annotated[
    tuple[str, str] | None,
    typer.Option("--sweep", metavar="WHAT LOW..HIGH", help="Over context or batch: --sweep context 1k..1M."),
]
FitOnOption = Annotated[
    str | None,
    typer.Option("--fit-on", metavar="DEVICES", help='Rank the layouts that train it there: "64 x h100-80".'),
]
VerifyOption = Annotated[
    bool, typer.Option("--verify", help="Build the model, run it, and compare: exit code 1 where anything differs.")
]
OutOption = Annotated[
    Path | None, typer.Option("--out", metavar="DIR", help="Write sheet.json and sheet.html, or the sweep's figure.")
]
FormatsOption = Annotated[str, typer.Option("--formats", metavar="LIST", help="Of the sweep's figure: html, png, svg.")]


def cost(
    model: ModelArgument = None,
    batch: BatchOption = 1,
    context: ContextOption = None,
    dtype: DtypeOption = "bf16",
    hardware: HardwareOption = "h100-sxm",
    tokens: TokensOption = None,
    devices: DevicesOption = 1,
    mfu: MfuOption = 0.4,
    recompute: RecomputeOption = None,
    compare: CompareOption = None,
    sweep: SweepOption = None,
    fit_on: FitOnOption = None,
    list_: ListOption = False,
    verify: VerifyOption = False,
    out: OutOption = None,
    formats: FormatsOption = "html",
    json: JsonOption = False,
) -> int:
    """What a model costs: parameters, FLOPs, bytes, seconds, dollars. Runs nothing but what --verify runs."""
    from isostate.cli import cost_layouts, cost_sweep, cost_verify, cost_words
    from isostate.cli.cost_models import list_presets, subject_named

    if list_:
        show.print_json(list_presets()) if json else cost_words.print_presets(list_presets())
        return 0
    names = _models(model, compare, sweep, fit_on, verify)
    if verify:
        return cost_verify.verify(names[0], batch, context, json)
    asked = {"batch": batch, "context": context, "dtype": dtype, "tokens": tokens, "devices": devices, "mfu": mfu,
             "recompute": recompute}  # fmt: skip
    device = _device(hardware)
    subjects = [subject_named(name, recompute is not None) for name in names]
    if compare is not None and context is None and not any(subject.fixed for subject in subjects):
        asked["context"] = str(min(subject.context for subject in subjects))  # both at one length
    settings = [_setting(subject, device, asked) for subject in subjects]
    if fit_on is not None:
        return cost_layouts.fit(subjects[0], settings[0], fit_on, json)
    if sweep is not None:
        return cost_sweep.sweep(subjects[0], settings[0], sweep, out, formats.split(","), json)
    from isostate.costs.sheet import sheet

    sheets = [sheet(subject, at) for subject, at in zip(subjects, settings, strict=True)]
    files = _write(sheets, subjects, settings, out) if out else []
    if json:
        show.print_json(sheets[0] if compare is None else sheets)
    else:
        _tell(sheets, files)
    return 0


def _tell(sheets: list[dict[str, Any]], files: list[Path]) -> None:
    from isostate.cli.cost_compared import print_compared
    from isostate.cli.cost_words import print_sheet

    if len(sheets) == 1:
        print_sheet(sheets[0])
    else:
        print_compared(sheets)
    for path in files:
        show.console().print(f"wrote {path}", soft_wrap=True)


def _models(
    model: str | None,
    compare: tuple[str, str] | None,
    sweep: tuple[str, str] | None,
    fit_on: str | None,
    verify: bool,
) -> list[str]:
    questions = {"--compare": compare is not None, "--sweep": sweep is not None, "--fit-on": fit_on is not None,
                 "--verify": verify}  # fmt: skip
    asked = [name for name, given in questions.items() if given]
    if compare is not None and (model is not None or len(asked) > 1):
        raise UserError("--compare names both models: leave out MODEL, --sweep, --fit-on and --verify")
    if len(asked) > 1:
        raise UserError(f"{' and '.join(asked)} are {len(asked)} questions: ask one at a time")
    if compare is not None:
        return list(compare)
    if model is None:
        raise UserError("no MODEL given; `isostate cost --list` lists the presets, `isostate cost --help` the rest")
    return [model]


def _device(name: str) -> Any:
    """A row of the table; this machine's own is measured, for which torch is imported."""
    if name.strip().lower() == MEASURED:
        from isostate.costs.this_machine import hardware_named

        with show.waiting("measuring this machine"):
            return hardware_named(name)
    from isostate.costs.hardware_table import find_hardware

    return find_hardware(name)


def _setting(subject: Subject, device: Any, asked: dict[str, Any]) -> Setting:
    """Raises UserError for a dtype that nobody has, or amounts that are none."""
    from isostate.costs.hardware_table import DTYPES
    from isostate.costs.sheet import Setting

    dtype = asked["dtype"]
    if dtype not in DTYPES:
        raise UserError(f"--dtype {dtype!r}: unknown{nearest(dtype, DTYPES)}; known: {', '.join(DTYPES)}")
    context = subject.context if asked["context"] is None else size_of(asked["context"], "--context")
    tokens = TOKENS_PER_PARAMETER * subject.params.total
    if asked["tokens"] is not None:
        tokens = round(number_of(asked["tokens"], "--tokens"))
    recompute: Any = asked["recompute"] or "none"
    if recompute not in RECOMPUTE:
        raise UserError(f"--recompute {recompute}: unknown{nearest(recompute, RECOMPUTE)}; known: none, blocks")
    return Setting(asked["batch"], context, dtype, device, tokens, asked["devices"], asked["mfu"], recompute)


def _write(sheets: list[dict[str, Any]], subjects: list[Subject], settings: list[Setting], folder: Path) -> list[Path]:
    """A page and the numbers; of two models, a pair each under its own name."""
    from isostate.cli.cost_page_data import page_data
    from isostate.records import durable
    from isostate.report.cost_page import render_cost

    files: dict[str, bytes] = {}
    for found, subject, at in zip(sheets, subjects, settings, strict=True):
        stem = "sheet" if len(sheets) == 1 else "sheet-" + re.sub(r"[^\w.-]+", "-", subject.name).strip("-")
        files[f"{stem}.json"] = durable.json_bytes(found)
        files[f"{stem}.html"] = render_cost(page_data(subject, at, found)).encode()
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        durable.write_atomic(folder / name, content)
    return [folder / name for name in files]
