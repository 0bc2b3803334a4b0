"""A decoder's operators: what each runs, forward, in a training step, in a step of generation.

The parts around a mixer stand here; `mixer_kernels.py`, `engine_kernels.py` and `decode_kernels.py` have the others'.
Matmul FLOPs of a forward equal those of `costs.forward_cost`, those of an update what torch counts: operators are made
of torch's kernels, of which every product can be counted, parts for predicted times of those that run.
"""

from __future__ import annotations

from isostate.costs.decode_kernels import decode_parts
from isostate.costs.kernels import ACTING, ACTING_BACKWARD, Kernel, Part, calls, repeated
from isostate.costs.mixer_kernels import mixer_parts
from isostate.costs.parameters import parameter_shapes
from isostate.costs.passes import Pass, linear, rms_norm
from isostate.mixers.native import Kernels, kernels_here
from isostate.model import ModelConfig
from isostate.model.decoder import Recompute
from isostate.model.head import piece_rows
from isostate.model.layers import GATED
from isostate.quantities import Operator


def forward_operators(config: ModelConfig, batch: int, context: int) -> tuple[Operator, ...]:
    """From tokens to losses, in the chunked form, without gradients."""
    forward, _ = _layers(config, batch, context, "torch")
    parts = [*_ends(config, batch, context)[0], *forward, _evaluation_head(config, batch * context)]
    return tuple(part.operator() for part in parts)


def training_operators(
    config: ModelConfig, batch: int, context: int, recompute: Recompute = "none"
) -> tuple[Operator, ...]:
    """One update on `batch` sequences: forward, backward, AdamW."""
    return tuple(part.operator() for part in training_parts(config, batch, context, recompute, "torch"))


def decode_operators(config: ModelConfig, batch: int, context: int) -> tuple[Operator, ...]:
    """One token for each of `batch` sequences behind `context` tokens, in the recurrent form."""
    return tuple(part.operator() for part in decode_parts(config, batch, context))


def training_parts(
    config: ModelConfig,
    batch: int,
    context: int,
    recompute: Recompute = "none",
    kernels: Kernels | None = None,
) -> tuple[Part, ...]:
    """The kernels of one update, by default those that this machine runs; equal layers stand together.

    Raises UserError for what is not written down.
    """
    ends, ends_backward = _ends(config, batch, context)
    forward, backward = _layers(config, batch, context, kernels or kernels_here())
    again = _again(config, forward) if recompute == "blocks" else ()
    head = _training_head(config, batch * context)
    return (*ends, *forward, head, *again, *backward, *ends_backward, *_update(config))


def _ends(config: ModelConfig, batch: int, context: int) -> tuple[tuple[Part, ...], tuple[Part, ...]]:
    """Embeddings and the last norm."""
    n_tokens, width = batch * context, config.d_model
    n_elements, norm = n_tokens * width, _norm(config, n_tokens)
    looked_up = [Kernel("gather", (n_tokens, width))]
    added = [Kernel("update", (config.vocab_size * width,)), Kernel("scatter", (n_tokens, width))]
    if config.position_embedding != "none":
        looked_up += [Kernel("map", (n_elements,), 2 if config.position_embedding == "sinusoidal" else 1), *calls(1)]
    if config.position_embedding == "learned":
        added += [Kernel("sum columns", (batch, context * width)), Kernel("update", (context * width,)), *calls(1)]
    elif config.position_embedding == "sinusoidal":
        added += [Kernel("map", (n_elements,))]
    if config.dropout:
        looked_up += _dropout(n_elements).forward
        added += _dropout(n_elements).backward
    return (
        (Part("embedding", tuple(looked_up)), Part("last norm", norm.forward)),
        (Part("last norm backward", norm.backward), Part("embedding backward", tuple(added))),
    )


def _layers(
    config: ModelConfig, batch: int, context: int, kernels: Kernels
) -> tuple[tuple[Part, ...], tuple[Part, ...]]:
    """Forward and backward."""
    n_tokens = batch * context
    norm, mlp = _norm(config, n_tokens), _mlp(config, n_tokens)
    residual = _residual(config, n_tokens)
    forward = [Part("norms", norm.forward, config.n_norms), Part("residual", residual.forward)]
    backward = [Part("norms backward", norm.backward, config.n_norms)]
    backward += [Part("feed-forward backward", mlp.backward), Part("residual backward", residual.backward)]
    if config.conv_taps:
        convolution = _convolution(config, batch, context)
        forward.append(Part("convolution", convolution.forward))
        backward.append(Part("convolution backward", convolution.backward))
    forward.append(Part("feed-forward", mlp.forward))
    layers, back = [*repeated(forward, config.n_layers)], [*repeated(backward, config.n_layers)]
    for mixer, times in config.mixer_groups:
        mixing, mixing_backward = mixer_parts(mixer, batch, context, kernels)
        layers += repeated(mixing, times)
        back += repeated(mixing_backward, times)
    return tuple(layers), tuple(back)


def _again(config: ModelConfig, forward: tuple[Part, ...]) -> tuple[Part, ...]:
    """Every layer's forward once more; without dropout, whose mask is kept, not its last product (FORMULAS 2)."""
    last = "projection out" if config.mlp == "none" else "feed-forward"
    parts = []
    for part in forward:
        kernels = list(part.kernels)
        if part.name == last and not config.dropout:
            kernels.remove(next(kernel for kernel in reversed(kernels) if kernel.kind == "matmul"))
        parts.append(Part(f"{part.name} again", tuple(kernels), part.times))
    return tuple(parts)


