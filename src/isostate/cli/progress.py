"""What `run` shows while workers train: bars in a terminal, a line now and then elsewhere, or every event as JSON."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from rich.progress import BarColumn, Progress, TaskID, TextColumn

from isostate.cli import show

Event = dict[str, Any]
LINE_EVERY_S = 15.0


class Board:
    """Where the whole study stands, from its events: shares of runs done, and the time that is left."""

    def __init__(self, now: Callable[[], float] = time.monotonic):
        self._now = now
        self.rows: dict[str, Event] = {}
        self.share: dict[str, float] = {}  # of each run that is trained in this stage
        self.later_s = 0.0  # predicted for runs of the next stage
        self.jobs = 1
        self._began, self._share_at_start = now(), 0.0
        self._first_share: dict[str, float] = {}

    def note(self, event: Event) -> None:
        kind, run_id = event["event"], event.get("run_id")
        if kind == "plan":
            self.rows = {row["run_id"]: row for row in event["runs"] if row["run_id"]}
            self.share = dict.fromkeys(event["missing"], 0.0)
            self.later_s = sum(row["predicted_s"] for row in event["runs"] if row["run_id"] is None)
            self.jobs, self._began, self._first_share = event["jobs"], self._now(), {}
        elif run_id in self.share:
            if kind in ("start", "step"):
                self.share[run_id] = event["step"] / event["steps"]
                self._first_share.setdefault(run_id, self.share[run_id])
            elif kind in ("finished", "died", "failed"):
                self.share[run_id] = 1.0

    @property
    def n_done(self) -> int:
        return sum(share == 1.0 for share in self.share.values())

    def label(self, run_id: str) -> str:
        """'window 2,048 context 256 seed 0 lr 0.003'."""
        row = self.rows[run_id]
        context = f"context {row['train_context']:,} seed {row['seed']} lr {row['lr']:g}"
        return f"{row['family']} {row['state']['elements']:,} {context}"

    def left_s(self) -> float:
        """Seconds left: the predictions, corrected by how they have held so far."""
        planned = {run_id: self.rows[run_id]["predicted_s"] for run_id in self.share}
        left = self.later_s + sum(planned[run_id] * (1 - share) for run_id, share in self.share.items())
        done = sum(planned[run_id] * (self.share[run_id] - first) for run_id, first in self._first_share.items())
        spent = (self._now() - self._began) * min(self.jobs, max(1, len(self.share)))
        pace = spent / done if done > 0.02 * (done + left) else 1.0
        return left * pace / self.jobs


def text_of(event: Event, board: Board) -> str | None:
    """A line for events that a person wants to keep; None for the others."""
    kind, run_id = event["event"], event.get("run_id")
    name = board.label(run_id) if run_id in board.rows else run_id
    if kind in ("notice", "waiting"):
        return f"note: {event['message']}"
    if kind == "warning":
        return f"warning: {f'{name}: ' if name else ''}{event['message']}"
    if kind == "died":
        return f"died: {name}: worker {event['worker']} {event['message']}; run the same command to train it again"
    if kind == "finished" and event["status"] == "diverged":
        return f"diverged: {name}: its record says where; --retry-diverged trains it again"
    if kind == "plan":
        kept = len(board.rows) - len(event["missing"])
        already = f", {kept} have their results already" if kept else ""
        later = " (more once rates are tuned)" if board.later_s else ""
        return f"{show.plural(len(event['missing']), 'run')} to train with {board.jobs} at a time{already}{later}"
    if kind == "stopping":
        return "stopping: workers save and end within a step"
    return None


class JsonDisplay:
    """Every event, a line each."""

    def __call__(self, event: Event) -> None:
        show.print_json(event)

    def close(self) -> None:
        """Nothing is held."""


class LineDisplay:
    """A line for what matters, and one every while that says how far it is."""

    def __init__(self, now: Callable[[], float] = time.monotonic):
        self.board, self._now, self._said = Board(now), now, now()

    def __call__(self, event: Event) -> None:
        self.board.note(event)
        text = text_of(event, self.board)
        if text:
            print(text, flush=True)
        if event["event"] == "finished" and event["status"] == "done":
            print(f"done {self.board.n_done}/{len(self.board.share)}: {self.board.label(event['run_id'])}", flush=True)
            self._said = self._now()
        elif event["event"] == "step" and self._now() - self._said > LINE_EVERY_S:
            done = sum(self.board.share.values())
            print(f"{done:.1f} of {len(self.board.share)} runs, {show.duration(self.board.left_s())} left", flush=True)
            self._said = self._now()

    def close(self) -> None:
        """Nothing is held."""


class LiveDisplay:
    """A bar for each worker, one for all."""

    def __init__(self) -> None:
        self.board = Board()
        columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[note]}"))
        self._progress = Progress(*columns, console=show.console(), transient=True)
        self._bars: dict[int, TaskID] = {}
        self._total: TaskID | None = None
        self._progress.start()

    def __call__(self, event: Event) -> None:
        self.board.note(event)
        text = text_of(event, self.board)
        if text:
            self._progress.console.print(text, soft_wrap=True)
        if event["event"] == "plan" and event["missing"] and self._total is None:
            self._total = self._progress.add_task("all runs", total=1.0, note="")
        worker, run_id = event.get("worker"), event.get("run_id")
        if worker is not None and run_id in self.board.share:
            self._show_worker(worker, run_id, event)
        if self._total is not None and self.board.share:
            done = sum(self.board.share.values()) / len(self.board.share)
            note = f"{self.board.n_done}/{len(self.board.share)}, {show.duration(self.board.left_s())} left"
            self._progress.update(self._total, completed=done, note=note)

    def close(self) -> None:
        self._progress.stop()

    def _show_worker(self, worker: int, run_id: str, event: Event) -> None:
        label = self.board.label(run_id)
        if worker not in self._bars:
            self._bars[worker] = self._progress.add_task(label, total=1.0, note="")
        self._progress.update(self._bars[worker], description=label, completed=self.board.share[run_id])
        if event["event"] == "step":
            self._progress.update(self._bars[worker], note=f"loss {event['loss_nats']:.3f}")
        if event["event"] == "died":
            self._progress.remove_task(self._bars.pop(worker))


def display_for(json: bool) -> JsonDisplay | LineDisplay | LiveDisplay:
    """What suits where the output goes."""
    if json:
        return JsonDisplay()
    return LiveDisplay() if show.console().is_terminal else LineDisplay()
