"""A training checkpoint: weights, optimizer and the place in the run, enough to go on as if nothing had happened.

    model.safetensors      the model's parameters and buffers, by name
    optimizer.safetensors  the optimizer's tensors
    state.json             {"format", "run_id", "torch_rng", "data_position", and the place in the run (Progress)}

Batches are a function of (seed, step), so the data's position is the step. No clock: equal runs write equal bytes.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import safetensors.torch
import torch
from torch import Tensor, nn

from isostate.config import UserError
from isostate.records import RunDirectory, prune, write_checkpoint
from isostate.records.durable import json_bytes, read_json
from isostate.train.optimizer import AdamW

FORMAT = 1
MODEL, OPTIMIZER, STATE = "model.safetensors", "optimizer.safetensors", "state.json"


@dataclass
class Progress:
    """Updates made, losses since the last row of the log, rows written before this step's evaluation, if any."""

    step: int = 0
    loss_sum: float = 0.0
    n_losses: int = 0
    metrics_rows: int = 0


def save(run: RunDirectory, model: nn.Module, optimizer: AdamW, progress: Progress, keep: int) -> Path:
    """Writes the checkpoint of this step, the rows it counts on before it; removes all but the newest `keep`."""
    run.sync_metrics()
    state = {
        "format": FORMAT,
        "run_id": run.run_id,
        "step": progress.step,
        "data_position": progress.step,
        "loss_sum": progress.loss_sum,
        "n_losses": progress.n_losses,
        "metrics_rows": progress.metrics_rows,
        "torch_rng": torch.get_rng_state().numpy().tobytes().hex(),
    }
    files = {
        MODEL: safetensors.torch.save(_copies(model_tensors(model))),
        OPTIMIZER: safetensors.torch.save(_copies(optimizer.tensors())),
        STATE: json_bytes(state),
    }
    checkpoint = write_checkpoint(run.checkpoints, progress.step, files)
    prune(run.checkpoints, keep)
    return checkpoint


def load(run: RunDirectory, checkpoint: Path, model: nn.Module, optimizer: AdamW) -> Progress:
    """Puts model, optimizer, generator and the run's logs back to a (verified) checkpoint."""
    state = read_json(checkpoint / STATE)
    if state["run_id"] != run.run_id:
        raise UserError(f"{checkpoint} is of run {state['run_id']}; move it away")
    weights = safetensors.torch.load((checkpoint / MODEL).read_bytes())
    targets = model_tensors(model)
    assert weights.keys() == targets.keys(), "the checkpoint of another model"
    with torch.no_grad():
        for name, tensor in targets.items():
            tensor.copy_(weights[name])
    optimizer.load(safetensors.torch.load((checkpoint / OPTIMIZER).read_bytes()), state["step"])
    torch.set_rng_state(torch.tensor(list(bytes.fromhex(state["torch_rng"])), dtype=torch.uint8))
    run.truncate(rows=state["metrics_rows"], step=state["step"])
    return Progress(state["step"], state["loss_sum"], state["n_losses"], state["metrics_rows"])


def model_tensors(model: nn.Module) -> dict[str, Tensor]:
    """Parameters, each once (a tied one under its first name), and the buffers that a state dict keeps."""
    parameters: dict[str, Tensor] = dict(model.named_parameters())
    tied = dict(model.named_parameters(remove_duplicate=False)).keys()
    buffers = {name: tensor for name, tensor in model.state_dict().items() if name not in tied}
    return {**parameters, **buffers}


def _copies(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Tensors of their own: safetensors refuses views of one buffer."""
    return {name: tensor.detach().clone(memory_format=torch.contiguous_format) for name, tensor in tensors.items()}
