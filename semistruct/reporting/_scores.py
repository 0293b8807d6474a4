"""Scores of predictions with intervals, for the three kinds of models.

Letters: n rows, C classes, B resamples.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pandas as pd

from semistruct import metrics
from semistruct._core.randomness import RandomState, generator
from semistruct._core.step import StepFunction
from semistruct._core.surv import Surv

__all__ = [
    "binned_risk",
    "horizon",
    "proportions",
    "resampled",
    "score_classes",
    "score_numbers",
    "score_survival",
]

_COLUMNS = ["score", "estimate", "lower", "upper", "interval"]
_TINY = 1e-15
Measure = Callable[..., float]


def resampled(
    measures: Mapping[str, Measure],
    arrays: tuple[np.ndarray, ...],
    n_boot: int,
    level: float,
    random_state: RandomState,
) -> pd.DataFrame:
    """Give measures of fixed predictions with percentile intervals of the bootstrap.

    Parameters
    ----------
    measures : mapping of str to callable
        ``measure(*arrays)``; NaN where it is not defined.
    arrays : tuple of ndarray of n rows
        Responses, predictions, weights: drawn together.
    n_boot : int
        B resamples of the rows.
    level : float in (0, 1)
        Coverage.
    random_state : int, Generator, RandomState or None
        Source of the draws.

    Returns
    -------
    DataFrame
        A row for each measure; resamples without a value are left out.
    """
    rng, n = generator(random_state), len(arrays[0])
    draws = np.empty((n_boot, len(measures)))
    for b in range(n_boot):
        rows = rng.integers(0, n, n)
        part = [values[rows] for values in arrays]
        draws[b] = [measure(*part) for measure in measures.values()]
    out = []
    for k, (name, measure) in enumerate(measures.items()):
        kept = draws[np.isfinite(draws[:, k]), k]
        ends = [0.5 - level / 2, 0.5 + level / 2]
        low, high = np.quantile(kept, ends) if len(kept) else (np.nan, np.nan)
        out.append((name, measure(*arrays), low, high, "bootstrap of rows"))
    return pd.DataFrame(out, columns=_COLUMNS).set_index("score")


def score_numbers(
    y: np.ndarray,
    mean: np.ndarray,
    weight: np.ndarray,
    *,
    n_boot: int,
    level: float,
    random_state: RandomState,
) -> pd.DataFrame:
    """Score predicted means: R², root mean squared and mean absolute error.

    Parameters
    ----------
    y, mean, weight : ndarray of shape (n,)
        Responses, predictions and weights >= 0.
    n_boot, level, random_state
        As in `resampled`.

    Returns
    -------
    DataFrame
    """

    def r2(y: np.ndarray, mean: np.ndarray, weight: np.ndarray) -> float:
        centre = np.average(y, weights=weight)
        total = np.sum(weight * (y - centre) ** 2)
        return float(1 - np.sum(weight * (y - mean) ** 2) / total) if total else np.nan

    def rmse(y: np.ndarray, mean: np.ndarray, weight: np.ndarray) -> float:
        return float(np.sqrt(np.average((y - mean) ** 2, weights=weight)))

    def mae(y: np.ndarray, mean: np.ndarray, weight: np.ndarray) -> float:
        return float(np.average(np.abs(y - mean), weights=weight))

    named: dict[str, Measure] = {
        "R²": r2,
        "root mean squared error": rmse,
        "mean absolute error": mae,
    }
    return resampled(named, (y, mean, weight), n_boot, level, random_state)


def score_classes(
    code: np.ndarray,
    probability: np.ndarray,
    *,
    n_boot: int,
    level: float,
    random_state: RandomState,
) -> pd.DataFrame:
    """Score predicted probabilities of classes.

    Parameters
    ----------
    code : ndarray of shape (n,) of int
        Class of each row, 0 to C − 1.
    probability : ndarray of shape (n, C)
        Of the classes.
    n_boot, level, random_state
        As in `resampled`.

    Returns
    -------
    DataFrame
        The area under the ROC curve (of two classes), the log loss, the Brier score
        Σ_c (p_c − 1{y = c})², of two classes half of it, and the accuracy.
    """
    two = probability.shape[1] == 2

    def brier(code: np.ndarray, probability: np.ndarray) -> float:
        gap = probability - np.eye(probability.shape[1])[code]
        return float(np.mean(np.sum(gap**2, axis=1))) / (1 + two)

    def log_loss(code: np.ndarray, probability: np.ndarray) -> float:
        own = probability[np.arange(len(code)), code]
        return float(-np.mean(np.log(np.maximum(own, _TINY))))

    def accuracy(code: np.ndarray, probability: np.ndarray) -> float:
        return float(np.mean(probability.argmax(axis=1) == code))

    named: dict[str, Measure] = {"area under the ROC curve": _auc} if two else {}
    named |= {"log loss": log_loss, "Brier score": brier, "accuracy": accuracy}
    return resampled(named, (code, probability), n_boot, level, random_state)


def _auc(code: np.ndarray, probability: np.ndarray) -> float:
    """Mann and Whitney's: P(p_i > p_j) + P(p_i = p_j)/2 of a case i and a control j."""
    n = len(code)
    cases = int(np.sum(code))
    if cases in (0, n):
        return np.nan
    _, place, count = np.unique(
        probability[:, 1], return_inverse=True, return_counts=True
    )
    rank = np.cumsum(count) - (count - 1) / 2  # mean rank of ties
    above = rank[place][code == 1].sum() - cases * (cases + 1) / 2
    return float(above / (cases * (n - cases)))


