"""S4's filters on a tape, `mixers/s4_modes.py`: what comes and goes whatever the batch and the context are."""

from __future__ import annotations

from typing import NamedTuple

from isostate.costs.tape.chunks import Variables
from isostate.costs.tape.operations import FLOAT64
from isostate.costs.tape.tape import Storage, Tape
from isostate.mixers.s4 import S4Config

COMPLEX128 = 16


class ModeSizes(NamedTuple):
    """Channels, modes of each, whether in pairs, positions of a chunk; and the discretisation."""

    width: int
    n_modes: int
    in_pairs: bool
    chunk: int
    discretisation: str

    @staticmethod
    def of(config: S4Config, chunk: int) -> ModeSizes:
        return ModeSizes(config.d_model, config.modes, config.in_pairs, chunk, config.discretisation)

    @property
    def modes(self) -> int:
        """Of all channels."""
        return self.width * self.n_modes

    @property
    def states(self) -> int:
        """Of one channel, in real numbers."""
        return self.n_modes * (1 + self.in_pairs)

    @property
    def kernel(self) -> int:
        return self.width * self.chunk

    @property
    def filters(self) -> int:
        """Elements of the writes, and of the reads."""
        return self.width * self.states * self.chunk

    @property
    def turns(self) -> int:
        return 4 * self.width * self.states


def filters(tape: Tape, sizes: ModeSizes, wide_bytes: int) -> tuple[Storage, ...]:
    """`_Filters.forward`: kernel, writes, reads, turns."""
    local = Variables(tape)
    _system(local, sizes)
    _powers(local, sizes)
    local.new("both", sizes.modes, COMPLEX128)
    local.new("product", sizes.modes * sizes.chunk, COMPLEX128)
    local.gone("both")
    local.new("seen", sizes.kernel, COMPLEX128)
    local.gone("product")
    kernel = tape.new(sizes.kernel, "kernel", wide_bytes)
    local.new("left", sizes.modes * sizes.chunk, COMPLEX128)
    writes = tape.new(sizes.filters, "writes", wide_bytes)
    local.new("read", sizes.modes * sizes.chunk, COMPLEX128)
    reads = tape.new(sizes.filters, "reads", wide_bytes)
    turns = tape.new(sizes.turns, "turns", wide_bytes)
    local.gone()
    return kernel, writes, reads, turns


def filters_backward(tape: Tape, sizes: ModeSizes, given: tuple[Storage, ...], wide_bytes: int) -> None:
    """`_Filters.backward`, down to the parameters' gradients."""
    local, one_chunk = Variables(tape), sizes.modes * sizes.chunk
    _system(local, sizes)
    _powers(local, sizes)
    for name in ("conjugate write", "conjugate read"):
        local.new(name, sizes.modes, COMPLEX128)
    local.new("dkernel", sizes.kernel, COMPLEX128)
    local.new("flipped", sizes.filters, wide_bytes)
    local.new("dwrites", one_chunk, COMPLEX128)
    local.gone("flipped")
    local.new("dreads", one_chunk, COMPLEX128)
    for name in ("dboth", "dwrite", "dread"):
        local.new("product", one_chunk, COMPLEX128)
        local.new(name, sizes.modes, COMPLEX128)
        local.gone("product")
    local.new("dpowers", sizes.modes * (sizes.chunk + 1), COMPLEX128)
    tape.passing(sizes.modes, COMPLEX128)
    for _ in range(8 if sizes.in_pairs else 2):
        if wide_bytes < FLOAT64:
            tape.passing(sizes.modes, FLOAT64)
    local.new("steps", sizes.chunk + 1, FLOAT64)
    local.new("dlog_decay", sizes.modes, COMPLEX128)
    _system_backward(local, sizes)
    local.gone("dlog_decay", "slope", "dstep", "ddt")
    if not sizes.in_pairs:
        local.gone("drate")
    if sizes.discretisation == "bilinear":
        local.gone("w")
    fresh = [tape.new(size, "gradient of a parameter") for size in _parameters(sizes)]
    local.gone()
    tape.free(*given, *fresh)


