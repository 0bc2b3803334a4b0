"""AdamW (Loshchilov and Hutter, 2019) over flat buffers: PyTorch's fused update of two tensors, not of every one.

Parameters and gradients become views of two buffers, so that the norm, the clipping, the clearing of the gradient and
the update are a pass each. With 20 tensors and 0.2M parameters that takes 0.44 ms on one thread, against 1.15 ms for
the fused update tensor by tensor and 1.69 ms for foreach (torch 2.13); with 1M parameters 1.7, 1.6 and 4.9 ms.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import Parameter
from torch.optim.adamw import adamw  # the function: making the class imports torch's compiler, seconds a process

ALIGN = 16  # floats: each view begins on a 64-byte line, as a tensor of its own would


@dataclass(frozen=True)
class _Group:
    """A part of the buffers, decayed alike; `n_steps` counts updates, for the bias correction."""

    weights: Tensor
    grads: Tensor
    exp_avg: Tensor
    exp_avg_sq: Tensor
    n_steps: Tensor
    weight_decay: float


class AdamW:
    """Updates parameters, given by name; only those of `decay` are decayed.

    It owns their gradients: never set a parameter's `grad` to None, `step` clears them.
    """

    def __init__(
        self,
        decay: dict[str, Parameter],
        no_decay: dict[str, Parameter],
        *,
        betas: tuple[float, float],
        eps: float,
        weight_decay: float,
    ):
        self._parameters = {**decay, **no_decay}
        assert len(self._parameters) == len(decay) + len(no_decay), "a parameter is either decayed or not"
        n_decay, n_all = (sum(map(_room, group.values())) for group in (decay, self._parameters))
        like = next(iter(self._parameters.values())).detach()
        weights = like.new_zeros(n_all)
        for name, view in self._views(weights).items():  # first, so that the old weights are gone before more is needed
            view.copy_(self._parameters[name].detach())
            self._parameters[name].data = view
        del like
        self._grads, exp_avg, exp_avg_sq = (torch.zeros_like(weights) for _ in range(3))
        self._moments = {"exp_avg": self._views(exp_avg), "exp_avg_sq": self._views(exp_avg_sq)}
        self._grad_views = self._views(self._grads)
        for name, view in self._grad_views.items():
            self._parameters[name].grad = view

        parts = [(slice(0, n_decay), weight_decay), (slice(n_decay, n_all), 0.0)]
        self._groups = [
            _Group(weights[part], self._grads[part], exp_avg[part], exp_avg_sq[part], torch.zeros(()), decays)
            for part, decays in parts
            if part.start < part.stop
        ]
        self._betas, self._eps = betas, eps

    def gradient_norm(self) -> Tensor:
        """The norm of all gradients as one vector: a scalar tensor, so that the caller chooses when to wait for it."""
        return torch.linalg.vector_norm(self._grads)

    def step(self, learning_rate: float, gradient_scale: float = 1.0) -> None:
        """One update from the gradients times `gradient_scale`; clears them."""
        assert all(p.grad is self._grad_views[name] for name, p in self._parameters.items()), "someone replaced a grad"
        if gradient_scale != 1.0:
            self._grads.mul_(gradient_scale)
        for group in self._groups:
            adamw(
                [group.weights],
                [group.grads],
                [group.exp_avg],
                [group.exp_avg_sq],
                [],
                [group.n_steps],
                fused=True,
                amsgrad=False,
                beta1=self._betas[0],
                beta2=self._betas[1],
                lr=learning_rate,
                weight_decay=group.weight_decay,
                eps=self._eps,
                maximize=False,
            )
        self._grads.zero_()

    def tensors(self) -> dict[str, Tensor]:
        """What a checkpoint keeps, by parameter, so that it does not depend on the buffers' layout."""
        return {f"{moment}.{name}": view for moment, views in self._moments.items() for name, view in views.items()}

    def load(self, tensors: dict[str, Tensor], step: int) -> None:
        """Takes over the `tensors()` of an optimizer that had made `step` updates; clears the gradients."""
        mine = self.tensors()
        assert mine.keys() == tensors.keys(), "an optimizer state of another model"
        for name, view in mine.items():
            view.copy_(tensors[name])
        for group in self._groups:
            group.n_steps.fill_(step)
        self._grads.zero_()

    def _views(self, flat: Tensor) -> dict[str, Tensor]:
        """The parts of a flat buffer, in the shapes of the parameters."""
        views, start = {}, 0
        for name, parameter in self._parameters.items():
            views[name] = flat[start : start + parameter.numel()].view(parameter.shape)
            start += _room(parameter)
        return views


def _room(parameter: Parameter) -> int:
    return -(-parameter.numel() // ALIGN) * ALIGN


OPTIMIZERS = {"adamw": AdamW}
