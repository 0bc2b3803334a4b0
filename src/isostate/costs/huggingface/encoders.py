"""Encoders in the file types of Hugging Face: BERT, ViT, and CLIP's two towers.

On top of BERT and ViT stands what the file's `architectures` names; without them, the bare model and its pooler.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal, Self

from pydantic import model_validator

from isostate.costs.architecture import Architecture, Block, Head, LayerGroup, PatchEmbedding, TokenEmbedding
from isostate.costs.attention import Attention
from isostate.costs.feedforward import MLP
from isostate.costs.huggingface.keys import LAYER, Flag, HuggingFaceConfig, Number, Word, check_heads, plain


class Bert(HuggingFaceConfig):
    """BERT: norms after the sums, one behind the embedding."""

    architectures: list[Literal["BertModel", "BertForMaskedLM", "BertForPreTraining"]] | None = None
    vocab_size: Number
    hidden_size: Number
    num_hidden_layers: Number
    num_attention_heads: Number
    intermediate_size: Number
    max_position_embeddings: Number
    type_vocab_size: Number = 2
    hidden_act: Word = "gelu"

    @model_validator(mode="after")
    def _heads_divide(self) -> Self:
        check_heads("hidden_size", self.hidden_size, "num_attention_heads", self.num_attention_heads)
        return self

    def architecture(self) -> Architecture:
        heads = {
            "BertModel": Head(kind="pooled", pooler=True),
            "BertForMaskedLM": Head(kind="tied", bias=True, transform=LAYER),
            "BertForPreTraining": Head(kind="tied", bias=True, transform=LAYER, pooler=True, outputs=2),
        }
        embedding = TokenEmbedding(
            vocab_size=self.vocab_size,
            positions="learned",
            n_positions=self.max_position_embeddings,
            token_types=self.type_vocab_size,
            norm=LAYER,
        )
        block = encoder_block(self.hidden_size, self.num_attention_heads, self.intermediate_size, self.hidden_act)
        return Architecture(
            d_model=self.hidden_size,
            embedding=embedding,
            groups=(LayerGroup(count=self.num_hidden_layers, blocks=(block.model_copy(update={"norms": "post"}),)),),
            final_norm=None,
            head=heads[self.architectures[0] if self.architectures else "BertModel"],
        )


class ViT(HuggingFaceConfig):
    """ViT: a classifier has one output a label of `id2label`."""

    architectures: list[Literal["ViTModel", "ViTForImageClassification"]] | None = None
    hidden_size: Number
    num_hidden_layers: Number
    num_attention_heads: Number
    intermediate_size: Number
    image_size: Number
    patch_size: Number
    num_channels: Number = 3
    qkv_bias: Flag = True
    hidden_act: Word = "gelu"
    id2label: dict[str, str] | None = None

    @model_validator(mode="after")
    def _heads_divide(self) -> Self:
        check_heads("hidden_size", self.hidden_size, "num_attention_heads", self.num_attention_heads)
        return self

    def architecture(self) -> Architecture:
        head = Head(kind="pooled", pooler=True)
        if self.architectures and self.architectures[0] == "ViTForImageClassification":
            n_labels = 2 if self.id2label is None else len(self.id2label)  # transformers' default labels are two
            head = Head(kind="pooled", outputs=n_labels, bias=True)
        block = encoder_block(
            self.hidden_size, self.num_attention_heads, self.intermediate_size, self.hidden_act, self.qkv_bias
        )
        embedding = PatchEmbedding(image_size=self.image_size, patch_size=self.patch_size, channels=self.num_channels)
        return Architecture(
            d_model=self.hidden_size,
            embedding=embedding,
            groups=(LayerGroup(count=self.num_hidden_layers, blocks=(block,)),),
            final_norm=LAYER,
            head=head,
        )


class ClipText(HuggingFaceConfig):
    """CLIP's text tower: causal; transformers' defaults, which published files leave out."""

    vocab_size: Number = 49_408
    hidden_size: Number = 512
    intermediate_size: Number = 2048
    num_hidden_layers: Number = 12
    num_attention_heads: Number = 8
    max_position_embeddings: Number = 77
    hidden_act: Word = "quick_gelu"

    @model_validator(mode="after")
    def _heads_divide(self) -> Self:
        check_heads("hidden_size", self.hidden_size, "num_attention_heads", self.num_attention_heads)
        return self

    def architecture(self) -> Architecture:
        block = encoder_block(
            self.hidden_size, self.num_attention_heads, self.intermediate_size, self.hidden_act, causal=True
        )
        embedding = TokenEmbedding(
            vocab_size=self.vocab_size, positions="learned", n_positions=self.max_position_embeddings
        )
        return Architecture(
            d_model=self.hidden_size,
            embedding=embedding,
            groups=(LayerGroup(count=self.num_hidden_layers, blocks=(block,)),),
            final_norm=LAYER,
            head=Head(kind="none"),
        )


class ClipVision(HuggingFaceConfig):
    """CLIP's image tower: a ViT with a norm behind the embedding and no bias of the patches."""

    hidden_size: Number = 768
    intermediate_size: Number = 3072
    num_hidden_layers: Number = 12
    num_attention_heads: Number = 12
    image_size: Number = 224
    patch_size: Number = 32
    num_channels: Number = 3
    hidden_act: Word = "quick_gelu"

    @model_validator(mode="after")
    def _heads_divide(self) -> Self:
        check_heads("hidden_size", self.hidden_size, "num_attention_heads", self.num_attention_heads)
        return self

    def architecture(self) -> Architecture:
        block = encoder_block(self.hidden_size, self.num_attention_heads, self.intermediate_size, self.hidden_act)
        embedding = PatchEmbedding(
            image_size=self.image_size, patch_size=self.patch_size, channels=self.num_channels, bias=False, norm=LAYER
        )
        return Architecture(
            d_model=self.hidden_size,
            embedding=embedding,
            groups=(LayerGroup(count=self.num_hidden_layers, blocks=(block,)),),
            final_norm=LAYER,
            head=Head(kind="none"),
        )


class Clip(HuggingFaceConfig):
    """CLIP: both towers, their projections into one space, a temperature."""

    text_config: ClipText
    vision_config: ClipVision
    projection_dim: Number = 512

    towers: ClassVar[dict[str, type[HuggingFaceConfig]]] = {"text_config": ClipText, "vision_config": ClipVision}

    @classmethod
    def read(cls, values: Mapping[str, Any], where: str) -> Self:
        """From a config.json with its two towers in tables of their own."""
        given = {key: value for key, value in values.items() if key in cls.model_fields}
        for key, tower in cls.towers.items():
            if isinstance(given.get(key), dict):
                given[key] = tower.read(given[key], f"{where}, {key}")
        return cls.parse(given, where)

    def architecture(self) -> Architecture:
        head = Head(kind="pooled", outputs=self.projection_dim)
        image = self.vision_config.architecture().model_copy(update={"head": head})
        return self.text_config.architecture().model_copy(update={"head": head, "tower": image, "scalars": 1})


def encoder_block(width: int, n_heads: int, d_ff: int, word: str, qkv_bias: bool = True, causal: bool = False) -> Block:
    """Attention and a plain feed-forward, biases everywhere but perhaps in the queries, keys and values."""
    attention = Attention(
        n_heads=n_heads,
        n_kv_heads=n_heads,
        head_dim=width // n_heads,
        causal=causal,
        bias="all" if qkv_bias else "out",
    )
    return Block(sublayers=(attention, MLP(d_ff=d_ff, activation=plain(word), bias=True)), norm=LAYER)
