"""Tables to fitted laws: free of torch, of models and of training; any table of losses can be fitted."""

from isostate.laws.batch import CRITICAL_BATCH, NOISE_SCALE, STEP_LAW_BATCH, STEP_LAW_LR
from isostate.laws.chinchilla import CHINCHILLA
from isostate.laws.compare import Comparison, compare
from isostate.laws.farseer import FARSEER
from isostate.laws.fit import fit_law
from isostate.laws.frontier import FRONTIER
from isostate.laws.joint import KAPLAN_STEPS, STATE_ALL, STATE_CONTEXT, STATE_PARAMS
from isostate.laws.kaplan import KAPLAN
from isostate.laws.law import Law, Parameter
from isostate.laws.objectives import OBJECTIVES
from isostate.laws.options import Options
from isostate.laws.overtraining import DOWNSTREAM, OVERTRAINING
from isostate.laws.power import COMPUTE, CONTEXT, PARAMS, STATE, TOKENS
from isostate.laws.precision import PRECISION
from isostate.laws.repetition import REPETITION
from isostate.laws.result import Curve, Fit, HoldOut, Interval, ParameterProfile
from isostate.laws.routed import FINE_GRAINED, ROUTED
from isostate.laws.single import fit_power, fit_state

LAWS: dict[str, Law] = {
    law.name: law
    for law in (
        *(STATE, PARAMS, TOKENS, COMPUTE, CONTEXT),
        *(STATE_PARAMS, STATE_CONTEXT, STATE_ALL),
        *(CHINCHILLA, KAPLAN, KAPLAN_STEPS, FARSEER, FRONTIER),
        *(REPETITION, OVERTRAINING, DOWNSTREAM),
        *(ROUTED, FINE_GRAINED, PRECISION),
        *(CRITICAL_BATCH, NOISE_SCALE, STEP_LAW_LR, STEP_LAW_BATCH),
    )
}

__all__ = [
    "LAWS",
    "OBJECTIVES",
    "Comparison",
    "Curve",
    "Fit",
    "HoldOut",
    "Interval",
    "Law",
    "Options",
    "Parameter",
    "ParameterProfile",
    "compare",
    "fit_law",
    "fit_power",
    "fit_state",
]
