"""Locks: one holder, named to the others, freed by any death."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading

import pytest

from isostate.config import UserError
from isostate.records import locks
from isostate.records.locks import StudyLock, held, holder, is_locked

HOLD = "import sys, time; from pathlib import Path; from isostate.records.locks import held\n"
HOLD += "with held(Path(sys.argv[1]), 'it'):\n    print('held', flush=True); time.sleep(60)"


@pytest.fixture
def other(tmp_path):
    """Another process that holds the lock tmp_path/lock."""
    process = subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path / "lock")], stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.communicate()


def test_a_lock_is_held_inside_the_block_and_free_after_it(tmp_path):
    path = tmp_path / "lock"
    assert not is_locked(path)
    with held(path, "it"):
        assert is_locked(path)
        assert holder(path).startswith(f"process {os.getpid()} on ")
    assert not is_locked(path)


def test_a_second_holder_is_refused_and_told_of_the_first(tmp_path, other, monkeypatch):
    monkeypatch.setattr(locks, "PATIENCE_S", 0.0)
    study = f"study {tmp_path.name} is in use by process {other.pid} on .*; wait until it ends, or stop it"
    with pytest.raises(UserError, match=study), StudyLock(tmp_path):
        pytest.fail("two hold one lock")


def test_death_by_kill_frees_the_lock(tmp_path, other):
    assert is_locked(tmp_path / "lock")
    os.kill(other.pid, signal.SIGKILL)
    other.wait()
    assert not is_locked(tmp_path / "lock")
    with StudyLock(tmp_path):
        assert holder(tmp_path / "lock").startswith(f"process {os.getpid()} ")


def test_one_that_waits_says_so_once_and_comes_in_afterwards(tmp_path, other, monkeypatch):
    monkeypatch.setattr(locks, "PATIENCE_S", 0.0)
    said: list[str] = []
    ender = threading.Timer(1.0, other.kill)
    ender.start()
    with StudyLock(tmp_path, say=said.append):
        ender.join()
    assert said == [f"study {tmp_path.name} is in use by {said[0].split(' in use by ')[1]}"]
    assert f"process {other.pid} " in said[0]
    assert said[0].endswith("waiting until it ends")


def test_a_probe_does_not_make_a_holder_fail(tmp_path):
    path = tmp_path / "lock"
    path.touch()
    stop = threading.Event()

    def probe():
        while not stop.is_set():
            is_locked(path)

    prober = threading.Thread(target=probe)
    prober.start()
    try:
        for _ in range(20):
            with held(path, "it"):
                pass
    finally:
        stop.set()
        prober.join()
