"""`isostate collect`: the finished runs of a study as compact records beside its file, to be committed with it."""

from __future__ import annotations

from isostate.cli import show
from isostate.cli.options import RUNS, JsonOption, RunsOption, SetOption, StudyArgument
from isostate.config import UserError
from isostate.study.committed import collect as write_records
from isostate.study.file import read_study


def collect(study: StudyArgument, runs: RunsOption = RUNS, set_: SetOption = None, json: JsonOption = False) -> int:
    """Write the records of a study's finished runs to records/ beside its file; `run` begins where they end."""
    file = read_study(study, set_ or ())
    if file.name is None:
        raise UserError(f"{study}: no usable name; `isostate plan {study}` says what is wrong")
    path, n_records, n_missing = write_records(runs / file.name, file)
    n_bytes = path.stat().st_size
    if json:
        show.print_json({"records": str(path), "n_records": n_records, "n_missing": n_missing, "bytes": n_bytes})
        return 0
    without = f"; {show.plural(n_missing, 'run')} of the plan without a result" if n_missing else ""
    line = f"{path}: {show.plural(n_records, 'record')}, {show.binary_bytes(n_bytes)}{without}"
    show.console().print(line, soft_wrap=True)
    return 0
