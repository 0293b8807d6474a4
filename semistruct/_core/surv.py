"""The survival target: one class for every head."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import pandas as pd

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
        Label of the subject, where a subject has several rows.
    cause : array-like of shape (n,), optional
        Label of the cause of the event, for competing risks.
    weights : array-like of shape (n,), optional
        Case weights, >= 0.

    Raises
    ------
    TargetError
        If a field has another length, is not finite, negative, or an event is not 0/1.

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
        id: Any = None,
        cause: Any = None,
        weights: Any = None,
    ) -> None:
        self.time = _numbers("time", time, None)
        n = len(self.time)
        self.event = (
            np.ones(n, dtype=bool) if event is None else _booleans("event", event, n)
        )
        self.entry = None if entry is None else _numbers("entry", entry, n)
        self.strata = None if strata is None else _labels("strata", strata, n)
        self.id = None if id is None else _labels("id", id, n)
        self.cause = None if cause is None else _labels("cause", cause, n)
        self.weights = None if weights is None else _numbers("weights", weights, n)
        if self.entry is not None:
            late = np.flatnonzero(self.entry >= self.time)
            if late.size:
                i = int(late[0])
                raise TargetError(
                    f"Surv: entry must lie before time; row {i} has entry "
                    f"{self.entry[i]:g} and time {self.time[i]:g} ({late.size} such "
                    "rows). Drop these rows or correct them."
                )

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
        pairs = [tuple(r) for r in rows]
        if any(len(p) != 2 for p in pairs):
            raise TargetError("Surv.from_tuples: each row must be a pair (event, time).")
        return cls([p[1] for p in pairs], [p[0] for p in pairs])

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
        fields = (getattr(self, f) for f in _FIELDS)
        picked = Surv.__new__(Surv)
        for name, value in zip(_FIELDS, fields, strict=True):
            setattr(picked, name, None if value is None else value[rows])
        return picked

    def __iter__(self) -> Iterator[tuple[bool, float]]:
        return iter(zip(self.event.tolist(), self.time.tolist(), strict=True))

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
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

    def to_frame(self) -> pd.DataFrame:
        """Give the fields that are there as the columns of a DataFrame."""
        fields = {f: getattr(self, f) for f in _FIELDS}
        return pd.DataFrame({f: v for f, v in fields.items() if v is not None})


def _flat(name: str, values: Any, n: int | None) -> np.ndarray:
    array = np.asarray(values)
    if array.ndim != 1:
        raise TargetError(f"Surv: {name} must have one dimension; got {array.ndim}.")
    if n is not None and len(array) != n:
        raise TargetError(f"Surv: {name} has {len(array)} rows, but time has {n}.")
    return array


def _numbers(name: str, values: Any, n: int | None) -> np.ndarray:
    array = _flat(name, values, n)
    try:
        array = array.astype(np.float64)
    except (TypeError, ValueError) as error:
        raise TargetError(
            f"Surv: {name} must be numbers; got dtype {array.dtype}."
        ) from error
    bad = np.flatnonzero(~np.isfinite(array) | (array < 0))
    if bad.size:
        i = int(bad[0])
        raise TargetError(
            f"Surv: {name} must be finite and not negative; row {i} is {array[i]} "
            f"({bad.size} such rows). Drop these rows or correct them."
        )
    return array


def _booleans(name: str, values: Any, n: int) -> np.ndarray:
    array = _flat(name, values, n)
    if array.dtype == bool:
        return array.copy()
    try:
        number = array.astype(np.float64)
    except (TypeError, ValueError) as error:
        raise TargetError(
            f"Surv: {name} must be boolean or 0/1; got dtype {array.dtype}."
        ) from error
    bad = np.flatnonzero((number != 0) & (number != 1))
    if bad.size:
        i = int(bad[0])
        raise TargetError(
            f"Surv: {name} must be boolean or 0/1; row {i} is {array[i]}. Recode it, "
            "for instance (status == 2)."
        )
    return number.astype(bool)


def _labels(name: str, values: Any, n: int) -> np.ndarray:
    array = _flat(name, values, n)
    missing = np.flatnonzero(pd.isna(array))
    if missing.size:
        raise TargetError(f"Surv: {name} is missing in row {int(missing[0])}.")
    return array
