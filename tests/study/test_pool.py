"""isostate.study.pool."""

from __future__ import annotations

import signal
import sys
import time
from pathlib import Path

import pytest

from isostate.study.pool import Worker, how_it_died, wait_for

ECHO = (sys.executable, "-c", "import sys\nfor line in sys.stdin: print(line, end='', flush=True)")


def events_until_its_end(worker: Worker) -> list[dict]:
    deadline, events = time.monotonic() + 30, []
    while time.monotonic() < deadline:
        for each in wait_for([worker], 0.1):
            found = each.read()
            if found is None:
                return events
            events += found
    pytest.fail("the worker did not end")


def test_a_worker_is_given_runs_and_read_without_waiting():
    worker = Worker(0, threads=1, command=ECHO)
    assert worker.read() == []
    worker.give(Path("study/a"), Path("cache"))
    assert worker.run_id == "a"
    worker.dismiss()
    assert events_until_its_end(worker) == [{"run_dir": "study/a", "cache": "cache"}]
    assert worker.end() is None


def test_its_threads_are_set_before_it_imports_anything():
    code = "import os; print('[' + os.environ['OMP_NUM_THREADS'] + ',' + os.environ['MKL_NUM_THREADS'] + ']')"
    worker = Worker(0, threads=3, command=(sys.executable, "-c", code))
    assert events_until_its_end(worker) == [[3, 3]]
    worker.end()


def test_a_line_that_a_death_cut_off_is_no_event():
    code = 'import sys, os; sys.stdout.write(\'{"event": "a"}\\n{"eve\'); sys.stdout.flush(); os.kill(os.getpid(), 9)'
    worker = Worker(0, threads=1, command=(sys.executable, "-c", code))
    assert events_until_its_end(worker) == [{"event": "a"}]
    assert worker.end().startswith("killed (SIGKILL")


def test_its_last_words_are_kept():
    worker = Worker(0, threads=1, command=(sys.executable, "-c", "raise RuntimeError('not enough memory')"))
    assert worker.end() == "ended with code 1: RuntimeError: not enough memory"


def test_an_order_to_a_dead_worker_does_not_raise():
    worker = Worker(0, threads=1, command=(sys.executable, "-c", ""))
    assert events_until_its_end(worker) == []
    worker.give(Path("a"), Path("b"))
    assert worker.end() is None


def test_one_that_will_not_end_is_killed():
    code = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('{}', flush=True); time.sleep(60)"
    worker = Worker(0, threads=1, command=(sys.executable, "-c", code))
    assert wait_for([worker], 30) == [worker]
    worker.stop()
    assert worker.end(grace_s=0.2).startswith("killed (SIGKILL")


def test_a_death_is_told_in_words():
    assert how_it_died(-signal.SIGSEGV, "") == "killed (SIGSEGV)"
    assert how_it_died(3, "") == "ended with code 3"
