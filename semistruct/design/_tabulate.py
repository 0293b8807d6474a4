"""From fitted terms and a table to cells and small tables."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from semistruct.design._binning import Cells, distinct, find_cells, find_joint
from semistruct.design._columns import Levels, read_numeric
from semistruct.design._cumulative import CumulativePart
from semistruct.design._indexed import (
    Columns,
    IndexedColumns,
    Level,
    NumericColumns,
)
from semistruct.design._parametric import ParametricPart
from semistruct.design._smooth import RandomPart, SmoothPart
from semistruct.design._wilkinson import Parametric, parse_parametric

if TYPE_CHECKING:
    from semistruct.design._design import StructuredDesign

__all__ = ["Tabulator"]

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int32]
Found = tuple[str, str, int, float]  # label, column, bins, largest change

ROWS = 1 << 16  # rows of the parametric part that are evaluated at once
TABLE = 1 << 22  # numbers of a smooth that are evaluated at once


class Tabulator:
    """Cells of one table's columns, which its terms share.

    Parameters
    ----------
    frame : DataFrame of n rows
        The table; n >= 1.
    max_bins : int
        Most values that are kept of a smooth's covariate.
    """

    def __init__(self, frame: pd.DataFrame, max_bins: int) -> None:
        self.frame = frame
        self.max_bins = max_bins
        self._cells: dict[tuple[str, ...], Cells] = {}
        self._distinct: dict[str, tuple[IntArray, np.ndarray] | None] = {}
        self._codes: dict[tuple[object, ...], IntArray] = {}
        self._rows: dict[tuple[object, ...], list[IntArray]] = {}

    def design(self, design: StructuredDesign) -> tuple[list[Columns], list[Found]]:
        """Give the sets of columns of a design, and what bins did to covariates."""
        blocks = self._parametric(design._parametric)
        found: list[Found] = []
        start = len(design._parametric.names)
        for part in design._parts:
            if isinstance(part, RandomPart):
                blocks.append(self._random(part, start))
            elif isinstance(part, CumulativePart):
                values = np.empty((len(self.frame), part.n_block))
                part.write(part.read(self.frame), slice(0, len(values)), values)
                blocks.append(NumericColumns(start, values))
            else:
                blocks.extend(self._smooth(part, start, found))
            start += part.n_block * len(part.labels)
        return blocks, found

    def _random(self, part: RandomPart, start: int) -> IndexedColumns:
        """Give the identity by levels; an unseen level has factor 0."""
        read = part.read(self.frame)
        codes, slope = read["group"], read.get("slope")
        if (codes < 0).any():
            seen = (codes >= 0).astype(np.float64)
            slope = seen if slope is None else slope * seen
            codes = np.maximum(codes, 0)
        index = self._share(codes, part.levels)
        return IndexedColumns(start, index, None, len(part.levels), slope)

    def _smooth(
        self, part: SmoothPart, start: int, found: list[Found]
    ) -> list[IndexedColumns]:
        """One table for all rows; by a factor, used by the rows of each level."""
        read = part.read(self.frame)
        by = read.pop("by:", None)
        key = tuple(read)
        if any(x.dtype.kind != "f" for x in read.values()):
            cells = find_cells(read, self.max_bins)  # codes that are the term's own
        elif key in self._cells:
            cells = self._cells[key]
        else:
            cells = self._cells[key] = find_cells(read, self.max_bins)
        for column, (n_bins, largest) in cells.rounding.items():
            found.append((part.term.label, column, n_bins, largest))
        table = self._table(part, cells)
        if part.levels is None or by is None:
            block = IndexedColumns(start, cells.index, table, cells.n_cells, by)
            return [block]
        codes = self._share(by, part.levels)
        return [
            IndexedColumns(
                start=start + number * part.n_block,
                index=cells.index,
                table=table,
                n_cells=cells.n_cells,
                level=Level(codes, number, own),
            )
            for number, own in enumerate(self._level_rows(codes, part.levels))
        ]

    def _table(self, part: SmoothPart, cells: Cells) -> FloatArray:
        """Evaluate one block of a smooth in its cells, as if ``by`` were one."""
        read = dict(cells.values)
        if part.term.by is not None:
            kind = np.float64 if part.levels is None else np.int64
            read["by:"] = np.full(cells.n_cells, part.levels is None, dtype=kind)
        q = part.n_block
        width = q * len(part.labels)
        table = np.empty((cells.n_cells, q))
        size = max(1, TABLE // width)
        for begin in range(0, cells.n_cells, size):
            rows = slice(begin, min(begin + size, cells.n_cells))
            values = np.empty((rows.stop - begin, width))
            part.write(read, rows, values)
            table[rows] = values[:, :q]  # that of the first level, code 0
        return table

    def _share(self, codes: np.ndarray, levels: Levels) -> IntArray:
        """Give codes as int32: one array for all terms with these levels."""
        key = (levels.column, levels.values)
        if key not in self._codes:
            self._codes[key] = codes.astype(np.int32)
        return self._codes[key]

    def _level_rows(self, codes: IntArray, levels: Levels) -> list[IntArray]:
        """Give the rows of each level, ascending."""
        key = (levels.column, levels.values)
        if key not in self._rows:
            order = np.argsort(codes, kind="stable").astype(np.int32)
            ends = np.searchsorted(codes[order], np.arange(len(levels) + 1))
            self._rows[key] = [order[a:b] for a, b in itertools.pairwise(ends)]
        return self._rows[key]

    def _parametric(self, part: ParametricPart) -> list[Columns]:
        """Tables where a term has few distinct rows; the other columns as they are."""
        parsed = parse_parametric(part.formula)
        frame = self.frame[list(part.columns)]
        blocks: list[Columns] = []
        plans: list[tuple[int, int, IntArray | None, FloatArray | None, IntArray]] = []
        dense: list[tuple[int, int]] = []
        for _, start, stop, columns in part.spans:
            plan = self._plan(part, parsed, columns)
            if plan is not None:
                plans.append((start, stop, *plan))
            elif dense and dense[-1][1] == start:
                dense[-1] = (dense[-1][0], stop)
            else:
                dense.append((start, stop))
        if plans:
            examples = np.concatenate([plan[-1] for plan in plans])
            values = part.matrix(frame.iloc[examples])
            at = 0
            for start, stop, index, by, rows in plans:
                table = values[at : at + len(rows), start:stop]
                if by is not None:
                    own = by[rows, None]
                    table = np.divide(
                        table, own, out=np.zeros(table.shape), where=own != 0.0
                    )
                table = np.ascontiguousarray(table)
                blocks.append(IndexedColumns(start, index, table, len(rows), by))
                at += len(rows)
        blocks.extend(self._numeric(part, frame, dense))
        return blocks

    def _plan(
        self, part: ParametricPart, parsed: Parametric, columns: tuple[str, ...]
    ) -> tuple[IntArray | None, FloatArray | None, IntArray] | None:
        """Give the cells of a parametric term, its factors and a row of each cell."""
        if not columns:
            return None, None, np.zeros(1, dtype=np.int32)
        indices, sizes = [], []
        numbers: list[str] = []
        for column in columns:
            if column in part.numeric:
                if column not in self._distinct:
                    values = read_numeric(self.frame, column, column)
                    self._distinct[column] = distinct(values, self.max_bins)
                found = self._distinct[column]
                if found is None:
                    numbers.append(column)
                    continue
                index, size = found[0], len(found[1])
            else:
                levels = part.levels[column]
                index = self._share(levels.codes(self.frame, column), levels)
                size = len(levels)
            indices.append(index)
            sizes.append(size)
        if not numbers:
            index, examples = self._joint(indices, sizes)
            if len(examples) <= self.max_bins or not part.numeric.intersection(columns):
                return index, None, examples
            return None
        if not indices or not _is_product(part, parsed, columns, numbers):
            return None
        by = np.ones(len(self.frame))
        for column in numbers:
            by *= read_numeric(self.frame, column, column)
        index, examples = self._joint(indices, sizes)
        largest = pd.Series(np.abs(by)).groupby(index).idxmax()
        return index, by, largest.to_numpy().astype(np.int32)

    def _joint(
        self, indices: list[IntArray], sizes: list[int]
    ) -> tuple[IntArray, IntArray]:
        """Give numbers to the combinations that occur, and a row of each."""
        if len(indices) > 1:
            index, cells = find_joint(indices, sizes)
            n_cells = len(cells[0])
        else:
            index, n_cells = indices[0], sizes[0]
        examples = np.full(n_cells, -1, dtype=np.int32)
        examples[index] = np.arange(len(index), dtype=np.int32)
        if (examples >= 0).all():
            return index, examples
        used = np.flatnonzero(examples >= 0)  # levels without rows have no cell
        number = np.zeros(n_cells, dtype=np.int32)
        number[used] = np.arange(len(used))
        return number[index], examples[used]

    def _numeric(
        self,
        part: ParametricPart,
        frame: pd.DataFrame,
        spans: list[tuple[int, int]],
    ) -> list[NumericColumns]:
        n = len(frame)
        held = [np.empty((n, stop - start)) for start, stop in spans]
        for begin in range(0, n if spans else 0, ROWS):
            rows = slice(begin, min(begin + ROWS, n))
            values = part.matrix(frame.iloc[rows])
            for (start, stop), own in zip(spans, held, strict=True):
                own[rows] = values[:, start:stop]
        return [
            NumericColumns(start, own)
            for (start, _), own in zip(spans, held, strict=True)
        ]


def _is_product(
    part: ParametricPart,
    parsed: Parametric,
    columns: tuple[str, ...],
    numbers: list[str],
) -> bool:
    """Say whether terms of these columns are products of the numbers and the rest.

    So they are where every number stands by itself, once, and in no function.
    """
    for term in parsed.terms:
        factors = [parsed.factors[key] for key in term]
        if {c for factor in factors for c in factor.columns} != set(columns):
            continue
        for factor in factors:
            mixed = set(factor.columns) & set(numbers)
            if mixed and (factor.function or len(factor.columns) != 1):
                return False
    return True
