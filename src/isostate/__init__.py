"""Isostate: a laboratory for the scaling laws of sequence models."""

__version__ = "0.1.0"
