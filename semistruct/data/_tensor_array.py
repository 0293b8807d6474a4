"""A pandas column of arrays: one NumPy block and a mask.

Letters: n rows, ``shape`` the shape of a cell, ``block`` (n, *shape), ``mask`` (n,).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
import pandas as pd
from pandas.api.extensions import ExtensionArray, ExtensionDtype, no_default
from pandas.api.indexers import check_array_indexer

from semistruct.data._tensor_cells import (
    as_cell,
    cast_cells,
    is_null,
    stack_cells,
    summarize,
    without_ellipsis,
)
from semistruct.data._tensor_dtype import TensorDtype, tensor_dtype
from semistruct.exceptions import DataError

__all__ = ["TensorArray"]


class TensorArray(ExtensionArray):
    """Column whose cells are arrays of one shape; null cells are marked in a mask.

    Indexing with one row gives the cell (an ndarray that shares the block's memory) or
    ``pandas.NA``; a slice gives a view. A null cell is never represented by zeros: what
    the block holds where the mask is False has no meaning. Cells compare entry by entry
    and sort in lexicographic order. One cell is set by ``column.array[0] = cell`` or
    ``frame.at[0, "scan"] = cell``; ``.iloc`` and ``.loc`` take None, or rows of a
    `TensorArray`, since pandas reads a plain array of two axes as a table.

    Parameters
    ----------
    block : array-like of shape (n, *shape)
        The cells; boolean, integer or floating. Not copied unless ``copy``.
    mask : array-like of bool of shape (n,), optional
        True where the cell is present. Default: all are.
    copy : bool, default=False
        Whether to copy block and mask.

    Attributes
    ----------
    block : ndarray of shape (n, *shape)
        The cells.
    mask : ndarray of bool of shape (n,)
        True where the cell is present.

    Raises
    ------
    DataError
        If the block has fewer than two axes, is not numeric, or the mask does not fit.

    Examples
    --------
    >>> import numpy as np, pandas as pd
    >>> from semistruct.data import TensorArray
    >>> scans = pd.Series(TensorArray(np.ones((3, 8, 8), dtype="uint8")))
    >>> scans.iloc[0] = None
    >>> scans
    0            <NA>
    1    <8×8 mean 1>
    2    <8×8 mean 1>
    dtype: tensor[uint8, (8, 8)]
    >>> scans.iloc[1].shape
    (8, 8)
    """

    _can_hold_na = True
    __hash__ = None  # type: ignore[assignment]

    def __init__(self, block: Any, mask: Any = None, *, copy: bool = False) -> None:
        block = np.array(block) if copy else np.asarray(block)
        if block.ndim < 2:
            raise DataError(
                "TensorArray: block must have the shape (n, *shape) with at least two "
                f"axes; got shape {block.shape}."
            )
        self._dtype = TensorDtype(block.dtype, block.shape[1:])
        mask = np.ones(len(block), dtype=bool) if mask is None else np.asarray(mask)
        if mask.dtype != bool or mask.shape != (len(block),):
            raise DataError(
                f"TensorArray: mask must be boolean of shape ({len(block)},), True = "
                f"present; got {mask.dtype} of shape {mask.shape}."
            )
        self.block = block.astype(self._dtype.subdtype, copy=False)
        self.mask = mask.copy() if copy else mask

    @classmethod
    def from_cells(cls, cells: Iterable[Any], dtype: Any = None) -> TensorArray:
        """Make a column from single cells.

        Parameters
        ----------
        cells : iterable of array-like or None
            Arrays of one shape; None, NaN or ``pandas.NA`` is a null cell.
        dtype : TensorDtype or str, optional
            Type of the column; needed where all cells are null. Default: the shape of
            the cells and the smallest dtype that holds them all.

        Raises
        ------
        DataError
            If the cells differ in shape, or all are null and ``dtype`` is not given.

        Examples
        --------
        >>> from semistruct.data import TensorArray
        >>> TensorArray.from_cells([[1.0, 2.0], None]).mask.tolist()
        [True, False]
        """
        wanted = None if dtype is None else tensor_dtype(dtype)
        return cls(*stack_cells(list(cells), wanted))

    @classmethod
    def _from_sequence(
        cls, scalars: Any, *, dtype: Any = None, copy: bool = False
    ) -> TensorArray:
        wanted = None if dtype is None else tensor_dtype(dtype)
        scalars = getattr(scalars, "array", scalars)  # Series and Index
        if isinstance(scalars, np.ndarray) and scalars.ndim > 1:
            scalars = cls(scalars)
        if isinstance(scalars, TensorArray):
            wanted = scalars.dtype if wanted is None else wanted
            return scalars.astype(wanted, copy=copy)
        return cls.from_cells(scalars, wanted)

    @classmethod
    def _from_factorized(
        cls, values: np.ndarray, original: TensorArray
    ) -> TensorArray:  # values are the keys of _values_for_factorize
        dtype = original.dtype
        mask = np.array([key is not None for key in values], dtype=bool)
        block = np.zeros((len(values), *dtype.shape), dtype=dtype.subdtype)
        for i in np.flatnonzero(mask):
            block[i] = np.frombuffer(values[i], dtype.subdtype).reshape(dtype.shape)
        return cls(block, mask)

    @classmethod
    def _concat_same_type(cls, to_concat: Sequence[TensorArray]) -> TensorArray:
        shapes = {array.dtype.shape for array in to_concat}
        if len(shapes) != 1:
            raise DataError(
                f"TensorArray: cells of the shapes {sorted(shapes)} cannot be "
                "concatenated. Resize them first."
            )
        return cls(
            np.concatenate([array.block for array in to_concat]),
            np.concatenate([array.mask for array in to_concat]),
        )

    @property
    def dtype(self) -> TensorDtype:
        """The `TensorDtype` of the column."""
        return self._dtype

    @property
    def nbytes(self) -> int:
        """Bytes of block and mask."""
        return int(self.block.nbytes + self.mask.nbytes)

    def __len__(self) -> int:
        return len(self.block)

    def __getitem__(self, item: Any) -> Any:
        item = without_ellipsis(item)
        item = check_array_indexer(self, item)
        if isinstance(item, (int, np.integer)):
            return self.block[item] if self.mask[item] else pd.NA
        return type(self)(self.block[item], self.mask[item])

    def __setitem__(self, key: Any, value: Any) -> None:
        key = check_array_indexer(self, without_ellipsis(key))
        if is_null(value):
            self.block[key], self.mask[key] = 0, False
            return
        cell = as_cell(value, self.dtype.shape)
        if cell is not None:
            self.block[key], self.mask[key] = cast_cells(cell, self.dtype), True
            return
        array = self._cells_of(value)
        one = isinstance(key, (int, np.integer)) and len(array) == 1
        rows: Any = 0 if one else slice(None)
        self.block[key] = cast_cells(array.block[rows], self.dtype)
        self.mask[key] = array.mask[rows]

    def _cells_of(self, value: Any) -> TensorArray:
        if not pd.api.types.is_list_like(value):
            raise DataError(
                f"TensorArray: {value!r} is not a cell; a cell of this column is an "
                f"array of shape {self.dtype.shape}, or None."
            )
        value = getattr(value, "array", value)  # Series and Index
        if not isinstance(value, TensorArray):
            dtype = self.dtype if all(is_null(cell) for cell in value) else None
            value = type(self)._from_sequence(value, dtype=dtype)
        if value.dtype.shape != self.dtype.shape:
            raise DataError(
                f"TensorArray: a cell has the shape {self.dtype.shape}; the values "
                f"given have cells of the shape {value.dtype.shape}."
            )
        return value

    def isna(self) -> np.ndarray:
        """Tell which cells are null.

        Returns
        -------
        ndarray of bool of shape (n,)
        """
        return ~self.mask

    def take(
        self, indices: Any, *, allow_fill: bool = False, fill_value: Any = None
    ) -> TensorArray:
        """Take rows by position.

        Parameters
        ----------
        indices : sequence of int of shape (m,)
            Positions; negative ones count from the end, unless ``allow_fill``.
        allow_fill : bool, default=False
            Whether -1 marks a row that is filled.
        fill_value : array-like of the cell's shape, or None
            What fills it. Default: a null cell.
        """
        indices = np.asarray(indices, dtype=np.intp)
        if (
            len(self) == 0
            and (indices >= 0 if allow_fill else indices == indices).any()
        ):
            raise IndexError("cannot do a non-empty take from an empty axes.")
        if not allow_fill:
            return type(self)(self.block[indices], self.mask[indices])
        if (indices < -1).any():
            raise ValueError("take: with allow_fill, an index is -1 or a position.")
        fill = indices == -1
        block = np.zeros((len(indices), *self.dtype.shape), self.dtype.subdtype)
        mask = np.zeros(len(indices), dtype=bool)
        block[~fill] = self.block[indices[~fill]]
        mask[~fill] = self.mask[indices[~fill]]
        result = type(self)(block, mask)
        if not is_null(fill_value):
            result[fill] = fill_value
        return result

    def copy(self) -> TensorArray:
        """Copy block and mask."""
        return type(self)(self.block, self.mask, copy=True)

    def astype(self, dtype: Any, copy: bool = True) -> Any:
        """Convert to another tensor type of the same shape, to object or to str."""
        dtype = pd.api.types.pandas_dtype(dtype)
        if isinstance(dtype, TensorDtype):
            if dtype.shape != self.dtype.shape:
                raise DataError(
                    f"TensorArray: cells of the shape {self.dtype.shape} cannot become "
                    f"{dtype}. Resize or reshape the block."
                )
            if dtype == self.dtype:
                return self.copy() if copy else self
            return type(self)(self.block.astype(dtype.subdtype), self.mask.copy())
        if isinstance(dtype, ExtensionDtype):
            return super().astype(dtype, copy)
        if dtype.kind == "O":
            return self.to_numpy()
        if dtype.kind == "U":
            return np.array([str(cell) for cell in self], dtype=dtype)
        raise TypeError(f"A column of type {self.dtype} cannot become {dtype}.")

    def to_numpy(
        self, dtype: Any = None, copy: bool = False, na_value: Any = no_default
    ) -> np.ndarray:
        """Give an array of cells, or the block in a numeric type.

        Parameters
        ----------
        dtype : dtype-like, optional
            None or object: an object array of shape (n,) with an ndarray in each row.
            Numeric: the block, of shape (n, *shape).
        copy : bool, default=False
            Whether the numeric block is copied.
        na_value : object, optional
            Stands for null cells (default: ``pandas.NA``); a number if ``dtype`` is.

        Raises
        ------
        DataError
            If ``dtype`` is numeric, a cell is null and ``na_value`` is not given.
        """
        kind = "O" if dtype is None else np.dtype(dtype).kind
        missing = ~self.mask
        if kind == "O":
            na_value = pd.NA if na_value is no_default else na_value
            cells = np.empty(len(self), dtype=object)
            for i in range(len(self)):
                cells[i] = self.block[i] if self.mask[i] else na_value
            return cells
        if missing.any() and na_value is no_default:
            raise DataError(
                f"TensorArray: row {int(np.argmax(missing))} is null and has no "
                "number; give na_value=, or take .block and .mask."
            )
        block = self.block.astype(dtype, copy=copy or bool(missing.any()))
        if missing.any():
            block[missing] = na_value
        return block

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        if copy is False and (dtype is None or np.dtype(dtype).kind == "O"):
            raise ValueError("A TensorArray becomes an array of cells only by a copy.")
        return self.to_numpy(dtype, copy=bool(copy))

    def __arrow_array__(self, type: Any = None) -> Any:  # noqa: A002
        """Give a pyarrow array of fixed-size lists (used by ``to_parquet``)."""
        from semistruct.data._arrow import to_arrow

        return to_arrow(self, type)

    def __eq__(self, other: object) -> Any:
        if isinstance(other, (pd.Series, pd.DataFrame, pd.Index)):
            return NotImplemented
        return self._equal(other) & self.mask

    def __ne__(self, other: object) -> Any:
        if isinstance(other, (pd.Series, pd.DataFrame, pd.Index)):
            return NotImplemented
        return ~(self._equal(other) & self.mask)

    def _equal(self, other: object, *, equal_nan: bool = False) -> np.ndarray:
        never = np.zeros(len(self), dtype=bool)
        if is_null(other) or not pd.api.types.is_list_like(other):
            return never
        cell = as_cell(other, self.dtype.shape)
        if cell is not None:
            cells, mask = np.broadcast_to(cell, self.block.shape), self.mask
        else:
            if len(other) != len(self):  # type: ignore[arg-type]
                raise ValueError("Lengths must match to compare")
            try:
                array = type(self)._from_sequence(other)
            except (ValueError, TypeError):
                return never
            if array.dtype.shape != self.dtype.shape:
                return never
            cells, mask = array.block, array.mask
        same = self.block == cells
        if equal_nan and self.dtype.subdtype.kind == "f":
            same |= np.isnan(self.block) & np.isnan(cells)
        return self._flat(same).all(axis=1) & mask

    def _flat(self, block: np.ndarray) -> np.ndarray:  # (n, number of entries)
        return block.reshape(len(self), int(np.prod(self.dtype.shape)))

    def equals(self, other: object) -> bool:
        """Tell whether type, null cells and all entries are equal (NaN equals NaN)."""
        if not isinstance(other, TensorArray) or len(self) != len(other):
            return False
        same = (
            self._equal(other, equal_nan=True) if self.dtype == other.dtype else False
        )
        return bool(np.all(np.where(self.mask, same, ~other.mask)))

    def _values_for_factorize(self) -> tuple[np.ndarray, Any]:
        block = self.block + 0.0 if self.dtype.subdtype.kind == "f" else self.block
        block = block.astype(self.dtype.subdtype, order="C", copy=False)  # -0.0 is 0.0
        keys = np.empty(len(self), dtype=object)
        for i in range(len(self)):
            keys[i] = block[i].tobytes() if self.mask[i] else None
        return keys, None

    def _values_for_argsort(self) -> np.ndarray:  # cells in lexicographic order
        _, ranks = np.unique(self._flat(self.block), axis=0, return_inverse=True)
        return ranks.reshape(len(self))

    def unique(self) -> TensorArray:
        """Give each different cell once, in the order of appearance."""
        return self[~self.duplicated()]

    def duplicated(self, keep: Any = "first") -> np.ndarray:
        """Tell which cells stand in an earlier (``keep="last"``: a later) row too."""
        return pd.Series(self.factorize()[0]).duplicated(keep).to_numpy()

    def value_counts(self, dropna: bool = True) -> pd.Series:
        """Count each different cell, the most frequent first."""
        codes, cells = self.factorize(use_na_sentinel=dropna)
        counts = np.bincount(codes[codes >= 0], minlength=len(cells))
        order = np.argsort(-counts, kind="stable")
        index = pd.Index(cells.take(order))
        return pd.Series(pd.array(counts[order], "Int64"), index=index, name="count")

    def _formatter(self, boxed: bool = False) -> Callable[[Any], str | None]:
        return summarize
