"""Writes the gallery of mixers from the registry: docs/gallery.md, and a figure a mixer in docs/gallery/.

    python scripts/write_gallery.py docs

Words are the mixers' own docstrings, settings the lines of their configs, numbers what the configs say of themselves.
The figures' right half is measured: a fresh layer is run on random inputs, and its last output differentiated.
"""

from __future__ import annotations

import inspect
import itertools
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

from isostate.mixers import MIXERS, MixerConfig
from isostate.mixers.contract import MixerConfig as Base
from isostate.model import Decoder, ModelConfig
from isostate.model.decoder import initialise
from isostate.report import labels, static, style, traces

WIDTH = 1_024  # of the layers in the tables
CONTEXTS = (1_024, 16_384, 262_144)
COUNTED_AT = 4_096  # positions
FRESH_WIDTH, FRESH_CONTEXT, SAMPLES = 64, 1_024, 64  # of the layers that are run

# Settings that have no default, and the settings of the knob that a table shows. Adding a mixer adds a line.
SHOWN: dict[str, tuple[dict[str, Any], tuple[int | None, ...]]] = {
    "softmax": ({"n_heads": 16}, (None,)),
    "window": ({"n_heads": 16}, (64, 512, 4_096)),
    "linear": ({}, (32, 8, 1)),
    "taylor": ({"order": 2}, (8, 16, 32)),
    "power": ({"degree": 2}, (16, 64, 128)),
    "mamba2": ({"n_heads": 32}, (16, 64, 256)),
    "mamba": ({}, (4, 16, 64)),
    "s4": ({}, (16, 64, 256)),
}
FRESH: dict[str, tuple[dict[str, Any], tuple[int | None, ...]]] = {
    "softmax": ({}, (None,)),
    "window": ({}, (8, 32, 128)),
    "linear": ({"gate": "head"}, (16, 4, 1)),
    "taylor": ({"gate": "head"}, (4, 8, 16)),
    "power": ({"gate": "head"}, (8, 16, 32)),
    "mamba2": ({}, (4, 16, 64)),
    "mamba": ({}, (4, 16, 64)),
    "s4": ({}, (4, 16, 64)),
}
HEAD = f"""# The mixers

Written by `python scripts/write_gallery.py docs` from the registry, `src/isostate/mixers/__init__.py`: words are the
mixers' docstrings, numbers what their configs say. Every mixer is a recurrence, `y, state = mixer(x, state)`, in three
forms that agree: one position after another, all at once, and in chunks. Letters: T tokens, D width, H heads, G heads
of keys, K elements of a query, V of a value, P of a key's features, R states a channel, W taps; L layers.

Tables: one layer of width {WIDTH:,}; state in float32 elements a sequence; FLOPs a token, projections included, of a
forward pass over {COUNTED_AT:,} positions in chunks, and of decoding there.

Figures: left, the state against the context at width {WIDTH:,}, the other mixers in grey. Right, what a fresh layer of
width {FRESH_WIDTH} hears: the root mean square of d y / d x against how many tokens ago x was, over that of the token
itself, measured on {SAMPLES} random sequences. What training makes of it is another matter: this is where it begins.

"""


def built(kind: str, d_model: int, options: dict[str, Any], knob: int | None) -> MixerConfig:
    """The mixer at this width, its knob set; linear-family heads follow from the knob."""
    cls = MIXERS[kind].config
    values = {"kind": kind, "d_model": d_model, **options} | ({} if knob is None else {str(cls.knob): knob})
    return cls.model_validate(values)


def paragraphs(kind: str) -> dict[str, str]:
    """Of the docstring: its title, its recurrence (the indented block), what it says besides, and when to use it."""
    parts = (inspect.getdoc(sys.modules[MIXERS[kind].config.__module__]) or "").split("\n\n")
    title, recurrence = parts[0].replace("\n", " "), parts[1]
    assert recurrence.startswith("    "), f"{kind}: after the title of its docstring stands the recurrence, indented"
    assert parts[-1].startswith("When to use it: "), f"{kind}: its docstring ends with when to use it"
    when = parts[-1].removeprefix("When to use it: ")
    return {"title": title, "recurrence": recurrence, "more": "\n\n".join(parts[2:-1]), "when": when}


def settings(kind: str) -> Iterator[str]:
    """The lines of the config's fields, comments and all: its own first, then those it shares."""
    for cls in MIXERS[kind].config.__mro__:
        if not issubclass(cls, Base):
            return
        for line in inspect.getsource(cls).splitlines():
            if re.match(r"    [a-z]\w*: (?!ClassVar)", line) and not re.match(r"    (kind|d_model):", line):
                yield line.strip()


def table(kind: str) -> Iterator[str]:
    options, knobs = SHOWN[kind]
    name = MIXERS[kind].config.knob or ""
    states = [f"state at {context:,}" for context in CONTEXTS]
    yield f"| {name} | parameters | {' | '.join(states)} | training | decoding |"
    yield "| ---: " * (len(CONTEXTS) + 4) + "|"
    for knob in knobs:
        config = built(kind, WIDTH, options, knob)
        sizes = [f"{config.state_size(context).elements:,}" for context in CONTEXTS]
        training = config.cost(1, COUNTED_AT).total_flops / COUNTED_AT
        decoding = config.cost(1, COUNTED_AT, "recurrent").total_flops / COUNTED_AT
        cells = [f"{knob or ''}", f"{config.n_params():,}", *sizes, labels.decimal(training), labels.decimal(decoding)]
        yield f"| {' | '.join(cells)} |"


