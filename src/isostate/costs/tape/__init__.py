"""A training step without tensors, byte by byte. Read tape, operations, step; then the mixers."""

from isostate.costs.tape.step import Step, training_step
from isostate.costs.tape.tape import Event, Storage

__all__ = ["Event", "Step", "Storage", "training_step"]
