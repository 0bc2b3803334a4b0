"""What layers run forward and backward, as kernels: the pieces that mixers and blocks have in common."""

from __future__ import annotations

from typing import NamedTuple

from isostate.costs.kernels import Kernel, calls


class Pass(NamedTuple):
    """What the forward runs, and the backward."""

    forward: tuple[Kernel, ...]
    backward: tuple[Kernel, ...]


def linear(n_tokens: int, width_in: int, width_out: int, bias: bool = False) -> Pass:
    """A matrix: one product forward, one for each operand's gradient backward; a bias joins the product."""
    product = Kernel("matmul", (n_tokens, width_in, width_out), weights=True)
    input_gradient = Kernel("matmul", (n_tokens, width_out, width_in), weights=True)
    weight_gradient = Kernel("matmul", (width_out, n_tokens, width_in))
    bias_gradient = (Kernel("sum columns", (n_tokens, width_out)), *calls(1)) if bias else ()
    return Pass((product, *calls(3)), (input_gradient, weight_gradient, *calls(6), *bias_gradient))


def rms_norm(n_rows: int, length: int) -> Pass:
    """`mixers/normalisation.py`: the inverse root mean square of each row, then two products."""
    n_elements = n_rows * length
    forward = (
        Kernel("sum rows", (n_elements,)),
        Kernel("map", (n_elements,)),
        Kernel("update", (n_elements,)),
        Kernel("update", (n_rows,), 4),
    )
    backward = (
        Kernel("map of saved", (n_elements,), 2),  # x / rms, and dy times that
        Kernel("sum columns", (n_rows, length)),
        Kernel("map", (n_elements,), 3),
        Kernel("sum rows", (n_elements,)),
        Kernel("update", (n_elements,)),
        Kernel("update", (n_rows,)),
        *calls(1),
    )
    return Pass(forward, backward)
