"""The target of parametric survival models: entry, lower and upper of each row."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from semistruct._core.surv import Surv
from semistruct.exceptions import TargetError

FloatArray = NDArray[np.float64]

_NEED = "columns (entry, lower, upper)"


def legal_bounds(y: Any, owner: str, family: str) -> FloatArray:
    """Return ``y`` as float64 (n, 3), columns entry, lower and upper.

    Parameters
    ----------
    y : Surv, or array-like of shape (n, 3)
        See :class:`semistruct.families.Censored`. A ``Surv`` may have no weights,
        strata or several causes: they are no part of the rows.

    Raises
    ------
    TargetError
        Naming the first row that is not legal.
    """
    if isinstance(y, Surv):
        _only_times(y, owner)
        target = y.bounds()
    else:
        target = _numbers(y, owner, family)
    entry, lower, upper = target.T
    rules = (
        (np.isnan(target).any(axis=1), "no NaN; give upper=inf for right censoring"),
        (
            ~np.isfinite(entry) | ~np.isfinite(lower) | (entry < 0) | (lower < 0),
            "0 <= entry and 0 <= lower, both finite",
        ),
        (upper < lower, "lower <= upper"),
        (
            (upper <= 0) | (np.isinf(upper) & (lower == 0)),
            "a time above 0, since the logarithm of the time is modelled; drop the "
            "row, or give half of the smallest unit of time",
        ),
        (
            (entry > lower) | (entry >= upper) | (np.isinf(upper) & (entry == lower)),
            "entry before the event or the censoring; an event between entry and "
            "upper has lower = entry",
        ),
    )
    for bad, need in rules:
        rows = np.flatnonzero(bad)
        if rows.size:
            held = ", ".join(f"{value:g}" for value in target[rows[0]])
            raise TargetError(
                f"{owner}: the {family} family needs {need}. Row {rows[0]} has (entry, "
                f"lower, upper) = ({held}) ({rows.size} such row(s))."
            )
    return target


def _numbers(y: Any, owner: str, family: str) -> FloatArray:
    """Make floats of an array-like of shape (n, 3)."""
    raw = np.asarray(y)
    if raw.dtype.names is not None or raw.ndim != 2 or raw.shape[1] != 3:
        raise TargetError(
            f"{owner}: y must be a Surv or have the {_NEED} for the {family} family; "
            f"got shape {raw.shape}. Give Surv(time, event), or "
            "Surv.interval(lower, upper)."
        )
    try:
        return np.ascontiguousarray(raw, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise TargetError(
            f"{owner}: y must be numeric, {_NEED}, for the {family} family; got dtype "
            f"{raw.dtype}."
        ) from error


def _only_times(y: Surv, owner: str) -> None:
    """Refuse what the rows of a likelihood would leave out."""
    several = len(y.causes) > 1
    ignored = [name for name in ("weights", "strata") if getattr(y, name) is not None]
    if several or ignored:
        what = " and ".join([*ignored, *(["several causes"] if several else [])])
        raise TargetError(
            f"{owner}: the {what} of y would be ignored here. Give y.bounds(), and "
            "weights as sample_weight; a stratum can be a term of both formulas."
        )
