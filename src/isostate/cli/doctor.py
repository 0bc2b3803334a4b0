"""`isostate doctor`: what is installed, what is missing, how fast this machine is."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import platform
import shutil
from typing import Any

from isostate.cli import show
from isostate.cli.options import JsonOption, processors
from isostate.config import UserError

CHROMIUM = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
NEEDED = ("torch", "numpy", "scipy", "pydantic", "typer", "rich", "safetensors", "tokenizers")
OPTIONAL = {
    "pyarrow": "reads Parquet tables: pip install 'isostate[parquet]'",
    "matplotlib": "draws a fit's figures as PNG and SVG: pip install 'isostate[figures]'",
    "pytest": "runs the tests: make test",
    "playwright": "tests the report's page: make test",
}


def doctor(json: JsonOption = False) -> int:
    """Check the installation: versions, what is missing, how fast the processor and its memory are."""
    problems = check_needed() + check_corpora()
    answer = {"versions": versions(), "processors": processors(), "problems": problems, "missing": missing()}
    if not check_needed():
        answer["speed"] = measure()
    if json:
        show.print_json(answer)
    else:
        _print(answer)
    return 1 if problems else 0


def versions() -> dict[str, str]:
    """Of Python and of what isostate stands on; "missing" where it is."""
    found = {"python": platform.python_version(), "platform": platform.platform()}
    for name in ("isostate", *NEEDED):
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            found[name] = "missing"
    return found


def check_needed() -> list[str]:
    return [f"{name} is missing: pip install {name}" for name in NEEDED if importlib.util.find_spec(name) is None]


def check_corpora() -> list[str]:
    """The named corpora that cannot be read, and why."""
    from isostate.data import CORPORA, open_corpus

    problems = []
    for name in CORPORA:
        try:
            open_corpus(name)
        except UserError as error:
            problems.append(str(error))
    return problems


def missing() -> list[str]:
    """What is not needed to run studies, and what it would be good for."""
    absent = [f"{name}: {use}" for name, use in OPTIONAL.items() if importlib.util.find_spec(name) is None]
    if not any(shutil.which(name) for name in CHROMIUM):
        absent.append("chromium: tests the report's page (Debian: apt-get install chromium)")
    from isostate.mixers.native import COMPILERS, compiler

    if compiler() is None:
        absent.append(
            f"a C++ compiler ({', '.join(COMPILERS)}): faster attention and scans (Debian: apt-get install g++)"
        )
    return absent


def measure() -> dict[str, Any]:
    """Threads of torch; peak of matrix products (FLOPs a second) on one thread and on all; memory (bytes a second)."""
    from isostate.costs import measure_bandwidth, measure_gemm
    from isostate.study.calibrate import torch_threads

    every = processors()
    return {
        "torch_threads": torch_threads(),
        "gemm_flops_per_s": {str(threads): measure_gemm(threads) for threads in sorted({1, every})},
        "memory_bytes_per_s": measure_bandwidth(),
    }


def _print(answer: dict[str, Any]) -> None:
    screen = show.console()
    screen.print(show.table(["what", "version"], [[name, text] for name, text in answer["versions"].items()], left=2))
    screen.print(f"processors: {answer['processors']}")
    if "speed" in answer:
        speed = answer["speed"]
        for threads, rate in speed["gemm_flops_per_s"].items():
            screen.print(f"matrix products, {show.plural(int(threads), 'thread')}: {show.decimal(rate, 'FLOP/s')}")
        screen.print(f"memory: {show.decimal(speed['memory_bytes_per_s'], 'B/s')}")
    for line in answer["missing"]:
        screen.print(f"not installed, not needed to run studies: {line}", soft_wrap=True)
    for line in answer["problems"]:
        screen.print(f"problem: {line}", soft_wrap=True)
    screen.print("all is well" if not answer["problems"] else "see the problems above")
