"""Any famous model as a frozen description without torch: embedding, groups of blocks, final norm, head, second tower.

    blocks of a group run in their order, the group `count` times, one group after another
    block: z1 = z + Sublayer(Norm(z)), one sublayer after another; or all at once from one z (`parallel`)

`costs/formula.py` counts it, `costs/huggingface.py` reads it from a config.json, `costs/presets/` holds famous ones.
"""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from isostate.config import Config
from isostate.costs.attention import Attention, CrossAttention, LatentAttention
from isostate.costs.feedforward import MLP, MoE
from isostate.costs.recurrent import RWKV4, Mamba, Mamba2, RWKV4ChannelMix
from isostate.costs.sublayer import Linear, Size

AnySublayer = Annotated[
    Attention | CrossAttention | LatentAttention | Mamba | Mamba2 | RWKV4 | RWKV4ChannelMix | MLP | MoE,
    Field(discriminator="kind"),
]


class Norm(Config):
    """LayerNorm or RMSNorm, with a gain, a bias, or neither."""

    kind: Literal["layer", "rms"]
    gain: bool = True
    bias: bool = False

    def n_params(self, width: int) -> int:
        return width * (self.gain + self.bias)


class TokenEmbedding(Config):
    """Rows of the vocabulary, and of positions and token types where the model adds them.

    `padded_from`: tokens that the tokenizer has, where rows were added for speed. `width` differs from d_model where a
    matrix leads from one to the other (OPT-350M), and another back before the head.
    """

    kind: Literal["tokens"] = "tokens"
    vocab_size: Size
    padded_from: Size | None = None
    width: Size | None = None
    positions: Literal["none", "learned", "sinusoidal"] = "none"
    n_positions: Size | None = None  # the longest context of learned positions
    unused_positions: int = 0  # rows that no token can reach (OPT has 2)
    token_types: int = 0
    norm: Norm | None = None

    @model_validator(mode="after")
    def _positions_have_a_number(self) -> Self:
        if (self.positions == "learned") != (self.n_positions is not None):
            raise ValueError(f"n_positions = {self.n_positions}: give it with learned positions, and only then")
        if self.padded_from is not None and self.padded_from > self.vocab_size:
            raise ValueError(f"padded_from = {self.padded_from}: at most vocab_size = {self.vocab_size}")
        return self

    def linears(self, d_model: int) -> tuple[Linear, ...]:
        return () if self.width is None else (Linear("embedding.to_model", self.width, d_model),)

    def n_table(self, d_model: int) -> int:
        """Elements of the token table alone: what a tied head multiplies."""
        return self.vocab_size * (self.width or d_model)

    def n_params(self, d_model: int) -> int:
        rows = (self.n_positions or 0) + self.unused_positions + self.token_types
        return self.n_table(d_model) + rows * d_model + sum(one.n_params for one in self.linears(d_model))


