"""Survival models with options, for ``SemiStructuredSurvival(head=…)``."""

from semistruct.estimators._discrete import Discrete
from semistruct.estimators._fine_gray import FineGray
from semistruct.estimators._pamm import PAMM
from semistruct.estimators._survival_model import SurvivalModel

__all__ = ["PAMM", "Discrete", "FineGray", "SurvivalModel"]
