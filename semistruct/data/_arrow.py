"""Tensor columns to and from arrow; pyarrow is imported where it is used."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from semistruct.exceptions import DataError

if TYPE_CHECKING:
    from semistruct.data._tensor_array import TensorArray
    from semistruct.data._tensor_dtype import TensorDtype

__all__ = ["from_arrow", "to_arrow"]


def to_arrow(array: TensorArray, arrow_type: Any = None) -> Any:
    """Give a fixed-size list array, one flattened cell (C order) for each row.

    Parameters
    ----------
    array : TensorArray
        Column of n cells.
    arrow_type : pyarrow.DataType, optional
        Type that the result is cast to.

    Returns
    -------
    pyarrow.FixedSizeListArray of length n
    """
    import pyarrow as pa

    size = int(np.prod(array.dtype.shape))
    flat = pa.array(np.ascontiguousarray(array.block).reshape(-1))  # (n * size,)
    null = None if array.mask.all() else pa.array(~array.mask)
    result = pa.FixedSizeListArray.from_arrays(flat, size, mask=null)
    return result if arrow_type is None else result.cast(arrow_type)


def from_arrow(dtype: TensorDtype, array: Any) -> TensorArray:
    """Read lists of numbers (of any arrow list type) as cells of ``dtype``.

    Parameters
    ----------
    dtype : TensorDtype
        Type of the column.
    array : pyarrow.Array or pyarrow.ChunkedArray
        Lists whose lengths are the number of entries of a cell.

    Raises
    ------
    DataError
        If a list has another length, or holds a null entry.
    """
    import pyarrow as pa

    from semistruct.data._tensor_array import TensorArray

    chunks = array.chunks if isinstance(array, pa.ChunkedArray) else [array]
    size = int(np.prod(dtype.shape))
    present = [_is_valid(chunk) for chunk in chunks]
    mask = np.concatenate([np.zeros(0, dtype=bool), *present])
    block = np.zeros((len(mask), size), dtype=dtype.subdtype)
    start = 0
    for chunk, valid in zip(chunks, present, strict=True):
        rows = start + np.flatnonzero(valid)
        start += len(chunk)
        flat = chunk.drop_null().flatten()
        if len(flat) != len(rows) * size or flat.null_count:
            raise DataError(
                f"An arrow column does not fit {dtype}: each list must hold {size} "
                "numbers, none of them null."
            )
        block[rows] = flat.to_numpy(zero_copy_only=False).reshape(len(rows), size)
    return TensorArray(block.reshape(len(mask), *dtype.shape), mask)


def _is_valid(chunk: Any) -> np.ndarray:
    return np.asarray(chunk.is_valid().to_numpy(zero_copy_only=False), dtype=bool)
