"""The engine of the linear family: one gated linear recurrence in its three forms (FORMULAS section 1.1).

    S_t = g_t S_{t-1} + phi(k_t) v_t^T       y_t = phi(q_t)^T S_t / (phi(q_t) . z_t + eps)
    z_t = g_t z_{t-1} + phi(k_t)             or, without the normaliser,  y_t = phi(q_t)^T S_t

`recurrent` is the definition; `parallel` and `chunked` equal it. Linear, Taylor and power attention are feature maps
over it (`feature_maps.py`), decays and gates are its g.

Three choices hold everywhere:
- The normaliser is one more column of the state: v' = [v, 1], so that z = S'[:, V]; states handed out keep it apart.
- eps is added at one common scale in all forms, hence they agree. No row is ever rescaled: the diagonal f(q_t, k_t) is
  not decayed, so the sum that is divided by stays in range, whatever the gates.
- The gate at i acts, the gate at j itself does not: weight(i, j) = exp(L_i - L_j), L = cumsum(log g). Inside a chunk L
  is summed in float64, since gates near zero make L large and only its differences matter.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn.functional import pad

from isostate.mixers import engine_kernel
from isostate.mixers.chunks import Decays, Layout, scan, scan_back
from isostate.mixers.contract import State
from isostate.mixers.feature_maps import PolynomialMap

# Far below any sum of weights that occurs, far above the smallest float32: it only turns 0/0 into 0.
EPS = 1e-12
CHUNKS = (32, 64, 128, 256)
MULTIPLY_ADD_NS, PASS_NS = 0.033, 0.25  # one core: of a matmul, and of reading and writing an element once


@dataclass(frozen=True)
class MatrixState(State):
    """S and z of every head; z is None where the family does not normalise."""

    matrix_BHPV: Tensor
    normaliser_BHP: Tensor | None
    position: int | Tensor = 0

    def joined_BHPV(self) -> Tensor:
        if self.normaliser_BHP is None:
            return self.matrix_BHPV
        return torch.cat([self.matrix_BHPV, self.normaliser_BHP.unsqueeze(-1)], dim=-1)

    @staticmethod
    def split(state_BHPV: Tensor, normalised: bool, position: int | Tensor) -> MatrixState:
        if not normalised:
            return MatrixState(state_BHPV, None, position)
        return MatrixState(state_BHPV[..., :-1], state_BHPV[..., -1], position)


def recurrent(
    q_BHTK: Tensor,
    k_BHTK: Tensor,
    v_BHTV: Tensor,
    log_gate_BHT: Tensor | None,
    state: MatrixState,
    feature_map: PolynomialMap,
    chunk: int | None = None,
) -> tuple[Tensor, MatrixState]:
    """The definition, one position after another. `chunk` is for the chunked form and ignored here.

    A position reads itself by f(q, k) and its past from the state: phi(q) . phi(k) would lose digits where they cancel,
    and nothing else is left to divide by where all the past is forgotten.

    log_gate_BHT: log of the gates, broadcastable to (B, H, T); None means no decay. Returns y_BHTV and the state.
    """
    normalised = state.normaliser_BHP is not None
    weights_P = feature_map.weights_P(q_BHTK)
    phi_q_BHPT = feature_map.monomials(q_BHTK.mT) * weights_P[:, None]
    phi_k_BHPT = feature_map.monomials(k_BHTK.mT) * weights_P[:, None]
    v_BHTV = _with_ones(v_BHTV) if normalised else v_BHTV
    state_BHPV = state.joined_BHPV()
    gates_BHT = None if log_gate_BHT is None else log_gate_BHT.expand(q_BHTK.shape[:3]).exp()
    own_BHTV = feature_map.similarity((q_BHTK * k_BHTK).sum(-1, keepdim=True)) * v_BHTV
    reads = []
    for t in range(q_BHTK.shape[2]):
        if gates_BHT is not None:
            state_BHPV = gates_BHT[:, :, t, None, None] * state_BHPV
        reads.append((phi_q_BHPT[..., t, None] * state_BHPV).sum(-2) + own_BHTV[:, :, t])
        state_BHPV = state_BHPV + phi_k_BHPT[..., t, None] * v_BHTV[:, :, t, None, :]
    y_BHTV = _divide(torch.stack(reads, dim=2)) if normalised else torch.stack(reads, dim=2)
    return y_BHTV, MatrixState.split(state_BHPV, normalised, state.position + q_BHTK.shape[2])


def parallel(
    q_BHTK: Tensor,
    k_BHTK: Tensor,
    v_BHTV: Tensor,
    log_gate_BHT: Tensor | None,
    state: MatrixState,
    feature_map: PolynomialMap,
    chunk: int | None = None,
) -> tuple[Tensor, MatrixState]:
    """Attention form: all T x T weights at once. Same arguments and results as `recurrent`."""
    normalised = state.normaliser_BHP is not None
    T = q_BHTK.shape[2]
    weights_P = feature_map.weights_P(q_BHTK)
    v_BHTV = _with_ones(v_BHTV) if normalised else v_BHTV
    carried_BHPV = weights_P[:, None] * state.joined_BHPV()
    causal_TT = torch.ones(T, T, dtype=torch.bool, device=q_BHTK.device).tril()
    weight_BHTT = feature_map.similarity(q_BHTK @ k_BHTK.mT)
    read_BHTV = feature_map.monomials(q_BHTK.mT).mT @ carried_BHPV
    if log_gate_BHT is None:
        weight_BHTT = weight_BHTT.masked_fill(~causal_TT, 0.0)
        v_end_BHTV = v_BHTV
        state_BHPV = state.joined_BHPV()
    else:
        L_BHT = log_gate_BHT.expand(-1, -1, T).double().cumsum(-1)
        decay_BHTT = (L_BHT[..., :, None] - L_BHT[..., None, :]).masked_fill(~causal_TT, -torch.inf).exp()
        weight_BHTT = weight_BHTT * decay_BHTT.to(q_BHTK.dtype)
        since_start_BHT1 = L_BHT.exp().to(q_BHTK.dtype).unsqueeze(-1)
        until_end_BHT1 = (L_BHT[..., -1:] - L_BHT).exp().to(q_BHTK.dtype).unsqueeze(-1)
        read_BHTV = since_start_BHT1 * read_BHTV
        v_end_BHTV = until_end_BHT1 * v_BHTV
        state_BHPV = since_start_BHT1[..., -1:, :] * state.joined_BHPV()
    y_BHTV = weight_BHTT @ v_BHTV + read_BHTV
    state_BHPV = state_BHPV + weights_P[:, None] * (feature_map.monomials(k_BHTK.mT) @ v_end_BHTV)
    y_BHTV = _divide(y_BHTV) if normalised else y_BHTV
    return y_BHTV, MatrixState.split(state_BHPV, normalised, state.position + T)


def chunked(
    q_BHTK: Tensor,
    k_BHTK: Tensor,
    v_BHTV: Tensor,
    log_gate_BHT: Tensor | None,
    state: MatrixState,
    feature_map: PolynomialMap,
    chunk: int | None = None,
) -> tuple[Tensor, MatrixState]:
    """Attention form inside chunks of `chunk` positions, the state between them. Same results as `recurrent`.

    Forward and backward hold phi for one group of chunks at a time: memory grows with T (K + V) plus one state a chunk.
    On a CPU a kernel runs it (`engine_kernel.py`); there, heads may share queries and keys: q and k of fewer heads.
    """
    normalised = state.normaliser_BHP is not None
    B, H, T, _ = v_BHTV.shape
    inputs = (q_BHTK, k_BHTK, v_BHTV, log_gate_BHT, state.matrix_BHPV, state.normaliser_BHP)
    if engine_kernel.serves(*inputs):
        chunk = chunk or engine_kernel.best_chunk(feature_map, v_BHTV.shape[-1] + normalised, T)
        y_BHTV, matrix_BHPV, normaliser_BHP = engine_kernel.chunked(*inputs, feature_map, chunk)
        return y_BHTV, MatrixState(matrix_BHPV, normaliser_BHP, state.position + T)
    chunk = chunk or best_chunk(feature_map, v_BHTV.shape[-1] + normalised, T)
    weights_P1 = feature_map.weights_P(q_BHTK)[:, None]
    if log_gate_BHT is not None:
        log_gate_BHT = log_gate_BHT.expand(1 if log_gate_BHT.shape[0] == 1 else B, H, T)
    v_BHTV = _with_ones(v_BHTV) if normalised else v_BHTV
    carried_BHPV = state.joined_BHPV() / weights_P1  # the engine works on monomials without their weights
    y_BHTV, state_BHPV = _Chunked.apply(
        q_BHTK, k_BHTK, v_BHTV, log_gate_BHT, carried_BHPV, feature_map, chunk, normalised
    )
    return y_BHTV, MatrixState.split(weights_P1 * state_BHPV, normalised, state.position + T)


def best_chunk(feature_map: PolynomialMap, value_size: int, context: int) -> int:
    """The positions of a chunk for which a step, forward and backward, should take least time.

    Inside a chunk each position meets C others; between chunks it meets the state, P V, unless one chunk is all. Times
    in nanoseconds, fitted to one machine (NOTEBOOK, 2026-11-22): they only have to rank the choices.
    """
    P, K, V = feature_map.expanded_size, feature_map.head_dim, value_size

    def position_ns(chunk: int) -> float:
        inside = chunk * (3.5 * (K + V) * MULTIPLY_ADD_NS + 14 * PASS_NS)
        between = 8 * P * (V * MULTIPLY_ADD_NS + PASS_NS) + 8 * P * V / chunk * PASS_NS
        return inside + (1 - chunk / (-(-context // chunk) * chunk)) * between

    return min(context, min(CHUNKS, key=position_ns))


def _with_ones(v_BHTV: Tensor) -> Tensor:
    return pad(v_BHTV, (0, 1), value=1.0)


def _divide(read_BHTV: Tensor) -> Tensor:
    return read_BHTV[..., :-1] / (read_BHTV[..., -1:] + EPS)


class _Chunked(torch.autograd.Function):
    """The chunked form with a backward that recomputes phi, chunk group by chunk group.

    Saves q, k, v, the state at the start of every chunk, and what `y` was divided by. With `dr` the gradient of the
    undivided reading r = [sum weights v, sum weights], the gates need no weights at all:
    d log g = reverse cumsum over the chunk of (r . dr - v' . dv') + <dS_out, S_out>.
    An empty state is not read, and a final state that nothing depends on has no gradient: one chunk then needs no phi.
    """

    @staticmethod
    def forward(ctx, q_BHTK, k_BHTK, v_BHTV, log_gate_BHT, carried_BHPV, feature_map, chunk, normalised):
        layout = Layout.of(q_BHTK, v_BHTV, feature_map, chunk)
        decays = Decays.of(log_gate_BHT, layout, q_BHTK)
        q_BHNKC, k_BHNKC, v_BHNCV = layout.rows(q_BHTK), layout.rows(k_BHTK), layout.chunks(v_BHTV)
        weights2_P1 = feature_map.weights_P(q_BHTK)[:, None].square()
        states_BHNPV = q_BHTK.new_empty(layout.B, layout.H, layout.N + 1, layout.P, layout.V)
        states_BHNPV[:, :, 0] = carried_BHPV
        is_empty = not ctx.needs_input_grad[4] and not carried_BHPV.any()
        r_BHNCV = torch.empty_like(v_BHNCV)
        for n0, n1 in layout.groups():
            k, q, v = k_BHNKC[:, :, n0:n1], q_BHNKC[:, :, n0:n1], v_BHNCV[:, :, n0:n1]
            added = feature_map.monomials(k.flatten(0, 2)) @ decays.until_end(v, n0, n1).flatten(0, 2)
            scan(states_BHNPV[:, :, n0 : n1 + 1], added.view(*v.shape[:3], layout.P, layout.V), decays.whole(n0, n1))
            weight = decays.mask_(feature_map.similarity(q.mT @ k), n0, n1)
            r_BHNCV[:, :, n0:n1] = weight @ v
            n0 = max(n0, 1) if is_empty else n0
            if n0 < n1:
                carried = (weights2_P1 * states_BHNPV[:, :, n0:n1]).flatten(0, 2)
                read = feature_map.monomials(q_BHNKC[:, :, n0:n1].flatten(0, 2)).mT @ carried
                r_BHNCV[:, :, n0:n1] += decays.since_start(read.view(layout.B, layout.H, n1 - n0, chunk, -1), n0, n1)
        ctx.save_for_backward(q_BHTK, k_BHTK, v_BHTV, log_gate_BHT, states_BHNPV, r_BHNCV)
        ctx.feature_map, ctx.layout, ctx.normalised, ctx.is_empty = feature_map, layout, normalised, is_empty
        ctx.set_materialize_grads(False)
        y_BHNCV = _divide(r_BHNCV) if normalised else r_BHNCV
        return layout.positions(y_BHNCV), states_BHNPV[:, :, -1].clone()

    @staticmethod
    @once_differentiable
    def backward(ctx, dy_BHTV, dstate_BHPV):
        q_BHTK, k_BHTK, v_BHTV, log_gate_BHT, states_BHNPV, r_BHNCV = ctx.saved_tensors
        feature_map, layout = ctx.feature_map, ctx.layout
        decays = Decays.of(log_gate_BHT, layout, q_BHTK)
        q_BHNKC, k_BHNKC, v_BHNCV = layout.rows(q_BHTK), layout.rows(k_BHTK), layout.chunks(v_BHTV)
        dr_BHNCV = _reading_gradient(dy_BHTV, r_BHNCV, layout, ctx.normalised)
        dq_BHNKC, dk_BHNKC, dv_BHNCV = (torch.empty_like(x) for x in (q_BHNKC, k_BHNKC, v_BHNCV))
        carry_BHPV = torch.zeros_like(states_BHNPV[:, :, 0]) if dstate_BHPV is None else dstate_BHPV
        through_BHN = r_BHNCV.new_zeros(layout.B, layout.H, layout.N)
        for n0, n1 in reversed(layout.groups()):
            k, q, v = k_BHNKC[:, :, n0:n1], q_BHNKC[:, :, n0:n1], v_BHNCV[:, :, n0:n1]
            dr = dr_BHNCV[:, :, n0:n1]
            # Inside the chunks: attention form.
            weight, slope = feature_map.similarity_and_slope(q.mT @ k)
            dscore = decays.mask_((dr @ v.mT).mul_(slope), n0, n1)
            dq_BHNKC[:, :, n0:n1], dk_BHNKC[:, :, n0:n1] = k @ dscore.mT, q @ dscore
            dv_BHNCV[:, :, n0:n1] = decays.mask_(weight, n0, n1).mT @ dr
            # Between them: what each chunk read from the state, then, last chunk first, what it added to it.
            dread_BHNPV = torch.zeros_like(states_BHNPV[:, :, n0:n1])
            first = max(n0, 1) if ctx.is_empty else n0
            if first < n1:
                q_MKC = q_BHNKC[:, :, first:n1].flatten(0, 2)
                dread_MCV = decays.since_start(dr_BHNCV[:, :, first:n1], first, n1).flatten(0, 2)
                weights2_P1 = feature_map.weights_P(q_BHTK)[:, None].square()
                carried_MPV = (weights2_P1 * states_BHNPV[:, :, first:n1]).flatten(0, 2)
                dread = (feature_map.monomials(q_MKC) @ dread_MCV).mul_(weights2_P1)
                dread_BHNPV[:, :, first - n0 :] = dread.view_as(dread_BHNPV[:, :, first - n0 :])
                dq_MKC = feature_map.monomials_backward(q_MKC, carried_MPV @ dread_MCV.mT)
                dq_BHNKC[:, :, first:n1] += dq_MKC.view(layout.B, layout.H, n1 - first, -1, layout.chunk)
            dout_BHNPV = torch.empty_like(dread_BHNPV)
            carry_BHPV = scan_back(dout_BHNPV, dread_BHNPV, carry_BHPV, decays.whole(n0, n1))
            last = min(n1, layout.N - 1) if dstate_BHPV is None else n1
            if n0 < last:
                dout_MPV, k_MKC = dout_BHNPV[:, :, : last - n0].flatten(0, 2), k_BHNKC[:, :, n0:last].flatten(0, 2)
                v_MCV = decays.until_end(v_BHNCV[:, :, n0:last], n0, last).flatten(0, 2)
                dk_MKC = feature_map.monomials_backward(k_MKC, dout_MPV @ v_MCV.mT)
                dk_BHNKC[:, :, n0:last] += dk_MKC.view(layout.B, layout.H, last - n0, -1, layout.chunk)
                dv_MCV = feature_map.monomials(k_MKC).mT @ dout_MPV
                dv = dv_MCV.view(layout.B, layout.H, last - n0, layout.chunk, -1)
                dv_BHNCV[:, :, n0:last] += decays.until_end(dv, n0, last)
            if ctx.needs_input_grad[3]:
                through_BHN[:, :, n0:n1] = (dout_BHNPV * states_BHNPV[:, :, n0 + 1 : n1 + 1]).sum((-1, -2))
        dlog_gate_BHT = None
        if ctx.needs_input_grad[3]:
            dL_BHNC = (r_BHNCV * dr_BHNCV).sum(-1) - (v_BHNCV * dv_BHNCV).sum(-1)
            dlog_gate_BHNC = dL_BHNC.flip(-1).cumsum(-1).flip(-1) + through_BHN.unsqueeze(-1)
            dlog_gate_BHT = dlog_gate_BHNC.flatten(2)[..., : layout.T].sum_to_size(log_gate_BHT.shape)
        dq_BHTK, dk_BHTK = layout.positions(dq_BHNKC.mT), layout.positions(dk_BHNKC.mT)
        return dq_BHTK, dk_BHTK, layout.positions(dv_BHNCV), dlog_gate_BHT, carry_BHPV, None, None, None


def _reading_gradient(dy_BHTV: Tensor | None, r_BHNCV: Tensor, layout: Layout, normalised: bool) -> Tensor:
    """Gradient of the undivided reading [sum weights v, sum weights] from that of y."""
    if dy_BHTV is None:
        return torch.zeros_like(r_BHNCV)
    dy_BHNCV = layout.chunks(dy_BHTV)
    if not normalised:
        return dy_BHNCV
    divisor_BHNC1 = r_BHNCV[..., -1:] + EPS
    dy_BHNCV = dy_BHNCV / divisor_BHNC1
    dsum_BHNC1 = -(dy_BHNCV * r_BHNCV[..., :-1]).sum(-1, keepdim=True) / divisor_BHNC1
    return torch.cat([dy_BHNCV, dsum_BHNC1], dim=-1)
