"""Measures of predictions that scikit-learn does not have."""

from semistruct.metrics._auc import cumulative_dynamic_auc
from semistruct.metrics._brier import (
    brier_score,
    integrated_brier_score,
    integrated_negative_binomial_log_likelihood,
    negative_binomial_log_likelihood,
)
from semistruct.metrics._calibration import (
    IntegratedCalibration,
    calibration_curve,
    calibration_intercept,
    calibration_slope,
    ici,
)
from semistruct.metrics._censoring import CensoringDistribution
from semistruct.metrics._competing import cause_auc, cause_concordance
from semistruct.metrics._competing_brier import (
    cause_brier_score,
    integrated_cause_brier_score,
)
from semistruct.metrics._competing_calibration import (
    cause_calibration_curve,
    cause_calibration_intercept,
    cause_calibration_slope,
)
from semistruct.metrics._concordance import (
    antolini,
    concordance_index,
    harrell,
    uno,
)
from semistruct.metrics._d_calibration import DCalibration, d_calibration
from semistruct.metrics._decision import RiskStrata, decision_curve, km_strata
from semistruct.metrics._resampling import (
    BootstrapInterval,
    Optimism,
    bootstrap_ci,
    optimism_corrected,
)
from semistruct.metrics._score import Score, ScoreCurve
from semistruct.metrics._scorer import Scorer, scorer

__all__ = [
    "BootstrapInterval",
    "CensoringDistribution",
    "DCalibration",
    "IntegratedCalibration",
    "Optimism",
    "RiskStrata",
    "Score",
    "ScoreCurve",
    "Scorer",
    "antolini",
    "bootstrap_ci",
    "brier_score",
    "calibration_curve",
    "calibration_intercept",
    "calibration_slope",
    "cause_auc",
    "cause_brier_score",
    "cause_calibration_curve",
    "cause_calibration_intercept",
    "cause_calibration_slope",
    "cause_concordance",
    "concordance_index",
    "cumulative_dynamic_auc",
    "d_calibration",
    "decision_curve",
    "harrell",
    "ici",
    "integrated_brier_score",
    "integrated_cause_brier_score",
    "integrated_negative_binomial_log_likelihood",
    "km_strata",
    "negative_binomial_log_likelihood",
    "optimism_corrected",
    "scorer",
    "uno",
]
