"""Decision curves and Kaplan-Meier curves of risk groups: data for plots."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from semistruct._core.surv import Surv
from semistruct._core.validation import check_number
from semistruct.exceptions import DataError, ParameterError

from ._calibration import predicted_risk
from ._checks import no_weights, one_cause, quantile_groups, risk_array
from ._kaplan_meier import kaplan_meier
from ._score import normal_quantile

__all__ = ["RiskStrata", "decision_curve", "km_strata"]


@dataclass(frozen=True, eq=False)
class RiskStrata:
    """Result of `km_strata`.

    Parameters
    ----------
    group : ndarray of shape (n,) of int
        Group of each row, 0 the lowest risk.
    cuts : ndarray of shape (groups − 1,)
        A row is above a cut if its risk is greater.
    curves : DataFrame
        Columns group, time, survival, lower, upper, at_risk, events: a row for each
        distinct time of each group, and one at time 0 (with its events, if there are
        any).
    at_risk : DataFrame
        A row for each group, a column for each time asked: rows still at risk then.
    """

    group: np.ndarray = field(repr=False)
    cuts: np.ndarray
    curves: pd.DataFrame = field(repr=False)
    at_risk: pd.DataFrame


def decision_curve(
    y: Any, survival: Any, time: float, thresholds: Any = None
) -> pd.DataFrame:
    """Net benefit of treating those whose predicted risk at a time is high.

    NB(q) = x [P − (1 − P) q / (1 − q)], x the share of rows with a predicted risk >= q,
    P their Kaplan-Meier risk at t.

    Parameters
    ----------
    y : Surv, or what ``Surv.coerce`` takes
        Times and events of n rows.
    survival : StepFunction of n rows, or array-like of shape (n,)
        Predicted survival (at the time).
    time : float
        Time t, before the end of the follow-up.
    thresholds : array-like of shape (q,), optional
        Risks in (0, 1). Default: 0.01, 0.02, … 0.99.

    Returns
    -------
    DataFrame
        Columns threshold, model, all, none, n_high. NaN where nobody of the high-risk
        group was followed up to t.

    Raises
    ------
    DataError
        If the time lies beyond the horizon, or the lengths differ.
    ParameterError
        If a threshold is not in (0, 1).

    References
    ----------
    Vickers, Cronin, Elkin & Gonen (2008), BMC Medical Informatics and Decision Making
    8, 53, doi:10.1186/1472-6947-8-53

    Examples
    --------
    >>> import numpy as np, semistruct as ss
    >>> X, y = ss.datasets.load_rossi()
    >>> risk = 0.1 + 0.02 * X["prio"].to_numpy()
    >>> curve = ss.metrics.decision_curve(y, 1 - risk, 40, [0.1, 0.2])
    >>> curve.round(3).to_numpy().tolist()
    [[0.1, 0.099, 0.108, 0.0, 394.0], [0.2, 0.015, -0.004, 0.0, 54.0]]
    """
    y, owner = Surv.coerce(y), "decision_curve()"
    risk = predicted_risk(y, survival, time, owner)
    if thresholds is None:
        asked = np.arange(1, 100) / 100
    else:
        asked = np.atleast_1d(np.asarray(thresholds, dtype=np.float64))
    if not np.all((asked > 0) & (asked < 1)):
        raise ParameterError(
            parameter="thresholds", owner=owner, allowed="in (0, 1)", given=thresholds
        )
    everyone = np.ones(len(y), dtype=bool)
    rows = []
    for q in asked:
        high = risk >= q
        model = _net_benefit(y, high, float(time), q)
        rows.append((q, model, _net_benefit(y, everyone, float(time), q), 0.0))
    frame = pd.DataFrame(rows, columns=["threshold", "model", "all", "none"])
    return frame.assign(n_high=[int(np.sum(risk >= q)) for q in asked])


def km_strata(
    y: Any,
    risk: Any,
    groups: Any = 3,
    *,
    times: Any = None,
    level: float = 0.95,
) -> RiskStrata:
    """Kaplan-Meier curves of groups of predicted risk, with numbers at risk.

    Parameters
    ----------
    y : Surv, or what ``Surv.coerce`` takes
        Times and events of n rows.
    risk : array-like of shape (n,)
        Predicted risk, higher for an earlier event.
    groups : int or array-like of shape (k,), default=3
        Number of groups of about equal size, or the cuts between k + 1 groups, which
        is right where cuts come from training data.
    times : array-like of shape (m,), optional
        Times for the numbers at risk. Default: six between 0 and the longest.
    level : float, default=0.95
        Coverage of the pointwise log-log intervals.

    Returns
    -------
    RiskStrata

    Raises
    ------
    DataError
        If the lengths differ, a risk is not finite, or cuts do not increase.

    Examples
    --------
    >>> import semistruct as ss
    >>> X, y = ss.datasets.load_rossi()
    >>> ss.metrics.km_strata(y, X["prio"], 2, times=[0, 26]).at_risk.to_numpy().tolist()
    [[251, 232], [181, 149]]
    """
    y, owner = Surv.coerce(y), "km_strata()"
    no_weights(y, owner)
    one_cause(y, owner)
    risk, z = risk_array(risk, y), normal_quantile(level, owner)
    if len(y) == 0:
        raise DataError(f"{owner}: y has no rows.")
    if np.ndim(groups) == 0:
        check_number(
            groups, parameter="groups", owner=owner, low=1, high=1000, integer=True
        )
        group, cuts = quantile_groups(risk, groups)
    else:
        cuts = np.asarray(groups, dtype=np.float64)
        if cuts.ndim != 1 or not np.all(np.diff(cuts) > 0):
            raise DataError(f"{owner}: the cuts of the groups must increase.")
        group = np.searchsorted(cuts, risk, side="left")
    asked = np.linspace(0, y.time.max(), 6) if times is None else np.atleast_1d(times)
    frames, numbers = [], {}
    for g in np.unique(group):
        mine = group == g
        curve = kaplan_meier(y.time[mine], y.event[mine])
        low, high = curve.interval(curve.times, z)
        top = {"survival": 1.0, "lower": 1.0, "upper": 1.0, "at_risk": mine.sum()}
        start = pd.DataFrame([{"time": 0.0, **top, "events": 0.0}])
        steps = {"time": curve.times, "survival": curve.survival}
        steps |= {"lower": low, "upper": high}
        steps |= {"at_risk": curve.at_risk, "events": curve.events}
        part = pd.DataFrame(steps)
        both = part  # events at time 0 are its first row
        if curve.times[0] > 0:
            both = pd.concat([start, part], ignore_index=True)
        both.insert(0, "group", int(g))
        frames.append(both.astype({"at_risk": int, "events": int}))
        ordered = np.sort(y.time[mine])
        numbers[int(g)] = mine.sum() - np.searchsorted(ordered, asked, side="left")
    at_risk = pd.DataFrame(numbers, index=pd.Index(asked, name="time")).T
    at_risk.index.name = "group"
    return RiskStrata(group, cuts, pd.concat(frames, ignore_index=True), at_risk)


def _net_benefit(y: Surv, high: np.ndarray, time: float, threshold: float) -> float:
    if not high.any():
        return 0.0
    t = y.time[high]
    curve = kaplan_meier(t, y.event[high])
    if t.max() < time and curve.survival[-1] > 0:
        return float("nan")
    survival = float(curve(np.array([time]))[0])
    odds = threshold / (1 - threshold)
    return float(high.mean() * ((1 - survival) - survival * odds))
