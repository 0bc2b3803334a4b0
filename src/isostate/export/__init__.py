"""Checkpoints in and out: Hugging Face's folders to the same logits, and our own."""

from isostate.export.huggingface import TYPES, load_huggingface, save_huggingface, type_of
from isostate.export.native import load_model, save_model, trained_context

__all__ = [
    "TYPES",
    "load_huggingface",
    "load_model",
    "save_huggingface",
    "save_model",
    "trained_context",
    "type_of",
]
