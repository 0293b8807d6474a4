"""Columns of a Cox model, centred within strata, by blocks of rows.

Letters: N rows that were given, S strata, p columns.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from semistruct.solvers._risk_sets import RiskSets

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.intp]

CHUNK = 8192  # rows whose copy stays in cache
KEPT = 2**22  # numbers of which a centred copy is kept; larger designs are read anew


class CentredColumns:
    """A design less the means of its strata, which a partial likelihood does not see.

    Sums of squares of centred columns do not cancel. A column that is constant within
    strata is exactly 0. A small design is copied; of a large one only blocks are.

    Parameters
    ----------
    design : ndarray of shape (N, p)
    sets : RiskSets
        Of the N rows. Rows that are never at risk do not count in the means.
    """

    def __init__(self, design: FloatArray, sets: RiskSets) -> None:
        self.n_columns = design.shape[1]
        self._design = design
        self._code: IntArray | None = None
        count = len(sets.labels)
        if count > 1:
            self._code = np.zeros(sets.n_rows, dtype=np.intp)
            self._code[sets.rows] = sets.stratum
        self._means = self._means_of(sets, count)
        self._constant = self._constant_columns(sets)
        self._kept: FloatArray | None = None
        if design.size <= KEPT:
            self._kept = self._centred(slice(None))

    def _means_of(self, sets: RiskSets, count: int) -> FloatArray:
        """Give the mean of each stratum, (S, p)."""
        weight = np.zeros(sets.n_rows)
        weight[sets.rows] = sets.weight
        if self._code is None:
            sums = (weight @ self._design)[None, :]
            mass = weight.sum(keepdims=True)
        else:
            columns = range(self.n_columns)
            sums = np.empty((count, self.n_columns))
            for j in columns:
                product = weight * self._design[:, j]
                sums[:, j] = np.bincount(self._code, product, minlength=count)
            mass = np.bincount(self._code, weight, minlength=count)
        means: FloatArray = sums / np.where(mass > 0, mass, 1.0)[:, None]
        return means

    def _constant_columns(self, sets: RiskSets) -> IntArray:
        """Find the columns that do not vary within strata, but for rounding."""
        self._constant = np.zeros(0, dtype=np.intp)
        size, top = np.zeros(self.n_columns), np.zeros(self.n_columns)
        for start in range(0, len(sets.rows), CHUNK):
            rows = sets.rows[start : start + CHUNK]
            values = self._design.take(rows, axis=0)
            top = np.maximum(top, _largest(values))
            values -= self._means_at(rows)
            size = np.maximum(size, _largest(values))
        return np.flatnonzero(size <= 1e-12 * top)

    def _means_at(self, rows: IntArray | slice) -> FloatArray:
        return self._means if self._code is None else self._means[self._code[rows]]

    def _centred(self, rows: slice) -> FloatArray:
        values: FloatArray = self._design[rows] - self._means_at(rows)
        values[:, self._constant] = 0.0
        return values

    def at(self, rows: IntArray) -> FloatArray:
        """Give some rows, (…, p), by their places 0 … N − 1."""
        if self._kept is not None:
            return self._kept.take(rows, axis=0)
        values = self._design.take(rows, axis=0)
        values -= self._means_at(rows)
        values[:, self._constant] = 0.0
        return values

    def blocks(self) -> Iterator[tuple[slice, FloatArray]]:
        """Give all rows, some at a time."""
        for start in range(0, len(self._design), CHUNK):
            part = slice(start, start + CHUNK)
            whole = self._kept
            yield part, self._centred(part) if whole is None else whole[part]

    def dot(self, beta: FloatArray) -> FloatArray:
        """Xβ, (N,)."""
        result = np.empty(len(self._design))
        for part, values in self.blocks():
            result[part] = values @ beta
        return result

    def transpose_dot(self, vector: FloatArray) -> FloatArray:
        """X'v, (p,)."""
        total = np.zeros(self.n_columns)
        for part, values in self.blocks():
            total += vector[part] @ values
        return total

    def gram(self, weight: FloatArray) -> FloatArray:
        """X' diag(w) X for weights (N,) ≥ 0, (p, p)."""
        total = np.zeros((self.n_columns, self.n_columns))
        for part, values in self.blocks():
            scaled = values * np.sqrt(weight[part, None])
            total += scaled.T @ scaled
        return total

    def reach(self, rows: IntArray) -> FloatArray:
        """Largest absolute value of each column over some rows, (p,)."""
        size = np.zeros(self.n_columns)
        for start in range(0, len(rows), CHUNK):
            size = np.maximum(size, _largest(self.at(rows[start : start + CHUNK])))
        return size

    def quadratic(self, middle: FloatArray) -> FloatArray:
        """x_i'Mx_i, (N,)."""
        result = np.empty(len(self._design))
        for part, values in self.blocks():
            result[part] = np.einsum("ij,ij->i", values @ middle, values)
        return result


def _largest(values: FloatArray) -> FloatArray:
    """Give the largest absolute value of each column."""
    size: FloatArray = np.maximum(
        values.max(axis=0, initial=0.0), -values.min(axis=0, initial=0.0)
    )
    return size
