"""Single cells of a tensor column: what is null, what is a cell, how cells stack."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd

from semistruct.data._tensor_dtype import TensorDtype
from semistruct.exceptions import DataError

__all__ = [
    "as_cell",
    "cast_cells",
    "is_null",
    "stack_cells",
    "summarize",
    "without_ellipsis",
]


def is_null(value: Any) -> bool:
    """Tell whether a value stands for a null cell: None, NaN, NaT or ``pandas.NA``."""
    if value is None or value is pd.NA or value is pd.NaT:
        return True
    return isinstance(value, (float, np.floating)) and math.isnan(value)


def as_cell(value: Any, shape: tuple[int, ...]) -> np.ndarray | None:
    """Give the value as one cell of the shape, or None if it is something else."""
    if isinstance(
        value, (str, bytes, pd.Series, pd.Index, pd.api.extensions.ExtensionArray)
    ):
        return None
    try:
        cell = np.asarray(value)
    except ValueError:  # ragged: a list of cells with nulls
        return None
    if cell.ndim == 0 and cell.dtype == object:
        cell = np.asarray(cell.item())
    return cell if cell.shape == shape and cell.dtype.kind in "biuf" else None


def cast_cells(cells: np.ndarray, dtype: TensorDtype) -> np.ndarray:
    """Cast cells for assignment; an integer column takes only what it can hold.

    Raises
    ------
    DataError
        If a number would change (other than by rounding of floating numbers).
    """
    target = dtype.subdtype
    if np.can_cast(cells.dtype, target, casting="same_kind"):
        return cells.astype(target, copy=False)
    with np.errstate(invalid="ignore"):
        cast = cells.astype(target)
    if not np.array_equal(cast, cells):
        raise DataError(
            f"TensorArray: a column of type {dtype} cannot hold these {cells.dtype} "
            "values without changing them. Convert the column with astype first."
        )
    return cast


def stack_cells(
    cells: list[Any], dtype: TensorDtype | None
) -> tuple[np.ndarray, np.ndarray]:
    """Stack cells to a block (n, *shape) and a mask (n,)."""
    mask = np.array([not is_null(cell) for cell in cells], dtype=bool)
    rows = np.flatnonzero(mask)
    arrays = [np.asarray(cells[i]) for i in rows]
    if dtype is None:
        if not arrays:
            raise DataError(
                "TensorArray: all cells are null, so the shape is not known; give "
                "dtype=, for instance 'tensor[uint8, (8, 8)]'."
            )
        dtype = TensorDtype(np.result_type(*arrays), arrays[0].shape)
    for i, array in zip(rows, arrays, strict=True):
        if array.shape != dtype.shape:
            raise DataError(
                f"TensorArray: all cells have one shape; row {i} has {array.shape}, "
                f"where {dtype.shape} is expected. Resize the cells, or keep them in a "
                "column of objects."
            )
    block = np.zeros((len(cells), *dtype.shape), dtype=dtype.subdtype)
    for i, array in zip(rows, arrays, strict=True):
        block[i] = cast_cells(array, dtype)
    return block, mask


def summarize(cell: Any) -> str:
    """Show a cell in a few characters, as ``<8×8 mean 4.88>``."""
    if is_null(cell):
        return "<NA>"
    sizes = "×".join(str(size) for size in np.shape(cell))
    return f"<{sizes} mean {float(np.mean(cell)):.3g}>"


def without_ellipsis(item: Any) -> Any:
    """Drop the Ellipsis of an index such as ``column[..., :3]``."""
    if not isinstance(item, tuple):
        return item
    rest = [part for part in item if part is not Ellipsis]
    if len(rest) > 1:
        raise IndexError("too many indices: a TensorArray has one axis, its rows.")
    return rest[0] if rest else slice(None)
