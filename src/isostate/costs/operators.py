"""A decoder's operators: what each runs, forward, in a training step, in a step of generation.

The parts around a mixer stand here; `mixer_kernels.py`, `engine_kernels.py` and `decode_kernels.py` have the others'.
Matmul FLOPs of a forward equal those of `costs.forward_cost`, those of a training step what torch counts.
"""

from __future__ import annotations

from isostate.costs.decode_kernels import decode_parts
from isostate.costs.kernels import Kernel, Part, calls, repeated
from isostate.costs.mixer_kernels import mixer_parts
from isostate.costs.passes import Pass, linear, rms_norm
from isostate.model import ModelConfig
from isostate.model.head import PIECE_ELEMENTS
from isostate.quantities import Operator


def forward_operators(config: ModelConfig, batch: int, context: int) -> tuple[Operator, ...]:
    """From tokens to losses, in the chunked form, without gradients."""
    parts = [*_body(config, batch, context)[0], _evaluation_head(config, batch * context)]
    return tuple(part.operator() for part in parts)


def training_operators(config: ModelConfig, batch: int, context: int) -> tuple[Operator, ...]:
    """One update on `batch` sequences: forward, backward, AdamW."""
    return tuple(part.operator() for part in training_parts(config, batch, context))


def decode_operators(config: ModelConfig, batch: int, context: int) -> tuple[Operator, ...]:
    """One token for each of `batch` sequences behind `context` tokens, in the recurrent form."""
    return tuple(part.operator() for part in decode_parts(config, batch, context))


def training_parts(config: ModelConfig, batch: int, context: int) -> tuple[Part, ...]:
    """The kernels of one update, in the order in which they run but for the layers, which stand together."""
    forward, backward = _body(config, batch, context)
    return (*forward, _training_head(config, batch * context), *backward, *_update(config))


def _body(config: ModelConfig, batch: int, context: int) -> tuple[tuple[Part, ...], tuple[Part, ...]]:
    """Forward and backward of all but the head."""
    n_tokens = batch * context
    norm = _norm(config, n_tokens)
    mlp = _mlp(config, n_tokens)
    n_sums = 1 if config.mlp == "none" else 2
    residual = Pass(
        (Kernel("map", (n_tokens * config.d_model,), n_sums),),
        (Kernel("update", (n_tokens * config.d_model,), n_sums),),
    )
    convolution = _convolution(config, batch, context)
    layer = [
        Part("norms", norm.forward, config.n_norms),
        Part("feed-forward", mlp.forward),
        Part("residual", residual.forward),
    ]
    back = [Part("norms backward", norm.backward, config.n_norms)]
    back += [Part("feed-forward backward", mlp.backward), Part("residual backward", residual.backward)]
    if config.conv_taps:
        layer.append(Part("convolution", convolution.forward))
        back.append(Part("convolution backward", convolution.backward))
    layers, backs = [*repeated(layer, config.n_layers)], [*repeated(back, config.n_layers)]
    for mixer, times in config.mixer_groups:
        forward, backward = mixer_parts(mixer, batch, context)
        layers += repeated(forward, times)
        backs += repeated(backward, times)
    table = config.vocab_size * config.d_model
    embedding = Part("embedding", (Kernel("gather", (n_tokens, config.d_model)),))
    embedding_backward = (Kernel("update", (table,)), Kernel("scatter", (n_tokens, config.d_model)))
    return (
        (embedding, *layers, Part("last norm", norm.forward)),
        (
            *backs,
            Part("last norm backward", norm.backward),
            Part("embedding backward", embedding_backward),
        ),
    )


def _norm(config: ModelConfig, n_tokens: int) -> Pass:
    if config.norm == "rms":
        return rms_norm(n_tokens, config.d_model)
    shape = (n_tokens, config.d_model)
    return Pass((Kernel("layer norm", shape),), (Kernel("layer norm backward", shape),))


