"""The linear family's chunked form where our own kernel runs it (`mixers/engine_kernel.py`): one call each way.

A kernel's time is measured by degree, head size and positions, with values as long as keys. Other lengths of values,
and maps of several degrees, count as so many heads more or fewer as their states are larger or smaller.
"""

from __future__ import annotations

import math

from isostate.costs.engine_kernels import Engine
from isostate.costs.kernels import Kernel, calls
from isostate.costs.passes import Pass
from isostate.mixers.linear_family import LinearFamilyConfig


def own_engine_kernels(mixer: LinearFamilyConfig, batch: int, context: int) -> Pass:
    """From queries, keys and values by head to what is read: maps of elements and gates around the kernel."""
    engine = Engine.of(mixer, batch, context)
    n_positions = engine.rows * context
    forward, backward = [], []
    if engine.maps_elements:
        n_keys = (n_positions * mixer.head_dim,)
        forward += [Kernel("gelu", n_keys, 2), Kernel("map", n_keys, 2)]
        backward += [Kernel("gelu backward", n_keys, 2)]
    if engine.gated:
        forward += [Kernel("map", (n_positions,), 2), *calls(2)]
        backward += [Kernel("map", (n_positions,), 2), *calls(3)]
    chunked = own_chunked(engine)
    return Pass((*forward, *chunked.forward), (*chunked.backward, *backward))


def own_chunked(engine: Engine) -> Pass:
    """The kernel alone, and what torch allocates and asks for it."""
    feature_map, degree = engine.feature_map, max(1, engine.feature_map.degree)
    size = feature_map.head_dim
    measured = math.comb(size + degree - 1, degree) * size
    units = max(1, round(engine.rows * feature_map.expanded_size * engine.value_size / measured))
    shape = (degree, size, engine.context)
    return Pass(
        (Kernel("own engine", shape, units=units), Kernel("own call"), *calls(9 + 4 * engine.normalised)),
        (Kernel("own engine backward", shape, units=units), Kernel("own call backward"), *calls(9)),
    )
