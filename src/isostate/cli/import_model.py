"""`isostate import`: a Hugging Face checkpoint as a model of ours."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from isostate.cli.export import OutArgument, show_written
from isostate.cli.options import JsonOption

FolderArgument = Annotated[
    Path,
    typer.Argument(metavar="DIR", help="A folder with config.json and safetensors.", show_default=False),
]


def import_model(folder: FolderArgument, out: OutArgument, json: JsonOption = False) -> int:
    """Read GPT-2, Llama, Mistral, Mamba or Mamba-2 from a Hugging Face folder; write it as Isostate's."""
    from isostate.export import load_huggingface, save_model, trained_context

    loaded = load_huggingface(folder)
    model_type, files = save_model(loaded, out, trained_context(folder))
    show_written(out, model_type, sum(one.numel() for one in loaded.parameters()), files, json)
    return 0
