"""What decides a run: data, model, training, evaluation, seed. Its hash is the run's name."""

from __future__ import annotations

from typing import Self

from pydantic import Field, field_validator, model_validator

from isostate.config import Config, nearest
from isostate.data import DataConfig
from isostate.model import ModelConfig, Recompute
from isostate.train.optimizer import OPTIMIZERS
from isostate.train.schedule import SCHEDULES


class TrainConfig(Config):
    """The updates of a run. A batch is `batch_tokens` tokens, whatever number of micro-batches (`accumulate`)."""

    steps: int = Field(ge=1)
    batch_tokens: int = Field(ge=1)
    lr: float = Field(gt=0, le=10)  # peak; beyond 10 the first updates alone overflow
    optimizer: str = "adamw"
    betas: tuple[float, float] = (0.9, 0.99)
    eps: float = Field(1e-8, gt=0)
    weight_decay: float = Field(0.1, ge=0)
    clip: float = Field(1.0, gt=0)  # largest norm of the gradient
    schedule: str = "cosine"
    warmup_steps: int = Field(20, ge=0)
    decay_share: float = Field(0.2, ge=0, le=1)  # wsd: share of the updates after warm-up that decay
    min_lr_share: float = Field(0.1, ge=0, le=1)  # lowest rate over peak
    accumulate: int = Field(1, ge=1)
    recompute: Recompute = "none"  # "blocks": each block's forward runs again in its backward; less memory, same bits
    log_every: int = Field(50, ge=1)
    checkpoint_every: int = Field(500, ge=1)
    keep_checkpoints: int = Field(2, ge=1)
    threads: int = Field(1, ge=1, le=1024)  # decides the order of sums, so it is part of what decides the result

    @field_validator("optimizer")
    @classmethod
    def _known_optimizer(cls, name: str) -> str:
        return _one_of(name, list(OPTIMIZERS))

    @field_validator("schedule")
    @classmethod
    def _known_schedule(cls, name: str) -> str:
        return _one_of(name, list(SCHEDULES))

    @model_validator(mode="after")
    def _steps_and_betas_are_possible(self) -> Self:
        if self.warmup_steps > self.steps:
            raise ValueError(f"warmup_steps = {self.warmup_steps}: more than steps = {self.steps}; lower it")
        if not all(0 <= beta < 1 for beta in self.betas):
            raise ValueError(f"betas = {list(self.betas)}: each must be at least 0 and less than 1")
        if self.lr * self.weight_decay >= 1:
            raise ValueError(f"weight_decay = {self.weight_decay}: times lr = {self.lr} must stay below 1; lower one")
        return self


class EvalConfig(Config):
    """Held-out loss at `contexts` (tokens; beyond the training context the state carries on), on fixed windows."""

    contexts: list[int] = Field(min_length=1)
    every: int = Field(250, ge=1)  # updates; and always after the last
    n_tokens: int = Field(16_384, ge=1)  # each context
    final_tokens: int = Field(65_536, ge=1)  # each context, after the last update

    @model_validator(mode="after")
    def _windows_fit(self) -> Self:
        if len(set(self.contexts)) < len(self.contexts) or min(self.contexts) < 1:
            raise ValueError(f"contexts = {self.contexts}: must be different whole numbers of at least 1")
        fewest = min(self.n_tokens, self.final_tokens)
        if fewest < max(self.contexts):
            name = "n_tokens" if fewest == self.n_tokens else "final_tokens"
            raise ValueError(f"{name} = {fewest}: no window of {max(self.contexts)} tokens fits; raise it")
        return self


class RunConfig(Config):
    """A run. Equal configs on one machine give equal weights, bit for bit."""

    data: DataConfig
    model: ModelConfig
    train: TrainConfig
    eval: EvalConfig
    seed: int = Field(0, ge=0, lt=2**63)

    @property
    def batch_size(self) -> int:
        """Windows in a batch."""
        return self.train.batch_tokens // self.data.context

    @model_validator(mode="after")
    def _contexts_have_positions(self) -> Self:
        self.model.check_context(max(self.data.context, *self.eval.contexts))
        return self

    @model_validator(mode="after")
    def _batches_divide(self) -> Self:
        tokens, context, parts = self.train.batch_tokens, self.data.context, self.train.accumulate
        unit = context * parts
        if tokens % unit:
            held = f"windows of data.context = {context} tokens in train.accumulate = {parts} equal parts"
            below = max(unit, tokens // unit * unit)
            raise ValueError(f"train.batch_tokens = {tokens}: cannot hold {held}; take {below} or {below + unit}")
        return self


def _one_of(name: str, allowed: list[str]) -> str:
    if name not in allowed:
        raise ValueError(f"{name!r} is none of {', '.join(allowed)}{nearest(name, allowed)}")
    return name
