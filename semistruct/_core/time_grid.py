"""The grid of discrete-time survival models: follow-up cut into J intervals.

Letters: n rows, J intervals, C causes.
"""

from __future__ import annotations

from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from semistruct._core.validation import check_choice, check_number
from semistruct.exceptions import ParameterError, TargetError

__all__ = ["TimeGrid"]

FloatArray = NDArray[np.float64]

SCHEMES = ("events", "kaplan_meier", "equidistant")
CENSORING = ("ended", "midpoint")


class TimeGrid:
    """Intervals (0, c_1], (c_1, c_2], …, (c_{J−1}, c_J] of follow-up.

    Parameters
    ----------
    cuts : array-like of shape (J,)
        Ends of the intervals, > 0 and increasing, in the unit of the times.

    Attributes
    ----------
    cuts : ndarray of shape (J,)
    n_intervals : int
        J.

    Raises
    ------
    ParameterError
        If the cuts are not numbers, not above 0, or do not increase.

    Examples
    --------
    >>> from semistruct._core.time_grid import TimeGrid
    >>> grid = TimeGrid([1.0, 2.0, 4.0])
    >>> grid.target([0.5, 2.0, 2.0, 9.0], [1, 1, 0, 1]).tolist()
    [[0.0, 1.0], [1.0, 1.0], [2.0, 0.0], [3.0, 0.0]]
    """

    def __init__(self, cuts: ArrayLike) -> None:
        try:
            ends = np.array(cuts, dtype=np.float64)
        except (TypeError, ValueError):
            ends = np.empty(0)
        good = ends.ndim == 1 and ends.size > 0 and bool(np.isfinite(ends).all())
        if not good or ends[0] <= 0 or not (np.diff(ends) > 0).all():
            raise ParameterError(
                parameter="cuts",
                owner="TimeGrid",
                allowed="increasing numbers above 0, at least one: the ends of the "
                "intervals",
                given=cuts,
            )
        ends.setflags(write=False)
        self.cuts = ends

    @classmethod
    def fit(
        cls,
        time: ArrayLike,
        event: ArrayLike,
        n_intervals: int,
        how: str = "events",
        *,
        last: float | None = None,
    ) -> Self:
        """Choose the cuts from data.

        Parameters
        ----------
        time : array-like of shape (n,)
            Times of events or of censoring, > 0.
        event : array-like of shape (n,) of bool, or of codes 0 … C
            Whether (or from which cause) the event was seen; 0 is censored.
        n_intervals : int
            How many intervals, at least 1. Where times are tied the quantiles may
            fall together, and there are fewer.
        how : {"events", "kaplan_meier", "equidistant"}, default "events"
            "events": each interval has about the same number of events.
            "kaplan_meier": the Kaplan-Meier estimate falls by about the same amount in
            each; late ones have few events where many rows are censored.
            "equidistant": all have the same length; where one has no event, maximum
            likelihood of its hazard is 0.
        last : float, optional
            Last cut. Default: the greatest event time after which some row is still
            followed up, so that survival past the grid is not estimated as 0.

        Returns
        -------
        TimeGrid

        Raises
        ------
        TargetError
            If a time is not above 0, or no event lies in (0, last].

        References
        ----------
        Kvamme and Borgan (2021), section 3.4; doi:10.1007/s10985-021-09532-6.

        Examples
        --------
        >>> from semistruct._core.time_grid import TimeGrid
        >>> TimeGrid.fit([1, 2, 3, 4, 5, 9], [1, 1, 1, 1, 0, 0], 2)
        TimeGrid([2, 4])
        """
        owner = "TimeGrid.fit"
        check_choice(how, SCHEMES, parameter="how", owner=owner)
        check_number(
            n_intervals, parameter="n_intervals", owner=owner, low=1, integer=True
        )
        check_number(
            last, parameter="last", owner=owner, low=0, closed="neither", none=True
        )
        times = _checked_times(time, owner)
        failed = times[_checked_codes(event, len(times), owner) > 0]
        if last is None and failed.size:
            inner = failed[failed < times.max()]
            last = float((inner if inner.size else failed).max())
        seen = failed[failed <= (0.0 if last is None else last)]
        if last is None or not seen.size:
            raise TargetError(
                f"{owner}: no event was seen"
                + ("." if last is None else f" up to the last cut {last:g}.")
                + " Intervals cannot be chosen from these data; give cuts."
            )
        shares = np.arange(1, n_intervals + 1) / n_intervals
        if how == "equidistant":
            return cls(last * shares)
        if how == "events":
            cuts = np.quantile(seen, shares, method="inverted_cdf")
        else:
            points, survival = _kaplan_meier(times, seen)
            levels = 1.0 - shares * (1.0 - survival[-1])
            # the first time at which the estimate is that low
            at = np.searchsorted(-survival, -levels - 1e-12)
            cuts = points[np.minimum(at, len(points) - 1)]
        cuts[-1] = last
        return cls(np.unique(cuts))

    @property
    def n_intervals(self) -> int:
        """Number J of intervals."""
        return len(self.cuts)

    @property
    def starts(self) -> FloatArray:
        """Where the intervals begin, (J,); the first begins at 0."""
        return np.r_[0.0, self.cuts[:-1]]

    def target(
        self,
        time: ArrayLike,
        event: ArrayLike,
        entry: ArrayLike | None = None,
        *,
        censored: str = "ended",
    ) -> FloatArray:
        """Give what discrete-time families take as y.

        Parameters
        ----------
        time : array-like of shape (n,)
            Times of events or of censoring, > 0.
        event : array-like of shape (n,) of bool, or of codes 0 … C
            0 is censored, 1 … C are the causes.
        entry : array-like of shape (n,), optional
            Times from which rows are at risk (left truncation), 0 ≤ entry < time.
        censored : {"ended", "midpoint"}, default "ended"
            Which intervals a censored row has survived: those that had ended by its
            time (as pycox counts), or also the one whose midpoint it had reached.

        Returns
        -------
        ndarray of shape (n, 2), or (n, 3) with ``entry``
            Number of intervals survived (0 … J), event code (0 … C), number of
            intervals that had begun before the row was at risk (0 … J). An event in
            (c_{j−1}, c_j] has survived j − 1 intervals. Times past the last cut are
            censored at it.

        Raises
        ------
        TargetError
            If a time is not above 0, a code is no whole number, or entry ≥ time.

        Notes
        -----
        A row that enters within an interval is at risk from the next one on
        ("ended"), or from this one if the midpoint has not passed ("midpoint"). A row
        that leaves before it is at risk in any interval says nothing: it is given as
        censored where it begins, with a log-likelihood of 0.

        Examples
        --------
        >>> from semistruct._core.time_grid import TimeGrid
        >>> grid = TimeGrid([1.0, 2.0])
        >>> grid.target([1.6, 1.6], [1, 0], censored="midpoint").tolist()
        [[1.0, 1.0], [2.0, 0.0]]
        >>> grid.target([1.6], [1], entry=[0.2]).tolist()
        [[1.0, 1.0, 1.0]]
        """
        owner = "TimeGrid.target"
        check_choice(censored, CENSORING, parameter="censored", owner=owner)
        times = _checked_times(time, owner)
        codes = _checked_codes(event, len(times), owner)
        codes = np.where(times > self.cuts[-1], 0.0, codes)
        middle = 0.5 * (self.starts + self.cuts)
        rounded = middle if censored == "midpoint" else self.cuts
        survived = np.where(
            codes > 0,
            np.searchsorted(self.cuts, times, side="left"),
            np.searchsorted(rounded, times, side="right"),
        ).astype(np.float64)
        if entry is None:
            return np.column_stack([survived, codes])
        begin = _checked_entry(entry, times, owner)
        passed = middle if censored == "midpoint" else self.starts
        entered = np.searchsorted(passed, begin, side="left").astype(np.float64)
        silent = survived < entered
        return np.column_stack(
            [np.where(silent, entered, survived), np.where(silent, 0.0, codes), entered]
        )

    def to_state(self) -> dict[str, Any]:
        """JSON types and arrays; ``from_state`` rebuilds the grid."""
        return {"cuts": self.cuts.copy()}

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> Self:
        """Rebuild a grid from ``to_state``."""
        return cls(state["cuts"])

    def __eq__(self, other: object) -> bool:
        return isinstance(other, TimeGrid) and np.array_equal(self.cuts, other.cuts)

    def __hash__(self) -> int:
        return hash(self.cuts.tobytes())

    def __repr__(self) -> str:
        shown = [f"{cut:g}" for cut in self.cuts]
        if len(shown) > 8:
            shown = [*shown[:3], "…", *shown[-2:]]
        return f"TimeGrid([{', '.join(shown)}])"


