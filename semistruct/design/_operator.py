"""What a solver asks of a design of n rows and p columns, whatever holds it.

Letters: n rows, p columns of this design, q columns of another, m right-hand sides.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import linalg

from semistruct.exceptions import DataError

__all__ = ["DenseDesign", "DesignOperator", "row_chunks"]

FloatArray = NDArray[np.float64]

CELLS = 1 << 18
"""Numbers in a temporary copy of some rows: 2 MB, so that it stays in the cache."""


def row_chunks(n: int, width: int, least: int = 256) -> Iterator[slice]:
    """Cut n rows of ``width`` numbers into slices of some ``CELLS`` numbers."""
    size = max(least, 256, CELLS // max(width, 1))
    for start in range(0, n, size):
        yield slice(start, min(start + size, n))


class DesignOperator(ABC):
    """A design matrix X of shape (n, p) that is used through its products only.

    A subclass states ``shape`` and ``rows``; everything else follows from chunks of
    rows, and is overridden where there is a faster way. Weights may be negative (those
    of observed information are), None means ones. Whatever is returned may be written
    to, except ``rows``.
    """

    @property
    @abstractmethod
    def shape(self) -> tuple[int, int]:
        """Numbers (n, p) of rows and columns."""

    @abstractmethod
    def rows(self, which: slice) -> FloatArray:
        """Give some rows, of shape (rows, p); it may be a view."""

    def columns(self, which: slice) -> FloatArray:
        """Give some columns of all rows, (n, columns): for tests and small designs."""
        chunks = [self.rows(part)[:, which] for part in row_chunks(*self.shape)]
        return np.concatenate(chunks) if chunks else self.rows(slice(0, 0))[:, which]

    def gram(self, weight: ArrayLike | None = None) -> FloatArray:
        """X' diag(w) X.

        Parameters
        ----------
        weight : array-like of shape (n,), optional
            w, of any sign.

        Returns
        -------
        ndarray of shape (p, p)
            Exactly symmetric.
        """
        total = self.cross(weight, self)
        return 0.5 * (total + total.T)

    def cross(self, weight: ArrayLike | None, other: DesignOperator) -> FloatArray:
        """X' diag(w) Z.

        Parameters
        ----------
        weight : array-like of shape (n,) or None
            w, of any sign.
        other : DesignOperator of shape (n, q)
            Z.

        Returns
        -------
        ndarray of shape (p, q)
        """
        values = self.check_weight(weight)
        n, width = self.shape[0], max(self.shape[1], other.shape[1])
        self.check_rows(other.shape[0], "the other design")
        total = np.zeros((self.shape[1], other.shape[1]))
        for part in row_chunks(n, width):
            left = self.rows(part)
            if values is not None:
                left = left * values[part, None]
            total += left.T @ other.rows(part)
        return total

    def dot(self, beta: ArrayLike) -> FloatArray:
        """X β.

        Parameters
        ----------
        beta : array-like of shape (p,) or (p, m)
            Coefficients.

        Returns
        -------
        ndarray of shape (n,) or (n, m)
        """
        right = np.asarray(beta, dtype=np.float64)
        result = np.empty((self.shape[0], *right.shape[1:]))
        for part in row_chunks(*self.shape):
            result[part] = self.rows(part) @ right
        return result

    def transpose_dot(self, vector: ArrayLike) -> FloatArray:
        """X' v.

        Parameters
        ----------
        vector : array-like of shape (n,) or (n, m)
            v.

        Returns
        -------
        ndarray of shape (p,) or (p, m)
        """
        right = np.asarray(vector, dtype=np.float64)
        self.check_rows(len(right), "the vector")
        result = np.zeros((self.shape[1], *right.shape[1:]))
        for part in row_chunks(*self.shape):
            result += self.rows(part).T @ right[part]
        return result

    def row_quadratic(self, middle: ArrayLike) -> FloatArray:
        """diag(X V X'), for leverages and standard errors.

        Parameters
        ----------
        middle : array-like of shape (p, p)
            V.

        Returns
        -------
        ndarray of shape (n,)
        """
        return self.row_bilinear(middle, self)

    def row_bilinear(self, middle: ArrayLike, other: DesignOperator) -> FloatArray:
        """diag(X M Z'), for two linear predictors.

        Parameters
        ----------
        middle : array-like of shape (p, q)
            M.
        other : DesignOperator of shape (n, q)
            Z.

        Returns
        -------
        ndarray of shape (n,)
        """
        inner = np.asarray(middle, dtype=np.float64)
        self.check_rows(other.shape[0], "the other design")
        result = np.empty(self.shape[0])
        for part in row_chunks(self.shape[0], max(self.shape[1], other.shape[1])):
            left = self.rows(part) @ inner
            result[part] = np.einsum("ij,ij->i", left, other.rows(part))
        return result

    def max_abs(self) -> FloatArray:
        """Largest absolute value of each column, of shape (p,)."""
        result = np.zeros(self.shape[1])
        for part in row_chunks(*self.shape):
            np.maximum(result, np.abs(self.rows(part)).max(axis=0), out=result)
        return result

    def triangle(
        self, weight: ArrayLike | None = None, extra: ArrayLike | None = None
    ) -> FloatArray:
        """Triangular factor R of a QR decomposition of √w [X, y], by chunks of rows.

        It serves where X'WX is too coarse: for ranks, and for exact inverses. Its cost
        is 2np² and more, whatever holds the design.

        Parameters
        ----------
        weight : array-like of shape (n,), optional
            w >= 0.
        extra : array-like of shape (n,), optional
            y, a last column; R then holds Q'y above its last row.

        Returns
        -------
        ndarray of shape (min(n, c), c), c = p or p + 1
            Upper triangular, R'R = [X, y]' diag(w) [X, y]; rows have any sign.
        """
        values = self.check_weight(weight)
        half = None if values is None else np.sqrt(values)
        n, width = self.shape
        last = None if extra is None else np.asarray(extra, dtype=np.float64)
        if last is not None:
            self.check_rows(len(last), "the extra column")
            width += 1
        upper = np.zeros((0, width))
        for part in row_chunks(n, width, 4 * width):
            chunk = self.rows(part)
            if last is not None:
                chunk = np.column_stack([chunk, last[part]])
            if half is not None:
                chunk = chunk * half[part, None]
            stacked = np.vstack([upper, chunk])
            upper = linalg.qr(stacked, mode="r", check_finite=False)[0][:width]
        return upper

    def check_weight(self, weight: ArrayLike | None) -> FloatArray | None:
        """Give the weights as float64 of shape (n,); DataError for another shape."""
        if weight is None:
            return None
        values = np.ascontiguousarray(weight, dtype=np.float64)
        if values.shape != self.shape[:1]:
            raise DataError(
                f"The weights of a design of {self.shape[0]} rows must have shape "
                f"({self.shape[0]},), not {values.shape}."
            )
        return values

    def check_rows(self, n: int, what: str) -> None:
        """Raise DataError unless something has as many rows as the design."""
        if n != self.shape[0]:
            raise DataError(
                f"The design has {self.shape[0]} rows and {what} has {n}: they must "
                "agree."
            )

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.shape[0]} rows, {self.shape[1]} columns)"


class DenseDesign(DesignOperator):
    """A design that is held as a matrix.

    Parameters
    ----------
    matrix : array-like of shape (n, p)
        Finite numbers; held without a copy where it is float64.

    Attributes
    ----------
    matrix : ndarray of shape (n, p), float64
        X.

    Examples
    --------
    >>> import numpy as np
    >>> from semistruct.design import DenseDesign
    >>> design = DenseDesign(np.array([[1.0, 0.0], [1.0, 2.0], [1.0, 4.0]]))
    >>> design.gram(weight=[1.0, 1.0, 0.5])
    array([[ 2.5,  4. ],
           [ 4. , 12. ]])
    >>> design.dot([1.0, 0.5])
    array([1., 2., 3.])
    """

    def __init__(self, matrix: ArrayLike) -> None:
        values = np.asarray(matrix, dtype=np.float64)
        if values.ndim != 2:
            raise DataError(f"A design must have two dimensions, got {values.ndim}.")
        self.matrix: FloatArray = values

    @property
    def shape(self) -> tuple[int, int]:
        """Numbers (n, p) of rows and columns."""
        return (self.matrix.shape[0], self.matrix.shape[1])

    def rows(self, which: slice) -> FloatArray:
        """Give some rows, as a view."""
        return self.matrix[which]

    def gram(self, weight: ArrayLike | None = None) -> FloatArray:
        """X' diag(w) X; see `DesignOperator.gram`."""
        values = self.check_weight(weight)
        if values is None:
            return np.asarray(self.matrix.T @ self.matrix)  # BLAS: symmetric, half work
        if (values < 0.0).any():
            return super().gram(values)
        total = np.zeros((self.shape[1], self.shape[1]))
        root = np.sqrt(values)
        for part in row_chunks(*self.shape):
            scaled = self.matrix[part] * root[part, None]
            total += scaled.T @ scaled
        return total

    def cross(self, weight: ArrayLike | None, other: DesignOperator) -> FloatArray:
        """X' diag(w) Z; see `DesignOperator.cross`."""
        if isinstance(other, DenseDesign):
            return super().cross(weight, other)
        return other.cross(weight, self).T.copy()

    def dot(self, beta: ArrayLike) -> FloatArray:
        """X β."""
        return np.asarray(self.matrix @ np.asarray(beta, dtype=np.float64))

    def transpose_dot(self, vector: ArrayLike) -> FloatArray:
        """X' v."""
        right = np.asarray(vector, dtype=np.float64)
        self.check_rows(len(right), "the vector")
        return np.asarray(self.matrix.T @ right)

    def row_bilinear(self, middle: ArrayLike, other: DesignOperator) -> FloatArray:
        """diag(X M Z'); see `DesignOperator.row_bilinear`."""
        if isinstance(other, DenseDesign):
            return super().row_bilinear(middle, other)
        return other.row_bilinear(np.asarray(middle, dtype=np.float64).T, self)
