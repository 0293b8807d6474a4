"""Who is at risk and who has the event when: the one table of all estimators here."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from semistruct._core.surv import Surv
from semistruct.exceptions import DataError

FloatArray = NDArray[np.float64]


class Counts(NamedTuple):
    """Weighted counts at each time that some row leaves at, (k,) each.

    Attributes
    ----------
    times : ndarray
        Distinct times, increasing.
    at_risk : ndarray
        Σ w over rows with entry < t <= time.
    events, censored : ndarray
        Σ w over rows that leave at t, with and without an event.
    """

    times: FloatArray
    at_risk: FloatArray
    events: FloatArray
    censored: FloatArray


def count(y: Surv, event: NDArray[np.bool_] | None = None) -> Counts:
    """Count rows of positive weight; ``event`` in place of that of ``y``."""
    weight = row_weights(y)
    dead = y.event if event is None else event
    times, code = np.unique(y.time[weight > 0], return_inverse=True)
    weight_in, dead = weight[weight > 0], dead[weight > 0]
    events: FloatArray = np.bincount(code, weight_in * dead, len(times)).astype(float)
    censored: FloatArray = np.bincount(code, weight_in * ~dead, len(times)).astype(
        float
    )
    return Counts(times, at_risk(y, times), events, censored)


def at_risk(y: Surv, times: FloatArray) -> FloatArray:
    """Σ w over rows with entry < t <= time, (k,) for times (k,)."""
    weight = row_weights(y)
    risk = _beyond(y.time, weight, times)
    if y.entry is not None:
        risk = risk - _beyond(y.entry, weight, times)
        risk = np.where(risk > 1e-12 * weight.sum(), risk, 0.0)  # rounding of sums
    return risk


def _beyond(values: FloatArray, weight: FloatArray, times: FloatArray) -> FloatArray:
    """Σ w over values >= t."""
    order = np.argsort(values, kind="stable")
    tail = np.concatenate([np.cumsum(weight[order][::-1])[::-1], [0.0]])
    summed: FloatArray = tail[np.searchsorted(values[order], times, side="left")]
    return summed


def row_weights(y: Surv) -> FloatArray:
    """Case weights of the rows, 1 where there are none."""
    return np.ones(len(y)) if y.weights is None else y.weights


def groups_of(y: Surv, by: Any, owner: str) -> tuple[list[Any], NDArray[np.intp]]:
    """Labels of the groups, in order, and the code of each row.

    Without ``by``, the strata of ``y``; without those, one group "all".
    """
    if not len(y):
        raise DataError(f"{owner}: y has no rows.")
    labels = y.strata if by is None else by
    if labels is None:
        return ["all"], np.zeros(len(y), dtype=np.intp)
    values = labels if isinstance(labels, pd.Series) else np.asarray(labels)
    if values.shape != (len(y),):
        raise DataError(
            f"{owner}: the groups have shape {values.shape}, but y has {len(y)} rows."
        )
    code, unique = pd.factorize(values, sort=True)
    if (code < 0).any():
        row = int(np.flatnonzero(code < 0)[0])
        raise DataError(f"{owner}: the group of row {row} is missing.")
    return list(unique), code.astype(np.intp)
