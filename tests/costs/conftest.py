"""The cost model counts torch's operations, those of any device; a kernel of ours does the same work unseen."""

from __future__ import annotations

import pytest

from isostate.mixers.native import torch_operations


@pytest.fixture(autouse=True)
def _in_torch():
    with torch_operations():
        yield
