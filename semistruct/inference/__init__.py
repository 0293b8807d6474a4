"""Pure functions of a fitted model: standard errors, tests, intervals, bands."""

from semistruct.inference._compare import (
    FitSummary,
    LikelihoodRatioTest,
    compare_fits,
    corrected_edf,
    likelihood_ratio_test,
)
from semistruct.inference._contrasts import contrasts
from semistruct.inference._cox_baseline import CoxBaseline, StratumBaseline
from semistruct.inference._cox_covariance import cox_covariance
from semistruct.inference._cox_curves import (
    CurveBand,
    cox_survival_band,
    survival_limits,
)
from semistruct.inference._cox_ph import cox_ph_test
from semistruct.inference._cox_residuals import (
    EventResiduals,
    cox_sandwich,
    deviance_residuals,
    dfbeta,
    dfbetas,
    martingale_residuals,
    scaled_schoenfeld_residuals,
    schoenfeld_residuals,
    score_residuals,
)
from semistruct.inference._cox_rows import CoxRows, RiskRows
from semistruct.inference._diagnostics import (
    KCheck,
    PitHistogram,
    WormPlot,
    concurvity,
    k_check,
    pit_histogram,
    quantile_residuals,
    worm,
)
from semistruct.inference._effects import (
    AverageEffect,
    average_comparison,
    average_slope,
)
from semistruct.inference._incidence import (
    Incidence,
    cox_incidence,
    fine_gray_incidence,
    incidence_from_hazards,
)
from semistruct.inference._incidence_band import cox_incidence_band, fine_gray_band
from semistruct.inference._linear import (
    Band,
    LinearCombination,
    WaldTest,
    coefficient_table,
    critical_value,
    linear_combination,
    pointwise_band,
    wald_test,
)
from semistruct.inference._mixture import chi2_mixture_tail
from semistruct.inference._piecewise import (
    piecewise_cumulative_hazard,
    piecewise_cumulative_hazard_error,
    piecewise_cumulative_incidence,
    piecewise_survival,
)
from semistruct.inference._pool import PooledEstimate, pool_estimates
from semistruct.inference._predictive import (
    Interval,
    delta_mean,
    prediction_interval,
    predictive_interval_gaussian,
)
from semistruct.inference._profile import ProfileInterval, profile_interval
from semistruct.inference._random_effect import random_effect_test
from semistruct.inference._sandwich import sandwich, sandwich_chunked, score_rows
from semistruct.inference._simultaneous import SimultaneousBand, simultaneous_band
from semistruct.inference._smooth import SmoothTest, smooth_test
from semistruct.inference._smooth_table import smooth_table
from semistruct.inference._survival_curves import (
    conditional_survival,
    median_survival,
    restricted_mean,
    survival_quantile,
)

__all__ = [
    "AverageEffect",
    "Band",
    "CoxBaseline",
    "CoxRows",
    "CurveBand",
    "EventResiduals",
    "FitSummary",
    "Incidence",
    "Interval",
    "KCheck",
    "LikelihoodRatioTest",
    "LinearCombination",
    "PitHistogram",
    "PooledEstimate",
    "ProfileInterval",
    "RiskRows",
    "SimultaneousBand",
    "SmoothTest",
    "StratumBaseline",
    "WaldTest",
    "WormPlot",
    "average_comparison",
    "average_slope",
    "chi2_mixture_tail",
    "coefficient_table",
    "compare_fits",
    "concurvity",
    "conditional_survival",
    "contrasts",
    "corrected_edf",
    "cox_covariance",
    "cox_incidence",
    "cox_incidence_band",
    "cox_ph_test",
    "cox_sandwich",
    "cox_survival_band",
    "critical_value",
    "delta_mean",
    "deviance_residuals",
    "dfbeta",
    "dfbetas",
    "fine_gray_band",
    "fine_gray_incidence",
    "incidence_from_hazards",
    "k_check",
    "likelihood_ratio_test",
    "linear_combination",
    "martingale_residuals",
    "median_survival",
    "piecewise_cumulative_hazard",
    "piecewise_cumulative_hazard_error",
    "piecewise_cumulative_incidence",
    "piecewise_survival",
    "pit_histogram",
    "pointwise_band",
    "pool_estimates",
    "prediction_interval",
    "predictive_interval_gaussian",
    "profile_interval",
    "quantile_residuals",
    "random_effect_test",
    "restricted_mean",
    "sandwich",
    "sandwich_chunked",
    "scaled_schoenfeld_residuals",
    "schoenfeld_residuals",
    "score_residuals",
    "score_rows",
    "simultaneous_band",
    "smooth_table",
    "smooth_test",
    "survival_limits",
    "survival_quantile",
    "wald_test",
    "worm",
]
