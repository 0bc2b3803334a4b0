"""The notes on S4, Mamba and Mamba-2: convolutions and chunks held against the recurrence they stand for."""

from __future__ import annotations

import pytest
import torch
from torch.nn.functional import softplus

from tests.tolerances import assert_agrees

T, N_STATES, IN, OUT = 15, 4, 3, 2


def normal(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_s4s_convolution_takes_a_to_the_distance_and_reads_with_its_own_index():
    a, b, c = 0.3 * normal(N_STATES, N_STATES), normal(N_STATES, IN, seed=1), normal(OUT, N_STATES, seed=2)
    x = normal(T, IN, seed=3)
    h, outputs = torch.zeros(N_STATES, dtype=torch.float64), []
    for x_now in x:
        h = a @ h + b @ x_now
        outputs.append(c @ h)
    want = torch.stack(outputs)

    def convolved(power):
        terms = [[c @ torch.linalg.matrix_power(a, power(s, r)) @ b @ x[r] for r in range(s + 1)] for s in range(T)]
        return torch.stack([sum(row) for row in terms])

    assert_agrees(convolved(lambda s, r: s - r), want)
    assert (convolved(lambda s, r: s - s) - want).abs().max() > 0.1  # eq. 29, A^(s-s)
    # Eq. 27 reads y_c = C_bb h_b: of a square C the diagonal alone, and no index c to give.
    diagonal = torch.einsum("bb,b->b", normal(N_STATES, N_STATES, seed=2), h)
    assert diagonal.shape == (N_STATES,) != want[0].shape


def test_mambas_step_is_a_softplus_or_its_state_grows_without_bound():
    delta_T, bias = normal(400, seed=4), -1.0
    a = -2.0  # A = -exp(A_log) is negative

    def largest_state(steps_T):
        h, largest = 0.0, 0.0
        for step in steps_T.tolist():
            h = float(torch.tensor(step * a).exp()) * h + step
            largest = max(largest, abs(h))
        return largest

    steps_T = softplus(delta_T + bias)
    assert (steps_T * a).exp().max() < 1, "every step forgets"
    assert largest_state(steps_T) <= steps_T.max() / (1 - (steps_T.max() * a).exp())  # its fixed point at that step
    assert (delta_T * a).exp().max() > 10  # the notes', W1 W0 x itself: negative steps remember more than all
    assert largest_state(delta_T) > 1e3


def recurrence(log_a_T, b_TN, c_TN, x_T):
    h, outputs = torch.zeros(N_STATES, dtype=torch.float64), []
    for log_a, b_N, c_N, x in zip(log_a_T, b_TN, c_TN, x_T, strict=True):
        h = log_a.exp() * h + b_N * x
        outputs.append(c_N @ h)
    return torch.stack(outputs)


def chunked(log_a_T, b_TN, c_TN, x_T, chunk: int, twice=False, all_chunks=False, own_inputs=False):
    """Eq. 44: inside a chunk (c = c') the decays of eq. 37, from earlier ones U A T of eq. 43.

    `twice` exponentiates the first term's decays again, `all_chunks` does not restrict it to c = c', and `own_inputs`
    lets the second term read chunk c where it must read c'.
    """
    n_chunks = len(x_T) // chunk
    a_CL, x_CL = log_a_T.view(n_chunks, chunk), x_T.view(n_chunks, chunk)
    b_CLN, c_CLN = b_TN.view(n_chunks, chunk, -1), c_TN.view(n_chunks, chunk, -1)
    lower = torch.ones(chunk, chunk, dtype=torch.bool).tril()
    y_CL = torch.zeros_like(x_CL)
    for c in range(n_chunks):
        for earlier in range(n_chunks if all_chunks else c + 1):
            scores = (c_CLN[c] @ b_CLN[earlier].T) * x_CL[earlier]
            if earlier == c or all_chunks:
                decay = (a_CL[c].cumsum(0)[:, None] - a_CL[c].cumsum(0)[None]).exp()
                y_CL[c] += ((decay.exp() if twice else decay) * lower * scores).sum(-1)
            if earlier < c:
                left = a_CL[c].cumsum(0).exp()
                between = a_CL[earlier + 1 : c].sum().exp()
                right = (a_CL[earlier].sum() - a_CL[earlier].cumsum(0)).exp()
                read = (c_CLN[c] @ b_CLN[c].T) * x_CL[c] if own_inputs else scores
                y_CL[c] += left * between * (right * read).sum(-1)
    return y_CL.flatten()


@pytest.mark.parametrize("wrong", ["twice", "all_chunks", "own_inputs"])
def test_chunks_exponentiate_a_decay_once_and_meet_themselves_alone_in_the_first_term(wrong):
    inputs = (-normal(T).abs(), normal(T, N_STATES, seed=1), normal(T, N_STATES, seed=2), normal(T, seed=3))
    want_T = recurrence(*inputs)
    assert_agrees(chunked(*inputs, chunk=5), want_T)
    assert (chunked(*inputs, chunk=5, **{wrong: True}) - want_T).abs().max() > 0.1
