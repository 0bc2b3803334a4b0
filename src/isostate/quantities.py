"""Plain numbers with units: what a model costs, what it remembers, how many parameters it has.

`Cost` keeps matmul FLOPs, other FLOPs and bytes moved apart (1 multiply-accumulate = 2 FLOPs; FORMULAS section 2).
`Operator` is one kind of computation and how often it runs.
`StateSize` lists the parts of a recurrent state in elements (FORMULAS section 1.4). All are immutable and add.
"""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Cost:
    """FLOPs and bytes of one computation. Units: floating-point operations and bytes."""

    matmul_flops: int = 0
    other_flops: int = 0
    moved_bytes: int = 0

    @property
    def total_flops(self) -> int:
        return self.matmul_flops + self.other_flops

    def __add__(self, other: Cost) -> Cost:
        return Cost(
            self.matmul_flops + other.matmul_flops,
            self.other_flops + other.other_flops,
            self.moved_bytes + other.moved_bytes,
        )

    def __mul__(self, times: int) -> Cost:
        return Cost(self.matmul_flops * times, self.other_flops * times, self.moved_bytes * times)

    __rmul__ = __mul__


@dataclass(frozen=True)
class Operator:
    """One kind of computation in a model, such as a layer's score matrix: its cost once, and how often it runs.

    `weight_bytes` and `state_bytes` are those of `cost.moved_bytes` that read weights and that read or write the state.
    """

    name: str
    cost: Cost
    times: int = 1
    weight_bytes: int = 0
    state_bytes: int = 0

    @property
    def total(self) -> Cost:
        return self.times * self.cost


@dataclass(frozen=True)
class StateSize:
    """Elements a sequence carries, by part, for one sequence; `bytes_per_element` turns them into bytes.

    Parts in use: keys, values, matrix, normaliser, convolution, buffer.
    """

    parts: dict[str, int] = field(default_factory=dict)
    bytes_per_element: int = 4

    @property
    def elements(self) -> int:
        return sum(self.parts.values())

    @property
    def state_bytes(self) -> int:
        return self.elements * self.bytes_per_element

    def __add__(self, other: StateSize) -> StateSize:
        assert self.bytes_per_element == other.bytes_per_element, "parts of one state share a dtype"
        names = [*self.parts, *(name for name in other.parts if name not in self.parts)]
        parts = {name: self.parts.get(name, 0) + other.parts.get(name, 0) for name in names}
        return StateSize(parts, self.bytes_per_element)

    def __mul__(self, times: int) -> StateSize:
        return StateSize({name: size * times for name, size in self.parts.items()}, self.bytes_per_element)

    __rmul__ = __mul__


@dataclass(frozen=True)
class ParamCount:
    """Parameters of a model; embeddings (token, position, an untied head) apart from the rest."""

    embedding: int = 0
    non_embedding: int = 0

    @property
    def total(self) -> int:
        return self.embedding + self.non_embedding
