"""Typed configuration: what it accepts, what it refuses and in which words, and the hash that names a run."""

import datetime
import itertools
import json
import math
from typing import Annotated, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import Field, ValidationError, field_validator, model_validator

from isostate.config import Config, UserError, apply_set, canonical_json, digest, load_toml, nearest


class Softmax(Config):
    kind: Literal["softmax"] = "softmax"
    head_dim: int = 8


class Power(Config):
    kind: Literal["power"] = "power"
    degree: int = 2

    @field_validator("degree")
    @classmethod
    def _even(cls, degree: int) -> int:
        if degree % 2:
            raise ValueError(f"degree {degree} is odd; use an even one")
        return degree


Mixer = Annotated[Softmax | Power, Field(discriminator="kind")]


class Train(Config):
    steps: int = Field(1000, gt=0)
    lr: float | Literal["tune"] = 3e-3
    betas: tuple[float, float] = (0.9, 0.95)


class Study(Config):
    name: str
    train: Train = Train()
    tuned: Train | None = None
    mixer: Mixer = Softmax()
    sweep: tuple[Mixer, ...] = ()
    by_size: dict[str, Train] = Field({})
    schedule: Literal["cosine", "wsd"] = "cosine"

    @model_validator(mode="after")
    def _named(self) -> "Study":
        if not self.name:
            raise ValueError("name is empty;\ngive the study a name")
        return self


def refusal(values: dict) -> str:
    with pytest.raises(UserError) as caught:
        Study.parse(values, "s.toml")
    assert caught.value.__cause__ is None  # pydantic's own page of text is not shown beside it
    return str(caught.value)


REFUSED = {
    "a key of no field, with the nearest": (
        {"nme": "a"},
        """unknown key 'nme' (did you mean "name"?); known keys here: by_size, mixer, name, schedule, """,
    ),
    "a key near to none": (
        {"train": {"colour": 1}},
        "unknown key 'train.colour'; known keys here: betas, lr, steps",
    ),
    "a key in an optional table": (
        {"tuned": {"stps": 1}},
        """unknown key 'tuned.stps' (did you mean "steps"?); known keys here: betas, lr, steps""",
    ),
    "a key in a table of tables": (
        {"by_size": {"small": {"stps": 1}}},
        """unknown key 'by_size.small.stps' (did you mean "steps"?); known keys here: betas, lr, steps""",
    ),
    "a key of the chosen member of a union": (
        {"mixer": {"kind": "power", "degre": 2}},
        """unknown key 'mixer.degre' (did you mean "degree"?); known keys here: degree, kind""",
    ),
    "a key of another member of the union": (
        {"mixer": {"kind": "softmax", "degree": 2}},
        "unknown key 'mixer.degree'; known keys here: head_dim, kind",
    ),
    "a key in one row of a list of unions": (
        {"sweep": [{"kind": "power"}, {"kind": "softmax", "head_dm": 4}]},
        """unknown key 'sweep.1.head_dm' (did you mean "head_dim"?); known keys here: head_dim, kind""",
    ),
    "a member that the union lacks": (
        {"mixer": {"kind": "powr"}},
        """mixer.kind = "powr": no such kind (did you mean "power"?); known: softmax, power""",
    ),
    "a union without its tag": ({"sweep": [{"degree": 2}]}, "missing key 'sweep.0.kind'; add it"),
    "a value in a union's member": (
        {"sweep": [{"kind": "power", "degree": "two"}]},
        """sweep.0.degree = "two": input should be a valid integer, unable to parse string as an integer""",
    ),
    "a field's own check": (
        {"mixer": {"kind": "power", "degree": 3}},
        "mixer.degree: degree 3 is odd; use an even one",
    ),
    "a config's own check, in one line": ({"name": ""}, "name is empty; give the study a name"),
    "a missing key": ({"train": {}}, "missing key 'name'; add it"),
    "a word for a number": (
        {"train": {"steps": "many"}},
        """train.steps = "many": input should be a valid integer, unable to parse string as an integer""",
    ),
    "a fraction for a count": (
        {"train": {"steps": 1.5}},
        "train.steps = 1.5: input should be a valid integer, got a number with a fractional part",
    ),
    "a number out of its range": ({"train": {"steps": 0}}, "train.steps = 0: input should be greater than 0"),
    "a word beside the one allowed": (
        {"train": {"lr": "tuned"}},
        """train.lr = "tuned": input should be a valid number, unable to parse string as a number; or """
        "Input should be 'tune'",
    ),
    "a word of no list": ({"schedule": "cosin"}, "schedule = \"cosin\": input should be 'cosine' or 'wsd'"),
    "a number for a table": ({"train": 3}, "train = 3: input should be a valid dictionary or instance of Train"),
    "a table for a list": ({"sweep": {"kind": "power"}}, "sweep: Input should be a valid tuple"),
    "a pair that is short": ({"train": {"betas": [0.9]}}, "missing key 'train.betas.1'; add it"),
    "a date": ({"train": {"steps": datetime.date(2024, 1, 1)}}, 'train.steps = "2024-01-01": input should be a valid '),
    "a text of a thousand letters": ({"schedule": "x" * 1000}, f'schedule = "{"x" * 76}...: input should be'),
}


