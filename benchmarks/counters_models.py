"""The models of counters.py, and what each must count: every number written down by hand.

B batch, S context, T = B S, D width, H heads, G key-value heads, K head size, F feed-forward, U words, L layers.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from isostate.costs import counting, forward_cost, kept_activations, step_flops
from isostate.costs.formula import count_params, operators
from isostate.costs.huggingface.read import from_huggingface
from isostate.costs.sublayer import Run
from isostate.model import Decoder, ModelConfig, Recompute

B, S, L, U = 2, 256, 3, 512
T = B * S
D, H, F = 128, 4, 352
K = D // H


class Logits(nn.Module):
    """A decoder that returns a tensor alone: what counters can trace."""

    def __init__(self, decoder: Decoder) -> None:
        super().__init__()
        self.decoder = decoder

    def forward(self, tokens_BT: Tensor) -> Tensor:
        return self.decoder(tokens_BT)[0]


class HuggingFaceLogits(nn.Module):
    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, tokens_BT: Tensor) -> Tensor:
        return self.model(input_ids=tokens_BT, use_cache=False).logits


@dataclass(frozen=True)
class Model:
    """`by_hand` gives the truth; `config` is ours, or `huggingface` a config.json, of which the forward is counted."""

    by_hand: Callable[[], dict[str, int]]
    config: dict[str, Any] = field(default_factory=dict)
    huggingface: dict[str, Any] = field(default_factory=dict)
    recompute: Recompute = "none"
    llm_analysis: dict[str, Any] | None = None
    gated: bool = True
    batch: int = B
    context: int = S

    def truth(self) -> dict[str, int]:
        return self.by_hand()

    def tokens(self) -> Tensor:
        return torch.randint(U, (self.batch, self.context), generator=torch.Generator().manual_seed(0))

    def module(self) -> nn.Module:
        if self.config:
            return Logits(Decoder(self._parsed()))
        import transformers

        values = {**self.huggingface, "attn_implementation": "sdpa", "experts_implementation": "eager"}
        config = transformers.AutoConfig.for_model(**values)
        return HuggingFaceLogits(transformers.AutoModelForCausalLM.from_config(config))

    def step(self, module: nn.Module) -> None:
        if self.config:
            tokens_BT = self.tokens()
            module.decoder.train_loss(tokens_BT, tokens_BT, recompute=self.recompute).backward()
        else:
            module(self.tokens()).sum().backward()

    def ours(self) -> dict[str, int]:
        """Predicted: nothing runs."""
        if not self.config:
            architecture = from_huggingface(self.huggingface, "config.json")
            flops = sum(one.total.matmul_flops for one in operators(architecture, Run(self.batch, self.context)))
            return {"parameters": count_params(architecture).total, "forward": flops}
        config = self._parsed()
        found = {
            "parameters": config.param_count().total,
            "forward": forward_cost(config, self.batch, self.context).matmul_flops,
            "step": step_flops(config, self.batch, self.context, recompute=self.recompute).hardware,
        }
        if "kept by a layer" in self.truth():
            found["kept by a layer"] = kept_activations(config, self.batch, self.context).layer_bytes
        return found

    def confirmed(self) -> dict[str, int]:
        """Counted while it runs, by the patched counter and by what autograd saves."""
        module, tokens_BT = self.module(), self.tokens()
        found = {
            "parameters": sum(parameter.numel() for parameter in module.parameters()),
            "forward": counting.matmul_flops(module, tokens_BT),
        }
        if self.config:
            found["step"] = counting.matmul_flops(self.step, module)
        if "kept by a layer" in self.truth():
            kept = [self._kept(n_layers) for n_layers in (L, L - 1)]
            found["kept by a layer"] = kept[0] - kept[1]
        return found

    def _kept(self, n_layers: int) -> int:
        model, tokens_BT = Decoder(self._parsed(n_layers=n_layers)), self.tokens()
        return counting.kept_bytes(model.parameters(), lambda: model.train_loss(tokens_BT, tokens_BT))

    def _parsed(self, **changes: Any) -> ModelConfig:
        return ModelConfig.parse(self.config | changes, "benchmark")


SIZES = {"vocab_size": U, "n_layers": L, "d_model": D, "d_ff": F}
HEAD = 2 * T * D * U
NORMS = (2 * L + 1) * D
LLM = {
    "num_layers": L, "n_head": H, "hidden_dim": D, "vocab_size": U, "max_seq_len": S, "ffn_embed_dim": F,
    "expansion_ratio": F / D,
}  # fmt: skip


def softmax(kv_heads: int = H) -> dict[str, int]:
    """Queries, keys, values, the output; a gated feed-forward; every score, masked ones too; a tied head."""
    G = kv_heads
    weights = L * (2 * D * H * K + 2 * D * G * K + 3 * D * F)
    linear, product = 2 * T * weights + HEAD, 2 * L * B * H * S * S * K
    # Forward two products of scores; backward five, of which one makes them again (torch's kernel on a CPU).
    return {"parameters": weights + NORMS + U * D, "forward": linear + 2 * product, "step": 3 * linear + 7 * product}


def kept_softmax() -> dict[str, int]:
    """As above, and float32 that a layer keeps for its backward, a token: ten times the width (the block's input, both
    norms' outputs, queries, keys and values as projected and as rotated, the reading, what the feed-forward's residual
    adds to), four of the feed-forward's, two inverse deviations, and a logarithm of sums a head.
    """
    return {**softmax(), "kept by a layer": 4 * T * (10 * D + 4 * F + 2 + H)}


def checkpointed() -> dict[str, int]:
    """Every block forward twice, without its last product the second time."""
    found = softmax()
    again = (found["forward"] - HEAD) - L * 2 * T * D * F
    return {**found, "step": found["step"] + again}


WINDOW = 64


def window() -> dict[str, int]:
    """Blocks as long as the window, each against itself and the one before; no fused kernel, so backward is twice."""
    weights = L * (4 * D * D + 3 * D * F)
    pairs = (S // WINDOW) * WINDOW * 2 * WINDOW
    forward = 2 * T * weights + HEAD + L * 2 * B * H * pairs * 2 * K
    return {"parameters": weights + NORMS + U * D, "forward": forward, "step": 3 * forward}


CHUNK, P = 64, 36  # degree 2 of 8: C(9, 2) monomials


def power() -> dict[str, int]:
    """Within chunks scores and readings; a state added to by all chunks, and read by all but the first."""
    n_heads, size = D // 8, 8
    weights = L * (4 * D * D + 3 * D * F)
    n_chunks, V = S // CHUNK, size + 1  # a column for the sum of the weights
    pairs, linear = n_chunks * CHUNK * CHUNK, 2 * T * weights + HEAD
    reads = (n_chunks - 1) * CHUNK * P * V
    mixing = L * 2 * B * n_heads * (pairs * (size + V) + CHUNK * P * V + 2 * reads)
    # Backward: scores and their gradients, and every product with a state once more for either operand.
    backward = L * 2 * B * n_heads * (pairs * (3 * size + 2 * V) + 4 * reads)
    return {
        "parameters": weights + NORMS + U * D, "forward": linear + mixing, "step": 3 * linear + mixing + backward
    }  # fmt: skip


E_ALL, E_USED = 8, 2


def mixtral() -> dict[str, int]:
    """Every token through two of eight experts; an untied head."""
    attention = 2 * D * D + 2 * D * 2 * K
    expert, router = 3 * D * F, D * E_ALL
    linear = 2 * T * L * (attention + router + E_USED * expert) + HEAD
    parameters = L * (attention + router + E_ALL * expert) + NORMS + 2 * U * D
    return {"parameters": parameters, "forward": linear + 4 * L * B * H * S * S * K}


MODELS: dict[str, Model] = {
    "softmax": Model(
        kept_softmax, SIZES | {"mixer": {"kind": "softmax", "n_heads": H, "positions": "rotary"}}, llm_analysis=LLM
    ),
    "softmax, 2 key-value heads": Model(
        lambda: softmax(2),
        SIZES | {"mixer": {"kind": "softmax", "n_heads": H, "n_kv_heads": 2, "positions": "rotary"}},
        llm_analysis=LLM | {"num_key_value_heads": 2},
    ),
    "softmax, blocks run again": Model(
        checkpointed, SIZES | {"mixer": {"kind": "softmax", "n_heads": H, "positions": "rotary"}}, recompute="blocks"
    ),
    "window": Model(window, SIZES | {"mixer": {"kind": "window", "n_heads": H, "window": WINDOW}}),
    "power-2 in chunks": Model(
        power, SIZES | {"mixer": {"kind": "power", "degree": 2, "head_dim": 8, "chunk": CHUNK}}
    ),
    "Mixtral": Model(
        mixtral,
        huggingface={
            "model_type": "mixtral", "hidden_size": D, "num_hidden_layers": L, "num_attention_heads": H,
            "num_key_value_heads": 2, "intermediate_size": F, "vocab_size": U, "num_local_experts": E_ALL,
            "num_experts_per_tok": E_USED, "tie_word_embeddings": False, "max_position_embeddings": S,
        },
        llm_analysis=LLM | {"num_key_value_heads": 2, "moe_num_experts": E_ALL, "moe_top_k": E_USED},
    ),
}  # fmt: skip
