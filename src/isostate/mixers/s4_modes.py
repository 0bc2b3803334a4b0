"""S4's modes: from parameters to decays that are discretised, and to the filters of a chunk.

    rate A = -exp(A_log) + i A_imag,    dt = exp(log_dt),    c = C
    zero-order hold    a = dt A,                                b = (exp(a) - 1) / A
    bilinear           a = log((1 + dt A / 2)/(1 - dt A / 2)),  b = dt / (1 - dt A / 2)

A step of h is exp(a) h + b x. All of it is float64: phases l a turn far, and float32 would lose them. Filters are C
times as large as the modes; they keep the parameters alone and compute all again in their backward.
Complex tensors hold a channel's modes; real ones, with R elements, all real parts, then all imaginary parts.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

COMPLEX, REAL = torch.complex128, torch.float64


class Modes(NamedTuple):
    """The parameters; A_imag is None where modes are real, each for itself, and C then has no imaginary part."""

    log_dt_D: Tensor
    A_log_DR: Tensor
    A_imag_DR: Tensor | None
    C_DR1: Tensor
    discretisation: str


class Filters(NamedTuple):
    """With P_l = exp(l a), in x's precision; without the factor 2 where modes are real.

    kernel_DC    2 Re(c . P_l b)                                what a position reads of one l before it
    writes_DRC   P_{C - 1 - l} b                                what position l leaves in the state after the chunk
    reads_DRC    2 Re, -2 Im of c P_{l + 1}                     how position l reads the state before the chunk
    turns_WDR    same and cross of P_C, same and cross of P_last    how the state turns over a chunk, over the last one
    """

    kernel_DC: Tensor
    writes_DRC: Tensor
    reads_DRC: Tensor
    turns_WDR: Tensor


def discretised(modes: Modes) -> tuple[Tensor, Tensor, Tensor]:
    """a, b and c, complex and differentiable: the definition."""
    dt_D1, rate_DR = modes.log_dt_D.double().exp().unsqueeze(1), -modes.A_log_DR.double().exp()
    imag_DR = torch.zeros_like(rate_DR) if modes.A_imag_DR is None else modes.A_imag_DR.double()
    C_DR1 = modes.C_DR1.double()
    read_DR = torch.complex(C_DR1[..., 0], torch.zeros_like(rate_DR) if modes.A_imag_DR is None else C_DR1[..., 1])
    rate_DR = torch.complex(rate_DR, imag_DR)
    step_DR = dt_D1 * rate_DR
    if modes.discretisation == "zoh":
        return step_DR, (step_DR.exp() - 1) / rate_DR, read_DR
    return ((1 + step_DR / 2) / (1 - step_DR / 2)).log(), dt_D1 / (1 - step_DR / 2), read_DR


def filters(modes: Modes, chunk: int, last: int, dtype: torch.dtype) -> Filters:
    """For chunks of `chunk` positions, the last of which has `last`."""
    return Filters(*_Filters.apply(*modes, chunk, last, dtype))


def turn_of(decay_DR: Tensor, in_pairs: bool) -> tuple[Tensor, Tensor]:
    """A product with complex decays in real numbers: same * h + cross * swapped(h)."""
    if not in_pairs:
        return decay_DR.real, torch.zeros_like(decay_DR.real)
    return torch.cat([decay_DR.real] * 2, dim=1), torch.cat([-decay_DR.imag, decay_DR.imag], dim=1)


def swapped(x: Tensor) -> Tensor:
    """Imaginary parts, then real ones; of real modes anything, since nothing crosses."""
    return x.roll(x.shape[-1] // 2, -1)


class _Filters(torch.autograd.Function):
    """In place wherever a tensor is our own. For a holomorphic z = f(u) the gradient of u is conj(f'(u)) times z's."""

    @staticmethod
    def forward(ctx, log_dt_D, A_log_DR, A_imag_DR, C_DR1, discretisation, chunk, last, dtype):
        ctx.save_for_backward(log_dt_D, A_log_DR, A_imag_DR, C_DR1)
        ctx.discretisation, ctx.chunk, ctx.last = discretisation, chunk, last
        pairs = A_imag_DR is not None
        system = _System(log_dt_D, A_log_DR, A_imag_DR, C_DR1, discretisation)
        powers_DRC = _powers(system.log_decay_DR, chunk)
        seen_DC = ((system.read_DR * system.write_DR).unsqueeze(-1) * powers_DRC[..., :chunk]).sum(1)
        kernel_DC = torch.empty(seen_DC.shape, dtype=dtype, device=seen_DC.device).copy_(seen_DC.real).mul_(1 + pairs)
        left_DRC = powers_DRC[..., :chunk].flip(-1).mul_(system.write_DR.unsqueeze(-1))
        writes_DRC = _stacked(left_DRC, pairs, dtype)
        read_DRC = powers_DRC[..., 1:] * system.read_DR.unsqueeze(-1)
        reads_DRC = _stacked(read_DRC.conj(), pairs, dtype).mul_(1 + pairs)
        turns_WDR = writes_DRC.new_zeros(4, *writes_DRC.shape[:2])
        for pair, at in ((turns_WDR[:2], chunk), (turns_WDR[2:], last)):
            _fill_turn(pair, powers_DRC[..., at], pairs)
        return kernel_DC, writes_DRC, reads_DRC, turns_WDR

    @staticmethod
    @once_differentiable
    def backward(ctx, dkernel_DC, dwrites_DRC, dreads_DRC, dturns_WDR):
        log_dt_D, A_log_DR, A_imag_DR, C_DR1 = ctx.saved_tensors
        chunk, pairs = ctx.chunk, A_imag_DR is not None
        system = _System(log_dt_D, A_log_DR, A_imag_DR, C_DR1, ctx.discretisation)
        powers_DRC = _powers(system.log_decay_DR, chunk).conj_physical_()
        write_DR1, read_DR1 = (x.conj().resolve_conj().unsqueeze(-1) for x in (system.write_DR, system.read_DR))
        dkernel_D1C = _as_complex(dkernel_DC.unsqueeze(1), False).mul_(1 + pairs)
        dwrites_DRC = _as_complex(dwrites_DRC.flip(-1), pairs)
        dreads_DRC = _as_complex(dreads_DRC, pairs).conj_physical_().mul_(1 + pairs)
        dboth_DR = (dkernel_D1C * powers_DRC[..., :chunk]).sum(-1)
        dwrite_DR = (dwrites_DRC * powers_DRC[..., :chunk]).sum(-1).addcmul_(dboth_DR, read_DR1[..., 0])
        dread_DR = (dreads_DRC * powers_DRC[..., 1:]).sum(-1).addcmul_(dboth_DR, write_DR1[..., 0])
        dpowers_DRC = torch.zeros_like(powers_DRC)
        dpowers_DRC[..., :chunk].addcmul_(dkernel_D1C, write_DR1 * read_DR1).addcmul_(dwrites_DRC, write_DR1)
        dpowers_DRC[..., 1:].addcmul_(dreads_DRC, read_DR1)
        for pair, at in ((dturns_WDR[:2], chunk), (dturns_WDR[2:], ctx.last)):
            _add_turn_gradient(dpowers_DRC[..., at], pair, pairs)
        steps_C1 = torch.arange(chunk + 1, dtype=REAL, device=powers_DRC.device).unsqueeze(-1)
        torch.view_as_real(dpowers_DRC.mul_(powers_DRC)).mul_(steps_C1)
        grads = system.backward(dpowers_DRC.sum(-1), dwrite_DR, dread_DR)
        return *(grad if grad is None else grad.to(log_dt_D.dtype) for grad in grads), None, None, None, None


class _System:
    """The discretised modes of a call, and the way back to the parameters, both without autograd."""

    def __init__(self, log_dt_D, A_log_DR, A_imag_DR, C_DR1, discretisation: str) -> None:
        self.in_pairs, self.discretisation = A_imag_DR is not None, discretisation
        self.dt_D11 = log_dt_D.to(REAL, copy=True).exp_().view(-1, 1, 1)
        self.rate_DR = _empty_modes(A_log_DR)
        rates_DR2 = torch.view_as_real(self.rate_DR)
        rates_DR2[..., 0].copy_(A_log_DR).exp_().neg_()
        self.read_DR = _empty_modes(A_log_DR)
        reads_DR2 = torch.view_as_real(self.read_DR)
        reads_DR2[..., 0].copy_(C_DR1[..., 0])
        if A_imag_DR is not None:
            rates_DR2[..., 1].copy_(A_imag_DR)
            reads_DR2[..., 1].copy_(C_DR1[..., 1])
        self.step_DR = torch.view_as_complex(rates_DR2 * self.dt_D11)
        if discretisation == "zoh":
            self.log_decay_DR = self.step_DR
            self.write_DR = self.step_DR.exp().sub_(1).div_(self.rate_DR)
        else:
            self.write_DR = (1 - self.step_DR / 2).reciprocal_()
            self.log_decay_DR = (1 + self.step_DR / 2).mul_(self.write_DR).log_()
            torch.view_as_real(self.write_DR).mul_(self.dt_D11)

    def backward(self, dlog_decay_DR: Tensor, dwrite_DR: Tensor, dread_DR: Tensor) -> tuple[Tensor | None, ...]:
        """Gradients of log_dt, A_log, A_imag and C, in float64."""
        dt_D1 = self.dt_D11[..., 0]
        if self.discretisation == "zoh":  # b = (exp(a) - 1) / A
            slope_DR = (self.write_DR * self.rate_DR + 1) / self.rate_DR
            dstep_DR = dlog_decay_DR + slope_DR.conj() * dwrite_DR
            drate_DR = dstep_DR * dt_D1 - (self.write_DR / self.rate_DR).conj() * dwrite_DR
            ddt_D = (dstep_DR * self.rate_DR.conj()).real.sum(-1)
        else:  # with w = 1 / (1 - dt A / 2):  da = w^2 / (w (1 + dt A / 2)) d(dt A),  db = w d(dt) + dt w^2 / 2 d(dt A)
            w_DR = self.write_DR / dt_D1
            slope_DR = w_DR / (1 + self.step_DR / 2)
            dstep_DR = slope_DR.conj() * dlog_decay_DR + (self.write_DR * w_DR / 2).conj() * dwrite_DR
            drate_DR = dstep_DR * dt_D1
            ddt_D = (dstep_DR * self.rate_DR.conj() + dwrite_DR * w_DR.conj()).real.sum(-1)
        dC_DR2 = torch.view_as_real(dread_DR)
        dA_log_DR = drate_DR.real * self.rate_DR.real
        dlog_dt_D = ddt_D * dt_D1[:, 0]
        return (
            dlog_dt_D,
            dA_log_DR,
            drate_DR.imag if self.in_pairs else None,
            dC_DR2 if self.in_pairs else dC_DR2[..., :1],
        )


def _empty_modes(like: Tensor) -> Tensor:
    return torch.zeros(like.shape, dtype=COMPLEX, device=like.device)


def _powers(log_decay_DR: Tensor, chunk: int) -> Tensor:
    """exp(l a) for l = 0 .. C, each from its own exponent: products would add up their errors."""
    steps_C1 = torch.arange(chunk + 1, dtype=REAL, device=log_decay_DR.device).unsqueeze(-1)
    return torch.view_as_complex(torch.view_as_real(log_decay_DR).unsqueeze(2) * steps_C1).exp_()


def _stacked(x: Tensor, in_pairs: bool, dtype: torch.dtype) -> Tensor:
    """Complex modes (D, R, C) as real parts, then imaginary parts; of real modes the first alone."""
    modes = x.shape[1]
    parts_DRC = torch.empty(x.shape[0], modes * (1 + in_pairs), x.shape[2], dtype=dtype, device=x.device)
    parts_DRC[:, :modes].copy_(x.real)
    if in_pairs:
        parts_DRC[:, modes:].copy_(x.imag)
    return parts_DRC


def _as_complex(x: Tensor, in_pairs: bool) -> Tensor:
    """The complex gradient of what `_stacked` was given."""
    modes = x.shape[1] // (1 + in_pairs)
    whole_DRC = torch.zeros(x.shape[0], modes, x.shape[2], dtype=COMPLEX, device=x.device)
    parts_DRC2 = torch.view_as_real(whole_DRC)
    parts_DRC2[..., 0].copy_(x[:, :modes])
    if in_pairs:
        parts_DRC2[..., 1].copy_(x[:, modes:])
    return whole_DRC


def _fill_turn(turn_WDR: Tensor, decay_DR: Tensor, in_pairs: bool) -> None:
    """`turn_of` in place, from zeros."""
    modes = decay_DR.shape[1]
    turn_WDR[0, :, :modes].copy_(decay_DR.real)
    if in_pairs:
        turn_WDR[0, :, modes:].copy_(decay_DR.real)
        turn_WDR[1, :, :modes].copy_(decay_DR.imag).neg_()
        turn_WDR[1, :, modes:].copy_(decay_DR.imag)


def _add_turn_gradient(dpower_DR: Tensor, dturn_WDR: Tensor, in_pairs: bool) -> None:
    """The complex gradient of what `turn_of` was given, added."""
    modes = dpower_DR.shape[1]
    dpower_DR.real.add_(dturn_WDR[0, :, :modes])
    if in_pairs:
        dpower_DR.real.add_(dturn_WDR[0, :, modes:])
        dpower_DR.imag.sub_(dturn_WDR[1, :, :modes]).add_(dturn_WDR[1, :, modes:])
