"""Follow-up cut into intervals: the long rows of a piecewise exponential model.

Letters: n rows of the table (subjects, or spells of them), J intervals, N long rows.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from semistruct._core.validation import check_number
from semistruct.design._columns import check_frame
from semistruct.exceptions import DataError, ParameterError, TargetError

__all__ = ["PersonPeriod", "check_long_frame"]

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int32]


@dataclass(frozen=True, eq=False)
class PersonPeriod:
    """Long rows of follow-up that is cut into intervals; made by `build` or `grid`.

    Interval j is (κ_{j−1}, κ_j] with κ_{−1} = 0. Row i is at risk in it for
    t_ij = min(κ_j, t_i) − max(κ_{j−1}, entry_i); where this is positive there is a long
    row. A piecewise exponential model is a Poisson model of ``event`` with the offset
    log t_ij (Friedman 1982, doi:10.1214/aos/1176345693; Bender, Groll & Scheipl 2018,
    doi:10.1177/1471082X17748083). Long rows are sorted by row, then by interval, and a
    row's intervals are adjacent.

    Parameters
    ----------
    row : ndarray of shape (N,), int32
        Row of the table.
    interval : ndarray of shape (N,), int32
        Index of the interval.
    exposure : ndarray of shape (N,), float64
        Time at risk t_ij > 0.
    event : ndarray of shape (N,), float64
        1 where the row's event falls into the interval, else 0.
    closing : ndarray of shape (N,), bool
        Whether the row's own follow-up ends in the interval.
    cuts : ndarray of shape (J,)
        Ends κ_j of the intervals, increasing.
    n_rows : int
        Number n of rows of the table.

    Examples
    --------
    >>> from semistruct.design import PersonPeriod
    >>> long = PersonPeriod.build([2.0, 5.0, 4.0], [1, 1, 0])
    >>> long.cuts
    array([2., 5.])
    >>> long.row, long.interval
    (array([0, 1, 1, 2, 2], dtype=int32), array([0, 0, 1, 0, 1], dtype=int32))
    >>> long.exposure
    array([2., 2., 3., 2., 2.])
    >>> long.event
    array([1., 0., 1., 0., 0.])
    """

    row: IntArray
    interval: IntArray
    exposure: FloatArray
    event: FloatArray
    closing: NDArray[np.bool_]
    cuts: FloatArray
    n_rows: int

    @classmethod
    def build(
        cls,
        time: ArrayLike,
        event: ArrayLike,
        entry: ArrayLike | None = None,
        cuts: ArrayLike | None = None,
    ) -> PersonPeriod:
        """Cut follow-up into intervals.

        Parameters
        ----------
        time : array-like of shape (n,)
            End t_i >= 0 of follow-up.
        event : array-like of shape (n,) of bool or 0/1
            Whether it ends with an event.
        entry : array-like of shape (n,), optional
            Time from which the row is at risk, 0 <= entry < time (left truncation,
            rows of covariates that change, recurrent events in calendar time).
        cuts : array-like of shape (J,), optional
            Ends of the intervals, positive. Default: the distinct times of events.
            Follow-up after the last cut is dropped.

        Returns
        -------
        PersonPeriod

        Raises
        ------
        TargetError
            If times are not finite, entry is not before time, an event happens at time
            0, or nobody is at risk before the last cut.
        ParameterError
            If cuts are not positive and finite.
        """
        ends = _numbers(time, "time", None)
        n = len(ends)
        happened = _numbers(event, "event", n)
        if not np.isin(happened, (0.0, 1.0)).all():
            bad = int(np.flatnonzero(~np.isin(happened, (0.0, 1.0)))[0])
            raise TargetError(
                f"PersonPeriod.build: event must be 0 or 1; row {bad} holds "
                f"{happened[bad]:g}."
            )
        begins = np.zeros(n) if entry is None else _numbers(entry, "entry", n)
        _check_times(begins, ends, happened, entry is not None)
        at = _cuts(cuts, ends[happened == 1.0])
        first = np.searchsorted(at, begins, side="right")
        last = np.minimum(np.searchsorted(at, ends, side="left"), len(at) - 1)
        count = np.where(ends > 0.0, np.maximum(last - first + 1, 0), 0)
        if not count.any():
            raise TargetError(
                "PersonPeriod.build: no row is at risk before the last cut, "
                f"{at[-1]:g}. Give later cuts."
            )
        row = np.repeat(np.arange(n, dtype=np.int32), count)
        stop = np.cumsum(count)
        interval = np.arange(len(row)) + np.repeat(first - (stop - count), count)
        starts = np.concatenate([[0.0], at[:-1]])
        exposure = np.minimum(at[interval], ends[row])
        exposure -= np.maximum(starts[interval], begins[row])
        closing = ends[row] <= at[interval]
        return cls(
            row=row,
            interval=interval.astype(np.int32),
            exposure=exposure,
            event=happened[row] * closing,
            closing=closing,
            cuts=at,
            n_rows=n,
        )

    @classmethod
    def grid(cls, n_rows: int, cuts: ArrayLike) -> PersonPeriod:
        """Every row in every interval, without events: for predictions.

        Parameters
        ----------
        n_rows : int
            Number n >= 1 of rows.
        cuts : array-like of shape (J,)
            Ends of the intervals, positive.

        Returns
        -------
        PersonPeriod
            Of N = n · J long rows: values of shape (N,) are those of (n, J), row by
            row.

        Examples
        --------
        >>> from semistruct.design import PersonPeriod
        >>> PersonPeriod.grid(2, [1.0, 3.0]).exposure.reshape(2, 2)
        array([[1., 2.],
               [1., 2.]])
        """
        owner = "PersonPeriod.grid"
        check_number(n_rows, parameter="n_rows", owner=owner, low=1, integer=True)
        at = _cuts(cuts, np.zeros(0))
        size = n_rows * len(at)
        return cls(
            row=np.repeat(np.arange(n_rows, dtype=np.int32), len(at)),
            interval=np.tile(np.arange(len(at), dtype=np.int32), n_rows),
            exposure=np.tile(np.diff(at, prepend=0.0), n_rows),
            event=np.zeros(size),
            closing=np.zeros(size, dtype=bool),
            cuts=at,
            n_rows=int(n_rows),
        )

    def __len__(self) -> int:
        return len(self.row)

    def __repr__(self) -> str:
        return (
            f"PersonPeriod({len(self)} long rows of {self.n_rows} rows, "
            f"{len(self.cuts)} intervals, {int(self.event.sum())} events)"
        )

    @property
    def starts(self) -> FloatArray:
        """Starts κ_{j−1} of the intervals, of shape (J,)."""
        return np.concatenate([[0.0], self.cuts[:-1]])

    @cached_property
    def count(self) -> NDArray[np.int64]:
        """Number of long rows of each row, of shape (n,)."""
        return np.bincount(self.row, minlength=self.n_rows)

    @cached_property
    def bounds(self) -> NDArray[np.int64]:
        """Where each row's long rows begin, and the last end, of shape (n + 1,)."""
        return np.concatenate([[0], np.cumsum(self.count)])

    @cached_property
    def at_risk(self) -> NDArray[np.int64]:
        """Number of long rows in each interval, of shape (J,)."""
        return np.bincount(self.interval, minlength=len(self.cuts))

    def events_of(self, event: ArrayLike) -> FloatArray:
        """Give long rows of another kind of event: of one cause among several.

        Parameters
        ----------
        event : array-like of shape (n,) of bool or 0/1
            Whether the row's follow-up ends with this event.

        Returns
        -------
        ndarray of shape (N,)
            0 or 1.
        """
        happened = np.asarray(event, dtype=np.float64)
        if happened.shape != (self.n_rows,):
            raise DataError(
                f"PersonPeriod.events_of: event has shape {happened.shape}, need "
                f"({self.n_rows},)."
            )
        return np.asarray(happened[self.row] * self.closing)


