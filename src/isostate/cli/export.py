"""`isostate export`: a trained model as a folder that Hugging Face's transformers loads."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from isostate.cli import show
from isostate.cli.options import JsonOption

Format = Literal["hf", "isostate"]
ModelArgument = Annotated[
    Path,
    typer.Argument(metavar="MODEL", help="A run's folder (RUNS/STUDY/RUN), or a model's.", show_default=False),
]
OutArgument = Annotated[Path, typer.Argument(metavar="OUT", help="The folder to write.", show_default=False)]
FormatOption = Annotated[
    Format,
    typer.Option("--format", help="hf: one of Hugging Face's own model types; isostate: any mixer, ours."),
]


def export(model: ModelArgument, out: OutArgument, format_: FormatOption = "hf", json: JsonOption = False) -> int:
    """Write a model for Hugging Face's transformers: config.json and safetensors."""
    from isostate.export import load_model, save_huggingface, save_model, trained_context

    loaded, context = load_model(model), trained_context(model)
    save = save_huggingface if format_ == "hf" else save_model
    model_type, files = save(loaded, out, context)
    show_written(out, model_type, sum(one.numel() for one in loaded.parameters()), files, json)
    return 0


def show_written(out: Path, model_type: str, n_params: int, files: list[str], json: bool) -> None:
    """What was written, in a line."""
    if json:
        answer: dict[str, Any] = {"folder": str(out), "model_type": model_type, "n_params": n_params, "files": files}
        show.print_json(answer)
        return
    line = f"{out}: {model_type}, {n_params:,} parameters, {', '.join(files)}"
    show.console().print(line, soft_wrap=True)
