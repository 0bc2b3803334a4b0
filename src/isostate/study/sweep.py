"""A [[sweep]] of a study: a mixer, or a stack of them by layer, and the values that its keys take.

    mixer = "power"                        mixer = ["mamba2", "window"]      # from the bottom up, over and over
    degree = 2                             mamba2.d_state = [16, 32, 64]
    head_dim = [4, 8, 16]                  window.window = 32

Names of a stack that are no kinds have tables that say theirs: `near = {kind = "window", window = 16}`. A wanted
`state_size` of a stack is solved by the one mixer whose knob is left out.
"""

from __future__ import annotations

from itertools import product
from typing import Any

from isostate.config import nearest
from isostate.mixers import MIXERS

Table = dict[str, Any]


def check_sweep(where: str, table: Table) -> None:
    """Raises ValueError for what names no mixer or none of its keys, and for a state that could not be solved for."""
    mixer = table.get("mixer")
    if isinstance(mixer, list):
        _check_stack(where, table)
        return
    kind = _kind(where, mixer)
    where = f'{where} ("{kind}")'
    _check_keys(where, table, {"mixer", "state_size"} | _keys_of(kind))
    _check_state(where, table, [MIXERS[kind].config.knob], table)


def combinations(table: Table) -> list[Table]:
    """The product of a sweep's lists, the last key changing fastest; a stack's keys as "name.key"."""
    flat: Table = {}
    for key, value in table.items():
        if key == "mixer" or not isinstance(value, dict):
            flat[key] = [value] if key == "mixer" else value
        else:
            flat |= {f"{key}.{inner}": values for inner, values in value.items()}
    lists = [value if isinstance(value, list) else [value] for value in flat.values()]
    return [dict(zip(flat, values, strict=True)) for values in product(*lists)]


def title(setting: Table) -> str:
    """What a sweep's mixer is called in messages."""
    mixer = setting["mixer"]
    return "+".join(mixer) if isinstance(mixer, list) else mixer


def mixer_of(setting: Table, table: Table) -> Table:
    """The mixer of one combination, as a model's config takes it; where a state is wanted, its knob at a start."""
    keys = {key: value for key, value in setting.items() if key not in ("mixer", "state_size")}
    searched = "state_size" in setting
    if not isinstance(setting["mixer"], list):
        return {"kind": setting["mixer"], **(_start_of_search(setting["mixer"]) if searched else {}), **keys}
    names = list(dict.fromkeys(setting["mixer"]))
    mixers: dict[str, Table] = {name: {} for name in names}
    for key, value in keys.items():
        name, _, inner = key.partition(".")
        mixers[name][inner] = value
    kinds = {name: mixers[name].get("kind", name) for name in names}
    free = _free(names, kinds, mixers, table, searched)
    mixers = {name: {"kind": kinds[name], **inner} for name, inner in mixers.items()}
    if searched and free is not None:
        mixers[free] = _start_of_search(kinds[free]) | mixers[free]
    return {"kind": "stack", "layers": setting["mixer"], "mixers": mixers, "free": free}


def _free(names: list[str], kinds: dict[str, str], mixers: Table, table: Table, searched: bool) -> str | None:
    """The mixer whose knob is the stack's: what is searched for a state, else the first that the sweep varies, else
    the first that has one.
    """
    knobs = {name: knob for name in names if (knob := MIXERS[kinds[name]].config.knob)}
    if searched:
        return next(name for name, knob in knobs.items() if knob not in mixers[name])
    varied = [name for name, knob in knobs.items() if isinstance(table.get(name, {}).get(knob), list)]
    return next(iter([*varied, *knobs]), None)


def _start_of_search(kind: str) -> Table:
    """A value of the knob that is possible at every width; the search replaces it."""
    knob = MIXERS[kind].config.knob
    assert knob is not None, "check_sweep refuses state_size without a knob"
    return {"n_heads": 1} if knob == "head_dim" else {knob: 1}


def _check_stack(where: str, table: Table) -> None:
    layers = table["mixer"]
    if not layers or not all(isinstance(name, str) for name in layers):
        raise ValueError(f'{where}: mixer = {layers}: must list a mixer a layer, such as ["mamba2", "window"]')
    names = list(dict.fromkeys(layers))
    where = f'{where} ("{title(table)}")'
    for key, value in table.items():
        if key not in ("mixer", "state_size", *names):
            raise ValueError(f"{where}: unknown key {key!r}{nearest(key, names)}; known keys here: {', '.join(names)}")
        if key in names and not isinstance(value, dict):
            raise ValueError(f"{where}: {key} = {value!r}: must be a table of that mixer's keys, such as {key}.bias")
    knobs: list[str | None] = []
    given: Table = {}
    for name in names:
        inner = table.get(name, {})
        kind = _kind(f"{where}: {name}", inner.get("kind", name))
        _check_keys(f"{where}: {name}", inner, {"kind"} | _keys_of(kind))
        knob = MIXERS[kind].config.knob
        knobs.append(None if knob is None else f"{name}.{knob}")
        given |= {f"{name}.{key}": value for key, value in inner.items()}
    _check_state(where, table, knobs, given)


def _kind(where: str, kind: Any) -> str:
    if isinstance(kind, str) and kind in MIXERS:
        return kind
    given = "missing key 'mixer'" if kind is None else f"mixer = {kind!r}: no such mixer"
    raise ValueError(f"{where}: {given}{nearest(str(kind), MIXERS)}; known: {', '.join(MIXERS)}")


def _keys_of(kind: str) -> set[str]:
    return set(MIXERS[kind].config.model_fields) - {"kind", "d_model"}


def _check_keys(where: str, table: Table, allowed: set[str]) -> None:
    known = sorted(allowed)
    for key, value in table.items():
        if key not in known:
            raise ValueError(f"{where}: unknown key {key!r}{nearest(key, known)}; known keys here: {', '.join(known)}")
        if value == []:
            raise ValueError(f"{where}: {key} = []: give at least one value, or leave it out")


def _check_state(where: str, table: Table, knobs: list[str | None], given: Table) -> None:
    """`knobs` of the sweep's mixers, of which one has to be free where a state is wanted."""
    if "state_size" not in table:
        return
    sizes = table["state_size"] if isinstance(table["state_size"], list) else [table["state_size"]]
    if not sizes:
        raise ValueError(f"{where}: state_size = []: give at least one value, or leave it out")
    for size in sizes:
        if type(size) is not int or size < 1:
            raise ValueError(f"{where}: state_size = {size!r}: must be a whole number of elements, at least 1")
    known = [knob for knob in knobs if knob is not None]
    if not known:
        advice = "its state is the context's: leave state_size out, and make data.context a list"
        raise ValueError(f"{where}: state_size = {table['state_size']}: no key of its own sets its state; {advice}")
    free = [knob for knob in known if knob not in given]
    if not free:
        those, verb = " and ".join(known), "is" if len(known) == 1 else "are"
        raise ValueError(f"{where}: state_size is solved by {those}, which {verb} given too; leave out one of them")
    if len(free) > 1:
        raise ValueError(f"{where}: state_size may be solved by {' or by '.join(free)}; give all of them but one")