def check_long_frame(frame: pd.DataFrame, period: PersonPeriod, time: str) -> None:
    """Check that a table is that of some long rows, and has no column ``time``."""
    check_frame(frame)
    if not isinstance(time, str) or not time.strip():
        raise ParameterError(
            parameter="time",
            owner="fit_person_period",
            allowed="a string that is not empty",
            given=time,
        )
    if len(frame) != period.n_rows:
        raise DataError(
            f"The table has {len(frame)} rows and the follow-up {period.n_rows}: they "
            "must agree."
        )
    if time in frame.columns:
        raise DataError(
            f"The table has a column {time!r}, which is the name of the time axis. "
            "Rename it, leave it out, or give the axis another name by time=."
        )


def _numbers(values: ArrayLike, name: str, n: int | None) -> FloatArray:
    found = np.asarray(values, dtype=np.float64)
    if found.ndim != 1 or (n is not None and len(found) != n) or not len(found):
        need = "(n,), n >= 1" if n is None else f"({n},)"
        raise TargetError(
            f"PersonPeriod.build: {name} has shape {found.shape}, need {need}."
        )
    bad = np.flatnonzero(~(np.isfinite(found) & (found >= 0.0)))
    if len(bad):
        raise TargetError(
            f"PersonPeriod.build: {name} must be finite and at least 0; row {bad[0]} "
            f"holds {found[bad[0]]}."
        )
    return found


def _check_times(
    begins: FloatArray, ends: FloatArray, happened: FloatArray, given: bool
) -> None:
    bad = np.flatnonzero(begins >= ends) if given else np.zeros(0, dtype=int)
    if len(bad):
        row = bad[0]
        raise TargetError(
            f"PersonPeriod.build: entry must be before time; row {row} enters at "
            f"{begins[row]:g} and ends at {ends[row]:g}."
        )
    bad = np.flatnonzero((ends == 0.0) & (happened == 1.0))
    if len(bad):
        raise TargetError(
            f"PersonPeriod.build: row {bad[0]} has its event at time 0, with no time "
            "at risk. Leave it out, or count it in the first interval."
        )


def _cuts(cuts: ArrayLike | None, events: FloatArray) -> FloatArray:
    """Give the cuts, sorted and distinct."""
    if cuts is None:
        if not len(events):
            raise TargetError(
                "PersonPeriod.build: there are no events to cut the time at. Give cuts."
            )
        return np.unique(events)
    found = np.asarray(cuts, dtype=np.float64)
    good = found.ndim == 1 and len(found) > 0 and np.isfinite(found).all()
    if not good or (found <= 0.0).any():
        raise ParameterError(
            parameter="cuts",
            owner="PersonPeriod",
            allowed="one or more positive finite times",
            given=cuts,
        )
    return np.unique(found)
