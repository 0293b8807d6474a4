"""Effects on the scale of the response, averaged over rows."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import torch
from sklearn.utils.validation import check_is_fitted

from semistruct._core.terms import Offset
from semistruct._core.validation import suggest
from semistruct.exceptions import ColumnError, DataError
from semistruct.inference import AverageEffect
from semistruct.inference import average_comparison as compare_averages
from semistruct.inference import average_slope as slope_of_averages

from ._compare import residual_df

__all__ = ["average_comparison", "average_slope"]

_Rows = Callable[[np.ndarray], np.ndarray]


def average_comparison(
    model: Any,
    X: pd.DataFrame,
    column: str,
    low: Any,
    high: Any,
    *,
    kind: str = "difference",
    level: float = 0.95,
) -> AverageEffect:
    """Compare the mean response with a column at ``high`` and at ``low`` in every row.

    Deep terms stay as they are: what the image says is held fixed.

    Parameters
    ----------
    model : estimator
        Fitted regressor or binary classifier.
    X : DataFrame of n rows
        The rows that are averaged over.
    column : str
        Structured column.
    low, high : object
        The two values.
    kind : {"difference", "ratio"}, default="difference"
        Difference of the mean responses, or their ratio.
    level : float in (0, 1), default=0.95
        Level of the interval.

    Returns
    -------
    AverageEffect
        ``estimate``, ``std_error`` (delta method), ``lower``, ``upper``.

    Examples
    --------
    >>> import semistruct as ss
    >>> X, y = ss.datasets.load_regression_digits()
    >>> model = ss.GAM("age + C(stage)").fit(X, y)
    >>> effect = ss.analysis.average_comparison(model, X, "stage", "I", "III")
    >>> bool(abs(effect.estimate - model.params_["C(stage)[T.III]"]) < 1e-10)
    True
    """
    _check(model, X, column)
    high_at, low_at = (_design(model, X, column, value) for value in (high, low))
    mean, derivative = _response(model)
    return compare_averages(
        high_at,
        low_at,
        model.exact_.coef,
        model.exact_.cov,
        mean,
        derivative,
        kind=kind,
        offset=_rest(model, X),
        level=level,
        df_residual=residual_df(model),
    )


def average_slope(
    model: Any, X: pd.DataFrame, column: str, *, level: float = 0.95
) -> AverageEffect:
    """Average the derivative of the mean response in a column (marginal effect).

    Parameters
    ----------
    model : estimator
        Fitted regressor or binary classifier.
    X : DataFrame of n rows
        The rows that are averaged over.
    column : str
        Numeric structured column.
    level : float in (0, 1), default=0.95
        Level of the interval.

    Returns
    -------
    AverageEffect
        ``estimate``, ``std_error`` (delta method), ``lower``, ``upper``.

    Examples
    --------
    >>> import semistruct as ss
    >>> X, y = ss.datasets.load_regression_digits()
    >>> model = ss.GAM("age").fit(X, y)
    >>> slope = ss.analysis.average_slope(model, X, "age").estimate
    >>> bool(abs(slope - model.coef_[0]) < 1e-8)
    True
    """
    _check(model, X, column)
    if "range" not in model.profile_[column]:
        raise ColumnError(f"{column!r} has levels; average_comparison compares two.")
    values = X[column].to_numpy(dtype=np.float64)
    low, high = model.profile_[column]["range"]
    width = 1e-4 * max(high - low, 1e-8)
    mean, derivative = _response(model)
    return slope_of_averages(
        _design(model, X, column, values + width / 2),
        _design(model, X, column, values - width / 2),
        width,
        model.exact_.coef,
        model.exact_.cov,
        mean,
        derivative,
        offset=_rest(model, X),
        level=level,
        df_residual=residual_df(model),
    )


def _check(model: Any, X: pd.DataFrame, column: str) -> None:
    check_is_fitted(model, "predictor_")
    # the mean of a family of classes is a row of probabilities
    family = getattr(model, "family_", None)
    if family is None or hasattr(family, "n_classes"):
        raise DataError(
            f"{type(model).__name__} has no mean response of one number; effects are "
            "there for regressors and for classifiers of two classes."
        )
    if column not in model.profile_:
        raise ColumnError(
            f"{column!r} is no structured column of the model."
            f"{suggest(column, model.profile_)}"
        )
    predictor = model.predictor_
    held: set[str | None] = {
        c
        for d in predictor.designs
        for t in d.terms
        if isinstance(t, Offset)
        for c in t.columns
    }
    for part in predictor.parts.values():
        held.update(part.modality.columns, [getattr(part.term, "by", None)])
    if column in held:  # these parts stay as they are when the column is set
        raise ColumnError(
            f"An offset or a deep term reads {column!r} too; its effect is not that of "
            "the structured terms alone. Average predict() over changed tables."
        )


def _design(model: Any, X: pd.DataFrame, column: str, value: Any) -> list[np.ndarray]:
    """Evaluate the designs with a column set to a value, its type kept."""
    frame = model._frame(X).copy()
    dtype = frame[column].dtype
    frame[column] = value
    if isinstance(dtype, pd.CategoricalDtype) and value in dtype.categories:
        frame[column] = frame[column].astype(dtype)
    return model.predictor_.matrices(frame)


def _rest(model: Any, X: pd.DataFrame) -> np.ndarray:
    """Give what is not structured, (n, K): offsets and deep terms."""
    frame = model._frame(X)
    predictor = model.predictor_
    total = predictor.linear_predictor(frame)
    for k, matrix in enumerate(predictor.matrices(frame)):
        total[:, k] -= matrix @ predictor.predictors[k].coef
    return total


def _response(model: Any) -> tuple[_Rows, _Rows]:
    """Give the mean response and its derivative in the linear predictors."""
    family = model.family_

    def mean(eta: np.ndarray) -> np.ndarray:
        return family.mean(torch.as_tensor(eta)).numpy()

    def derivative(eta: np.ndarray) -> np.ndarray:
        point = torch.as_tensor(eta).clone().requires_grad_(True)
        (slope,) = torch.autograd.grad(family.mean(point).sum(), point)
        return slope.numpy()

    return mean, derivative
