"""Cumulative/dynamic area under the ROC curve."""

from __future__ import annotations

from typing import Any

import numpy as np

from semistruct._core.step import StepFunction
from semistruct._core.surv import Surv
from semistruct.exceptions import DataError

from ._censoring import CensoringDistribution, case_ipcw, control_ipcw, resolve
from ._checks import (
    case_weights,
    check_times,
    clusters,
    no_entry,
    one_cause,
    risk_array,
    survival_at,
)
from ._kaplan_meier import kaplan_meier
from ._pairs import reach
from ._score import Score, ScoreCurve

__all__ = ["area", "cumulative_dynamic_auc", "risk_columns"]


def cumulative_dynamic_auc(
    y_train: Any,
    y: Any,
    risk: Any,
    times: Any,
    *,
    ipcw: str = "left",
    X: Any = None,
    sample_weight: Any = None,
) -> ScoreCurve:
    """Area under the ROC curve at times: events up to t against rows that live on.

    AUC(t) = Σ_ij a_i (1{r_i > r_j} + ½ 1{r_i = r_j}) / Σ_ij a_i over the rows i with an
    event and t_i <= t, and j with t_j > t; a_i = 1/G(t_i−).

    Parameters
    ----------
    y_train : Surv, CensoringDistribution, or callable
        What tells about the censoring: the training data, the estimator's
        ``censoring_``, or a model that is called as ``model(times, X)`` and gives
        G(times | X) of shape (n, m); then rows j are weighted by 1/G(t | x_j) too.
    y : Surv, or what ``Surv.coerce`` takes
        Times and events of the n rows to be scored.
    risk : array-like of shape (n,) or (n, m), or StepFunction
        Predicted risk, higher for an earlier event; a column for each time if it
        changes. A StepFunction is taken as survival, of which lower is riskier.
    times : array-like of shape (m,)
        Where to evaluate, increasing, before the end of the follow-up of ``y``.
    ipcw : {"left", "scikit-survival", "pycox"}, default="left"
        Weights 1/G(t_i−), or scikit-survival's 1/G(t_i).
    X : table of n rows, optional
        For a censoring model that depends on covariates.
    sample_weight : array-like of shape (n,), optional
        Case weights, >= 0.

    Returns
    -------
    ScoreCurve
        0.5 is that of a constant risk. ``.integrated`` is the mean over the times,
        weighted by the drop of the Kaplan-Meier curve of ``y`` (its standard error
        takes these weights and G as given).

    Raises
    ------
    DataError
        If a time lies beyond a horizon, no event or no survivor is there at a time, G
        is zero where it is needed, or the lengths differ.

    References
    ----------
    Uno, Cai, Tian & Wei (2007), JASA 102, 527-537, doi:10.1198/016214507000000149;
    Lambert & Chevret (2016), Statistical Methods in Medical Research 25, 2088-2102,
    doi:10.1177/0962280213515571

    Examples
    --------
    >>> import semistruct as ss
    >>> y = ss.Surv([1.0, 2.0, 3.0, 4.0], [1, 1, 0, 1])
    >>> curve = ss.metrics.cumulative_dynamic_auc(y, y, [3.0, 1.0, 2.0, 0.0], [1, 2.5])
    >>> curve.estimate.tolist()
    [1.0, 0.75]
    """
    y, owner = Surv.coerce(y), "cumulative_dynamic_auc()"
    no_entry(y, owner)
    one_cause(y, owner)
    times = check_times(times, y, owner)
    censoring = resolve(y_train, X, y, ipcw, owner)
    risks = risk_columns(risk, y, times, owner)
    weight = case_weights(y, sample_weight, owner)
    case = weight * case_ipcw(censoring, X, y, times[-1], ipcw)
    if isinstance(censoring, CensoringDistribution):  # the same for all: it cancels
        control = weight[:, None]
    else:
        control = weight[:, None] * control_ipcw(censoring, X, times)
    curve = kaplan_meier(y.time, y.event, weight)(times)
    drop = -np.diff(curve, prepend=1.0)
    drop = drop / drop.sum() if drop.sum() > 0 else np.full(len(times), 1 / len(times))
    estimate, se, whole = np.empty(len(times)), np.empty(len(times)), np.zeros(len(y))
    for k, t in enumerate(times):
        if k == 0 or risks.shape[1] > 1:
            column = risks[:, k]
            order = np.argsort(column)
            start, end = reach(column[order])
        lives = y.time > t
        a = np.where(y.event & ~lives, case, 0.0)
        b = np.where(lives, control[:, k if control.shape[1] > 1 else 0], 0.0)
        if not (a.sum() > 0 and b.sum() > 0):
            what = "event up to" if not a.sum() > 0 else "row that lives beyond"
            raise DataError(f"{owner}: there is no {what} time {t:g}.")
        estimate[k], influence = area(a, b, order, start, end)
        se[k] = np.sqrt(np.sum(clusters(influence, y) ** 2))
        whole += drop[k] * influence
    mean = Score("auc", float(estimate @ drop), clusters(whole, y), (0.0, 1.0))
    return ScoreCurve("auc", times, estimate, se, mean, (0.0, 1.0))


def risk_columns(risk: Any, y: Surv, times: np.ndarray, owner: str) -> np.ndarray:
    if isinstance(risk, StepFunction):
        return -survival_at(risk, y, times, owner)
    values = np.asarray(risk, dtype=np.float64)
    if values.ndim != 2:
        return risk_array(values, y)[:, None]
    if values.shape != (len(y), len(times)) or not np.all(np.isfinite(values)):
        raise DataError(
            f"{owner}: the risk must be finite and of shape {y.shape} or "
            f"{(len(y), len(times))}; got {values.shape}, of which "
            f"{int(np.sum(~np.isfinite(values)))} are not finite."
        )
    return values


def area(
    a: np.ndarray,
    b: np.ndarray,
    order: np.ndarray,
    start: np.ndarray,
    end: np.ndarray,
) -> tuple[float, np.ndarray]:
    """Give the area and its influences; ``order`` sorts by risk, with runs of ties."""
    sum_a = np.r_[0.0, np.cumsum(a[order])]
    sum_b = np.r_[0.0, np.cumsum(b[order])]
    all_a, all_b = sum_a[-1], sum_b[-1]
    below = np.empty(len(a))
    above = np.empty(len(a))
    below[order] = (sum_b[start] + sum_b[end]) / 2
    above[order] = all_a - (sum_a[start] + sum_a[end]) / 2
    area = float(a @ below / (all_a * all_b))
    influence = a * (below - area * all_b) + b * (above - area * all_a)
    return area, influence / (all_a * all_b)
