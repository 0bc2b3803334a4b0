"""From FLOPs to time, dollars and energy, and back: utilisation is least time over time taken (ERRATA 2).

    utilisation = FLOPs / (devices * peak * seconds)

With the model's FLOPs (recomputation left out) it is MFU, with the hardware's (recomputation counted) HFU
(Chowdhery et al. 2022; Korthikanti et al. 2022).
"""

from __future__ import annotations

from dataclasses import dataclass

from isostate.config import UserError
from isostate.costs.hardware_table import Dtype, Hardware

JOULES_PER_KWH = 3.6e6


def utilisation(step_flops: float, step_s: float, n_devices: int, peak_flops_per_s: float) -> float:
    """MFU or HFU, by the FLOPs that are given: t_min / t_iter."""
    return step_flops / (n_devices * peak_flops_per_s) / step_s


def seconds_at(train_flops: float, n_devices: int, peak_flops_per_s: float, utilised: float) -> float:
    """How long the FLOPs take at that utilisation. Raises UserError for one outside (0, 1]."""
    if not 0 < utilised <= 1:
        raise UserError(
            f"utilisation {utilised}: a share of the peak, above 0 and at most 1; 0.4 is usual for training"
        )
    return train_flops / (n_devices * peak_flops_per_s * utilised)


@dataclass(frozen=True)
class Bill:
    """A computation on `n_devices` for `seconds`. What the hardware table lacks is None."""

    seconds: float
    n_devices: int
    dollars: tuple[float, float] | None  # lowest and highest
    kwh: float | None  # at the devices' full power, times the building's overhead

    @property
    def device_hours(self) -> float:
        return self.n_devices * self.seconds / 3600


def bill(
    seconds: float,
    n_devices: int,
    hardware: Hardware,
    dollars_per_hour: tuple[float, float] | None = None,
    overhead: float = 1.0,
) -> Bill:
    """Price as given, else as in the table; energy at full board power times `overhead` (PUE, 1.1 is usual)."""
    price = dollars_per_hour or hardware.dollars_per_hour
    device_hours = n_devices * seconds / 3600
    dollars = None if price is None else (price[0] * device_hours, price[1] * device_hours)
    kwh = None
    if hardware.power_w is not None:
        kwh = hardware.power_w * n_devices * seconds * overhead / JOULES_PER_KWH
    return Bill(seconds, n_devices, dollars, kwh)


def training_bill(
    train_flops: float,
    n_devices: int,
    hardware: Hardware,
    dtype: Dtype,
    utilised: float,
    dollars_per_hour: tuple[float, float] | None = None,
    overhead: float = 1.0,
) -> Bill:
    """Time, dollars and energy of a training run at a given utilisation of the model's FLOPs (MFU)."""
    seconds = seconds_at(train_flops, n_devices, hardware.peak(dtype), utilised)
    return bill(seconds, n_devices, hardware, dollars_per_hour, overhead)
