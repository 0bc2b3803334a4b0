"""One run, from its config to its result, through any number of interruptions.

A step: the batch of (seed, step), forward and backward by micro-batches, one wait for loss and gradient norm, the check
that both are finite, the update. Then what is due, in this order: a row of the log, a checkpoint, an evaluation. A run
that goes on from a checkpoint begins with the evaluation, if one is due: wherever it was cut, the same rows follow.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

from isostate.config import UserError
from isostate.data import Shards, batch, eval_parts, eval_windows, prepare
from isostate.model import Decoder, decayed_parameters
from isostate.records import RunDirectory, newest_valid_checkpoint, set_aside_damaged
from isostate.train.checkpoint import Progress, load, save
from isostate.train.config import RunConfig
from isostate.train.evaluate import Evaluation, InterruptedEvaluationError, evaluate
from isostate.train.facts import environment_of, facts_of
from isostate.train.journal import Emit, Journal
from isostate.train.optimizer import OPTIMIZERS
from isostate.train.reproducible import reproducible
from isostate.train.schedule import learning_rate
from isostate.train.windows import given

Outcome = Literal["done", "diverged", "stopped"]


def train_run(run_dir: Path, shards_cache: Path, emit: Emit, should_stop: Callable[[], bool]) -> Outcome:
    """Trains the run whose directory was created at `run_dir` until its result, or until `should_stop()`, which is
    asked every step; goes on from its newest whole checkpoint.

    Events carry "event" and "run_id": start, step, eval, checkpoint, warning (a "message"), end (a "status").
    Raises UserError (foreign directory, changed corpus, in use by another process) and OSError (disk full, read-only).
    """
    run = RunDirectory(run_dir)
    config = RunConfig.parse(run.config(), str(run_dir / "config.json"))
    with run.lock(), reproducible(config.train.threads, config.seed):
        result = run.result()
        if result is not None:
            return result["status"]
        run.sweep()
        outcome = _Training(run, config, prepare(config.data, shards_cache), emit, should_stop).train()
    emit({"event": "end", "run_id": run.run_id, "status": outcome})
    return outcome


class _Training:
    """A run while it trains: its model, optimizer, place and journal."""

    def __init__(
        self, run: RunDirectory, config: RunConfig, shards: Shards, emit: Emit, should_stop: Callable[[], bool]
    ):
        if shards.vocab_size != config.model.vocab_size:
            advice = f"the tokenizer {config.data.tokenizer!r} has {shards.vocab_size}; set it to that"
            raise UserError(f"model.vocab_size = {config.model.vocab_size}: {advice}")
        self.run, self.config, self.shards, self.should_stop = run, config, shards, should_stop
        self.windows = {  # before any training: a held-out text too short for a context is told now
            (context, n_tokens): (eval_windows(*which), eval_parts(*which))
            for n_tokens in (config.eval.n_tokens, config.eval.final_tokens)
            for context in config.eval.contexts
            for which in [(shards, context, n_tokens // context, config.data.documents)]
        }
        self.facts = facts_of(config)
        self.model = Decoder(config.model, config.seed)
        train = config.train
        decay, no_decay = decayed_parameters(self.model)
        self.optimizer = OPTIMIZERS[train.optimizer](
            decay, no_decay, betas=train.betas, eps=train.eps, weight_decay=train.weight_decay
        )
        self.progress, notices = self._start_or_resume()
        self.saved_step = self.progress.step
        self.journal = Journal(run, emit, self.progress.step)
        self.journal.emit("start", step=self.progress.step, steps=train.steps)
        for notice in notices:
            self.journal.warn(notice)

    def train(self) -> Outcome:
        train, progress = self.config.train, self.progress
        try:
            while True:
                evaluations = self._evaluate_if_due()
                if progress.step == train.steps:
                    return self._finish("done", None, {str(c): e.to_dict() for c, e in evaluations.items()})
                if self.should_stop():
                    return self._stop()
                problem = self._step()
                if problem:
                    self.journal.append("stop", progress.step + 1, reason=problem)
                    return self._finish("diverged", problem, {})
                if progress.step % train.checkpoint_every == 0 or progress.step == train.steps:
                    self._save()
        except InterruptedEvaluationError:
            return self._stop()

    def _start_or_resume(self) -> tuple[Progress, list[str]]:
        """The place to go on from, and what the user should know of it; both are recorded."""
        run, notices = self.run, []
        checkpoint, problems = newest_valid_checkpoint(run.path)
        if checkpoint is None:
            run.truncate(rows=0, step=0)
            progress = Progress()
        else:
            progress = load(run, checkpoint, self.model, self.optimizer)
        if problems:
            used = checkpoint.name if checkpoint else "the beginning"
            run.append_event("damaged checkpoint", problems=problems, used=used)
            notices.append(f"damaged checkpoint ({'; '.join(problems)}): going on from {used}")
        set_aside_damaged(run.path, checkpoint)
        changed = run.write_environment(environment_of(self.config.train.threads))
        if changed and checkpoint is not None:
            notices.append(f"{', '.join(changed)} changed since the run began: it may not end with the same bits")
        run.write_facts(self.facts)
        run.append_event("started" if checkpoint is None else "resumed", step=progress.step)
        return progress, notices

    def _step(self) -> str | None:
        """One update and its rows. A loss or gradient that is not finite changes nothing: it is returned, as text."""
        train, progress = self.config.train, self.progress
        began = time.perf_counter()
        loss, norm = torch.stack(self._gradients()).tolist()  # the step's one wait
        for name, value in (("loss", loss), ("gradient norm", norm)):
            if not math.isfinite(value):
                return f"non-finite {name} ({value}) at update {progress.step + 1}"
        rate = learning_rate(
            train.schedule,
            progress.step,
            steps=train.steps,
            peak=train.lr,
            warmup_steps=train.warmup_steps,
            decay_share=train.decay_share,
            min_share=train.min_lr_share,
        )
        self.optimizer.step(rate, train.clip / norm if norm > train.clip else 1.0)
        self.journal.train_s += time.perf_counter() - began
        progress.step += 1
        progress.loss_sum += loss
        progress.n_losses += 1
        self._log(norm, rate)
        self.journal.emit_step(progress.step, train.steps, train.batch_tokens, loss)
        return None

    def _gradients(self) -> tuple[Tensor, Tensor]:
        """Loss (nats a token, mean of the batch) and the norm of its gradient, which the optimizer now holds."""
        data, seed, step = self.config.data, self.config.seed, self.progress.step
        tokens = batch(self.shards, "train", data.context, self.config.batch_size, seed, step, data.documents)
        pieces = torch.from_numpy(tokens).chunk(self.config.train.accumulate)  # equal: RunConfig sees to it
        parts = [given(piece_BT, data.document_mask) for piece_BT in pieces]
        n_targets, recompute, losses = max(sum(part.n_targets for part in parts), 1), self.config.train.recompute, []
        for part in parts:
            loss = self.model.train_loss(part.inputs_BT, part.targets_BT, "chunked", recompute, part.documents)
            loss = loss * (len(parts) * part.n_targets / n_targets)  # 1, unless document masks leave some out
            (loss / len(parts)).backward()
            losses.append(loss.detach())
        return torch.stack(losses).mean(), self.optimizer.gradient_norm()

    def _log(self, norm: float, rate: float) -> None:
        progress, train = self.progress, self.config.train
        if progress.step % train.log_every == 0 or progress.step == train.steps:
            mean = progress.loss_sum / progress.n_losses
            self.journal.append("train", progress.step, loss_nats=mean, grad_norm=norm, lr=rate)
            self.journal.time(progress.step)
            progress.loss_sum, progress.n_losses = 0.0, 0
        progress.metrics_rows = self.journal.rows  # what a checkpoint of this step counts on: before its evaluation

    def _evaluate_if_due(self) -> dict[int, Evaluation]:
        """Evaluations by context, after every `eval.every` updates and the last; rows once all are there."""
        config, step = self.config, self.progress.step
        last = step == config.train.steps
        if not last and (step == 0 or step % config.eval.every):
            return {}
        n_tokens = config.eval.final_tokens if last else config.eval.n_tokens
        evaluations = {}
        for context in config.eval.contexts:
            windows, parts = self.windows[context, n_tokens]
            evaluations[context] = evaluate(
                self.model,
                windows,
                config.data.context,
                self.shards.token_bytes,
                self.should_stop,
                config.data.document_mask,
                parts=parts,
            )
        self.journal.time(step)
        for context, evaluation in evaluations.items():
            self.journal.append("eval", step, context=context, **evaluation.row())
            self.journal.emit("eval", step=step, context=context, **evaluation.row())
            if not math.isfinite(evaluation.loss_nats):
                self.journal.warn(f"the held-out loss at context {context} is not finite after {step} updates")
        return evaluations

    def _save(self) -> None:
        self.journal.time(self.progress.step)
        checkpoint = save(self.run, self.model, self.optimizer, self.progress, self.config.train.keep_checkpoints)
        self.saved_step = self.progress.step
        self.journal.emit("checkpoint", step=self.progress.step, name=checkpoint.name)

    def _stop(self) -> Outcome:
        if self.saved_step != self.progress.step:
            self._save()
        self.run.append_event("stopped", step=self.progress.step)
        return "stopped"

    def _finish(self, status: Literal["done", "diverged"], reason: str | None, final: dict[str, Any]) -> Outcome:
        self.run.write_result({**self.facts, "status": status, "reason": reason, "final": final})
        self.run.append_event(status, step=self.progress.step)
        return status
