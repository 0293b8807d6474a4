"""What an estimator takes: tables, weights, targets and terms, checked."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from sklearn.utils.validation import column_or_1d, validate_data

from semistruct._core.terms import (
    DeepTerm,
    Linear,
    StructuredTerm,
    Term,
)
from semistruct._core.validation import suggest
from semistruct.design import parse_formula, quote_column
from semistruct.exceptions import (
    ColumnError,
    DataError,
    FormulaError,
    ParameterError,
    TargetError,
)

__all__ = [
    "as_formulas",
    "as_frame",
    "as_terms",
    "check_columns",
    "check_groups",
    "check_precision",
    "check_target_given",
    "check_weight",
    "deep_targets",
    "dispersions",
    "drop_missing",
    "split_terms",
]


def as_formulas(
    terms: Any, columns: Sequence[str] | None = None
) -> dict[str | None, tuple[Term, ...]]:
    """Read the ``terms`` parameter: one formula, or one for each parameter.

    One formula, one list of terms or None has the key None; a dict keeps its keys, as
    strings.
    """
    if terms is None and columns is not None and not len(columns):
        raise DataError("terms=None takes every column, but the table has none.")
    if not isinstance(terms, Mapping):
        return {None: as_terms(terms, columns)}
    named = {str(name): formula for name, formula in terms.items()}
    plain = all(isinstance(name, str | int | float | np.generic) for name in terms)
    if not terms or not plain or len(named) < len(terms):
        raise ParameterError(
            parameter="terms",
            owner="the estimator",
            allowed="a dict from distribution parameters or causes to formulas",
            given=terms,
        )
    return {name: as_terms(formula, columns) for name, formula in named.items()}


def as_terms(terms: Any, columns: Sequence[str] | None = None) -> tuple[Term, ...]:
    """Read one formula, one list of terms, or None.

    ``None`` is every column linear; without ``columns`` it gives no terms.
    """
    if terms is None:
        if columns is None:
            return ()
        return (Linear(" + ".join(map(quote_column, columns))),)
    if isinstance(terms, str):
        return parse_formula(terms)
    if isinstance(terms, Term):
        return (terms,)
    if isinstance(terms, list | tuple) and all(isinstance(t, Term) for t in terms):
        return tuple(terms)
    raise ParameterError(
        parameter="terms",
        owner="the estimator",
        allowed="a formula, a list of terms such as Smooth('bmi'), or None",
        given=terms,
        hint="A dict gives one of these to each of several distribution parameters.",
    )


def split_terms(
    terms: Sequence[Term],
) -> tuple[tuple[StructuredTerm, ...], tuple[DeepTerm, ...]]:
    """Divide terms into structured and deep ones; a name may stand only once."""
    deep = tuple(t for t in terms if isinstance(t, DeepTerm))
    return tuple(t for t in terms if isinstance(t, StructuredTerm)), deep


def deep_targets(
    deep: Sequence[Sequence[DeepTerm]],
) -> list[tuple[DeepTerm, tuple[int, ...]]]:
    """Say to which linear predictors each deep term adds.

    ``deep`` are the deep terms of each predictor. A term that stands in several of them
    is one term with one encoder and several outputs. Two terms that read the same
    column otherwise are an error.
    """
    targets: dict[DeepTerm, tuple[int, ...]] = {}
    for k, terms in enumerate(deep):
        for term in terms:
            if k in targets.get(term, ()):
                raise FormulaError(f"The term {term.label} stands there twice.")
            targets[term] = (*targets.get(term, ()), k)
    names = [term.name for term in targets]
    for name in names:
        if names.count(name) > 1:
            raise FormulaError(
                f"Two deep terms read {name!r}; put what they should share into one "
                "term, or copy the column under another name."
            )
    return list(targets.items())


def as_frame(estimator: Any, X: Any, *, reset: bool) -> pd.DataFrame:
    """Give ``X`` as a DataFrame with string column names.

    A bare array gets the names ``x0``, ``x1``, …; scikit-learn's own rules hold for it.
    A DataFrame is not copied and keeps columns that no term uses.
    """
    if isinstance(X, pd.DataFrame):
        strings = [isinstance(c, str) for c in X.columns]
        if any(strings) and not all(strings):
            kinds = sorted({type(c).__name__ for c in X.columns})
            raise TypeError(
                "Feature names are only supported if all input features have string "
                f"names, but your input has {kinds} as feature name / column name "
                "types. Rename the columns: X.columns = X.columns.astype(str)."
            )
        if not X.columns.is_unique:
            twice = X.columns[X.columns.duplicated()][0]
            raise ColumnError(f"The table has two columns {twice!r}; rename one.")
        least = 2 if reset else 1
        if len(X) < least:
            raise DataError(
                f"Found array with {len(X)} sample(s) (shape={X.shape}) while a "
                f"minimum of {least} is required."
            )
        return X if all(strings) else X.set_axis(_array_names(X.shape[1]), axis=1)
    if isinstance(X, pd.Series) or type(X) is dict:  # a sparse matrix may be a dict
        raise DataError(
            f"{type(estimator).__name__}: X must be a DataFrame or a 2-D array; got a "
            f"{type(X).__name__}. One row is df.iloc[[0]], one column df[['x']]."
        )
    array = validate_data(
        estimator, X, reset=reset, dtype=np.float64, ensure_min_samples=1 + reset
    )
    if not reset and hasattr(estimator, "feature_names_in_"):
        # scikit-learn has warned that names are missing; columns go by position
        return pd.DataFrame(array, columns=list(estimator.feature_names_in_))
    return pd.DataFrame(array, columns=_array_names(array.shape[1]))


def _array_names(n: int) -> list[str]:
    return [f"x{i}" for i in range(n)]


def check_columns(estimator: Any, frame: pd.DataFrame, columns: Sequence[str]) -> None:
    """Raise ColumnError if the table lacks a column that a structured term reads."""
    for column in columns:
        if column not in frame.columns:
            raise ColumnError(
                f"{type(estimator).__name__}: the table has no column {column!r}, "
                f"which the terms use.{suggest(column, frame.columns)}"
            )


def check_target_given(estimator: Any, y: Any, n: int) -> np.ndarray:
    """Give a one-dimensional target of n rows, as scikit-learn's estimators do."""
    name = type(estimator).__name__
    if y is None:
        raise TargetError(f"{name} requires y to be passed, but the target y is None.")
    try:
        flat = column_or_1d(y, warn=True)
    except (TypeError, ValueError) as error:
        raise TargetError(f"{name}: {error}") from error
    if len(flat) != n:
        raise TargetError(f"{name}: X has {n} rows, but y has {len(flat)}.")
    if flat.dtype.kind in "mM":  # numbers of nanoseconds would be fitted
        raise TargetError(f"{name}: y holds dates or time differences; convert it.")
    return flat