class PatchEmbedding(Config):
    """An image of image_size^2 pixels as (image_size / patch_size)^2 patches, channels * patch_size^2 numbers each."""

    kind: Literal["patches"] = "patches"
    image_size: Size
    patch_size: Size
    channels: Size = 3
    class_token: bool = True
    bias: bool = True
    norm: Norm | None = None

    @model_validator(mode="after")
    def _patches_fit(self) -> Self:
        if self.image_size < self.patch_size:
            raise ValueError(f"patch_size = {self.patch_size}: at most image_size = {self.image_size}")
        return self

    @property
    def n_patches(self) -> int:
        return (self.image_size // self.patch_size) ** 2

    @property
    def n_positions(self) -> int:
        return self.n_patches + self.class_token

    def linears(self, d_model: int) -> tuple[Linear, ...]:
        return (Linear("embedding.patches", self.channels * self.patch_size**2, d_model, self.bias),)

    def n_params(self, d_model: int) -> int:
        rows = self.n_positions + self.class_token
        return rows * d_model + sum(one.n_params for one in self.linears(d_model))


class Block(Config):
    """Sublayers on one residual stream.

    Norms: one before each sublayer (pre), one after its sum (post), before and after each (sandwich), one for all
    (shared), or none.
    """

    sublayers: tuple[AnySublayer, ...]
    norm: Norm
    norms: Literal["pre", "post", "sandwich", "shared", "none"] = "pre"
    parallel: bool = False

    @model_validator(mode="after")
    def _has_sublayers(self) -> Self:
        if not self.sublayers:
            raise ValueError("sublayers: give at least one")
        if self.norms == "shared" and not self.parallel:
            raise ValueError("norms = shared: only parallel sublayers read one norm")
        return self

    @property
    def n_norms(self) -> int:
        n_sublayers = len(self.sublayers)
        return {"pre": n_sublayers, "post": n_sublayers, "sandwich": 2 * n_sublayers, "shared": 1, "none": 0}[
            self.norms
        ]


class LayerGroup(Config):
    """`blocks` in their order, `count` times: 5 windowed and 1 full, 10 times, say."""

    count: Size
    blocks: tuple[Block, ...] = Field(min_length=1)


class Head(Config):
    """What reads the last norm. `tied` uses the token table; `untied` has its own; `pooled` reads one position.

    `transform`: a linear, an activation and a norm before the logits (BERT). `pooler`: a linear and tanh on the first
    position. `outputs`: of a pooled head: classes, or the width of CLIP's common space; left out, nothing follows.
    """

    kind: Literal["tied", "untied", "pooled", "none"]
    bias: bool = False
    transform: Norm | None = None
    pooler: bool = False
    outputs: Size | None = None

    @model_validator(mode="after")
    def _outputs_are_pooled(self) -> Self:
        if self.outputs is not None and self.kind != "pooled" and not self.pooler:
            raise ValueError(f"outputs = {self.outputs}: only a pooled head has them")
        return self


class Architecture(Config):
    """One stack of blocks, and perhaps a second tower beside it that each sequence goes through too (CLIP's images).

    `scalars`: single parameters, such as CLIP's temperature. `left_out`: what the model has besides and nothing here
    counts, in words.
    """

    d_model: Size
    embedding: Annotated[TokenEmbedding | PatchEmbedding, Field(discriminator="kind")]
    groups: tuple[LayerGroup, ...] = Field(min_length=1)
    final_norm: Norm | None
    head: Head
    tower: Architecture | None = None
    scalars: int = 0
    left_out: str = ""

    @model_validator(mode="after")
    def _head_has_a_vocabulary(self) -> Self:
        if self.head.kind in {"tied", "untied"} and self.embedding.kind != "tokens":
            raise ValueError(f"head.kind = {self.head.kind}: patches have no vocabulary; use pooled or none")
        return self

    @property
    def n_blocks(self) -> int:
        return sum(group.count * len(group.blocks) for group in self.groups)

    @property
    def fixed_context(self) -> int | None:
        """Positions of an image; None for tokens."""
        return self.embedding.n_positions if self.embedding.kind == "patches" else None

    def blocks(self) -> list[Block]:
        """Every block, in order."""
        return [block for group in self.groups for _ in range(group.count) for block in group.blocks]

    def counted_blocks(self) -> list[tuple[Block, int]]:
        """(block, how often it stands in the model), in the order of their first appearance."""
        return [(block, group.count) for group in self.groups for block in group.blocks]

    @property
    def attentions(self) -> list[Attention | LatentAttention]:
        """Self-attentions of the distinct blocks."""
        sublayers = [one for block, _ in self.counted_blocks() for one in block.sublayers]
        return [one for one in sublayers if isinstance(one, (Attention, LatentAttention))]

    @property
    def generates(self) -> bool:
        """Whether it can decode: a head over tokens, and no sublayer that sees what comes after."""
        causal = all(one.causal for one in self.attentions if isinstance(one, Attention))
        return causal and self.head.kind in {"tied", "untied"}
