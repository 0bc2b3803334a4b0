"""Pipeline stages: the idle share, and how many micro-batches a stage keeps at once.

P stages, m micro-batches, v pieces of the model a stage (interleaved, Narayanan et al. 2021): idle over busy time is
(P - 1) / (m v). One forward, one backward (1F1B) keeps at most P micro-batches on the first stage; interleaving
keeps (P - 1) / (P v) more.
"""

from __future__ import annotations

from isostate.config import UserError


def bubble(stages: int, micro_batches: int, pieces: int = 1) -> float:
    """Idle time over busy time of an update. Raises UserError where interleaving has too few micro-batches."""
    if pieces > 1 and micro_batches % stages:
        raise UserError(f"{micro_batches} micro-batches, interleaved on {stages} stages: give a multiple of {stages}")
    return (stages - 1) / (micro_batches * pieces)


def layers_kept(n_layers: int, stages: int, micro_batches: int, pieces: int = 1, stage: int = 0) -> float:
    """Layers' worth of activations on that stage at once, by 1F1B: Korthikanti et al.'s L on the first one.

    Interleaved, L (1 + (P - 1) / (P v)) on the first stage, which starts the most micro-batches before the first
    comes back.
    """
    a_stage = -(-n_layers // stages)
    kept = a_stage * min(stages - stage, micro_batches)
    return kept * (1 + (stages - 1) / (stages * pieces)) if pieces > 1 and stage == 0 else float(kept)
