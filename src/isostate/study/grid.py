"""From a study to its cells: every size, context, mixer setting and seed as a RunConfig.

A wanted state size is solved by the mixer's own knob (of a stack, by that of one of its mixers), then the MLP's width
by the wanted parameters. Both are properties of a config: the whole grid is known, and refused where it cannot be,
before anything runs.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import product
from typing import Any, Literal

from isostate.config import UserError
from isostate.data import DataConfig
from isostate.mixers import MIXERS
from isostate.model import ModelConfig, match_params, match_state
from isostate.study.config import OnlyConfig, SizeConfig, StudyConfig
from isostate.study.sweep import combinations, mixer_of, title
from isostate.train import RunConfig, TrainConfig

Role = Literal["sweep", "tune"]


class OutOfReachError(UserError):
    """A state that a family does not come near at one size and context."""


@dataclass(frozen=True)
class Cell:
    """One run of a study. `wanted_state` in elements, where a state was asked for; `size` is a size's label; the run's
    learning rate is `lr_share` of `rate`, the study's or its family's.
    """

    config: RunConfig
    size: str
    rate: float
    wanted_state: int | None = None
    role: Role = "sweep"
    lr_share: float = 1.0

    @property
    def run_id(self) -> str:
        return self.config.digest()

    @property
    def family(self) -> str:
        return self.config.model.mixer.family

    @property
    def state(self) -> int:
        """Elements a sequence carries at the training context."""
        return self.config.model.state_size(self.config.data.context).elements

    def at(self, rate: float, seed: int | None = None, role: Role = "sweep") -> Cell:
        """The same cell at another learning rate of the family (and seed)."""
        train = TrainConfig.model_validate({**self.config.train.to_dict(), "lr": rate * self.lr_share})
        seed = self.config.seed if seed is None else seed
        config = self.config.model_copy(update={"train": train, "seed": seed})
        return replace(self, config=config, rate=rate, role=role)


def expand(
    study: StudyConfig, where: str, fingerprints: Mapping[str, str] | None = None
) -> tuple[list[Cell], list[str]]:
    """All cells, and notices: of cells that turned out to be one and the same run, and of states that are out of reach
    at some sizes or contexts. Raises UserError, naming the sweep; also for a state that is out of reach at all of them.

    `fingerprints` are the data's, by text; without them (a first check, before the corpus is read) run ids are not the
    runs'.
    """
    cells: dict[str, Cell] = {}
    notices: list[str] = []
    prints = fingerprints or {}
    for number, (table, only) in enumerate(study.sweeps, 1):
        for setting in combinations(table):
            place = f'{where}: sweep {number} ("{title(table)}")'
            mixer = mixer_of(setting, table)
            found, out_of_reach = _at_every_place(study, setting.get("state_size"), mixer, only, place, prints)
            notices += out_of_reach
            for cell in found:
                twin = cells.setdefault(cell.run_id, cell)
                if twin is not cell and cell.config.seed == study.seeds[0]:
                    notices.append(_merged(setting, cell, number))
    return list(cells.values()), notices


def _at_every_place(
    study: StudyConfig,
    wanted: int | None,
    mixer: dict[str, Any],
    only: OnlyConfig,
    where: str,
    fingerprints: Mapping[str, str],
) -> tuple[list[Cell], list[str]]:
    """One setting at every text, size, context and seed that `only` leaves; what is out of reach where."""
    cells, out_of_reach = [], []
    for data, size in _places(study, only):
        try:
            model = build(study, data, size, wanted, mixer, where)
        except OutOfReachError as error:
            out_of_reach.append(f"left out at size {size.label}, context {data.context}: {error}")
            continue
        data = data.model_copy(update={"fingerprint": fingerprints.get(data.text, "")})
        rate, share = study.train.lr, size.lr_share
        values = {"model": model, "data": data, "train": study.train.at(rate * share), "eval": study.eval}
        for seed in only.seeds or study.seeds:
            config = RunConfig.parse({**values, "seed": seed}, where)
            cells.append(Cell(config, size.label, rate, wanted, lr_share=share))
    if not cells:
        raise UserError(out_of_reach[0].partition(": ")[2])
    return cells, out_of_reach


def _places(study: StudyConfig, only: OnlyConfig) -> Iterator[tuple[DataConfig, SizeConfig]]:
    for text, size in product(study.texts, study.sizes):
        for context in text.context:
            if context in (only.context or text.context) and size.label in (only.size or [size.label]):
                yield text.at(context), size


def build(
    study: StudyConfig, data: DataConfig, size: SizeConfig, wanted: int | None, mixer: dict[str, Any], where: str
) -> ModelConfig:
    """The model of one setting, its state and parameters matched where the study asks."""
    model = _model(study, data, size, mixer, where)
    if wanted is not None:
        try:
            model = match_state(model, wanted, data.context).model
        except UserError as error:
            raise OutOfReachError(f"{where}: {error}") from None
    if study.model.match_params:
        reference = _model(study, data, size, {"kind": "softmax"}, f"{where}: match_params, its softmax reference")
        try:
            model = match_params(model, reference.param_count().non_embedding)
        except UserError as error:
            raise UserError(f"{where}: {error}") from None
    return model


def _model(study: StudyConfig, data: DataConfig, size: SizeConfig, mixer: dict[str, Any], where: str) -> ModelConfig:
    given = study.model.model_dump(exclude_none=True, exclude={"match_params", "n_layers", "d_model"})
    given |= size.model_dump(exclude_none=True, exclude={"name", "lr_share"})
    shared: dict[str, Any] = {key: given.pop(key) for key in ("positions", "qk_norm", "n_heads") if key in given}
    if mixer["kind"] == "stack":
        mixer = {**mixer, "mixers": {name: _sharing(inner, shared) for name, inner in mixer["mixers"].items()}}
    else:
        mixer = _sharing(mixer, shared)
    return ModelConfig.parse({**given, "vocab_size": data.vocab_size, "mixer": mixer}, where)


def _sharing(mixer: dict[str, Any], shared: dict[str, Any]) -> dict[str, Any]:
    """A mixer with those of the model's keys that it knows and does not say itself."""
    known = MIXERS[mixer["kind"]].config.model_fields
    left_out = {"n_heads"} if "head_dim" in mixer else set()  # then the heads follow from their size
    return {key: value for key, value in shared.items() if key in known and key not in left_out} | mixer


def _merged(setting: dict[str, Any], cell: Cell, number: int) -> str:
    asked = ", ".join(f"{key} = {value}" for key, value in setting.items() if key != "mixer")
    return f"sweep {number}: {asked or title(setting)} is {cell.family} of {cell.state:,} elements once more: one run"
