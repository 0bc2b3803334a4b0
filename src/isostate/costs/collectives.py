"""What ranks send one another: ring collectives, and the volumes of each way to split a model (FORMULAS section 2).

Volumes are what one rank sends; a ring receives as much at the same time. R ranks, each giving M elements or bytes.
"""

from __future__ import annotations


def reduce_scatter(amount: float, ranks: int) -> float:
    """Each rank gives `amount` and gets the sum's R-th part: M (R - 1) / R."""
    return amount * (ranks - 1) / ranks


def all_gather(amount: float, ranks: int) -> float:
    """Each rank gives `amount` and gets everyone's: M (R - 1)."""
    return amount * (ranks - 1)


def all_reduce(amount: float, ranks: int) -> float:
    """Each rank gives `amount` and gets the sum, by a reduce-scatter and an all-gather: 2 M (R - 1) / R."""
    return 2 * amount * (ranks - 1) / ranks


def all_to_all(amount: float, ranks: int) -> float:
    """Each rank gives every rank an R-th part of `amount`: M (R - 1) / R."""
    return amount * (ranks - 1) / ranks


def tensor_parallel(batch: int, context: int, d_model: int, ranks: int) -> tuple[float, float]:
    """Elements that a rank sends a layer, forward and backward: 4 B S D (T - 1) / T each.

    Two all-reduces of the residual stream, after the mixer and after the feed-forward; with sequence parallelism each
    is a reduce-scatter and an all-gather of the same volume (Korthikanti et al. 2022).
    """
    one = 2 * all_reduce(batch * context * d_model, ranks)
    return one, one


def tensor_parallel_bytes_per_flop(d_model: int, expansion: float, ranks: int, bytes_per_element: float) -> float:
    """Bytes sent a FLOP computed of a layer's matrices, forward: what link bandwidth over peak must reach.

    2 B S (4 + 2E) D^2 / T FLOPs a rank (ERRATA 17: the notes drop the 2 and turn the unit over).
    """
    sent = 4 * d_model * (ranks - 1) / ranks * bytes_per_element
    return sent / (2 * (4 + 2 * expansion) * d_model**2 / ranks)


def pipeline(batch: int, context: int, d_model: int, tensor_ranks: int = 1) -> float:
    """Elements of one micro-batch that a stage sends the next, scattered over the tensor-parallel ranks."""
    return batch * context * d_model / tensor_ranks


def ring_attention(batch: int, context: int, kv_width: int, ranks: int) -> tuple[float, float]:
    """Elements that a rank sends a layer: its keys and values go round; in the backward their gradients too.

    `context` is the whole sequence's, `kv_width` key-value heads times their size.
    """
    keys_and_values = 2 * batch * context / ranks * kv_width
    return (ranks - 1) * keys_and_values, 2 * (ranks - 1) * keys_and_values


def expert_parallel(batch: int, context: int, d_model: int, experts_per_token: int, ranks: int) -> tuple[float, float]:
    """Elements that a rank sends a layer: tokens go to their experts and come back, and so do gradients."""
    one = 2 * all_to_all(batch * context * d_model * experts_per_token, ranks)
    return one, one


def data_parallel(n_params: float, ranks: int, zero_stage: int) -> tuple[float, float]:
    """Elements that a rank sends an update: (gathering parameters, reducing gradients), of `n_params` that it holds.

    Without ZeRO the gradients are all-reduced. Stages 1 and 2 reduce-scatter them and gather the updated parameters.
    Stage 3 (FSDP) gathers parameters for the forward and again for the backward (Rajbhandari et al. 2020).
    """
    if zero_stage == 0:
        return 0.0, all_reduce(n_params, ranks)
    gathered = all_gather(n_params / ranks, ranks)
    return (2 if zero_stage == 3 else 1) * gathered, reduce_scatter(n_params, ranks)