def heard(config: MixerConfig) -> tuple[list[float], list[float]]:
    """(tokens ago, rms of d y_T / d x over that of the token itself) of a fresh layer, in quarter octaves."""
    model = {"vocab_size": 2, "n_layers": 1, "d_model": config.d_model, "mixer": config.to_dict(), "mlp": "none"}
    decoder = Decoder(ModelConfig.parse(model, "gallery")).double()
    initialise(decoder, seed=0)
    generator = torch.Generator().manual_seed(0)
    shape = (SAMPLES, FRESH_CONTEXT, config.d_model)
    x_BTD = torch.randn(shape, generator=generator, dtype=torch.float64).requires_grad_()
    direction_BD = torch.randn(shape[0], shape[2], generator=generator, dtype=torch.float64)
    y_BTD, _ = decoder.blocks[0].mixer(x_BTD)
    (y_BTD[:, -1] * direction_BD).sum().backward()
    square_T = x_BTD.grad.square().mean((0, 2)).flip(0)
    edges = sorted({round(2 ** (i / 4)) for i in range(41)})
    bins = [(low, high) for low, high in itertools.pairwise(edges) if high <= FRESH_CONTEXT]
    rms = [(square_T[low:high].mean() / square_T[0]).sqrt().item() for low, high in bins]
    return [(low * (high - 1)) ** 0.5 for low, high in bins], rms


def figure(kind: str) -> dict[str, Any]:
    contexts = [2**power for power in range(6, 21)]
    data = []
    for other, (options, knobs) in SHOWN.items():
        for knob in knobs if other != kind else ():
            sizes = [built(other, WIDTH, options, knob).state_size(context).elements for context in contexts]
            data.append(traces.line(contexts, sizes, {"color": "#d3d7db", "dash": "solid"}, width=1.2))
    options, knobs = SHOWN[kind]
    for rank, knob in enumerate(knobs):
        sizes = [built(kind, WIDTH, options, knob).state_size(context).elements for context in contexts]
        look = {**style.of_rank(rank, len(knobs)), "dash": style.DASHES[rank]}
        data += [traces.line(contexts, sizes, look), traces.legend_entry(called(kind, knob), look, "lines")]
    everything = [value for trace in data for value in trace.get("y", []) if value]
    axes = {
        "xaxis": style.log_axis("context (tokens)", contexts[0], contexts[-1], most=6),
        "yaxis": style.log_axis("state (elements)", min(everything), max(everything), most=6),
    }
    left = {"data": data, "layout": axes}
    return {"title": kind, "controls": [], "views": {"0": left, "1": hearing(kind)}}


def hearing(kind: str) -> dict[str, Any]:
    options, knobs = FRESH[kind]
    data, floor = [], 1e-6
    for rank, knob in enumerate(knobs):
        config = built(kind, FRESH_WIDTH, options, knob)
        ages, rms = heard(config)
        seen = [value if value > floor else None for value in rms]
        look = {**style.of_rank(rank, len(knobs)), "dash": style.DASHES[rank]}
        data += [traces.line(ages, seen, look), traces.legend_entry(called(kind, knob), look, "lines")]
    powers = range(-6, 1)
    yaxis = {"type": "log", "title": {"text": "heard, relative to the token itself"}, "range": [-6.1, 0.3]}
    yaxis |= {"tickvals": [10.0**power for power in powers], "ticktext": [f"{10.0**power:g}" for power in powers]}
    xaxis = style.log_axis("tokens ago", 1, FRESH_CONTEXT, most=6)
    return {"data": data, "layout": {"xaxis": xaxis, "yaxis": yaxis}}


def called(kind: str, knob: int | None) -> str:
    return kind if knob is None else f"{MIXERS[kind].config.knob} = {knob:,}"


def page() -> str:
    """The whole page, in Markdown."""
    entries = []
    for kind in MIXERS:
        words = paragraphs(kind)
        more = [words["more"]] if words["more"] else []
        lines = [f"## `{kind}`", words["title"], words["recurrence"], *more, f"**When to use it:** {words['when']}"]
        lines += [f"![State against context, and what a fresh layer hears](gallery/{kind}.svg)"]
        lines += ["\n".join(table(kind)), "\n".join(["```python", *settings(kind), "```"])]
        entries.append("\n\n".join(lines))
    return HEAD + "\n\n".join(entries) + "\n"


def main(docs: Path) -> None:
    assert set(SHOWN) == set(FRESH) == set(MIXERS), "SHOWN and FRESH have a line a mixer"
    (docs / "gallery").mkdir(exist_ok=True)
    for kind in MIXERS:
        (docs / "gallery" / f"{kind}.svg").write_bytes(static.image(figure(kind), "svg"))
    (docs / "gallery.md").write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        raise SystemExit("usage: python scripts/write_gallery.py DOCS")
    main(Path(sys.argv[1]))
