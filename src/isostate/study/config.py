"""What a study file may say. Each table is the config of the component it speaks of, with coordinates where it varies.

Defaults stand with those components: a key left out here is left out there.
"""

from __future__ import annotations

from typing import Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from isostate.config import Config, nearest
from isostate.data import DataConfig, Documents, RecallConfig
from isostate.study.file import NAME_PATTERN
from isostate.study.sweep import check_sweep
from isostate.train import EvalConfig, TrainConfig

RatesFor = Literal["family", "state"]  # what has a tuned learning rate of its own
LR_GRID = (1e-3, 2e-3, 4e-3, 8e-3)  # lr = "tune": a factor of 2 apart, around the 3e-3 of DESIGN's study file


class StudyDataConfig(DataConfig):
    """[data]; `context` may be a list: a coordinate."""

    context: list[int] = Field(min_length=1)  # type: ignore[assignment]

    @field_validator("context", mode="before")
    @classmethod
    def _one_is_a_list_of_one(cls, context: Any) -> Any:
        return context if isinstance(context, list) else [context]

    @field_validator("context")
    @classmethod
    def _each_once(cls, contexts: list[int]) -> list[int]:
        return _distinct("context", contexts, least=1)

    def at(self, context: int) -> DataConfig:
        return DataConfig.model_validate({**self.to_dict(), "context": context})


class TextConfig(Config):
    """[[text]]: a text of several, what is mixed into it, and the contexts it is read in; what it leaves out is
    [data]'s."""

    corpus: str | None = Field(None, min_length=1)
    context: list[int] | None = None
    documents: Documents | None = None
    recall: RecallConfig | None = None
    dilution: int | None = None


class StudyTrainConfig(TrainConfig):
    """[train]; `lr = "tune"` tries `lr_grid` (which is empty otherwise) and stands at the grid's first until then.
    `lr_for`: whether a family has one rate, or its states may have their own. See tune.py.
    """

    lr_grid: list[float] = Field([])
    lr_for: RatesFor = "family"

    @model_validator(mode="before")
    @classmethod
    def _tune(cls, values: Any) -> Any:
        if not isinstance(values, dict):
            return values
        lr, grid = values.get("lr"), values.get("lr_grid")
        if lr == "tune":
            grid = list(LR_GRID) if grid is None else grid
            if not isinstance(grid, list) or not all(isinstance(rate, (int, float)) for rate in grid) or not grid:
                raise ValueError(f"lr_grid = {grid!r}: must be a list of learning rates, such as {list(LR_GRID)}")
            return {**values, "lr": grid[0], "lr_grid": grid}
        if isinstance(lr, str):
            raise ValueError(f'lr = "{lr}": must be a number, such as 3e-3, or "tune"{nearest(lr, ["tune"])}')
        for name in ("lr_grid", "lr_for"):
            if values.get(name) is not None:
                raise ValueError(f'{name} is for lr = "tune", and lr is {lr}: leave out one of them')
        return values

    @model_validator(mode="after")
    def _every_rate_is_possible(self) -> Self:
        _distinct("lr_grid", self.lr_grid, least=0)
        for rate in self.lr_grid:
            self.at(rate)
        return self

    @property
    def tuned(self) -> bool:
        return bool(self.lr_grid)

    def at(self, lr: float) -> TrainConfig:
        return TrainConfig.model_validate({**self.model_dump(exclude={"lr_grid", "lr_for"}), "lr": lr})


class StudyModelConfig(Config):
    """[model]: what all cells share. `positions`, `qk_norm` and `n_heads` hold for a sweep that does not say its own.

    `match_params`: every cell's MLP is as wide as gives it the parameters of a softmax model with `d_ff`.
    """

    n_layers: int | None = None
    d_model: int | None = None
    d_ff: int | None = None
    n_heads: int | None = None
    positions: str | None = None
    qk_norm: str | None = None
    conv_taps: int | None = None
    mlp: str | None = None
    norm: str | None = None
    block: str | None = None
    bias: str | None = None
    embeddings: str | None = None
    position_embedding: str | None = None
    max_context: int | None = None
    dropout: float | None = None
    logit_cap: float | None = None
    match_params: bool = False