@pytest.mark.parametrize("case", REFUSED)
def test_it_refuses_in_one_line_that_teaches(case):
    values, words = REFUSED[case]
    said = refusal({"name": "a", **values} if case not in {"a missing key"} else values)
    assert said.startswith(f"s.toml: {words}")
    assert "\n" not in said
    assert len(said) < 300


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_it_refuses_numbers_that_are_not_finite(value):
    assert "train.betas.1 = " in refusal({"name": "a", "train": {"betas": [0.9, value]}})
    assert "should be a finite number" in refusal({"name": "a", "train": {"lr": value}})
    with pytest.raises(ValueError, match="not JSON compliant"):
        canonical_json({"lr": value})


def test_an_unknown_key_is_named_before_the_errors_it_causes():
    assert "unknown key 'nmae'" in refusal({"nmae": "a", "train": {"steps": "x"}})


@given(st.dictionaries(st.text(max_size=20), st.none() | st.integers() | st.text() | st.lists(st.text()), min_size=1))
def test_any_unknown_key_is_refused_in_one_line(values):
    values = {key: value for key, value in values.items() if key not in Study.model_fields}
    said = refusal({"name": "a", **values, "zzzz": 1})
    assert said.startswith("s.toml: unknown key ")
    assert len(said.splitlines()) == 1


def test_a_config_does_not_change():
    with pytest.raises(ValidationError, match="frozen"):
        Study(name="a").name = "b"


def test_defaults_and_spelled_out_values_have_one_digest():
    spelled = {"train": {"betas": [0.9, 0.95], "lr": 0.003, "steps": 1000}, "mixer": {"kind": "softmax"}, "name": "a"}
    assert Study.parse(spelled, "s.toml").digest() == Study(name="a").digest()
    assert Study.parse(json.loads(Study(name="a").canonical_json()), "config.json") == Study(name="a")


def test_every_field_counts_in_the_digest():
    studies = [
        Study(name="a"),
        Study(name="b"),
        Study(name="a", train=Train(steps=999)),
        Study(name="a", train=Train(lr=0.0030000000000000005)),
        Study(name="a", train=Train(lr="tune")),
        Study(name="a", mixer=Power()),
        Study(name="a", sweep=[Power(), Softmax()]),
        Study(name="a", sweep=[Softmax(), Power()]),
        Study(name="a", schedule="wsd"),
    ]
    assert all(one.digest() != other.digest() for one, other in itertools.combinations(studies, 2))


def test_a_whole_number_for_a_float_has_the_floats_digest():
    assert (
        Study.parse({"name": "a", "train": {"lr": 1}}, "s.toml").digest()
        == Study(name="a", train=Train(lr=1.0)).digest()
    )


def test_the_digest_of_a_run_stays_what_it_was():
    # Run directories on disk are named by it: a change here orphans every run ever made.
    values = {"b": [1, 2.5, None, True], "a": {"é": 3e-4}}
    assert canonical_json(values) == '{"a":{"\\u00e9":0.0003},"b":[1,2.5,null,true]}'
    assert digest(values) == "a980d572fa2ad56c"


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=10,
)


@given(st.dictionaries(st.text(max_size=5), json_values, max_size=5))
def test_canonical_json_forgets_order_and_nothing_else(values):
    backwards = dict(reversed(values.items()))
    text = canonical_json(values)
    assert text == canonical_json(backwards) == canonical_json(json.loads(text))
    assert json.loads(text) == values
    assert text.isascii()


