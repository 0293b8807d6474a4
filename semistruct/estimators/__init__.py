"""The scikit-learn façade, and questions to what it fitted."""

from semistruct.estimators import analysis, heads, systems
from semistruct.estimators._classifier import SemiStructuredClassifier
from semistruct.estimators._compare import compare, pool
from semistruct.estimators._gam import GAM
from semistruct.estimators._inference import Bootstrap, CrossFit
from semistruct.estimators._late_fusion import LateFusion
from semistruct.estimators._modality_comparison import (
    CorrectedTest,
    compare_modalities,
    corrected_resampled_ttest,
)
from semistruct.estimators._modality_report import ModalityComparison
from semistruct.estimators._regressor import SemiStructuredRegressor
from semistruct.estimators._state import load
from semistruct.estimators._summary import Summary
from semistruct.estimators._survival import SemiStructuredSurvival
from semistruct.estimators._wide_deep import WideDeepClassifier, WideDeepRegressor

__all__ = [
    "GAM",
    "Bootstrap",
    "CorrectedTest",
    "CrossFit",
    "LateFusion",
    "ModalityComparison",
    "SemiStructuredClassifier",
    "SemiStructuredRegressor",
    "SemiStructuredSurvival",
    "Summary",
    "WideDeepClassifier",
    "WideDeepRegressor",
    "analysis",
    "compare",
    "compare_modalities",
    "corrected_resampled_ttest",
    "heads",
    "load",
    "pool",
    "systems",
]
