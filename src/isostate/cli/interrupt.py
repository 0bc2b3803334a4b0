"""SIGINT and SIGTERM to `run`: noted, so that workers save and stop; which one it was decides the exit code."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass


@dataclass
class Interrupt:
    """`number` of the first signal, None while there was none."""

    number: int | None = None

    @property
    def exit_code(self) -> int:
        """130 for SIGINT, 143 for SIGTERM, as a shell has it."""
        return 128 + (self.number or 0)

    def __call__(self) -> bool:
        return self.number is not None


@contextmanager
def interruptible() -> Iterator[Interrupt]:
    """Inside the block the first signal is noted; a second one, of either kind, raises KeyboardInterrupt."""
    interrupt = Interrupt()
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def note(number: int, frame: object) -> None:
        if interrupt():
            raise KeyboardInterrupt
        interrupt.number = number

    for number in before:
        signal.signal(number, note)
    try:
        yield interrupt
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