SET = {
    "train.steps=500": {"train": {"steps": 500, "lr": 0.1}, "sweep": []},
    " train . steps = 5_000 ": {"train": {"steps": 5000, "lr": 0.1}, "sweep": []},
    "train.lr=3e-4": {"train": {"steps": 1, "lr": 3e-4}, "sweep": []},
    "train.lr=tune": {"train": {"steps": 1, "lr": "tune"}, "sweep": []},
    'train.lr="1"': {"train": {"steps": 1, "lr": "1"}, "sweep": []},
    "data.corpus=python": {"train": {"steps": 1, "lr": 0.1}, "sweep": [], "data": {"corpus": "python"}},
    "data.corpus=a=b": {"train": {"steps": 1, "lr": 0.1}, "sweep": [], "data": {"corpus": "a=b"}},
    'sweep=[{kind = "power"}]': {"train": {"steps": 1, "lr": 0.1}, "sweep": [{"kind": "power"}]},
    "train.on=true": {"train": {"steps": 1, "lr": 0.1, "on": True}, "sweep": []},
}


@pytest.mark.parametrize("assignment", SET)
def test_set_replaces_one_value(assignment):
    values = {"train": {"steps": 1, "lr": 0.1}, "sweep": []}
    assert apply_set(values, [assignment]) == SET[assignment]
    assert values == {"train": {"steps": 1, "lr": 0.1}, "sweep": []}  # the given table stays


def test_the_last_set_wins():
    assert apply_set({}, ["train.steps=1", "train.steps=2"]) == {"train": {"steps": 2}}


def test_set_keeps_what_json_cannot_say():
    day = datetime.date(2024, 1, 1)
    assert apply_set({"day": day}, ["a=1"]) == {"day": day, "a": 1}


@pytest.mark.parametrize("assignment", ["name", "=3", "", "a..b=1", ".a=1", "a.=1", "a=1\nb=2"])
def test_set_refuses_what_is_no_assignment(assignment):
    with pytest.raises(UserError, match=r"expected path=value, such as train\.steps=500") as caught:
        apply_set({}, [assignment])
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("assignment", ["name.first=1", "sweep.0.kind=power", "train.steps.x.y=1"])
def test_set_refuses_a_path_through_a_value(assignment):
    with pytest.raises(UserError, match="is not a table in this file; edit the file instead"):
        apply_set({"name": "a", "sweep": [{"kind": "power"}], "train": {"steps": 1}}, [assignment])


def test_toml_reads_numbers_as_numbers(tmp_path):
    path = tmp_path / "s.toml"
    path.write_bytes(b"\xef\xbb\xbf[train]\r\nsteps = 1_000\r\nlr = 3e-4\r\n")  # as an editor on Windows saves it
    assert load_toml(path) == {"train": {"steps": 1000, "lr": 0.0003}}


UNREADABLE = {
    "missing": (None, "no file .*s.toml; give the path of a study file"),
    "half a line": (b"a = ", "s.toml: not valid TOML: Invalid value"),
    "a key twice": (b"a = 1\na = 2\n", "s.toml: not valid TOML: Cannot overwrite a value"),
    "latin-1": ("a = 'é'".encode("latin-1"), "s.toml: not UTF-8 text at byte 5; save the file as UTF-8"),
    "binary": (b"a = 1\x00\x01", "s.toml: not valid TOML"),
}


@pytest.mark.parametrize("case", UNREADABLE)
def test_an_unreadable_file_is_refused_in_one_line(tmp_path, case):
    content, words = UNREADABLE[case]
    if content is not None:
        (tmp_path / "s.toml").write_bytes(content)
    with pytest.raises(UserError, match=words) as caught:
        load_toml(tmp_path / "s.toml")
    assert "\n" not in str(caught.value)


def test_a_folder_is_no_study_file(tmp_path):
    with pytest.raises(UserError, match="is a folder; give the path of a study file inside it"):
        load_toml(tmp_path)


def test_a_file_that_the_system_refuses_is_a_users_mistake(tmp_path):
    (tmp_path / "file").write_text("a = 1")
    with pytest.raises(UserError, match=r"cannot be read: Not a directory; give a file that you may read"):
        load_toml(tmp_path / "file" / "s.toml")


def test_nearest_names_only_what_is_near():
    assert nearest("stps", ["steps", "lr"]) == ' (did you mean "steps"?)'
    assert nearest("colour", ["steps", "lr"]) == ""
