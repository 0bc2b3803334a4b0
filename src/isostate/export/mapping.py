"""How a parameter of ours lies in a Hugging Face checkpoint, and a config there and back.

A mapping's file holds one model type: the keys of its config.json that decide the logits (sizes are `costs/`'s to
read), that config as ours, ours as that, and the layout of its weights.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from isostate.config import UserError, nearest
from isostate.mixers.rotary import RotaryConfig
from isostate.model import ModelConfig

Layout = dict[str, "Weight"]  # by our names
PLAIN_WORDS = {
    **{"gelu": "gelu", "gelu_new": "gelu-tanh", "gelu_fast": "gelu-tanh", "gelu_pytorch_tanh": "gelu-tanh"},
    **{"relu": "relu", "relu2": "squared-relu"},
}
GATED_WORDS = {
    **{"silu": "swiglu", "swish": "swiglu", "relu": "reglu", "gelu": "geglu"},
    **{"gelu_new": "geglu-tanh", "gelu_fast": "geglu-tanh", "gelu_pytorch_tanh": "geglu-tanh"},
}
# What training alone sees, or speed: a model read back without it has the same logits.
NO_PART_OF_LOGITS = {"dropout", "mixer.attention_dropout", "mixer.chunk"}
NO_TOKENS = {"bos_token_id": None, "eos_token_id": None, "pad_token_id": None}  # transformers' defaults are no ours


@dataclass(frozen=True)
class Weight:
    """One of ours: these tensors of theirs, of so many rows each, below one another; `turned`: theirs are transposed
    (GPT-2's `Conv1D` holds inputs by outputs)."""

    rows: dict[str, int | None]  # None: all
    turned: bool = False

    def join(self, read: Callable[[str], Tensor]) -> Tensor:
        """Ours from theirs."""
        parts = [read(name) for name in self.rows]
        x = parts[0] if len(parts) == 1 else torch.cat(parts)
        return x.T if self.turned and x.ndim == 2 else x

    def split(self, x: Tensor) -> dict[str, Tensor]:
        """Theirs from ours."""
        x = x.T if self.turned and x.ndim == 2 else x
        sizes = [len(x) if rows is None else rows for rows in self.rows.values()]
        return dict(zip(self.rows, x.split(sizes), strict=True))


def same(name: str, turned: bool = False) -> Weight:
    return Weight({name: None}, turned)


def linear_layout(ours: str, theirs: Mapping[str, int | None], bias: bool, turned: bool = False) -> Layout:
    """Of a linear layer of ours and the linear layers of theirs that it joins."""
    layout = {f"{ours}.weight": Weight({f"{name}.weight": rows for name, rows in theirs.items()}, turned)}
    if bias:
        layout[f"{ours}.bias"] = Weight({f"{name}.bias": rows for name, rows in theirs.items()})
    return layout


@dataclass(frozen=True)
class HuggingFaceType:
    """A model type of theirs that is a decoder of ours."""

    model_type: str
    architecture: str  # the class of transformers
    read: Callable[[Mapping[str, Any], str], ModelConfig]  # config.json, where it stands; raises UserError
    write: Callable[[ModelConfig, int | None], dict[str, Any]]  # and the context, where it is known
    layout: Callable[[ModelConfig], Layout]
    prefix: str  # of all names but the head's; files of the bare model lack it

    def to_huggingface(self, config: ModelConfig, context: int | None = None) -> dict[str, Any]:
        """The config.json. Raises UserError naming what this type has not: the option that is lost on the way back."""
        made = self.write(config, context)
        written = {"model_type": self.model_type, "architectures": [self.architecture], **NO_TOKENS, **made}
        back = _flat(self.read(written, self.model_type))
        for key, value in sorted(_flat(config).items(), key=lambda item: item[0] == "d_ff"):  # mlp says more
            if key not in NO_PART_OF_LOGITS and back.get(key) != value:
                raise UserError(
                    f"{key} = {value}: Hugging Face's model type {self.model_type} has no such option; "
                    "export with --format isostate, which keeps everything"
                )
        return written


def _flat(config: ModelConfig) -> dict[str, Any]:
    """Dotted keys to values, what is left out replaced by what it stands for."""
    values = config.to_dict()
    mixer = values.pop("mixer")
    rotary = getattr(config.mixer, "rotary", None) or RotaryConfig()
    mixer["rotary"] = rotary.to_dict() | {"slow": None, "fast": None}
    if rotary.scaling in ("yarn", "llama3"):
        mixer["rotary"]["slow"], mixer["rotary"]["fast"] = rotary.turns
    if mixer["kind"] == "mamba":
        mixer["dt_rank"] = getattr(config.mixer, "rank", None)
    values["norm_eps"] = config.eps
    return values | {f"mixer.{key}": value for key, value in mixer.items()}


def activation(words: Mapping[str, str], key: str, word: str, where: str) -> str:
    """Our feed-forward of their activation. Raises UserError for one that we have not."""
    if word not in words:
        raise UserError(f'{where}: {key} = "{word}": Isostate has no such activation{nearest(word, words)}')
    return words[word]


def word_of(words: Mapping[str, str], kind: str) -> str:
    """Their activation of our feed-forward; the first where there are several. Raises UserError."""
    for word, ours in words.items():
        if ours == kind:
            return word
    raise UserError(
        f'mlp = "{kind}": this Hugging Face model type has only {", ".join(sorted(set(words.values())))}; '
        "export with --format isostate, which keeps everything"
    )


def must_be(where: str, values: Mapping[str, Any], wanted: Mapping[str, Any]) -> None:
    """Raises UserError for an option of theirs, by name, that asks for what our model lacks."""
    for key, value in wanted.items():
        if values[key] != value:
            raise UserError(f"{where}: {key} = {values[key]}: Isostate has only {key} = {value}")
