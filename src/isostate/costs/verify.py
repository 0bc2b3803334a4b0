"""Predicted against counted: runs the real model and compares what the files beside this one say of it.

Counting builds nothing; verifying builds the model. A small one computes; a large one runs on fake tensors, which have
sizes and no numbers: then torch's allocator has nothing to give, and the peak of memory is left to smaller runs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor, nn

from isostate.config import UserError
from isostate.costs import counting
from isostate.costs.activations import kept_activations
from isostate.costs.decoder import decoder_operators
from isostate.costs.flops import step_flops
from isostate.costs.formula import total_cost
from isostate.costs.model import forward_cost
from isostate.costs.parameters import parameter_shapes
from isostate.costs.precision import PrecisionName, model_state_bytes, state_bytes
from isostate.costs.sublayer import Run
from isostate.costs.training import training_memory
from isostate.mixers.native import Kernels, kernels_here
from isostate.model import Decoder, DecoderState, ModelConfig, Recompute
from isostate.model.head import piece_rows

# What computes at all: bytes of a step, and FLOPs of one, of which verifying takes some twenty.
LARGEST_BYTES, MOST_FLOPS = 4 * 2**30, 10**11
MOST_PIECES = 512  # of the head
PEAK_TOLERANCE = 0.03  # of the allocator's peak; in fp32 the tape misses scalars alone
RECOMPUTE: tuple[Recompute, ...] = ("none", "blocks")
SUFFIX = {"none": "", "blocks": ", blocks run again"}
TINY = ModelConfig.parse({"vocab_size": 8, "n_layers": 1, "d_model": 8, "mixer": {"kind": "softmax"}}, "verify")
DTYPES: dict[PrecisionName, torch.dtype] = {"fp32": torch.float32, "bf16": torch.bfloat16}


class Row(NamedTuple):
    """One quantity. `counted` is None where it could not be run; `tolerance` is 0 where equality is claimed."""

    quantity: str
    unit: str
    predicted: int
    counted: int | None
    tolerance: float | None = 0.0  # None: reported beside, nothing is claimed

    @property
    def error(self) -> float | None:
        """Relative to what was counted."""
        if self.counted is None:
            return None
        return self.predicted / self.counted - 1 if self.counted else float(self.predicted != 0)

    @property
    def holds(self) -> bool | None:
        """Whether what is claimed is true; None where nothing is claimed or counted."""
        if self.tolerance is None or self.error is None:
            return None
        return abs(self.error) <= self.tolerance


def verify(config: ModelConfig, batch: int = 2, context: int = 128) -> list[Row]:
    """All rows, of `batch` sequences of `context` tokens, as they run here. Raises UserError for too long a context.

    FLOPs alone are those of torch's operations: inside of our own kernels no counter sees them.
    """
    _check_pieces(config, batch, context)
    memory = training_memory(config, batch, context)
    small = is_small(config, batch, context)
    kernels = kernels_here() if small else "torch"  # fake tensors are torch's
    with torch.random.fork_rng(devices=[]):
        # First, while the process holds nothing that could be used again, but with all libraries loaded.
        _train(TINY, 1, 8, "none")
        grown = counting.resident_growth(partial(_train, config, batch, context, "none")) if small else None
        tensors: AbstractContextManager[None] = nullcontext() if small else counting.fake_tensors()
        with tensors:
            rows = [*_parameters(config), *_flops(config, batch, context)]
            for precision in DTYPES:
                rows += _bytes(config, precision, batch, context, kernels)
        rows += _peak(config, small, batch, context)
    return [*rows, Row("growth of the process in training", "bytes", memory.total, grown, None)]


def _check_pieces(config: ModelConfig, batch: int, context: int) -> None:
    """Raises UserError where even without arithmetic it would take hours: every piece is run, some ten times."""
    rows = piece_rows(config.vocab_size)
    if batch * context > MOST_PIECES * rows:
        raise UserError(
            f"batch = {batch}, context = {context}: the head runs {batch * context:,} tokens in pieces of {rows}, and "
            f"verifying stops at {MOST_PIECES}; give --batch 1 --context {min(context, MOST_PIECES * rows)} or less"
        )


def is_small(config: ModelConfig, batch: int, context: int) -> bool:
    """Whether verifying computes, instead of running on fake tensors."""
    n_bytes, n_flops = step_size(config, batch, context)
    return n_bytes <= LARGEST_BYTES and n_flops <= MOST_FLOPS


def step_size(config: ModelConfig, batch: int, context: int) -> tuple[int, int]:
    """Bytes and FLOPs of the one step that decides it."""
    return training_memory(config, batch, context).total, step_flops(config, batch, context).hardware


def small_context(config: ModelConfig, batch: int, context: int) -> int | None:
    """The longest context, a power of two, at which the same batch computes; None where it takes a smaller model."""
    powers = (2**power for power in reversed(range(context.bit_length())))
    return next((some for some in powers if is_small(config, batch, some)), None)


def tokens(batch: int, context: int, vocab_size: int) -> Tensor:
    """tokens_BT of no meaning, the same every time."""
    generator = torch.Generator().manual_seed(0)
    return torch.randint(vocab_size, (batch, context), generator=generator)


def _built(config: ModelConfig, precision: PrecisionName = "fp32") -> Decoder:
    """`Decoder.to` would not do: parameters that are fake are made anew."""
    model = Decoder(config)
    for module in model.modules():
        for name, parameter in list(module.named_parameters(recurse=False)):
            module.register_parameter(name, nn.Parameter(parameter.detach().to(DTYPES[precision])))
    return model


def _parameters(config: ModelConfig) -> Iterator[Row]:
    count, model = config.param_count(), Decoder(config)
    sizes = {name: parameter.numel() for name, parameter in model.named_parameters()}
    embedding = sum(size for name, size in sizes.items() if name.startswith(("embedding", "head.")))
    yield Row("parameters", "parameters", count.total, sum(sizes.values()))
    yield Row("parameters, embeddings", "parameters", count.embedding, embedding)
    yield Row("parameters, the rest", "parameters", count.non_embedding, sum(sizes.values()) - embedding)
    built = {name: tuple(parameter.shape) for name, parameter in model.named_parameters()}
    predicted = parameter_shapes(config)
    alike = sum(built.get(name) == shape for name, shape in predicted.items())
    yield Row("parameter tensors of the right name and shape", "tensors", len(predicted), alike)


def _flops(config: ModelConfig, batch: int, context: int) -> Iterator[Row]:
    """Forward; forward and backward, with blocks run again and without; one token behind the others."""
    model, tokens_BT = _built(config), tokens(batch, context, config.vocab_size)

    def decode() -> object:
        last_BT = tokens_BT[:, -1:].contiguous()
        return model.token_losses(last_BT, last_BT, before, "recurrent")

    predicted = forward_cost(config, batch, context).matmul_flops
    counted = counting.matmul_flops(model.token_losses, tokens_BT, tokens_BT)
    yield Row("matmul FLOPs, forward", "FLOP", predicted, counted)
    for recompute in RECOMPUTE:
        counted = counting.matmul_flops(_backward(_step(model, tokens_BT, recompute)))
        predicted = step_flops(config, batch, context, recompute=recompute).hardware
        yield Row("matmul FLOPs, step" + SUFFIX[recompute], "FLOP", predicted, counted)
    before = None if context == 1 else _state_after(model, batch, context - 1)
    predicted = total_cost(decoder_operators(config, Run(batch, context, "decode"))).matmul_flops
    yield Row(f"matmul FLOPs, decoding token {context:,}", "FLOP", predicted, counting.matmul_flops(decode))


def _state_after(model: Decoder, batch: int, length: int) -> DecoderState:
    tokens_BT = tokens(batch, length, model.config.vocab_size)
    with torch.no_grad():
        return model.token_losses(tokens_BT, tokens_BT)[1]


def _bytes(config: ModelConfig, precision: PrecisionName, batch: int, context: int, kernels: Kernels) -> Iterator[Row]:
    """What is kept for backward, with blocks run again and without; the optimizer's state; the mixer's."""
    model, tokens_BT = _built(config, precision), tokens(batch, context, config.vocab_size)
    for recompute in RECOMPUTE:
        kept = counting.kept_bytes(model.parameters(), _step(model, tokens_BT, recompute))
        kept_here = kept_activations(config, batch, context, recompute=recompute, precision=precision, kernels=kernels)
        predicted = kept_here.total_bytes
        yield Row(f"kept for backward, {precision}{SUFFIX[recompute]}", "bytes", predicted, kept)
    live, predicted = _state_after(model, batch, context).nbytes, state_bytes(config, batch, context, precision)
    yield Row(f"state after {context:,} tokens, {precision}", "bytes", predicted, live)
    predicted = model_state_bytes(config.param_count().total, precision).optimizer
    yield Row(f"moments of AdamW, {precision}", "bytes", predicted, _moments(model, tokens_BT))


def _step(model: Decoder, tokens_BT: Tensor, recompute: Recompute) -> Callable[[], Tensor]:
    return lambda: model.train_loss(tokens_BT, tokens_BT, recompute=recompute)


def _moments(model: Decoder, tokens_BT: Tensor) -> int:
    optimizer = torch.optim.AdamW(model.parameters(), fused=True)
    model.train_loss(tokens_BT, tokens_BT).backward()
    optimizer.step()
    states = optimizer.state.values()
    nbytes = sum(state[name].nbytes for state in states for name in ("exp_avg", "exp_avg_sq"))
    model.zero_grad()
    return nbytes


def _backward(step: Callable[[], Tensor]) -> Callable[[], object]:
    return lambda: step().backward()


def _peak(config: ModelConfig, small: bool, batch: int, context: int) -> Iterator[Row]:
    """Building and two updates, of which the second begins with all that stays."""
    for recompute in RECOMPUTE:
        n_threads = torch.get_num_threads()
        predicted = training_memory(config, batch, context, recompute=recompute, n_threads=n_threads).total
        peak = None
        if small:
            counting.forget_tables()
            peak = counting.peak_allocated_bytes(partial(_train, config, batch, context, recompute))
        yield Row(f"peak of training memory{SUFFIX[recompute]}", "bytes", predicted, peak, PEAK_TOLERANCE)


def _train(config: ModelConfig, batch: int, context: int, recompute: Recompute) -> None:
    model = Decoder(config)
    optimizer = torch.optim.AdamW(model.parameters(), fused=True)
    inputs_BT, targets_BT = (tokens(batch, context, config.vocab_size) for _ in range(2))
    for _ in range(2):
        model.train_loss(inputs_BT, targets_BT, recompute=recompute).backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=False)
