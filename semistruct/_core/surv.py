"""The survival target: one class for every head."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from semistruct._core._surv_checks import (
    as_booleans,
    as_causes,
    as_labels,
    as_numbers,
    as_upper,
    check_entry,
    check_intervals,
    check_seen,
)
from semistruct._core._surv_forms import FIELDS, Forms

__all__ = ["Surv"]


class Surv(Forms):
    """Survival times, right- or interval-censored, with late entry, strata and more.

    A ``Surv`` can be indexed as an array of its rows, so ``train_test_split``,
    ``cross_val_score`` and ``GridSearchCV`` take it.

    Parameters
    ----------
    time : array-like of shape (n,)
        Time of the event or of censoring, in any unit, finite and >= 0.
    event : array-like of shape (n,) of bool or 0/1, optional
        Whether the event was seen. Default: all were.
    entry : array-like of shape (n,), optional
        Time from which the row is at risk (left truncation), ``0 <= entry < time``.
    strata : array-like of shape (n,), optional
        Label of the stratum; each has its own baseline hazard.
    id : array-like of shape (n,), optional
        Label of the subject, where a subject has several rows. With ``entry``, the
        intervals (entry, time] of a subject may not overlap within a stratum.
    cause : array-like of shape (n,), optional
        Label of the cause of the event, for competing risks; may be missing where the
        row is censored, and is not looked at there.
    weights : array-like of shape (n,), optional
        Case weights, >= 0.
    upper : array-like of shape (n,), optional
        Interval censoring, better given by `Surv.interval`: the event happened between
        ``time`` and ``upper >= time``, at ``time`` if they are equal; inf or missing
        where it was not seen. ``event`` follows from it.

    Raises
    ------
    TargetError
        If a field has another length, is not finite, negative, an event is not 0/1,
        ``entry >= time``, rows of an id overlap, or ``upper`` lies before ``time`` or
        contradicts ``event``.

    Attributes
    ----------
    time, event, entry, strata, id, cause, weights, upper : ndarray (n,) or None
        The fields as they were given; ``event`` is boolean and never None.
    causes : list
        Distinct causes of the events, sorted.

    Examples
    --------
    >>> import semistruct as ss
    >>> y = ss.Surv([5.0, 8.0, 3.0], [1, 0, 1])
    >>> y
    Surv(n=3, events=2, time=[3, 8])
    >>> y[[0, 2]].time.tolist()
    [5.0, 3.0]
    """

    ndim = 1

    def __init__(
        self,
        time: Any,
        event: Any = None,
        entry: Any = None,
        strata: Any = None,
        id: Any = None,  # noqa: A002
        cause: Any = None,
        weights: Any = None,
        upper: Any = None,
    ) -> None:
        self.time = as_numbers("time", time, None)
        n = len(self.time)
        self.upper = None if upper is None else as_upper(upper, self.time)
        if event is not None:
            self.event = as_booleans("event", event, n)
        elif self.upper is not None:
            self.event = np.isfinite(self.upper)
        else:
            self.event = np.ones(n, dtype=bool)
        if self.upper is not None:
            check_seen(self.event, self.upper)
        self.entry = None if entry is None else as_numbers("entry", entry, n)
        self.strata = None if strata is None else as_labels("strata", strata, n)
        self.id = None if id is None else as_labels("id", id, n)
        self.cause = None if cause is None else as_causes(cause, self.event)
        self.weights = None if weights is None else as_numbers("weights", weights, n)
        if self.entry is not None:
            # an interval may begin with the entry
            check_entry(self.entry, self.time, ~self.is_open())
            if self.id is not None:
                last = np.where(self.event, self.bounds()[:, 2], self.time)
                check_intervals(self.entry, last, self.id, self.strata)

    @classmethod
    def coerce(cls, y: Any, *, interval: bool = False) -> Surv:
        """Make a target of what a user may give as ``y``.

        Parameters
        ----------
        y : Surv, structured array of two fields, or array-like of shape (n,)
            A boolean field and a time, as scikit-survival has them; numbers alone are
            uncensored times.
        interval : bool, default=False
            Whether events that are known by an interval only are taken; a
            ``TargetError`` names the row otherwise.

        Examples
        --------
        >>> import semistruct as ss
        >>> ss.Surv.coerce([5.0, 8.0])
        Surv(n=2, events=2, time=[5, 8])
        """
        if isinstance(y, cls):
            if not interval:
                y.refuse_interval("y")
            return y
        names = getattr(getattr(y, "dtype", None), "names", None)
        return cls.from_structured(y) if names and len(names) == 2 else cls(y)

    def __len__(self) -> int:
        return len(self.time)

    @property
    def shape(self) -> tuple[int]:
        """Number of rows, as a tuple, as NumPy's arrays have it."""
        return (len(self.time),)

    @property
    def dtype(self) -> np.dtype:
        """Type of the structured array that ``numpy.asarray`` gives."""
        fields: list[tuple[str, type]] = [("event", bool), ("time", np.float64)]
        return np.dtype(fields + [("upper", np.float64)] * (self.upper is not None))

    @property
    def kind(self) -> np.ndarray:
        """What is known of each event: "exact", "right", "left" or "interval"."""
        hidden = np.where(self.time == 0, "left", "interval")
        seen = np.where(self.is_open(), hidden, "exact")
        return np.where(self.event, seen, "right")

    def is_open(self) -> np.ndarray:
        """Where an event is known by an interval only, (n,)."""
        if self.upper is None:
            return np.zeros(len(self), dtype=bool)
        return self.event & (self.upper > self.time)

    def bounds(self) -> np.ndarray:
        """Give entry, lower and upper ends, as parametric families take them.

        Returns
        -------
        ndarray of shape (n, 3)
            Entry is 0 where there is none; lower = upper where the time of the event
            is known; upper = inf where there was none.

        Examples
        --------
        >>> import semistruct as ss
        >>> ss.Surv([5.0, 8.0], [1, 0]).bounds()
        array([[ 0.,  5.,  5.],
               [ 0.,  8., inf]])
        """
        entry = np.zeros(len(self)) if self.entry is None else self.entry
        upper = np.where(self.event, self.time, np.inf)
        upper = upper if self.upper is None else self.upper
        return np.column_stack([entry, self.time, upper])

    def __getitem__(self, key: Any) -> Surv:
        rows = np.atleast_1d(np.arange(len(self))[key])
        if rows.ndim != 1:
            raise IndexError(f"Surv has one dimension; the index has {rows.ndim}.")
        fields = (getattr(self, f) for f in FIELDS)
        picked = Surv.__new__(Surv)
        for name, value in zip(FIELDS, fields, strict=True):
            setattr(picked, name, None if value is None else value[rows])
        return picked

    def __iter__(self) -> Iterator[tuple[bool, float]]:
        self.refuse_interval("Iteration over a Surv")
        return iter(zip(self.event.tolist(), self.time.tolist(), strict=True))

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        if copy is False:
            raise ValueError("Surv: an array of it is always a copy.")
        out = np.empty(len(self), dtype=self.dtype)
        out["event"], out["time"] = self.event, self.time
        if self.upper is not None:
            out["upper"] = self.upper
        return out if dtype is None else out.astype(dtype)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Surv):
            return NotImplemented
        pairs = [(getattr(self, f), getattr(other, f)) for f in FIELDS]
        return all(
            (a is None) == (b is None) and (a is None or np.array_equal(a, b))
            for a, b in pairs
        )

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        n = len(self)
        span = f", time=[{self.time.min():g}, {self.time.max():g}]" if n else ""
        extra = [f for f in FIELDS[2:] if getattr(self, f) is not None]
        also = f", {', '.join(extra)}" if extra else ""
        return f"Surv(n={n}, events={int(self.event.sum())}{span}{also})"
