"""How well risks of one of several causes rank the rows."""

from __future__ import annotations

from typing import Any

import numpy as np

from semistruct._core.aalen_johansen import incidence_of_counts
from semistruct._core.step import StepFunction
from semistruct._core.surv import Surv
from semistruct._core.validation import check_choice, check_number
from semistruct.exceptions import DataError

from ._auc import area, risk_columns
from ._censoring import case_ipcw, control_ipcw, resolve
from ._checks import (
    case_weights,
    check_times,
    clusters,
    no_entry,
    of_cause,
    probabilities_at,
    risk_array,
    strata_codes,
)
from ._concordance import TIES, score_pairs
from ._kaplan_meier import kaplan_meier
from ._pairs import codes, pair_sums, reach
from ._score import Score, ScoreCurve

__all__ = ["cause_auc", "cause_concordance"]

CONTROLS = ("all", "free")


def cause_concordance(
    y_train: Any,
    y: Any,
    risk: Any,
    tau: float | None = None,
    *,
    cause: Any,
    ties: str = "half",
    ipcw: str = "left",
    X: Any = None,
    sample_weight: Any = None,
) -> Score:
    """Wolbers' concordance index for one cause of several.

    Of two rows the one with the event of the cause, at t_i <= τ, should have the higher
    risk, if the other lives on without any event, t_j > t_i, or had another event
    before. The first kind of pair gets the weight 1/G(t_i−)², the second
    1/(G(t_i−) G(t_j−)), G the survival function of censoring. Without other events it
    is `uno`.

    Parameters
    ----------
    y_train : Surv, CensoringDistribution, or callable
        What tells about the censoring: the training data, the estimator's
        ``censoring_``, or a model that is called as ``model(times, X)`` and gives
        G(times | X) of shape (n, m).
    y : Surv with ``cause``
        The n rows to be scored; strata and weights are used.
    risk : array-like of shape (n,)
        Predicted risk of the cause, such as its cumulative incidence at a time.
    tau : float, optional
        Only events before τ count. Default: all.
    cause : label
        The cause of interest, one of ``y.causes``.
    ties : {"half", "zero", "drop"}, default="half"
        What a comparable pair of equal risks counts.
    ipcw : {"left", "scikit-survival", "pycox"}, default="left"
        Weights by G(t−), or G(t).
    X : table of n rows, optional
        For a censoring model that depends on covariates.
    sample_weight : array-like of shape (n,), optional
        Case weights, >= 0.

    Returns
    -------
    Score
        Estimate in [0, 1]; 0.5 for a constant risk. The standard error takes G as
        given.

    Raises
    ------
    TargetError
        If ``y`` has no causes, or no event of this one.
    DataError
        If no pair is comparable, G is zero where it is needed, or an event lies beyond
        the horizon of the training data.

    References
    ----------
    Wolbers, Blanche, Koller, Witteman & Gerds (2014), Biostatistics 15, 526-539,
    doi:10.1093/biostatistics/kxt059

    Examples
    --------
    >>> import semistruct as ss
    >>> y = ss.Surv([1.0, 2.0, 3.0, 4.0], [1, 1, 1, 0], cause=["a", "b", "a", ""])
    >>> float(ss.metrics.cause_concordance(y, y, [4.0, 1.0, 2.0, 3.0], cause="a"))
    0.8
    """
    y, owner = Surv.coerce(y), "cause_concordance()"
    check_choice(ties, TIES, parameter="ties", owner=owner)
    check_number(tau, parameter="tau", owner=owner, low=0, closed="neither", none=True)
    no_entry(y, owner)
    own = of_cause(y, cause, owner)
    censoring = resolve(y_train, X, y, ipcw, owner)
    risk, weight = risk_array(risk, y), case_weights(y, sample_weight, owner)
    until = np.inf if tau is None else np.nextafter(tau, 0)
    inverse = case_ipcw(censoring, X, y, until, ipcw)
    strata = strata_codes(y)
    first = np.where(own, weight * inverse, 0.0)
    later = pair_sums(y.time, own, risk, first * inverse, weight, strata)
    # those before, in reversed time; a tie is among the pairs of rows that live on
    gone = np.where(y.event & ~own, weight * inverse, 0.0)
    backwards = -2.0 * codes(y.time) - (gone > 0)
    before = pair_sums(backwards, own, risk, first, gone, strata)
    parts = [(later, first * inverse, weight), (before, first, gone)]
    return score_pairs("concordance", y, parts, ties)


