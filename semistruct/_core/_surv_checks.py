"""Checks of the fields of a survival target; each error names field and row."""

from __future__ import annotations

import numbers
from typing import Any

import numpy as np
import pandas as pd

from semistruct.exceptions import TargetError

__all__ = [
    "as_booleans",
    "as_causes",
    "as_labels",
    "as_numbers",
    "as_upper",
    "check_entry",
    "check_intervals",
    "check_seen",
]


def _flat(name: str, values: Any, n: int | None) -> np.ndarray:
    array = np.asarray(values)
    if array.ndim != 1:
        raise TargetError(f"Surv: {name} must have one dimension; got {array.ndim}.")
    if n is not None and len(array) != n:
        raise TargetError(f"Surv: {name} has {len(array)} rows, but time has {n}.")
    return array


def as_numbers(name: str, values: Any, n: int | None) -> np.ndarray:
    """Give finite floats >= 0, (n,)."""
    array = _to_float(name, _flat(name, values, n), "numbers")
    bad = np.flatnonzero(~np.isfinite(array) | (array < 0))
    if bad.size:
        i = int(bad[0])
        raise TargetError(
            f"Surv: {name} must be finite and not negative; row {i} is {array[i]} "
            f"({bad.size} such rows). Drop these rows or correct them."
        )
    return array


def as_booleans(name: str, values: Any, n: int) -> np.ndarray:
    """Give booleans, (n,)."""
    array = _flat(name, values, n)
    number = _to_float(name, array, "boolean or 0/1")
    bad = np.flatnonzero((number != 0) & (number != 1))
    if bad.size:
        i = int(bad[0])
        raise TargetError(
            f"Surv: {name} must be boolean or 0/1; row {i} is {array[i]}. Recode it, "
            "for instance (status == 2)."
        )
    return number.astype(bool)


def _to_float(name: str, array: np.ndarray, allowed: str) -> np.ndarray:
    """Make floats of numbers; a missing cell is NaN, and texts and dates are errors."""
    good = array.dtype.kind in "biuf"
    if array.dtype == object:
        array = np.where(pd.isna(array), np.nan, array)
        good = all(isinstance(v, numbers.Real | np.bool_) for v in array)
    if not good:
        raise TargetError(
            f"Surv: {name} must be {allowed}; got {_kind(array)}. Convert it first."
        )
    return array.astype(np.float64)


def _kind(array: np.ndarray) -> str:
    kinds = {"U": "texts", "S": "bytes", "M": "dates", "m": "time differences"}
    return kinds.get(array.dtype.kind, f"dtype {array.dtype}")


def as_labels(name: str, values: Any, n: int) -> np.ndarray:
    """Give a copy of labels without missing ones, (n,)."""
    array = _flat(name, values, n)
    missing = np.flatnonzero(pd.isna(array))
    if missing.size:
        raise TargetError(f"Surv: {name} is missing in row {int(missing[0])}.")
    return array.copy()


def as_causes(values: Any, event: np.ndarray) -> np.ndarray:
    """Give labels of causes, (n,); None where a censored row has none."""
    array = _flat("cause", values, len(event)).copy()
    missing = np.asarray(pd.isna(array), dtype=bool)
    bad = np.flatnonzero(missing & event)
    if bad.size:
        raise TargetError(
            f"Surv: cause is missing in row {int(bad[0])}, which has an event "
            f"({bad.size} such rows). Only censored rows may lack it."
        )
    if missing.any():
        array = array.astype(object)
        array[missing] = None
    return array


def as_upper(values: Any, lower: np.ndarray) -> np.ndarray:
    """Give floats >= lower, (n,); inf where the cell is missing."""
    array = _to_float("upper", _flat("upper", values, len(lower)), "numbers")
    array = np.where(np.isnan(array), np.inf, array)
    bad = np.flatnonzero((array < lower) | (array == 0))
    if bad.size:
        i = int(bad[0])
        raise TargetError(
            f"Surv: upper must be above 0 and not lie before the lower end; row {i} "
            f"has {lower[i]:g} and {array[i]:g} ({bad.size} such rows). Exchange them, "
            "or correct them."
        )
    return array


def check_seen(event: np.ndarray, upper: np.ndarray) -> None:
    """Raise unless there is an event just where an upper end is."""
    bad = np.flatnonzero(event != np.isfinite(upper))
    if bad.size:
        i = int(bad[0])
        raise TargetError(
            f"Surv: event and upper contradict each other; row {i} has event "
            f"{bool(event[i])} and upper {upper[i]:g} ({bad.size} such rows). Leave "
            "event away: upper is inf or missing where no event was seen."
        )


def check_entry(entry: np.ndarray, time: np.ndarray, strict: np.ndarray) -> None:
    """Raise unless every row enters before it leaves, or where not strict with it."""
    late = np.flatnonzero(np.where(strict, entry >= time, entry > time))
    if late.size:
        i = int(late[0])
        raise TargetError(
            f"Surv: entry must lie before time; row {i} has entry {entry[i]:g} and "
            f"time {time[i]:g} ({late.size} such rows). Drop these rows or correct "
            "them."
        )


def check_intervals(
    entry: np.ndarray,
    time: np.ndarray,
    subject: np.ndarray,
    strata: np.ndarray | None,
) -> None:
    """Raise if a subject is at risk twice at a time, within a stratum.

    Sorted by (stratum, id, entry), each row must begin where the row before it, of the
    same subject, has ended or later.
    """
    code = pd.factorize(subject)[0]
    if strata is not None:
        code = code * (1 + len(strata)) + pd.factorize(strata)[0]
    order = np.lexsort((time, entry, code))
    same = code[order][1:] == code[order][:-1]
    bad = np.flatnonzero(same & (entry[order][1:] < time[order][:-1]))
    if not bad.size:
        return
    a, b = sorted((int(order[bad[0]]), int(order[bad[0] + 1])))
    raise TargetError(
        f"Surv: the rows of an id must not overlap in time; rows {a} and {b} of id "
        f"{subject.tolist()[a]!r} cover ({entry[a]:g}, {time[a]:g}] and ({entry[b]:g}, "
        f"{time[b]:g}] ({bad.size} such pairs). Take out the duplicates; put intervals "
        "that run side by side (gap times, competing causes) into different strata; or "
        "leave id away if it is not a subject."
    )
