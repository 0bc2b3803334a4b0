"""The kernels of S4 before its projection: the filters, from the parameters; transforms inside chunks, states between.

Written from `mixers/s4_modes.py` and `s4_filter.py`. A complex number of float64 counts as four elements. Views and
what is small beside these stand as calls: as many as torch dispatches, counted once.
"""

from __future__ import annotations

from isostate.costs.kernels import FLOAT32_BYTES, Kernel, Part, calls
from isostate.costs.passes import Pass, linear
from isostate.mixers.native import Kernels
from isostate.mixers.s4 import CHUNK, S4Config

COMPLEX, DOUBLE = 4, 2  # elements of float32

Listed = tuple[Kernel, ...]

# Operations of either pass: of all calls, more where modes come in pairs, where they are bilinear, of every chunk, and
# of several chunks (torch 2.13).
FORWARD = {"all": 114, "pairs": 48, "bilinear": 6, "chunk": 23, "several": 1}
BACKWARD = {"all": 212, "pairs": 41, "bilinear": 11, "chunk": 29, "several": 27}
STEP = {"all": 46, "pairs": 11, "bilinear": 6}


def s4_passes(mixer: S4Config, batch: int, context: int, kernels: Kernels) -> dict[str, Pass]:
    """What one layer runs from an empty state, by name."""
    return {
        "mixing": Pass(*filtering(mixer, batch, context)),
        "projection out": linear(batch * context, mixer.d_model, 2 * mixer.d_model, mixer.bias == "all"),
        "mixer gate": _gate(batch * context * mixer.d_model),
    }


def s4_step(mixer: S4Config, batch: int, context: int) -> list[Part]:
    """One token a sequence, without gradients: the state is read and written."""
    elements = 2 * mixer.state_size(context + 1).elements
    return [
        Part("mixing", step(mixer, batch), state_bytes=FLOAT32_BYTES * batch * elements),
        Part("projection out", linear(batch, mixer.d_model, 2 * mixer.d_model).forward),
        Part("mixer gate", (Kernel("silu", (batch * mixer.d_model,)),)),
    ]


