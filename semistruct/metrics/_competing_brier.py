"""Brier score of predicted cumulative incidence under censoring."""

from __future__ import annotations

from typing import Any

from semistruct._core.surv import Surv

from ._brier import Problem, evaluate, integrated
from ._censoring import case_ipcw, control_ipcw, resolve
from ._checks import case_weights, check_times, no_entry, of_cause, probabilities_at
from ._score import Score, ScoreCurve

__all__ = ["cause_brier_score", "integrated_cause_brier_score"]


def cause_brier_score(
    y_train: Any,
    y: Any,
    incidence: Any,
    times: Any,
    *,
    cause: Any,
    ipcw: str = "left",
    X: Any = None,
    sample_weight: Any = None,
) -> ScoreCurve:
    """Brier score of predicted cumulative incidence of one cause, at times.

    BS(t) = 1/n Σ [(1 − F_i(t))² 1{t_i <= t, cause} / G(t_i−)
    + F_i(t)² 1{t_i <= t, another cause} / G(t_i−) + F_i(t)² 1{t_i > t} / G(t)]

    Parameters
    ----------
    y_train : Surv, CensoringDistribution, or callable
        What tells about the censoring, as in `cause_concordance`.
    y : Surv with ``cause``
        The n rows to be scored.
    incidence : StepFunction of n rows, or array-like of shape (n, m)
        Predicted cumulative incidence of the cause, in [0, 1].
    times : array-like of shape (m,)
        Where to evaluate, increasing, before the end of the follow-up of ``y``.
    cause : label
        The cause of interest, one of ``y.causes``.
    ipcw : {"left", "scikit-survival", "pycox"}, default="left"
        Convention of the weights, as in `brier_score`.
    X : table of n rows, optional
        For a censoring model that depends on covariates.
    sample_weight : array-like of shape (n,), optional
        Case weights, >= 0.

    Returns
    -------
    ScoreCurve
        0 is perfect. Standard errors take G as given. ``.integrated`` is the score of
        `integrated_cause_brier_score`, None for one time.

    Raises
    ------
    TargetError
        If ``y`` has no causes, or no event of this one.
    DataError
        If a time lies beyond a horizon, G is zero where it is needed, the lengths
        differ, or an incidence is not in [0, 1].

    References
    ----------
    Schoop, Beyersmann, Schumacher & Binder (2011), Biometrical Journal 53, 88-112,
    doi:10.1002/bimj.201000073

    Examples
    --------
    >>> import numpy as np, semistruct as ss
    >>> y = ss.Surv([1.0, 2.0, 3.0, 4.0], [1, 1, 1, 0], cause=["a", "b", "a", ""])
    >>> constant = np.full((4, 1), 0.2)
    >>> ss.metrics.cause_brier_score(y, y, constant, [2.5], cause="a").estimate
    array([0.19])
    """
    owner = "cause_brier_score()"
    return _brier(y_train, y, incidence, times, cause, ipcw, X, sample_weight, owner)


def integrated_cause_brier_score(
    y_train: Any,
    y: Any,
    incidence: Any,
    times: Any,
    *,
    cause: Any,
    ipcw: str = "left",
    X: Any = None,
    sample_weight: Any = None,
) -> Score:
    """Mean of `cause_brier_score` over time, from the first of the times to the last.

    By the trapezoidal rule.

    Parameters
    ----------
    y_train : Surv, CensoringDistribution, or callable
        What tells about the censoring, as in `cause_concordance`.
    y : Surv with ``cause``
        The n rows to be scored.
    incidence : StepFunction of n rows, or array-like of shape (n, m)
        Predicted cumulative incidence of the cause, in [0, 1].
    times : array-like of shape (m,)
        At least two times, increasing.
    cause : label
        The cause of interest, one of ``y.causes``.
    ipcw : {"left", "scikit-survival", "pycox"}, default="left"
        Convention of the weights, as in `brier_score`.
    X : table of n rows, optional
        For a censoring model that depends on covariates.
    sample_weight : array-like of shape (n,), optional
        Case weights, >= 0.

    Returns
    -------
    Score
        In the units of the Brier score; lower is better.

    Raises
    ------
    TargetError, DataError
        As `cause_brier_score`; or if there are fewer than two times.

    References
    ----------
    Schoop, Beyersmann, Schumacher & Binder (2011), Biometrical Journal 53, 88-112,
    doi:10.1002/bimj.201000073

    Examples
    --------
    >>> import numpy as np, semistruct as ss
    >>> y = ss.Surv([1.0, 2.0, 3.0, 4.0], [1, 1, 1, 0], cause=["a", "b", "a", ""])
    >>> score = ss.metrics.integrated_cause_brier_score(
    ...     y, y, np.full((4, 2), 0.2), [2.0, 2.5], cause="a"
    ... )
    >>> round(float(score), 4)
    0.19
    """
    owner = "integrated_cause_brier_score()"
    curve = _brier(y_train, y, incidence, times, cause, ipcw, X, sample_weight, owner)
    return integrated(curve, owner)


def _brier(
    y_train: Any,
    y: Any,
    incidence: Any,
    times: Any,
    cause: Any,
    ipcw: str,
    X: Any,
    sample_weight: Any,
    owner: str,
) -> ScoreCurve:
    y = Surv.coerce(y)
    no_entry(y, owner)
    own = of_cause(y, cause, owner)
    times = check_times(times, y, owner)
    censoring = resolve(y_train, X, y, ipcw, owner)
    problem = Problem(
        "brier",
        y,
        1.0 - probabilities_at(incidence, y, times, owner, "incidence"),
        times,
        case_weights(y, sample_weight, owner),
        case_ipcw(censoring, X, y, times[-1], ipcw),
        control_ipcw(censoring, X, times),
        ipcw == "pycox",
        y.event & ~own,
    )
    return evaluate(problem)
