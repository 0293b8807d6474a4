"""Pairs of a row and a time that are long rows, and pairs of blocks of columns.

Letters: n rows of the table, J times, N long rows; block 1 has a1 functions u of the
row and b1 functions v of time, block 2 a2 and b2; m rows of a chunk.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from semistruct.design._operator import CELLS
from semistruct.design._person_period import PersonPeriod
from semistruct.design._person_period_blocks import Matrix, ProductColumns

__all__ = ["BlockPair", "Pairs", "Side", "pair_up"]

FloatArray = NDArray[np.float64]
Side = tuple[Callable[[slice], FloatArray], FloatArray]

FILLED = 0.15  # share of all pairs from which on a dense matrix of them is faster


class Pairs:
    """The long rows as entries of a matrix of n rows and J times."""

    def __init__(self, period: PersonPeriod) -> None:
        self.period = period
        self.shape = (period.n_rows, len(period.cuts))
        self.dense = len(period) >= FILLED * period.n_rows * len(period.cuts)

    @property
    def n_bytes(self) -> int:
        """Memory of the indices."""
        return self._position.nbytes if self.dense else 0

    @property
    def size(self) -> int:
        """Numbers that a product with all pairs touches."""
        return self.shape[0] * self.shape[1] if self.dense else len(self.period)

    @cached_property
    def _position(self) -> NDArray[np.int64]:
        """Where each long row stands in the matrix, row by row."""
        return self.period.row * np.int64(self.shape[1]) + self.period.interval

    def chunks(self, width: int) -> list[slice]:
        """Cut the rows so that ``width`` numbers of each, or its times, fit a cache."""
        n, times = self.shape
        each = max(width, times if self.dense else len(self.period) // n + 1)
        size = max(CELLS // each, 16)
        return [slice(i, min(i + size, n)) for i in range(0, n, size)]

    def weights(self, values: FloatArray, part: slice) -> Any:
        """Give values (N,) of the pairs of some rows as a matrix (m, J)."""
        at = self._stretch(part)
        shape = (part.stop - part.start, self.shape[1])
        if self.dense:
            result = np.zeros(shape)
            result.reshape(-1)[self._inside(at, part)] = values[at]
            return result
        pointer = self.period.bounds[part.start : part.stop + 1] - at.start
        index = self.period.interval[at]
        return sparse.csr_array((values[at], index, pointer), shape=shape)

    def pick(self, left: FloatArray, right: FloatArray, part: slice) -> FloatArray:
        """Give Σ_k left_ik right_jk of the pairs of some rows.

        Parameters
        ----------
        left : ndarray of shape (m, k)
            Of the rows ``part``.
        right : ndarray of shape (J, k)
        part : slice
        """
        at = self._stretch(part)
        if self.dense:
            whole = left @ right.T
            return whole.reshape(-1).take(self._inside(at, part))
        row = self.period.row[at] - part.start
        result = np.empty(len(row))
        size = max(1, CELLS // left.shape[1])
        for begin in range(0, len(row), size):
            some = slice(begin, begin + size)
            other = right[self.period.interval[at][some]]
            result[some] = np.einsum("ij,ij->i", left[row[some]], other)
        return result

    def by_time(self) -> Iterator[tuple[int, NDArray[np.int64]]]:
        """Give each time that has long rows, and these."""
        order = np.argsort(self.period.interval, kind="stable")
        ends = np.cumsum(self.period.at_risk)
        for j in np.flatnonzero(self.period.at_risk).tolist():
            yield j, order[ends[j] - self.period.at_risk[j] : ends[j]]

    def largest(self, subject: FloatArray, over_time: FloatArray) -> FloatArray:
        """Give the largest |u_a(i) v_b(j)| over pairs, of shape (a · b,)."""
        period = self.period
        reach = np.abs(subject[period.count > 0])
        times = np.abs(over_time[period.at_risk > 0])
        if (times == times[:1]).all() or (reach == reach[:1]).all():
            return np.outer(reach.max(axis=0), times.max(axis=0)).reshape(-1)
        order = np.argsort(period.interval, kind="stable")
        starts = np.concatenate([[0], np.cumsum(period.at_risk[period.at_risk > 0])])
        row = period.row[order]
        top = np.stack(
            [
                np.maximum.reduceat(np.abs(column).take(row), starts[:-1])
                for column in subject.T
            ],
            axis=1,
        )  # (times with long rows, a)
        return (top[:, :, None] * times[:, None, :]).max(axis=0).reshape(-1)

    def _stretch(self, part: slice) -> slice:
        bounds = self.period.bounds
        return slice(int(bounds[part.start]), int(bounds[part.stop]))

    def _inside(self, at: slice, part: slice) -> NDArray[np.int64]:
        return self._position[at] - part.start * self.shape[1]


class BlockPair:
    """Two blocks of products, and the cheaper way to their sums over long rows.

    Time first: Σ_i u1 u2' ⊗ (Σ_j w_ij v1 v2'). Rows first: Σ_j (Σ_i w_ij u1 u2') ⊗
    v1 v2'. A sparse block stands on the left and goes time first.

    Attributes
    ----------
    left, right : ProductColumns
        Blocks 1 and 2.
    time_first : bool
        The way.
    time_products : ndarray of shape (J, b1 · b2)
        v1 ⊗ v2.
    """

    def __init__(
        self, left: ProductColumns, right: ProductColumns, pairs: Pairs
    ) -> None:
        if sparse.issparse(right.subject):
            left, right = right, left
        self.left = left
        self.right = right
        (a1, b1), (a2, b2) = left.sizes, right.sizes
        self.shape = (a1, b1, a2, b2)
        products = a1 * b1 * a2 * b2
        time_cost = pairs.size * b1 * b2 + pairs.shape[0] * products
        rows_cost = pairs.size * a1 * a2 + pairs.shape[1] * products
        self.sparse = sparse.issparse(left.subject)
        self.time_first = self.sparse or time_cost <= rows_cost
        self.width = b1 * b2 * a2 if self.time_first else a1 * a2

    @cached_property
    def time_products(self) -> FloatArray:
        return _kronecker(self.left.time, self.right.time)

    def begin(self) -> None:
        """Start a sum over chunks of rows."""
        a1, b1, a2, b2 = self.shape
        if self.time_first:
            self._total = np.zeros((a1, b1 * b2 * a2))
        else:
            self._total = np.zeros((len(self.left.time), a1 * a2))

    def add_time_first(self, part: slice, sums: FloatArray) -> None:
        """Add some rows, given Σ_j w_ij v1 v2' of shape (m, b1 · b2)."""
        left, right = self.left.subject[part], self.right.subject[part]
        if not sparse.issparse(right):
            self._total += left.T @ _kronecker(sums, right)
            return
        size = right.shape[1]
        for b in range(sums.shape[1]):
            scaled = right.multiply(sums[:, [b]])
            cross = (left.T @ scaled.tocsr()).toarray()
            self._total[:, b * size : (b + 1) * size] += cross

    def add_rows_first(self, part: slice, weights: Any) -> None:
        """Add some rows, given w of shape (m, J)."""
        products = _kronecker(self.left.subject[part], self.right.subject[part])
        self._total += weights.T @ products

    def finish(self) -> FloatArray:
        """Give X1' W X2 of shape (q1, q2)."""
        a1, b1, a2, b2 = self.shape
        if self.time_first:
            total = self._total.reshape(a1, b1, b2, a2).transpose(0, 1, 3, 2)
        else:
            half = _kronecker(self._total, self.left.time).T @ self.right.time
            total = half.reshape(a1, a2, b1, b2).transpose(0, 2, 1, 3)
        whole = self.left.contract(total.reshape(a1 * b1, a2 * b2))
        return self.right.contract(np.ascontiguousarray(whole.T)).T

    def form(self, middle: FloatArray) -> Side:
        """Give x1' M x2 of each pair as a product of functions of rows and of time."""
        a1, b1, a2, b2 = self.shape
        if self.left.transform is not None:
            middle = self.left.transform @ middle
        if self.right.transform is not None:
            middle = middle @ self.right.transform.T
        whole = middle.reshape(a1, b1, a2, b2)
        left, right = self.left.subject, self.right.subject
        if b1 * b2 <= a1 * a2 or self.sparse:
            return _RowForm(left, right, whole), self.time_products
        half = np.einsum("jb,abcd->jacd", self.left.time, whole)
        values = np.einsum("jacd,jd->jac", half, self.right.time)

        def products(part: slice) -> FloatArray:
            return _kronecker(left[part], right[part])

        return products, values.reshape(len(values), -1)


class _RowForm:
    """Σ u1_a u2_c M_abcd of some rows, of shape (m, b · d)."""

    def __init__(self, left: Matrix, right: Matrix, middle: FloatArray) -> None:
        self._left = left
        self._right = right
        self._middle = middle

    def __call__(self, part: slice) -> FloatArray:
        a1, b1, a2, b2 = self._middle.shape
        left, right = self._left[part], self._right[part]
        m = part.stop - part.start
        if sparse.issparse(right):
            both = self._middle[left.indices, :, right.indices]  # (m, b1, b2)
            both = both * (left.data * right.data)[:, None, None]
            return np.asarray(both.reshape(m, -1))
        half = (left @ self._middle.reshape(a1, -1)).reshape(m, b1, a2, b2)
        return np.asarray(np.einsum("mbad,ma->mbd", half, right).reshape(m, -1))


def pair_up(blocks: Sequence[ProductColumns], pairs: Pairs) -> list[BlockPair]:
    """Give each block with itself and with the blocks after it."""
    return [
        BlockPair(left, right, pairs)
        for i, left in enumerate(blocks)
        for right in blocks[i:]
    ]


def _kronecker(left: FloatArray, right: FloatArray) -> FloatArray:
    """Multiply columns each with each, row by row; those of the right run fastest."""
    if left.shape[1] == 1:
        return np.asarray(left * right)
    if right.shape[1] == 1:
        return np.asarray(left * right)
    return (left[:, :, None] * right[:, None, :]).reshape(len(left), -1)
