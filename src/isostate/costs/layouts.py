"""How long an update takes in one layout: computing, the collectives of every dimension, the pipeline's bubble.

An estimate in the spirit of a roofline, with every assumption here:

- Matrix products run at the efficiency's share of the peak; what is elementwise moves each kept activation `PASSES`
  times through memory. Weights are read once a micro-batch, which only tiny ones notice.
- Tensor parallelism waits for its collectives; ring attention hides its own behind the attention of the same step;
  data parallelism behind the backward of one micro-batch (stage 3: behind all computing), experts' exchange not at all.
- Groups are laid out tensor first, then context, expert, data, pipeline: a dimension talks over the links while its
  group fits in a node, and over the network beyond it.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace

from isostate.costs import collectives
from isostate.costs.hardware_table import Dtype, Hardware
from isostate.costs.pipeline import bubble
from isostate.costs.ring import RingLayout, ring_slowdown
from isostate.costs.roofline import Efficiency
from isostate.costs.sharding import MIXED, Layout, ModelShape, Precision, layer_activation_bytes

# Times that a byte of a layer's activations crosses memory: written and read forward; read, and its gradient written,
# read and added, backward. Recomputing all writes and reads them once more.
PASSES = 6
RING_PIECES = 8  # positions of a rank, for the balance of ring attention: it does not depend on more


@dataclass(frozen=True)
class Cluster:
    """Devices of one kind, in nodes. Bytes a second are one direction, a device."""

    n_devices: int
    hardware: Hardware
    node_size: int
    link_bytes_per_s: float
    network_bytes_per_s: float

    @staticmethod
    def of(
        n_devices: int,
        hardware: Hardware,
        node_size: int | None = None,
        link_bytes_per_s: float | None = None,
        network_bytes_per_s: float | None = None,
    ) -> Cluster:
        """What is not given comes from the table. Raises UserError where neither has what this many devices need."""
        if n_devices == 1:
            return Cluster(1, hardware, 1, float("inf"), float("inf"))
        node = node_size or int(hardware.known("node_size"))
        link = link_bytes_per_s or hardware.known("link_bytes_per_s")
        beyond = n_devices > node
        network = network_bytes_per_s or (hardware.known("network_bytes_per_s") if beyond else float("inf"))
        return Cluster(n_devices, hardware, node, link, network)

    def bandwidth(self, inner: int, ranks: int, efficiency: Efficiency) -> float:
        """Of a group of `ranks` whose members stand `inner` devices apart."""
        within = inner * ranks <= self.node_size
        return efficiency.link * (self.link_bytes_per_s if within else self.network_bytes_per_s)


@dataclass(frozen=True)
class UpdateTime:
    """Seconds of one update on the slowest rank, by cause; those of collectives are what nothing hides."""

    matmul_s: float
    elementwise_s: float
    tensor_s: float
    context_s: float
    expert_s: float
    pipeline_s: float
    bubble_s: float
    data_s: float
    optimizer_s: float

    @property
    def total_s(self) -> float:
        return sum(asdict(self).values())


def update_time(
    shape: ModelShape,
    layout: Layout,
    batch: int,
    context: int,
    cluster: Cluster,
    dtype: Dtype,
    efficiency: Efficiency,
    precision: Precision = MIXED,
    ring: RingLayout = "zig-zag",
    *,
    fused_attention: bool = True,
) -> UpdateTime:
    """`batch` sequences of `context` tokens; the layout must split them evenly."""
    micro_batches = batch // (layout.data * layout.micro_batch)
    stage_layers = -(-shape.n_layers // layout.pipeline)
    tokens = layout.micro_batch * context // layout.context  # of a rank and micro-batch
    peak = cluster.hardware.peak(dtype) * efficiency.compute
    memory = cluster.hardware.known("bandwidth_bytes_per_s") * efficiency.memory
    layer_s = _layer_flops(shape, layout, tokens, context, ring) / layout.tensor / peak
    head_s = 3 * shape.head_flops(tokens) / layout.tensor / peak / layout.pipeline
    whole = replace(layout, recompute="none")
    kept = layer_activation_bytes(shape, whole, context, precision.activation, fused_attention=fused_attention)
    passes = PASSES + (2 if layout.recompute == "full" else 0)
    elementwise_s = stage_layers * passes * kept / memory
    matmul_s = stage_layers * layer_s + head_s
    waits = _waits(shape, layout, context, cluster, efficiency, precision)
    tensor_s, context_s, expert_s = (stage_layers * seconds for seconds in waits)
    context_s = max(0.0, context_s - stage_layers * _attention_s(shape, layout, tokens, context, peak))
    busy_s = micro_batches * (matmul_s + elementwise_s + tensor_s + context_s + expert_s)
    sent = collectives.pipeline(layout.micro_batch, context // layout.context, shape.d_model, layout.tensor)
    inner = layout.tensor * layout.context * layout.data
    hops = 2 * layout.interleave * micro_batches if layout.pipeline > 1 else 0
    pipeline_s = hops * sent * precision.activation / cluster.bandwidth(inner, layout.pipeline, efficiency)
    n_params = _rank_params(shape, layout)
    shards = layout.data * layout.context if layout.zero_stage else 1
    return UpdateTime(
        micro_batches * matmul_s,
        micro_batches * elementwise_s,
        micro_batches * tensor_s,
        micro_batches * context_s,
        micro_batches * expert_s,
        pipeline_s,
        bubble(layout.pipeline, micro_batches, layout.interleave) * busy_s,
        _data_s(layout, cluster, efficiency, precision, n_params, micro_batches, busy_s),
        2 * precision.param_bytes * n_params / shards / memory,
    )


def _layer_flops(shape: ModelShape, layout: Layout, tokens: int, context: int, ring: RingLayout) -> float:
    """Forward, backward and what is computed again, of one layer; the ring's slowest rank does more attention."""
    attention = shape.attention_flops(tokens, context)
    matrices = shape.layer_flops(tokens, context) - attention
    if layout.context > 1:
        attention *= ring_slowdown(2 * RING_PIECES * layout.context, layout.context, ring)
    again = {"none": 0.0, "selective": attention, "full": matrices + attention}[layout.recompute]
    return 3 * (matrices + attention) + again


