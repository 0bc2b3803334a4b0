"""The kernels of Mamba-2: a chunked forward and backward, and a step of generation. Written from `mixers/mamba2.py`."""

from __future__ import annotations

from isostate.costs.engine_kernels import Engine, chunked_kernels
from isostate.costs.kernels import FLOAT32_BYTES, Kernel, Part, calls
from isostate.costs.own_engine_kernels import own_chunked
from isostate.costs.passes import Pass, linear, rms_norm
from isostate.costs.tape.engine_kernel import runs_engine
from isostate.mixers.mamba2 import Mamba2Config
from isostate.mixers.native import Kernels


def mamba2_passes(mixer: Mamba2Config, batch: int, context: int, kernels: Kernels) -> dict[str, Pass]:
    """What one layer runs from an empty state, by name."""
    n_tokens = batch * context
    sizes = (batch, mixer.n_heads, context, mixer.head_dim, mixer.feature_map, mixer.chunk)
    engine = Engine(*sizes, normalised=False, gated=True, decayed=True, maps_elements=False)
    wide = mixer.inner + mixer.convolved + mixer.n_heads
    into = linear(n_tokens, mixer.d_model, wide, mixer.bias != "none")
    own = runs_engine(kernels, FLOAT32_BYTES)
    parts_joined = (Kernel("copy", (n_tokens * wide,)), *calls(4))  # gradients of z, of the convolved, of the steps
    return {
        "projection in": Pass((*into.forward, *calls(4)), (*into.backward, *parts_joined)),
        "convolution": _convolution(mixer, batch, context),
        "steps": _steps(mixer, n_tokens),
        "heads": _own_heads(mixer, n_tokens) if own else _heads(mixer, n_tokens),
        "mixing": own_chunked(engine) if own else _scan(engine),
        "gate and norm": _gate_and_norm(mixer, n_tokens),
        "projection out": linear(n_tokens, mixer.inner, mixer.d_model, mixer.bias == "all"),
    }


