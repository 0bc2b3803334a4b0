"""The data's configuration: which text, which tokens, how much of it is held out, how windows are cut."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, SerializerFunctionWrapHandler, field_validator, model_serializer

from isostate.config import Config
from isostate.data.tokenizers import check_tokenizer

# whole: only documents of at least `context` tokens, each window within one; stream: a split's documents end to end.
Documents = Literal["whole", "stream"]


class DataConfig(Config):
    """The corpus and how it is read. `corpus`, `tokenizer` and `holdout` decide the shards; the others the windows."""

    corpus: str = Field(
        "bard", min_length=1
    )  # "bard", "python", or a file, folder or glob of .txt, .jsonl, .gz of those
    tokenizer: str = "bytes"  # or "bpe-<vocabulary size>"
    context: int = Field(ge=1)  # tokens a training window predicts
    documents: Documents = "whole"
    document_mask: bool = False  # tokens see and predict nothing beyond their document, in training and evaluation
    holdout: float = Field(0.1, gt=0, le=0.5)  # share of the corpus's bytes, by document
    fingerprint: str = Field("", pattern="^([0-9a-f]{64})?$")  # `resolve` fills it in: a run's hash covers its data

    @field_validator("tokenizer")
    @classmethod
    def _known_tokenizer(cls, name: str) -> str:
        check_tokenizer(name)
        return name

    @model_serializer(mode="wrap")
    def _without_what_is_off(self, serialise: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Runs without masks keep the names that they had before there were any."""
        return {key: value for key, value in serialise(self).items() if key != "document_mask" or value}
