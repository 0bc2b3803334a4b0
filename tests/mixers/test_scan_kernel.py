"""The kernel is built once, into the user's cache; where it cannot be, torch scans, and why is said once."""

from __future__ import annotations

import warnings

import pytest
import torch

from isostate.mixers import scan, scan_kernel
from isostate.mixers.scan_kernel import built, library, serves
from tests.mixers.runs import assert_equal_results
from tests.mixers.test_scan import inputs, run


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """An empty one, and nothing loaded before or after."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    library.cache_clear()
    yield tmp_path
    library.cache_clear()


def test_it_is_built_once_and_links_no_threads_of_its_own(cache):
    first = built()
    assert first.parent == cache / "isostate"
    assert first.name.startswith("scan-")
    assert b"libgomp" not in first.read_bytes()
    written = first.stat().st_mtime_ns
    assert built() == first
    assert first.stat().st_mtime_ns == written
    assert [path.name for path in first.parent.iterdir()] == [first.name], "nothing is left over"


def test_another_processor_or_source_has_another_file(cache, monkeypatch):
    monkeypatch.setattr(scan_kernel, "_run", lambda *command: cache.joinpath("none").name)
    monkeypatch.setattr("os.replace", lambda source, target: None)
    first = built()
    monkeypatch.setattr(scan_kernel, "_processor", lambda: "another")
    assert built() != first


@pytest.mark.parametrize("compiler", ["false", "/no/such/compiler"])
def test_where_it_cannot_be_built_torch_scans_and_says_why_once(cache, compiler, monkeypatch):
    leaves = inputs(70, 5, 3)
    definition = run(scan.recurrent, leaves)
    monkeypatch.setenv("CXX", compiler)
    with pytest.warns(RuntimeWarning, match="the selective scan runs in torch, ten times slower: ") as said:
        results = run(scan.chunked, leaves)
    assert len(said) == 1
    assert_equal_results(results, definition, "torch")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        run(scan.chunked, leaves)
    assert list(cache.glob("isostate/*")) == []


def test_without_any_compiler_the_message_says_what_to_do(cache, monkeypatch):
    monkeypatch.delenv("CXX", raising=False)
    monkeypatch.setattr("shutil.which", lambda name: None)
    with pytest.raises(OSError, match=r"no C\+\+ compiler found .*; install one, or name it in CXX"):
        built()


def test_it_serves_processors_in_single_and_double_precision():
    assert serves(torch.zeros(1))
    assert serves(torch.zeros(1, dtype=torch.float64))
    assert not serves(torch.zeros(1, dtype=torch.bfloat16))
    assert not serves(torch.zeros(1, device="meta"))
