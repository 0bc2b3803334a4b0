# make quickstart    one study, from nothing to its report
# make test          all tests, from nothing
# make check         what to run before every commit: style, types, house rules, fast tests
# make bench         the benchmarks, one after another
# Set-up runs once and again when pyproject.toml changes. Variables: PYTHON (interpreter), TORCH (what pip installs for torch).
export PYTHON TORCH
BIN := .venv/bin
# One thread a worker: two workers on two cores are faster than one worker with two threads, and bits do not depend on the machine.
PYTEST := OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n logical --maxprocesses 4 --dist worksteal -rs

.PHONY: help quickstart test check bench setup clean

help:
	@sed -n 's/^# \(make .*\)/\1/p' Makefile

quickstart: .venv/ready-run
	$(BIN)/isostate run studies/quickstart.toml

test: .venv/ready-test
	$(PYTEST)

check: .venv/ready-test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(PYTEST) -m "not slow and not browser"

bench: .venv/ready-test
	@set -e; for file in benchmarks/[a-z]*.py; do echo "$$file"; $(BIN)/python "$$file"; done

setup: .venv/ready-test

clean:
	rm -rf .venv build dist src/isostate.egg-info

.venv/ready-run: pyproject.toml scripts/setup
	scripts/setup run

.venv/ready-test: pyproject.toml scripts/setup
	scripts/setup test
