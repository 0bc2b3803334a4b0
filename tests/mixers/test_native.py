"""A kernel is built once, into the user's cache; where it cannot be, torch does its work, and why is said once."""

from __future__ import annotations

import warnings

import pytest
import torch

from isostate.mixers import fused, native
from isostate.mixers.native import built, kernels_in_words, library, serves

SOURCE = fused.SOURCE


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """An empty one, and nothing loaded or said before or after."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    for remembered in (library, native._say_why):
        remembered.cache_clear()
    yield tmp_path
    for remembered in (library, native._say_why):
        remembered.cache_clear()


def test_it_is_built_once_and_links_no_threads_of_its_own(cache):
    first = built(SOURCE, torch.float32)
    assert first.parent == cache / "isostate"
    assert first.name.startswith("attention-")
    assert b"libgomp" not in first.read_bytes()
    written = first.stat().st_mtime_ns
    assert built(SOURCE, torch.float32) == first
    assert first.stat().st_mtime_ns == written
    assert [path.name for path in first.parent.iterdir()] == [first.name], "nothing is left over"


def test_another_processor_compiler_or_precision_has_another_file(cache, monkeypatch):
    monkeypatch.setattr(native, "_run", lambda *command: "version 1")
    monkeypatch.setattr("os.replace", lambda source, target: None)
    names = {built(SOURCE, torch.float32), built(SOURCE, torch.float64)}
    monkeypatch.setattr(native, "_processor", lambda: "another")
    names.add(built(SOURCE, torch.float32))
    monkeypatch.setattr(native, "_run", lambda *command: "version 2")
    names.add(built(SOURCE, torch.float32))
    assert len(names) == 4


def test_a_header_that_changes_makes_another_file(cache, monkeypatch):
    monkeypatch.setattr(native, "_run", lambda *command: "version 1")
    monkeypatch.setattr("os.replace", lambda source, target: None)
    sources = cache / "sources"
    sources.mkdir()
    for path in native.FOLDER.glob("*.[ch]*"):
        (sources / path.name).write_text(path.read_text())
    monkeypatch.setattr(native, "FOLDER", sources)
    names = {built(source, torch.float32) for source in ("engine.cpp", "attention.cpp")}
    for header in ("engine_chunk.h", "products.h", "products.h"):  # the last is included by the first
        (sources / header).write_text((sources / header).read_text() + "\n")
        names.add(built("engine.cpp", torch.float32))
        names.add(built("attention.cpp", torch.float32))
    assert len(names) == 5, "attention's, which includes none of them, stays"


@pytest.mark.parametrize("compiler", ["false", "/no/such/compiler"])
def test_where_it_cannot_be_built_that_is_said_once(cache, compiler, monkeypatch):
    monkeypatch.setenv("CXX", compiler)
    with pytest.warns(RuntimeWarning, match="kernels run in torch, up to ten times slower: ") as said:
        assert [library(SOURCE, dtype) for dtype in native.DEFINES] == [None, None]
    assert len(said) == 1
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert not serves(SOURCE, torch.zeros(1))
    assert kernels_in_words() == "torch"
    assert list(cache.glob("isostate/*")) == []


def test_without_any_compiler_the_message_says_what_to_do(cache, monkeypatch):
    monkeypatch.delenv("CXX", raising=False)
    monkeypatch.setattr("shutil.which", lambda name: None)
    with pytest.raises(OSError, match=r"no C\+\+ compiler found .*; install one, or name it in CXX"):
        built(SOURCE, torch.float32)


def test_who_asks_for_torch_gets_it_without_a_word(cache, monkeypatch):
    assert kernels_in_words() != "torch"
    monkeypatch.setenv("ISOSTATE_KERNELS", "torch")
    assert not serves(SOURCE, torch.zeros(1))
    assert kernels_in_words() == "torch"


def test_it_serves_processors_in_single_and_double_precision():
    assert serves(SOURCE, torch.zeros(1))
    assert serves(SOURCE, torch.zeros(1, dtype=torch.float64))
    assert not serves(SOURCE, torch.zeros(1, dtype=torch.bfloat16))
    assert not serves(SOURCE, torch.zeros(1, device="meta"))