def _residual(config: ModelConfig, n_tokens: int) -> Pass:
    """Two sums, or one where there is no feed-forward, and what is dropped before them."""
    n_elements, n_sums = n_tokens * config.d_model, 1 if config.mlp == "none" else 2
    drop = _dropout(n_elements) if config.dropout else Pass((), ())
    return Pass(
        (Kernel("map", (n_elements,), n_sums), *n_sums * drop.forward),
        (Kernel("update", (n_elements,), n_sums), *n_sums * drop.backward),
    )


def _dropout(n_elements: int) -> Pass:
    return Pass((Kernel("dropout", (n_elements,)), *calls(3)), (Kernel("map of saved", (n_elements,)),))


def _norm(config: ModelConfig, n_tokens: int) -> Pass:
    if config.norm == "rms":
        return rms_norm(n_tokens, config.d_model)
    shape = (n_tokens, config.d_model)
    return Pass((Kernel("layer norm", shape),), (Kernel("layer norm backward", shape),))


def _mlp(config: ModelConfig, n_tokens: int) -> Pass:
    """One matrix to both halves where one gates the other."""
    if config.mlp == "none":
        return Pass((), ())
    gated, bias = config.mlp in GATED, config.bias in ("mlp", "all")
    into = linear(n_tokens, config.d_model, (1 + gated) * config.d_ff, bias)
    out = linear(n_tokens, config.d_ff, config.d_model, bias)
    elements, acting = (n_tokens * config.d_ff,), ACTING[config.mlp]
    forward, backward = [Kernel(acting, elements)], [Kernel(ACTING_BACKWARD[acting], elements)]
    if gated:
        forward += [Kernel("map of saved", elements), *calls(1)]
        backward += [Kernel("map of saved", elements, 2), Kernel("copy", (2 * elements[0],))]
    elif config.mlp == "squared-relu":
        forward += [Kernel("map", elements)]
        backward += [Kernel("map of saved", elements), Kernel("map", elements, 2)]
    return Pass((*into.forward, *forward, *out.forward), (*out.backward, *backward, *into.backward))


def _convolution(config: ModelConfig, batch: int, context: int) -> Pass:
    """One pass a tap over the input joined with that of the segment before."""
    taps, n_elements = config.conv_taps, batch * context * config.d_model
    joined = batch * (context + taps - 1) * config.d_model
    forward = (
        Kernel("copy", (joined,)),
        Kernel("map", (n_elements,)),
        Kernel("update", (n_elements,), taps - 1),
        *calls(2 * taps + 2),
    )
    backward = (
        Kernel("update", (joined,)),
        Kernel("update", (n_elements,), taps),
        Kernel("map of saved", (n_elements,), taps),
        Kernel("sum columns", (batch * context, config.d_model), taps),
        *calls(6 * taps + 1),
    )
    return Pass(forward, backward)


def _pieces(config: ModelConfig, n_tokens: int) -> list[int]:
    """Rows of the head's pieces, as in `model/head.py`."""
    size = piece_rows(config.vocab_size)
    return [min(size, n_tokens - start) for start in range(0, n_tokens, size)]


def _evaluation_head(config: ModelConfig, n_tokens: int) -> Part:
    kernels: list[Kernel] = []
    for rows in _pieces(config, n_tokens):
        kernels += [Kernel("matmul", (rows, config.d_model, config.vocab_size), weights=True)]
        kernels += [*_capped(config, rows), Kernel("log softmax", (rows, config.vocab_size)), *calls(8)]
    return Part("head", tuple(kernels))


def _training_head(config: ModelConfig, n_tokens: int) -> Part:
    """Loss and both gradients, piece by piece; the backward only scales them."""
    width, words = config.d_model, config.vocab_size
    kernels: list[Kernel] = [Kernel("update", (words * width,)), *calls(7)]
    for rows in _pieces(config, n_tokens):
        slope = (Kernel("update", (rows * words,), 2), Kernel("map", (rows * words,), 2)) if config.logit_cap else ()
        kernels += [
            Kernel("matmul", (rows, width, words), weights=True),
            *_capped(config, rows),
            Kernel("softmax", (rows, words)),
            *slope,
            Kernel("matmul", (rows, words, width), weights=True),
            Kernel("matmul", (words, rows, width)),
            *calls(17),
        ]
    scaled = (Kernel("map", (n_tokens * width,)), Kernel("map", (words * width,)))
    return Part("head", (*kernels, *scaled))


def _capped(config: ModelConfig, rows: int) -> tuple[Kernel, ...]:
    """tanh is taken for a gelu, which holds one."""
    elements = (rows * config.vocab_size,)
    return (Kernel("map", elements, 2), Kernel("gelu", elements)) if config.logit_cap else ()


def _update(config: ModelConfig) -> tuple[Part, ...]:
    """Gradients added into the optimizer's buffer; their norm; AdamW; the buffer cleared."""
    n_params = config.param_count().total
    shared = (Kernel("update", (config.vocab_size * config.d_model,)),) if config.embeddings == "tied" else ()
    added = (Kernel("update", (n_params,)), *shared, *calls(len(parameter_shapes(config)) - 1))
    update = (
        Kernel("sum rows", (n_params,)),
        Kernel("adamw", (n_params,)),
        Kernel("update", (n_params,)),
        *calls(5),
    )
    return Part("gradients", added), Part("optimizer", update)
