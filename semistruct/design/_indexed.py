"""Columns of a design as rows of a small table, and products of two such sets.

Row r of a set of columns is by_r · table[index_r], and zero where r has another level.
Sums over rows then need a weighted histogram of pairs of cells only (Wood, Li, Shaddick
& Augustin 2017, doi:10.1080/01621459.2016.1195744; Li & Wood 2020,
doi:10.1007/s11222-019-09864-2). Where a histogram would be larger than the rows are
worth, rows are taken from one table and added up within the cells of the other.

Letters: n rows of the design, r rows that are used, m cells, q columns.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from semistruct.design._operator import row_chunks

__all__ = ["Columns", "IndexedColumns", "Level", "NumericColumns", "bilinear", "cross"]

FloatArray = NDArray[np.float64]
IntArray = NDArray[Any]

# Nanoseconds, measured: a row of a histogram, a cell of it and one of its products,
# a row of a table and one of its numbers.
ROW, CELL, PRODUCT, TAKE, ADD = 2.5, 1.0, 0.07, 2.0, 0.8
MOST_CELLS = 1 << 24


@dataclass(frozen=True, eq=False)
class Level:
    """The rows of one level of a factor.

    Parameters
    ----------
    codes : ndarray of shape (n,), int
        Level of each row; one array for all levels of the factor.
    number : int
        This level.
    rows : ndarray of shape (r,), int
        Rows of this level, ascending.
    """

    codes: IntArray
    number: int
    rows: IntArray


@dataclass(frozen=True, eq=False)
class IndexedColumns:
    """Adjacent columns by_r · table[index_r].

    Parameters
    ----------
    start : int
        First column.
    index : ndarray of shape (n,), int32, or None
        Cell of each row; None where there is one cell.
    table : ndarray of shape (m, q), or None
        Columns in each cell; None is the identity, q = m.
    n_cells : int
        m.
    by : ndarray of shape (n,), optional
        Factor of each row.
    level : Level, optional
        Rows that are not zero.
    """

    start: int
    index: IntArray | None
    table: FloatArray | None
    n_cells: int
    by: FloatArray | None = None
    level: Level | None = None

    @property
    def width(self) -> int:
        """Number q of columns."""
        return self.n_cells if self.table is None else self.table.shape[1]

    @property
    def stop(self) -> int:
        """One past the last column."""
        return self.start + self.width

    def take(self, rows: slice | IntArray) -> FloatArray:
        """Give rows of the table, of shape (r, q), without their factors."""
        if self.index is None:
            count = (
                len(range(rows.stop)[rows]) if isinstance(rows, slice) else len(rows)
            )
            return np.broadcast_to(self.expand(np.eye(self.width)), (count, self.width))
        index = self.index[rows]
        if self.table is not None:
            return self.table.take(index, axis=0)
        values = np.zeros((len(index), self.n_cells))
        values[np.arange(len(index)), index] = 1.0
        return values

    def contract(self, sums: FloatArray) -> FloatArray:
        """Give table' sums, (m, ...) to (q, ...)."""
        return sums if self.table is None else np.asarray(self.table.T @ sums)

    def expand(self, values: FloatArray) -> FloatArray:
        """Give table values, (q, ...) to (m, ...)."""
        return values if self.table is None else np.asarray(self.table @ values)

    def arrays(self) -> list[IntArray]:
        """Give all arrays that are held."""
        held = [self.index, self.table, self.by]
        if self.level is not None:
            held += [self.level.codes, self.level.rows]
        return [array for array in held if array is not None]

    def cells(self, rows: IntArray | None) -> IntArray | None:
        """Give the cells of some rows."""
        return self.index if self.index is None or rows is None else self.index[rows]


@dataclass(frozen=True, eq=False)
class NumericColumns:
    """Adjacent columns that are held as they are.

    Parameters
    ----------
    start : int
        First column.
    values : ndarray of shape (n, q)
        The columns.
    """

    start: int
    values: FloatArray
    by: None = None
    level: None = None

    @property
    def width(self) -> int:
        """Number q of columns."""
        return self.values.shape[1]

    @property
    def stop(self) -> int:
        """One past the last column."""
        return self.start + self.width

    def arrays(self) -> list[IntArray]:
        """Give all arrays that are held."""
        return [self.values]

    def take(self, rows: slice | IntArray) -> FloatArray:
        """Give some rows, of shape (r, q)."""
        return self.values[rows]


