"""Step functions of time: the one form of every predicted curve."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd

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
        self.index = pd.RangeIndex(len(self.values)) if index is None else index

    def __call__(self, times: Any) -> np.ndarray:
        """Evaluate all functions at some times.

        Parameters
        ----------
        times : array-like of shape (t,)
            In the unit of the target.

        Returns
        -------
        ndarray of shape (n, t)
        """
        at = np.searchsorted(self.times, np.atleast_1d(times), side="right")
        first = np.full((len(self.values), 1), self.before)
        return np.hstack([first, self.values])[:, at]

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
