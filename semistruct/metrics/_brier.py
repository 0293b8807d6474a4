"""Brier score and binomial log-likelihood of survival curves under censoring."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from semistruct._core.surv import Surv
from semistruct.exceptions import DataError

from ._censoring import case_ipcw, control_ipcw, resolve
from ._checks import (
    case_weights,
    check_times,
    clusters,
    no_entry,
    one_cause,
    survival_at,
)
from ._score import Score, ScoreCurve

__all__ = [
    "Problem",
    "brier_score",
    "evaluate",
    "integrated",
    "integrated_brier_score",
    "integrated_negative_binomial_log_likelihood",
    "negative_binomial_log_likelihood",
]

_ROWS = 2048
_CLIP = 1e-7  # of probabilities before their logarithm


class Problem(NamedTuple):
    """What a loss needs: n rows, m times."""

    name: str
    y: Surv
    survival: np.ndarray  # (n, m)
    times: np.ndarray  # (m,)
    weight: np.ndarray  # (n,)
    case: np.ndarray  # (n,): 1/G at the own time of an event
    control: np.ndarray  # (1 or n, m): 1/G at the times
    normalized: bool
    other: np.ndarray  # (n,): had another event, and counts as without this one


def brier_score(
    y_train: Any,
    y: Any,
    survival: Any,
    times: Any,
    *,
    ipcw: str = "left",
    X: Any = None,
    sample_weight: Any = None,
) -> ScoreCurve:
    """Brier score at times, by inverse probability of censoring weights.

    BS(t) = 1/n Σ [S_i(t)² 1{t_i <= t, event} / G(t_i−)
    + (1 − S_i(t))² 1{t_i > t} / G(t)]

    Parameters
    ----------
    y_train : Surv, CensoringDistribution, or callable
        What tells about the censoring: the training data, the estimator's
        ``censoring_``, or a model that is called as ``model(times, X)`` and gives
        G(times | X) of shape (n, m).
    y : Surv, or what ``Surv.coerce`` takes
        Times and events of the n rows to be scored.
    survival : StepFunction of n rows, or array-like of shape (n, m)
        Predicted survival, in [0, 1].
    times : array-like of shape (m,)
        Where to evaluate, increasing, before the end of the follow-up of ``y``.
    ipcw : {"left", "scikit-survival", "pycox"}, default="left"
        Convention of the weights, see Notes.
    X : table of n rows, optional
        For a censoring model that depends on covariates.
    sample_weight : array-like of shape (n,), optional
        Case weights, >= 0.

    Returns
    -------
    ScoreCurve
        0 is perfect, 0.25 that of the constant 0.5. Standard errors take G as given.
        ``.integrated`` is the score of `integrated_brier_score`, None for one time.

    Raises
    ------
    DataError
        If a time lies beyond a horizon, G is zero where it is needed, the lengths
        differ, or survival is not in [0, 1].

    Notes
    -----
    ========================  ==================  ==========  ===================
    ipcw                      weight of an event  mean over   ties in G
    ========================  ==================  ==========  ===================
    ``"left"``                1/G(t_i−)           n           events first
    ``"scikit-survival"``     1/G(t_i)            n           events first
    ``"pycox"``               1/G(t_i−)           Σ weights   together
    ========================  ==================  ==========  ===================

    The first is unbiased where times are tied, and differs from the second only there.
    A distribution that is given keeps its own treatment of ties.

    References
    ----------
    Graf, Schmoor, Sauerbrei & Schumacher (1999), Statistics in Medicine 18, 2529-2545;
    Gerds & Schumacher (2006), Biometrical Journal 48, 1029-1040,
    doi:10.1002/bimj.200610301

    Examples
    --------
    >>> import numpy as np, semistruct as ss
    >>> y = ss.Surv([1.0, 2.0, 3.0, 4.0], [1, 0, 1, 1])
    >>> curve = ss.metrics.brier_score(y, y, np.full((4, 2), 0.5), [1.5, 3.0])
    >>> curve.estimate.round(4).tolist()
    [0.25, 0.25]
    """
    return _curve(
        "brier", y_train, y, survival, times, ipcw, X, sample_weight, "brier_score()"
    )


def integrated_brier_score(
    y_train: Any,
    y: Any,
    survival: Any,
    times: Any,
    *,
    ipcw: str = "left",
    X: Any = None,
    sample_weight: Any = None,
) -> Score:
    """Mean of the Brier score over time, from the first of the times to the last.

    IBS = ∫ BS(t) dt / (t_m − t_1), by the trapezoidal rule.

    Parameters
    ----------
    y_train : Surv, CensoringDistribution, or callable
        What tells about the censoring, as in `brier_score`.
    y : Surv, or what ``Surv.coerce`` takes
        Times and events of the n rows to be scored.
    survival : StepFunction of n rows, or array-like of shape (n, m)
        Predicted survival, in [0, 1].
    times : array-like of shape (m,)
        At least two times, increasing.
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
    DataError
        As `brier_score`; or if there are fewer than two times.

    References
    ----------
    Graf, Schmoor, Sauerbrei & Schumacher (1999), Statistics in Medicine 18, 2529-2545

    Examples
    --------
    >>> import numpy as np, semistruct as ss
    >>> y = ss.Surv([1.0, 2.0, 3.0, 4.0], [1, 0, 1, 1])
    >>> float(ss.metrics.integrated_brier_score(y, y, np.full((4, 2), 0.5), [1.5, 3]))
    0.25
    """
    owner = "integrated_brier_score()"
    curve = _curve("brier", y_train, y, survival, times, ipcw, X, sample_weight, owner)
    return integrated(curve, owner)


def negative_binomial_log_likelihood(
    y_train: Any,
    y: Any,
    survival: Any,
    times: Any,
    *,
    ipcw: str = "left",
    X: Any = None,
    sample_weight: Any = None,
) -> ScoreCurve:
    """Negative binomial log-likelihood (NBLL) at times, weighted as the Brier score.

    NBLL(t) = −1/n Σ [log(1 − S_i(t)) 1{t_i <= t, event} / G(t_i−)
    + log S_i(t) 1{t_i > t} / G(t)], with S cut to [1e-7, 1 − 1e-7].

    Parameters
    ----------
    y_train : Surv, CensoringDistribution, or callable
        What tells about the censoring, as in `brier_score`.
    y : Surv, or what ``Surv.coerce`` takes
        Times and events of the n rows to be scored.
    survival : StepFunction of n rows, or array-like of shape (n, m)
        Predicted survival, in [0, 1].
    times : array-like of shape (m,)
        Where to evaluate, increasing.
    ipcw : {"left", "scikit-survival", "pycox"}, default="left"
        Convention of the weights, as in `brier_score`.
    X : table of n rows, optional
        For a censoring model that depends on covariates.
    sample_weight : array-like of shape (n,), optional
        Case weights, >= 0.

    Returns
    -------
    ScoreCurve
        Nats; 0 is perfect, log 2 that of the constant 0.5.

    Raises
    ------
    DataError
        As `brier_score`.

    References
    ----------
    Graf, Schmoor, Sauerbrei & Schumacher (1999), Statistics in Medicine 18, 2529-2545;
    Kvamme, Borgan & Scheel (2019), JMLR 20(129), 1-30

    Examples
    --------
    >>> import numpy as np, semistruct as ss
    >>> y = ss.Surv([1.0, 2.0, 3.0], [1, 1, 1])
    >>> constant = np.full((3, 1), 0.5)
    >>> curve = ss.metrics.negative_binomial_log_likelihood(y, y, constant, [1.5])
    >>> curve.estimate.round(4).tolist()
    [0.6931]
    """
    owner = "negative_binomial_log_likelihood()"
    return _curve("nbll", y_train, y, survival, times, ipcw, X, sample_weight, owner)


def integrated_negative_binomial_log_likelihood(
    y_train: Any,
    y: Any,
    survival: Any,
    times: Any,
    *,
    ipcw: str = "left",
    X: Any = None,
    sample_weight: Any = None,
) -> Score:
    """Mean of the NBLL over time, by the trapezoidal rule.

    Parameters
    ----------
    y_train : Surv, CensoringDistribution, or callable
        What tells about the censoring, as in `brier_score`.
    y : Surv, or what ``Surv.coerce`` takes
        Times and events of the n rows to be scored.
    survival : StepFunction of n rows, or array-like of shape (n, m)
        Predicted survival, in [0, 1].
    times : array-like of shape (m,)
        At least two times, increasing.
    ipcw : {"left", "scikit-survival", "pycox"}, default="left"
        Convention of the weights, as in `brier_score`.
    X : table of n rows, optional
        For a censoring model that depends on covariates.
    sample_weight : array-like of shape (n,), optional
        Case weights, >= 0.

    Returns
    -------
    Score
        Nats; lower is better.

    Raises
    ------
    DataError
        As `brier_score`; or if there are fewer than two times.

    References
    ----------
    Kvamme, Borgan & Scheel (2019), JMLR 20(129), 1-30

    Examples
    --------
    >>> import numpy as np, semistruct as ss
    >>> y = ss.Surv([1.0, 2.0, 3.0], [1, 1, 1])
    >>> score = ss.metrics.integrated_negative_binomial_log_likelihood(
    ...     y, y, np.full((3, 2), 0.5), [1.5, 2.5]
    ... )
    >>> round(float(score), 4)
    0.6931
    """
    owner = "integrated_negative_binomial_log_likelihood()"
    curve = _curve("nbll", y_train, y, survival, times, ipcw, X, sample_weight, owner)
    return integrated(curve, owner)


def integrated(curve: ScoreCurve, owner: str) -> Score:
    if curve.integrated is None:
        raise DataError(f"{owner} needs at least two times; got {curve.times}.")
    return curve.integrated


def _curve(
    name: str,
    y_train: Any,
    y: Any,
    survival: Any,
    times: Any,
    ipcw: str,
    X: Any,
    sample_weight: Any,
    owner: str,
) -> ScoreCurve:
    y = Surv.coerce(y)
    no_entry(y, owner)
    one_cause(y, owner)
    times = check_times(times, y, owner)
    censoring = resolve(y_train, X, y, ipcw, owner)
    problem = Problem(
        name,
        y,
        survival_at(survival, y, times, owner),
        times,
        case_weights(y, sample_weight, owner),
        case_ipcw(censoring, X, y, times[-1], ipcw),
        control_ipcw(censoring, X, times),
        ipcw == "pycox",
        np.zeros(len(y), dtype=bool),
    )
    return evaluate(problem)


def evaluate(p: Problem) -> ScoreCurve:
    """Sum losses by blocks of rows: once for the estimates, once for influences."""
    n, m = p.survival.shape
    total, mass, squares = np.zeros(m), np.zeros(m), np.zeros((3, m))
    for _, loss, share in _blocks(p):
        total += loss.sum(axis=0)
        mass += share.sum(axis=0)
        squares += [np.einsum("ij,ij->j", a, b) for a, b in _products(loss, share)]
    if not np.all(mass > 0):
        raise DataError(
            f"{p.name}: no row with a positive weight is known at time "
            f"{p.times[np.argmin(mass)]:g}."
        )
    estimate = total / mass
    variance = squares[0] - 2 * estimate * squares[1] + estimate**2 * squares[2]
    se = np.sqrt(np.maximum(variance, 0.0)) / mass
    bounds = (0.0, np.inf)
    if m == 1:
        return ScoreCurve(p.name, p.times, estimate, se, None, bounds)
    gap = np.diff(p.times) / (2 * (p.times[-1] - p.times[0]))
    rule = np.r_[gap, 0.0] + np.r_[0.0, gap]
    influence = np.empty(n)
    for rows, loss, share in _blocks(p):
        influence[rows] = loss @ (rule / mass) - share @ (rule * estimate / mass)
    whole = Score(
        f"integrated {p.name}",
        float(estimate @ rule),
        clusters(influence, p.y),
        bounds,
    )
    return ScoreCurve(p.name, p.times, estimate, se, whole, bounds)


def _products(loss: np.ndarray, share: np.ndarray) -> list[tuple[Any, Any]]:
    share = np.broadcast_to(share, loss.shape)
    return [(loss, loss), (loss, share), (share, share)]


def _blocks(p: Problem) -> Iterator[tuple[slice, np.ndarray, np.ndarray]]:
    """Give rows, weighted losses (r, m), and what they share in the denominator."""
    for start in range(0, len(p.y), _ROWS):
        rows = slice(start, start + _ROWS)
        s = p.survival[rows]
        case = (p.weight[rows] * p.case[rows])[:, None]
        lives = p.y.time[rows, None] > p.times
        control = p.control if len(p.control) == 1 else p.control[rows]
        weight = np.where(lives, p.weight[rows, None] * control, case)
        free = lives | p.other[rows, None]
        if p.name == "brier":
            loss = np.where(free, 1.0 - s, s) ** 2
        else:
            loss = -np.log(np.clip(np.where(free, s, 1.0 - s), _CLIP, 1 - _CLIP))
        share = weight if p.normalized else p.weight[rows, None]
        yield rows, weight * loss, np.broadcast_to(share, loss.shape)
