"""The notes on attention, its losses and its inputs, where Isostate has no code of its own: what is right, shown."""

from __future__ import annotations

import math

import pytest
import torch
from torch.nn.functional import cross_entropy

from tests.tolerances import assert_agrees

T, K = 24, 8


def normal(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def masked_scores() -> torch.Tensor:
    """Scores spread widely, so that the running maximum changes from chunk to chunk."""
    scores_TS = 3 * normal(T, K) @ normal(T, K, seed=1).T
    return scores_TS.masked_fill(~torch.ones(T, T, dtype=torch.bool).tril(), -math.inf)


def flash_forward(scores_TS, v_SV, rescales: bool, chunk: int = 5):
    """Keys chunk by chunk with a running maximum M: the outputs, and log sum exp of each row."""
    Z_TV, L_T, M_T = torch.zeros(T, K).double(), torch.zeros(T).double(), torch.full((T,), -math.inf).double()
    for start in range(0, T, chunk):
        part_TS = scores_TS[:, start : start + chunk]
        new_T = torch.maximum(M_T, part_TS.amax(-1))
        weights_TS, old_T = (part_TS - new_T[:, None]).exp(), (M_T - new_T).exp()
        Z_TV = (old_T[:, None] * Z_TV if rescales else Z_TV) + weights_TS @ v_SV[start : start + chunk]
        L_T, M_T = old_T * L_T + weights_TS.sum(-1), new_T
    return Z_TV / L_T[:, None], M_T + L_T.log()


def test_the_flash_forward_rescales_its_numerator_or_is_not_softmax_attention():
    scores_TS, v_SV = masked_scores(), normal(T, K, seed=2)
    want_TV = scores_TS.softmax(-1) @ v_SV
    assert_agrees(flash_forward(scores_TS, v_SV, rescales=True)[0], want_TV)
    assert_agrees(flash_forward(scores_TS, torch.ones(T, K).double(), rescales=True)[0], torch.ones(T, K).double())
    wrong_TV, _ = flash_forward(scores_TS, v_SV, rescales=False)  # the notes'
    assert (wrong_TV - want_TV).abs().max() > 1


def test_the_flash_backward_subtracts_the_log_sum_and_its_rows_sum_to_one():
    scores_TS, v_SV, grad_TV = masked_scores().requires_grad_(), normal(T, K, seed=2), normal(T, K, seed=3)
    z_TV, lse_T = flash_forward(scores_TS.detach(), v_SV, rescales=True)
    p_TS = (scores_TS.detach() - lse_T[:, None]).exp()
    assert_agrees(p_TS.sum(-1), torch.ones(T, dtype=torch.float64))
    wrong_TS = (scores_TS.detach() + lse_T[:, None]).exp()  # the notes'
    assert wrong_TS.sum(-1).max() > 1000
    # With it the scores' gradient P (g v - g z) is autograd's.
    (want_TS,) = torch.autograd.grad((scores_TS.softmax(-1) @ v_SV * grad_TV).sum(), scores_TS)
    assert_agrees(p_TS * (grad_TV @ v_SV.T - (grad_TV * z_TV).sum(-1, keepdim=True)), want_TS)


def test_a_step_needs_past_keys_and_values_and_no_past_query():
    # Section 8.0.3 caches "key and query vectors".
    q, k, v = (normal(T, K, seed=seed).requires_grad_() for seed in range(3))
    scores_TS = (q @ k.T / K**0.5).masked_fill(~torch.ones(T, T, dtype=torch.bool).tril(), -math.inf)
    last_V = (scores_TS.softmax(-1) @ v)[-1]
    from_q, from_k, from_v = torch.autograd.grad(last_V.square().sum(), (q, k, v))
    assert from_q[:-1].eq(0).all()
    assert from_k[:-1].ne(0).any(-1).all()
    assert from_v[:-1].ne(0).any(-1).all()


def test_the_target_of_a_position_is_the_shifted_token_there_and_not_the_one_behind_it():
    # Eq. 13 takes y at s + 1, but y is x shifted by one already: 2, 3, 4, ... for 1, 2, 3, ...
    tokens_T = torch.arange(1, T + 1)
    x_T, y_T = tokens_T[:-1], tokens_T[1:]
    knows_successors_TU = 50.0 * torch.eye(T + 2)[x_T + 1]
    assert cross_entropy(knows_successors_TU, y_T) < 1e-9
    assert cross_entropy(knows_successors_TU[:-1], y_T[1:]) > 40


@pytest.mark.parametrize("sign, falls", [(-1, True), (1, False)], ids=["right", "the notes'"])
def test_clips_loss_falls_as_pairs_come_together(sign, falls):
    # Eq. 82 has no minus: descending it drives every image away from its own text.
    images_BD, texts_BD = normal(6, K, seed=4), normal(6, K, seed=5)
    images_BD, texts_BD = (x / x.norm(dim=-1, keepdim=True) for x in (images_BD, texts_BD))

    def logs(images_BD):
        logits_BB = 10 * images_BD @ texts_BD.T  # a row an image, a column a text
        return logits_BB.log_softmax(0).diagonal(), logits_BB.log_softmax(1).diagonal()

    def loss(images_BD):
        return sign * sum(part.sum() for part in logs(images_BD)) / (2 * 6)

    together = [loss((1 - near) * images_BD + near * texts_BD).item() for near in (0.0, 0.5, 1.0)]
    assert (together == sorted(together, reverse=True)) == falls
    assert (min(together) > 0) == falls, "a cross entropy is never negative"
    logits_BB, own_B = 10 * images_BD @ texts_BD.T, torch.arange(6)
    both = (cross_entropy(logits_BB, own_B) + cross_entropy(logits_BB.T, own_B)) / 2
    assert torch.isclose(loss(images_BD), both) == falls


def chosen_gates(logits_TE: torch.Tensor, capacity: int, over_experts: bool) -> torch.Tensor:
    """G_TE of expert choice: softmax over experts, then each expert's top tokens; or softmax over those tokens."""
    if over_experts:
        affinity_TE = logits_TE.softmax(-1)
        kept_TE = affinity_TE >= affinity_TE.topk(capacity, 0).values[-1]
        return torch.where(kept_TE, affinity_TE, 0)
    kept_TE = logits_TE >= logits_TE.topk(capacity, 0).values[-1]
    return logits_TE.masked_fill(~kept_TE, -math.inf).softmax(0)


def test_a_gate_of_expert_choice_depends_on_its_own_token_alone():
    # Zhou et al. 2022 take the softmax over experts; eq. 84 over the tokens that an expert chose.
    logits_TE = 2 * normal(T, 4, seed=6)
    best = int(logits_TE.softmax(-1)[:, 0].argmax())
    for over_experts in (True, False):
        gates_TE = chosen_gates(logits_TE, 6, over_experts)
        assert gates_TE.ne(0).sum(0).tolist() == [6] * 4, "every expert has the same load"
        others = logits_TE.clone()
        rivals = gates_TE[:, 0].ne(0)
        rivals[best] = False
        others[rivals] += torch.tensor([-0.2, 0.1, 0.1, 0.1])
        moved = (chosen_gates(others, 6, over_experts)[best, 0] - gates_TE[best, 0]).abs()
        assert (moved < 1e-12) == over_experts
    # Theirs sums to 1 over an expert's tokens, so that each token's share shrinks with the capacity; ours does not.
    assert_agrees(chosen_gates(logits_TE, 6, False).sum(0), torch.ones(4, dtype=torch.float64))
    assert (chosen_gates(logits_TE, T, True).sum(-1) - 1).abs().max() < 1e-12


VOCABULARY = 5


def accepted_then_resampled(p_U, q_U, residual_U):
    """The exact distribution of one speculative token: drafts accepted with min(1, p / q), else the residual's."""
    accepted_U = q_U * torch.minimum(torch.ones_like(p_U), p_U / q_U)
    return accepted_U + (1 - accepted_U.sum()) * residual_U


def test_speculative_decoding_samples_from_the_full_model_exactly():
    p_U, q_U = normal(VOCABULARY).softmax(0), normal(VOCABULARY, seed=1).softmax(0)
    positive_U = (p_U - q_U).clamp(min=0)
    assert_agrees(accepted_then_resampled(p_U, q_U, positive_U / positive_U.sum()), p_U)
    # Eq. 86, (p - min(p, q)) / (1 - beta), is the same; p itself, or p - q without the clamp, is not.
    eq_86_U = (p_U - torch.minimum(p_U, q_U)) / (1 - torch.minimum(p_U, q_U).sum())
    assert_agrees(eq_86_U, positive_U / positive_U.sum())
    assert (accepted_then_resampled(p_U, q_U, p_U) - p_U).abs().max() > 1e-2


def test_a_draft_is_accepted_by_its_probability_behind_the_drafts_before_it():
    # Step 3 has p(x_t | z_prefix); it is p(z_t | x_prefix, z_<t), and the pair is then the full model's own.
    first_U, second_UU = normal(VOCABULARY).softmax(0), 2 * normal(VOCABULARY, VOCABULARY, seed=1)
    want_UU = first_U[:, None] * second_UU.softmax(-1)
    draft_UU = normal(VOCABULARY, VOCABULARY, seed=2).softmax(-1)

    def pair(p_UU):
        rows = []
        for token in range(VOCABULARY):
            positive_U = (p_UU[token] - draft_UU[token]).clamp(min=0)
            rows.append(accepted_then_resampled(p_UU[token], draft_UU[token], positive_U / positive_U.sum()))
        return first_U[:, None] * torch.stack(rows)

    assert_agrees(pair(second_UU.softmax(-1)), want_UU)
    prefix_alone_UU = want_UU.sum(0).expand(VOCABULARY, VOCABULARY)
    assert (pair(prefix_alone_UU) - want_UU).abs().max() > 1e-2
