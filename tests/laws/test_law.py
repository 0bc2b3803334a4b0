"""Every law in the registry: derivatives are right, batches agree with single evaluations, coordinates invert."""

import numpy as np
import pytest

from isostate.laws import LAWS
from tests.laws.planted import PLANTED


@pytest.mark.parametrize("name", LAWS)
def test_analytic_derivatives_equal_central_differences(name):
    law, case = LAWS[name], PLANTED[name]
    theta = law.internal(np.array([[case.values[key] for key in law.names]]))
    _, jacobian = law.jacobian(theta, case.inputs)
    for k in range(theta.shape[1]):
        step = np.zeros_like(theta)
        step[0, k] = 1e-5 * max(1.0, abs(theta[0, k]))
        up, _ = law.jacobian(theta + step, case.inputs)
        down, _ = law.jacobian(theta - step, case.inputs)
        numeric = (up - down)[0] / (2 * step[0, k])
        np.testing.assert_allclose(jacobian[0, k], numeric, rtol=2e-5, atol=1e-7 * np.abs(jacobian[0]).max())


@pytest.mark.parametrize("name", LAWS)
def test_a_batch_of_parameters_predicts_as_each_alone(name):
    law, case = LAWS[name], PLANTED[name]
    values = np.array([[case.values[key] for key in law.names]]) * np.array([[1.0], [1.05], [0.95]])
    together = law.predict_batch(values, case.inputs)
    for row, prediction in zip(values, together, strict=True):
        np.testing.assert_allclose(law.predict(dict(zip(law.names, row, strict=True)), case.inputs), prediction)


@pytest.mark.parametrize("name", LAWS)
def test_search_coordinates_invert_and_starts_lie_in_the_domain(name):
    law, case = LAWS[name], PLANTED[name]
    values = np.array([[case.values[key] for key in law.names]])
    np.testing.assert_allclose(law.natural(law.internal(values)), values, rtol=1e-12)
    starts = law.natural(law.start_grid())
    for k, parameter in enumerate(law.parameters):
        assert len(parameter.starts) >= 1
        assert np.all(starts[:, k] >= parameter.low - 1e-9)
        assert np.all(starts[:, k] <= parameter.high + 1e-9)


@pytest.mark.parametrize("name", LAWS)
def test_every_law_names_its_source_and_writes_its_equation_with_its_inputs(name):
    law = LAWS[name]
    assert law.source
    assert set(law.linear) <= set(law.names)
    for symbol in law.inputs:
        assert symbol in law.equation
