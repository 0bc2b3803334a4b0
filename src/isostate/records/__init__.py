"""Run directories, checkpoints, the ledger and the table: write, read, resume, verify. Plain dicts and bytes."""

from isostate.records.checkpoints import newest_valid_checkpoint, prune, set_aside_damaged, verify, write_checkpoint
from isostate.records.committed import Committed, read_committed, write_committed
from isostate.records.compact import Record, compact, origin_of, restore
from isostate.records.ledger import Ledger, run_directories
from isostate.records.locks import StudyLock, is_locked
from isostate.records.run_directory import RunDirectory, Status
from isostate.records.table import table, table_of

__all__ = [
    "Committed",
    "Ledger",
    "Record",
    "RunDirectory",
    "Status",
    "StudyLock",
    "compact",
    "is_locked",
    "newest_valid_checkpoint",
    "origin_of",
    "prune",
    "read_committed",
    "restore",
    "run_directories",
    "set_aside_damaged",
    "table",
    "table_of",
    "verify",
    "write_checkpoint",
    "write_committed",
]