class SizeConfig(Config):
    """[[size]]: a model size; what it leaves out is [model]'s.

    `lr_share`: the learning rate over the study's or the family's, which is tuned at the smallest size of share 1. A
    rate that is best on a narrow model is too high for a wide one: it falls about as one over the width (Yang et al.
    2022, arXiv:2203.03466).
    """

    name: str = ""
    n_layers: int
    d_model: int
    d_ff: int | None = None
    n_heads: int | None = None
    lr_share: float = Field(default=1.0, gt=0, le=10)

    @property
    def label(self) -> str:
        return self.name or f"{self.n_layers}x{self.d_model}"


class OnlyConfig(Config):
    """`only` of a [[sweep]]: those of the study's sizes, contexts and seeds that it runs at; left out, all of them."""

    size: list[str] | None = Field(None, min_length=1)
    context: list[int] | None = Field(None, min_length=1)
    seeds: list[int] | None = Field(None, min_length=1)


class FitConfig(Config):
    """[[fit]]: a law by its name in LAWS; the caller checks it (laws and study do not know each other)."""

    law: str


class StudyConfig(Config):
    """A question and the runs that answer it: texts x sizes x contexts x sweeps x seeds."""

    name: str = Field(pattern=NAME_PATTERN)
    question: str = ""
    seeds: list[int] = Field([0], min_length=1)
    data: StudyDataConfig
    model: StudyModelConfig
    text: list[TextConfig] = Field([])
    size: list[SizeConfig] = Field([])
    train: StudyTrainConfig
    eval: EvalConfig
    sweep: list[dict[str, Any]] = Field(min_length=1)
    fit: list[FitConfig] = Field([])

    @field_validator("seeds")
    @classmethod
    def _each_seed_once(cls, seeds: list[int]) -> list[int]:
        return _distinct("seeds", seeds, least=0)

    @model_validator(mode="after")
    def _sizes_are_given_once(self) -> Self:
        model = self.model
        if self.size:
            if model.n_layers is not None or model.d_model is not None:
                raise ValueError("n_layers and d_model stand in [model] and in [[size]]; leave them out of [model]")
            _distinct("size names", [size.label for size in self.size], least="")
        elif model.n_layers is None or model.d_model is None:
            missing = "n_layers" if model.n_layers is None else "d_model"
            raise ValueError(f"missing key 'model.{missing}'; add it, or give [[size]] tables")
        return self

    @model_validator(mode="after")
    def _sweeps_name_mixers_and_their_keys(self) -> Self:
        for number, (table, only) in enumerate(self.sweeps, 1):
            check_sweep(f"sweep {number}", table)
            known: dict[str, list[Any]] = {
                "size": [size.label for size in self.sizes],
                "context": [context for text in self.texts for context in text.context],
                "seeds": self.seeds,
            }
            for name, allowed in known.items():
                strangers = [value for value in getattr(only, name) or [] if value not in allowed]
                if strangers:
                    raise ValueError(f"sweep {number}: only.{name} = {strangers[0]!r}: none of the study's, {allowed}")
        return self

    @model_validator(mode="after")
    def _texts_differ(self) -> Self:
        _distinct("texts", [data.at(data.context[0]).text for data in self.texts], least="")
        return self

    @property
    def sweeps(self) -> list[tuple[dict[str, Any], OnlyConfig]]:
        """Each [[sweep]] without its `only`, and that."""
        return [
            ({key: value for key, value in table.items() if key != "only"}, _only(number, table))
            for number, table in enumerate(self.sweep, 1)
        ]

    @property
    def texts(self) -> list[StudyDataConfig]:
        """[data] as each [[text]] has it; itself where there are none."""
        given = self.data.to_dict()
        changes = [text.model_dump(mode="json", exclude_unset=True) for text in self.text] or [{}]
        return [StudyDataConfig.model_validate({**given, **change}) for change in changes]

    @property
    def sizes(self) -> list[SizeConfig]:
        if self.size:
            return self.size
        assert self.model.n_layers is not None
        assert self.model.d_model is not None
        return [SizeConfig(n_layers=self.model.n_layers, d_model=self.model.d_model)]


def _only(number: int, table: dict[str, Any]) -> OnlyConfig:
    values = table.get("only", {})
    if not isinstance(values, dict):
        raise ValueError(f'sweep {number}: only = {values!r}: must be a table, such as only = {{size = ["small"]}}')
    return OnlyConfig.parse(values, f"sweep {number}: only")


def _distinct(name: str, values: list[Any], least: Any) -> list[Any]:
    for value in values:
        if value < least:
            raise ValueError(f"{name} = {value}: must be at least {least}")
        if values.count(value) > 1:
            raise ValueError(f"{name} = {values}: {value!r} stands there twice; name each once")
    return values
