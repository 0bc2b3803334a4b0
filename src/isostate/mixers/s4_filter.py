"""A diagonal linear filter of every channel, in three forms: what S4 runs.

    h_t = exp(a) h_{t-1} + b x_t,    y_t = 2 Re(c . h_t) + D x_t          (without the 2 Re where modes are real)

Unrolled it is a convolution, y_t = sum_{s <= t} k_{t - s} x_s with k_l = 2 Re(c . exp(l a) b), which a Fourier
transform makes: the parallel form takes the whole sequence, the chunked form chunks of it, with the state between them.
Transforms spread rounding over a chunk: an output knows later positions of its own chunk by their last bits.
Complex tensors hold a channel's modes; real ones, with R elements, all real parts, then all imaginary parts.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn.functional import pad


class Modes(NamedTuple):
    """a, b and c of every channel, complex; `in_pairs`: each mode stands for its conjugate too."""

    log_decay_DR: Tensor
    write_DR: Tensor
    read_DR: Tensor
    in_pairs: bool


def recurrent(
    x_BTD: Tensor, modes: Modes, skip_D: Tensor, state_BDR: Tensor, chunk: int | None = None
) -> tuple[Tensor, Tensor]:
    """The definition, one position after another. Returns y_BTD and the last state. `chunk` is ignored here."""
    decay_DR = modes.log_decay_DR.exp()
    same_DR, cross_DR = (x.to(x_BTD) for x in _turn(decay_DR, modes.in_pairs))
    write_DR = _stacked(modes.write_DR, 1, modes.in_pairs).to(x_BTD)
    read_DR = _stacked(modes.read_DR, -1, modes.in_pairs).to(x_BTD) * (1 + modes.in_pairs)
    reads = []
    for t in range(x_BTD.shape[1]):
        state_BDR = _turned(state_BDR, same_DR, cross_DR) + write_DR * x_BTD[:, t, :, None]
        reads.append((read_DR * state_BDR).sum(-1))
    return torch.stack(reads, dim=1) + skip_D * x_BTD, state_BDR


def parallel(
    x_BTD: Tensor, modes: Modes, skip_D: Tensor, state_BDR: Tensor, chunk: int | None = None
) -> tuple[Tensor, Tensor]:
    """One convolution of the whole sequence. `chunk` is ignored here."""
    return chunked(x_BTD, modes, skip_D, state_BDR, x_BTD.shape[1])


def chunked(x_BTD: Tensor, modes: Modes, skip_D: Tensor, state_BDR: Tensor, chunk: int) -> tuple[Tensor, Tensor]:
    """A convolution inside each chunk, and what the state before it adds."""
    chunk = min(chunk, x_BTD.shape[1])
    log_decay_DR, write_DR, read_DR, in_pairs = modes
    last = x_BTD.shape[1] - (-(-x_BTD.shape[1] // chunk) - 1) * chunk
    filters = _Filters.apply(log_decay_DR, write_DR, read_DR, in_pairs, chunk, last, x_BTD.dtype)
    return _Chunked.apply(x_BTD, *filters, skip_D, state_BDR)


class _Filters(torch.autograd.Function):
    """From the modes, with P_l = exp(l a), in x's precision:

    kernel_DC    2 Re(c . P_l b)                            what a position reads of one l before it
    writes_DRC   P_{C - 1 - l} b                            what position l leaves in the state after the chunk
    reads_DRC    2 Re, -2 Im of c P_{l + 1}                 how position l reads the state before the chunk
    turns_4DR    real and imaginary parts of P_C, P_last    how the state turns over a chunk, and over the last one

    Saves the modes alone and computes the powers, C times as large, again in the backward.
    """

    @staticmethod
    def forward(ctx, log_decay_DR, write_DR, read_DR, in_pairs, chunk, last, dtype):
        ctx.save_for_backward(log_decay_DR, write_DR, read_DR)
        ctx.in_pairs, ctx.chunk, ctx.last = in_pairs, chunk, last
        powers_DRC = _powers(log_decay_DR, chunk)
        double = 1 + in_pairs
        kernel_DC = ((read_DR * write_DR).unsqueeze(-1) * powers_DRC[..., :chunk]).sum(1).real * double
        writes_DRC = _stacked(write_DR.unsqueeze(-1) * powers_DRC[..., :chunk].flip(-1), 1, in_pairs)
        reads_DRC = _stacked(read_DR.unsqueeze(-1) * powers_DRC[..., 1:], -1, in_pairs) * double
        turns_4DR = torch.stack([*_turn(powers_DRC[..., chunk], in_pairs), *_turn(powers_DRC[..., last], in_pairs)])
        return kernel_DC.to(dtype), writes_DRC.to(dtype), reads_DRC.to(dtype), turns_4DR.to(dtype)

    @staticmethod
    @once_differentiable
    def backward(ctx, dkernel_DC, dwrites_DRC, dreads_DRC, dturns_4DR):
        log_decay_DR, write_DR, read_DR = ctx.saved_tensors
        in_pairs, chunk, last = ctx.in_pairs, ctx.chunk, ctx.last
        powers_DRC = _powers(log_decay_DR, chunk).conj()
        double = 1 + in_pairs
        dkernel_D1C = dkernel_DC.double().unsqueeze(1) * double
        dwrites_DRC = _unstacked(dwrites_DRC.double(), 1, in_pairs).flip(-1)
        dreads_DRC = _unstacked(dreads_DRC.double(), -1, in_pairs) * double
        dboth_DR = (dkernel_D1C * powers_DRC[..., :chunk]).sum(-1)
        dwrite_DR = (dwrites_DRC * powers_DRC[..., :chunk]).sum(-1) + dboth_DR * read_DR.conj()
        dread_DR = (dreads_DRC * powers_DRC[..., 1:]).sum(-1) + dboth_DR * write_DR.conj()
        dpowers_DRC = torch.zeros_like(powers_DRC)
        dpowers_DRC[..., :chunk] = dkernel_D1C * (read_DR * write_DR).conj().unsqueeze(-1)
        dpowers_DRC[..., :chunk] += dwrites_DRC * write_DR.conj().unsqueeze(-1)
        dpowers_DRC[..., 1:] += dreads_DRC * read_DR.conj().unsqueeze(-1)
        for at, (dsame_DR, dcross_DR) in ((chunk, dturns_4DR[:2].double()), (last, dturns_4DR[2:].double())):
            dpowers_DRC[..., at] += _unturned(dsame_DR, dcross_DR, in_pairs)
        steps_C = torch.arange(chunk + 1, dtype=torch.float64, device=powers_DRC.device)
        return (dpowers_DRC * powers_DRC * steps_C).sum(-1), dwrite_DR, dread_DR, None, None, None, None


class _Chunked(torch.autograd.Function):
    """Saves x and the state before each chunk; transforms again in the backward. Between chunks, products alone."""

    @staticmethod
    def forward(ctx, x_BTD, kernel_DC, writes_DRC, reads_DRC, turns_4DR, skip_D, state_BDR):
        T, chunk = x_BTD.shape[1], kernel_DC.shape[1]
        x_DBNC = _chunks(x_BTD, chunk)
        n_chunks = x_DBNC.shape[2]
        spectrum = torch.fft.rfft(x_DBNC, 2 * chunk)
        spectrum *= torch.fft.rfft(kernel_DC, 2 * chunk)[:, None, None]
        y_DBNC = torch.fft.irfft(spectrum, 2 * chunk)[..., :chunk]
        states_NDBR = x_BTD.new_empty(n_chunks + 1, *state_BDR.transpose(0, 1).shape)
        states_NDBR[0] = state_BDR.transpose(0, 1)
        for n in range(n_chunks):
            x_DBC, (same, cross), begins = x_DBNC[:, :, n], turns_4DR[:2], 0
            if n == n_chunks - 1:
                begins = n_chunks * chunk - T
                x_DBC, (same, cross) = x_DBC[..., : chunk - begins], turns_4DR[2:]
            turned_DBR = _turned(states_NDBR[n], same.unsqueeze(1), cross.unsqueeze(1))
            torch.baddbmm(turned_DBR, x_DBC, writes_DRC[..., begins:].mT, out=states_NDBR[n + 1])
        read_DBNC = (states_NDBR[:n_chunks].permute(1, 2, 0, 3).flatten(1, 2) @ reads_DRC).view_as(x_DBNC)
        read_DBNC += y_DBNC
        ctx.save_for_backward(x_BTD, kernel_DC, writes_DRC, reads_DRC, turns_4DR, skip_D, states_NDBR)
        ctx.set_materialize_grads(False)
        y_BTD = torch.addcmul(_positions(read_DBNC, T), skip_D, x_BTD)
        return y_BTD, states_NDBR[n_chunks].transpose(0, 1).contiguous()

    @staticmethod
    @once_differentiable
    def backward(ctx, dy_BTD, dstate_BDR):
        x_BTD, kernel_DC, writes_DRC, reads_DRC, turns_4DR, skip_D, states_NDBR = ctx.saved_tensors
        T, chunk, n_chunks = x_BTD.shape[1], kernel_DC.shape[1], states_NDBR.shape[0] - 1
        dy_BTD = torch.zeros_like(x_BTD) if dy_BTD is None else dy_BTD
        x_DBNC, dy_DBNC = _chunks(x_BTD, chunk), _chunks(dy_BTD, chunk)
        dx_DBNC, dkernel_DC = _convolution_backward(x_DBNC, kernel_DC, dy_DBNC)
        # What each position read of the state before its chunk.
        states_DMR, dy_DMC = states_NDBR[:n_chunks].permute(1, 2, 0, 3).flatten(1, 2), dy_DBNC.flatten(1, 2)
        dreads_DRC = states_DMR.mT @ dy_DMC
        dread_DBNR = (dy_DMC @ reads_DRC.mT).unflatten(1, dy_DBNC.shape[1:3])
        # Last chunk first: the gradient of the state after each, and of how the state turned over it.
        douts_DBNR, dturns_4DR = torch.empty_like(dread_DBNR), torch.zeros_like(turns_4DR)
        carry_DBR = torch.zeros_like(states_NDBR[0]) if dstate_BDR is None else dstate_BDR.transpose(0, 1)
        for n in reversed(range(n_chunks)):
            pair = slice(0, 2) if n < n_chunks - 1 else slice(2, 4)
            same_D1R, cross_D1R = turns_4DR[pair].unsqueeze(2)
            douts_DBNR[:, :, n] = carry_DBR
            dturns_4DR[pair][0] += (carry_DBR * states_NDBR[n]).sum(1)
            dturns_4DR[pair][1] += (carry_DBR * _swapped(states_NDBR[n])).sum(1)
            carry_DBR = same_D1R * carry_DBR + _swapped(cross_D1R * carry_DBR) + dread_DBNR[:, :, n]
        # What each position left in the state after its chunk.
        dwrites_DRC = torch.zeros_like(writes_DRC)
        for chunks, begins in ((slice(0, n_chunks - 1), 0), (slice(n_chunks - 1, n_chunks), n_chunks * chunk - T)):
            dout_DMR = douts_DBNR[:, :, chunks].flatten(1, 2)
            x_DMC = x_DBNC[:, :, chunks, : chunk - begins].flatten(1, 2)
            dwrites_DRC[..., begins:] += dout_DMR.mT @ x_DMC
            left = (dout_DMR @ writes_DRC[..., begins:]).view_as(x_DBNC[:, :, chunks, : chunk - begins])
            dx_DBNC[:, :, chunks, : chunk - begins] += left
        dx_BTD = torch.addcmul(_positions(dx_DBNC, T), skip_D, dy_BTD)
        dskip_D = (dy_BTD * x_BTD).sum((0, 1))
        return dx_BTD, dkernel_DC, dwrites_DRC, dreads_DRC, dturns_4DR, dskip_D, carry_DBR.transpose(0, 1)


def _convolution_backward(x_DBNC: Tensor, kernel_DC: Tensor, dy_DBNC: Tensor) -> tuple[Tensor, Tensor]:
    """Gradients of x and the kernel: correlations of dy with the other."""
    chunk = x_DBNC.shape[-1]
    gradient = torch.fft.rfft(dy_DBNC, 2 * chunk)
    spectrum = torch.fft.rfft(x_DBNC, 2 * chunk).conj_physical_().mul_(gradient).sum((1, 2))
    dkernel_DC = torch.fft.irfft(spectrum, 2 * chunk)[..., :chunk]
    gradient *= torch.fft.rfft(kernel_DC, 2 * chunk).conj_physical_()[:, None, None]
    return torch.fft.irfft(gradient, 2 * chunk)[..., :chunk], dkernel_DC


def _powers(log_decay_DR: Tensor, chunk: int) -> Tensor:
    """exp(l a) for l = 0 .. C, each from its own exponent: products would add up their errors."""
    steps_C = torch.arange(chunk + 1, dtype=torch.float64, device=log_decay_DR.device)
    return (log_decay_DR.unsqueeze(-1) * steps_C).exp()


def _stacked(x: Tensor, sign: int, in_pairs: bool) -> Tensor:
    """Real parts of complex modes (the second axis), then imaginary ones times `sign`; real modes as they are."""
    return torch.cat([x.real, sign * x.imag], dim=1) if in_pairs else x.real


def _unstacked(x: Tensor, sign: int, in_pairs: bool) -> Tensor:
    """The complex gradient of what `_stacked` was given."""
    if not in_pairs:
        return torch.complex(x, torch.zeros_like(x))
    real, imag = x.chunk(2, dim=1)
    return torch.complex(real, sign * imag)


def _turn(decay_DR: Tensor, in_pairs: bool) -> tuple[Tensor, Tensor]:
    """A product with complex decays in real numbers: same * h + cross * swapped(h)."""
    if not in_pairs:
        return decay_DR.real, torch.zeros_like(decay_DR.real)
    return torch.cat([decay_DR.real] * 2, dim=1), torch.cat([-decay_DR.imag, decay_DR.imag], dim=1)


def _unturned(dsame_DR: Tensor, dcross_DR: Tensor, in_pairs: bool) -> Tensor:
    """The complex gradient of what `_turn` was given."""
    if not in_pairs:
        return torch.complex(dsame_DR, torch.zeros_like(dsame_DR))
    (real_DR, more_DR), (minus_DR, imag_DR) = dsame_DR.chunk(2, dim=1), dcross_DR.chunk(2, dim=1)
    return torch.complex(real_DR + more_DR, imag_DR - minus_DR)


def _turned(state_BDR: Tensor, same_DR: Tensor, cross_DR: Tensor) -> Tensor:
    return same_DR * state_BDR + cross_DR * _swapped(state_BDR)


def _swapped(x: Tensor) -> Tensor:
    """Imaginary parts, then real ones; of real modes anything, since nothing crosses."""
    return x.roll(x.shape[-1] // 2, -1)


def _chunks(x_BTD: Tensor, chunk: int) -> Tensor:
    """x_DBNC, zero behind the last position."""
    n_chunks = -(-x_BTD.shape[1] // chunk)
    x_DBT = pad(x_BTD.permute(2, 0, 1), (0, n_chunks * chunk - x_BTD.shape[1])).contiguous()
    return x_DBT.unflatten(-1, (n_chunks, chunk))


def _positions(x_DBNC: Tensor, length: int) -> Tensor:
    return x_DBNC.flatten(2)[..., :length].permute(1, 2, 0)
