"""A whole training step on a tape: what each part keeps, and the most that lives at once.

Where layers are alike, one is told, and what the others keep stands as one lump until it has run backwards. Those of a
stack are all told.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

from isostate.costs.tape.block import block
from isostate.costs.tape.ends import Table, embed, head
from isostate.costs.tape.tape import Event, Storage, Tape, Value
from isostate.mixers import Form
from isostate.mixers.native import Kernels, kernels_here
from isostate.model import ModelConfig, Recompute


@dataclass(frozen=True)
class Step:
    """Bytes of one step beyond parameters and their gradients. `embedding`, `layers`, `head`: what the graph keeps, a
    tensor a row, each layer that was told with the number of those that it stands for; `peak_bytes`: the most at once,
    all layers; `log`, where it was asked for: what comes and goes.
    """

    embedding: tuple[Storage, ...]
    layers: tuple[tuple[int, tuple[Storage, ...]], ...]
    head: tuple[Storage, ...]
    peak_bytes: int
    log: tuple[Event, ...]

    def alive_at_peak(self) -> list[Storage]:
        """What is held at the worst moment, in the order in which it came."""
        alive: dict[Storage, None] = {}
        live = worst = 0
        at_worst: list[Storage] = []
        for storage, sign in self.log:
            live += sign * storage.nbytes
            if sign > 0:
                alive[storage] = None
            else:
                del alive[storage]
            if live > worst:
                worst, at_worst = live, list(alive)
        return at_worst


def training_step(
    config: ModelConfig,
    batch: int,
    context: int,
    form: Form = "chunked",
    recompute: Recompute = "none",
    element_bytes: int = 4,
    n_threads: int = 1,
    logged: bool = False,
    kernels: Kernels | None = None,
) -> Step:
    """`Decoder.train_loss` of `batch` sequences, then its backward; by `kernels`, or by what this machine runs."""
    log: list[Event] = []
    tape, table = Tape(element_bytes, n_threads, log if logged else None, kernels or kernels_here()), Table(config)
    z_in = embed(tape, config, table, batch, context)
    n_told = 1 if len(config.mixer_groups) == 1 else config.n_layers
    n_nodes, n_kept, n_events, before, peak = tape.n_nodes, len(tape.kept), len(log), tape.live, tape.peak
    tape.peak = tape.live
    z, ends = z_in, [n_kept]
    for layer in range(n_told):
        z = _layer(tape, config, z, batch, context, form, recompute, layer)
        ends.append(len(tape.kept))
    z.storage.name = "final norm input"
    others = Storage((config.n_layers - n_told) * (tape.live - before), "kept by the other layers")
    log.insert(n_events, Event(others, 1))  # as it stands when the last layer runs, which is the one told
    tape.live += others.nbytes
    tape.peak = max(peak, tape.peak + others.nbytes)
    head(tape, config, table, z, batch * context)
    tape.backward(down_to=n_nodes)
    tape.free(others)
    tape.backward()
    assert tape.live == 0, f"{tape.live} bytes are never freed"
    kept = tuple(tape.kept)
    layers = tuple((config.n_layers // n_told, kept[start:end]) for start, end in pairwise(ends))
    return Step(kept[:n_kept], layers, kept[ends[-1] :], tape.peak, tuple(log))


def _layer(
    tape: Tape, config: ModelConfig, z_in: Value, batch: int, context: int, form: Form, recompute: Recompute, layer: int
) -> Value:
    z_in.storage.name = "block input"

    def run() -> Value:
        return block(tape, config, z_in, batch, context, form, layer)

    z = tape.checkpointed(run, z_in, draws(config, layer)) if recompute == "blocks" else run()
    tape.free(z_in)
    return z


def draws(config: ModelConfig, layer: int = 0) -> bool:
    """Whether a block drops anything, so that running it again needs the generator's state."""
    return config.dropout > 0 or config.mixers[layer].draws