def score_survival(
    y: Surv, risk: np.ndarray, curves: StepFunction, censoring: Any, level: float
) -> pd.DataFrame:
    """Score risks and survival curves of one kind of event.

    Parameters
    ----------
    y : Surv
        Times and events of n rows.
    risk : ndarray of shape (n,)
        Higher for an earlier event.
    curves : StepFunction of n rows
        S(t | x).
    censoring : CensoringDistribution
        Of the rows of fit.
    level : float in (0, 1)
        Coverage.

    Returns
    -------
    DataFrame
        Harrell's C and, without late entry, Uno's C, the Brier score at half of the
        events and its integral up to there, with intervals by the infinitesimal
        jackknife.
    """
    found = {"Harrell's C": metrics.harrell(y, risk)}
    time = horizon(y)
    if time is not None and y.entry is None and y.weights is None:
        earlier = np.unique(y.time[y.event & (y.time <= time)])
        grid = earlier[np.linspace(0, len(earlier) - 1, 50).astype(int)]
        grid = np.unique(grid)
        found[f"Uno's C up to {time:.4g}"] = metrics.uno(
            censoring, y, risk, tau=float(np.nextafter(time, np.inf))
        )
        curve = metrics.brier_score(censoring, y, curves(grid), grid)
        if curve.integrated is not None:
            found[f"integrated Brier score up to {time:.4g}"] = curve.integrated
    rows = [
        (name, score.estimate, *score.interval(level), "infinitesimal jackknife")
        for name, score in found.items()
    ]
    return pd.DataFrame(rows, columns=_COLUMNS).set_index("score")


def horizon(y: Surv) -> float | None:
    """Give a time at which predictions can be looked at.

    The time by which three of four events were seen, while a tenth of the rows is still
    followed.

    Parameters
    ----------
    y : Surv
        Times and events.

    Returns
    -------
    float or None
        None without two distinct times of events.
    """
    events = np.unique(y.time[y.event])
    if len(events) < 2:
        return None
    late = np.quantile(y.time[y.event], 0.75)
    followed = np.quantile(y.time, 0.9)
    known = events[events <= min(late, followed)]
    return float(known[-1]) if len(known) else None


def proportions(
    count: np.ndarray, n: np.ndarray, z: float
) -> tuple[np.ndarray, np.ndarray]:
    """Give Wilson's limits of proportions.

    Parameters
    ----------
    count, n : ndarray
        Successes and trials > 0.
    z : float
        Normal quantile.

    Returns
    -------
    lower, upper : ndarray

    References
    ----------
    Wilson (1927), JASA 22, 209-212, doi:10.1080/01621459.1927.10502953
    """
    share, spread = count / n, z**2 / n
    centre = (share + spread / 2) / (1 + spread)
    half = np.sqrt(share * (1 - share) * spread + spread**2 / 4) / (1 + spread)
    return centre - half, centre + half


def binned_risk(
    event: np.ndarray, risk: np.ndarray, z: float, bins: int = 10
) -> pd.DataFrame:
    """Give mean predicted and observed risk in groups of predicted risk.

    Parameters
    ----------
    event : ndarray of shape (n,) of bool
        What was seen.
    risk : ndarray of shape (n,)
        Its predicted probability.
    z : float
        Normal quantile of the intervals (Wilson's).
    bins : int, default=10
        Groups of about equal size; tied predictions stay together.

    Returns
    -------
    DataFrame
        Columns predicted, observed, lower, upper, n: as `plots.calibration` takes it.
    """
    cuts = np.unique(np.quantile(risk, np.linspace(0, 1, bins + 1)[1:-1]))
    group = np.unique(np.searchsorted(cuts, risk, side="left"), return_inverse=True)[1]
    n = np.bincount(group)
    seen = np.bincount(group, weights=event)
    lower, upper = proportions(seen, n, z)
    predicted = np.bincount(group, weights=risk) / n
    values = {"predicted": predicted, "observed": seen / n}
    return pd.DataFrame({**values, "lower": lower, "upper": upper, "n": n})
