"""What changed between the famous models, a row a family, written from the presets as docs/what-changed.md.

python -m isostate.costs.what_changed docs/what-changed.md
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

from isostate.costs.architecture import Architecture
from isostate.costs.attention import Attention, LatentAttention
from isostate.costs.build import missing_parts
from isostate.costs.feedforward import MLP, MoE
from isostate.costs.preset_table import Preset, load_presets

NORMS = {"layer": "LayerNorm", "rms": "RMSNorm"}
PLACES = {
    "pre": "before",
    "post": "after",
    "sandwich": "before and after",
    "shared": "before, one for both",
    "none": "",
}
ACTIVATIONS = {
    "gelu": "GELU",
    "relu": "ReLU",
    "squared-relu": "squared ReLU",
    "swiglu": "SwiGLU",
    "geglu": "GeGLU",
    "reglu": "ReGLU",
}
POSITIONS = {"rope": "rotary", "alibi": "ALiBi", "transformer-xl": "relative (Transformer-XL)"}
RECURRENT = {"mamba": "none: Mamba", "mamba2": "none: Mamba-2", "rwkv4": "none: RWKV-4"}

HEAD = """# What changed between them

Written by `python -m isostate.costs.what_changed docs/what-changed.md` from the presets in
`src/isostate/costs/presets`, whose counts the tests hold against what is published; by year. Sizes in brackets where a
family is not of one kind. The last column says what Isostate lacks to build a model that it counts by formula.

"""
PARTED = """
## Where the printed count is not the count of the shape

Every other published count of the presets is met: to the integer where all digits are printed, else to the last one.

| preset | what | printed | counted | where | why |
| --- | --- | --- | --- | --- | --- |
"""


def what_changed() -> str:
    """The whole page."""
    families: dict[str, list[Preset]] = {}
    for preset in load_presets().values():
        families.setdefault(preset.family, []).append(preset)
    ordered = sorted(families.values(), key=lambda presets: (presets[0].year, presets[0].family))
    names = ["family", "year", *COLUMNS]
    rows = [
        [
            presets[0].family,
            str(presets[0].year),
            *(_distinct(presets, describe) for describe in COLUMNS.values()),
        ]
        for presets in ordered
    ]
    lines = [names, ["---"] * len(names), *rows]
    table = "".join(f"| {' | '.join(line)} |\n" for line in lines)
    return HEAD + table + PARTED + _parted()


def norm(preset: Preset) -> str:
    """Which, and where it stands about a sublayer."""
    block = preset.architecture.blocks()[0]
    return f"{NORMS[block.norm.kind]} {PLACES[block.norms]}"


def block(preset: Preset) -> str:
    return "parallel" if preset.architecture.blocks()[0].parallel else "one after another"


def position(preset: Preset) -> str:
    """As the model tells positions apart: in the table, in its scores, or by its recurrence."""
    model = preset.architecture
    embedding = model.embedding
    if embedding.kind == "patches" or embedding.positions != "none":
        return "learned" if embedding.kind == "patches" else embedding.positions
    if not model.attentions:
        return "by recurrence"
    first = model.attentions[0]
    return "rotary" if isinstance(first, LatentAttention) else POSITIONS[first.positions]


def activation(preset: Preset) -> str:
    """Of the last block, where experts are if anywhere."""
    last = preset.architecture.blocks()[-1].sublayers[-1]
    if isinstance(last, MLP):
        return ACTIVATIONS[last.activation]
    if isinstance(last, MoE):
        shared = " and shared ones" if last.shared_d_ff else ""
        return f"{ACTIVATIONS[last.activation]}, {last.top_k} of {last.n_experts} experts{shared}"
    return "squared ReLU, gated" if last.kind == "rwkv4-channel" else "SiLU gate in the mixer"


def attention(preset: Preset) -> str:
    """Which heads share keys and values, which layers are windowed; what stands in attention's place."""
    model = preset.architecture
    if not model.attentions:
        return RECURRENT[model.blocks()[0].sublayers[0].kind]
    first = model.attentions[0]
    if isinstance(first, LatentAttention):
        return "latent"
    heads = "multi-head"
    if first.n_kv_heads < first.n_heads:
        heads = "multi-query" if first.n_kv_heads == 1 else "grouped-query"
    seen = "" if first.causal else ", both ways"
    return heads + seen + _windows(model) + {"none": "", "rms": ", QK-norm", "layer": ", QK-norm"}[first.qk_norm]


def vocabulary(preset: Preset) -> str:
    """Tokens of the tokenizer, where known apart from the rows of the table."""
    embedding = preset.architecture.embedding
    return (
        "none" if embedding.kind == "patches" else f"{preset.tokens or embedding.padded_from or embedding.vocab_size:,}"
    )


def builds(preset: Preset) -> str:
    """Whether Isostate builds it; else what it lacks, and only the formula counts it."""
    missing = missing_parts(preset.architecture)
    return f"no: {', '.join(missing)}" if missing else "yes"


COLUMNS: dict[str, Callable[[Preset], str]] = {
    "norm": norm,
    "position": position,
    "activation": activation,
    "attention": attention,
    "block": block,
    "tokenizer": lambda preset: preset.tokenizer,
    "context": lambda preset: f"{preset.context:,}",
    "vocabulary": vocabulary,
    "Isostate builds it": builds,
}


def _windows(model: Architecture) -> str:
    """Of the group that repeats: how many of its layers see a window, how long."""
    largest = max(model.groups, key=lambda group: group.count * len(group.blocks))
    layers = [one for block in largest.blocks for one in block.sublayers if isinstance(one, Attention)]
    if any(one.banded for one in layers):
        return ", every other layer banded"
    windowed = [one.window for one in layers if one.window is not None]
    if not windowed:
        return ""
    which = "all layers" if len(windowed) == len(layers) else f"{len(windowed)} of {len(layers)} layers"
    return f", {which} windowed at {windowed[0]:,}"


def _distinct(presets: list[Preset], describe: Callable[[Preset], str]) -> str:
    """What all presets of a family share; else each kind with the sizes that are of it."""
    kinds: dict[str, list[str]] = {}
    words = [preset.name.split("-") for preset in presets]
    shared = sum(len(set(column)) == 1 for column in zip(*words, strict=False))  # words that all names begin with
    common = min(shared, *(len(name) - 1 for name in words))
    for preset, name in zip(presets, words, strict=True):
        kinds.setdefault(describe(preset), []).append("-".join(name[common:]))
    if len(kinds) == 1:
        return next(iter(kinds))
    return "; ".join(f"{kind} ({', '.join(names)})" for kind, names in kinds.items())


def _parted() -> str:
    rows = []
    for preset in load_presets().values():
        for claim in preset.published:
            if claim.differs:
                what = claim.figure.replace("_", "-")
                line = [preset.name, what, claim.value, f"{claim.counted(preset):,}", claim.where, claim.differs]
                rows.append(f"| {' | '.join(line)} |\n")
    return "".join(rows)


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(what_changed(), encoding="utf-8")
