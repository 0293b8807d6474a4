"""Small dense algebra: scaled Cholesky factors, ranks, crossed products by chunks."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import linalg

from semistruct.solvers._errors import RankDeficiencyError

FloatArray = NDArray[np.float64]

CHUNK = 8192  # rows whose weighted copy stays in cache
RANK_TOLERANCE = 1e-10  # of the length of a column
CLEAR_RCOND = 1e-8  # reciprocal condition above which a Gram matrix is trusted


class Factor:
    """Cholesky factor of a symmetric matrix, scaled to unit diagonal.

    When the matrix is not positive definite its eigenvalues are replaced by their
    absolute values (bounded from below) and ``repaired`` is True.
    """

    def __init__(self, matrix: FloatArray) -> None:
        diagonal = np.diag(matrix)
        positive = np.where(diagonal > 0, diagonal, 1.0)
        self.scale = 1.0 / np.sqrt(positive)
        scaled = matrix * self.scale[:, None] * self.scale
        self.repaired = False
        try:
            self._lower = linalg.cholesky(scaled, lower=True, check_finite=False)
        except linalg.LinAlgError:
            self.repaired = True
            values, vectors = np.linalg.eigh(scaled)
            top = max(float(np.abs(values).max()), 1e-300)
            values = np.maximum(np.abs(values), 1e-10 * top)
            half = vectors * np.sqrt(values)
            self._lower = linalg.qr(half.T, mode="r")[0].T.copy()
            sign = np.sign(np.diag(self._lower))
            self._lower = self._lower * np.where(sign == 0, 1.0, sign)
        self._norm = float(np.abs(scaled).sum(axis=0).max()) if len(scaled) else 1.0

    @property
    def log_det(self) -> float:
        """Log-determinant of the (repaired) matrix."""
        diagonal = np.log(np.diag(self._lower)) - np.log(self.scale)
        return 2.0 * float(diagonal.sum())

    @property
    def rcond(self) -> float:
        """Reciprocal condition number of the scaled matrix (1-norm estimate)."""
        if not len(self.scale):
            return 1.0
        value, _ = linalg.lapack.dpocon(self._lower, self._norm, uplo="L")
        return float(value)

    def solve(self, right: FloatArray) -> FloatArray:
        """Solve matrix @ x = right."""
        scale = self.scale if right.ndim == 1 else self.scale[:, None]
        solution = linalg.cho_solve(
            (self._lower, True), right * scale, check_finite=False
        )
        answer: FloatArray = solution * scale
        return answer

    def inverse(self) -> FloatArray:
        """Inverse of the (repaired) matrix, exactly symmetric."""
        if not len(self.scale):
            return np.zeros((0, 0))
        inverse, _ = linalg.lapack.dpotri(self._lower, lower=1)
        inverse = np.tril(inverse) + np.tril(inverse, -1).T
        answer: FloatArray = inverse * self.scale[:, None] * self.scale
        return answer


def weighted_gram(x: FloatArray, weight: FloatArray | None) -> FloatArray:
    """X' diag(weight) X by chunks of rows; weights may be negative."""
    if weight is None:
        gram: FloatArray = x.T @ x
        return gram
    p = x.shape[1]
    total = np.zeros((p, p))
    signed = bool((weight < 0).any())
    root = weight if signed else np.sqrt(weight)
    for start in range(0, x.shape[0], CHUNK):
        rows = x[start : start + CHUNK]
        scaled = rows * root[start : start + CHUNK, None]
        total += scaled.T @ (rows if signed else scaled)
    return total


def row_quadratic(x: FloatArray, middle: FloatArray, z: FloatArray) -> FloatArray:
    """x_i' M z_i for each row i, by chunks of rows."""
    result = np.empty(x.shape[0])
    for start in range(0, x.shape[0], CHUNK):
        stop = start + CHUNK
        left = x[start:stop] @ middle
        result[start:stop] = np.einsum("ij,ij->i", left, z[start:stop])
    return result


def check_rank(x: FloatArray, root: FloatArray, *, first: int = 0) -> None:
    """Raise ``RankDeficiencyError`` unless X stacked on √S has full column rank.

    Parameters
    ----------
    x : ndarray of shape (n, p)
    root : ndarray of shape (r, p)
        E with E'E = S_λ, λ of the size of the data.
    first : int, default 0
        Index of the first column among all coefficients.
    """
    p = x.shape[1]
    stacked = np.vstack([x, root])
    length = np.linalg.norm(stacked, axis=0)
    empty = length == 0
    stacked /= np.where(empty, 1.0, length)
    upper = linalg.qr(stacked, mode="r", check_finite=False)[0][:p]
    pivoted, _ = linalg.qr(upper, mode="r", pivoting=True)
    diagonal = np.abs(np.diag(pivoted))
    rank = int((diagonal > RANK_TOLERANCE * max(diagonal.max(initial=0), 1e-300)).sum())
    if rank == p:
        return
    redundant, involved = _redundant_columns(upper, p)
    raise RankDeficiencyError(
        [first + column for column in redundant],
        [first + column for column in involved],
    )


def _redundant_columns(upper: FloatArray, p: int) -> tuple[list[int], list[int]]:
    """Columns that depend on their left neighbours, and all columns involved."""
    kept: list[int] = []
    redundant: list[int] = []
    involved: set[int] = set()
    basis = np.zeros((upper.shape[0], 0))
    for column in range(p):
        vector = upper[:, column]
        rest = vector - basis @ (basis.T @ vector)
        rest = rest - basis @ (basis.T @ rest)
        length = float(np.linalg.norm(rest))
        if length > 10 * RANK_TOLERANCE and len(kept) < upper.shape[0]:
            kept.append(column)
            basis = np.column_stack([basis, rest / length])
            continue
        redundant.append(column)
        involved.add(column)
        if kept:
            share = np.linalg.lstsq(upper[:, kept], vector, rcond=None)[0]
            active = np.abs(share) > 1e-8 * max(np.abs(share).max(), 1e-300)
            involved.update(int(index) for index in np.array(kept)[active])
    return redundant, sorted(involved)


def orthogonal_inverse(
    upper: FloatArray, root: FloatArray, right: FloatArray | None = None
) -> tuple[FloatArray, FloatArray | None]:
    """(R'R + E'E)⁻¹, and the least-squares solution, from a QR of [R; E].

    Parameters
    ----------
    upper : ndarray of shape (m, p)
        R, a triangular factor of √W X.
    root : ndarray of shape (r, p)
        E.
    right : ndarray of shape (m,), optional
        Right-hand side of R, when the solution is wanted.
    """
    stacked = np.vstack([upper, root])
    length = np.linalg.norm(stacked, axis=0)
    length[length == 0] = 1.0
    basis, triangle = linalg.qr(stacked / length, mode="economic", check_finite=False)
    beta = None
    if right is not None:
        whole = np.concatenate([right, np.zeros(len(root))])
        beta = linalg.solve_triangular(triangle, basis.T @ whole) / length
    half = linalg.solve_triangular(triangle, np.eye(len(triangle))) / length[:, None]
    return half @ half.T, beta