def _mlp(config: ModelConfig, n_tokens: int) -> Pass:
    """swiglu: one matrix to both halves; gelu; none."""
    if config.mlp == "none":
        return Pass((), ())
    wide = 2 * config.d_ff if config.mlp == "swiglu" else config.d_ff
    into, out = linear(n_tokens, config.d_model, wide), linear(n_tokens, config.d_ff, config.d_model)
    n_elements = n_tokens * config.d_ff
    if config.mlp == "gelu":
        forward: tuple[Kernel, ...] = (Kernel("gelu", (n_elements,)),)
        backward: tuple[Kernel, ...] = (Kernel("gelu backward", (n_elements,)),)
    else:
        forward = (Kernel("silu", (n_elements,)), Kernel("map of saved", (n_elements,)), *calls(1))
        backward = (
            Kernel("map of saved", (n_elements,), 2),
            Kernel("silu backward", (n_elements,)),
            Kernel("copy", (2 * n_elements,)),
        )
    return Pass((*into.forward, *forward, *out.forward), (*out.backward, *backward, *into.backward))


def _convolution(config: ModelConfig, batch: int, context: int) -> Pass:
    """One pass a tap over the input joined with that of the segment before."""
    taps, n_elements = config.conv_taps, batch * context * config.d_model
    forward = (
        Kernel("copy", (batch * (context + taps - 1) * config.d_model,)),
        Kernel("map", (n_elements,)),
        Kernel("update", (n_elements,), taps - 1),
        *calls(2 * taps + 2),
    )
    backward = (
        Kernel("update", (batch * (context + taps - 1) * config.d_model,)),
        Kernel("update", (n_elements,), taps),
        Kernel("map of saved", (n_elements,), taps),
        Kernel("sum columns", (batch * context, config.d_model), taps),
        *calls(6 * taps + 1),
    )
    return Pass(forward, backward)


def _pieces(config: ModelConfig, n_tokens: int) -> list[int]:
    """Rows of the head's pieces, as in `model/head.py`."""
    size = max(16, PIECE_ELEMENTS // config.vocab_size)
    return [min(size, n_tokens - start) for start in range(0, n_tokens, size)]


def _evaluation_head(config: ModelConfig, n_tokens: int) -> Part:
    width, words = config.d_model, config.vocab_size
    kernels: list[Kernel] = []
    for rows in _pieces(config, n_tokens):
        kernels += [
            Kernel("matmul", (rows, width, words), weights=True),
            Kernel("log softmax", (rows, words)),
            *calls(8),
        ]
    return Part("head", tuple(kernels))


def _training_head(config: ModelConfig, n_tokens: int) -> Part:
    """Loss and both gradients, piece by piece; the backward only scales them."""
    width, words = config.d_model, config.vocab_size
    kernels: list[Kernel] = [Kernel("update", (words * width,)), *calls(7)]
    for rows in _pieces(config, n_tokens):
        kernels += [
            Kernel("matmul", (rows, width, words), weights=True),
            Kernel("log softmax", (rows, words)),
            Kernel("exp", (rows * words,)),
            Kernel("matmul", (rows, words, width), weights=True),
            Kernel("matmul", (words, rows, width)),
            *calls(11),
        ]
    scaled = (Kernel("map", (n_tokens * width,)), Kernel("map", (words * width,)))
    return Part("head", (*kernels, *scaled))


def _update(config: ModelConfig) -> tuple[Part, ...]:
    """Gradients added into the optimizer's buffer; their norm; AdamW; the buffer cleared."""
    count = config.param_count()
    n_params = count.total
    tables = config.vocab_size * config.d_model
    shared = (Kernel("update", (tables,)),) if config.embeddings == "tied" else ()
    n_tensors = 2 + config.n_layers * (6 + 2 * (config.norm == "layer") + (config.conv_taps > 0))
    added = (Kernel("update", (n_params,)), *shared, *calls(n_tensors - 1))
    update = (
        Kernel("sum rows", (n_params,)),
        Kernel("adamw", (n_params,)),
        Kernel("update", (n_params,)),
        *calls(5),
    )
    return Part("gradients", added), Part("optimizer", update)
