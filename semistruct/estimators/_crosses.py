"""Crossed columns: each combination of levels as a level of its own."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from semistruct._core.validation import suggest
from semistruct.exceptions import ColumnError, DataError, shown

from ._features import Feature, register_feature

__all__ = ["Cross", "cross_name"]


def cross_name(columns: Iterable[str]) -> str:
    """Give the name of a crossed column.

    Examples
    --------
    >>> from semistruct.estimators._crosses import cross_name
    >>> cross_name(("sex", "stage"))
    'sex × stage'
    """
    return " × ".join(columns)


@register_feature
class Cross(Feature):
    """One crossed column, of strings.

    Parameters
    ----------
    columns : sequence of str
        Columns of strings, categories, booleans or whole numbers, two or more.
    buckets : int, optional
        Number of levels that combinations are hashed to; None keeps each.

    Examples
    --------
    >>> import pandas as pd
    >>> from semistruct.estimators._crosses import Cross
    >>> table = pd.DataFrame({"sex": ["f", "m"], "stage": [1, 2]})
    >>> Cross(("sex", "stage")).make(table)
      sex × stage
    0       f & 1
    1       m & 2
    """

    kind = "cross"

    def __init__(self, columns: Sequence[str], buckets: int | None = None) -> None:
        self.sources = tuple(columns)
        self.names = (cross_name(columns),)
        self.buckets = buckets

    @classmethod
    def fit(cls, columns: Sequence[str], frame: pd.DataFrame, most: int) -> Cross:
        """Hash the combinations where the rows of fit hold more than ``most``."""
        exact = cls(columns)
        many = exact.make(frame)[exact.names[0]].nunique() > most
        return cls(columns, most) if many else exact

    def make(self, frame: pd.DataFrame) -> pd.DataFrame:
        parts = [_levels(frame, column, self.names[0]) for column in self.sources]
        # one text for each combination, not for each row
        keys = pd.MultiIndex.from_arrays(parts)
        codes, unique = keys.factorize()
        texts = np.array([" & ".join(key) for key in unique], dtype=object)
        if self.buckets is not None:
            hashed = pd.util.hash_array(texts, categorize=False) % self.buckets
            texts = np.array([f"#{h}" for h in hashed], dtype=object)
        return pd.DataFrame({self.names[0]: texts[codes]}, index=frame.index)

    def to_state(self) -> dict[str, Any]:
        return {
            "kind": self.kind,
            "columns": list(self.sources),
            "buckets": self.buckets,
        }

    @classmethod
    def from_state(cls, state: Mapping[str, Any], given: Mapping[str, Any]) -> Cross:
        return cls(state["columns"], state["buckets"])


def _levels(frame: pd.DataFrame, column: str, owner: str) -> np.ndarray:
    """Give the cells of a column as strings; refuse gaps and fractions."""
    if column not in frame.columns:
        raise ColumnError(
            f"The crossed column {owner} reads {column!r}, which is not in the table."
            f"{suggest(column, frame.columns)}"
        )
    series = frame[column]
    absent = series.isna().to_numpy()
    if absent.any():
        row = frame.index[int(np.argmax(absent))]
        raise DataError(
            f"The crossed column {owner}: {column!r} is missing in {int(absent.sum())} "
            f"row(s), the first {shown(row)}. Fill the cells or leave the rows out."
        )
    if pd.api.types.is_float_dtype(series.dtype):
        values = series.to_numpy(dtype=np.float64)
        bad = ~np.isfinite(values) | (values != np.floor(values))
        if bad.any():
            row = frame.index[int(np.argmax(bad))]
            raise DataError(
                f"The crossed column {owner}: {column!r} must hold categories or whole "
                f"numbers; row {shown(row)} has {values[np.argmax(bad)]:g}. Cut it "
                "into classes first, for instance by pandas.cut."
            )
        series = series.astype(np.int64)
    return series.astype(str).to_numpy(dtype=object)
