"""The scikit-learn façade, and questions to what it fitted."""

from semistruct.estimators import analysis, heads
from semistruct.estimators._classifier import SemiStructuredClassifier
from semistruct.estimators._compare import compare, pool
from semistruct.estimators._gam import GAM
from semistruct.estimators._inference import Bootstrap, CrossFit
from semistruct.estimators._late_fusion import LateFusion
from semistruct.estimators._regressor import SemiStructuredRegressor
from semistruct.estimators._state import load
from semistruct.estimators._summary import Summary
from semistruct.estimators._survival import SemiStructuredSurvival
from semistruct.estimators._wide_deep import WideDeepClassifier, WideDeepRegressor

__all__ = [
    "GAM",
    "Bootstrap",
    "CrossFit",
    "LateFusion",
    "SemiStructuredClassifier",
    "SemiStructuredRegressor",
    "SemiStructuredSurvival",
    "Summary",
    "WideDeepClassifier",
    "WideDeepRegressor",
    "analysis",
    "compare",
    "heads",
    "load",
    "pool",
]
