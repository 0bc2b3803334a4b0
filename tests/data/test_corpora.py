"""The named corpora: what they hold, that they are what they say, and that an altered one is refused."""

from __future__ import annotations

import ast
import platform
import sysconfig
from pathlib import Path

import pytest

from isostate.config import UserError
from isostate.data.corpora import BARD_ASSET, CORPORA, bard, python


@pytest.mark.parametrize("name", CORPORA)
def test_a_named_corpus_is_documents_of_text_the_same_each_time(name):
    source = CORPORA[name]()
    documents = list(source.documents())
    assert documents == list(source.documents())
    assert source.identity == CORPORA[name]().identity
    assert len({document.name for document in documents}) == len(documents) > 2
    assert all(document.text and "\0" not in document.text for document in documents)


def test_bard_is_42_works_of_which_39_are_at_least_65536_bytes():
    sizes = [len(document.text.encode("ascii")) for document in bard().documents()]
    assert (len(sizes), sum(sizes), sum(size >= 65_536 for size in sizes)) == (42, 5_057_198, 39)


def test_bard_is_credited_beside_the_asset():
    credit = BARD_ASSET.with_name("BARD_CREDITS.txt").read_text()
    assert "Open Knowledge Foundation" in credit
    assert "https://creativecommons.org/licenses/by/2.5/" in credit


def test_an_altered_asset_is_refused(tmp_path):
    raw = bytearray(BARD_ASSET.read_bytes())
    raw[1000] ^= 1
    (tmp_path / "bard.jsonl.xz").write_bytes(raw)
    with pytest.raises(UserError, match=r"bard\.jsonl\.xz: SHA-256 differs"):
        bard(tmp_path / "bard.jsonl.xz")
    with pytest.raises(UserError, match="cannot be read"):
        bard(tmp_path / "gone.xz")


def test_python_is_the_running_standard_library_without_tests():
    source = python()
    texts = {document.name: document.text for document in source.documents()}
    assert texts["ast.py"] == Path(ast.__file__).read_text(encoding="utf-8")
    assert source.record["python"] == platform.python_version()
    assert not [name for name in texts if {"test", "tests", "site-packages"} & set(Path(name).parts)]
    assert not [name for name in texts if "_sysconfigdata" in name]
    assert list(texts) == sorted(texts)
    assert sum(map(len, texts.values())) > 5_000_000, sysconfig.get_path("stdlib")


def test_python_records_what_it_skips(tmp_path):
    (tmp_path / "a.py").write_text("a = 1\n")
    (tmp_path / "latin.py").write_bytes(b"# caf\xe9\n")
    (tmp_path / "__init__.py").write_bytes(b"")
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests" / "b.py").write_text("b = 1\n")
    source = python(tmp_path)
    assert [document.name for document in source.documents()] == ["a.py"]
    [skipped] = source.record["skipped"]
    assert "latin.py: not UTF-8 at byte 5" in skipped


def test_a_python_without_its_source_is_refused(tmp_path):
    with pytest.raises(UserError, match=r"holds no \.py files"):
        python(tmp_path)
