"""What a run says while it trains: rows and seconds into its directory, events to whoever watches."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import Any

from isostate.records import RunDirectory

Emit = Callable[[dict[str, Any]], None]
EMIT_EVERY_S = 0.2  # five step events a second are as many as a terminal can show


class Journal:
    """Counts the rows of metrics.jsonl and the seconds of training; `step` is where the run stands."""

    def __init__(self, run: RunDirectory, emit: Emit, step: int):
        self.run = run
        self.rows = len(run.metrics())
        self.train_s = max((row["train_s"] for row in run.timing()), default=0.0)
        self._emit, self._emitted_at = emit, -math.inf
        self._emitted_step, self._emitted_train_s = step, self.train_s
        self._timed_step = step

    def append(self, kind: str, step: int, **values: Any) -> None:
        """A row of metrics.jsonl."""
        self.run.append_metric({"kind": kind, "step": step, **values})
        self.rows += 1

    def time(self, step: int) -> None:
        """The row of timing.jsonl of this step, once."""
        if self._timed_step != step:
            self.run.append_timing(step, self.train_s)
            self._timed_step = step

    def emit(self, event: str, **details: Any) -> None:
        self._emit({"event": event, "run_id": self.run.run_id, **details})

    def warn(self, message: str) -> None:
        self.emit("warning", message=message)

    def emit_step(self, step: int, steps: int, batch_tokens: int, loss_nats: float) -> None:
        """Progress, not more often than a terminal can show, and after the last step; speed since the last time."""
        now = time.monotonic()
        if now - self._emitted_at < EMIT_EVERY_S and step != steps:
            return
        seconds = max(self.train_s - self._emitted_train_s, 1e-9)
        tokens_per_s = (step - self._emitted_step) * batch_tokens / seconds
        self.emit("step", step=step, steps=steps, loss_nats=loss_nats, tokens_per_s=tokens_per_s)
        self._emitted_at, self._emitted_step, self._emitted_train_s = now, step, self.train_s