Columns = IndexedColumns | NumericColumns


def cross(
    left: Columns, right: Columns, weight: FloatArray | None, n: int
) -> FloatArray:
    """Give X' diag(w) Z of two sets of columns, of shape (q_left, q_right)."""
    rows = _common(left, right)
    v = _factors(left, right, rows, weight)
    count = n if rows is None else len(rows)
    if count == 0:
        return np.zeros((left.width, right.width))
    if isinstance(left, NumericColumns):
        if isinstance(right, IndexedColumns):
            return _scatter(right, left, v, rows, count).T
        return _dense(left, right, v, rows, count)
    if isinstance(right, NumericColumns):
        return _scatter(left, right, v, rows, count)
    i, j = left.cells(rows), right.cells(rows)
    if left.index is right.index and i is not None:
        return _same(left, right, _histogram(i, v, left.n_cells))
    way = _way(left, right, count)
    if way == "left":
        return _scatter(left, right, v, rows, count)
    if way == "right":
        return _scatter(right, left, v, rows, count).T
    table = _table(i, j, v, count, (left.n_cells, right.n_cells))
    if left.width <= right.width:
        return right.contract(left.contract(table).T).T
    return left.contract(right.contract(table.T).T)


def bilinear(
    left: Columns, right: Columns, middle: FloatArray, total: FloatArray
) -> None:
    """Add x_r' M z_r of two sets of columns to each row r of a total of shape (n,)."""
    if isinstance(left, NumericColumns) and isinstance(right, IndexedColumns):
        left, right, middle = right, left, middle.T
    rows = _common(left, right)
    count = len(total) if rows is None else len(rows)
    if count == 0:
        return
    v = _factors(left, right, rows, None)
    values = _forms(left, right, np.ascontiguousarray(middle), rows, count)
    if v is not None:
        values = values * v
    if rows is None:
        total += values
    else:
        total[rows] += values


def _forms(
    left: Columns,
    right: Columns,
    middle: FloatArray,
    rows: IntArray | None,
    count: int,
) -> FloatArray:
    """Give x' M z of each row without its factors, of shape (r,)."""
    if isinstance(left, NumericColumns):
        result = np.empty(count)
        for part, at in _chunks(rows, count, left.width + right.width):
            result[part] = np.einsum("ij,ij->i", left.take(at) @ middle, right.take(at))
        return result
    i = left.cells(rows)
    if isinstance(right, IndexedColumns):
        j = right.cells(rows)
        if left.index is right.index and i is not None:
            half = left.expand(middle)  # (m, q_right)
            if right.table is None:
                return np.diagonal(half).take(i)
            return np.einsum("ij,ij->i", half, right.table).take(i)
        way = _way(left, right, count)
        if way == "histogram":
            return _look_up(right.expand(left.expand(middle).T).T, i, j, count)
        if way == "right":
            return _forms_by_rows(right, left, middle.T, rows, count)
    return _forms_by_rows(left, right, middle, rows, count)


def _forms_by_rows(
    target: IndexedColumns,
    other: Columns,
    middle: FloatArray,
    rows: IntArray | None,
    count: int,
) -> FloatArray:
    half = np.ascontiguousarray(target.expand(middle))  # (m_target, q_other)
    i = target.cells(rows)
    result = np.empty(count)
    for part, at in _chunks(rows, count, other.width):
        taken = half if i is None else half.take(i[part], axis=0)
        result[part] = (taken * other.take(at)).sum(axis=1)
    return result


def _way(left: IndexedColumns, right: IndexedColumns, count: int) -> str:
    """Say how two tables meet: by a histogram, or by rows added up in one's cells."""
    n_cells = left.n_cells * right.n_cells
    one = min(left.n_cells, right.n_cells) == 1
    if one or (left.table is None and right.table is None):
        return "histogram"
    least = min(left.width, right.width)
    costs = {"histogram": count * ROW + n_cells * (CELL + PRODUCT * least)}
    if n_cells > MOST_CELLS:
        del costs["histogram"]
    pairs = {"left": (left, right), "right": (right, left)}
    for name, (target, other) in pairs.items():
        if other.table is not None:
            rows = count * (TAKE + ADD * other.width)
            costs[name] = rows + target.n_cells * target.width * other.width * PRODUCT
    return min(costs, key=lambda name: costs[name])


