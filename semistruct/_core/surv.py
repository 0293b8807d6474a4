"""The survival target: one class for every head."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import pandas as pd

from semistruct._core._surv_checks import (
    as_booleans,
    as_causes,
    as_labels,
    as_numbers,
    check_entry,
    check_intervals,
)
from semistruct._core.validation import suggest
from semistruct.exceptions import TargetError

__all__ = ["Surv"]

_FIELDS = ("time", "event", "entry", "strata", "id", "cause", "weights")


class Surv:
    """Right-censored survival times, with late entry, strata, ids, causes and weights.

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

    Raises
    ------
    TargetError
        If a field has another length, is not finite, negative, an event is not 0/1,
        ``entry >= time``, or rows of an id overlap.

    Attributes
    ----------
    time, event, entry, strata, id, cause, weights : ndarray of shape (n,) or None
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
    ) -> None:
        self.time = as_numbers("time", time, None)
        n = len(self.time)
        self.event = (
            np.ones(n, dtype=bool) if event is None else as_booleans("event", event, n)
        )
        self.entry = None if entry is None else as_numbers("entry", entry, n)
        self.strata = None if strata is None else as_labels("strata", strata, n)
        self.id = None if id is None else as_labels("id", id, n)
        self.cause = None if cause is None else as_causes(cause, self.event)
        self.weights = None if weights is None else as_numbers("weights", weights, n)
        if self.entry is not None:
            check_entry(self.entry, self.time)
            if self.id is not None:
                check_intervals(self.entry, self.time, self.id, self.strata)

    @classmethod
    def from_tuples(cls, rows: Iterable[tuple[Any, Any]]) -> Surv:
        """Make a target from pairs ``(event, time)``, the order of scikit-survival.

        Parameters
        ----------
        rows : iterable of (bool, float)
            A list of tuples, or a structured array with two fields.

        Examples
        --------
        >>> import semistruct as ss
        >>> ss.Surv.from_tuples([(True, 5.0), (False, 8.0)])
        Surv(n=2, events=1, time=[5, 8])
        """
        try:
            pairs = [tuple(r) for r in rows]
        except TypeError:
            pairs = [()]
        for i, pair in enumerate(pairs):
            if len(pair) != 2:
                raise TargetError(
                    "Surv.from_tuples: each row must be a pair (event, time); row "
                    f"{i} is not."
                )
        return cls([p[1] for p in pairs], [p[0] for p in pairs])

    @classmethod
    def coerce(cls, y: Any) -> Surv:
        """Make a target of what a user may give as ``y``.

        Parameters
        ----------
        y : Surv, structured array of two fields, or array-like of shape (n,)
            A boolean field and a time, as scikit-survival has them; numbers alone are
            uncensored times.

        Examples
        --------
        >>> import semistruct as ss
        >>> ss.Surv.coerce([5.0, 8.0])
        Surv(n=2, events=2, time=[5, 8])
        """
        if isinstance(y, cls):
            return y
        names = getattr(getattr(y, "dtype", None), "names", None)
        return cls.from_structured(y) if names and len(names) == 2 else cls(y)

    @classmethod
    def from_structured(cls, y: np.ndarray) -> Surv:
        """Make a target from scikit-survival's structured array.

        Parameters
        ----------
        y : structured array of shape (n,) with two fields
            A boolean field is the event; without one, time comes first.

        Examples
        --------
        >>> import numpy as np, semistruct as ss
        >>> kind = [("status", bool), ("months", float)]
        >>> ss.Surv.from_structured(np.array([(True, 5.0), (False, 8.0)], dtype=kind))
        Surv(n=2, events=1, time=[5, 8])
        """
        names: tuple[str, ...] = getattr(getattr(y, "dtype", None), "names", ()) or ()
        if len(names) != 2:
            raise TargetError(
                "Surv.from_structured: a structured array of two fields, event and "
                f"time, is needed; the fields are {names}."
            )
        event, time = names
        if y.dtype[event].kind != "b":
            event, time = time, event
        return cls(y[time], y[event])

    @classmethod
    def from_pycox(cls, target: tuple[Any, Any]) -> Surv:
        """Make a target from pycox's pair ``(durations, events)``.

        Parameters
        ----------
        target : (array-like of shape (n,), array-like of shape (n,))
            Events are 0/1, or with competing risks 0 for censored and 1, 2, … for the
            causes.

        Examples
        --------
        >>> import semistruct as ss
        >>> ss.Surv.from_pycox(([5.0, 8.0, 3.0], [2, 0, 1])).cause.tolist()
        [2, 0, 1]
        """
        if not isinstance(target, tuple | list) or len(target) != 2:
            raise TargetError("Surv.from_pycox: a pair (durations, events) is needed.")
        time, status = target
        codes = np.asarray(status)
        several = codes.dtype.kind in "iuf" and len(codes) > 0 and codes.max() > 1
        return cls.from_status(time, codes) if several else cls(time, codes)

    @classmethod
    def from_status(cls, time: Any, status: Any, censored: Any = 0) -> Surv:
        """Make a target of competing risks from one column of states.

        Parameters
        ----------
        time : array-like of shape (n,)
            Times of events or of censoring.
        status : array-like of shape (n,)
            The cause of the event, or ``censored``.
        censored : label, default=0
            What stands in ``status`` for a censored row.

        Examples
        --------
        >>> import semistruct as ss
        >>> y = ss.Surv.from_status([5.0, 8.0, 3.0], ["death", "alive", "relapse"],
        ...                         censored="alive")
        >>> y, y.causes
        (Surv(n=3, events=2, time=[3, 8], cause), ['death', 'relapse'])
        """
        times = as_numbers("time", time, None)
        states = as_labels("status", status, len(times))
        return cls(times, states != censored, cause=states)

    @classmethod
    def from_frame(
        cls, frame: pd.DataFrame, time: str, event: str | None = None, **columns: str
    ) -> Surv:
        """Make a target from columns of a DataFrame.

        Parameters
        ----------
        frame : DataFrame
            Table that holds the columns.
        time, event : str
            Names of the columns of times and of events.
        **columns : str
            Names of the columns for ``entry``, ``strata``, ``id``, ``cause``,
            ``weights``.

        Examples
        --------
        >>> import pandas as pd, semistruct as ss
        >>> table = pd.DataFrame({"t": [5.0, 8.0], "d": [1, 0]})
        >>> ss.Surv.from_frame(table, "t", "d")
        Surv(n=2, events=1, time=[5, 8])
        """
        named = {"time": time, **({} if event is None else {"event": event}), **columns}
        values = {}
        for field, column in named.items():
            if field not in _FIELDS:
                raise TargetError(
                    f"Surv.from_frame: unknown field {field!r}; known are "
                    f"{', '.join(_FIELDS)}.{suggest(field, _FIELDS)}"
                )
            if column not in frame.columns:
                near = suggest(column, frame.columns)
                raise TargetError(
                    f"Surv.from_frame: the table has no column {column!r} for "
                    f"{field!r}.{near}"
                )
            values[field] = frame[column]
        return cls(**values)

    def __len__(self) -> int:
        return len(self.time)

    @property
    def shape(self) -> tuple[int]:
        """Number of rows, as a tuple, as NumPy's arrays have it."""
        return (len(self.time),)

    @property
    def dtype(self) -> np.dtype:
        """Type of the structured array that ``numpy.asarray`` gives."""
        return np.dtype([("event", bool), ("time", np.float64)])

    def __getitem__(self, key: Any) -> Surv:
        rows = np.atleast_1d(np.arange(len(self))[key])
        if rows.ndim != 1:
            raise IndexError(f"Surv has one dimension; the index has {rows.ndim}.")
        fields = (getattr(self, f) for f in _FIELDS)
        picked = Surv.__new__(Surv)
        for name, value in zip(_FIELDS, fields, strict=True):
            setattr(picked, name, None if value is None else value[rows])
        return picked

    def __iter__(self) -> Iterator[tuple[bool, float]]:
        return iter(zip(self.event.tolist(), self.time.tolist(), strict=True))

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        if copy is False:
            raise ValueError("Surv: an array of it is always a copy.")
        out = np.empty(len(self), dtype=self.dtype)
        out["event"], out["time"] = self.event, self.time
        return out if dtype is None else out.astype(dtype)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Surv):
            return NotImplemented
        pairs = [(getattr(self, f), getattr(other, f)) for f in _FIELDS]
        return all(
            (a is None) == (b is None) and (a is None or np.array_equal(a, b))
            for a, b in pairs
        )

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        n = len(self)
        span = f", time=[{self.time.min():g}, {self.time.max():g}]" if n else ""
        extra = [f for f in _FIELDS[2:] if getattr(self, f) is not None]
        also = f", {', '.join(extra)}" if extra else ""
        return f"Surv(n={n}, events={int(self.event.sum())}{span}{also})"

    @property
    def causes(self) -> list[Any]:
        """Distinct causes of the events, sorted; empty without causes."""
        seen = set() if self.cause is None else set(self.cause[self.event].tolist())
        return sorted(seen, key=lambda cause: (isinstance(cause, str), cause))

    def to_frame(self, **columns: str) -> pd.DataFrame:
        """Give the fields that are there as the columns of a DataFrame.

        Parameters
        ----------
        **columns : str
            Other names for the columns, by field; the mirror of ``from_frame``.

        Examples
        --------
        >>> import semistruct as ss
        >>> y = ss.Surv([5.0, 8.0], [1, 0])
        >>> y.to_frame(time="duration")  # lifelines: duration_col, event_col
           duration  event
        0       5.0   True
        1       8.0  False
        """
        for field in columns:
            if field not in _FIELDS:
                raise TargetError(
                    f"Surv.to_frame: unknown field {field!r}; known are "
                    f"{', '.join(_FIELDS)}.{suggest(field, _FIELDS)}"
                )
        fields = {columns.get(f, f): getattr(self, f) for f in _FIELDS}
        return pd.DataFrame({f: v for f, v in fields.items() if v is not None})

    def to_structured(self, event: str = "event", time: str = "time") -> np.ndarray:
        """Give scikit-survival's structured array; only events and times go into it.

        Parameters
        ----------
        event, time : str
            Names of its fields.

        Examples
        --------
        >>> import semistruct as ss
        >>> ss.Surv([5.0, 8.0], [1, 0]).to_structured("status", "months").dtype.names
        ('status', 'months')
        """
        return np.asarray(self, dtype=self.dtype).view([(event, bool), (time, float)])

    def to_pycox(self) -> tuple[np.ndarray, np.ndarray]:
        """Give pycox's pair (durations, events).

        Returns
        -------
        durations : ndarray of shape (n,)
        events : ndarray of shape (n,) of int64
            0 for censored; 1, or with causes their place in ``causes`` from 1 on.

        Examples
        --------
        >>> import semistruct as ss
        >>> ss.Surv([5.0, 8.0], [1, 0]).to_pycox()
        (array([5., 8.]), array([1, 0]))
        """
        events = self.event.astype(np.int64)
        if self.cause is not None:
            place = {cause: k for k, cause in enumerate(self.causes, start=1)}
            events[self.event] = [place[c] for c in self.cause[self.event].tolist()]
        return self.time.copy(), events
