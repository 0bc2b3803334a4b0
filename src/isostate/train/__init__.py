"""Batches and a model -> checkpoints and records.

The order to read: config, loop, schedule, optimizer, evaluate, checkpoint, facts, journal, reproducible, signals.
"""

from isostate.train.checkpoint import Progress
from isostate.train.config import EvalConfig, RunConfig, TrainConfig
from isostate.train.evaluate import Evaluation, bucket_edges, evaluate
from isostate.train.facts import environment_of, facts_of
from isostate.train.loop import Outcome, train_run
from isostate.train.optimizer import OPTIMIZERS, AdamW
from isostate.train.reproducible import reproducible
from isostate.train.schedule import SCHEDULES, learning_rate
from isostate.train.signals import stop_on_signals

__all__ = [
    "OPTIMIZERS",
    "SCHEDULES",
    "AdamW",
    "EvalConfig",
    "Evaluation",
    "Outcome",
    "Progress",
    "RunConfig",
    "TrainConfig",
    "bucket_edges",
    "environment_of",
    "evaluate",
    "facts_of",
    "learning_rate",
    "reproducible",
    "stop_on_signals",
    "train_run",
]