def _kaplan_meier(times: FloatArray, seen: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Event times and the Kaplan-Meier estimate there."""
    points, deaths = np.unique(seen, return_counts=True)
    at_risk = len(times) - np.searchsorted(np.sort(times), points, side="left")
    left: FloatArray = np.asarray(1.0 - deaths / at_risk, dtype=np.float64)
    return points, np.cumprod(left, dtype=np.float64)


def _checked_times(time: ArrayLike, owner: str) -> FloatArray:
    """Finite times (n,) above 0."""
    times = _numbers(time, "time", None, owner)
    _refuse(~(times > 0), times, owner, "times must be above 0")
    return times


def _checked_codes(event: ArrayLike, n: int, owner: str) -> FloatArray:
    """Event codes (n,): whole numbers from 0 on."""
    codes = _numbers(event, "event", n, owner)
    bad = (codes < 0) | (codes != np.round(codes))
    _refuse(bad, codes, owner, "event must be a code 0 (censored), 1, 2, …")
    return codes


def _checked_entry(entry: ArrayLike, times: FloatArray, owner: str) -> FloatArray:
    """Entries (n,) with 0 ≤ entry < time."""
    begin = _numbers(entry, "entry", len(times), owner)
    bad = (begin < 0) | (begin >= times)
    _refuse(bad, begin, owner, "entry must be at least 0 and before the time")
    return begin


def _numbers(values: ArrayLike, name: str, n: int | None, owner: str) -> FloatArray:
    try:
        found = np.asarray(values).astype(np.float64)
    except (TypeError, ValueError) as error:
        raise TargetError(f"{owner}: {name} must be numeric.") from error
    if found.ndim != 1 or not found.size or (n is not None and len(found) != n):
        need = "(n,)" if n is None else f"({n},)"
        raise TargetError(f"{owner}: {name} has shape {found.shape}, need {need}.")
    _refuse(~np.isfinite(found), found, owner, f"{name} must be finite")
    return found


def _refuse(bad: NDArray[np.bool_], held: FloatArray, owner: str, need: str) -> None:
    rows = np.flatnonzero(bad)
    if rows.size:
        raise TargetError(
            f"{owner}: {need}; row {rows[0]} holds {held[rows[0]]:g} "
            f"({rows.size} such row(s))."
        )
