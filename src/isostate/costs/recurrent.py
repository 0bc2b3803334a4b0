"""State-space and recurrent sublayers by formula: Mamba, Mamba-2, RWKV-4 (FORMULAS section 1.3).

Mamba     h = exp(Delta A) h + Delta B x,  y = C h + D x   a channel with R states; expand width (R + taps - 1) elements
Mamba-2   one decay a head, a matrix of head_dim x R a head; heads share B and C in groups: the state is heads
          times head_dim times R, not groups times that
          The convolution carries one input less than it has taps: the last is the token's own, though the cache of the
          authors' code has a place for it too
RWKV-4    a sum of values and one of weights a channel, their running maximum, the last input of either sublayer
"""

from __future__ import annotations

from typing import ClassVar, Literal, Self

from pydantic import model_validator

from isostate.costs.sublayer import ACTIVATION_FLOPS, NORM_FLOPS, Linear, Run, Size, Sublayer
from isostate.quantities import Cost, Operator

# FLOPs an element of the state and token. Mamba: Delta A, its exp, decay times state, Delta x B, their sum, C times
# state, the sum over states. A matrix state, as in mixers/linear_family.py: decay, outer product, sum, 2 to read it.
SCAN_FLOPS, MATRIX_FLOPS = 7, 5
SHIFT_FLOPS = 3  # an element mixed with that of the token before
WKV_FLOPS = 16  # an RWKV-4 channel and token: two maxima, four exponentials, three products and sums twice, a division


class Mamba(Sublayer):
    """Mamba's mixer, which is the whole block (Gu and Dao 2023, section 3.4 and algorithm 2)."""

    kind: Literal["mamba"] = "mamba"
    d_inner: Size
    d_state: Size = 16
    conv_taps: Size = 4
    dt_rank: Size
    bias: bool = False
    conv_bias: bool = True

    part: ClassVar[str] = "ssm"
    state_formula: ClassVar[str] = "7 E R of the scan + 2 W E of the convolution"

    def linears(self, d_model: int) -> tuple[Linear, ...]:
        return (
            Linear("mamba.in", d_model, 2 * self.d_inner, self.bias),
            Linear("mamba.dt_b_c", self.d_inner, self.dt_rank + 2 * self.d_state),
            Linear("mamba.dt", self.dt_rank, self.d_inner, True),
            Linear("mamba.out", self.d_inner, d_model, self.bias),
        )

    def n_other_params(self, d_model: int) -> int:
        """Taps, A of every channel and state, D of every channel."""
        return self.d_inner * (self.conv_taps + self.conv_bias + self.d_state + 1)

    def state_parts(self, d_model: int, context: int) -> dict[str, int]:
        return {"matrix": self.d_inner * self.d_state, "convolution": self.d_inner * (self.conv_taps - 1)}

    def mixing(self, d_model: int, run: Run) -> list[Operator]:
        """Around the scan: two activations, softplus, Delta x, D x and the gate."""
        state, width = self.state_parts(d_model, run.context), run.n_tokens * self.d_inner
        row = 3 * self.d_inner + 2 * self.d_state
        return [
            on_state("mamba.conv", Cost(0, 2 * self.conv_taps * width), 2 * self.d_inner, state["convolution"], run),
            on_state("mamba.scan", Cost(0, SCAN_FLOPS * self.d_state * width), row, state["matrix"], run),
            Operator("mamba.gate", Cost(0, (3 * ACTIVATION_FLOPS + 4) * width, run.activation_bytes(3 * width))),
        ]


