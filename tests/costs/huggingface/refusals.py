"""What reading a malformed config.json says."""

from __future__ import annotations

from typing import Any

import pytest

from isostate.config import UserError
from isostate.costs.huggingface.read import from_huggingface

MISSING = object()


def refusal(values: Any, **changes: Any) -> str:
    """The one line that the file `f` is refused with; a change to MISSING takes the key away."""
    if changes:
        values = {key: value for key, value in (values | changes).items() if value is not MISSING}
    with pytest.raises(UserError) as caught:
        from_huggingface(values, "f")
    assert "\n" not in str(caught.value)
    return str(caught.value)
