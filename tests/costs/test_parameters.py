"""Parameters: every tensor of the built model by its name and shape, none built to know it."""

from __future__ import annotations

import pytest

from isostate.costs.parameters import n_padded, parameter_shapes
from isostate.model import Decoder
from isostate.train import OPTIMIZERS
from tests.costs.configurations import ALL, Case

every_case = pytest.mark.parametrize("case", ALL.values(), ids=ALL)


@every_case
def test_every_parameter_is_named_and_shaped_as_built_and_counted_once(case: Case):
    model = Decoder(case.config)
    built = {name: tuple(parameter.shape) for name, parameter in model.named_parameters()}
    assert parameter_shapes(case.config) == built
    count = case.config.param_count()
    embeddings = ("embedding.weight", "embedding_of_positions_SD", "head.weight")
    in_tables = sum(parameter.numel() for name, parameter in model.named_parameters() if name in embeddings)
    total = sum(parameter.numel() for parameter in model.parameters())
    assert (count.total, count.embedding, count.non_embedding) == (total, in_tables, total - in_tables)


def test_flat_buffers_are_as_large_as_the_optimizers():
    config = ALL["everything, power"].config
    decay = dict(Decoder(config).named_parameters())
    optimizer = OPTIMIZERS["adamw"](decay, {}, betas=(0.9, 0.99), eps=1e-8, weight_decay=0.1)
    live = {tensor.untyped_storage().data_ptr(): tensor.untyped_storage() for tensor in optimizer.tensors().values()}
    assert sum(storage.nbytes() for storage in live.values()) == 2 * 4 * n_padded(config, 16)
