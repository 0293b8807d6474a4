"""Calibration of predicted cumulative incidence at a time."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from semistruct._core.aalen_johansen import incidence_of_counts
from semistruct._core.surv import Surv
from semistruct._core.validation import check_number
from semistruct.exceptions import DataError

from ._calibration import cloglog, pseudo_fit
from ._checks import (
    check_times,
    no_weights,
    of_cause,
    probabilities_at,
    quantile_groups,
)
from ._kaplan_meier import kaplan_meier
from ._score import Score, normal_quantile

__all__ = [
    "cause_calibration_curve",
    "cause_calibration_intercept",
    "cause_calibration_slope",
    "incidence_pseudo_values",
]


def cause_calibration_curve(
    y: Any,
    incidence: Any,
    time: float,
    *,
    cause: Any,
    bins: int = 10,
    level: float = 0.95,
) -> pd.DataFrame:
    """Mean predicted and observed incidence of a cause in groups of predicted risk.

    Observed is Aalen and Johansen's cumulative incidence at the time.

    Parameters
    ----------
    y : Surv with ``cause``
        Times, events and causes of n rows.
    incidence : StepFunction of n rows, or array-like of shape (n,)
        Predicted cumulative incidence of the cause (at the time).
    time : float
        Time t, before the end of the follow-up.
    cause : label
        The cause of interest, one of ``y.causes``.
    bins : int, default=10
        Groups of about equal size, by quantiles; tied predictions stay together.
    level : float, default=0.95
        Coverage of intervals that are symmetric in log(−log F).

    Returns
    -------
    DataFrame
        Columns predicted, observed, lower, upper, n, events (of the cause, up to t);
        NaN is observed where nobody of a group was followed up to t.

    Raises
    ------
    TargetError
        If ``y`` has no causes, or no event of this one.
    DataError
        If the time lies beyond the horizon, or the lengths differ.

    References
    ----------
    van Geloven et al. (2022), BMJ 377, e069249, doi:10.1136/bmj-2021-069249

    Examples
    --------
    >>> import semistruct as ss
    >>> y = ss.Surv([1.0, 2.0, 3.0, 4.0], [1, 1, 1, 0], cause=["a", "b", "a", ""])
    >>> curve = ss.metrics.cause_calibration_curve(
    ...     y, [0.6, 0.2, 0.5, 0.1], 3.0, cause="a", bins=2
    ... )
    >>> curve[["predicted", "observed", "events"]].round(3).to_numpy().tolist()
    [[0.15, 0.0, 0.0], [0.55, 1.0, 2.0]]
    """
    y, owner = Surv.coerce(y), "cause_calibration_curve()"
    check_number(bins, parameter="bins", owner=owner, low=1, high=1e6, integer=True)
    z = normal_quantile(level, owner)
    own, risk = _checked(y, incidence, time, cause, owner)
    group = quantile_groups(risk, bins)[0]
    rows = []
    for g in np.unique(group):
        mine = group == g
        f, error, known = _observed(y.time[mine], y.event[mine], own[mine], time)
        low, high = f, f
        if 0 < f < 1:
            factor = np.exp(z * error / (f * -np.log(f)))
            low, high = f**factor, f ** (1 / factor)
        values = (f, low, high) if known else (np.nan,) * 3
        seen = int(np.sum(own[mine] & (y.time[mine] <= time)))
        rows.append((risk[mine].mean(), *values, int(mine.sum()), seen))
    names = ["predicted", "observed", "lower", "upper", "n", "events"]
    return pd.DataFrame(rows, columns=names)


def cause_calibration_slope(
    y: Any, incidence: Any, time: float, *, cause: Any
) -> Score:
    """Calibration slope of a cause's incidence: 1 is right, below 1 too extreme.

    b of F(t) = 1 − exp(−exp(a + b log(−log(1 − p)))), p the predicted incidence at t,
    by least squares on jackknife pseudo-values of Aalen and Johansen's estimate, with
    the robust standard error.

    Parameters
    ----------
    y : Surv with ``cause``
        Times, events and causes of n rows.
    incidence : StepFunction of n rows, or array-like of shape (n,)
        Predicted cumulative incidence of the cause (at the time).
    time : float
        Time t, before the end of the follow-up.
    cause : label
        The cause of interest, one of ``y.causes``.

    Returns
    -------
    Score
        Slope b.

    Raises
    ------
    TargetError
        If ``y`` has no causes, or no event of this one.
    DataError
        If all predictions are equal, the time lies beyond the horizon, or the fit
        fails.

    References
    ----------
    van Geloven et al. (2022), BMJ 377, e069249, doi:10.1136/bmj-2021-069249; Klein &
    Andersen (2005), Biometrics 61, 223-229, doi:10.1111/j.0006-341X.2005.031209.x

    Examples
    --------
    >>> import numpy as np, semistruct as ss
    >>> time = np.arange(1.0, 41.0)
    >>> y = ss.Surv(time, time % 4 > 0, cause=np.where(time % 3 > 0, "a", "b"))
    >>> risk = 0.6 - 0.01 * time
    >>> ss.metrics.cause_calibration_slope(y, risk, 30, cause="a")
    Score(calibration slope = 1.7947, se = 0.7743)
    """
    y, owner = Surv.coerce(y), "cause_calibration_slope()"
    own, risk = _checked(y, incidence, time, cause, owner)
    x = cloglog(risk)
    if np.ptp(x) <= 1e-12 * max(1.0, np.abs(x).max()):
        raise DataError(f"{owner}: all predictions are equal, so there is no slope.")
    design = np.column_stack([np.ones(len(x)), x])
    target = incidence_pseudo_values(y.time, y.event, own, float(time))
    coef, influence = pseudo_fit(target, time, design, np.zeros(len(x)), owner)
    return Score("calibration slope", float(coef[1]), influence[:, 1])


def cause_calibration_intercept(
    y: Any, incidence: Any, time: float, *, cause: Any
) -> Score:
    """Calibration in the large of a cause's incidence: 0 is right, above 0 too low.

    As `cause_calibration_slope`, with b = 1: a is the log of the ratio of the observed
    to the predicted cumulative subdistribution hazard.

    Parameters
    ----------
    y : Surv with ``cause``
        Times, events and causes of n rows.
    incidence : StepFunction of n rows, or array-like of shape (n,)
        Predicted cumulative incidence of the cause (at the time).
    time : float
        Time t, before the end of the follow-up.
    cause : label
        The cause of interest, one of ``y.causes``.

    Returns
    -------
    Score
        Intercept a.

    Raises
    ------
    TargetError, DataError
        As `cause_calibration_slope`.

    References
    ----------
    van Geloven et al. (2022), BMJ 377, e069249, doi:10.1136/bmj-2021-069249

    Examples
    --------
    >>> import numpy as np, semistruct as ss
    >>> time = np.arange(1.0, 41.0)
    >>> y = ss.Surv(time, time % 4 > 0, cause=np.where(time % 3 > 0, "a", "b"))
    >>> risk = 0.6 - 0.01 * time
    >>> ss.metrics.cause_calibration_intercept(y, risk, 30, cause="a")
    Score(calibration intercept = 0.1765, se = 0.2484)
    """
    y, owner = Surv.coerce(y), "cause_calibration_intercept()"
    own, risk = _checked(y, incidence, time, cause, owner)
    x = cloglog(risk)
    target = incidence_pseudo_values(y.time, y.event, own, float(time))
    coef, influence = pseudo_fit(target, time, np.ones((len(x), 1)), x, owner)
    return Score("calibration intercept", float(coef[0]), influence[:, 0])


def incidence_pseudo_values(
    time: np.ndarray, event: np.ndarray, own: np.ndarray, at: float
) -> np.ndarray:
    """Give the jackknife pseudo-values n F(t) − (n − 1) F₋ᵢ(t), in O(n log n).

    Without row i there is one fewer at risk up to its own time; its event is missing
    there, and after it all factors are those of the whole.
    """
    n = len(time)
    every = kaplan_meier(time, event)
    until = every.times <= at
    r, d = every.at_risk[until], every.events[until]
    k = kaplan_meier(time, own).events[until]
    m = len(r)
    fewer = np.maximum(r - 1.0, 1.0)  # nobody else: all that follows is empty
    s_whole = np.r_[1.0, np.cumprod(1.0 - d / r)]
    f_whole = np.r_[0.0, np.cumsum(s_whole[:-1] * k / r)]
    s_fewer = np.r_[1.0, np.cumprod(np.where(r > 1, 1.0 - d / fewer, 1.0))]
    f_fewer = np.r_[0.0, np.cumsum(s_fewer[:-1] * k / fewer)]
    without = np.full(n, f_fewer[-1])
    inside = np.flatnonzero(time <= at)
    if m and len(inside):
        j = np.searchsorted(every.times[until], time[inside])
        here = s_fewer[j]
        f = f_fewer[j] + here * (k[j] - own[inside]) / fewer[j]
        left = here * (1.0 - (d[j] - event[inside]) / fewer[j])
        # of those who are left at j, the share that has the event later
        rest = f_whole[-1] - f_whole[j + 1]
        share = np.divide(
            rest, s_whole[j + 1], out=np.zeros(len(j)), where=s_whole[j + 1] > 1e-12
        )
        without[inside] = f + left * share
    return n * f_whole[-1] - (n - 1) * without


def _checked(
    y: Surv, incidence: Any, time: float, cause: Any, owner: str
) -> tuple[np.ndarray, np.ndarray]:
    """Give the events of the cause and the predicted incidence, (n,) each."""
    no_weights(y, owner)
    own = of_cause(y, cause, owner)
    times = check_times(time, y, owner)
    if len(times) != 1:
        raise DataError(f"{owner}: time must be one number; got {len(times)}.")
    return own, probabilities_at(incidence, y, times, owner, "incidence")[:, 0]


def _observed(
    time: np.ndarray, event: np.ndarray, own: np.ndarray, at: float
) -> tuple[float, float, bool]:
    """Give F(t), its standard error, and whether somebody was followed up to t."""
    every = kaplan_meier(time, event)
    cause = kaplan_meier(time, own).events
    f, variance = incidence_of_counts(every.at_risk, every.events, cause)
    j = int(np.searchsorted(every.times, at, side="right")) - 1
    known = bool(time.max() >= at or every.survival[-1] == 0)
    if j < 0:
        return 0.0, 0.0, known
    return float(f[j]), float(np.sqrt(variance[j])), known
