"""Questions to fitted models: comparison, pooling, contrasts, effects, diagnostics."""

from semistruct.estimators._compare import compare, contrasts, pool
from semistruct.estimators._diagnose import (
    concurvity,
    k_check,
    pit_histogram,
    quantile_residuals,
    worm,
)
from semistruct.estimators._effects import average_comparison, average_slope
from semistruct.estimators._robust import robust_covariance
from semistruct.estimators._row_contrasts import row_contrasts

__all__ = [
    "average_comparison",
    "average_slope",
    "compare",
    "concurvity",
    "contrasts",
    "k_check",
    "pit_histogram",
    "pool",
    "quantile_residuals",
    "robust_covariance",
    "row_contrasts",
    "worm",
]
