"""A diagonal linear filter of every channel, in three forms: what S4 runs.

    h_t = exp(a) h_{t-1} + b x_t,    y_t = 2 Re(c . h_t) + D x_t          (without the 2 Re where modes are real)

Unrolled it is a convolution, y_t = sum_{s <= t} k_{t - s} x_s with k_l = 2 Re(c . exp(l a) b), which a Fourier
transform makes: the parallel form takes the whole sequence, the chunked form chunks of it, with the state between them.
Transforms spread rounding over a chunk: an output knows later positions of its own chunk by their last bits.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from isostate.mixers.s4_modes import Modes, discretised, filters, swapped, turn_of


def recurrent(
    x_BTD: Tensor, modes: Modes, skip_D: Tensor, state_BDR: Tensor, chunk: int | None = None
) -> tuple[Tensor, Tensor]:
    """The definition, one position after another. Returns y_BTD and the last state. `chunk` is ignored here."""
    log_decay_DR, write_DR, read_DR = discretised(modes)
    in_pairs = modes.A_imag_DR is not None
    same_DR, cross_DR = (turn.to(x_BTD) for turn in turn_of(log_decay_DR.exp(), in_pairs))
    if in_pairs:
        write_DR = torch.cat([write_DR.real, write_DR.imag], dim=1).to(x_BTD)
        read_DR = 2 * torch.cat([read_DR.real, -read_DR.imag], dim=1).to(x_BTD)
    else:
        write_DR, read_DR = write_DR.real.to(x_BTD), read_DR.real.to(x_BTD)
    reads = []
    for t in range(x_BTD.shape[1]):
        state_BDR = same_DR * state_BDR + cross_DR * swapped(state_BDR) + write_DR * x_BTD[:, t, :, None]
        reads.append((read_DR * state_BDR).sum(-1))
    return torch.stack(reads, dim=1) + skip_D * x_BTD, state_BDR


def parallel(
    x_BTD: Tensor, modes: Modes, skip_D: Tensor, state_BDR: Tensor, chunk: int | None = None
) -> tuple[Tensor, Tensor]:
    """One convolution of the whole sequence. `chunk` is ignored here."""
    return chunked(x_BTD, modes, skip_D, state_BDR, x_BTD.shape[1])


def chunked(x_BTD: Tensor, modes: Modes, skip_D: Tensor, state_BDR: Tensor, chunk: int) -> tuple[Tensor, Tensor]:
    """A convolution inside each chunk, and what the state before it adds. In float32 at least, as transforms ask."""
    length, dtype = x_BTD.shape[1], torch.promote_types(x_BTD.dtype, torch.float32)
    chunk = min(chunk, length)
    last = length - (-(-length // chunk) - 1) * chunk
    wide = (x.to(dtype) for x in (skip_D, state_BDR))
    y_BTD, last_BDR = _Chunked.apply(x_BTD.to(dtype), *filters(modes, chunk, last, dtype), *wide)
    return y_BTD.to(x_BTD.dtype), last_BDR.to(state_BDR.dtype)


class _Chunked(torch.autograd.Function):
    """Saves x and the state before each chunk; transforms again in the backward. Between chunks, products alone."""

    @staticmethod
    def forward(ctx, x_BTD, kernel_DC, writes_DRC, reads_DRC, turns_WDR, skip_D, state_BDR):
        T, chunk = x_BTD.shape[1], kernel_DC.shape[1]
        x_DBNC = _chunks(x_BTD, chunk)
        n_chunks = x_DBNC.shape[2]
        states_NDBR = x_BTD.new_empty(n_chunks + 1, *state_BDR.transpose(0, 1).shape)
        states_NDBR[0] = state_BDR.transpose(0, 1)
        for n in range(n_chunks):
            (same_D1R, cross_D1R), begins = turns_WDR[:2].unsqueeze(2), 0
            if n == n_chunks - 1:
                (same_D1R, cross_D1R), begins = turns_WDR[2:].unsqueeze(2), n_chunks * chunk - T
            torch.mul(states_NDBR[n], same_D1R, out=states_NDBR[n + 1])
            states_NDBR[n + 1].addcmul_(swapped(states_NDBR[n]), cross_D1R)
            states_NDBR[n + 1] += x_DBNC[:, :, n, : chunk - begins] @ writes_DRC[..., begins:].mT
        y_DBNC = (_by_chunk(states_NDBR[:n_chunks]) @ reads_DRC).view_as(x_DBNC)
        y_DBNC += _convolved(x_DBNC, kernel_DC)
        ctx.save_for_backward(x_BTD, kernel_DC, writes_DRC, reads_DRC, turns_WDR, skip_D, states_NDBR)
        ctx.set_materialize_grads(False)
        y_BTD = _with_skip(y_DBNC, skip_D, x_BTD)
        return y_BTD, states_NDBR[n_chunks].transpose(0, 1).clone(memory_format=torch.contiguous_format)

    @staticmethod
    @once_differentiable
    def backward(ctx, dy_BTD, dstate_BDR):
        x_BTD, kernel_DC, writes_DRC, reads_DRC, turns_WDR, skip_D, states_NDBR = ctx.saved_tensors
        T, chunk, n_chunks = x_BTD.shape[1], kernel_DC.shape[1], states_NDBR.shape[0] - 1
        dy_BTD = torch.zeros_like(x_BTD) if dy_BTD is None else dy_BTD
        x_DBNC, dy_DBNC = _chunks(x_BTD, chunk), _chunks(dy_BTD, chunk)
        dx_DBNC, dkernel_DC = _convolution_backward(x_DBNC, kernel_DC, dy_DBNC)
        # What each position read of the state before its chunk.
        dy_DMC = dy_DBNC.flatten(1, 2)
        dreads_DRC = _by_chunk(states_NDBR[:n_chunks]).mT @ dy_DMC
        dread_DBNR = (dy_DMC @ reads_DRC.mT).unflatten(1, dy_DBNC.shape[1:3])
        # Last chunk first: the gradient of the state after each, and of how the state turned over it.
        douts_DBNR, dturns_WDR = torch.empty_like(dread_DBNR), torch.zeros_like(turns_WDR)
        carry_DBR = torch.zeros_like(states_NDBR[0])
        if dstate_BDR is not None:
            carry_DBR.copy_(dstate_BDR.transpose(0, 1))
        for n in reversed(range(n_chunks)):
            pair = slice(0, 2) if n < n_chunks - 1 else slice(2, 4)
            douts_DBNR[:, :, n] = carry_DBR
            dturns_WDR[pair][0] += (carry_DBR * states_NDBR[n]).sum(1)
            dturns_WDR[pair][1] += (carry_DBR * swapped(states_NDBR[n])).sum(1)
            _turn_back(carry_DBR, turns_WDR[pair].unsqueeze(2), dread_DBNR[:, :, n])
        # What each position left in the state after its chunk.
        dwrites_DRC = torch.zeros_like(writes_DRC)
        whole, partial = slice(0, n_chunks - 1), slice(n_chunks - 1, n_chunks)
        for chunks, begins in [(whole, 0)] * (n_chunks > 1) + [(partial, n_chunks * chunk - T)]:
            _writes_backward(
                dx_DBNC[:, :, chunks, : chunk - begins],
                dwrites_DRC[..., begins:],
                x_DBNC[:, :, chunks, : chunk - begins],
                writes_DRC[..., begins:],
                douts_DBNR[:, :, chunks],
            )
        dx_BTD = _with_skip(dx_DBNC, skip_D, dy_BTD)
        dskip_D = (dy_BTD * x_BTD).sum((0, 1))
        return dx_BTD, dkernel_DC, dwrites_DRC, dreads_DRC, dturns_WDR, dskip_D, carry_DBR.transpose(0, 1)


def _convolved(x_DBNC: Tensor, kernel_DC: Tensor) -> Tensor:
    chunk = kernel_DC.shape[1]
    spectrum = torch.fft.rfft(x_DBNC, 2 * chunk)
    spectrum *= torch.fft.rfft(kernel_DC, 2 * chunk)[:, None, None]
    return torch.fft.irfft(spectrum, 2 * chunk)[..., :chunk]


def _convolution_backward(x_DBNC: Tensor, kernel_DC: Tensor, dy_DBNC: Tensor) -> tuple[Tensor, Tensor]:
    """Gradients of x and the kernel: correlations of dy with the other."""
    chunk = kernel_DC.shape[1]
    gradient = torch.fft.rfft(dy_DBNC, 2 * chunk)
    spectrum = torch.fft.rfft(x_DBNC, 2 * chunk).conj_physical_().mul_(gradient).sum((1, 2))
    dkernel_DC = torch.fft.irfft(spectrum, 2 * chunk)[..., :chunk]
    gradient *= torch.fft.rfft(kernel_DC, 2 * chunk).conj_physical_()[:, None, None]
    return torch.fft.irfft(gradient, 2 * chunk)[..., :chunk], dkernel_DC


def _turn_back(carry_DBR: Tensor, turn_WD1R: Tensor, dread_DBR: Tensor) -> None:
    """From the gradient of the state after a chunk to that of the state before it, in place."""
    crossed_DBR = swapped(carry_DBR * turn_WD1R[1])
    carry_DBR.mul_(turn_WD1R[0]).add_(crossed_DBR).add_(dread_DBR)


def _writes_backward(
    dx_DBNC: Tensor, dwrites_DRC: Tensor, x_DBNC: Tensor, writes_DRC: Tensor, dout_DBNR: Tensor
) -> None:
    """Of some chunks: what the states after them tell x and the writes, added."""
    dout_DMR, x_DMC = dout_DBNR.flatten(1, 2), x_DBNC.flatten(1, 2)
    dwrites_DRC += dout_DMR.mT @ x_DMC
    dx_DBNC += (dout_DMR @ writes_DRC).view_as(dx_DBNC)


def _by_chunk(states_NDBR: Tensor) -> Tensor:
    """Of every channel a row a sequence and chunk: states_DMR."""
    return states_NDBR.permute(1, 2, 0, 3).flatten(1, 2)


def _chunks(x_BTD: Tensor, chunk: int) -> Tensor:
    """x_DBNC, zero behind the last position."""
    batch, length, width = x_BTD.shape
    n_chunks = -(-length // chunk)
    x_DBT = x_BTD.new_zeros(width, batch, n_chunks * chunk)
    x_DBT[..., :length] = x_BTD.permute(2, 0, 1)
    return x_DBT.unflatten(-1, (n_chunks, chunk))


def _with_skip(y_DBNC: Tensor, skip_D: Tensor, x_BTD: Tensor) -> Tensor:
    """y + D x, position by position in memory again."""
    y_BTD = y_DBNC.flatten(2)[..., : x_BTD.shape[1]].permute(1, 2, 0)
    return torch.addcmul(y_BTD, skip_D, x_BTD, out=torch.empty_like(x_BTD, memory_format=torch.contiguous_format))
