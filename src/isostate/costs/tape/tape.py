"""A training step without tensors: what it allocates, keeps for the backward and frees, in the order of the real code.

The files beside this one tell forwards to a tape, line by line. The tape follows autograd: nodes run in reverse order;
a gradient is freed when its node is done, and with it what the node kept; a second gradient of one value is added in
place where nobody else holds the first (torch, csrc/autograd/input_buffer.cpp). Parameters and their gradients exist
beforehand: they are not the tape's memory, and what is added to a gradient is freed at once.

Scalars, a few bytes each, are left out.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from contextlib import suppress
from typing import NamedTuple

from isostate.mixers.native import Kernels

# How a gradient of heads lies in memory, (B, T, H, K): position by position, as its tensor does; head by head; so too,
# but with positions last; or as a part of something wider. It decides what has to be copied.
TOKENS, HEADS, TURNED, PART = range(4)
GENERATOR_BYTES = 5056  # the state of torch's generator for CPUs


class Storage:
    """Bytes, held by `holders`: Python's variables, the graph, gradients on their way.

    A gradient that is `viewed` came through a view's backward, which holds it once more: nothing is added into it.
    """

    __slots__ = ("holders", "layout", "name", "nbytes", "viewed")

    def __init__(self, nbytes: int, name: str, layout: int = TOKENS) -> None:
        self.nbytes = nbytes
        self.name = name
        self.layout = layout
        self.holders = 1
        self.viewed = False


class Value:
    """A tensor that a gradient flows to; `size` in elements. It may be a view: others may share its storage."""

    __slots__ = ("element_bytes", "grad", "size", "storage")

    def __init__(self, storage: Storage, size: int, element_bytes: int) -> None:
        self.storage, self.size, self.element_bytes = storage, size, element_bytes
        self.grad: Storage | None = None


class Kept:
    """What one operation keeps for its backward; nothing, inside a checkpoint, until that runs again."""

    __slots__ = ("checkpoint", "storages")

    def __init__(self, storages: tuple[Storage, ...], checkpoint: _Checkpoint | None) -> None:
        self.storages, self.checkpoint = storages, checkpoint


class Event(NamedTuple):
    """A storage comes (1) or goes (-1)."""

    storage: Storage
    sign: int


class _Checkpoint:
    """A part of the forward that keeps its input alone, and runs again when backward first asks for what it kept."""

    def __init__(self, run: Callable[[], object], draws: bool) -> None:
        self.run, self.draws, self.n_replayed = run, draws, 0
        self.kept: list[Kept] = []


class _StopReplayError(Exception):
    """All that the backward needs has been computed again (torch's early stop)."""


class Tape:
    """Bytes that live as a step goes on; `element_bytes` are the model's dtype's; `log`, if given, is added to.

    `kernels`: whose run where ours could, in the precisions that ours have.
    """

    def __init__(
        self, element_bytes: int = 4, n_threads: int = 1, log: list[Event] | None = None, kernels: Kernels = "torch"
    ) -> None:
        self.element_bytes, self.n_threads, self.log, self.kernels = element_bytes, n_threads, log, kernels
        self.live = self.peak = 0
        self.kept: dict[Storage, None] = {}  # by the graph, outside of checkpoints: each once, in order
        self._nodes: list[Callable[[], None]] = []
        self._watched = log is not None
        self._told: dict[Hashable, tuple[int, int]] = {}
        self._checkpoint: _Checkpoint | None = None
        self._replayed: dict[Storage, int] | None = None  # in a replay: its storages, and how often they are kept

    def new(self, size: int, name: str = "", element_bytes: int | None = None, layout: int = TOKENS) -> Storage:
        """A fresh tensor of `size` elements, held by one variable."""
        nbytes = size * (self.element_bytes if element_bytes is None else element_bytes)
        storage = Storage(nbytes, name, layout)
        self.live = live = self.live + nbytes
        if live > self.peak:
            self.peak = live
        if self._watched:
            if self.log is not None:
                self.log.append(Event(storage, 1))
            if self._replayed is not None:
                self._replayed[storage] = 0
        return storage

    def value(self, size: int, name: str, element_bytes: int | None = None) -> Value:
        return Value(self.new(size, name, element_bytes), size, element_bytes or self.element_bytes)

    def view(self, value: Value, size: int | None = None) -> Value:
        """Another variable that holds the same storage; its gradient is its own."""
        value.storage.holders += 1
        return Value(value.storage, value.size if size is None else size, value.element_bytes)

    def also(self, value: Value) -> Value:
        """Another variable for the same value."""
        value.storage.holders += 1
        return value

    def free(self, *held: Storage | Value) -> None:
        """Variables go: each held its storage."""
        for one in held:
            storage = one if type(one) is Storage else one.storage  # type: ignore[union-attr]
            storage.holders = holders = storage.holders - 1
            if not holders:
                self.live -= storage.nbytes
                if self.log is not None:
                    self.log.append(Event(storage, -1))

    def passing(self, size: int, element_bytes: int | None = None) -> None:
        """A temporary that is gone before anything else happens."""
        if self.log is not None:
            self.free(self.new(size, "temporary", element_bytes))
            return
        live = self.live + size * (self.element_bytes if element_bytes is None else element_bytes)
        if live > self.peak:
            self.peak = live

    def once(self, key: Hashable, tell: Callable[[], Storage | None]) -> Storage | None:
        """`tell()`, whose temporaries are gone when its result is there: told again, only how high they rose counts."""
        known = self._told.get(key) if self.log is None else None
        if known is None:
            live, peak = self.live, self.peak
            self.peak = live
            result = tell()
            self._told[key] = self.peak - live, result.nbytes if result else 0
            self.peak = max(self.peak, peak)
            return result
        rise, nbytes = known
        self.peak = max(self.peak, self.live + rise)
        return self.new(nbytes, "told before", 1) if nbytes else None

    def keep(self, *storages: Storage) -> Kept:
        """Holds what an operation will need in its backward."""
        checkpoint = self._checkpoint
        if checkpoint is None:
            for storage in storages:
                storage.holders += 1
                self.kept[storage] = None
            return Kept(storages, None)
        if self._replayed is None:
            kept = Kept((), checkpoint)
            checkpoint.kept.append(kept)
            return kept
        kept = checkpoint.kept[checkpoint.n_replayed]
        kept.storages = storages
        for storage in storages:
            storage.holders += 1
            if storage in self._replayed:
                self._replayed[storage] += 1
        checkpoint.n_replayed += 1
        if checkpoint.n_replayed == len(checkpoint.kept):
            raise _StopReplayError
        return kept

    def node(self, back: Callable[[], None]) -> None:
        """What to do in backward, after the nodes that follow."""
        if self._replayed is None:
            self._nodes.append(back)

    @property
    def n_nodes(self) -> int:
        return len(self._nodes)

    @property
    def keeps_nothing(self) -> bool:
        """Whether this is the first run of a checkpointed part."""
        return self._checkpoint is not None and self._replayed is None

    def unpack(self, kept: Kept) -> None:
        """A node's backward asks for what was kept."""
        checkpoint = kept.checkpoint
        if checkpoint is not None and not checkpoint.n_replayed:
            self._replay(checkpoint)

    def gradient_of(self, value: Value) -> Storage:
        """The gradient that has come to a value; the node that asks holds it now."""
        gradient, value.grad = value.grad, None
        assert gradient is not None, f"no gradient came to {value.storage.name}"
        return gradient

    def used(self, *kept: Kept) -> None:
        """A node has used what it kept: what was made again for it alone is gone, what the graph holds is not yet."""
        for one in kept:
            if one.checkpoint is not None:
                self.free(*one.storages)
                one.storages = ()

    def done(self, gradient: Storage, *kept: Kept) -> None:
        """A node is done with the gradient that it was given and with what it kept."""
        self.free(gradient)
        for one in kept:
            self.free(*one.storages)
            one.storages = ()

    def arrive(self, value: Value, gradient: Storage) -> None:
        """A gradient comes to a value, which takes it over."""
        first = value.grad
        if first is None:
            value.grad = gradient
        elif first.holders == 1 and not first.viewed:
            self.free(gradient)
        else:
            value.grad = self.new(value.size, first.name, value.element_bytes, first.layout)
            self.free(first, gradient)

    def checkpointed(self, run: Callable[[], Value], x: Value, draws: bool) -> Value:
        """`run`'s value, of which x alone is kept; and the generator's state, where `run` draws."""
        kept = self.keep(x.storage)
        generator = [self.new(GENERATOR_BYTES, "state of the generator", 1)] if draws else []
        self.node(lambda: self.free(*kept.storages, *generator))
        self._checkpoint = _Checkpoint(run, draws)
        value = run()
        self._checkpoint = None
        return value

    def backward(self, down_to: int = 0) -> None:
        """Runs the nodes backwards, but for the first `down_to`."""
        nodes = self._nodes
        while len(nodes) > down_to:
            nodes.pop()()

    def _replay(self, checkpoint: _Checkpoint) -> None:
        generator = [self.new(GENERATOR_BYTES, "state of the generator", 1)] if checkpoint.draws else []
        self._checkpoint, self._replayed, self._watched = checkpoint, {}, True
        with suppress(_StopReplayError):
            checkpoint.run()
        for storage, times_kept in self._replayed.items():
            for _ in range(storage.holders - times_kept):
                self.free(storage)
        self._checkpoint, self._replayed, self._watched = None, None, self.log is not None
        self.free(*generator)
