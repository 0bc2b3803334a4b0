"""The notes on parallelism, for which Isostate has no code yet: rings, shards and schedules walked step by step."""

from __future__ import annotations

import pytest

from isostate.costs.hardware_table import find_hardware

# Chunks of positions that a rank holds.
SHARDINGS = {
    "naive": lambda rank, n_ranks, s: range(rank * s // n_ranks, (rank + 1) * s // n_ranks),
    "striped": lambda rank, n_ranks, s: range(rank, s, n_ranks),
    "zig-zag": lambda rank, n_ranks, s: [
        *range(rank * s // (2 * n_ranks), (rank + 1) * s // (2 * n_ranks)),
        *range((2 * n_ranks - 1 - rank) * s // (2 * n_ranks), (2 * n_ranks - rank) * s // (2 * n_ranks)),
    ],
}


def seen(queries, keys) -> int:
    return sum(key <= query for query in queries for key in keys)


def work(sharding: str, n_ranks: int, context: int) -> list[list[int]]:
    """Pairs that each rank attends to, a row a step of the ring."""
    held = [list(SHARDINGS[sharding](rank, n_ranks, context)) for rank in range(n_ranks)]
    assert sorted(position for mine in held for position in mine) == list(range(context)), "every position once"
    steps = range(n_ranks)
    return [[seen(held[rank], held[(rank - step) % n_ranks]) for rank in range(n_ranks)] for step in steps]


@pytest.mark.parametrize(
    "sharding, a_step, critical_path",
    [("naive", 16 * 16, 904), ("striped", 16 * 17 // 2, 544), ("zig-zag", 16 * 16 // 2, 520)],
)
def test_ring_attentions_critical_path_is_counted_pair_by_pair(sharding, a_step, critical_path):
    first, *later = work(sharding, 4, 64)
    assert first == [16 * 17 // 2] * 4
    assert [max(step) for step in later] == [a_step] * 3
    assert max(first) + sum(max(step) for step in later) == critical_path
    assert sum(map(sum, [first, *later])) == 64 * 65 // 2, "every causal pair once"
    assert all(len(set(step)) == 1 for step in later) == (sharding == "zig-zag")


def test_zig_zags_queries_of_a_lower_rank_sandwich_the_keys_and_do_not_fall_between():
    for low, high in ((0, 1), (1, 3)):
        q, k = (SHARDINGS["zig-zag"](rank, 4, 64) for rank in (low, high))
        assert min(q) < min(k) < max(k) < max(q)
        assert {seen([query], k) for query in q[:8]} == {0}
        assert {seen([query], k) for query in q[8:]} == {16}  # the upper half sees all
        # The other way round, and there alone, every query sees half of the keys.
        assert {seen([query], q) for query in k} == {8}
    # The footnote: of 8 positions on 4 ranks, rank 0 holds (0, 7), and rank 1 not (2, 6) but (1, 6).
    assert [list(SHARDINGS["zig-zag"](rank, 4, 8)) for rank in (0, 1)] == [[0, 7], [1, 6]]


def ring_all_reduce(vectors: list[list[float]]) -> tuple[list[list[float]], list[int]]:
    """Reduce-scatter, then all-gather, around the ring: the sums, and the elements that a rank sent in each half."""
    n_ranks = len(vectors)
    size = len(vectors[0]) // n_ranks
    held, sent = [list(vector) for vector in vectors], [0, 0]
    for step in range(2 * (n_ranks - 1)):
        reducing = step < n_ranks - 1
        messages = []
        for rank in range(n_ranks):
            part = (rank - step) % n_ranks if reducing else (rank + 1 - (step - n_ranks + 1)) % n_ranks
            messages.append((part, held[rank][part * size : (part + 1) * size]))
        for rank, (part, values) in enumerate(messages):
            to = (rank + 1) % n_ranks
            here = held[to][part * size : (part + 1) * size]
            new = [a + b for a, b in zip(here, values, strict=True)] if reducing else values
            held[to][part * size : (part + 1) * size] = new
        sent[not reducing] += size  # every rank the same
    return held, sent


@pytest.mark.parametrize("n_ranks", [2, 4, 8])
def test_a_ring_all_reduce_sends_twice_all_but_one_rank_share(n_ranks):
    elements = 8 * 7
    vectors = [[float(rank * elements + i) for i in range(elements)] for rank in range(n_ranks)]
    sums, sent = ring_all_reduce(vectors)
    assert sums == [[sum(column) for column in zip(*vectors, strict=True)]] * n_ranks
    share = elements // n_ranks  # which the all-gather starts from
    assert sent == [
        elements * (n_ranks - 1) // n_ranks,
        share * (n_ranks - 1),
    ]  # M (R - 1) / R, and M (R - 1) of shares
    assert sum(sent) == 2 * elements * (n_ranks - 1) // n_ranks
    # Gathering everything and adding it up there sends M (R - 1).
    assert (sum(sent) < elements * (n_ranks - 1)) == (n_ranks > 2)
    # The halves are two communications, two all-reduces a layer four: 4 n 8 us, and not the article's 2 4 n 8 us.
    assert 2 * len(sent) * 64 * 8e-6 == pytest.approx(2.048e-3)


def forward_bytes(batch: int, context: int, width: int, n_layers: int, n_ranks: int, p: int = 2) -> float:
    """What a rank sends in a forward: two all-reduces a layer, each by the ring that is walked through above."""
    _, sent = ring_all_reduce([[0.0] * n_ranks] * n_ranks)
    return n_layers * 2 * p * batch * context * width * sum(sent) / n_ranks


def test_tensor_parallel_volume_has_a_factor_of_the_layers_that_the_notes_drop():
    batch, context, width, ranks = 3, 512, 1024, 8
    for n_layers in (1, 96):
        sent = forward_bytes(batch, context, width, n_layers, ranks)
        assert sent == 4 * 2 * batch * width * n_layers * context * (ranks - 1) / ranks  # 4 p B D L S (T - 1) / T
    # Section 8.0.4: "BDS 1e-11 s" on an A100; it is 2.7e-11 a layer (for many ranks), times the layers.
    link = find_hardware("a100-80").known("link_bytes_per_s")
    assert forward_bytes(1, 1, 1024, 1, 64) / 1024 / link == pytest.approx(2.7e-11 * 63 / 64, rel=0.02)
    gpt_3 = forward_bytes(1, 1, 12288, 96, 8) / 12288 / link
    assert gpt_3 / 1e-11 == pytest.approx(96 * 8 / 3 * 7 / 8, rel=1e-6)  # 224 times the notes'


def test_computing_over_sending_is_a_number_and_its_rates_ratio_is_bytes_a_flop():
    # Eq. 74: the layer's 2 B S (4 + 2E) D^2 / T lacks its 2, and sending its 4 p (T - 1) / T; the unit is B/FLOP.
    batch, context, width, ranks, p = 2, 256, 4096, 8, 2
    flop_per_s, bytes_per_s = 1e14, 1e11
    products = (
        2 * batch * context * sum(rows * columns for rows, columns in [(width, width)] * 4 + [(width, 4 * width)] * 2)
    )
    computing_s = products / ranks / flop_per_s
    sending_s = forward_bytes(batch, context, width, 1, ranks, p) / bytes_per_s
    assert bytes_per_s / flop_per_s == 1e-3  # (B/s) / (FLOP/s)
    assert computing_s / sending_s == pytest.approx(12 * width / (2 * p * (ranks - 1)) * 1e-3)
    assert computing_s / sending_s != pytest.approx(12 * width / ranks * 1e-3, rel=0.5)  # the notes'
    # Equal times at D = 2 p (T - 1) 1e3 / 12 = 2,333 for 8 ranks.
    assert forward_bytes(batch, context, 7000 // 3, 1, ranks, p) / bytes_per_s == pytest.approx(
        2 * batch * context * 12 * (7000 // 3) ** 2 / ranks / flop_per_s, rel=1e-3
    )


@pytest.mark.parametrize("n_ranks, held", [(1, 8), (2, 4), (8, 1), (16, 1), (64, 1)])
def test_ranks_share_the_cache_until_each_has_one_key_value_head(n_ranks, held):
    # Eq. 87, 2 p B D L S / T, is of as many key-value heads as heads; Llama-2 70B has 8 for 64.
    n_heads, n_kv_heads = 64, 8
    a_rank = n_heads // n_ranks
    needed = [{head // 8 for head in range(rank * a_rank, (rank + 1) * a_rank)} for rank in range(n_ranks)]
    assert {len(heads) for heads in needed} == {held}
    assert held == max(1, n_kv_heads / n_ranks)  # x Kv / A while T <= Kv, copies beyond
    assert (held == n_heads / n_ranks) == (n_ranks == n_heads)  # the notes' count


def order_of(stage: int, n_stages: int, n_micro: int, chunks: int) -> list[tuple[str, int, int]]:
    """(forward or backward, micro-batch, layer) as the stage runs them: 1F1B, interleaved when it has more chunks."""

    def unit(kind: str, k: int) -> tuple[str, int, int]:
        group, place = divmod(k, n_stages * chunks)
        chunk = place // n_stages if kind == "F" else chunks - 1 - place // n_stages
        return kind, group * n_stages + k % n_stages, chunk * n_stages + stage

    units, ahead = n_micro * chunks, n_stages - stage - 1
    ahead = min(ahead if chunks == 1 else 2 * ahead + (chunks - 1) * n_stages, units)
    order = [unit("F", k) for k in range(ahead)]
    for k in range(units - ahead):
        order += [unit("F", ahead + k), unit("B", k)]
    return order + [unit("B", k) for k in range(units - ahead, units)]


def needed_by(kind: str, micro: int, layer: int, depth: int) -> tuple[str, int, int] | None:
    if kind == "F":
        return ("F", micro, layer - 1) if layer else None
    return ("F", micro, layer) if layer == depth - 1 else ("B", micro, layer + 1)


def bubble(n_stages: int, n_micro: int, chunks: int = 1) -> float:
    """Idle over ideal time of a pipeline in which everything runs as soon as it may; backward takes twice forward."""
    waiting = [order_of(stage, n_stages, n_micro, chunks) for stage in range(n_stages)]
    done: dict[tuple[str, int, int] | None, float] = {None: 0.0}
    free = [0.0] * n_stages
    while any(waiting):
        runs = [s for s, todo in enumerate(waiting) if todo and needed_by(*todo[0], n_stages * chunks) in done]
        assert runs, "the schedule deadlocks"
        for stage in runs:
            task = waiting[stage].pop(0)
            start = max(free[stage], done[needed_by(*task, n_stages * chunks)])
            free[stage] = done[task] = start + (1 if task[0] == "F" else 2) / chunks
    return max(free) / (3 * n_micro) - 1


@pytest.mark.parametrize(
    "n_stages, n_micro, chunks", [(4, 8, 1), (4, 32, 1), (8, 8, 1), (4, 8, 2), (4, 8, 4), (8, 16, 2)]
)
def test_a_pipelines_bubble_is_stages_less_one_over_micro_batches_and_chunks(n_stages, n_micro, chunks):
    assert bubble(n_stages, n_micro, chunks) == pytest.approx((n_stages - 1) / (n_micro * chunks), rel=1e-12)
