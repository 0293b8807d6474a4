"""The design of long rows, as products of functions of rows and functions of time.

Letters: n rows of the table, J times, N long rows, p columns; a block has a functions u
of the row and b functions v of time, and w_ij is the weight of row i at time j. Sums
over long rows are taken over time first, Σ_j w_ij v_j v_j', or over rows first,
Σ_i w_ij u_i u_i', whichever costs less.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import cached_property

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy import sparse

from semistruct.design._design import StructuredDesign
from semistruct.design._operator import DesignOperator, row_chunks
from semistruct.design._person_period import PersonPeriod, check_long_frame
from semistruct.design._person_period_blocks import (
    LaggedColumns,
    Matrix,
    ProductColumns,
    find_blocks,
)
from semistruct.design._person_period_pairs import BlockPair, Pairs, Side, pair_up
from semistruct.design._person_period_rows import long_rows, product_rows
from semistruct.design._person_period_triangle import triangle

__all__ = ["PersonPeriodDesign"]

FloatArray = NDArray[np.float64]


class PersonPeriodDesign(DesignOperator):
    """The design of N long rows, exact and never held; made by `from_design`.

    It holds one matrix of the n rows of the table, one of the J times, and the long
    rows' indices. X'WX of a term of the rows and a term of time costs N + n · J
    operations and not N times the numbers of their columns.

    Parameters
    ----------
    products : iterable of ProductColumns
        Columns that are products.
    lagged : iterable of LaggedColumns
        Columns of cumulative effects.
    period : PersonPeriod
        The long rows.

    Attributes
    ----------
    period : PersonPeriod
        The long rows.

    Examples
    --------
    >>> import numpy as np
    >>> import pandas as pd
    >>> from semistruct.design import PersonPeriod, PersonPeriodDesign
    >>> from semistruct.design import fit_person_period, parse_formula
    >>> frame = pd.DataFrame({"x": [0.0, 1.0, 2.0, 0.5, 1.5]})
    >>> long = PersonPeriod.build([1.0, 2.0, 3.0, 4.0, 5.0], [1, 1, 1, 1, 0])
    >>> design = fit_person_period(parse_formula("s(time, k=4) + x"), frame, long)
    >>> x = PersonPeriodDesign.from_design(design, frame, long)
    >>> x
    PersonPeriodDesign(14 rows, 5 columns)

    The linear predictor of two rows at three times:

    >>> grid = PersonPeriod.grid(2, [1.0, 2.0, 3.0])
    >>> new = PersonPeriodDesign.from_design(design, frame[:2], grid)
    >>> new.dot(np.ones(5)).reshape(2, 3).shape
    (2, 3)
    """

    def __init__(
        self,
        products: Iterable[ProductColumns],
        lagged: Iterable[LaggedColumns],
        period: PersonPeriod,
    ) -> None:
        self.period = period
        self._products = tuple(products)
        self._lagged = tuple(lagged)
        self._shape = (len(period), sum(len(b.columns) for b in self._blocks))
        self._pairs = Pairs(period)

    @classmethod
    def from_design(
        cls,
        design: StructuredDesign,
        frame: pd.DataFrame,
        period: PersonPeriod,
        *,
        time: str = "time",
    ) -> PersonPeriodDesign:
        """Evaluate fitted terms in the long rows of a table.

        Parameters
        ----------
        design : StructuredDesign
            Made by `fit_person_period`.
        frame : DataFrame of n rows
            A table with the columns of the design, without the time.
        period : PersonPeriod
            Long rows of this table.
        time : str, default="time"
            Name of the time axis.

        Returns
        -------
        PersonPeriodDesign

        Raises
        ------
        ColumnError, DataError, UnseenLevelError
            Naming the column and the row.
        """
        check_long_frame(frame, period, time)
        own = [c for c in frame.columns if c in design.columns]
        products, lagged = find_blocks(design, frame[own], period.cuts, time)
        return cls(products, lagged, period)

    @property
    def shape(self) -> tuple[int, int]:
        """Numbers (N, p) of long rows and columns."""
        return self._shape

    @property
    def _blocks(self) -> tuple[ProductColumns | LaggedColumns, ...]:
        return (*self._products, *self._lagged)

    @property
    def n_bytes(self) -> int:
        """Memory of the functions and of the indices of the long rows."""
        period = self.period
        total = period.row.nbytes + period.interval.nbytes + self._pairs.n_bytes
        for block in self._blocks:
            subject = block.subject
            total += subject.data.nbytes if sparse.issparse(subject) else subject.nbytes
            total += block.time.nbytes
        return total

    def rows(self, which: slice) -> FloatArray:
        """Give some long rows, of shape (rows, p)."""
        start, stop, _ = which.indices(self.shape[0])
        at = slice(start, max(start, stop))
        return long_rows(self._products, self._lagged, self.period, at, self.shape[1])

    def gram(self, weight: ArrayLike | None = None) -> FloatArray:
        """X' diag(w) X; see `DesignOperator.gram`."""
        given = self.check_weight(weight)
        values = np.ones(self.shape[0]) if given is None else given
        total = np.zeros((self.shape[1], self.shape[1]))
        for pair in self._plan:
            pair.begin()
        over_time = [pair for pair in self._plan if pair.time_first]
        for part in self._chunks():
            weights = self._pairs.weights(values, part)
            if over_time:
                stacked = np.hstack([pair.time_products for pair in over_time])
                sums = weights @ stacked
                start = 0
                for pair in over_time:
                    stop = start + pair.time_products.shape[1]
                    pair.add_time_first(part, sums[:, start:stop])
                    start = stop
            for pair in self._plan:
                if not pair.time_first:
                    pair.add_rows_first(part, weights)
            if self._lagged:
                self._add_lagged(part, values, total)
        for pair in self._plan:
            cross = pair.finish()
            left, right = pair.left.columns, pair.right.columns
            total[np.ix_(left, right)] = cross
            total[np.ix_(right, left)] = cross.T
        return 0.5 * (total + total.T)

    def dot(self, beta: ArrayLike) -> FloatArray:
        """X β."""
        right = np.asarray(beta, dtype=np.float64)
        result = np.empty((self.shape[0], *right.shape[1:]))
        for column in np.ndindex(right.shape[1:]):
            coef = right[(slice(None), *column)]
            where = (slice(None), *column)
            for part, stretch, sides in self._forms(self._linear(coef)):
                result[(stretch, *where[1:])] = self._pairs.pick(*sides, part)
        return result

    def transpose_dot(self, vector: ArrayLike) -> FloatArray:
        """X' v."""
        right = np.asarray(vector, dtype=np.float64)
        self.check_rows(len(right), "the vector")
        result = np.empty((self.shape[1], *right.shape[1:]))
        for column in np.ndindex(right.shape[1:]):
            values = np.ascontiguousarray(right[(slice(None), *column)])
            result[(slice(None), *column)] = self._pulled(values)
        return result

    def row_quadratic(self, middle: ArrayLike) -> FloatArray:
        """diag(X V X'); see `DesignOperator.row_quadratic`."""
        inner = np.asarray(middle, dtype=np.float64)
        if self._lagged:
            return super().row_quadratic(inner)
        result = np.empty(self.shape[0])
        sides = []
        for pair in self._plan:
            left, right = pair.left, pair.right
            block = inner[np.ix_(left.columns, right.columns)]
            if left is not right:
                block = block + inner[np.ix_(right.columns, left.columns)].T
            sides.append(pair.form(block))
        for part, stretch, both in self._forms(sides):
            result[stretch] = self._pairs.pick(*both, part)
        return result

    def max_abs(self) -> FloatArray:
        """Largest absolute value of each column, of shape (p,)."""
        result = np.zeros(self.shape[1])
        rest = []
        for block in self._products:
            if block.transform is None and not sparse.issparse(block.subject):
                result[block.columns] = self._pairs.largest(block.subject, block.time)
            else:
                rest.append(block)
        for block in rest:
            for part in row_chunks(self.shape[0], len(block.columns)):
                period = self.period
                values = product_rows(block, period.row[part], period.interval[part])
                top = np.abs(values).max(axis=0)
                result[block.columns] = np.maximum(result[block.columns], top)
        if self._lagged:
            at = np.concatenate([block.columns for block in self._lagged])
            for part in row_chunks(*self.shape):
                top = np.abs(self.rows(part)[:, at]).max(axis=0)
                result[at] = np.maximum(result[at], top)
        return result

    def triangle(
        self, weight: ArrayLike | None = None, extra: ArrayLike | None = None
    ) -> FloatArray:
        """Triangular factor of √w [X, y]; see `DesignOperator.triangle`."""
        if extra is not None:
            return super().triangle(weight, extra)
        found = triangle(
            self._products, self._lagged, self._pairs, self.check_weight(weight)
        )
        return super().triangle(weight) if found is None else found

    @cached_property
    def _plan(self) -> list[BlockPair]:
        return pair_up(self._products, self._pairs)

    def _chunks(self) -> list[slice]:
        widths = [1]
        for pair in self._plan:
            widths.append(pair.width)
        for lagged in self._lagged:
            widths.append(len(self.period.cuts) * len(lagged.columns))
        return self._pairs.chunks(max(widths))

    def _linear(self, coef: FloatArray) -> list[Side]:
        """Give X β as products: functions of the rows, and values at each time."""
        sides: list[Side] = []
        for block in self._products:
            part = block.expand(coef[block.columns])  # (a, b)
            subject = block.subject
            if part.shape[0] < part.shape[1]:
                sides.append((_Take(subject), block.time @ part.T))
            else:
                sides.append((_Take(subject, part), block.time))
        for lagged in self._lagged:
            weights = lagged.time @ coef[lagged.columns]  # (J, L)
            sides.append((_Take(lagged.subject), weights))
        return sides

    def _forms(
        self, sides: list[Side]
    ) -> Iterator[tuple[slice, slice, tuple[FloatArray, FloatArray]]]:
        """Give, by chunks of rows, their long rows and the two sides of products."""
        right = np.hstack([side for _, side in sides])
        bounds = self.period.bounds
        for part in self._pairs.chunks(right.shape[1]):
            left = np.hstack([take(part) for take, _ in sides])
            stretch = slice(int(bounds[part.start]), int(bounds[part.stop]))
            yield part, stretch, (left, right)

    def _pulled(self, values: FloatArray) -> FloatArray:
        """X' v for one vector."""
        result = np.zeros(self.shape[1])
        products = [np.zeros(block.sizes) for block in self._products]
        lagged = [np.zeros(block.time.shape[:2]) for block in self._lagged]
        for part in self._pairs.chunks(1):
            weights = self._pairs.weights(values, part)
            for block, total in zip(self._products, products, strict=True):
                own = block.subject[part]
                if total.shape[0] < total.shape[1] and not sparse.issparse(own):
                    total += (weights.T @ own).T @ block.time
                else:
                    total += own.T @ (weights @ block.time)
            for late, sums in zip(self._lagged, lagged, strict=True):
                sums += weights.T @ late.subject[part]
        for block, total in zip(self._products, products, strict=True):
            result[block.columns] = block.contract(total.reshape(-1))
        for late, sums in zip(self._lagged, lagged, strict=True):
            result[late.columns] = np.einsum("jl,jlq->q", sums, late.time)
        return result

    def _add_lagged(self, part: slice, values: FloatArray, total: FloatArray) -> None:
        """Add the products of cumulative columns with all columns."""
        bounds = self.period.bounds
        at = slice(int(bounds[part.start]), int(bounds[part.stop]))
        row, interval = self.period.row[at], self.period.interval[at]
        whole = np.empty((len(row), self.shape[1]))
        for block in self._products:
            whole[:, block.columns] = product_rows(block, row, interval)
        for lagged in self._lagged:
            size, q = len(lagged.time), len(lagged.columns)
            table = lagged.time.transpose(1, 0, 2).reshape(-1, size * q)  # (L, J q)
            every = lagged.subject[part] @ table
            flat = (row - part.start).astype(np.intp) * size + interval
            whole[:, lagged.columns] = every.reshape(-1, q)[flat]
        for lagged in self._lagged:
            own = whole[:, lagged.columns] * values[at, None]
            cross = own.T @ whole
            total[lagged.columns] += cross
            mine = np.concatenate([b.columns for b in self._lagged])
            rest = np.setdiff1d(np.arange(self.shape[1]), mine)
            total[np.ix_(rest, lagged.columns)] += cross[:, rest].T


class _Take:
    """Functions of some rows, times a matrix (a, m) where there is one."""

    def __init__(self, subject: Matrix, behind: FloatArray | None = None) -> None:
        self._subject = subject
        self._behind = behind

    def __call__(self, part: slice) -> FloatArray:
        own = self._subject[part]
        values = own if self._behind is None else own @ self._behind
        return np.asarray(values.toarray() if sparse.issparse(values) else values)
