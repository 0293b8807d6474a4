"""Pure functions of a fitted model: standard errors, tests, intervals, bands."""

from semistruct.inference._adjusted_checks import (
    check_clusters,
    check_share,
    residual_share,
)
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
from semistruct.inference._cox_restricted_mean import cox_restricted_mean_error
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
from semistruct.inference._folds import SplitMedian, cross_folds, median_of_splits
from semistruct.inference._incidence import (
    Incidence,
    cox_incidence,
    fine_gray_incidence,
    incidence_from_hazards,
)
from semistruct.inference._incidence_band import (
    cox_incidence_band,
    fine_gray_band,
    incidence_limits,
)
from semistruct.inference._last_layer import (
    LastLayer,
    RidgeBlock,
    ridge_block,
    split_last_layer,
)
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
from semistruct.inference._partially_linear import (
    PartiallyLinear,
    cross_residuals,
    partially_linear,
)
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
from semistruct.inference._projected import projected_sandwich
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
    "LastLayer",
    "LikelihoodRatioTest",
    "LinearCombination",
    "PartiallyLinear",
    "PitHistogram",
    "PooledEstimate",
    "ProfileInterval",
    "RidgeBlock",
    "RiskRows",
    "SimultaneousBand",
    "SmoothTest",
    "SplitMedian",
    "StratumBaseline",
    "WaldTest",
    "WormPlot",
    "average_comparison",
    "average_slope",
    "check_clusters",
    "check_share",
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
    "cox_restricted_mean_error",
    "cox_sandwich",
    "cox_survival_band",
    "critical_value",
    "cross_folds",
    "cross_residuals",
    "delta_mean",
    "deviance_residuals",
    "dfbeta",
    "dfbetas",
    "fine_gray_band",
    "fine_gray_incidence",
    "incidence_from_hazards",
    "incidence_limits",
    "k_check",
    "likelihood_ratio_test",
    "linear_combination",
    "martingale_residuals",
    "median_of_splits",
    "median_survival",
    "partially_linear",
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
    "projected_sandwich",
    "quantile_residuals",
    "random_effect_test",
    "residual_share",
    "restricted_mean",
    "ridge_block",
    "sandwich",
    "sandwich_chunked",
    "scaled_schoenfeld_residuals",
    "schoenfeld_residuals",
    "score_residuals",
    "score_rows",
    "simultaneous_band",
    "smooth_table",
    "smooth_test",
    "split_last_layer",
    "survival_limits",
    "survival_quantile",
    "wald_test",
    "worm",
]