def cause_auc(
    y_train: Any,
    y: Any,
    risk: Any,
    times: Any,
    *,
    cause: Any,
    controls: str = "all",
    ipcw: str = "left",
    X: Any = None,
    sample_weight: Any = None,
) -> ScoreCurve:
    """Area under the ROC curve at times for one cause of several.

    Cases have had the event of the cause by t, with weight 1/G(t_i−). Controls live on
    at t, with weight 1/G(t), and, with "all", have had another event by t, with weight
    1/G(t_j−): all who are without this event, as the cumulative incidence counts.

    Parameters
    ----------
    y_train : Surv, CensoringDistribution, or callable
        What tells about the censoring, as in `cause_concordance`.
    y : Surv with ``cause``
        The n rows to be scored.
    risk : array-like of shape (n,) or (n, m), or StepFunction
        Predicted risk of the cause; a column for each time if it changes. A
        StepFunction is taken as cumulative incidence.
    times : array-like of shape (m,)
        Where to evaluate, increasing, before the end of the follow-up of ``y``.
    cause : label
        The cause of interest, one of ``y.causes``.
    controls : {"all", "free"}, default="all"
        All rows without this event, or only those free of any event.
    ipcw : {"left", "scikit-survival", "pycox"}, default="left"
        Weights by G(t−), or G(t), of events.
    X : table of n rows, optional
        For a censoring model that depends on covariates.
    sample_weight : array-like of shape (n,), optional
        Case weights, >= 0.

    Returns
    -------
    ScoreCurve
        0.5 is that of a constant risk. ``.integrated`` is the mean over the times,
        weighted by the rise of the cumulative incidence of ``y``. Standard errors take
        G, and these weights, as given.

    Raises
    ------
    TargetError
        If ``y`` has no causes, or no event of this one.
    DataError
        If a time lies beyond a horizon, no case or control is there at a time, G is
        zero where it is needed, or the lengths differ.

    References
    ----------
    Blanche, Dartigues & Jacqmin-Gadda (2013), Statistics in Medicine 32, 5381-5397,
    doi:10.1002/sim.5958

    Examples
    --------
    >>> import semistruct as ss
    >>> y = ss.Surv([1.0, 2.0, 3.0, 4.0], [1, 1, 1, 0], cause=["a", "b", "a", ""])
    >>> ss.metrics.cause_auc(y, y, [3.0, 4.0, 2.0, 1.0], 2.5, cause="a").estimate
    array([0.66666667])
    """
    y, owner = Surv.coerce(y), "cause_auc()"
    check_choice(controls, CONTROLS, parameter="controls", owner=owner)
    no_entry(y, owner)
    own = of_cause(y, cause, owner)
    times = check_times(times, y, owner)
    censoring = resolve(y_train, X, y, ipcw, owner)
    if isinstance(risk, StepFunction):
        risks = probabilities_at(risk, y, times, owner, "incidence")
    else:
        risks = risk_columns(risk, y, times, owner)
    weight = case_weights(y, sample_weight, owner)
    inverse = weight * case_ipcw(censoring, X, y, times[-1], ipcw)
    alive = weight[:, None] * control_ipcw(censoring, X, times)
    alive = np.broadcast_to(alive, (len(y), len(times)))
    rise = np.diff(_incidence(y, own, weight, times), prepend=0.0)
    rise = rise / rise.sum() if rise.sum() > 0 else np.full(len(times), 1 / len(times))
    estimate, se, whole = np.empty(len(times)), np.empty(len(times)), np.zeros(len(y))
    for k, t in enumerate(times):
        column = risks[:, k if risks.shape[1] > 1 else 0]
        if k == 0 or risks.shape[1] > 1:
            order = np.argsort(column)
            start, end = reach(column[order])
        lives = y.time > t
        a = np.where(own & ~lives, inverse, 0.0)
        b = np.where(lives, alive[:, k], 0.0)
        if controls == "all":
            b += np.where(y.event & ~own & ~lives, inverse, 0.0)
        if not (a.sum() > 0 and b.sum() > 0):
            what = f"event of {cause!r} up to" if not a.sum() > 0 else "control at"
            raise DataError(f"{owner}: there is no {what} time {t:g}.")
        estimate[k], influence = area(a, b, order, start, end)
        se[k] = np.sqrt(np.sum(clusters(influence, y) ** 2))
        whole += rise[k] * influence
    mean = Score("auc", float(estimate @ rise), clusters(whole, y), (0.0, 1.0))
    return ScoreCurve("auc", times, estimate, se, mean, (0.0, 1.0))


def _incidence(
    y: Surv, own: np.ndarray, weight: np.ndarray, times: np.ndarray
) -> np.ndarray:
    """Aalen and Johansen's cumulative incidence at times, (m,)."""
    every = kaplan_meier(y.time, y.event, weight)
    cause = kaplan_meier(y.time, own, weight).events
    curve = incidence_of_counts(every.at_risk, every.events, cause)[0]
    at = np.searchsorted(every.times, times, side="right")
    found: np.ndarray = np.r_[0.0, curve][at]
    return found
