"""Step functions of time: the one form of every predicted curve."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd

from semistruct.exceptions import DataError

__all__ = ["StepFunction"]


class StepFunction:
    """Right-continuous step functions that share their times.

    Parameters
    ----------
    times : ndarray of shape (m,)
        Where the functions step, increasing.
    values : ndarray of shape (n, m)
        Value from each time on, a row for each function.
    before : float, default=1.0
        Value before the first time: 1 for survival, 0 for a cumulative hazard.
    index : sequence, optional
        Names of the rows.

    Raises
    ------
    DataError
        If the times do not increase, or the shapes do not fit.

    Examples
    --------
    >>> import numpy as np
    >>> from semistruct._core.step import StepFunction
    >>> curve = StepFunction(np.array([1.0, 2.0]), np.array([[0.9, 0.5]]))
    >>> curve([0.5, 1.0, 3.0]).tolist()
    [[1.0, 0.9, 0.5]]
    """

    def __init__(
        self,
        times: np.ndarray,
        values: np.ndarray,
        before: float = 1.0,
        index: Any = None,
    ) -> None:
        self.times = np.asarray(times, dtype=np.float64)
        self.values = np.atleast_2d(np.asarray(values, dtype=np.float64))
        self.before = float(before)
        n, m = len(self.values), self.values.shape[-1]
        self.index = pd.RangeIndex(n) if index is None else pd.Index(index)
        if self.times.ndim != 1 or self.values.ndim != 2 or m != len(self.times):
            raise DataError(
                f"StepFunction: times of shape {self.times.shape} and values of shape "
                f"{self.values.shape} do not fit; they are (m,) and (n, m)."
            )
        if len(self.index) != n:
            raise DataError(
                f"StepFunction: index has {len(self.index)} names for {n} rows."
            )
        if not np.all(np.diff(self.times) > 0):
            raise DataError("StepFunction: times must increase, without ties or NaN.")

    def __call__(self, times: Any) -> np.ndarray:
        """Evaluate all functions at some times.

        Parameters
        ----------
        times : array-like of shape (t,)
            In the unit of the target.

        Returns
        -------
        ndarray of shape (n, t)
            NaN where a time is NaN.
        """
        asked = np.atleast_1d(np.asarray(times, dtype=np.float64))
        at = np.searchsorted(self.times, asked, side="right")
        first = np.full((len(self.values), 1), self.before)
        found = np.hstack([first, self.values])[:, at]
        return np.where(np.isnan(asked), np.nan, found)

    def __len__(self) -> int:
        return len(self.values)

    def __getitem__(self, row: Any) -> StepFunction:
        rows = np.atleast_1d(np.arange(len(self))[row])
        return StepFunction(
            self.times, self.values[rows], self.before, self.index[rows]
        )

    def __iter__(self) -> Iterator[StepFunction]:
        return (self[i] for i in range(len(self)))

    def __repr__(self) -> str:
        return f"StepFunction(n={len(self)}, times={len(self.times)})"

    def to_frame(self) -> pd.DataFrame:
        """Give a DataFrame: a row for each time, a column for each function."""
        index = pd.Index(self.times, name="time")
        return pd.DataFrame(self.values.T, index=index, columns=self.index)