def _attention_s(shape: ModelShape, layout: Layout, tokens: int, context: int, peak: float) -> float:
    return 3 * shape.attention_flops(tokens, context) / layout.tensor / peak


def _waits(
    shape: ModelShape, layout: Layout, context: int, cluster: Cluster, efficiency: Efficiency, precision: Precision
) -> tuple[float, float, float]:
    """Seconds of one layer's collectives a micro-batch: tensor, context, expert."""
    positions, p = context // layout.context, precision.activation
    forward, backward = collectives.tensor_parallel(layout.micro_batch, positions, shape.d_model, layout.tensor)
    if layout.recompute == "full":
        forward *= 2
    tensor_s = (forward + backward) * p / cluster.bandwidth(1, layout.tensor, efficiency)
    kv_width = shape.n_kv_heads * shape.head_dim / layout.tensor
    round_s = sum(collectives.ring_attention(layout.micro_batch, context, 1, layout.context)) * kv_width * p
    context_s = round_s / cluster.bandwidth(layout.tensor, layout.context, efficiency)
    expert_s = 0.0
    if layout.expert > 1:
        sent = sum(
            collectives.expert_parallel(
                layout.micro_batch, positions, shape.d_model, shape.experts_per_token, layout.expert
            )
        )
        inner = layout.tensor * layout.context
        expert_s = sent * p / layout.tensor / cluster.bandwidth(inner, layout.expert, efficiency)
    return tensor_s, context_s, expert_s


def _rank_params(shape: ModelShape, layout: Layout) -> float:
    """Parameters of one stage's rank, before ZeRO."""
    stage_layers = -(-shape.n_layers // layout.pipeline)
    tables = shape.embedding_params if layout.pipeline == 1 else shape.vocab_size * shape.d_model
    dense = stage_layers * shape.layer_params + tables
    return (dense + stage_layers * shape.n_experts * shape.expert_params / layout.expert) / layout.tensor


def _data_s(
    layout: Layout,
    cluster: Cluster,
    efficiency: Efficiency,
    precision: Precision,
    n_params: float,
    micro_batches: int,
    busy_s: float,
) -> float:
    """Gradients and parameters among the ranks that share them, less what computing hides."""
    ranks = layout.data * layout.context
    gathered, reduced = collectives.data_parallel(n_params, ranks, layout.zero_stage)
    bandwidth = cluster.bandwidth(layout.tensor, ranks, efficiency)
    sent_s = (gathered * precision.weight + reduced * precision.gradient) / bandwidth
    if layout.zero_stage == 3:  # every micro-batch gathers and reduces again
        return max(0.0, micro_batches * sent_s - busy_s)
    return max(0.0, sent_s - busy_s / micro_batches * 2 / 3)
