"""Cumulative effects: exposures in the past, weighted by how long ago they were.

Letters: n rows, L exposures of a row, J times, q coefficients.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from semistruct._core.terms import Cumulative
from semistruct.design._columns import read_numeric, row_label, select
from semistruct.design._p_spline import PSpline
from semistruct.exceptions import DataError

__all__ = ["CumulativePart", "read_exposures"]

_Read = dict[str, np.ndarray]
_DEFAULT_K = 10
_CELLS = 1 << 20  # numbers of one product of exposures and functions


class CumulativePart:
    """A fitted `Cumulative`: Σ_l 1[lead <= t − t_l <= lag] Δ_l h(t − t_l) z_il.

    h is a P-spline over [lead, lag] with second differences; it has no constraint, and
    its penalty is not scaled.

    Attributes
    ----------
    basis : PSpline
        Of the latency t − t_l.
    times : ndarray of shape (L,)
        Times t_l of the exposures.
    lead, lag : float
        Ends of the window.
    """

    kind = "cumulative"
    inequality = None

    def __init__(
        self,
        term: Cumulative,
        basis: PSpline,
        times: np.ndarray,
        lead: float,
        lag: float,
    ) -> None:
        self.term = term
        self.basis = basis
        self.times = times
        self.lead = lead
        self.lag = lag

    @classmethod
    def fit(cls, term: Cumulative, frame: pd.DataFrame) -> CumulativePart:
        """Find the window of the latency and place the knots."""
        exposures = read_exposures(frame, term.column, term.label)
        size = exposures.shape[1]
        times = np.arange(1.0, size + 1.0)
        if term.times is not None:
            times = np.asarray(term.times, dtype=np.float64)
        if len(times) != size:
            raise DataError(
                f"The cells of the column {term.column!r} of {term.label} hold {size} "
                f"exposures, but times= names {len(times)} times. Give one for each."
            )
        last = float(read_numeric(frame, term.time, term.label).max())
        lag = last - float(times[0]) if term.lag is None else float(term.lag)
        if lag <= term.lead:
            raise DataError(
                f"No exposure of {term.label} lies {term.lead:g} or more before the "
                f"last time, {last:g}: the first is at {times[0]:g}. Leave the term "
                "out, or give earlier times."
            )
        size_k = _DEFAULT_K if term.k is None else term.k
        basis = PSpline(float(term.lead), lag, size_k)
        return cls(term, basis, times, float(term.lead), lag)

    @property
    def columns(self) -> tuple[str, ...]:
        """Columns of the table that it reads."""
        return self.term.columns

    @property
    def labels(self) -> tuple[str, ...]:
        """Label of its block."""
        return (self.term.label,)

    @property
    def n_block(self) -> int:
        """Coefficients of its block."""
        return self.basis.k

    def names(self, block: int) -> tuple[str, ...]:
        """Names of the coefficients."""
        return tuple(f"{self.term.label}.{j + 1}" for j in range(self.n_block))

    def penalties(self) -> list[tuple[str, np.ndarray, float | None, int]]:
        """Suffix of the label, matrix, given λ and rank of the penalty."""
        return [("", self.basis.penalty, self.term.sp, self.basis.rank)]

    def table(self, at: np.ndarray) -> np.ndarray:
        """Weight of each exposure in each column.

        Parameters
        ----------
        at : ndarray of shape (J,)
            Times t.

        Returns
        -------
        ndarray of shape (J, L, q)
            1[lead <= t − t_l <= lag] Δ_l B(t − t_l).
        """
        latency = at[:, None] - self.times  # (J, L)
        inside = (latency >= self.lead) & (latency <= self.lag)
        width = np.ones(1)
        if len(self.times) > 1:
            steps = np.diff(self.times)
            width = np.concatenate([steps[:1], steps])
        clipped = np.clip(latency, self.lead, self.lag).reshape(-1)
        values = self.basis.evaluate(clipped).reshape(*latency.shape, -1)
        return np.asarray(values * (inside * width)[:, :, None])

    def read(self, frame: pd.DataFrame) -> _Read:
        """Read and check the columns of a table."""
        term = self.term
        exposures = read_exposures(frame, term.column, term.label)
        if exposures.shape[1] != len(self.times):
            raise DataError(
                f"The cells of the column {term.column!r} of {term.label} hold "
                f"{exposures.shape[1]} exposures; in fit there were {len(self.times)}."
            )
        return {
            "exposures": exposures,
            "time": read_numeric(frame, term.time, term.label),
        }

    def write(self, read: _Read, rows: slice, out: np.ndarray) -> None:
        """Write some rows of the design into ``out`` of shape (m, q)."""
        exposures, time = read["exposures"][rows], read["time"][rows]
        size = max(1, _CELLS // (len(self.times) * self.n_block))
        for start in range(0, len(time), size):
            part = slice(start, start + size)
            found, index = np.unique(time[part], return_inverse=True)
            table = self.table(found)[index]  # (m, L, q)
            out[part] = np.einsum("ml,mlq->mq", exposures[part], table)

    def to_state(self) -> dict[str, Any]:
        """Give the state, as JSON types and arrays."""
        return {
            "basis": self.basis.to_state(),
            "times": self.times,
            "lead": self.lead,
            "lag": self.lag,
        }

    @classmethod
    def from_state(cls, term: Cumulative, state: Mapping[str, Any]) -> CumulativePart:
        """Make the part from its term and its state."""
        times = np.ascontiguousarray(state["times"], dtype=np.float64)
        basis = PSpline.from_state(state["basis"])
        return cls(term, basis, times, float(state["lead"]), float(state["lag"]))


def read_exposures(frame: pd.DataFrame, column: str, owner: str) -> np.ndarray:
    """Read a column whose cells are arrays of L numbers.

    Parameters
    ----------
    frame : DataFrame of n rows
        The table.
    column : str
        A column of arrays: a tensor column, or cells that are arrays.
    owner : str
        Term that reads it, for the errors.

    Returns
    -------
    ndarray of shape (n, L), float64
        All finite.

    Raises
    ------
    DataError
        If cells are missing, have several lengths or axes, or hold no finite numbers.
    """
    series = select(frame, column, owner)
    missing = series.isna().to_numpy()
    if missing.any():
        raise DataError(
            f"The column {column!r} of {owner} has {int(missing.sum())} missing "
            f"cell(s), the first in row {row_label(series, missing)}. Fill them in, or "
            "leave these rows out."
        )
    block = getattr(series.array, "block", None)
    try:
        values = np.stack(list(series)) if block is None else np.asarray(block)
        values = values.astype(np.float64)
    except (ValueError, TypeError) as error:
        raise DataError(
            f"The column {column!r} of {owner} must hold arrays of numbers of one "
            f"length: {error}."
        ) from error
    if values.ndim != 2:
        raise DataError(
            f"The column {column!r} of {owner} must hold one array of exposures in "
            f"each cell; its cells have {values.ndim - 1} axes."
        )
    bad = ~np.isfinite(values).all(axis=1)
    if bad.any():
        raise DataError(
            f"The column {column!r} of {owner} holds an exposure that is not finite, "
            f"first in row {row_label(series, bad)}. Use finite numbers."
        )
    return values
