"""The verbs. `app` gathers them and turns mistakes into one line; a verb is a file, and imports torch only inside."""

from isostate.cli.app import main

__all__ = ["main"]
