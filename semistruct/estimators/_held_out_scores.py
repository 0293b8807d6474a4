"""Scores of held-out rows, with resamples of these rows: no prediction is made twice.

Letters: n rows, B resamples, M metrics.
"""

from __future__ import annotations

import inspect
import time
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from sklearn.base import is_classifier
from sklearn.metrics import get_scorer

from semistruct._core.randomness import generator
from semistruct._core.step import StepFunction
from semistruct._core.surv import Surv
from semistruct._core.validation import suggest
from semistruct.exceptions import DataError, ParameterError
from semistruct.metrics import scorer

__all__ = ["FoldScores", "fit_and_score", "resolve_metrics"]

Scoring = Callable[[Any, Any, Any], float]

_OWNER = "compare_modalities()"
_SURVIVAL = ("harrell", "uno", "antolini", "ibs", "nbll", "auc")


class FoldScores(NamedTuple):
    """One model on one fold: scores by metric, resampled scores (M, B), seconds."""

    scores: dict[str, float]
    resampled: np.ndarray
    seconds: float


def resolve_metrics(metrics: Any, estimator: Any, y: Any) -> dict[str, Scoring]:
    """Give the scorers by name; of each, higher is better."""
    survival = isinstance(y, Surv)
    if metrics is None:
        default = "accuracy" if is_classifier(estimator) else "r2"
        metrics = ["harrell" if survival else default]
    if isinstance(metrics, str):
        metrics = [metrics]
    if isinstance(metrics, Mapping):
        found = dict(metrics)
    else:
        found = {str(name): name for name in metrics}
    if not found:
        raise ParameterError(
            parameter="metrics", owner=_OWNER, allowed="one or more", given=metrics
        )
    return {name: _scorer(value, survival) for name, value in found.items()}


def _scorer(given: Any, survival: bool) -> Scoring:
    if callable(given):
        return given
    if survival and given in _SURVIVAL:
        return scorer(given)
    try:
        return get_scorer(given)
    except ValueError as error:
        known = _SURVIVAL if survival else ("r2", "accuracy", "roc_auc")
        raise ParameterError(
            parameter="metrics",
            owner=_OWNER,
            allowed="names of ss.metrics.scorer (survival) or of scikit-learn, or a "
            "dict of callables scorer(estimator, X, y)",
            given=given,
            hint=suggest(str(given), known),
        ) from error


def fit_and_score(
    model: Any,
    X: pd.DataFrame,
    y: Any,
    groups: np.ndarray | None,
    rows: tuple[np.ndarray, np.ndarray],
    metrics: Mapping[str, Scoring],
    n_boot: int,
    seed: int,
) -> FoldScores:
    """Fit to some rows, score the others, and score resamples of the others.

    The same seed gives the same resamples, whatever the model. A resample on which a
    metric is not defined is NaN.
    """
    train, test = rows
    start = time.perf_counter()
    own = None if groups is None else groups[train]
    model.fit(X.iloc[train], take(y, train), **_groups(model, own))
    seconds = time.perf_counter() - start
    model = getattr(model, "best_estimator_", model)
    held = take(y, test)
    predictions = _Predictions(model, X.iloc[test])
    at = pd.DataFrame(index=np.arange(len(test)))
    scores = {name: float(s(predictions, at, held)) for name, s in metrics.items()}
    resampled = np.full((len(metrics), n_boot), np.nan)
    units = None if groups is None else groups[test]
    for b, drawn in enumerate(_resamples(len(test), units, n_boot, seed)):
        part, target = at.iloc[drawn], take(held, drawn)
        for m, score in enumerate(metrics.values()):
            try:
                resampled[m, b] = score(predictions, part, target)
            except (DataError, ValueError):
                continue  # such as without an event
    return FoldScores(scores, resampled, seconds)


def take(values: Any, rows: np.ndarray) -> Any:
    """Give some rows of a target."""
    return values.iloc[rows] if hasattr(values, "iloc") else values[rows]


def _groups(model: Any, groups: np.ndarray | None) -> dict[str, Any]:
    """Give the groups to a fit that takes them."""
    if groups is None:
        return {}
    parameters = inspect.signature(model.fit).parameters
    takes = "groups" in parameters or hasattr(model, "cv")  # a search splits again
    return {"groups": groups} if takes else {}


def _resamples(n: int, groups: np.ndarray | None, n_boot: int, seed: int) -> Any:
    """Draw rows with replacement, those of one group together."""
    rng = generator(seed)
    labels = np.arange(n) if groups is None else pd.factorize(groups)[0]
    order = np.argsort(labels, kind="stable")
    members = np.split(order, np.cumsum(np.bincount(labels))[:-1])
    for _ in range(n_boot):
        drawn = rng.integers(0, len(members), len(members))
        yield np.concatenate([members[i] for i in drawn])


class _Predictions:
    """A fitted model whose predictions of n rows are made once and then taken.

    Its methods read the index of their argument, 0 … n − 1; what does not predict is
    that of the model.
    """

    def __init__(self, model: Any, X: pd.DataFrame) -> None:
        self._model, self._X = model, X
        self._made: dict[str, Any] = {}

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._model, name)
        if not (name.startswith("predict") or name == "decision_function"):
            return found

        def predict(rows: pd.DataFrame, **options: Any) -> Any:
            at = rows.index.to_numpy()
            if "strata" in options:  # of the rows that are asked for
                return found(self._X.iloc[at], **options)
            key = name + "".join(f"{k}={_named(v)}" for k, v in options.items())
            if key not in self._made:
                self._made[key] = found(self._X, **options)
            return _rows_of(self._made[key], at)

        predict.__name__ = name
        return predict


def _named(value: Any) -> str:
    return repr(np.asarray(value).tolist())


def _rows_of(values: Any, rows: np.ndarray) -> Any:
    if isinstance(values, dict):
        return {key: _rows_of(value, rows) for key, value in values.items()}
    if hasattr(values, "iloc"):
        return values.iloc[rows]
    kept = isinstance(values, StepFunction)
    return values[rows] if kept else np.asarray(values)[rows]
