"""Tables to fitted laws: free of torch, of models and of training; any table of losses can be fitted."""

from isostate.laws.law import Law, Parameter
from isostate.laws.power import COMPUTE, CONTEXT, PARAMS, STATE, TOKENS
from isostate.laws.result import Curve, Fit, HoldOut, Interval
from isostate.laws.single import fit_power, fit_state

LAWS: dict[str, Law] = {law.name: law for law in (STATE, PARAMS, TOKENS, COMPUTE, CONTEXT)}

__all__ = ["LAWS", "Curve", "Fit", "HoldOut", "Interval", "Law", "Parameter", "fit_power", "fit_state"]
