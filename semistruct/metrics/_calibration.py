"""Calibration of predicted survival at a time: ICI, slope, intercept, curve."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from semistruct._core.surv import Surv
from semistruct._core.validation import check_choice, check_number
from semistruct.exceptions import DataError

from ._checks import (
    check_times,
    no_weights,
    one_cause,
    quantile_groups,
    survival_at,
)
from ._kaplan_meier import kaplan_meier, pseudo_values
from ._score import Score, normal_quantile
from ._small_cox import small_cox, spline_basis

__all__ = [
    "IntegratedCalibration",
    "calibration_curve",
    "calibration_intercept",
    "calibration_slope",
    "cloglog",
    "ici",
    "predicted_risk",
    "pseudo_fit",
]

_CLIP = 1e-7


@dataclass(frozen=True, eq=False)
class IntegratedCalibration:
    """Result of `ici`; ``float()`` gives the index.

    Parameters
    ----------
    time : float
        Where risks were compared.
    ici, e50, e90, e_max : float
        Mean, median, 90th percentile and maximum distance of predicted and observed.
    predicted, observed : ndarray of shape (n,)
        Predicted risk of each row, and the smoothed observed risk there.
    """

    time: float
    ici: float
    e50: float
    e90: float
    e_max: float
    predicted: np.ndarray = field(repr=False)
    observed: np.ndarray = field(repr=False)

    def __float__(self) -> float:
        return self.ici


def ici(y: Any, survival: Any, time: float, knots: int = 3) -> IntegratedCalibration:
    """Integrated calibration index at a time: mean distance of the two risks.

    The observed risk at t is that of a Cox model (Efron's ties) of the outcome on a
    restricted cubic spline of log(−log(1 − p)), p the predicted risk at t.

    Parameters
    ----------
    y : Surv, or what ``Surv.coerce`` takes
        Times and events of n rows.
    survival : StepFunction of n rows, or array-like of shape (n,)
        Predicted survival (at the time).
    time : float
        Time t, before the end of the follow-up.
    knots : {3, 4, 5}, default=3
        Knots of the spline.

    Returns
    -------
    IntegratedCalibration
        ICI, E50, E90, maximum, and the curve. Predictions are cut to
        [1e-7, 1 − 1e-7]. For an interval see `bootstrap_ci`.

    Raises
    ------
    DataError
        If the time lies beyond the horizon, there is no event, or the lengths differ.

    References
    ----------
    Austin, Harrell & van Klaveren (2020), Statistics in Medicine 39, 2714-2742,
    doi:10.1002/sim.8570

    Examples
    --------
    >>> import numpy as np, semistruct as ss
    >>> X, y = ss.datasets.load_rossi()
    >>> risk = 0.1 + 0.02 * X["prio"].to_numpy()
    >>> round(float(ss.metrics.ici(y, 1 - risk, 40)), 3)
    0.038
    """
    y, owner = Surv.coerce(y), "ici()"
    check_choice(knots, (3, 4, 5), parameter="knots", owner=owner)
    risk = predicted_risk(y, survival, time, owner)
    if not y.event.any():
        raise DataError(f"{owner}: y has no event, so no risk was observed.")
    basis = spline_basis(cloglog(risk), knots)
    observed = 1 - small_cox(basis, y.time, y.event, time)[1]
    gap = np.abs(risk - observed)
    e50, e90 = np.quantile(gap, [0.5, 0.9])
    return IntegratedCalibration(
        float(time),
        float(gap.mean()),
        float(e50),
        float(e90),
        float(gap.max()),
        risk,
        observed,
    )


def calibration_slope(y: Any, survival: Any, time: float) -> Score:
    """Calibration slope at a time: 1 is right, below 1 predictions are too extreme.

    b of P(T <= t) = 1 − exp(−exp(a + b log(−log(1 − p)))), p the predicted risk, by
    least squares on jackknife pseudo-values of the Kaplan-Meier estimate, with the
    robust standard error.

    Parameters
    ----------
    y : Surv, or what ``Surv.coerce`` takes
        Times and events of n rows.
    survival : StepFunction of n rows, or array-like of shape (n,)
        Predicted survival (at the time).
    time : float
        Time t, before the end of the follow-up.

    Returns
    -------
    Score
        Slope b.

    Raises
    ------
    DataError
        If all predictions are equal, the time lies beyond the horizon, or the fit
        fails.

    References
    ----------
    Royston (2014), Stata Journal 14, 738-755, doi:10.1177/1536867X1401400403;
    McLernon et al. (2023), Annals of Internal Medicine 176, 105-114,
    doi:10.7326/M22-0844

    Examples
    --------
    >>> import numpy as np, semistruct as ss
    >>> X, y = ss.datasets.load_rossi()
    >>> risk = 0.1 + 0.02 * X["prio"].to_numpy()
    >>> ss.metrics.calibration_slope(y, 1 - risk, 40)
    Score(calibration slope = 1.0320, se = 0.2747)
    """
    y, owner = Surv.coerce(y), "calibration_slope()"
    x = cloglog(predicted_risk(y, survival, time, owner))
    if np.ptp(x) <= 1e-12 * max(1.0, np.abs(x).max()):
        raise DataError(f"{owner}: all predictions are equal, so there is no slope.")
    design = np.column_stack([np.ones(len(x)), x])
    coef, influence = pseudo_fit(
        _pseudo(y, time), time, design, np.zeros(len(x)), owner
    )
    return Score("calibration slope", float(coef[1]), influence[:, 1])


def calibration_intercept(y: Any, survival: Any, time: float) -> Score:
    """Calibration in the large at a time: 0 is right, above 0 risks are too low.

    As `calibration_slope`, with b = 1: a is the log of the ratio of the observed to
    the predicted cumulative hazard.

    Parameters
    ----------
    y : Surv, or what ``Surv.coerce`` takes
        Times and events of n rows.
    survival : StepFunction of n rows, or array-like of shape (n,)
        Predicted survival (at the time).
    time : float
        Time t, before the end of the follow-up.

    Returns
    -------
    Score
        Intercept a.

    Raises
    ------
    DataError
        As `calibration_slope`.

    References
    ----------
    Royston (2014), Stata Journal 14, 738-755, doi:10.1177/1536867X1401400403

    Examples
    --------
    >>> import numpy as np, semistruct as ss
    >>> X, y = ss.datasets.load_rossi()
    >>> risk = 0.1 + 0.02 * X["prio"].to_numpy()
    >>> ss.metrics.calibration_intercept(y, 1 - risk, 40)
    Score(calibration intercept = 0.2349, se = 0.1111)
    """
    y, owner = Surv.coerce(y), "calibration_intercept()"
    x = cloglog(predicted_risk(y, survival, time, owner))
    coef, influence = pseudo_fit(_pseudo(y, time), time, np.ones((len(x), 1)), x, owner)
    return Score("calibration intercept", float(coef[0]), influence[:, 0])


def calibration_curve(
    y: Any, survival: Any, time: float, *, bins: int = 10, level: float = 0.95
) -> pd.DataFrame:
    """Mean predicted and Kaplan-Meier observed risk in groups of predicted risk.

    Parameters
    ----------
    y : Surv, or what ``Surv.coerce`` takes
        Times and events of n rows.
    survival : StepFunction of n rows, or array-like of shape (n,)
        Predicted survival (at the time).
    time : float
        Time t, before the end of the follow-up.
    bins : int, default=10
        Groups of about equal size, by quantiles; tied predictions stay together.
    level : float, default=0.95
        Coverage of the log-log intervals.

    Returns
    -------
    DataFrame
        Columns predicted, observed, lower, upper, n, events (up to t); NaN is observed
        where nobody of a group was followed up to t.

    Raises
    ------
    DataError
        If the time lies beyond the horizon, or the lengths differ.

    Examples
    --------
    >>> import numpy as np, semistruct as ss
    >>> X, y = ss.datasets.load_rossi()
    >>> risk = 0.1 + 0.02 * X["prio"].to_numpy()
    >>> curve = ss.metrics.calibration_curve(y, 1 - risk, 40, bins=2)
    >>> curve[["predicted", "observed", "n"]].round(3).to_numpy().tolist()
    [[0.125, 0.139, 251.0], [0.208, 0.276, 181.0]]
    """
    y, owner = Surv.coerce(y), "calibration_curve()"
    check_number(bins, parameter="bins", owner=owner, low=1, high=1e6, integer=True)
    z = normal_quantile(level, owner)
    risk = predicted_risk(y, survival, time, owner)
    group = quantile_groups(risk, bins)[0]
    rows = []
    for g in np.unique(group):
        mine = group == g
        t, d = y.time[mine], y.event[mine]
        curve = kaplan_meier(t, d)
        at = np.array([float(time)])
        known = t.max() >= time or curve.survival[-1] == 0
        values = (curve(at)[0], *(float(v[0]) for v in curve.interval(at, z)))
        s, low, high = values if known else (np.nan,) * 3
        seen = int(np.sum(d & (t <= time)))
        rows.append((risk[mine].mean(), 1 - s, 1 - high, 1 - low, len(t), seen))
    names = ["predicted", "observed", "lower", "upper", "n", "events"]
    return pd.DataFrame(rows, columns=names)


def predicted_risk(y: Surv, survival: Any, time: float, owner: str) -> np.ndarray:
    """Check what calibration at a time needs, and give 1 − S(t) of each row."""
    one_cause(y, owner)
    no_weights(y, owner)
    times = check_times(time, y, owner)
    if len(times) != 1:
        raise DataError(f"{owner}: time must be one number; got {len(times)}.")
    return 1.0 - survival_at(survival, y, times, owner)[:, 0]


def cloglog(risk: np.ndarray) -> np.ndarray:
    return np.log(-np.log1p(-np.clip(risk, _CLIP, 1 - _CLIP)))


def _pseudo(y: Surv, time: float) -> np.ndarray:
    return 1.0 - pseudo_values(y.time, y.event, float(time))


def pseudo_fit(
    target: np.ndarray,
    time: float,
    design: np.ndarray,
    offset: np.ndarray,
    owner: str,
) -> tuple[np.ndarray, np.ndarray]:
    """Least squares of pseudo-values on a complementary log-log mean."""

    def parts(beta: np.ndarray) -> tuple[float, np.ndarray, np.ndarray]:
        hazard = np.exp(np.minimum(design @ beta + offset, 30.0))
        rest = target + np.expm1(-hazard)
        return float(rest @ rest), rest, (hazard * np.exp(-hazard))[:, None] * design

    beta = np.zeros(design.shape[1])
    beta[1:] = 1.0
    value, rest, slopes = parts(beta)
    for _ in range(100):
        step = np.linalg.lstsq(slopes, rest, rcond=None)[0]
        new = parts(beta + step)
        while new[0] > value * (1 + 1e-12) and np.max(np.abs(step)) > 1e-12:
            step = step / 2
            new = parts(beta + step)
        beta = beta + step
        value, rest, slopes = new
        if np.max(np.abs(step)) < 1e-10:
            bread = slopes.T @ slopes
            if np.linalg.cond(bread) < 1e14:
                return beta, np.linalg.solve(bread, (slopes * rest[:, None]).T).T
            break
    raise DataError(
        f"{owner}: the fit of the observed on the predicted risk at time {time:g} did "
        "not converge; there may be too few events by then."
    )
