"""A design that is held as cells of covariates and small tables, for many rows."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from semistruct._core.validation import check_number
from semistruct.design._columns import check_frame
from semistruct.design._indexed import (
    Columns,
    IndexedColumns,
    NumericColumns,
    bilinear,
    cross,
)
from semistruct.design._operator import DenseDesign, DesignOperator, row_chunks
from semistruct.design._tabulate import Tabulator
from semistruct.exceptions import DataError

if TYPE_CHECKING:
    from semistruct.design._design import StructuredDesign

__all__ = ["DiscreteDesign", "Rounding"]

FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class Rounding:
    """What putting a covariate into bins did to it.

    Parameters
    ----------
    label : str
        The term.
    column : str
        The covariate.
    n_bins : int
        Number of values that are left of it.
    largest : float
        Largest change of a value, in units of the range of the column; 0 where every
        distinct value was kept.
    """

    label: str
    column: str
    n_bins: int
    largest: float


class DiscreteDesign(DesignOperator):
    """A design of n rows that is never held as a matrix; made by `from_design`.

    Every term is a small table of its columns in each cell of its covariates, and the
    cell of each row (4 bytes); terms by a number keep this number, numeric columns of
    the parametric part are held as they are. Products are weighted histograms of pairs
    of cells (Wood, Li, Shaddick & Augustin 2017, doi:10.1080/01621459.2016.1195744; Li
    & Wood 2020, doi:10.1007/s11222-019-09864-2). They are exact, to rounding errors,
    when no covariate of a smooth had to be put into bins.

    Parameters
    ----------
    blocks : iterable of IndexedColumns or NumericColumns
        Sets of adjacent columns, that cover all columns.
    n_rows : int
        n.
    roundings : iterable of Rounding
        What the bins did to covariates of smooths.

    Attributes
    ----------
    blocks : tuple of IndexedColumns or NumericColumns
        The sets of columns.
    roundings : tuple of Rounding
        One for each covariate of each smooth and tensor product.

    Examples
    --------
    >>> import numpy as np
    >>> import pandas as pd
    >>> from semistruct.design import DiscreteDesign, StructuredDesign, parse_formula
    >>> rng = np.random.default_rng(0)
    >>> frame = pd.DataFrame({"x": rng.uniform(size=50_000)})
    >>> frame["z"] = rng.integers(9, size=50_000)
    >>> design = StructuredDesign.fit(parse_formula("z + s(x, k=20)"), frame)
    >>> fast = DiscreteDesign.from_design(design, frame)
    >>> fast.shape, fast.n_bins["s(x)"] <= 1000, fast.largest_rounding < 0.002
    ((50000, 21), True, True)
    >>> x = design.matrix(frame)
    >>> bool(np.abs(fast.gram() - x.T @ x).max() < 1e-3 * np.abs(x.T @ x).max())
    True
    """

    def __init__(
        self,
        blocks: Iterable[Columns],
        n_rows: int,
        roundings: Iterable[Rounding] = (),
    ) -> None:
        self.blocks = tuple(sorted(blocks, key=lambda block: block.start))
        self.roundings = tuple(roundings)
        self._shape = (int(n_rows), max((b.stop for b in self.blocks), default=0))

    @classmethod
    def from_design(
        cls, design: StructuredDesign, frame: pd.DataFrame, max_bins: int = 1000
    ) -> DiscreteDesign:
        """Evaluate a fitted design in cells of a table's covariates.

        Parameters
        ----------
        design : StructuredDesign
            Fitted terms, with p coefficients.
        frame : DataFrame of n rows
            A table with the columns of the design; n >= 1.
        max_bins : int, default=1000
            Most values, at least 20, that are kept of a smooth's covariate. With more
            distinct ones, it is put into bins of at most 2 / ``max_bins`` of its
            range, and a bin stands for the mean of its rows. A smooth of d > 1
            covariates keeps every combination of values up to 10 · ``max_bins`` of
            them; beyond, bins divide each covariate into about
            (10 · ``max_bins``)^(1/d).

        Returns
        -------
        DiscreteDesign

        Raises
        ------
        ColumnError, DataError, UnseenLevelError
            Naming the column and the row; DataError, too, where there are no rows.
        """
        return cls.from_designs([design], frame, max_bins)[0]

    @classmethod
    def from_designs(
        cls,
        designs: Sequence[StructuredDesign],
        frame: pd.DataFrame,
        max_bins: int = 1000,
    ) -> tuple[DiscreteDesign, ...]:
        """Evaluate several designs of one table, which then share their cells.

        Parameters
        ----------
        designs : sequence of K StructuredDesign
            One for each linear predictor.
        frame : DataFrame of n rows
            The table.
        max_bins : int, default=1000
            See `from_design`.

        Returns
        -------
        tuple of K DiscreteDesign
        """
        check_frame(frame)
        check_number(
            max_bins,
            parameter="max_bins",
            owner="DiscreteDesign.from_design",
            low=20,
            integer=True,
        )
        if len(frame) == 0:
            raise DataError("The table has no rows; a discrete design needs some.")
        tabulator = Tabulator(frame, int(max_bins))
        result = []
        for design in designs:
            blocks, found = tabulator.design(design)
            roundings = [Rounding(*each) for each in found]
            result.append(cls(blocks, len(frame), roundings))
        return tuple(result)

    @property
    def shape(self) -> tuple[int, int]:
        """Numbers (n, p) of rows and columns."""
        return self._shape

    @property
    def n_bins(self) -> dict[str, int]:
        """Number of values that are left of a term's covariate, the largest of them."""
        result: dict[str, int] = {}
        for each in self.roundings:
            result[each.label] = max(each.n_bins, result.get(each.label, 0))
        return result

    @property
    def largest_rounding(self) -> float:
        """Largest change of a covariate, in units of its range; 0: all is exact."""
        return max((each.largest for each in self.roundings), default=0.0)

    @property
    def n_bytes(self) -> int:
        """Memory of the arrays of the design; shared ones count once."""
        arrays: dict[int, int] = {}
        for block in self.blocks:
            for array in block.arrays():
                arrays[id(array)] = array.nbytes
        return sum(arrays.values())

    def rows(self, which: slice) -> FloatArray:
        """Give some rows, of shape (rows, p)."""
        start, stop, _ = which.indices(self.shape[0])
        at = slice(start, max(start, stop))
        result = np.zeros((at.stop - at.start, self.shape[1]))
        for block in self.blocks:
            values = block.take(at)
            if block.by is not None:
                values = values * block.by[at, None]
            if block.level is not None:
                mine = block.level.codes[at] == block.level.number
                values = values * mine[:, None]
            result[:, block.start : block.stop] = values
        return result

    def gram(self, weight: ArrayLike | None = None) -> FloatArray:
        """X' diag(w) X; see `DesignOperator.gram`."""
        values = self.check_weight(weight)
        if values is None:
            values = np.ones(self.shape[0])
        total = np.empty((self.shape[1], self.shape[1]))
        for i, left in enumerate(self.blocks):
            a = slice(left.start, left.stop)
            for right in self.blocks[:i]:
                b = slice(right.start, right.stop)
                part = cross(left, right, values, self.shape[0])
                total[a, b] = part
                total[b, a] = part.T
            part = cross(left, left, values, self.shape[0])
            total[a, a] = 0.5 * (part + part.T)
        return total

    def cross(self, weight: ArrayLike | None, other: DesignOperator) -> FloatArray:
        """X' diag(w) Z; see `DesignOperator.cross`."""
        values = self.check_weight(weight)
        blocks = _blocks(other)
        if blocks is None:
            return super().cross(weight, other)
        self.check_rows(other.shape[0], "the other design")
        total = np.empty((self.shape[1], other.shape[1]))
        for left in self.blocks:
            for right in blocks:
                part = cross(left, right, values, self.shape[0])
                total[left.start : left.stop, right.start : right.stop] = part
        return total

    def dot(self, beta: ArrayLike) -> FloatArray:
        """X β."""
        right = np.asarray(beta, dtype=np.float64)
        result = np.zeros((self.shape[0], *right.shape[1:]))
        parts = list(row_chunks(self.shape[0], 4 * max(1, result[:1].size)))
        for block in self.blocks:
            _add_dot(block, right[block.start : block.stop], result, parts)
        return result

    def transpose_dot(self, vector: ArrayLike) -> FloatArray:
        """X' v."""
        right = np.asarray(vector, dtype=np.float64)
        self.check_rows(len(right), "the vector")
        result = np.empty((self.shape[1], *right.shape[1:]))
        one = IndexedColumns(0, None, None, 1)
        for column in np.ndindex(right.shape[1:]):
            weight = np.ascontiguousarray(right[(slice(None), *column)])
            for block in self.blocks:
                part = cross(block, one, weight, self.shape[0])
                result[(slice(block.start, block.stop), *column)] = part[:, 0]
        return result

    def row_quadratic(self, middle: ArrayLike) -> FloatArray:
        """diag(X V X'); see `DesignOperator.row_quadratic`."""
        inner = np.asarray(middle, dtype=np.float64)
        result = np.zeros(self.shape[0])
        for i, left in enumerate(self.blocks):
            a = slice(left.start, left.stop)
            for right in self.blocks[:i]:
                b = slice(right.start, right.stop)
                bilinear(left, right, inner[a, b] + inner[b, a].T, result)
            bilinear(left, left, inner[a, a], result)
        return result

    def row_bilinear(self, middle: ArrayLike, other: DesignOperator) -> FloatArray:
        """diag(X M Z'); see `DesignOperator.row_bilinear`."""
        blocks = _blocks(other)
        if blocks is None:
            return super().row_bilinear(middle, other)
        self.check_rows(other.shape[0], "the other design")
        inner = np.asarray(middle, dtype=np.float64)
        result = np.zeros(self.shape[0])
        for left in self.blocks:
            for right in blocks:
                part = inner[left.start : left.stop, right.start : right.stop]
                bilinear(left, right, part, result)
        return result

    def max_abs(self) -> FloatArray:
        """Largest absolute value of each column, of shape (p,)."""
        result = np.zeros(self.shape[1])
        for block in self.blocks:
            result[block.start : block.stop] = _max_abs(block)
        return result


