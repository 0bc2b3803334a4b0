"""What is known of a run before it trains (what it is, its sizes, what it computes), and of the machine it is on."""

from __future__ import annotations

import hashlib
import platform
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import torch

import isostate
from isostate.costs import train_flops
from isostate.costs.accelerator import predicted_step_s
from isostate.mixers.native import kernels_in_words
from isostate.train.config import RunConfig

CODE = ("data", "mixers", "model", "train")


def facts_of(config: RunConfig) -> dict[str, Any]:
    """The part of result.json that does not depend on training. State is of one sequence of the training context."""
    params = config.model.param_count()
    state = config.model.state_size(config.data.context)
    n_tokens = config.train.steps * config.train.batch_tokens
    return {
        "run_id": config.digest(),
        "family": config.model.mixer.family,
        "mixer": config.model.mixer.to_dict(),
        "n_layers": config.model.n_layers,
        "d_model": config.model.d_model,
        "n_params": {"total": params.total, "embedding": params.embedding, "non_embedding": params.non_embedding},
        "state": {"elements": state.elements, "bytes": state.state_bytes, "parts": state.parts},
        "train_context": config.data.context,
        "seed": config.seed,
        "lr": config.train.lr,
        "steps": config.train.steps,
        "batch_tokens": config.train.batch_tokens,
        "n_tokens": n_tokens,
        "train_flops": train_flops(config.model, config.data.context, n_tokens),
        "predicted_a100_step_s": predicted_step_s(config.model, config.batch_size, config.data.context, "a100-80-sxm"),
        "corpus": config.data.text,
        "tokenizer": config.data.tokenizer,
    }


def environment_of(threads: int) -> dict[str, Any]:
    """Versions and machine: what, beside the config, bitwise reproduction asks to be the same."""
    return {
        "isostate": isostate.__version__,
        "torch": torch.__version__,
        "numpy": np.__version__,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "cpu": _cpu_name(Path("/proc/cpuinfo")),
        "threads": threads,
        "kernels": kernels_in_words(),
        "code": _code_sha256(Path(isostate.__file__).parent),
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def _code_sha256(package: Path) -> str:
    """First 16 hex digits: of every source, kernels' too, that has a part in what a run computes."""
    files = [path for folder in CODE for path in (package / folder).rglob("*") if path.suffix in (".py", ".cpp")]
    texts = (f"{path.relative_to(package).as_posix()}\0{path.read_text(encoding='utf-8')}" for path in sorted(files))
    return hashlib.sha256("\0".join(texts).encode()).hexdigest()[:16]


def _cpu_name(cpuinfo: Path) -> str:
    """Linux tells the model's name there only; elsewhere the platform's own word has to do."""
    if cpuinfo.exists():
        for line in cpuinfo.read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
