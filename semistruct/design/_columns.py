"""Reading of columns: numbers that are finite, and levels that are known."""

from __future__ import annotations

import math
import numbers
from collections.abc import Hashable, Iterable, Sequence
from typing import Any

import numpy as np
import pandas as pd

from semistruct._core.validation import suggest
from semistruct.exceptions import ColumnError, DataError, UnseenLevelError, shown

__all__ = [
    "Levels",
    "check_frame",
    "is_numeric",
    "read_numeric",
    "row_label",
    "select",
]

_SHOWN = 20
_NUMERIC_KINDS = ("integer", "floating", "mixed-integer-float", "decimal", "boolean")


def check_frame(frame: object) -> None:
    """Raise DataError unless ``frame`` is a DataFrame."""
    if not isinstance(frame, pd.DataFrame):
        kind = type(frame).__name__
        raise DataError(f"The design reads a pandas DataFrame; got {kind}.")


def select(frame: pd.DataFrame, column: str, owner: str) -> pd.Series:
    """Give one column of a table.

    Parameters
    ----------
    frame : DataFrame
        The table.
    column : str
        Name of the column.
    owner : str
        Term that reads it, for the errors.

    Returns
    -------
    Series

    Raises
    ------
    ColumnError
        If it is not there; the error names the nearest that is.
    DataError
        If it is there twice.
    """
    if column not in frame.columns:
        known = [name for name in frame.columns if isinstance(name, str)]
        shown = ", ".join(repr(name) for name in known[:_SHOWN])
        shown += ", …" if len(known) > _SHOWN else ""
        raise ColumnError(
            f"{owner} reads the column {column!r}, which is not in the table."
            f"{suggest(column, known)} Columns of the table: {shown or 'none'}."
        )
    series = frame[column]
    if isinstance(series, pd.DataFrame):
        count = series.shape[1]
        raise DataError(f"The table has {count} columns named {column!r}; rename them.")
    return series


def is_numeric(series: pd.Series) -> bool:
    """Say whether a column holds numbers or booleans; categories are not numbers."""
    if isinstance(series.dtype, pd.CategoricalDtype):
        return False
    if series.dtype == object:
        return pd.api.types.infer_dtype(series, skipna=True) in _NUMERIC_KINDS
    return pd.api.types.is_numeric_dtype(series.dtype) and not (
        pd.api.types.is_complex_dtype(series.dtype)
    )


def read_numeric(frame: pd.DataFrame, column: str, owner: str) -> np.ndarray:
    """Read a numeric column.

    Parameters
    ----------
    frame : DataFrame of n rows
        The table.
    column : str
        Name of the column; integers, floats, booleans (as 0 and 1) and their nullable
        kinds are read.
    owner : str
        Term that reads it, for the errors.

    Returns
    -------
    ndarray of shape (n,), float64
        All finite.

    Raises
    ------
    DataError
        If a cell is missing, infinite or no number.
    """
    series = select(frame, column, owner)
    if not is_numeric(series):
        first = series.dropna()
        example = f", for instance {_short(first.iloc[0])}" if len(first) else ""
        raise DataError(
            f"{owner} needs numbers, but the column {column!r} is of dtype "
            f"{series.dtype}{example}. Convert it, or use it as C({column})."
        )
    _check_missing(series, column, owner)
    values = np.asarray(series.to_numpy(), dtype=np.float64)
    infinite = ~np.isfinite(values)
    if infinite.any():
        raise DataError(
            f"The column {column!r} of {owner} has "
            f"{_count(infinite, 'infinite value')}, the first in row "
            f"{row_label(series, infinite)}. Use finite numbers."
        )
    return values


