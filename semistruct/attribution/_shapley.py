"""Shapley values of modalities: the structured part and each deep term.

Letters: n rows, M players, K linear predictors.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from semistruct.attribution._predictor import GivenDeep, checked, contributions
from semistruct.exceptions import ColumnError, DataError, ParameterError

__all__ = ["ModalityShapley", "modality_shapley", "modality_shapley_score"]

STRUCTURED = "structured"
_MOST = 8  # players, 256 predictions
Value = Callable[[Any, pd.DataFrame], Any]


@dataclass(frozen=True)
class ModalityShapley:
    """Shapley values of modalities.

    Parameters
    ----------
    values : DataFrame of n rows
        A column for each player: ``"structured"`` and the labels of the deep terms.
    empty : Series of length n
        The value without any modality.
    full : Series of length n
        The value with all; ``empty + values.sum(axis=1)``.
    explained : str
        What the values are of, in words.
    """

    values: pd.DataFrame
    empty: pd.Series
    full: pd.Series
    explained: str

    def mean_abs(self) -> pd.Series:
        """Give the mean absolute value over the rows, by player.

        Returns
        -------
        Series of length M
            >= 0, in the order of the players.
        """
        return self.values.abs().mean(axis=0).rename("mean |Shapley value|")


def modality_shapley(
    model: Any, X: Any, *, value: Value | None = None
) -> ModalityShapley:
    """Share a prediction out to the modalities, exactly.

    The players are the structured part and each deep term. A deep term that does not
    play is masked; it adds 0, which after orthogonalisation is its mean. The structured
    part that does not play is that of a typical row of fit (medians, most frequent
    levels), while deep terms stay orthogonal to the row's own columns. So the value
    without any player is the prediction for a typical row without modalities.

    Parameters
    ----------
    model : estimator
        Fitted; a regressor, a classifier or a survival model.
    X : DataFrame of n rows
        Rows to explain.
    value : callable, optional
        ``value(model, X)`` gives a number (n,) for each row, by methods of the model it
        is handed, such as ``lambda m, X: m.predict_survival_function(X,
        times=[24]).values[:, 0]``. It may read structured columns of X in no other way,
        since these are replaced. By default the probability of the second of two
        classes, else ``predict``.

    Returns
    -------
    ModalityShapley

    Notes
    -----
    φ_i = Σ_S |S|! (M − |S| − 1)! / M! · (v(S + i) − v(S)) over the sets S without i:
    2^M predictions, M at most 8; the networks run once. Principal components and other
    features that enter as columns belong to the structured part. Shapley (1953),
    doi:10.1515/9781400881970-018; Štrumbelj & Kononenko (2014),
    doi:10.1007/s10115-013-0679-x.

    Examples
    --------
    >>> import semistruct as ss
    >>> X, y = ss.datasets.make_regression_digits(80, random_state=0)
    >>> model = ss.SemiStructuredRegressor(
    ...     "age + image(scan)", training=ss.Training(max_epochs=2), random_state=0
    ... ).fit(X, y)
    >>> found = ss.attribution.modality_shapley(model, X[:3])
    >>> list(found.values)
    ['structured', 'image(scan)']
    """
    owner = "attribution.modality_shapley"
    model, frame = checked(model, X, owner)
    name, evaluate = ("value", value) if value is not None else _default(model)

    def rows(shadow: Any, table: pd.DataFrame) -> np.ndarray:
        found = np.asarray(evaluate(shadow, table), dtype=np.float64)
        if found.shape != (len(frame),):
            raise ParameterError(
                parameter="value",
                owner=owner,
                allowed=f"a function that gives one number for each row, "
                f"({len(frame)},)",
                given=f"an array of shape {found.shape}",
                hint="Such as lambda m, X: m.predict_proba(X)[:, 0].",
            )
        return found

    return _shapley(model, frame, rows, frame.index, name, owner)


def modality_shapley_score(
    model: Any, X: Any, y: Any, *, scoring: Callable[..., Any] | None = None
) -> ModalityShapley:
    """Share a score of predictions out to the modalities, exactly.

    Parameters
    ----------
    model : estimator
        Fitted; a regressor, a classifier or a survival model.
    X : DataFrame of n rows
        Rows that the model was not fitted to.
    y : array-like or Surv of length n
        Their target.
    scoring : callable, optional
        ``scoring(model, X, y)``, such as ``ss.metrics.scorer("uno")``; by default the
        model's own ``score``.

    Returns
    -------
    ModalityShapley
        Of one row, labelled ``"score"``.

    Notes
    -----
    Players and their absence are those of `modality_shapley`: the score without any
    player is that of a constant prediction, such as a concordance of .5.

    Examples
    --------
    >>> import semistruct as ss
    >>> X, y = ss.datasets.make_regression_digits(120, random_state=0)
    >>> model = ss.SemiStructuredRegressor(
    ...     "age + image(scan)", training=ss.Training(max_epochs=2), random_state=0
    ... ).fit(X[:80], y[:80])
    >>> found = ss.attribution.modality_shapley_score(model, X[80:], y[80:])
    >>> bool(abs(found.full.iloc[0] - model.score(X[80:], y[80:])) < 1e-6)
    True
    """
    owner = "attribution.modality_shapley_score"
    model, frame = checked(model, X, owner)

    def score(shadow: Any, table: pd.DataFrame) -> np.ndarray:
        if scoring is None:
            return np.array([float(shadow.score(table, y))])
        return np.array([float(scoring(shadow, table, y))])

    return _shapley(model, frame, score, pd.Index(["score"]), "score", owner)


def shapley(worth: np.ndarray) -> np.ndarray:
    """Give Shapley values (n, M) from the worth (2^M, n) of every set of players.

    The i-th player is in set number s where bit i of s is 1.
    """
    size, n = worth.shape
    players = size.bit_length() - 1
    sets = np.arange(size)
    members = np.array([s.bit_count() for s in sets.tolist()])
    out = np.empty((n, players))
    for i in range(players):
        without = sets[(sets >> i) & 1 == 0]
        share = 1.0 / (
            players * np.array([math.comb(players - 1, m) for m in members[without]])
        )
        out[:, i] = share @ (worth[without | (1 << i)] - worth[without])
    return out


def _shapley(
    model: Any,
    frame: pd.DataFrame,
    evaluate: Callable[[Any, pd.DataFrame], np.ndarray],
    index: pd.Index,
    explained: str,
    owner: str,
) -> ModalityShapley:
    """Evaluate every coalition."""
    predictor = model.predictor_
    parts = list(predictor.parts.values())
    names = [STRUCTURED, *(part.term.label for part in parts)]
    players = len(names)
    if players > _MOST:
        raise ParameterError(
            parameter="model",
            owner=owner,
            allowed=f"one with at most {_MOST - 1} deep terms: the exact values need a "
            "prediction for every set of modalities",
            given=f"{players - 1} deep terms",
        )
    terms = contributions(model, frame)
    own = np.zeros((len(parts), len(frame), len(terms)))  # (M − 1, n, K)
    for j, part in enumerate(parts):
        for k in part.targets:
            own[j, :, k] = terms[k][part.term.label]
    typical = _typical(model, frame, owner)
    worth = []
    for number in range(2**players):
        present = [j for j in range(len(parts)) if (number >> (j + 1)) & 1]
        shadow = copy.copy(model)
        shadow.predictor_ = GivenDeep(predictor, own[present].sum(axis=0))
        worth.append(evaluate(shadow, frame if number & 1 else typical))
    table = np.stack(worth)
    if not np.isfinite(table).all():
        raise DataError(f"{owner}: the value of a set of modalities is not finite.")
    return ModalityShapley(
        pd.DataFrame(shapley(table), index=index, columns=names),
        pd.Series(table[0], index=index, name="empty"),
        pd.Series(table[-1], index=index, name="full"),
        explained,
    )


def _typical(model: Any, frame: pd.DataFrame, owner: str) -> pd.DataFrame:
    """Put typical values into the structured columns of a table."""
    predictor = model.predictor_
    values: dict[str, list[Any]] = {}
    for design in predictor.designs:
        for column in design.columns:
            if column in predictor.provided:
                continue
            if column not in model.profile_:
                raise ColumnError(
                    f"{owner}: the model has no typical value of {column!r}; fit it "
                    "again with this version."
                )
            values[column] = [model.profile_[column]["typical"]] * len(frame)
    if not values:
        return frame
    replaced = pd.DataFrame(values, index=frame.index)
    return frame.assign(**{str(name): column for name, column in replaced.items()})


def _default(model: Any) -> tuple[str, Value]:
    """Give what a model predicts, with its name."""
    if hasattr(model, "predict_proba") and len(model.classes_) == 2:
        return (
            f"probability of {model.classes_[1]}",
            lambda own, table: own.predict_proba(table)[:, 1],
        )
    if hasattr(model, "predict_proba"):
        raise ParameterError(
            parameter="value",
            owner="attribution.modality_shapley",
            allowed=f"a function of one class, of {len(model.classes_)}",
            given=None,
            hint="Such as lambda m, X: m.predict_proba(X)[:, 0].",
        )
    if hasattr(model, "curves_"):
        return "risk", lambda own, table: own.predict(table)
    return "prediction", lambda own, table: own.predict(table)