def check_weight(
    estimator: Any, weight: Any, n: int, parameter: str = "sample_weight"
) -> np.ndarray | None:
    """Give weights as float64 (n,), or None; finite, none negative, not all zero."""
    if weight is None:
        return None
    name = type(estimator).__name__
    try:
        array = np.asarray(weight, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise DataError(f"{name}: {parameter} must be numbers: {error}.") from error
    if array.ndim == 0:
        array = np.full(n, float(array))
    if array.shape != (n,):
        raise DataError(
            f"{name}: {parameter} must have shape ({n},); got {array.shape}."
        )
    bad = np.flatnonzero(~np.isfinite(array) | (array < 0))
    if bad.size:
        row = int(bad[0])
        raise DataError(
            f"{name}: {parameter} must be finite and not negative; row {row} has "
            f"{array[row]}."
        )
    if not array.any():
        raise DataError(f"{name}: {parameter} is zero in every row.")
    return array


def check_precision(estimator: Any, weight: Any, n: int) -> np.ndarray:
    """Give precision weights as float64 (n,); finite and greater than 0."""
    array = check_weight(estimator, weight, n, "var_weights")
    if array is None or not array.all():
        row = 0 if array is None else int(np.argmin(array))
        raise DataError(
            f"{type(estimator).__name__}: var_weights must be greater than 0; row "
            f"{row} is not. Leave such rows out."
        )
    return array


def dispersions(model: Any, n: int, var_weights: Any) -> float | np.ndarray:
    """Give the dispersion φ of n responses, φ/v (n,) with precision weights v."""
    phi = float(model.exact_.dispersion)
    if var_weights is None:
        return phi
    if not model.family_.has_dispersion:
        raise ParameterError(
            parameter="var_weights",
            owner=type(model).__name__,
            allowed=f"None here: {model.family_.name} has no dispersion to divide",
            given=type(var_weights).__name__,
            hint="In fit they multiply the log-likelihood of such a family.",
        )
    return phi / check_precision(model, var_weights, n)


def check_groups(groups: Any, n: int) -> np.ndarray | None:
    """Give groups as whole numbers (n,), or None."""
    if groups is None:
        return None
    array = np.asarray(groups)
    if array.shape != (n,):
        raise DataError(f"groups must have shape ({n},); got {array.shape}.")
    codes = pd.factorize(array)[0]
    if (codes < 0).any():
        raise DataError(f"groups is missing in row {int(np.argmax(codes < 0))}.")
    return codes


def drop_missing(
    frame: pd.DataFrame, columns: Sequence[str], y: Any, estimator: Any
) -> np.ndarray:
    """Give which rows have every structured column and y; say how many were dropped."""
    keep = frame[list(columns)].notna().all(axis=1).to_numpy(dtype=bool)
    if isinstance(y, np.ndarray):
        absent = pd.isna(y)
        keep &= ~(absent.any(axis=1) if absent.ndim == 2 else absent)
    if not keep.all():
        lost = int((~keep).sum())
        if lost == len(keep):
            raise DataError("missing='drop' leaves no row: each lacks a column or y.")
        warnings.warn(
            f"{type(estimator).__name__}: missing='drop' dropped {lost} of {len(keep)} "
            "rows that lack a structured column or y.",
            UserWarning,
            stacklevel=4,
        )
    return keep
