"""Shapes and weights of what is fitted."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from semistruct.design import DenseDesign, DesignOperator
from semistruct.exceptions import DataError

FloatArray = NDArray[np.float64]


def as_design(design: ArrayLike | DesignOperator) -> DesignOperator:
    """Return an operator; matrices (n, p) must be finite."""
    if isinstance(design, DesignOperator):
        return design
    return DenseDesign(as_matrix(design))


def as_matrix(design: ArrayLike) -> FloatArray:
    """Return a finite C-contiguous float64 matrix (n, p)."""
    matrix = np.ascontiguousarray(design, dtype=np.float64)
    if matrix.ndim != 2:
        raise DataError(f"A design must have two dimensions, got {matrix.ndim}.")
    if not np.isfinite(matrix.sum()):
        bad = np.argwhere(~np.isfinite(matrix))
        if len(bad):
            row, column = bad[0]
            raise DataError(
                f"The design holds NaN or infinity, first in row {row}, "
                f"column {column}."
            )
    return matrix


def as_weight(
    weight: ArrayLike | None, n: int, *, name: str = "sample_weight"
) -> FloatArray | None:
    """Return weights (n,) ≥ 0 with a positive sum, or None."""
    if weight is None:
        return None
    values = np.asarray(weight, dtype=np.float64)
    if values.shape != (n,):
        raise DataError(f"{name} has shape {values.shape}, need ({n},).")
    bad = np.flatnonzero(~(np.isfinite(values) & (values >= 0)))
    if bad.size:
        raise DataError(
            f"{name} must be finite and at least 0; row {bad[0]} holds "
            f"{values[bad[0]]}."
        )
    if not values.any():
        raise DataError(f"{name} is 0 in every row.")
    return None if (values == 1).all() else values


def as_precision(weight: ArrayLike | None, n: int) -> FloatArray | None:
    """Return precision weights (n,) > 0, or None."""
    values = as_weight(weight, n, name="var_weights")
    if values is not None and (values == 0).any():
        row = int(np.flatnonzero(values == 0)[0])
        raise DataError(
            f"var_weights must be above 0; row {row} holds 0. Give such a row "
            "sample_weight=0, or leave it out."
        )
    return values


def as_offset(offset: ArrayLike | None, n: int, size: int) -> FloatArray:
    """Return a finite offset (n, size)."""
    if offset is None:
        return np.zeros((n, size))
    values = np.asarray(offset, dtype=np.float64)
    if values.ndim == 1 and size == 1:
        values = values[:, None]
    if values.shape != (n, size):
        raise DataError(f"offset has shape {values.shape}, need ({n}, {size}).")
    bad = np.flatnonzero(~np.isfinite(values).all(axis=1))
    if bad.size:
        raise DataError(f"offset holds NaN or infinity, first in row {bad[0]}.")
    return values
