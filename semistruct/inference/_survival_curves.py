"""Summaries of survival curves: quantiles, restricted means, conditional survival.

Letters: n curves, m steps.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from semistruct._core.step import StepFunction
from semistruct._core.validation import check_number
from semistruct.exceptions import DataError

FloatArray = NDArray[np.float64]
_ROUNDING = 1e-9


def median_survival(curve: StepFunction) -> pd.Series:
    """Time at which survival falls to one half, min{t: S(t) <= 1/2}.

    Parameters
    ----------
    curve : StepFunction
        n survival functions.

    Returns
    -------
    Series of length n
        Infinite where the curve stays above one half.

    References
    ----------
    Brookmeyer & Crowley (1982), Biometrics 38, 29-41, doi:10.2307/2530286

    Examples
    --------
    >>> from semistruct import StepFunction
    >>> from semistruct.inference import median_survival
    >>> median_survival(StepFunction([1.0, 2.0], [[0.9, 0.5], [0.9, 0.8]])).tolist()
    [2.0, inf]
    """
    return survival_quantile(curve, 0.5)["0.5"].rename("median")


def survival_quantile(curve: StepFunction, probability: ArrayLike) -> pd.DataFrame:
    """Give the times by which shares p have had the event, min{t: 1 − S(t) >= p}.

    The curve may miss 1 − p by rounding (1e-9). Limits of a quantile follow from those
    of the curve: the quantiles of its lower and upper limits.

    Parameters
    ----------
    curve : StepFunction
        n survival functions.
    probability : float or array-like, in (0, 1)
        p, such as 0.25 for the time by which a quarter has had the event.

    Returns
    -------
    DataFrame of n rows
        A column for each p, named by it; infinite where the curve does not fall so far.

    References
    ----------
    Brookmeyer & Crowley (1982), Biometrics 38, 29-41, doi:10.2307/2530286

    Examples
    --------
    >>> from semistruct import StepFunction
    >>> from semistruct.inference import survival_quantile
    >>> curve = StepFunction([1.0, 2.0], [[0.7, 0.4]])
    >>> survival_quantile(curve, [0.25, 0.5])
       0.25  0.5
    0   1.0  2.0
    """
    asked = np.atleast_1d(np.asarray(probability, dtype=np.float64))
    for p in asked:
        check_number(
            float(p),
            parameter="probability",
            owner="survival_quantile",
            low=0,
            high=1,
            closed="neither",
        )
    times = np.append(curve.times, np.inf)
    found = {}
    for p in asked:
        below = curve.values <= (1.0 - p) + _ROUNDING
        never = ~below.any(axis=1)
        first = below.argmax(axis=1) if below.shape[1] else np.zeros(len(curve), int)
        found[f"{p:g}"] = times[np.where(never, len(curve.times), first)]
    return pd.DataFrame(found, index=curve.index)


def restricted_mean(
    curve: StepFunction, horizon: float, start: float = 0.0
) -> pd.Series:
    """Mean time without the event up to a horizon, ∫ S(t) dt from start to horizon.

    Parameters
    ----------
    curve : StepFunction
        n survival functions.
    horizon : float
        τ, above ``start``; after the last step the curve is taken as constant.
    start : float, default 0
        Where the integral begins.

    Returns
    -------
    Series of length n
        In [0, horizon − start], in the unit of time.

    References
    ----------
    Royston & Parmar (2013), BMC Medical Research Methodology 13, 152,
    doi:10.1186/1471-2288-13-152

    Examples
    --------
    >>> from semistruct import StepFunction
    >>> from semistruct.inference import restricted_mean
    >>> restricted_mean(StepFunction([1.0, 2.0], [[0.5, 0.0]]), 3.0).tolist()
    [1.5]
    """
    owner = "restricted_mean"
    check_number(start, parameter="start", owner=owner)
    check_number(horizon, parameter="horizon", owner=owner, low=start, closed="right")
    inner = (curve.times > start) & (curve.times < horizon)
    edges = np.concatenate([[start], curve.times[inner], [horizon]])
    area = curve(edges[:-1]) @ np.diff(edges)
    return pd.Series(area, index=curve.index, name="restricted mean")


def conditional_survival(curve: StepFunction, given: ArrayLike) -> StepFunction:
    """Survival of those who are without the event at s, S(t | T > s) = S(t) / S(s).

    Parameters
    ----------
    curve : StepFunction
        n survival functions.
    given : float or array-like of shape (n,)
        s, of all or of each curve.

    Returns
    -------
    StepFunction
        1 up to s; times keep their origin.

    Raises
    ------
    DataError
        If a curve is 0 at s.

    References
    ----------
    Zabor, Gonen, Chapman & Panageas (2013), Cancer 119, 3589-3592,
    doi:10.1002/cncr.28273

    Examples
    --------
    >>> from semistruct import StepFunction
    >>> from semistruct.inference import conditional_survival
    >>> curve = StepFunction([1.0, 2.0], [[0.8, 0.4]])
    >>> conditional_survival(curve, 1.0)([1.0, 2.0]).tolist()
    [[1.0, 0.5]]
    """
    n = len(curve)
    since = np.asarray(given, dtype=np.float64)
    if since.shape not in ((), (n,)):
        raise DataError(
            f"conditional_survival: given has shape {since.shape}; it is one time, or "
            f"one for each of {n} curves."
        )
    since = np.broadcast_to(since, (n,))
    bad = np.flatnonzero(~np.isfinite(since))
    if bad.size:
        raise DataError(
            f"conditional_survival: given is {since[bad[0]]} in row {bad[0]}; it must "
            "be finite."
        )
    at = np.searchsorted(curve.times, since, side="right")
    padded = np.hstack([np.full((n, 1), curve.before), curve.values])
    reached = padded[np.arange(n), at]
    bad = np.flatnonzero(~(reached > 0))
    if bad.size:
        raise DataError(
            f"conditional_survival: survival of row {bad[0]} is {reached[bad[0]]:g} at "
            f"{since[bad[0]]:g}, so nobody is left to condition on. Give an earlier "
            "time."
        )
    values = np.where(
        curve.times > since[:, None], curve.values / reached[:, None], 1.0
    )
    return StepFunction(curve.times, values, curve.before, curve.index)
