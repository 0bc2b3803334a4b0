"""Options that cannot be are told in one line before anything is computed."""

import numpy as np
import pytest

from isostate.config import UserError
from isostate.laws import LAWS, fit_law
from tests.laws.planted import PLANTED

LAW, CASE = LAWS["chinchilla"], PLANTED["chinchilla"]
ONES = np.ones(36)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"objective": "hubber"}, 'did you mean "huber"'),
        ({"resampling": "clusters"}, 'did you mean "cluster"'),
        ({"noise": "log-variance"}, "there are equal, log-variance-in-compute"),
        ({"level": 95.0}, "not between 0 and 1"),
        ({"bootstrap": -1}, "bootstrap -1 is negative"),
        ({"weights": ONES[:5]}, "the table 36 points"),
        ({"weights": -ONES}, "weights, row 1: -1 cannot be"),
        ({"weights": 0 * ONES}, "no point is left"),
        ({"standard_errors": 0 * ONES}, "standard_errors, row 1: 0 cannot be"),
        ({"standard_errors": np.nan * ONES}, "standard_errors, row 1: nan cannot be"),
        ({"clusters": np.arange(5)}, "clusters has shape"),
        ({"weights": ONES, "standard_errors": ONES}, "both given"),
        ({"weights": ONES, "noise": "log-variance-in-compute"}, "leave weights and standard errors out"),
    ],
)
def test_each_mistake_is_one_line(options, message):
    observed = LAW.predict(CASE.values, CASE.inputs)
    with pytest.raises(UserError, match=message) as error:
        fit_law(LAW, CASE.inputs, observed, **options)
    assert "\n" not in str(error.value)