def filtering(mixer: S4Config, batch: int, context: int) -> tuple[Listed, Listed]:
    """Everything between x and gelu's result. Forward and backward."""
    chunk = min(mixer.chunk or CHUNK, context)
    n_chunks = -(-context // chunk)
    filters, filters_backward = _filters(mixer, chunk)
    mixing, mixing_backward = _mixing(mixer, batch, context, chunk, n_chunks)
    return (
        _with_calls((*filters, *mixing), FORWARD, mixer, n_chunks),
        _with_calls((*mixing_backward, *filters_backward), BACKWARD, mixer, n_chunks),
    )


def step(mixer: S4Config, batch: int) -> Listed:
    """One position, in the recurrent form: the modes again, and the state."""
    modes, state = mixer.d_model * mixer.modes, batch * mixer.d_model * mixer.d_state
    kernels = (
        Kernel("map", (COMPLEX * modes,), 4),
        Kernel("exp", (COMPLEX * modes,), 2),
        Kernel("copy", (DOUBLE * modes,), 8),
        Kernel("map", (state,), 6),
        Kernel("copy", (state,)),
        Kernel("sum rows", (state,)),
        Kernel("gelu", (batch * mixer.d_model,)),
    )
    return _with_calls(kernels, STEP, mixer, 0)


def _filters(mixer: S4Config, chunk: int) -> tuple[Listed, Listed]:
    """The powers of every mode, and what is made of them."""
    one = mixer.d_model * mixer.modes * chunk
    filters, kernel = mixer.d_model * mixer.d_state * chunk, mixer.d_model * chunk
    powers = (Kernel("map", (COMPLEX * one,)), Kernel("exp", (COMPLEX * one,)))
    forward = (
        *powers,
        Kernel("map", (COMPLEX * one,), 2),  # products with b and c, with c alone
        Kernel("sum columns", (mixer.modes, COMPLEX * kernel)),
        Kernel("copy", (COMPLEX * one,)),  # turned round
        Kernel("update", (COMPLEX * one,)),
        Kernel("copy", (filters,), 2),
        Kernel("update", (filters,)),
    )
    backward = (
        *powers,
        Kernel("update", (COMPLEX * one,), 2),
        Kernel("copy", (filters,)),
        Kernel("copy", (COMPLEX * one,), 4),
        Kernel("update", (COMPLEX * one,), 2),
        Kernel("map", (COMPLEX * one,), 3),
        Kernel("sum rows", (COMPLEX * one,), 4),
        Kernel("update", (COMPLEX * one,), 5),
    )
    return forward, backward


def _mixing(mixer: S4Config, batch: int, context: int, chunk: int, n_chunks: int) -> tuple[Listed, Listed]:
    """x to y: transforms of every chunk, and products between x or y and the states."""
    width, states, n_elements = mixer.d_model, mixer.d_state, batch * context * mixer.d_model
    padded, rows = batch * width * n_chunks * chunk, batch * n_chunks
    transform = Kernel("transform", (width * rows, 2 * chunk))
    state = Kernel("map", (batch * width * states,), 3 * n_chunks)
    whole, last = n_chunks - 1, context - (n_chunks - 1) * chunk
    into = Kernel("batched matmul", (batch, chunk, states), whole, width) if whole else None
    forward = (
        Kernel("transpose", (batch * context, width), 2),
        Kernel("copy", (2 * padded,)),
        transform,
        transform,
        Kernel("update", (2 * padded,)),
        Kernel("update", (padded,)),
        Kernel("copy", (batch * width * n_chunks * states,)),
        Kernel("batched matmul", (rows, states, chunk), units=width),
        *([into] if into else []),
        Kernel("batched matmul", (batch, last, states), units=width),
        state,
        Kernel("gelu", (n_elements,)),
    )
    left = [Kernel("batched matmul", (states, batch * whole, chunk), units=width)] if whole else []
    left += [Kernel("batched matmul", (batch * whole, states, chunk), units=width)] if whole else []
    backward = (
        Kernel("gelu backward", (n_elements,)),
        Kernel("transpose", (batch * context, width), 3),
        Kernel("copy", (2 * padded,), 2),
        transform,
        transform,
        transform,
        Kernel("update", (2 * padded,), 4),
        Kernel("sum columns", (rows, 2 * width * chunk)),
        Kernel("copy", (batch * width * n_chunks * states,), 2),
        Kernel("batched matmul", (states, rows, chunk), units=width),
        Kernel("batched matmul", (rows, chunk, states), units=width),
        *left,
        Kernel("batched matmul", (states, batch, last), units=width),
        Kernel("batched matmul", (batch, states, last), units=width),
        Kernel("map", (batch * width * states,), 6 * n_chunks),
        Kernel("update", (padded,)),
        Kernel("copy", (padded,)),
        Kernel("map", (n_elements,)),
        Kernel("sum columns", (batch * context, width)),
    )
    return forward, backward


def _with_calls(kernels: Listed, numbers: dict[str, int], mixer: S4Config, n_chunks: int) -> Listed:
    """And so many calls that all together are as many as torch dispatches."""
    total = numbers["all"] + numbers.get("chunk", 0) * n_chunks
    total += numbers["pairs"] * mixer.in_pairs + numbers["bilinear"] * (mixer.discretisation == "bilinear")
    total += numbers.get("several", 0) * (n_chunks > 1)
    return (*kernels, *calls(total - sum(kernel.times for kernel in kernels)))


def _gate(n_elements: int) -> Pass:
    """glu: one half times the sigmoid of the other."""
    return Pass((Kernel("silu", (n_elements,)),), (Kernel("silu backward", (2 * n_elements,)),))
