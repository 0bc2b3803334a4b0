"""The notes on training memory and FLOPs, against a GPT block whose saved tensors and matmuls torch itself counts."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.autograd.graph import saved_tensors_hooks
from torch.nn.functional import dropout, gelu, layer_norm, relu, softmax
from torch.utils.checkpoint import checkpoint

from isostate.costs.counting import matmul_flops, peak_allocated_bytes

BATCH, CONTEXT, WIDTH, HEADS = 2, 48, 64, 4
GIB = 2**30
SIZES = [(torch.float32, 4), (torch.bfloat16, 2)]
by_size = pytest.mark.parametrize("dtype, p", SIZES, ids=["p=4", "p=2"])


def saved_bytes(given, work) -> tuple[int, Tensor]:
    """Bytes of every storage kept for the backward, each once, without `given` and the norms' statistics."""
    known = {tensor.untyped_storage().data_ptr() for tensor in given}
    kept = {}

    def keep(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        statistic = tensor.ndim == 3 and tensor.shape[-1] == 1
        if storage.data_ptr() not in known and not statistic:
            kept[storage.data_ptr()] = storage  # held, so that no address comes twice
        return tensor

    with saved_tensors_hooks(keep, lambda tensor: tensor):
        result = work()
    return sum(storage.nbytes() for storage in kept.values()), result


class Block(nn.Module):
    """GPT-2's, with materialised scores, and dropout whose masks are of one byte (native_dropout, as on a GPU)."""

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.rate = rate
        self.linears = nn.ModuleList(
            nn.Linear(i, o, bias=False) for i, o in [(WIDTH, WIDTH)] * 4 + [(WIDTH, 4 * WIDTH), (4 * WIDTH, WIDTH)]
        )

    def drop(self, x: Tensor) -> Tensor:
        return torch.native_dropout(x, self.rate, True)[0] if self.rate else x

    def attend(self, x_BTD: Tensor) -> Tensor:
        heads = (BATCH, CONTEXT, HEADS, WIDTH // HEADS)
        q, k, v = (linear(x_BTD).view(heads).transpose(1, 2) for linear in self.linears[:3])
        weights_BHTS = self.drop(softmax(q @ k.mT / heads[-1] ** 0.5, -1))
        return self.linears[3]((weights_BHTS @ v).transpose(1, 2).reshape(BATCH, CONTEXT, WIDTH))

    def forward(self, z_BTD: Tensor) -> Tensor:
        z_BTD = z_BTD + self.drop(self.attend(layer_norm(z_BTD, (WIDTH,))))
        return z_BTD + self.drop(self.linears[5](gelu(self.linears[4](layer_norm(z_BTD, (WIDTH,))))))


def stack_saves(n_layers: int, dtype: torch.dtype) -> int:
    blocks = nn.Sequential(*[Block(0.1) for _ in range(n_layers)]).to(dtype)
    z_BTD = torch.randn(BATCH, CONTEXT, WIDTH, dtype=dtype, requires_grad=True)
    return saved_bytes(list(blocks.parameters()), lambda: blocks(z_BTD))[0]


@by_size
def test_saved_activations_are_66_bsd_and_9_abs2_in_fp32_and_not_the_notes_15(dtype, p):
    tokens, scores = BATCH * CONTEXT * WIDTH, HEADS * BATCH * CONTEXT**2
    formula = 2 * tokens * (p * (4 + 4) + 1) + scores * (2 * p + 1)
    assert formula == {4: 66 * tokens + 9 * scores, 2: 34 * tokens + 5 * scores}[p]
    assert stack_saves(1, dtype) == formula
    if p == 4:
        assert formula != 66 * tokens + 15 * scores


@by_size
def test_the_total_activation_formula_holds_all_layers_and_is_none_of_one(dtype, p):
    one, three = (stack_saves(n_layers, dtype) for n_layers in (1, 3))
    assert three == 3 * one  # "per-layer", says the text above eq. 52, whose formula holds L


@by_size
def test_a_score_keeps_its_softmax_and_with_dropout_a_mask_and_what_was_dropped(dtype, p):
    # 2p + 1 bytes with dropout (5 at p = 2) and p without: "2p -> p" holds without it alone, and then without the 1.
    def of_one_score(drop) -> float:
        scores = torch.randn(HEADS, CONTEXT, CONTEXT, dtype=dtype, requires_grad=True)
        values = torch.randn(HEADS, CONTEXT, 8, dtype=dtype, requires_grad=True)
        return saved_bytes([values], lambda: drop(softmax(scores, -1)) @ values)[0] / scores.numel()

    assert of_one_score(lambda x: torch.native_dropout(x, 0.1, True)[0]) == 2 * p + 1 != p + 1  # the notes'
    assert of_one_score(lambda x: x) == p
    assert of_one_score(lambda x: dropout(x, 0.1)) == 3 * p  # on the CPU the mask is of the tensor's own type


def test_gelu_keeps_its_input_alone_and_relu_its_output():
    x = torch.randn(100, requires_grad=True)
    saved, y = saved_bytes([], lambda: gelu(x))
    assert saved == x.nbytes != x.nbytes + y.nbytes  # "both the inputs and outputs must be used"
    (grad,) = torch.autograd.grad(y.sum(), x)
    normal = torch.distributions.Normal(0, 1)
    want = normal.cdf(x) + x * normal.log_prob(x).exp()  # of the input alone
    assert (grad - want).abs().max() < 1e-6
    assert saved_bytes([x], lambda: gelu(x))[0] == 0
    assert saved_bytes([x], lambda: relu(x))[0] == x.nbytes


@pytest.mark.parametrize("trained, ratio", [(True, 3.0), (False, 17 / 6)], ids=["embedding trained", "inputs given"])
def test_the_first_layer_skips_no_gradient_when_the_embedding_is_trained(trained, ratio):
    # Footnote 45 takes 2 D I J off the backward for the first layer; with an embedding its output needs the gradient.
    layers = nn.Sequential(*[nn.Linear(WIDTH, WIDTH, bias=False) for _ in range(6)])
    table = nn.Embedding(10, WIDTH).requires_grad_(trained)
    ids = torch.arange(10)
    forward = matmul_flops(lambda: layers(table(ids)))
    assert forward == 6 * 2 * 10 * WIDTH**2
    assert matmul_flops(lambda: layers(table(ids)).sum().backward()) / forward == ratio


@pytest.mark.parametrize("grad_dtype, a_parameter", [(torch.float32, 18), (torch.bfloat16, 16)], ids=["fp32", "bf16"])
def test_mixed_precision_holds_18_bytes_a_parameter_or_16_as_zero_counts(grad_dtype, a_parameter):
    # The notes always count 4 bytes of gradient; ZeRO (Rajbhandari et al. 2020, section 3.1) counts 16-bit ones.
    model = nn.Linear(WIDTH, WIDTH, bias=False).bfloat16()
    masters = [parameter.detach().float().requires_grad_() for parameter in model.parameters()]
    optimizer = torch.optim.AdamW(masters)
    model(torch.ones(3, WIDTH, dtype=torch.bfloat16)).sum().backward()
    grads = [parameter.grad.to(grad_dtype) for parameter in model.parameters()]
    for master, grad in zip(masters, grads, strict=True):
        master.grad = grad.float()
    optimizer.step()
    moments = [value for state in optimizer.state.values() for value in state.values() if value.ndim]
    held = sum(tensor.nbytes for tensor in [*model.parameters(), *masters, *moments, *grads])
    assert held == a_parameter * WIDTH**2
    plain = sum(tensor.nbytes for tensor in [*masters, *moments, *[master.grad for master in masters]])
    assert plain == (4 + 8 + 4) * WIDTH**2  # without mixed precision


@pytest.mark.parametrize("scores_at_p_4, agrees", [(9, True), (15, False)], ids=["right", "the notes'"])
def test_mixed_precision_breaks_even_at_the_notes_own_batch_only_with_9(scores_at_p_4, agrees):
    # Eq. 54, 6 D^2 / (8 D S + A S^2), is where 14 bytes a parameter with 34 BSD + 5 ABS^2 overtake 12 with eq. 53's.
    width, heads, context = 4096, 32, 2048

    def saves(batch: float) -> float:
        fixed = (12 - 14) * 12 * width**2
        return fixed + batch * context * ((66 - 34) * width + (scores_at_p_4 - 5) * heads * context)

    eq_54 = 6 * width**2 / (8 * width * context + heads * context**2)
    assert (abs(saves(eq_54)) < 1e-6) == agrees
    assert saves(0.9 * eq_54) < saves(1.1 * eq_54)


# Korthikanti et al. 2022, figure 1: layers, width, heads, micro-batch, stages, layers' activations on the first stage
# over all layers (interleaved: 1 + (P - 1) / (P chunks)), and the GiB of the figure.
FIGURE_1 = {
    "22B": (48, 6144, 64, 4, 1, 1.0, (45.5625, 59.25, 9.5625)),
    "175B": (96, 12288, 96, 1, 8, 1 + 7 / (8 * 3), (45.5625, 66.84375, 12.3515625)),
}


@pytest.mark.parametrize("size", FIGURE_1)
def test_korthikantis_figure_1_counts_18_bytes_a_parameter_and_drops_the_scores_alone(size):
    n_layers, width, heads, batch, pipeline, in_flight, (parameters, activations, selective) = FIGURE_1[size]
    ranks, context, sbh = 8, 2048, 2048 * batch * width
    fixed = 18 * 12 * n_layers * width**2 / (ranks * pipeline)
    assert fixed / GIB == parameters
    assert 16 / 18 * fixed / GIB != parameters  # ZeRO's count
    kept = n_layers * sbh * in_flight
    scores = 5 * heads * context / width
    assert kept * (10 + 24 / ranks + scores / ranks) / GIB == pytest.approx(activations, rel=1e-12)
    assert kept * 34 / ranks / GIB == pytest.approx(selective, rel=1e-12)
    assert kept * (34 + scores) / ranks / GIB != pytest.approx(selective, rel=0.1)
    assert kept * 2 / GIB < selective  # full recomputation keeps 2sbh a layer, the block's input


@pytest.mark.parametrize("reentrant, share", [(True, 1 / 3), (False, 1 / 6)], ids=["reentrant", "non-reentrant"])
def test_selective_recomputation_adds_a_third_of_attention_and_not_the_whole_of_it(reentrant, share):
    # Korthikanti's hardware FLOPs have s / 3h beside the model's s / 6h: the whole attention, 12 B S^2 D, once more.
    # What runs again is its forward, 4 B S^2 D; non-reentrant, torch skips the last product, which nothing reads.
    q, k, v = (torch.randn(HEADS, CONTEXT, 16, requires_grad=True) for _ in range(3))

    def attention(q, k, v) -> Tensor:
        return softmax(q @ k.mT, -1) @ v

    plain = matmul_flops(lambda: attention(q, k, v).sum().backward())
    again = matmul_flops(lambda: checkpoint(attention, q, k, v, use_reentrant=reentrant).sum().backward())
    assert plain == 3 * 2 * 2 * HEADS * CONTEXT**2 * 16
    assert again / plain == pytest.approx(1 + share, rel=1e-12)
    assert again != 2 * plain


def test_without_a_cache_one_layers_keys_and_values_live_at_a_time_and_not_all_layers():
    # "We still need to use the exact same amount of memory as the KV cache requires": that grows with the layers.
    def peak(n_layers: int) -> int:
        blocks, z_BTD = nn.Sequential(*[Block(0.0) for _ in range(n_layers)]), torch.zeros(BATCH, CONTEXT, WIDTH)
        with torch.inference_mode():
            return peak_allocated_bytes(lambda: blocks(z_BTD))

    assert peak(2) == peak(12) > 2 * BATCH * CONTEXT * WIDTH * 4
