"""A whole training step on a tape: what each part keeps, and the most that lives at once.

Layers are alike: one is told, and what the others keep stands as one lump until it has run backwards.
"""

from __future__ import annotations

from dataclasses import dataclass

from isostate.costs.tape.block import block
from isostate.costs.tape.ends import Table, embed, head
from isostate.costs.tape.tape import Event, Storage, Tape, Value
from isostate.mixers import Form
from isostate.model import ModelConfig, Recompute


@dataclass(frozen=True)
class Step:
    """Bytes of one step beyond parameters and their gradients. `embedding`, `layer`, `head`: what the graph keeps, a
    tensor a row; `peak_bytes`: the most at once, all layers; `log`, where it was asked for: what comes and goes.
    """

    embedding: tuple[Storage, ...]
    layer: tuple[Storage, ...]
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
) -> Step:
    """`Decoder.train_loss` of `batch` sequences, then its backward."""
    log: list[Event] = []
    tape, table = Tape(element_bytes, n_threads, log if logged else None), Table(config)
    z_in = embed(tape, config, table, batch, context)
    z_in.storage.name = "block input"
    n_nodes, n_kept, n_events, before, peak = tape.n_nodes, len(tape.kept), len(log), tape.live, tape.peak
    tape.peak = tape.live

    def run() -> Value:
        return block(tape, config, z_in, batch, context, form)

    z = tape.checkpointed(run, z_in, draws(config)) if recompute == "blocks" else run()
    tape.free(z_in)
    z.storage.name = "final norm input"
    n_kept_by_layer = len(tape.kept)
    others = Storage((config.n_layers - 1) * (tape.live - before), "kept by the other layers")
    log.insert(n_events, Event(others, 1))  # as it stands when the last layer runs, which is the one told
    tape.live += others.nbytes
    tape.peak = max(peak, tape.peak + others.nbytes)
    head(tape, config, table, z, batch * context)
    tape.backward(down_to=n_nodes)
    tape.free(others)
    tape.backward()
    assert tape.live == 0, f"{tape.live} bytes are never freed"
    kept = tuple(tape.kept)
    return Step(kept[:n_kept], kept[n_kept:n_kept_by_layer], kept[n_kept_by_layer:], tape.peak, tuple(log))


def draws(config: ModelConfig) -> bool:
    """Whether a block drops anything, so that running it again needs the generator's state."""
    return config.dropout > 0 or config.mixer.draws
