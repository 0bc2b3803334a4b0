"""Run directories, checkpoints, the ledger and the table: write, read, resume, verify. Plain dicts and bytes."""

from isostate.records.checkpoints import newest_valid_checkpoint, prune, set_aside_damaged, verify, write_checkpoint
from isostate.records.ledger import Ledger, run_directories
from isostate.records.locks import StudyLock, is_locked
from isostate.records.run_directory import RunDirectory, Status
from isostate.records.table import table

__all__ = [
    "Ledger",
    "RunDirectory",
    "Status",
    "StudyLock",
    "is_locked",
    "newest_valid_checkpoint",
    "prune",
    "run_directories",
    "set_aside_damaged",
    "table",
    "verify",
    "write_checkpoint",
]