def _parameters(sizes: ModeSizes) -> list[int]:
    imaginary = [sizes.modes] if sizes.in_pairs else []
    return [sizes.width, sizes.modes, *imaginary, sizes.modes * (1 + sizes.in_pairs)]


def _system(local: Variables, sizes: ModeSizes) -> None:
    """`_System`."""
    local.new("dt", sizes.width, FLOAT64)
    for name in ("rate", "read", "step"):
        local.new(f"system's {name}", sizes.modes, COMPLEX128)
    for name in ("write",) if sizes.discretisation == "zoh" else ("write", "log_decay"):
        half = [] if sizes.discretisation == "zoh" else [local.tape.new(sizes.modes, "half a step", COMPLEX128)]
        local.new(f"system's {name}", sizes.modes, COMPLEX128)
        local.tape.free(*half)


def _powers(local: Variables, sizes: ModeSizes) -> None:
    local.new("steps", sizes.chunk + 1, FLOAT64)
    local.new("powers", sizes.modes * (sizes.chunk + 1), COMPLEX128)
    local.gone("steps")


def _system_backward(local: Variables, sizes: ModeSizes) -> None:
    """`_System.backward`."""
    (_zero_order_hold_backward if sizes.discretisation == "zoh" else _bilinear_backward)(local, sizes)
    local.new("dA_log", sizes.modes, FLOAT64)
    local.new("dlog_dt", sizes.width, FLOAT64)


def _times_conjugate(local: Variables, sizes: ModeSizes, name: str) -> None:
    """A product with a conjugate, which is made first."""
    local.new("conjugate", sizes.modes, COMPLEX128)
    local.new(name, sizes.modes, COMPLEX128)
    local.gone("conjugate")


def _times_step(local: Variables, sizes: ModeSizes, name: str) -> None:
    """A product with, or a division by, dt, which becomes complex first."""
    local.new("complex dt", sizes.width, COMPLEX128)
    local.new(name, sizes.modes, COMPLEX128)
    local.gone("complex dt")


def _zero_order_hold_backward(local: Variables, sizes: ModeSizes) -> None:
    local.new("product", sizes.modes, COMPLEX128)
    local.new("product", sizes.modes, COMPLEX128)
    local.new("slope", sizes.modes, COMPLEX128)
    local.gone("product")
    _times_conjugate(local, sizes, "part")
    local.new("dstep", sizes.modes, COMPLEX128)
    local.gone("part")
    _times_step(local, sizes, "part")
    local.new("quotient", sizes.modes, COMPLEX128)
    _times_conjugate(local, sizes, "other")
    local.gone("quotient")
    local.new("drate", sizes.modes, COMPLEX128)
    local.gone("part", "other")
    _times_conjugate(local, sizes, "part")
    local.new("ddt", sizes.width, FLOAT64)
    local.gone("part")


def _bilinear_backward(local: Variables, sizes: ModeSizes) -> None:
    _times_step(local, sizes, "w")
    local.new("half", sizes.modes, COMPLEX128)
    local.new("more", sizes.modes, COMPLEX128)
    local.gone("half")
    local.new("slope", sizes.modes, COMPLEX128)
    local.gone("more")
    _times_conjugate(local, sizes, "part")
    local.new("product", sizes.modes, COMPLEX128)
    local.new("product", sizes.modes, COMPLEX128)
    _times_conjugate(local, sizes, "other")
    local.gone("product")
    local.new("dstep", sizes.modes, COMPLEX128)
    local.gone("part", "other")
    _times_step(local, sizes, "drate")
    _times_conjugate(local, sizes, "part")
    _times_conjugate(local, sizes, "other")
    local.new("sum", sizes.modes, COMPLEX128)
    local.gone("part", "other")
    local.new("ddt", sizes.width, FLOAT64)
    local.gone("sum")
