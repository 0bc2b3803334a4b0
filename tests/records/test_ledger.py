"""The ledger: an index that can be lost, damaged, written by many, and is never believed over the directories."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from isostate.config import digest
from isostate.records import Ledger, RunDirectory, run_directories


def create(study: Path, seed: int) -> RunDirectory:
    config = {"seed": seed}
    return RunDirectory(study / digest(config)).create(config)


def statuses(ledger: Ledger) -> dict[str, str]:
    return {row["run_id"]: row["status"] for row in ledger.rows()}


@pytest.fixture
def study(tmp_path):
    """Three runs: done, died, pending."""
    done, died, _ = (create(tmp_path, seed) for seed in range(3))
    done.write_facts({"family": "power-2"})
    done.write_result({"status": "done"})
    died.append_event("started", step=0)
    return tmp_path


def test_rows_are_put_and_changed(tmp_path):
    ledger = Ledger(tmp_path)
    ledger.put("a", "pending", facts={"family": "window"})
    ledger.put("a", "running", pid=7)
    (row,) = ledger.rows()
    assert (row["status"], row["pid"], row["facts"]) == ("running", 7, {"family": "window"})
    ledger.put("a", "done", facts={})
    (row,) = ledger.rows()
    assert (row["status"], row["pid"], row["facts"]) == ("done", None, {})
    ledger.close()


def test_a_lost_ledger_is_made_again_from_the_directories(study):
    (study / ".aaaa.tmp-1").mkdir()
    (study / ".aaaa.tmp-1" / "config.json").write_text("{}")  # being made, or left by the dead: not a run
    ledger = Ledger(study)
    ids = [digest({"seed": seed}) for seed in range(3)]
    assert statuses(ledger) == dict(zip(ids, ("done", "died", "pending"), strict=True))
    assert next(row for row in ledger.rows() if row["run_id"] == ids[0])["facts"] == {"family": "power-2"}
    assert [run.run_id for run in run_directories(study)] == sorted(ids)
    ledger.close()


def test_a_damaged_ledger_is_made_again_and_says_so(study):
    Ledger(study).close()
    (study / "ledger.sqlite").write_bytes(b"not a database, and long enough to be taken for one" * 100)
    ledger = Ledger(study)
    assert ledger.rebuilt
    assert sorted(statuses(ledger).values()) == ["died", "done", "pending"]
    ledger.close()
    ledger = Ledger(study)
    assert not ledger.rebuilt
    ledger.close()


def test_a_dead_worker_is_noticed(study):
    ledger = Ledger(study)
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    done, died, pending = (digest({"seed": seed}) for seed in range(3))
    for run_id in (done, died, pending):
        ledger.put(run_id, "running", pid=gone.pid)
    with RunDirectory(study / pending).lock():  # its worker lives, whatever the ledger thinks its number is
        assert ledger.notice_dead() == sorted([done, died])
        assert statuses(ledger) == {done: "done", died: "died", pending: "running"}
    assert ledger.notice_dead() == [pending]
    assert statuses(ledger)[pending] == "died"
    ledger.close()


def test_many_processes_write_at_once(tmp_path):
    Ledger(tmp_path).close()
    code = (
        "import sys; from pathlib import Path; from isostate.records import Ledger\n"
        "ledger = Ledger(Path(sys.argv[1]))\n"
        "for i in range(50): ledger.put(f'{sys.argv[2]}-{i}', 'done')\n"
    )
    writers = [subprocess.Popen([sys.executable, "-c", code, str(tmp_path), str(n)]) for n in range(3)]
    assert [writer.wait() for writer in writers] == [0, 0, 0]
    ledger = Ledger(tmp_path)
    assert len(ledger.rows()) == 150
    ledger.close()


def test_a_ledger_that_cannot_be_written_rises_as_oserror(tmp_path):
    ledger = Ledger(tmp_path)
    ledger._db.execute("PRAGMA query_only=1")
    with pytest.raises(OSError, match="readonly"):
        ledger.put("a", "done")
    ledger.close()
    with pytest.raises(OSError, match="unable to open"):
        Ledger(tmp_path / "missing")
