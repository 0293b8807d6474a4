"""Bootstrap intervals, and the optimism of scores on the training data."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from semistruct._core.randomness import RandomState, generator
from semistruct._core.step import StepFunction
from semistruct._core.surv import Surv
from semistruct._core.validation import check_number
from semistruct.exceptions import DataError

__all__ = ["BootstrapInterval", "Optimism", "bootstrap_ci", "optimism_corrected"]


@dataclass(frozen=True, eq=False)
class BootstrapInterval:
    """Result of `bootstrap_ci`.

    Parameters
    ----------
    estimate : float
        Value on the data.
    lower, upper : float
        Percentile interval.
    se : float
        Standard deviation of the resampled values.
    values : ndarray of shape (n_boot − n_failed,)
        The resampled values.
    n_failed : int
        Resamples on which the metric was not defined.
    """

    estimate: float
    lower: float
    upper: float
    se: float
    values: np.ndarray = field(repr=False)
    n_failed: int = 0


@dataclass(frozen=True, eq=False)
class Optimism:
    """Result of `optimism_corrected`; ``float()`` gives the corrected value.

    Parameters
    ----------
    apparent : float
        Value of the model on the data it was fitted to.
    optimism : float
        Mean of the differences.
    corrected : float
        Apparent value minus optimism.
    values : ndarray of shape (n_boot − n_failed,)
        Differences: value on the resample minus value on the data.
    n_failed : int
        Resamples on which the metric was not defined.
    """

    apparent: float
    optimism: float
    corrected: float
    values: np.ndarray = field(repr=False)
    n_failed: int = 0

    def __float__(self) -> float:
        return self.corrected


def bootstrap_ci(
    metric: Callable[..., Any],
    y: Any,
    *predictions: Any,
    n_boot: int = 200,
    level: float = 0.95,
    seed: RandomState = None,
) -> BootstrapInterval:
    """Percentile bootstrap interval of any metric of fixed predictions.

    Parameters
    ----------
    metric : callable
        ``metric(y, *predictions)``, giving a number or what ``float`` takes.
    y : Surv, or what ``Surv.coerce`` takes
        Times and events of n rows. Rows of one ``id`` are drawn together.
    *predictions : array-like or StepFunction of n rows
        Drawn with the rows of y.
    n_boot : int, default=200
        Number of resamples.
    level : float, default=0.95
        Coverage, in (0, 1).
    seed : int, Generator, RandomState or None
        Source of the draws.

    Returns
    -------
    BootstrapInterval

    Raises
    ------
    DataError
        If lengths differ, or the metric is defined on fewer than half of the resamples.

    References
    ----------
    Efron & Tibshirani (1993), An Introduction to the Bootstrap,
    doi:10.1201/9780429246593

    Examples
    --------
    >>> import semistruct as ss
    >>> X, y = ss.datasets.load_rossi()
    >>> prio = X["prio"].to_numpy()
    >>> found = ss.metrics.bootstrap_ci(ss.metrics.harrell, y, prio, seed=0)
    >>> round(found.estimate, 3), found.n_failed
    (0.588, 0)
    """
    y, owner = Surv.coerce(y), "bootstrap_ci()"
    _check(n_boot, level, owner)
    for p in predictions:
        if len(p) != len(y):
            raise DataError(
                f"{owner}: a prediction has {len(p)} rows, but y has {len(y)}."
            )
    estimate = float(metric(y, *predictions))
    values, failed = [], 0
    for rows in _resamples(y, n_boot, seed):
        try:
            values.append(
                float(metric(y[rows], *(_take(p, rows) for p in predictions)))
            )
        except DataError as error:
            failed += 1
            _too_many(failed, n_boot, owner, error)
    drawn = np.array(values)
    low, high = np.quantile(drawn, [0.5 - level / 2, 0.5 + level / 2])
    se = float(drawn.std(ddof=1)) if len(drawn) > 1 else float("nan")
    return BootstrapInterval(estimate, float(low), float(high), se, drawn, failed)


def optimism_corrected(
    fit_predict: Callable[[Any, Any, Any], Any],
    X: Any,
    y: Any,
    metric: Callable[[Any, Any], Any],
    *,
    n_boot: int = 200,
    seed: RandomState = None,
) -> Optimism:
    """Harrell's bootstrap: what a score on the training data promises too much.

    A model is fitted to each resample; its score there minus its score on all the data
    estimates the optimism. Everything that was learned from y (selection, tuning)
    belongs into ``fit_predict``.

    Parameters
    ----------
    fit_predict : callable
        ``fit_predict(X_fit, y_fit, X)`` fits a model anew and gives its predictions for
        the rows of X: an array or a StepFunction.
    X : DataFrame or array-like of n rows
        The table.
    y : Surv, or what ``Surv.coerce`` takes
        Times and events. Rows of one ``id`` are drawn together.
    metric : callable
        ``metric(y, prediction)``, giving a number or what ``float`` takes.
    n_boot : int, default=200
        Number of resamples, and of fits.
    seed : int, Generator, RandomState or None
        Source of the draws.

    Returns
    -------
    Optimism

    Raises
    ------
    DataError
        If lengths differ, or the metric is defined on fewer than half of the resamples.

    References
    ----------
    Harrell, Lee & Mark (1996), Statistics in Medicine 15, 361-387,
    doi:10.1002/(SICI)1097-0258(19960229)15:4<361::AID-SIM168>3.0.CO;2-4

    Examples
    --------
    >>> import semistruct as ss
    >>> X, y = ss.datasets.load_rossi()
    >>> def fit_predict(X_fit, y_fit, X):
    ...     return ss.SemiStructuredSurvival("prio + age").fit(X_fit, y_fit).predict(X)
    >>> found = ss.metrics.optimism_corrected(
    ...     fit_predict, X, y, ss.metrics.concordance_index, n_boot=5, seed=0
    ... )
    >>> round(found.apparent, 3)
    0.633
    """
    y, owner = Surv.coerce(y), "optimism_corrected()"
    _check(n_boot, 0.95, owner)
    if len(X) != len(y):
        raise DataError(f"{owner}: X has {len(X)} rows, but y has {len(y)}.")
    apparent = float(metric(y, fit_predict(X, y, X)))
    values, failed = [], 0
    for rows in _resamples(y, n_boot, seed):
        prediction = fit_predict(_take(X, rows), y[rows], X)
        try:
            there = float(metric(y[rows], _take(prediction, rows)))
            values.append(there - float(metric(y, prediction)))
        except DataError as error:
            failed += 1
            _too_many(failed, n_boot, owner, error)
    drawn = np.array(values)
    optimism = float(drawn.mean())
    return Optimism(apparent, optimism, apparent - optimism, drawn, failed)


def _check(n_boot: int, level: float, owner: str) -> None:
    check_number(n_boot, parameter="n_boot", owner=owner, low=1, high=1e9, integer=True)
    check_number(level, parameter="level", owner=owner, low=0, high=1, closed="neither")


def _resamples(y: Surv, n_boot: int, seed: RandomState) -> Any:
    rng = generator(seed)
    if y.id is None:
        for _ in range(n_boot):
            yield rng.integers(0, len(y), len(y))
        return
    label = pd.factorize(y.id)[0]
    order = np.argsort(label, kind="stable")
    members = np.split(order, np.cumsum(np.bincount(label))[:-1])
    for _ in range(n_boot):
        drawn = rng.integers(0, len(members), len(members))
        yield np.concatenate([members[i] for i in drawn])


def _take(values: Any, rows: np.ndarray) -> Any:
    if hasattr(values, "iloc"):
        return values.iloc[rows]
    if isinstance(values, StepFunction | np.ndarray):
        return values[rows]
    return np.asarray(values)[rows]


def _too_many(failed: int, n_boot: int, owner: str, error: DataError) -> None:
    if 2 * failed > n_boot:
        raise DataError(
            f"{owner}: the metric is not defined on more than half of the resamples; "
            f"the last said: {error}"
        ) from error