class Levels:
    """The levels of a categorical column, as they were in ``fit``.

    Parameters
    ----------
    column : str
        Name of the column.
    values : sequence
        Distinct levels, in their order.
    """

    def __init__(self, column: str, values: Sequence[Hashable]) -> None:
        self.column = column
        self.values = tuple(values)
        self._index = pd.Index(list(values), dtype=object)

    def __len__(self) -> int:
        return len(self.values)

    @classmethod
    def fit(cls, frame: pd.DataFrame, column: str, owner: str) -> Levels:
        """Find the levels: a category's own order, otherwise sorted; unused ones go."""
        series = select(frame, column, owner)
        _check_missing(series, column, owner)
        if isinstance(series.dtype, pd.CategoricalDtype):
            used = series.cat.remove_unused_categories()
            return cls(column, [_plain(v) for v in used.cat.categories])
        _check_scalars(series, column, owner)
        found = [_plain(v) for v in pd.unique(_objects(series))]
        return cls(column, _sorted(dict.fromkeys(found)))

    def codes(
        self, frame: pd.DataFrame, owner: str, *, unseen: bool = False
    ) -> np.ndarray:
        """Give each row's level.

        Parameters
        ----------
        frame : DataFrame of n rows
            The table.
        owner : str
            Term that reads it, for the errors.
        unseen : bool, default=False
            Whether an unseen level is code -1 instead of an error.

        Returns
        -------
        ndarray of shape (n,), int
            Index into ``values``.
        """
        series = select(frame, self.column, owner)
        _check_missing(series, self.column, owner)
        if isinstance(series.dtype, pd.CategoricalDtype):
            categories = [_plain(v) for v in series.cat.categories]
            of_category = self._index.get_indexer(pd.Index(categories, dtype=object))
            codes = of_category[series.cat.codes.to_numpy()]
        else:
            _check_scalars(series, self.column, owner)
            codes = self._index.get_indexer(pd.Index(_objects(series), dtype=object))
        bad = codes < 0
        if bad.any() and not unseen:
            first = shown(series.iloc[int(np.flatnonzero(bad)[0])])
            known = ", ".join(repr(v) for v in self.values[:_SHOWN])
            known += ", …" if len(self) > _SHOWN else ""
            raise UnseenLevelError(
                f"The column {self.column!r} of {owner} has the level {first} in row "
                f"{row_label(series, bad)} ({_count(bad, 'row')} in all), which was "
                f"not there in fit. Known levels: {known}. Recode it, or fit again "
                f"with it (re({self.column}) takes unseen levels)."
            )
        return np.asarray(codes, dtype=np.int64)

    def to_state(self) -> dict[str, Any]:
        """Give the state, as JSON types."""
        return {"column": self.column, "values": list(self.values)}

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> Levels:
        """Make the levels from their state."""
        return cls(state["column"], state["values"])


def _objects(series: pd.Series) -> np.ndarray:
    return np.asarray(series.to_numpy(dtype=object), dtype=object)


def _plain(value: Any) -> Any:
    """Make a JSON scalar of a level; whole floats become integers."""
    value = value.item() if isinstance(value, np.generic) else value
    if isinstance(value, float) and math.isfinite(value) and value.is_integer():
        return int(value)
    if isinstance(value, (bool, int, float, str)):
        return value
    return float(value) if isinstance(value, numbers.Real) else str(value)


def _sorted(values: Iterable[Any]) -> list[Any]:
    return sorted(values, key=lambda v: (isinstance(v, str), v))  # numbers first


def _check_missing(series: pd.Series, column: str, owner: str) -> None:
    missing = series.isna().to_numpy()
    if missing.any():
        raise DataError(
            f"The column {column!r} of {owner} has "
            f"{_count(missing, 'missing value')}, the first in row "
            f"{row_label(series, missing)}. Fill them in, or leave these rows out."
        )


def _check_scalars(series: pd.Series, column: str, owner: str) -> None:
    kind = pd.api.types.infer_dtype(series, skipna=True)
    good = (*_NUMERIC_KINDS, "string", "mixed-integer", "empty")
    if kind not in good:
        found = sorted({type(value).__name__ for value in series.iloc[:100]})
        raise DataError(
            f"The column {column!r} of {owner} cannot be a factor: its cells are of "
            f"type {', '.join(found)}. Levels are strings, numbers or booleans."
        )


def _short(value: object) -> str:
    text = shown(value)
    return text if len(text) <= 60 else f"a {type(value).__name__}"


def _count(mask: np.ndarray, what: str) -> str:
    count = int(mask.sum())
    return f"{count} {what}{'' if count == 1 else 's'}"


def row_label(data: pd.Series | pd.DataFrame, mask: np.ndarray) -> str:
    """Give the label of the first row that a mask of shape (n,) marks, as text."""
    label = data.index[int(np.flatnonzero(mask)[0])]
    return shown(label)
