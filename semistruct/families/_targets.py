"""What targets a family takes: one helper for fit and score."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from semistruct.exceptions import TargetError

FloatArray = NDArray[np.float64]

# support -> (what is illegal, what is needed)
SUPPORTS = {
    "real": (lambda y: np.zeros(y.shape, dtype=bool), "a finite number"),
    "positive": (lambda y: y <= 0, "above 0"),
    "nonnegative": (lambda y: y < 0, "at least 0"),
    "unit": (lambda y: (y <= 0) | (y >= 1), "strictly between 0 and 1"),
    "binary": (lambda y: (y != 0) & (y != 1), "0 or 1"),
    "count": (lambda y: (y < 0) | (y != np.round(y)), "a count (0, 1, 2, …)"),
}


def legal_target(y: ArrayLike, owner: str, family: str, support: str) -> FloatArray:
    """Return ``y`` (n,) as float64 when each row lies in the support.

    Raises
    ------
    TargetError
        When y is not numeric, not one-dimensional, or illegal (with the row).
    """
    target = numeric_target(y, owner, family)
    illegal, need = SUPPORTS[support]
    refuse_rows(illegal(target), target, owner, f"{need} for the {family} family")
    return target


def legal_codes(y: ArrayLike, owner: str, family: str, n_classes: int) -> FloatArray:
    """Return class codes 0 … C−1 (n,) as float64; raises like ``legal_target``."""
    target = numeric_target(y, owner, family)
    bad = (target != np.round(target)) | (target < 0) | (target >= n_classes)
    refuse_rows(bad, target, owner, f"a class code 0 to {n_classes - 1}")
    return target


def numeric_target(
    y: ArrayLike, owner: str, family: str, *, columns: int | None = None
) -> FloatArray:
    """Return a finite float64 target, (n,) or (n, columns).

    Raises
    ------
    TargetError
        When y is not numeric, of another shape, or not finite (with the row).
    """
    raw = np.asarray(y)
    if columns is None and raw.ndim != 1:
        raise TargetError(
            f"{owner}: y must be one-dimensional for the {family} family, "
            f"got shape {raw.shape}."
        )
    if columns is not None and (raw.ndim != 2 or raw.shape[1] != columns):
        raise TargetError(
            f"{owner}: y must have {columns} columns for the {family} family, "
            f"got shape {raw.shape}."
        )
    try:
        target = raw.astype(np.float64)
    except (TypeError, ValueError) as error:
        raise TargetError(
            f"{owner}: y must be numeric for the {family} family, "
            f"got dtype {raw.dtype}."
        ) from error
    finite = np.isfinite(target)
    bad = np.flatnonzero(~(finite if columns is None else finite.all(axis=1)))
    if bad.size:
        raise TargetError(
            f"{owner}: y contains NaN or infinity in {bad.size} row(s), "
            f"first at row {bad[0]}."
        )
    return target


def refuse_rows(bad: NDArray[np.bool_], y: FloatArray, owner: str, need: str) -> None:
    """Raise ``TargetError`` naming the first row where ``bad`` is True."""
    rows = np.flatnonzero(bad)
    if rows.size:
        held = np.array2string(y[rows[0]], formatter={"float_kind": "{:g}".format})
        raise TargetError(
            f"{owner}: y must be {need}; row {rows[0]} holds {held} "
            f"({rows.size} such row(s))."
        )
