"""Kernels for CPUs, in C++: built when first needed, called through ctypes; without a compiler torch does their work.

The system's compiler builds a source in a second or two, into the user's cache folder, under a name that says source,
compiler and processor. Where that fails, a warning says why, once. All memory is torch's: kernels allocate nothing.
`ISOSTATE_KERNELS=torch` in the environment leaves everything to torch, without a warning.
"""

from __future__ import annotations

import ctypes
import hashlib
import os
import platform
import re
import shutil
import subprocess
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import lru_cache
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor
from torch.nn import Parameter

FOLDER = Path(__file__).parent
PROBE = "attention.cpp"  # who builds this builds every source
COMPILERS = ("g++", "c++", "clang++")
# Two steps, so that no OpenMP runtime is linked: torch has loaded one, and its threads are the ones to use.
COMPILE = ("-O3", "-march=native", "-std=c++17", "-fPIC", "-fopenmp", "-Wno-psabi", "-c")
LINK = ("-shared", "-nostdlib")
DEFINES = {torch.float32: (), torch.float64: ("-DDOUBLE",)}

Kernels = Literal["own", "torch"]  # what runs where a kernel of ours could: it, or the operations of any device
COUNTED_IN_TORCH = ("attention.cpp", "engine.cpp")  # the cost model counts the operations that they stand for
_counting = ContextVar("counting", default=False)


@contextmanager
def torch_operations() -> Iterator[None]:
    """Inside, torch does what the kernels of COUNTED_IN_TORCH would: the operations of any device, seen by counters."""
    token = _counting.set(True)
    try:
        yield
    finally:
        _counting.reset(token)


def kernels_here() -> Kernels:
    """What runs on this processor, in single precision: ours, or torch where they cannot be built or are not wanted."""
    own = wanted() and not _counting.get() and library(PROBE, torch.float32) is not None
    return "own" if own else "torch"


def serves(source: str, *x: Tensor) -> bool:
    """Whether the kernel of `source` runs such tensors, so that torch need not."""
    like = x[0]
    known = like.device.type == "cpu" and like.dtype in DEFINES and all(type(one) in (Tensor, Parameter) for one in x)
    counted = _counting.get() and source in COUNTED_IN_TORCH
    return known and not counted and wanted() and library(source, like.dtype) is not None


def call(source: str, function: str, sizes: ctypes.Structure, *x: Tensor) -> None:
    """A function of the kernel, on its sizes and the tensors in its order; ask `serves` first."""
    kernel = library(source, x[0].dtype)
    assert kernel is not None, "the caller asks serves() first"
    kernel[function](ctypes.byref(sizes), *(ctypes.c_void_p(one.data_ptr()) for one in x))


@lru_cache(maxsize=16)
def library(source: str, dtype: torch.dtype) -> ctypes.CDLL | None:
    """The kernel, built if need be; None, after a warning, where there is no way to."""
    try:
        return ctypes.CDLL(str(built(source, dtype)))
    except (OSError, subprocess.CalledProcessError) as error:
        _say_why(str(error.stderr if isinstance(error, subprocess.CalledProcessError) else error).strip())
        return None


@lru_cache(maxsize=1)  # one line, whatever number of kernels the reason holds for
def _say_why(reason: str) -> None:
    first = (reason.splitlines() or ["no reason given"])[0]
    warnings.warn(f"kernels run in torch, up to ten times slower: {first}", RuntimeWarning, stacklevel=4)


def built(source: str, dtype: torch.dtype) -> Path:
    """The library's file. Raises OSError or CalledProcessError where there is no compiler, or it fails."""
    name = compiler()
    if name is None:
        raise OSError(f"no C++ compiler found ({', '.join(COMPILERS)}); install one, or name it in CXX")
    folder = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "isostate"
    options = (*COMPILE, *DEFINES[dtype])
    facts = [*_texts(source), _run(name, "--version"), *options, *LINK, platform.machine(), _processor()]
    stem = Path(source).stem
    target = folder / f"{stem}-{hashlib.sha256(chr(0).join(facts).encode()).hexdigest()[:16]}.so"
    if not target.exists():
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder) as place:
            object_file, shared = f"{place}/{stem}.o", f"{place}/{stem}.so"
            _run(name, *options, "-o", object_file, str(FOLDER / source))
            _run(name, *LINK, "-o", shared, object_file)
            os.replace(shared, target)  # whole at once: other processes build and load it too
    return target


def _texts(source: str) -> list[str]:
    """A source and the headers beside it that it includes, each once."""
    texts: dict[str, str] = {}
    found = [source]
    while found:
        name = found.pop()
        if name not in texts:
            texts[name] = (FOLDER / name).read_text(encoding="utf-8")
            found += re.findall(r'^#include "(.+)"$', texts[name], re.MULTILINE)
    return list(texts.values())


def wanted() -> bool:
    """Whether the environment leaves the work to kernels."""
    return os.environ.get("ISOSTATE_KERNELS") != "torch"


def compiler() -> str | None:
    """CXX, where the environment names one, else the first of COMPILERS that is installed."""
    return os.environ.get("CXX") or next((name for name in COMPILERS if shutil.which(name)), None)


def kernels_in_words() -> str:
    """What runs here in the kernels' place, for a run's record: they as this compiler builds them, or torch."""
    name = compiler()
    if not wanted() or name is None or library(PROBE, torch.float32) is None:
        return "torch"
    return (_run(name, "--version").splitlines() or [name])[0]


def _run(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def _processor() -> str:
    """What `-march=native` goes by: a cache folder may serve several machines."""
    cpuinfo = Path("/proc/cpuinfo")
    if not cpuinfo.exists():
        return platform.processor()
    lines = cpuinfo.read_text(encoding="utf-8").splitlines()
    return "".join(sorted({line for line in lines if line.startswith(("model name", "flags", "Features"))}))
