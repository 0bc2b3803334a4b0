"""An update on a device that is not here: a prediction by the roofline of the cost sheet, never a measurement.

Three times the forward pass (backward does each matrix product twice; FORMULAS section 2), every operator at what the
device achieves of its peaks (`roofline.stated_efficiency`), in bf16, without launches: models of a few hundred thousand
parameters would wait for those most of the time, so it compares settings and says little of one alone.
"""

from __future__ import annotations

from isostate.costs.decoder import decoder_operators
from isostate.costs.hardware_table import find_hardware
from isostate.costs.roofline import stated_efficiency, time_operators
from isostate.costs.sublayer import Run
from isostate.model import ModelConfig

PASSES = 3  # forwards that an update is worth


def predicted_step_s(config: ModelConfig, batch: int, context: int, hardware: str) -> float:
    """Seconds of an update of `batch` sequences on one device of the table."""
    device = find_hardware(hardware)
    operators = decoder_operators(config, Run(batch, context))
    return PASSES * time_operators(operators, device, "bf16", stated_efficiency(device)).seconds