def _scatter(
    target: IndexedColumns,
    other: Columns,
    v: FloatArray | None,
    rows: IntArray | None,
    count: int,
) -> FloatArray:
    """Add rows of the other columns up in the cells of the target: its table' sums."""
    i = target.cells(rows)
    sums = np.zeros((target.n_cells, other.width))
    for part, at in _chunks(rows, count, other.width, target.n_cells):
        taken = other.take(at)
        size = len(taken)
        factors = np.ones(size) if v is None else v[part]
        if i is None:
            sums[0] += factors @ taken
            continue
        # one number in each column: the row's factor, in the line of its cell
        pointer = np.arange(size + 1, dtype=i.dtype)
        shape = (target.n_cells, size)
        sums += sparse.csc_array((factors, i[part], pointer), shape=shape) @ taken
    return target.contract(sums)


def _same(left: IndexedColumns, right: IndexedColumns, sums: FloatArray) -> FloatArray:
    """Give table' diag(sums) table of two tables with the same cells."""
    if right.table is not None:
        return left.contract(right.table * sums[:, None])
    if left.table is not None:
        return (left.table * sums[:, None]).T
    return np.diag(sums)


def _dense(
    left: NumericColumns,
    right: NumericColumns,
    v: FloatArray | None,
    rows: IntArray | None,
    count: int,
) -> FloatArray:
    total = np.zeros((left.width, right.width))
    for part, at in _chunks(rows, count, max(left.width, right.width)):
        taken = left.take(at)
        if v is not None:
            taken = taken * v[part, None]
        total += taken.T @ right.take(at)
    return total


def _chunks(
    rows: IntArray | None, count: int, width: int, least: int = 0
) -> list[tuple[slice, slice | IntArray]]:
    """Give chunks as slices of the rows that are used, and as rows of the design."""
    parts = row_chunks(count, width, least)
    return [(part, part if rows is None else rows[part]) for part in parts]


def _common(left: Columns, right: Columns) -> IntArray | None:
    """Give the rows in which neither set is zero by its level; None for all."""
    a, b = left.level, right.level
    if a is None or b is None:
        level = a or b
        return None if level is None else level.rows
    if a.codes is b.codes:
        return a.rows if a.number == b.number else a.rows[:0]
    return a.rows[b.codes[a.rows] == b.number]


def _factors(
    left: Columns, right: Columns, rows: IntArray | None, weight: FloatArray | None
) -> FloatArray | None:
    """Multiply the weights and the factors of some rows; None for ones."""
    result: FloatArray | None = None
    for values in (weight, left.by, right.by):
        if values is not None:
            own = values if rows is None else values[rows]
            result = own if result is None else result * own
    return result


def _table(
    i: IntArray | None,
    j: IntArray | None,
    v: FloatArray | None,
    count: int,
    shape: tuple[int, int],
) -> FloatArray:
    """Add up the factors of rows in each pair of cells."""
    if i is None and j is None:
        return np.full(shape, float(count) if v is None else v.sum())
    if i is None or j is None:
        one = j if i is None else i
        assert one is not None
        return _histogram(one, v, max(shape)).reshape(shape)
    values = np.ones(count) if v is None else v
    table: FloatArray = sparse.coo_array((values, (i, j)), shape=shape).toarray()
    return table


def _look_up(
    form: FloatArray, i: IntArray | None, j: IntArray | None, count: int
) -> FloatArray:
    """Give form[i, j] of each row."""
    if i is None and j is None:
        return np.full(count, form[0, 0])
    flat = np.ascontiguousarray(form).reshape(-1)
    if i is None or j is None:
        one = j if i is None else i
        assert one is not None
        return flat.take(one)
    result = np.empty(count)
    for part in row_chunks(count, 8):
        key = np.multiply(i[part], form.shape[1], dtype=np.intp)
        key += j[part]
        flat.take(key, out=result[part], mode="wrap")
    return result


def _histogram(index: IntArray, v: FloatArray | None, n_cells: int) -> FloatArray:
    return np.bincount(index, v, n_cells).astype(np.float64, copy=False)
