"""What the model types of Hugging Face share: strict numbers, heads that divide, layers gathered into groups."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import Field

from isostate.config import Config
from isostate.costs.architecture import Architecture, Block, Head, LayerGroup, Norm
from isostate.costs.feedforward import Activation

Number = Annotated[int, Field(strict=True, ge=1)]  # "4096" and 4096.0 are mistakes, not sizes
NumberOrNone = Number | None
Layers = Annotated[int, Field(strict=True, ge=1, le=10_000)]  # every layer is written out, hence a bound
Zero = Annotated[int, Field(strict=True, ge=0)]
Flag = Annotated[bool, Field(strict=True)]
Word = Literal["gelu", "gelu_new", "gelu_fast", "gelu_pytorch_tanh", "quick_gelu", "relu", "relu2", "silu", "swish"]
PLAIN: dict[str, Activation] = {"relu": "relu", "relu2": "squared-relu"}  # all the others are gelu
GATED: dict[str, Activation] = {"relu": "reglu", "silu": "swiglu", "swish": "swiglu"}  # all the others are geglu
LAYER, RMS = Norm(kind="layer", bias=True), Norm(kind="rms")
LONGEST_PATTERN = 8  # layers; Gemma 3 repeats 6


class HuggingFaceConfig(Config, ABC):
    """Abstract: the keys of one model type that decide its sizes."""

    aliases: ClassVar[dict[str, str]] = {}  # other names that transformers takes -> ours

    @classmethod
    def read(cls, values: Mapping[str, Any], where: str) -> Self:
        """From a config.json with more keys than these. Raises UserError, one line."""
        named = {ours: values[other] for other, ours in cls.aliases.items() if other in values}
        named |= {key: value for key, value in values.items() if key in cls.model_fields}
        return cls.parse(named, where)

    @abstractmethod
    def architecture(self) -> Architecture:
        """What transformers builds from it for language modelling, or for what its `architectures` name."""


def plain(word: str) -> Activation:
    """The activation of a feed-forward of two matrices."""
    return PLAIN.get(word, "gelu")


def gated(word: str) -> Activation:
    """The activation of a feed-forward of three matrices."""
    return GATED.get(word, "geglu")


def tied(tie: bool, bias: bool = False) -> Head:
    return Head(kind="tied" if tie else "untied", bias=bias)


def check_heads(width_key: str, width: int, heads_key: str, n_heads: int) -> None:
    """Raises ValueError where a head's size is no whole number."""
    if width % n_heads:
        raise ValueError(f"{heads_key} = {n_heads}: must divide {width_key} = {width}")


def check_kv_heads(heads_key: str, n_heads: int, kv_key: str, n_kv_heads: int | None) -> None:
    """Raises ValueError where key-value heads do not divide the query heads."""
    if n_kv_heads is not None and n_heads % n_kv_heads:
        raise ValueError(f"{kv_key} = {n_kv_heads}: must divide {heads_key} = {n_heads}")


def gather(blocks: Sequence[Block]) -> tuple[LayerGroup, ...]:
    """Groups of repeating patterns, the longest stretch first found: 62 layers of Gemma 3 are 10 times 6, and 2."""
    groups, start = [], 0
    while start < len(blocks):
        period, count = max(
            ((period, _repeats(blocks, start, period)) for period in range(1, LONGEST_PATTERN + 1)),
            key=lambda found: found[0] * found[1] if found[0] == 1 or found[1] > 1 else 0,
        )
        groups.append(LayerGroup(count=count, blocks=tuple(blocks[start : start + period])))
        start += period * count
    return tuple(groups)


def _repeats(blocks: Sequence[Block], start: int, period: int) -> int:
    pattern, count = blocks[start : start + period], 1
    while blocks[start + count * period : start + (count + 1) * period] == pattern:
        count += 1
    return count