def mamba2_step(mixer: Mamba2Config, batch: int, context: int) -> list[Part]:
    """One token a sequence, without gradients: the state is read and written, and so are the convolution's inputs."""
    inner, rows, R = mixer.inner, batch * mixer.n_heads, mixer.d_state
    taps = (
        Kernel("copy", (batch * mixer.conv_taps * mixer.convolved,)),
        Kernel("copy", (mixer.conv_taps * mixer.convolved,)),
        Kernel("map", (batch * mixer.convolved,)),
        Kernel("update", (batch * mixer.convolved,), mixer.conv_taps - 1 + mixer.conv_bias),
        Kernel("silu", (batch * mixer.convolved,)),
        *calls(2 * mixer.conv_taps + 5),
    )
    limits = Kernel("map", (rows,), 3 + (mixer.step_limits is not None))
    steps = (limits, Kernel("gelu", (rows,)), Kernel("map", (batch * inner,)), *calls(12))
    scan = (
        Kernel("strided", (rows * R, mixer.head_dim), 2),  # read by C; what B writes
        Kernel("map", (rows * R * mixer.head_dim,), 2),  # decayed, added to
        Kernel("sum columns", (rows * R, mixer.head_dim)),
        Kernel("map", (rows * R,), 3),
        Kernel("map", (batch * inner,), 3),
        *calls(19 + 2 * _copies(mixer)),
    )
    norm = rms_norm(batch * mixer.n_groups, inner // mixer.n_groups).forward
    gate = (Kernel("map", (batch * inner,), 3), Kernel("silu", (batch * inner,)), *norm, *calls(8))
    wide = inner + mixer.convolved + mixer.n_heads
    state_bytes = 2 * FLOAT32_BYTES * batch * mixer.state_size(context + 1).elements
    return [
        Part("projection in", (*linear(batch, mixer.d_model, wide).forward, *calls(4))),
        Part("convolution", taps),
        Part("steps", steps),
        Part("mixing", scan, state_bytes=state_bytes),
        Part("gate and norm", gate),
        Part("projection out", linear(batch, inner, mixer.d_model).forward),
    ]


def _convolution(mixer: Mamba2Config, batch: int, context: int) -> Pass:
    """One pass a tap over the inputs joined with those before; then silu."""
    taps, n_elements = mixer.conv_taps, batch * context * mixer.convolved
    joined = batch * (context + taps - 1) * mixer.convolved
    forward = (
        Kernel("copy", (joined,)),
        Kernel("map", (n_elements,)),
        Kernel("update", (n_elements,), taps - 1 + mixer.conv_bias),
        Kernel("silu", (n_elements,)),
        *calls(2 * taps + 6),
    )
    bias = (Kernel("sum columns", (batch * context, mixer.convolved)), *calls(3)) if mixer.conv_bias else ()
    backward = (
        Kernel("silu backward", (n_elements,)),
        Kernel("update", (joined,)),
        Kernel("update", (n_elements,), taps),
        Kernel("map of saved", (n_elements,), taps),
        Kernel("sum columns", (batch * context, mixer.convolved), taps),
        *bias,
        *calls(6 * taps + 9),
    )
    return Pass(forward, backward)


def _steps(mixer: Mamba2Config, n_tokens: int) -> Pass:
    """softplus of the steps; times x, the values; times A, the decays."""
    n_steps, n_elements = n_tokens * mixer.n_heads, n_tokens * mixer.inner
    limited = mixer.step_limits is not None
    forward = (
        Kernel("map", (n_steps,), 2 + limited),
        Kernel("gelu", (n_steps,)),
        Kernel("map", (n_elements,)),
        *calls(6),
    )
    backward = (
        Kernel("map of saved", (n_elements,), 2),
        Kernel("sum rows", (n_elements,)),
        Kernel("map", (n_steps,), 3 + 4 * limited),
        Kernel("gelu backward", (n_steps,)),
        Kernel("sum columns", (n_tokens, mixer.n_heads), 2),
        *calls(4),
    )
    return Pass(forward, backward)


def _copies(mixer: Mamba2Config) -> bool:
    """Whether B and C are copied for the heads of a group: one group's are the same view for all."""
    return 1 < mixer.n_groups < mixer.n_heads


def _heads(mixer: Mamba2Config, n_tokens: int) -> Pass:
    """B and C for every head of their group, and the gradients of those added up."""
    rows = (n_tokens * mixer.n_heads, mixer.d_state)
    copied = (Kernel("strided", rows, 2), *calls(4)) if _copies(mixer) else ()
    summed = (Kernel("sum columns", rows, 2), *calls(2)) if mixer.n_groups < mixer.n_heads else ()
    own = n_tokens * mixer.n_groups * mixer.d_state
    again = (Kernel("strided", (own // mixer.d_state, mixer.d_state), 2),) if mixer.n_groups > 1 else ()
    joined = Kernel("copy", (n_tokens * mixer.convolved,))  # gradients of x, B and C
    return Pass((*copied, *calls(4)), (*summed, *again, joined, *calls(4)))


def _own_heads(mixer: Mamba2Config, n_tokens: int) -> Pass:
    """Our kernel shares B and C among the heads of a group."""
    return Pass(calls(4), (Kernel("copy", (n_tokens * mixer.convolved,)), *calls(4)))


def _scan(engine: Engine) -> Pass:
    """The engine, and what its gates' gradient takes."""
    forward, backward = chunked_kernels(engine)
    n_values, n_positions = engine.rows * engine.context * engine.value_size, engine.rows * engine.context
    gates = (Kernel("map of saved", (n_values,), 2), Kernel("sum rows", (n_values,), 2))
    turned = Kernel("strided", (n_positions, engine.feature_map.head_dim), 2)  # positions first again
    return Pass(forward, (*gates, turned, Kernel("map", (n_positions,), 4), *calls(8), *backward))


def _gate_and_norm(mixer: Mamba2Config, n_tokens: int) -> Pass:
    """D x added, times silu of z, the norm."""
    n_elements = n_tokens * mixer.inner
    norm = rms_norm(n_tokens * mixer.n_groups, mixer.inner // mixer.n_groups)
    forward = (
        Kernel("map of saved", (n_elements,), 2),
        Kernel("silu", (n_elements,)),
        Kernel("map of saved", (n_elements,)),
        *norm.forward,
        *calls(6),
    )
    backward = (
        *norm.backward,
        Kernel("map of saved", (n_elements,), 4),
        Kernel("silu backward", (n_elements,)),
        Kernel("sum columns", (n_tokens, mixer.inner)),
        *calls(6),
    )
    return Pass(forward, backward)
