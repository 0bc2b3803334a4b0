"""The user's own text: every way to name it, and every way it can be bad."""

from __future__ import annotations

import gzip
import json
import os

import pytest

from isostate.config import UserError
from isostate.data.corpora import open_corpus


def jsonl(*texts: str) -> bytes:
    return "".join(json.dumps({"text": text}) + "\n" for text in texts).encode()


def documents(corpus) -> list[tuple[str, str]]:
    return [tuple(document) for document in open_corpus(str(corpus)).documents()]


@pytest.fixture
def folder(tmp_path):
    root = tmp_path / "texts"
    (root / "sub" / ".hidden").mkdir(parents=True)
    (root / "b.txt").write_bytes("naïve\r\n".encode())
    (root / "a.jsonl").write_bytes(jsonl("one", "zwei ü"))
    (root / "sub" / "c.txt.gz").write_bytes(gzip.compress(b"packed"))
    (root / "sub" / "d.jsonl.gz").write_bytes(gzip.compress(jsonl("in", "both")))
    (root / "sub" / "picture.png").write_bytes(b"\0")
    (root / "sub" / ".hidden" / "e.txt").write_bytes(b"secret")
    return root


def test_a_folder_gives_its_text_files_sorted_and_searched_through(folder):
    assert documents(folder) == [
        ("a.jsonl:1", "one"),
        ("a.jsonl:2", "zwei ü"),
        ("b.txt", "naïve\r\n"),  # bytes are kept as they are, line ends too
        ("sub/c.txt.gz", "packed"),
        ("sub/d.jsonl.gz:1", "in"),
        ("sub/d.jsonl.gz:2", "both"),
    ]


def test_a_glob_and_a_file_may_have_any_ending(folder):
    (folder / "notes.md").write_text("# notes")
    assert documents(folder / "*.md") == [("notes.md", "# notes")]
    assert documents(folder / "notes.md") == [("notes.md", "# notes")]
    assert [name for name, _ in documents(folder / "**" / "*.txt*")] == ["b.txt", "sub/c.txt.gz"]


def test_a_file_whose_name_looks_like_a_glob_is_that_file(tmp_path):
    (tmp_path / "a[1].txt").write_text("brackets")
    assert documents(tmp_path / "a[1].txt") == [("a[1].txt", "brackets")]


def test_a_tilde_is_the_home_folder(folder, monkeypatch):
    monkeypatch.setenv("HOME", str(folder))
    assert documents("~/b.txt") == [("b.txt", "naïve\r\n")]


def test_the_identity_is_that_of_the_text_not_of_its_place(folder, tmp_path):
    before = open_corpus(str(folder)).identity
    moved = folder.rename(tmp_path / "elsewhere")
    assert open_corpus(str(moved)).identity == before
    (moved / "b.txt").write_bytes(b"naive\r\n")
    changed = open_corpus(str(moved)).identity
    assert changed != before
    (moved / "b.txt").rename(moved / "z.txt")
    assert open_corpus(str(moved)).identity not in (before, changed)


def test_a_file_that_changes_while_it_is_read_is_noticed(folder):
    source = open_corpus(str(folder))
    (folder / "b.txt").write_text("other")
    with pytest.raises(UserError, match=r"b\.txt changed while it was being read"):
        list(source.documents())


BAD_FILES = {
    "empty.txt": (b"", "empty"),
    "binary.txt": (b"abc\0def", "NUL at byte 3"),
    "utf16.txt": ("hi".encode("utf-16-le"), "NUL at byte 1"),
    "latin1.txt": (b"caf\xe9 au lait", "not UTF-8 at byte 3"),
    "cut.txt": ("é".encode()[:1], "not UTF-8 at byte 0"),
    "surrogate.txt": (b"a\xed\xa0\x80", "not UTF-8 at byte 1"),
    "cut.txt.gz": (gzip.compress(b"abc" * 100)[:-9], "not a whole gzip file"),
    "plain.txt.gz": (b"abc", "not a whole gzip file"),
    "empty.txt.gz": (gzip.compress(b""), "empty"),
    "deflate.txt.gz": (gzip.compress(b"abc" * 100)[:12] + b"\xff" * 40, "not a whole gzip file"),
    "line.jsonl": (jsonl("a") + b"{oops\n", "line 2: not JSON"),
    "deep.jsonl": (b"[" * 100_000, "line 1: not JSON"),
    "digits.jsonl": (b"1" * 5_000, "line 1: not JSON"),
    "blank.jsonl": (jsonl("a") + b"\n" + jsonl("b"), "line 2: not JSON"),
    "list.jsonl": (b'["text"]\n', "line 1: no text"),
    "key.jsonl": (jsonl("a") + b'{"txt": "b"}\n', "line 2: no text"),
    "number.jsonl": (b'{"text": 5}\n', "line 1: no text"),
    "nothing.jsonl": (jsonl("a", ""), "line 2: no text"),
    "nul.jsonl": (b'{"text": "a\\u0000"}\n', "line 1: .*NUL"),
    "half.jsonl": (b'{"text": "\\ud800"}\n', "line 1: .*surrogate"),
}


@pytest.mark.parametrize("name", BAD_FILES)
def test_a_bad_file_is_refused_by_name_and_place(name, tmp_path):
    raw, says = BAD_FILES[name]
    (tmp_path / name).write_bytes(raw)
    with pytest.raises(UserError, match=says) as error:
        documents(tmp_path)
    assert name in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "corpus, says",
    [
        ("brad", r'corpus "brad": no such file or folder \(did you mean "bard"\?\)'),
        ("missing/a.txt", 'corpus "missing/a.txt": no such file'),
        ("missing*.txt", "no file matches this glob"),
        ("a" * 5_000, "not a path"),
        ("a\0b", "not a path|no such file"),
        ("~nobody_of_that_name/a.txt", "not a path|no such file"),
        (".", r"no text files in this folder; it needs \.txt"),
    ],
)
def test_a_corpus_that_is_not_there_is_refused(corpus, says, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=says):
        documents(corpus)


def test_a_pipe_is_refused_instead_of_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe.txt")
    with pytest.raises(UserError, match="not a regular file"):
        documents(tmp_path)


def test_a_dangling_link_is_refused(tmp_path):
    (tmp_path / "a.txt").symlink_to(tmp_path / "gone.txt")
    with pytest.raises(UserError, match=r"a\.txt cannot be read"):
        documents(tmp_path)
