"""A study's plan: its runs, and what they will cost, before any of them trains.

Predicted seconds of a run: its updates, and its evaluations at a third of an update's time a token (forward only;
FORMULAS section 2: backward costs twice forward).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from isostate.config import UserError, nearest
from isostate.costs import peak_train_bytes
from isostate.data import DataConfig, check_context, prepare
from isostate.model import knob_of
from isostate.records import Committed
from isostate.study.calibrate import StepTime, shape_of, step_times
from isostate.study.committed import data_of
from isostate.study.config import StudyConfig
from isostate.study.file import StudyFile
from isostate.study.grid import Cell, expand
from isostate.study.tune import Rates, choose_rates, settle, tuning_cells
from isostate.train import RunConfig, facts_of

Row = dict[str, Any]
Progress = Callable[[str, float], None]
Texts = dict[str, DataConfig]  # by what DataConfig calls `text`
ResultOf = Callable[[str], dict[str, Any] | None]  # by run id; None where there is none yet


def _silent(stage: str, share: float) -> None:
    """Nobody watches."""


@dataclass(frozen=True)
class Plan:
    """`tuning` comes before `cells`; with any, a cell's rate, and so its run id, is final once its family is among
    `rates`. `times` by shape."""

    data: Texts
    tuning: list[Cell]
    cells: list[Cell]
    rates: Rates
    times: dict[str, StepTime]
    notices: list[str]

    @property
    def settled(self) -> bool:
        """Whether every run's id is final."""
        return all(map(self._is_final, self.cells))

    @property
    def known(self) -> list[Cell]:
        """Runs whose ids are final, each once: a tuning run that is also a cell counts as a cell."""
        every = [*self.tuning, *filter(self._is_final, self.cells)]
        return list({cell.run_id: cell for cell in every}.values())

    def rows(self) -> list[Row]:
        """A row a run, tuning first; of a cell whose rate is not known yet "run_id" and "lr" are None."""
        waiting = [cell for cell in self.cells if not self._is_final(cell)]
        rows = [self.row(cell) for cell in self.known]
        return rows + [{**self.row(cell), "run_id": None, "lr": None} for cell in waiting]

    def row(self, cell: Cell) -> Row:
        time, wanted = self.times[shape_of(cell.config)], cell.wanted_state
        return {
            **facts_of(cell.config),
            "role": cell.role,
            "size": cell.size,
            "knob": knob_of(cell.config.model.mixer),
            "d_ff": cell.config.model.d_ff,
            "wanted_state": wanted,
            "state_error": None if wanted is None else cell.state / wanted - 1,
            "peak_bytes": _peak_bytes(cell.config),
            "step_s": time.step_s,
            "step_measured": time.measured,
            "predicted_s": predicted_s(cell.config, time.step_s),
        }

    def _is_final(self, cell: Cell) -> bool:
        return not self.tuning or cell.family in self.rates


def check_study(file: StudyFile, laws: Sequence[str]) -> StudyConfig:
    """The study, if it is sound as far as its file tells: keys, laws (of `laws`), every cell. Reads no text."""
    where = str(file.path)
    study = StudyConfig.parse(file.values, where)
    for fit in study.fit:
        if fit.law not in laws:
            known = f"known: {', '.join(laws)}{nearest(fit.law, laws)}"
            raise UserError(f'{where}: [[fit]] law = "{fit.law}": no such law of a study; {known}')
    for cell in expand(study, where)[0]:
        for rate in study.train.lr_grid:
            cell.at(rate)
    return study


def prepare_data(
    study: StudyConfig, cache: Path, fingerprints: Mapping[str, str] | None = None, progress: Progress = _silent
) -> Texts:
    """Prepares every text, and sees that it is long enough for every context. Returns each with its fingerprint.

    Raises UserError also for a text that is not of the one of `fingerprints` that is wanted of it, if one is.
    """
    found = {}
    for name, longest in texts_of(study).items():
        if fingerprints and fingerprints.get(name):
            longest = longest.model_copy(update={"fingerprint": fingerprints[name]})
        shards = prepare(longest, cache, progress)
        check_context(shards, "heldout", max(study.eval.contexts), longest.documents)
        found[name] = longest.model_copy(update={"fingerprint": shards.fingerprint})
    return found


def texts_of(study: StudyConfig) -> Texts:
    """Every text at its longest training context; fingerprints as the file has them."""
    longest = (text.at(max(text.context)) for text in study.texts)
    return {data.text: data for data in longest}


def known_data(study: StudyConfig, committed: Sequence[Committed], cache: Path) -> Texts:
    """Every text with its fingerprint: the records' where they have all of them, else the texts are prepared."""
    data = data_of(committed, texts_of(study))
    if all(text.fingerprint for text in data.values()):
        return data
    return prepare_data(study, cache, {name: text.fingerprint for name, text in data.items()})


def make_plan(study: StudyConfig, data: Texts, result_of: ResultOf, cache: Path, where: str) -> Plan:
    """Measures what is not in the cache yet; asks for the results of tuning runs by their ids; trains nothing."""
    cells, notices = expand(study, where, {name: text.fingerprint for name, text in data.items()})
    times = step_times(cells, cache)
    if not study.train.tuned:
        return Plan(data, [], cells, {}, times, notices)
    results: dict[str, dict[str, Any] | None] = {}
    known: dict[str, dict[str, Any]] = {}
    while True:  # results may ask for more runs, whose results may ask for more
        tuning = tuning_cells(cells, study.train.lr_grid, study.seeds[0], study.train.lr_for, known)
        if results.keys() == {cell.run_id for cell in tuning}:
            break
        results = {cell.run_id: result_of(cell.run_id) for cell in tuning}
        known = {run_id: result for run_id, result in results.items() if result is not None}
    waiting = {cell.family for cell in tuning if cell.run_id not in known}
    decided = [cell for cell in tuning if cell.family not in waiting]
    rates, edges = choose_rates(decided, known, study.train.lr_grid)
    return Plan(data, tuning, settle(cells, rates), rates, times, notices + edges)


def predicted_s(config: RunConfig, step_s: float) -> float:
    """Seconds of a whole run at `step_s` an update."""
    train, evaluation = config.train, config.eval
    between = (train.steps - 1) // evaluation.every
    per_context = between * evaluation.n_tokens + evaluation.final_tokens
    eval_tokens = len(evaluation.contexts) * per_context
    return step_s * (train.steps + eval_tokens / train.batch_tokens / 3)


def _peak_bytes(config: RunConfig) -> int:
    at_once = config.batch_size // config.train.accumulate
    return peak_train_bytes(config.model, at_once, config.data.context, config.train.recompute, config.train.threads)


def makespan(seconds: Sequence[float], jobs: int) -> float:
    """Seconds until all runs are done by `jobs` workers that take the longest first."""
    busy = [0.0] * jobs
    for duration in sorted(seconds, reverse=True):
        busy[busy.index(min(busy))] += duration
    return max(busy)
