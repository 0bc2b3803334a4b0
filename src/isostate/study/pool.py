"""Worker processes as seen by their parent: started, fed a run at a time, read without waiting, noticed when they die.

No torch here. A worker has its own session, so that a Ctrl-C in the terminal reaches the parent alone, who tells it.
"""

from __future__ import annotations

import json
import os
import selectors
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

WORKER = (sys.executable, "-m", "isostate.study.worker")
LAST_WORDS = 300  # characters of a dead worker's stderr that are shown
GRACE_S = 60.0  # to end a step and write a checkpoint; a step of this program's models takes seconds at most


class Worker:
    """One worker; `run_id` is what it trains, None while it waits for work."""

    def __init__(self, number: int, threads: int, command: Sequence[str] = WORKER):
        environment = {**os.environ, **{name: str(threads) for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS")}}
        self.number = number
        self.run_id: str | None = None
        self.ready = False
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115  (closed by `end`)
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            env=environment,
            start_new_session=True,
        )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._stdin, self._stdout = self._process.stdin, self._process.stdout
        os.set_blocking(self._stdout.fileno(), False)
        self._unfinished = b""

    @property
    def pid(self) -> int:
        return self._process.pid

    def fileno(self) -> int:
        return self._stdout.fileno()

    def give(self, run_dir: Path, cache: Path) -> None:
        """A dead worker's order is lost: `read` will find it dead."""
        self.run_id = run_dir.name
        order = json.dumps({"run_dir": str(run_dir), "cache": str(cache)})
        with suppress(BrokenPipeError):
            self._stdin.write(order.encode() + b"\n")
            self._stdin.flush()

    def read(self) -> list[dict[str, Any]] | None:
        """Events since the last time; None when there will be no more. A line that a death cut off is no event."""
        chunk = self._stdout.read(1 << 16)
        if chunk == b"":
            return None
        *lines, self._unfinished = (self._unfinished + (chunk or b"")).split(b"\n")
        return [json.loads(line) for line in lines]

    def dismiss(self) -> None:
        """No more work: it ends when its run does."""
        self._close_stdin()

    def stop(self) -> None:
        """Asks it to save and end."""
        self._process.terminate()
        self._close_stdin()

    def end(self, grace_s: float = GRACE_S) -> str | None:
        """Waits for its end; how it died, or None if it ended as it should. After `grace_s` it is killed."""
        self._close_stdin()
        try:
            code = self._process.wait(grace_s)
        except subprocess.TimeoutExpired:
            self._process.kill()
            code = self._process.wait()
        self._stdout.close()
        with self._errors as errors:
            errors.seek(0)
            lines = errors.read().decode(errors="replace").strip().splitlines()
        return how_it_died(code, lines[-1][:LAST_WORDS] if lines else "") if code else None

    def kill(self) -> None:
        if self._process.poll() is None:
            self._process.kill()

    def _close_stdin(self) -> None:
        with suppress(BrokenPipeError):  # an order that it did not live to read
            self._stdin.close()


def how_it_died(code: int, last_words: str) -> str:
    """In words; `code` as subprocess gives it: negative for a signal."""
    if code == -signal.SIGKILL:
        return "killed (SIGKILL; the system does so when memory runs out)"
    if code < 0:
        return f"killed ({signal.Signals(-code).name})"
    return f"ended with code {code}{f': {last_words}' if last_words else ''}"


def wait_for(workers: Sequence[Worker], timeout_s: float) -> list[Worker]:
    """The workers that have something to read, or whose end it is; none when the time is up first."""
    with selectors.DefaultSelector() as selector:
        for worker in workers:
            selector.register(worker, selectors.EVENT_READ, worker)
        return [key.data for key, _ in selector.select(timeout_s)]


StartWorker = Callable[[int], Worker]
