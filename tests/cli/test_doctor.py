"""isostate.cli.doctor."""

from __future__ import annotations

import json

from isostate.cli import doctor, main
from isostate.config import UserError


def test_it_tells_versions_and_speed(capsys, monkeypatch):
    monkeypatch.setattr(
        doctor, "measure", lambda: {"torch_threads": 1, "gemm_flops_per_s": {"1": 5e10}, "memory_bytes_per_s": 1e10}
    )
    assert main(["doctor"]) == 0
    told = capsys.readouterr().out
    assert "matrix products, 1 thread: 50 GFLOP/s" in told
    assert "memory: 10 GB/s" in told
    assert "all is well" in told


def test_it_measures(capsys):
    assert main(["doctor", "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["problems"] == []
    assert answer["versions"]["torch"].startswith("2.")
    assert all(rate > 1e8 for rate in answer["speed"]["gemm_flops_per_s"].values())
    assert answer["speed"]["memory_bytes_per_s"] > 1e8


def test_what_is_missing_is_a_problem_with_what_to_do(capsys, monkeypatch):
    def no_corpus(name):
        raise UserError(f"{name}: not there; install isostate again")

    monkeypatch.setattr("isostate.data.open_corpus", no_corpus)
    monkeypatch.setattr(doctor, "NEEDED", ("torchh",))
    assert main(["doctor"]) == 1
    told = capsys.readouterr().out
    assert "problem: torchh is missing: pip install torchh" in told
    assert "problem: bard: not there; install isostate again" in told
    assert "all is well" not in told
