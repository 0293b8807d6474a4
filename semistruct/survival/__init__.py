"""What an analyst of survival data asks for beside a model."""

from semistruct.inference._cox_curves import CurveBand
from semistruct.inference._survival_curves import (
    conditional_survival,
    median_survival,
    restricted_mean,
    survival_quantile,
)
from semistruct.survival._curves import (
    CurveEstimate,
    aalen_johansen,
    kaplan_meier,
    nelson_aalen,
    numbers_at_risk,
)
from semistruct.survival._diagnostics import (
    Influence,
    influence,
    ph_test,
    residuals,
    survival_band,
)
from semistruct.survival._log_rank import LogRankTest, log_rank

__all__ = [
    "CurveBand",
    "CurveEstimate",
    "Influence",
    "LogRankTest",
    "aalen_johansen",
    "conditional_survival",
    "influence",
    "kaplan_meier",
    "log_rank",
    "median_survival",
    "nelson_aalen",
    "numbers_at_risk",
    "ph_test",
    "residuals",
    "restricted_mean",
    "survival_band",
    "survival_quantile",
]
