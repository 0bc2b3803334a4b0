"""Signals: the first asks the loop to stop, the second acts as ever, and afterwards all is as before."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import pytest

from isostate.records import verify
from isostate.train import stop_on_signals

WORKER = """
import sys
from pathlib import Path
from isostate.train import stop_on_signals, train_run
with stop_on_signals() as should_stop:
    print(train_run(Path(sys.argv[1]), Path(sys.argv[2]), lambda e: print(e["event"], flush=True), should_stop))
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_first_signal_is_a_question_answered_yes(number):
    before = signal.getsignal(number)
    with stop_on_signals() as should_stop:
        assert not should_stop()
        os.kill(os.getpid(), number)
        assert should_stop()
        assert signal.getsignal(number) is before
    assert signal.getsignal(number) is before


def test_the_second_interrupt_interrupts():
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs ignore it
    with stop_on_signals() as should_stop:
        os.kill(os.getpid(), signal.SIGINT)
        assert should_stop()
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
    signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_training_process_saves_and_ends_at_once(make_run, cache, number):
    run = make_run(steps=100_000, checkpoint_every=100_000)
    worker = subprocess.Popen([sys.executable, "-c", WORKER, str(run.path), str(cache)], stdout=subprocess.PIPE)
    for line in worker.stdout:
        if line == b"step\n":
            break
    worker.send_signal(number)
    sent = time.monotonic()
    output, _ = worker.communicate(timeout=60)
    assert output.endswith(b"stopped\n")
    assert worker.returncode == 0
    assert time.monotonic() - sent < 10  # a step takes milliseconds; the rest is the interpreter's end
    assert run.status() == "stopped"
    (checkpoint,) = run.checkpoints.iterdir()
    assert verify(checkpoint) == []
