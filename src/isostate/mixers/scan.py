"""The selective scan: a diagonal recurrence whose decay every channel and state chooses anew at each position.

    h_t = exp(dt_t A) h_{t-1} + dt_t B_t x_t,    y_t = C_t . h_t + D x_t      (Gu and Dao 2023; FORMULAS section 1.3)

The second engine, beside `recurrence.py`: B_t and C_t are shared by all channels, so the state is I x R numbers that
no matmul makes. Three functions over x_BTI, dt_BTI, A_IR, B_BTR, C_BTR, D_I and a state_BIR, with equal results; where
starts_BT says that a document begins, the decay is 0. A step dt of 0 changes nothing: padding.
The chunked form keeps one state a chunk for its backward and computes the others again: its memory grows with T I, not
with T I R. On a CPU it runs a kernel (`scan_kernel.py`), elsewhere, and where that cannot be built, in torch.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from isostate.mixers import scan_kernel

CHUNK = 64  # positions: faster than 32 by a tenth on two threads (NOTEBOOK, 2026-11-26); the most that the kernel takes

Gradients = tuple[Tensor, ...]  # of x, dt, A, B, C, D
Run = Callable[..., tuple[Tensor, Tensor]]


def recurrent(
    x_BTI: Tensor,
    dt_BTI: Tensor,
    A_IR: Tensor,
    B_BTR: Tensor,
    C_BTR: Tensor,
    D_I: Tensor,
    state_BIR: Tensor,
    starts_BT: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """The definition, one position after another. Returns y_BTI and the last state."""
    reads = []
    for t in range(x_BTI.shape[1]):
        dt_BI1 = dt_BTI[:, t, :, None]
        if starts_BT is not None:
            state_BIR = state_BIR.masked_fill(starts_BT[:, t, None, None], 0.0)
        state_BIR = (dt_BI1 * A_IR).exp() * state_BIR + dt_BI1 * x_BTI[:, t, :, None] * B_BTR[:, t, None, :]
        reads.append((state_BIR * C_BTR[:, t, None, :]).sum(-1))
    return torch.stack(reads, dim=1) + D_I * x_BTI, state_BIR


def parallel(
    x_BTI: Tensor,
    dt_BTI: Tensor,
    A_IR: Tensor,
    B_BTR: Tensor,
    C_BTR: Tensor,
    D_I: Tensor,
    state_BIR: Tensor,
    starts_BT: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """All positions at once: a span of positions decays and adds, two spans compose, and spans double in length.

    Decays are multiplied and never divided by, so that small ones only lose what is lost anyway.
    """
    decay_BTIR = (dt_BTI.unsqueeze(-1) * A_IR).exp()
    if starts_BT is not None:
        decay_BTIR = decay_BTIR.masked_fill(starts_BT[..., None, None], 0.0)
    state_BTIR = (dt_BTI * x_BTI).unsqueeze(-1) * B_BTR.unsqueeze(2)
    first_B1IR = torch.addcmul(state_BTIR[:, :1], decay_BTIR[:, :1], state_BIR.unsqueeze(1))
    state_BTIR = torch.cat([first_B1IR, state_BTIR[:, 1:]], dim=1)
    span = 1
    while span < x_BTI.shape[1]:
        before_BTIR, own_BTIR = state_BTIR[:, :-span], decay_BTIR[:, span:]
        state_BTIR = torch.cat(
            [state_BTIR[:, :span], torch.addcmul(state_BTIR[:, span:], own_BTIR, before_BTIR)], dim=1
        )
        decay_BTIR = torch.cat([decay_BTIR[:, :span], own_BTIR * decay_BTIR[:, :-span]], dim=1)
        span *= 2
    y_BTI = (state_BTIR * C_BTR.unsqueeze(2)).sum(-1)
    return y_BTI + D_I * x_BTI, state_BTIR[:, -1]


def chunked(
    x_BTI: Tensor,
    dt_BTI: Tensor,
    A_IR: Tensor,
    B_BTR: Tensor,
    C_BTR: Tensor,
    D_I: Tensor,
    state_BIR: Tensor,
    starts_BT: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """Chunk after chunk; of each, the backward keeps the state before it."""
    return _Chunked.apply(x_BTI, dt_BTI, A_IR, B_BTR, C_BTR, D_I, state_BIR, starts_BT, torch.is_grad_enabled())


FORMS = {"recurrent": recurrent, "parallel": parallel, "chunked": chunked}


class _Chunked(torch.autograd.Function):
    """Saves its inputs and states_BNIR: the given one, then that after each chunk; without gradients only the last."""

    @staticmethod
    def forward(ctx, x_BTI, dt_BTI, A_IR, B_BTR, C_BTR, D_I, state_BIR, starts_BT, keeps_states):
        inputs = (x_BTI, dt_BTI, A_IR, B_BTR, C_BTR, D_I)
        n_states = -(-x_BTI.shape[1] // CHUNK) + 1 if keeps_states else 1
        states_BNIR = state_BIR.new_empty(state_BIR.shape[0], n_states, *state_BIR.shape[1:])
        states_BNIR[:, 0] = state_BIR
        y_BTI = (scan_kernel.forward if scan_kernel.serves(x_BTI) else _forward)(*inputs, states_BNIR, starts_BT, CHUNK)
        ctx.save_for_backward(*inputs, states_BNIR, starts_BT)
        ctx.set_materialize_grads(False)
        return y_BTI, states_BNIR[:, -1].clone()

    @staticmethod
    @once_differentiable
    def backward(ctx, dy_BTI, dstate_BIR):
        *inputs, states_BNIR, starts_BT = ctx.saved_tensors
        dy_BTI = torch.zeros_like(inputs[0]) if dy_BTI is None else dy_BTI
        # The gradient of the state before the chunk in hand, changed in place.
        carry_BIR = torch.zeros_like(states_BNIR[:, 0]) if dstate_BIR is None else dstate_BIR.clone()
        run: Callable[..., Gradients] = scan_kernel.backward if scan_kernel.serves(dy_BTI) else _backward
        return *run(*inputs, states_BNIR, starts_BT, dy_BTI, carry_BIR, CHUNK), carry_BIR, None, None


def _forward(
    x_BTI: Tensor,
    dt_BTI: Tensor,
    A_IR: Tensor,
    B_BTR: Tensor,
    C_BTR: Tensor,
    D_I: Tensor,
    states_BNIR: Tensor,
    starts_BT: Tensor | None,
    chunk: int,
) -> Tensor:
    """y_BTI; fills states_BNIR from the first on, or changes the only one."""
    y_BTI = torch.empty_like(x_BTI)
    keeps_states = states_BNIR.shape[1] > 1
    for n, positions in enumerate(_chunks(x_BTI.shape[1], chunk)):
        x_BCI, dt_BCI, B_BCR, C_BCR = (x[:, positions] for x in (x_BTI, dt_BTI, B_BTR, C_BTR))
        before, after = (n, n + 1) if keeps_states else (0, 0)
        starts_BC = None if starts_BT is None else starts_BT[:, positions]
        values = parallel(x_BCI, dt_BCI, A_IR, B_BCR, C_BCR, D_I, states_BNIR[:, before], starts_BC)
        y_BTI[:, positions], states_BNIR[:, after] = values
    return y_BTI


def _backward(
    x_BTI: Tensor,
    dt_BTI: Tensor,
    A_IR: Tensor,
    B_BTR: Tensor,
    C_BTR: Tensor,
    D_I: Tensor,
    states_BNIR: Tensor,
    starts_BT: Tensor | None,
    dy_BTI: Tensor,
    carry_BIR: Tensor,
    chunk: int,
) -> Gradients:
    """Last chunk first, each forward again; carry_BIR, the last state's gradient, becomes the first's."""
    dx_BTI, ddt_BTI, dB_BTR, dC_BTR = (torch.empty_like(like) for like in (x_BTI, dt_BTI, B_BTR, C_BTR))
    dA_IR, dD_I = torch.zeros_like(A_IR), torch.zeros_like(D_I)
    for n, positions in reversed(list(enumerate(_chunks(x_BTI.shape[1], chunk)))):
        x_BCI, dt_BCI, B_BCR, C_BCR = (x[:, positions] for x in (x_BTI, dt_BTI, B_BTR, C_BTR))
        given = (x_BCI, dt_BCI, A_IR, B_BCR, C_BCR, D_I, states_BNIR[:, n])
        leaves = [x.detach().requires_grad_() for x in given]
        again: Run = partial(parallel, starts_BT=None if starts_BT is None else starts_BT[:, positions])
        with torch.enable_grad():
            values = again(*leaves)
        grads = torch.autograd.grad(values, leaves, [dy_BTI[:, positions], carry_BIR])
        dx_BTI[:, positions], ddt_BTI[:, positions], dA_own_IR, dB_BTR[:, positions], dC_BTR[:, positions] = grads[:5]
        dA_IR += dA_own_IR
        dD_I += grads[5]
        carry_BIR.copy_(grads[6])
    return dx_BTI, ddt_BTI, dA_IR, dB_BTR, dC_BTR, dD_I


def _chunks(length: int, chunk: int) -> list[slice]:
    return [slice(start, min(start + chunk, length)) for start in range(0, length, chunk)]
