"""The kernels of Mamba between its projections: the convolution and its silu, the scan and its gate; one step of both.

Written from `mixers/mamba.py`, `convolution.py` and `scan.py`. Where the scan is a kernel of our own, which torch does
not dispatch, it and Python's way to it stand for two of the calls beside it.
"""

from __future__ import annotations

from isostate.costs.kernels import FLOAT32_BYTES, Kernel, Part, calls
from isostate.costs.passes import Pass, linear
from isostate.mixers.mamba import MambaConfig
from isostate.mixers.native import Kernels

Listed = tuple[Kernel, ...]


def mamba_passes(mixer: MambaConfig, batch: int, context: int, kernels: Kernels) -> dict[str, Pass]:
    """What one layer runs from an empty state, by name."""
    n_tokens = batch * context
    return {
        "projection in": linear(n_tokens, mixer.d_model, 2 * mixer.inner, mixer.bias != "none"),
        "mixer convolution": Pass(*convolution(mixer, batch, context)),
        "selection": linear(n_tokens, mixer.inner, sum(mixer.selected)),
        "steps": linear(n_tokens, mixer.rank, mixer.inner),
        "mixing": Pass(*scan(mixer, batch, context, kernels)),
        "projection out": linear(n_tokens, mixer.inner, mixer.d_model, mixer.bias == "all"),
    }


def mamba_step(mixer: MambaConfig, batch: int, context: int) -> list[Part]:
    """One token a sequence, without gradients: the state is read and written."""
    elements = 2 * mixer.state_size(context + 1).elements
    return [
        Part("projection in", linear(batch, mixer.d_model, 2 * mixer.inner).forward),
        Part("selection", linear(batch, mixer.inner, sum(mixer.selected)).forward),
        Part("steps", linear(batch, mixer.rank, mixer.inner).forward),
        Part("mixing", step(mixer, batch), state_bytes=FLOAT32_BYTES * batch * elements),
        Part("projection out", linear(batch, mixer.inner, mixer.d_model).forward),
    ]


def convolution(mixer: MambaConfig, batch: int, context: int) -> tuple[Listed, Listed]:
    """Of x, with what is remembered: one pass a tap, then silu. Forward and backward."""
    n_tokens, inner, taps = batch * context, mixer.inner, mixer.conv_taps
    n_elements, n_behind = n_tokens * inner, batch * (context + taps - 1) * inner
    forward = (
        Kernel("copy", (n_behind,)),
        Kernel("copy", (taps * inner,)),
        Kernel("map", (n_elements,)),
        Kernel("update", (n_elements,), taps - 1 + mixer.conv_bias),
        Kernel("silu", (n_elements,)),
        *calls(2 * taps + 5),
    )
    backward = (
        Kernel("silu backward", (n_elements,)),
        Kernel("update", (n_behind,)),
        Kernel("update", (n_elements,), taps),
        Kernel("map of saved", (n_elements,), taps),
        Kernel("sum columns", (n_tokens, inner), taps + mixer.conv_bias),
        Kernel("copy", (2 * n_elements,)),  # x and z joined
        *calls(5 * taps + 6 + mixer.conv_bias),
    )
    return forward, backward


def scan(mixer: MambaConfig, batch: int, context: int, kernels: Kernels) -> tuple[Listed, Listed]:
    """Steps from their projection, A, the scan, the gate. Forward and backward."""
    n_tokens, inner, states = batch * context, mixer.inner, mixer.d_state
    n_elements, size = n_tokens * inner, inner * states
    own = kernels == "own"
    forward = (
        Kernel("update", (n_elements,)),
        Kernel("silu", (n_elements,)),  # softplus
        Kernel("map", (size,), 2),
        Kernel("copy", (batch * size,), 2),
        Kernel("scan", (n_elements, states)),
        Kernel("silu", (n_elements,)),
        Kernel("map", (n_elements,)),
        *([Kernel("own call")] if own else []),
        *calls(9 - own),
    )
    backward = (
        Kernel("map of saved", (n_elements,), 2),
        Kernel("silu backward", (n_elements,)),
        Kernel("map", (batch * size,), 2),
        Kernel("scan backward", (n_elements, states)),
        Kernel("sum columns", (batch, size), 2),
        Kernel("copy", (n_tokens * states,), 2),
        Kernel("map", (size,), 4),
        Kernel("silu backward", (n_elements,)),
        Kernel("sum columns", (n_tokens, inner)),
        Kernel("copy", (n_tokens * sum(mixer.selected),)),
        Kernel("map", (n_elements,)),
        *([Kernel("own call backward")] if own else []),
        *calls(10 - own),
    )
    return forward, backward


def step(mixer: MambaConfig, batch: int) -> Listed:
    """One position of everything between the projections, in the recurrent form."""
    wide, size, taps = batch * mixer.inner, mixer.inner * mixer.d_state, mixer.conv_taps
    return (
        Kernel("copy", (taps * wide,)),
        Kernel("copy", (taps * mixer.inner,)),
        Kernel("map", (wide,), 5),
        Kernel("update", (wide,), taps + mixer.conv_bias),
        Kernel("silu", (wide,), 3),
        Kernel("map", (size,), 2),
        Kernel("map", (batch * size,), 5),
        Kernel("exp", (batch * size,)),
        Kernel("sum rows", (batch * size,)),
        *calls(2 * taps + 15),
    )
