"""Pure functions of a fitted model: standard errors, tests, intervals, bands."""

from semistruct.inference._compare import (
    FitSummary,
    LikelihoodRatioTest,
    compare_fits,
    corrected_edf,
    likelihood_ratio_test,
)
from semistruct.inference._contrasts import contrasts
from semistruct.inference._cox_curves import (
    CoxBaseline,
    CurveBand,
    StratumBaseline,
    cox_survival_band,
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
from semistruct.inference._cox_rows import CoxRows
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
from semistruct.inference._linear import (
    Band,
    LinearCombination,
    WaldTest,
    coefficient_table,
    linear_combination,
    pointwise_band,
    wald_test,
)
from semistruct.inference._mixture import chi2_mixture_tail
from semistruct.inference._pool import PooledEstimate, pool_estimates
from semistruct.inference._predictive import (
    Interval,
    delta_mean,
    prediction_interval,
    predictive_interval_gaussian,
)
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
    "Interval",
    "KCheck",
    "LikelihoodRatioTest",
    "LinearCombination",
    "PitHistogram",
    "PooledEstimate",
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
    "cox_ph_test",
    "cox_sandwich",
    "cox_survival_band",
    "delta_mean",
    "deviance_residuals",
    "dfbeta",
    "dfbetas",
    "k_check",
    "likelihood_ratio_test",
    "linear_combination",
    "martingale_residuals",
    "median_survival",
    "pit_histogram",
    "pointwise_band",
    "pool_estimates",
    "prediction_interval",
    "predictive_interval_gaussian",
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
    "survival_quantile",
    "wald_test",
    "worm",
]
