"""The data's configuration: which text, which tokens, how much of it is held out, how windows are cut."""

from __future__ import annotations

from typing import Any, Literal, Self

from pydantic import Field, SerializerFunctionWrapHandler, field_validator, model_serializer, model_validator

from isostate.config import Config
from isostate.data.recall import RecallConfig
from isostate.data.tokenizers import MAX_BPE_VOCAB, check_tokenizer

# whole: only documents of at least `context` tokens, each window within one; stream: a split's documents end to end.
Documents = Literal["whole", "stream"]
OPTIONS = ("document_mask", "recall", "dilution")  # off by default, and then without a trace


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
    recall: RecallConfig | None = None  # episodes of associative recall between the text's tokens
    dilution: int = Field(0, ge=0, le=64)  # filler tokens after every token
    fingerprint: str = Field("", pattern="^([0-9a-f]{64})?$")  # `resolve` fills it in: a run's hash covers its data

    @property
    def n_symbols(self) -> int:
        """Ids beyond the tokenizer's."""
        return (self.recall.symbols if self.recall else 0) + (1 if self.dilution else 0)

    @property
    def vocab_size(self) -> int:
        return check_tokenizer(self.tokenizer) + self.n_symbols

    @property
    def text(self) -> str:
        """What the tokens are, for tables and labels: the corpus, and what is mixed into it."""
        recall = f" + {self.recall.label}" if self.recall else ""
        return f"{self.corpus}{recall}{f', {self.dilution} fillers' if self.dilution else ''}"

    @field_validator("tokenizer")
    @classmethod
    def _known_tokenizer(cls, name: str) -> str:
        check_tokenizer(name)
        return name

    @model_validator(mode="after")
    def _tokens_fit(self) -> Self:
        if self.vocab_size > MAX_BPE_VOCAB:
            raise ValueError(f"{self.vocab_size} tokens, symbols of recall among them: at most {MAX_BPE_VOCAB} fit")
        return self

    @model_serializer(mode="wrap")
    def _without_what_is_off(self, serialise: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Runs without masks, recall and fillers keep the names that they had before there were any."""
        return {key: value for key, value in serialise(self).items() if key not in OPTIONS or value}
