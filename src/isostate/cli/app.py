"""`isostate`: the verbs, and what every verb shares: exit codes, one line for a mistake, no traceback for a user.

0  done
1  a run died or could not end: run again; or a table that carries no law; or a run trained again that is not the same
2  a user's mistake, or what the system refused
130, 143  stopped by SIGINT, SIGTERM
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

import isostate
from isostate.cli.allocate import allocate
from isostate.cli.collect import collect
from isostate.cli.cost import cost
from isostate.cli.doctor import doctor
from isostate.cli.export import export
from isostate.cli.fit import fit
from isostate.cli.import_model import import_model
from isostate.cli.next import next_run
from isostate.cli.plan import plan
from isostate.cli.report import report
from isostate.cli.reproduce import reproduce
from isostate.cli.run import run
from isostate.cli.status import status
from isostate.config import UserError
from isostate.study.system_errors import explain_os_error

# The base of all mistakes in arguments; its own module has moved between versions of typer.
UsageError: Any = typer.BadParameter.__mro__[1]

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode="rich")


@app.callback(invoke_without_command=True)
def isostate_(
    context: typer.Context, version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False
) -> None:
    """A laboratory for the scaling laws of sequence models: one study file in, one answer out."""
    if version:
        print(f"isostate {isostate.__version__}")
        raise typer.Exit
    if context.invoked_subcommand is None:
        print(context.get_help())


app.command(epilog="Example: isostate run studies/quickstart.toml --jobs 2")(run)
app.command(epilog="Example: isostate plan studies/quickstart.toml --set train.steps=500")(plan)
app.command(epilog="Example: isostate status quickstart")(status)
app.command(epilog="Example: isostate report quickstart")(report)
app.command(epilog="Example: isostate collect studies/quickstart.toml")(collect)
app.command(epilog="Example: isostate reproduce 0123 --study studies/quickstart.toml")(reproduce)
app.command(epilog="Example: isostate fit runs.csv --law chinchilla --x n_params,n_tokens --y loss")(fit)
app.command(epilog="Example: isostate allocate --public epoch-chinchilla --compute 1e23,1e24")(allocate)
app.command("next", epilog="Example: isostate next runs.csv --law chinchilla --target N=7e10,D=1.4e12 --within 0.01")(
    next_run
)
app.command(epilog="Example: isostate cost llama-2-7b --batch 8 --context 4k --hardware h100")(cost)
app.command(epilog="Example: isostate export runs/quickstart/0123456789abcdef my-model --format isostate")(export)
app.command("import", epilog="Example: isostate import downloads/Llama-3.2-1B llama")(import_model)
app.command(epilog="Example: isostate doctor")(doctor)


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command line (`sys.argv` without `arguments`); returns the exit code and never raises for a mistake."""
    try:
        code = app(args=arguments, prog_name="isostate", standalone_mode=False)
        sys.stdout.flush()
    except UsageError as error:
        return _mistake(_usage(error))
    except UserError as error:
        return _mistake(str(error))
    except BrokenPipeError:  # `isostate status | head`: the reader has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as error:
        return _mistake(explain_os_error(error, Path.cwd()))
    except (KeyboardInterrupt, typer.Abort):
        print("stopped; nothing is lost, run the same command to go on", file=sys.stderr)
        return 130
    return code or 0


def _mistake(message: str) -> int:
    print(f"error: {' '.join(message.split())}", file=sys.stderr)
    return 2


def _usage(error: Exception) -> str:
    context = getattr(error, "ctx", None)
    command = context.command_path if context else "isostate"
    return f"{error.format_message().rstrip('.')}; `{command} --help` shows what it takes"  # type: ignore[attr-defined]
