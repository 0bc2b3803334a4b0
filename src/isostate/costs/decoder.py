"""Isostate's own configs as a cost sheet counts them: the mixers, the feed-forwards, the head, by `costs/model.py`.

Matmul FLOPs are those of `forward_cost` to the integer. A decoded token is the difference of the recurrent form over
S tokens and over S - 1. Bytes of prefill are `forward_cost`'s; a decoded step moves its weights and its state, read
and, where it is a matrix, written: activations are left out.
"""

from __future__ import annotations

from collections.abc import Callable

from isostate.config import UserError
from isostate.costs.formula import PARTS, Params, WeightStateRatio
from isostate.costs.model import FLOAT32_BYTES, forward_cost
from isostate.costs.precision import PrecisionName
from isostate.costs.subject import Subject
from isostate.costs.sublayer import Run
from isostate.costs.training import TrainingMemory, train_step_cost, training_memory
from isostate.mixers import MixerConfig
from isostate.mixers.native import Kernels
from isostate.model import ModelConfig, Recompute
from isostate.quantities import Cost, Operator, StateSize

CACHES = {"keys", "values"}  # parts of a state that a step reads and adds one row to


def of_config(config: ModelConfig, name: str, source: str, context: int) -> Subject:
    """Counted as it would run here; the mixer's form is the chunked one."""
    return Subject(
        name,
        f"{config.mixer.family}, a config of Isostate's",
        source,
        _params(config),
        context,
        lambda run: decoder_operators(config, run),
        lambda batch, context: train_step_cost(config, batch, context),
        lambda context: StateSize(config.state_size(context).parts, 1),
        lambda context: _ratio(config, context),
        True,
        "parameters, matmul FLOPs, state, kept activations: as the model runs here, padding included",
        "other FLOPs, moved bytes, the peak of a step in 16 bits; seconds and dollars, by a roofline without launches",
        limit=config.max_context,
        by_formula=False,
        memory=memory_of(config),
    )


def memory_of(
    config: ModelConfig,
) -> Callable[[int, int, PrecisionName, Recompute, Kernels | None], TrainingMemory]:
    """What `Subject.memory` wants: the chunked form's."""

    def memory(
        batch: int, context: int, precision: PrecisionName, recompute: Recompute, kernels: Kernels | None
    ) -> TrainingMemory:
        return training_memory(config, batch, context, recompute=recompute, precision=precision, kernels=kernels)

    return memory


def decoder_operators(config: ModelConfig, run: Run) -> list[Operator]:
    """Projections and recurrence of the mixers, feed-forwards with norms, the head. Raises UserError as `Run` may."""
    if run.batch < 1 or run.context < 1:
        raise UserError(f"batch = {run.batch}, context = {run.context}: must both be at least 1")
    config.check_context(run.context)
    rows = 1 if run.phase == "decode" else run.context
    whole, empty = _cost(config, 1, run.batch, rows), _cost(config, 0, run.batch, rows)
    around = whole + -1 * empty + -1 * config.mixers[0].cost(run.batch, rows, "chunked")
    weights = _weights(config)
    listed: list[tuple[str, Cost, int, int, int]] = []
    for mixer, times in config.mixer_groups:
        name, projections = _name(config, mixer), mixer.projection_cost(run.batch * rows)
        listed += [
            (f"{name}.projections", projections, times, mixer.n_params(), 0),
            (f"{name}.recurrence", _recurrence(mixer, run), times, 0, _moved_state(mixer, run)),
        ]
    listed += [
        ("feed-forward, norms", around, config.n_layers, weights["around"], 0),
        ("head", empty, 1, weights["head"], 0),
    ]
    result = []
    for name, cost, times, n_weights, state_bytes in listed:
        weight_bytes = run.weight_bytes(n_weights)
        moved = weight_bytes + state_bytes
        if run.phase == "prefill":  # counted in float32 by costs/model.py
            moved = run.activation_bytes(cost.moved_bytes // FLOAT32_BYTES) + state_bytes
        counted = Cost(cost.matmul_flops, cost.other_flops, max(moved, weight_bytes + state_bytes))
        result.append(Operator(name, counted, times, weight_bytes, state_bytes))
    return result


def _cost(config: ModelConfig, n_layers: int, batch: int, context: int) -> Cost:
    return forward_cost(config.model_copy(update={"n_layers": n_layers}), batch, context)


def _name(config: ModelConfig, mixer: MixerConfig) -> str:
    """Of its operators: where layers differ, by what they are."""
    if len(config.mixer_groups) == 1:
        return "mixer"
    return mixer.family if mixer.knob is None else f"{mixer.family}:{mixer.knob_value}"


def _recurrence(mixer: MixerConfig, run: Run) -> Cost:
    """What one mixer runs besides its projections."""
    if run.phase == "prefill":
        whole = mixer.cost(run.batch, run.context, "chunked")
        return whole + -1 * mixer.projection_cost(run.batch * run.context)
    before = Cost()
    if run.context > 1:
        before = mixer.cost(run.batch, run.context - 1, "recurrent")
        before = before + -1 * mixer.projection_cost(run.batch * (run.context - 1))
    after = mixer.cost(run.batch, run.context, "recurrent")
    step = after + -1 * mixer.projection_cost(run.batch * run.context) + -1 * before
    return Cost(step.matmul_flops, step.other_flops)


def _weights(config: ModelConfig) -> dict[str, int]:
    """Parameters that each operator reads, once: the head reads its table and the last norm."""
    mixers, head = (
        sum(times * mixer.n_params() for mixer, times in config.mixer_groups),
        config.vocab_size * config.d_model,
    )
    norm = config.d_model * (2 if config.norm == "layer" else 1)
    blocks = config.param_count().non_embedding - norm
    return {"mixers": mixers, "around": (blocks - mixers) // config.n_layers, "head": head + norm}


def _moved_state(mixer: MixerConfig, run: Run) -> int:
    """Of one layer. Decoding reads it, and writes a matrix state back; prefill writes it."""
    parts = mixer.state_size(run.context).parts
    times = {name: 2 if run.phase == "decode" and name not in CACHES else 1 for name in parts}
    return run.batch * run.state_bytes(sum(times[name] * size for name, size in parts.items()))


def _params(config: ModelConfig) -> Params:
    count, table = config.param_count(), config.vocab_size * config.d_model
    weights = _weights(config)
    parts = dict.fromkeys(PARTS, 0)
    parts["head"] = table if config.embeddings == "untied" else 0
    parts["embedding"] = count.embedding - parts["head"]
    parts["attention"] = weights["mixers"]
    parts["mlp"] = config.n_layers * weights["around"]
    parts["norm"] = count.non_embedding - parts["attention"] - parts["mlp"]
    return Params(parts)


def _ratio(config: ModelConfig, context: int) -> WeightStateRatio:
    run = Run(1, context, "decode")
    listed = {one.name: one.total for one in decoder_operators(config, run)}
    on_state = {name: listed.pop(name) for name in list(listed) if name.endswith(".recurrence")}
    state_flops = sum(cost.matmul_flops or cost.other_flops for cost in on_state.values())
    weight_flops = sum(cost.matmul_flops for cost in listed.values())
    return WeightStateRatio(
        weight_flops, state_flops, "2 x weights that multiply a token / FLOPs of the recurrent form on the states"
    )
