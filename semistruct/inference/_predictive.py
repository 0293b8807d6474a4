"""Intervals for the mean and for a new response."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from semistruct._core.validation import check_number
from semistruct.inference._linear import Band, critical_value

FloatArray = NDArray[np.float64]


class Interval(NamedTuple):
    """Lower and upper limits, each of shape (n,)."""

    lower: FloatArray
    upper: FloatArray


def prediction_interval(
    quantile: Callable[[float], ArrayLike], level: float = 0.95
) -> Interval:
    """Equal-tailed interval of a new response, from its quantile function.

    Q((1 − level)/2) to Q((1 + level)/2): the parameters of the distribution are taken
    as known, which is right in large samples only.

    Parameters
    ----------
    quantile : callable
        Probability in (0, 1) to quantiles (n,) of the rows.
    level : float in (0, 1), default 0.95
        Probability between the limits, or more for a discrete response.

    Returns
    -------
    Interval

    Examples
    --------
    >>> from scipy import stats
    >>> from semistruct.inference import prediction_interval
    >>> found = prediction_interval(stats.poisson([2.0, 50.0]).ppf)
    >>> found.lower, found.upper
    (array([ 0., 37.]), array([ 5., 64.]))
    """
    check_number(
        level,
        parameter="level",
        owner="prediction_interval",
        low=0.0,
        high=1.0,
        closed="neither",
    )
    lower = np.asarray(quantile((1.0 - level) / 2.0), dtype=np.float64)
    upper = np.asarray(quantile((1.0 + level) / 2.0), dtype=np.float64)
    return Interval(lower, upper)


def predictive_interval_gaussian(
    mean: ArrayLike,
    std_error: ArrayLike,
    sigma: ArrayLike,
    level: float = 0.95,
    df_residual: float | None = None,
) -> Interval:
    """Interval of a new gaussian response that counts the uncertainty of its mean.

    mean ± q √(σ² + se²), q of the normal or of t.

    Parameters
    ----------
    mean, std_error : array-like of shape (n,)
        Estimated mean and its standard error.
    sigma : array-like of shape (n,) or float
        Standard deviation of the response.
    level : float in (0, 1), default 0.95
    df_residual : float, optional
        Degrees of freedom of an estimated σ: exact for a linear model.

    Returns
    -------
    Interval

    Examples
    --------
    >>> from semistruct.inference import predictive_interval_gaussian
    >>> predictive_interval_gaussian([0.0], [3.0], 4.0).upper.round(2)
    array([9.8])
    """
    critical = critical_value(level, df_residual, "predictive_interval_gaussian")
    centre = np.asarray(mean, dtype=np.float64)
    deviation = np.hypot(np.asarray(std_error, np.float64), np.asarray(sigma))
    return Interval(centre - critical * deviation, centre + critical * deviation)


def delta_mean(
    eta: ArrayLike,
    std_error: ArrayLike,
    inverse: Callable[[FloatArray], ArrayLike],
    derivative: Callable[[FloatArray], ArrayLike],
    level: float = 0.95,
    df_residual: float | None = None,
) -> Band:
    """Carry linear predictors with their standard errors to the scale of the response.

    The standard error is |g'(η)| se (delta method); the limits are g at the limits of
    η, so that they stay in the range of the response and keep their coverage.

    Parameters
    ----------
    eta, std_error : array-like of shape (n,)
    inverse : callable
        Inverse link g, monotone.
    derivative : callable
        g'.
    level : float in (0, 1), default 0.95
    df_residual : float, optional
        Use t with these degrees of freedom instead of the normal.

    Returns
    -------
    Band

    Examples
    --------
    >>> import numpy as np
    >>> from semistruct.inference import delta_mean
    >>> band = delta_mean([0.0], [0.1], np.exp, np.exp)
    >>> band.std_error, band.upper.round(3)
    (array([0.1]), array([1.217]))
    """
    centre = np.asarray(eta, dtype=np.float64)
    error = np.asarray(std_error, dtype=np.float64)
    half = critical_value(level, df_residual, "delta_mean") * error
    estimate = np.asarray(inverse(centre), dtype=np.float64)
    ends = np.asarray(inverse(centre - half)), np.asarray(inverse(centre + half))
    slope = np.abs(np.asarray(derivative(centre), dtype=np.float64))
    return Band(estimate, slope * error, np.minimum(*ends), np.maximum(*ends))