class Mamba2(Sublayer):
    """Mamba-2's mixer (Dao and Gu 2024, section 7.1): z, x, B, C and Delta in one projection of the block's input.

    Prefill runs the chunked form: scores and readings inside a chunk are matrix products, so are the chunk's state
    and its reading. Decode updates and reads the state element by element.
    """

    kind: Literal["mamba2"] = "mamba2"
    n_heads: Size
    head_dim: Size
    d_state: Size = 128
    n_groups: Size = 1
    conv_taps: Size = 4
    chunk: Size = 256
    bias: bool = False
    conv_bias: bool = True

    part: ClassVar[str] = "ssm"
    state_formula: ClassVar[str] = "5 E R of the scan + 2 W (E + 2 G R) of the convolution"

    @model_validator(mode="after")
    def _groups_divide(self) -> Self:
        if self.n_heads % self.n_groups:
            raise ValueError(f"n_groups = {self.n_groups}: must divide n_heads = {self.n_heads}")
        return self

    @property
    def d_inner(self) -> int:
        return self.n_heads * self.head_dim

    @property
    def convolved(self) -> int:
        """x, B and C go through the convolution."""
        return self.d_inner + 2 * self.n_groups * self.d_state

    def linears(self, d_model: int) -> tuple[Linear, ...]:
        return (
            Linear("mamba2.in", d_model, self.d_inner + self.convolved + self.n_heads, self.bias),
            Linear("mamba2.out", self.d_inner, d_model, self.bias),
        )

    def n_other_params(self, d_model: int) -> int:
        """Taps; A, D and the bias of Delta, one a head; the norm before the output."""
        return self.convolved * (self.conv_taps + self.conv_bias) + 3 * self.n_heads + self.d_inner

    def state_parts(self, d_model: int, context: int) -> dict[str, int]:
        return {"matrix": self.d_inner * self.d_state, "convolution": self.convolved * (self.conv_taps - 1)}

    def mixing(self, d_model: int, run: Run) -> list[Operator]:
        """Around the scan: activations, the gate and the norm before the output."""
        state, n_tokens = self.state_parts(d_model, run.context), run.n_tokens
        taps = Cost(0, 2 * self.conv_taps * n_tokens * self.convolved)
        activated = ACTIVATION_FLOPS * (self.convolved + self.d_inner) + (NORM_FLOPS + 4) * self.d_inner
        gated = run.activation_bytes(n_tokens * (self.convolved + 3 * self.d_inner))
        return [
            on_state("mamba2.conv", taps, 2 * self.convolved, state["convolution"], run),
            on_state("mamba2.scan", self._scan(run), self.d_inner + self.convolved, state["matrix"], run),
            Operator("mamba2.gate", Cost(0, n_tokens * activated, gated)),
        ]

    def _scan(self, run: Run) -> Cost:
        state = self.d_inner * self.d_state
        if run.phase == "decode":
            return Cost(0, run.batch * MATRIX_FLOPS * state)
        block = min(self.chunk, run.context)
        n_chunks = run.batch * -(-run.context // block)
        products = block * (self.n_groups * self.d_state + self.d_inner) + 2 * state
        decays = 3 * block * block * self.n_heads + 2 * state  # of the scores, with their mask; of the carried state
        return Cost(2 * n_chunks * block * products, n_chunks * decays)


class RWKV4(Sublayer):
    """RWKV-4's time mixing (Peng et al. 2023, section 3.1)."""

    kind: Literal["rwkv4"] = "rwkv4"
    d_attention: Size

    part: ClassVar[str] = "ssm"
    state_formula: ClassVar[str] = "16 A of the sums + 9 D of the shift"

    def linears(self, d_model: int) -> tuple[Linear, ...]:
        return (
            Linear("rwkv4.r_k_v", d_model, 3 * self.d_attention),
            Linear("rwkv4.out", self.d_attention, d_model),
        )

    def n_other_params(self, d_model: int) -> int:
        """How much of the token before to mix into r, k and v; decay and first bonus of a channel."""
        return 3 * d_model + 2 * self.d_attention

    def state_parts(self, d_model: int, context: int) -> dict[str, int]:
        return {"matrix": self.d_attention, "normaliser": self.d_attention, "buffer": self.d_attention + d_model}

    def mixing(self, d_model: int, run: Run) -> list[Operator]:
        n_tokens, sums = run.n_tokens, 3 * self.d_attention
        gate = Cost(0, n_tokens * (ACTIVATION_FLOPS + 1) * self.d_attention)
        return [
            on_state("rwkv4.shift", Cost(0, 3 * SHIFT_FLOPS * n_tokens * d_model), 4 * d_model, d_model, run),
            on_state("rwkv4.wkv", Cost(0, WKV_FLOPS * n_tokens * self.d_attention), sums, sums, run),
            Operator("rwkv4.gate", gate + Cost(moved_bytes=run.activation_bytes(n_tokens * sums))),
        ]


class RWKV4ChannelMix(Sublayer):
    """RWKV-4's feed-forward: sigmoid(r) * W squared_relu(k), each mixed with the token before."""

    kind: Literal["rwkv4-channel"] = "rwkv4-channel"
    d_ff: Size

    part: ClassVar[str] = "mlp"
    state_formula: ClassVar[str] = "6 D of the shift"

    def linears(self, d_model: int) -> tuple[Linear, ...]:
        return (
            Linear("rwkv4.channel_r", d_model, d_model),
            Linear("rwkv4.channel_k", d_model, self.d_ff),
            Linear("rwkv4.channel_v", self.d_ff, d_model),
        )

    def n_other_params(self, d_model: int) -> int:
        return 2 * d_model

    def unsaved_linear(self, d_model: int) -> str | None:
        return None  # the gate multiplies what the last linear gives

    def state_parts(self, d_model: int, context: int) -> dict[str, int]:
        return {"buffer": d_model}

    def mixing(self, d_model: int, run: Run) -> list[Operator]:
        gated = run.n_tokens * ((ACTIVATION_FLOPS + 1) * d_model + 2 * self.d_ff)
        moved = run.activation_bytes(run.n_tokens * (3 * d_model + 2 * self.d_ff))
        return [
            on_state(
                "rwkv4.channel_shift", Cost(0, 2 * SHIFT_FLOPS * run.n_tokens * d_model), 3 * d_model, d_model, run
            ),
            Operator("rwkv4.channel_gate", Cost(0, gated, moved)),
        ]


def on_state(name: str, cost: Cost, row: int, kept: int, run: Run) -> Operator:
    """Moves `row` elements a token and a state of `kept` a sequence: decode reads and writes it, prefill writes it."""
    state_bytes = (2 if run.phase == "decode" else 1) * run.batch * run.state_bytes(kept)
    moved = run.activation_bytes(run.n_tokens * row) + state_bytes
    return Operator(name, cost + Cost(moved_bytes=moved), state_bytes=state_bytes)