def _blocks(design: DesignOperator) -> tuple[Columns, ...] | None:
    """Give the sets of columns of a design; None for a design of another kind."""
    if isinstance(design, DiscreteDesign):
        return design.blocks
    if isinstance(design, DenseDesign):
        return (NumericColumns(0, design.matrix),)
    return None


def _add_dot(
    block: Columns, beta: FloatArray, total: FloatArray, parts: Iterable[slice]
) -> None:
    """Add the block times β, (q,) or (q, m), to a total, (n,) or (n, m), by chunks."""
    if isinstance(block, NumericColumns):
        for part in parts:
            total[part] += block.values[part] @ beta
        return
    cells = block.expand(beta)  # (cells,) or (cells, m)
    by = None if block.by is None else block.by.reshape(-1, *[1] * (beta.ndim - 1))
    every = parts if block.level is None else (block.level.rows,)
    for rows in every:
        values = cells
        if block.index is not None:
            values = cells.take(block.index[rows], axis=0)
        if by is not None:
            values = values * by[rows]
        total[rows] += values


def _max_abs(block: Columns) -> FloatArray:
    if isinstance(block, NumericColumns):
        return np.maximum(block.values.max(axis=0), -block.values.min(axis=0))
    rows = None if block.level is None else block.level.rows
    index = block.cells(rows)
    by = (
        np.ones(1)
        if block.by is None
        else np.abs(block.by if rows is None else block.by[rows])
    )
    peak = np.zeros(block.n_cells)  # largest factor in each cell
    if rows is not None and not len(rows):
        pass
    elif index is None:
        peak[0] = by.max()
    elif block.by is None:
        peak[index] = 1.0
    else:
        np.maximum.at(peak, index, by)
    if block.table is None:
        return peak
    return (np.abs(block.table) * peak[:, None]).max(axis=0)
