"""Other forms of a survival target: what it is made of and what it gives."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable
from typing import Any, Self

import numpy as np
import pandas as pd

from semistruct._core._surv_checks import as_labels, as_numbers
from semistruct._core.validation import suggest
from semistruct.exceptions import TargetError

__all__ = ["FIELDS", "Forms"]

FIELDS = ("time", "event", "entry", "strata", "id", "cause", "weights", "upper")


class Forms(ABC):
    """How a `Surv` is read from other forms and written to them; abstract."""

    time: np.ndarray
    event: np.ndarray
    cause: np.ndarray | None
    upper: np.ndarray | None

    @abstractmethod
    def __init__(self, time: Any, event: Any = None, **fields: Any) -> None:
        """Take the fields."""

    @abstractmethod
    def is_open(self) -> np.ndarray:
        """Where an event is known by an interval only, (n,)."""

    @property
    def causes(self) -> list[Any]:
        """Distinct causes of the events, sorted; empty without causes."""
        seen = set() if self.cause is None else set(self.cause[self.event].tolist())
        return sorted(seen, key=lambda cause: (isinstance(cause, str), cause))

    @classmethod
    def interval(cls, lower: Any, upper: Any, **fields: Any) -> Self:
        """Make a target of events that lie between two times.

        Parameters
        ----------
        lower : array-like of shape (n,)
            Last time at which the event had not happened; 0 or NaN where it is not
            known (left censoring).
        upper : array-like of shape (n,)
            First time at which it had; inf or NaN where it is not known (right
            censoring), ``lower`` where the time is exact.
        **fields : array-like of shape (n,)
            ``entry``, ``strata``, ``id``, ``cause``, ``weights``, as in `Surv`.

        Returns
        -------
        Surv
            ``time`` is lower, ``event`` whether upper is finite, ``upper`` inf where
            it is not.

        Examples
        --------
        >>> import numpy as np, semistruct as ss
        >>> y = ss.Surv.interval([0, 2, 4, 6], [3, 5, 4, np.inf])
        >>> y
        Surv(n=4, events=3, time=[0, 6], upper)
        >>> y.kind.tolist()
        ['left', 'interval', 'exact', 'right']
        """
        raw = np.asarray(lower)
        missing = np.asarray(pd.isna(raw), dtype=bool)
        if missing.any():
            raw = np.where(missing, 0.0, raw)
        return cls(raw, upper=upper, **fields)

    def refuse_interval(self, owner: str) -> None:
        """Raise ``TargetError`` where an event is known by an interval only.

        Parameters
        ----------
        owner : str
            Who needs exact or right-censored times; opens the message.
        """
        bad = np.flatnonzero(self.is_open())
        if bad.size:
            i, upper = int(bad[0]), self.upper
            assert upper is not None
            raise TargetError(
                f"{owner}: exact and right-censored times are needed here; the event "
                f"of row {i} lies between {self.time[i]:g} and {upper[i]:g} "
                f"({bad.size} such rows). Use a parametric head (weibull, lognormal or "
                "loglogistic), or decide on a time for each event and give Surv(time, "
                "event)."
            )

    @classmethod
    def from_tuples(cls, rows: Iterable[tuple[Any, Any]]) -> Self:
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
    def from_structured(cls, y: np.ndarray) -> Self:
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
    def from_pycox(cls, target: tuple[Any, Any]) -> Self:
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
    def from_status(cls, time: Any, status: Any, censored: Any = 0) -> Self:
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
    ) -> Self:
        """Make a target from columns of a DataFrame.

        Parameters
        ----------
        frame : DataFrame
            Table that holds the columns.
        time, event : str
            Names of the columns of times and of events.
        **columns : str
            Names of the columns for ``entry``, ``strata``, ``id``, ``cause``,
            ``weights``, ``upper``. With ``upper``, times may be missing as in
            `interval`.

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
            if field not in FIELDS:
                raise TargetError(
                    f"Surv.from_frame: unknown field {field!r}; known are "
                    f"{', '.join(FIELDS)}.{suggest(field, FIELDS)}"
                )
            if column not in frame.columns:
                near = suggest(column, frame.columns)
                raise TargetError(
                    f"Surv.from_frame: the table has no column {column!r} for "
                    f"{field!r}.{near}"
                )
            values[field] = frame[column]
        if "upper" in values:
            return cls.interval(values.pop("time"), **values)
        return cls(**values)

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
            if field not in FIELDS:
                raise TargetError(
                    f"Surv.to_frame: unknown field {field!r}; known are "
                    f"{', '.join(FIELDS)}.{suggest(field, FIELDS)}"
                )
        fields = {columns.get(f, f): getattr(self, f) for f in FIELDS}
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
        self.refuse_interval("Surv.to_structured")
        out = np.empty(len(self.time), dtype=[(event, bool), (time, np.float64)])
        out[event], out[time] = self.event, self.time
        return out

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
        self.refuse_interval("Surv.to_pycox")
        events = self.event.astype(np.int64)
        if self.cause is not None:
            place = {cause: k for k, cause in enumerate(self.causes, start=1)}
            events[self.event] = [place[c] for c in self.cause[self.event].tolist()]
        return self.time.copy(), events
