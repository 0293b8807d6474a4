"""The scikit-learn façade, and questions to what it fitted."""

from semistruct.estimators import analysis
from semistruct.estimators._classifier import SemiStructuredClassifier
from semistruct.estimators._compare import compare, pool
from semistruct.estimators._gam import GAM
from semistruct.estimators._regressor import SemiStructuredRegressor
from semistruct.estimators._state import load
from semistruct.estimators._summary import Summary
from semistruct.estimators._survival import SemiStructuredSurvival

__all__ = [
    "GAM",
    "SemiStructuredClassifier",
    "SemiStructuredRegressor",
    "SemiStructuredSurvival",
    "Summary",
    "analysis",
    "compare",
    "load",
    "pool",
]
