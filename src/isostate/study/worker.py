"""A worker process: trains one run after another, as told.

    python -m isostate.study.worker
    stdin   {"run_dir": "…", "cache": "…"} a line a run; its end is the end of the work
    stdout  {"event": …} a line an event: "ready" once; train_run's own; then, a run, "finished" (a "status") or
            "failed" (a "message" for the user)

SIGTERM: saves and stops within a step, takes no more. So does the loss of whoever reads stdout: a worker does not
outlive its parent. What nobody foresaw rises, and the parent finds it on stderr.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any, TextIO

from isostate.config import UserError
from isostate.study.system_errors import explain_os_error
from isostate.train import stop_on_signals, train_run
from isostate.train.heap import keep_freed_memory


class Channel:
    """Lines of JSON to the parent; `lost` once nobody reads them."""

    def __init__(self, stream: TextIO):
        self.stream = stream
        self.lost = False

    def emit(self, event: dict[str, Any]) -> None:
        if self.lost:
            return
        try:
            self.stream.write(json.dumps(event) + "\n")
            self.stream.flush()
        except BrokenPipeError:
            self.lost = True


def work(orders: TextIO, channel: Channel) -> None:
    """Trains what `orders` say until they end, a signal comes or the channel is lost."""
    with stop_on_signals() as signalled:

        def should_stop() -> bool:
            return signalled() or channel.lost

        channel.emit({"event": "ready", "pid": os.getpid()})
        for line in orders:
            order = json.loads(line)
            run_dir = Path(order["run_dir"])
            try:
                status = train_run(run_dir, Path(order["cache"]), channel.emit, should_stop)
            except UserError as error:
                channel.emit({"event": "failed", "run_id": run_dir.name, "message": str(error)})
            except OSError as error:
                channel.emit({"event": "failed", "run_id": run_dir.name, "message": explain_os_error(error, run_dir)})
            else:
                channel.emit({"event": "finished", "run_id": run_dir.name, "status": status})
            if should_stop():
                return


def main() -> None:
    """Keeps stdout for events alone: whatever else prints goes to stderr."""
    channel = Channel(os.fdopen(os.dup(1), "w", encoding="utf-8"))
    os.dup2(2, 1)
    keep_freed_memory()
    work(sys.stdin, channel)
    if channel.lost:
        os._exit(0)  # closing a pipe that nobody reads would complain


if __name__ == "__main__":
    main()
