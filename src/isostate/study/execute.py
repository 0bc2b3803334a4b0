"""Runs in worker processes until all have their results, or as many as can.

The parent trains nothing and imports no torch: it starts workers, feeds each a run at a time, longest first, keeps the
ledger and passes on their events. A worker that dies takes its run with it: the run is entered as died, reported and
not tried again in this execution; a new worker goes on with the rest. A mistake of the user's and what the system
refuses (disk full) end the execution: the other workers save and stop, and the message is the outcome.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from isostate.records import Ledger, RunDirectory
from isostate.study.pool import StartWorker, Worker, wait_for

Emit = Callable[[dict[str, Any]], None]
POLL_S = 0.1  # how soon a signal to the parent reaches its workers


@dataclass
class Outcome:
    """What became of the runs, by run id: done, diverged, stopped, died (with the reason in `deaths`)."""

    statuses: dict[str, str] = field(default_factory=dict)
    deaths: dict[str, str] = field(default_factory=dict)
    problem: str | None = None  # what ended the execution early, for the user to mend
    stopped: bool = False  # by a signal


@dataclass(frozen=True)
class Orders:
    """`queue`: run ids, longest first; their directories stand in `study_dir`; `cache` holds the prepared data."""

    study_dir: Path
    cache: Path
    queue: Sequence[str]
    jobs: int


def execute(orders: Orders, start: StartWorker, emit: Emit, should_stop: Callable[[], bool]) -> Outcome:
    """Trains the queue. Raises OSError where the ledger cannot be written; no worker is left behind whatever rises."""
    execution = _Execution(orders, start, emit)
    try:
        return execution.run(should_stop)
    finally:
        for worker in execution.workers:
            worker.kill()
        execution.ledger.close()


class _Execution:
    def __init__(self, orders: Orders, start: StartWorker, emit: Emit):
        self.orders, self.start, self.emit = orders, start, emit
        self.outcome = Outcome()
        self.waiting = list(orders.queue)
        self.ledger = Ledger(orders.study_dir)
        if self.ledger.rebuilt:
            emit(
                {"event": "warning", "message": f"{self.ledger.path} was damaged: made again from the run directories"}
            )
        for run_id in self.ledger.notice_dead():
            emit({"event": "warning", "run_id": run_id, "message": f"run {run_id} was cut off last time: going on"})
        for run_id in self.waiting:
            self.ledger.put(run_id, "pending")
        self.workers: list[Worker] = []
        self.n_started = 0
        self.stopping = False

    def run(self, should_stop: Callable[[], bool]) -> Outcome:
        while self.waiting or self.workers:
            if not self.stopping and (should_stop() or self.outcome.problem):
                self.stopping = True
                self.outcome.stopped = self.outcome.problem is None
                self.waiting.clear()
                self.emit({"event": "stopping"})
                for worker in self.workers:
                    worker.stop()
            while self.waiting and len(self.workers) < min(self.orders.jobs, len(self.waiting) + len(self._busy())):
                self.workers.append(self.start(self.n_started))
                self.n_started += 1
                self._give(self.workers[-1])
            for worker in wait_for(self.workers, POLL_S):
                self._hear(worker)
        return self.outcome

    def _busy(self) -> list[Worker]:
        return [worker for worker in self.workers if worker.run_id is not None]

    def _give(self, worker: Worker) -> None:
        """The next run to a worker that is free, or its leave when there is none."""
        if not self.waiting:
            worker.dismiss()
            return
        run_id = self.waiting.pop(0)
        self.ledger.put(run_id, "running", pid=worker.pid)
        worker.give(self.orders.study_dir / run_id, self.orders.cache)

    def _hear(self, worker: Worker) -> None:
        events = worker.read()
        if events is None:
            self.workers.remove(worker)
            self._bury(worker, worker.end())
            return
        for event in events:
            self.emit({**event, "worker": worker.number})
            if event["event"] == "ready":
                worker.ready = True
            elif event["event"] == "failed":
                self.outcome.problem = self.outcome.problem or event["message"]
                self._close(worker, "died")
            elif event["event"] == "finished":
                self._close(worker, event["status"])
                self._give(worker)

    def _close(self, worker: Worker, status: Any) -> None:
        """Enters what became of the worker's run."""
        assert worker.run_id is not None
        run = RunDirectory(self.orders.study_dir / worker.run_id)
        self.ledger.put(run.run_id, status, run.facts())
        self.outcome.statuses[run.run_id] = status
        worker.run_id = None

    def _bury(self, worker: Worker, death: str | None) -> None:
        if worker.run_id is None:
            return
        if not worker.ready and not self.stopping:  # no other one would fare better
            self.outcome.problem = f"a worker could not start: {death}; `isostate doctor` checks the installation"
        run_id, reason = worker.run_id, death or "ended without a word"
        stopped = self.stopping and death is not None and "SIGTERM" in death  # before it listened for signals
        self._close(worker, "stopped" if stopped else "died")
        if not stopped:
            self.outcome.deaths[run_id] = reason
            self.emit({"event": "died", "run_id": run_id, "worker": worker.number, "message": reason})
