"""Quadratic penalties of all predictors together."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import linalg

FloatArray = NDArray[np.float64]


class LogDeterminant(NamedTuple):
    """log|S_λ|₊ with its derivatives in ρ = log λ.

    Attributes
    ----------
    value : float
    gradient : ndarray of shape (J,)
        λ_j tr(S⁻S_j).
    cross : ndarray of shape (J, J)
        λ_j λ_k tr(S⁻S_jS⁻S_k), zero between terms that do not overlap.
    """

    value: float
    gradient: FloatArray
    cross: FloatArray


class Penalty:
    """S_λ at given λ.

    Products go through a root E, S_λ = E'E: they keep their accuracy where large λ
    meet coefficients that are hardly bent.

    Attributes
    ----------
    matrix : ndarray of shape (p, p)
        S_λ.
    root : ndarray of shape (r, p)
        E.
    """

    def __init__(self, matrix: FloatArray, root: FloatArray) -> None:
        self.matrix = matrix
        self.root = root

    def energy(self, beta: FloatArray) -> float:
        """β'S_λβ."""
        bend = self.root @ beta
        return float(bend @ bend)

    def pull(self, beta: FloatArray) -> FloatArray:
        """S_λβ."""
        return self.root.T @ (self.root @ beta)


class PenaltySystem:
    """The penalties Σ λ_j S_j over p coefficients.

    Parameters
    ----------
    penalties : sequence of (shift, penalty)
        Each penalty has ``start``, ``stop``, ``matrix``, ``sp`` and ``rank``; the
        shift is the index of its predictor's first coefficient. ``sp=0`` switches a
        penalty off.
    n_coefficients : int
    """

    def __init__(
        self, penalties: Sequence[tuple[int, Any]], n_coefficients: int
    ) -> None:
        self.n_coefficients = n_coefficients
        self.spans = [
            slice(shift + penalty.start, shift + penalty.stop)
            for shift, penalty in penalties
        ]
        self.matrices = [
            np.asarray(penalty.matrix, dtype=np.float64) for _, penalty in penalties
        ]
        self.labels = [
            str(getattr(penalty, "label", f"penalty {j}"))
            for j, (_, penalty) in enumerate(penalties)
        ]
        given = [penalty.sp for _, penalty in penalties]
        self.free = np.array([sp is None for sp in given], dtype=bool)
        self.fixed = np.array([0.0 if sp is None else float(sp) for sp in given])
        self.ranks = [int(penalty.rank) for _, penalty in penalties]
        active = [j for j in range(len(given)) if self.free[j] or self.fixed[j] > 0]
        self.roots = {j: _root(self.matrices[j], self.ranks[j]) for j in active}
        self._constants = {  # log|S_j|₊
            j: float(2.0 * np.log(np.linalg.norm(root, axis=1)).sum())
            for j, root in self.roots.items()
        }
        self.groups = self._group(active)
        self._bases = [self._basis(group) for group in self.groups]
        self.nullity = n_coefficients - sum(basis.shape[1] for _, basis in self._bases)

    def __len__(self) -> int:
        return len(self.spans)

    @property
    def n_free(self) -> int:
        """Number of smoothing parameters to estimate."""
        return int(self.free.sum())

    def smoothing(self, rho: FloatArray) -> FloatArray:
        """All λ, given the logs of the free ones."""
        values = self.fixed.copy()
        values[self.free] = np.exp(rho)
        return values

    def at(self, smoothing: FloatArray) -> Penalty:
        """S_λ with its root."""
        return Penalty(self.total(smoothing), self.stacked_root(smoothing))

    def total(self, smoothing: FloatArray) -> FloatArray:
        """S_λ, (p, p)."""
        total = np.zeros((self.n_coefficients, self.n_coefficients))
        for span, matrix, value in zip(
            self.spans, self.matrices, smoothing, strict=True
        ):
            if value != 0:
                total[span, span] += value * matrix
        return total

    def stacked_root(self, smoothing: FloatArray) -> FloatArray:
        """E with E'E = S_λ, (r, p)."""
        rows = []
        for j, root in self.roots.items():
            block = np.zeros((root.shape[0], self.n_coefficients))
            block[:, self.spans[j]] = np.sqrt(smoothing[j]) * root
            rows.append(block)
        return np.vstack(rows) if rows else np.zeros((0, self.n_coefficients))

    def log_det(self, smoothing: FloatArray) -> LogDeterminant:
        """log|S_λ|₊, the determinant over the penalised space."""
        size = len(self.spans)
        value = 0.0
        gradient = np.zeros(size)
        cross = np.zeros((size, size))
        for group, (first, basis) in zip(self.groups, self._bases, strict=True):
            if len(group) == 1:
                j = group[0]
                rank = basis.shape[1]
                value += self._constants[j] + rank * float(np.log(smoothing[j]))
                gradient[j] = cross[j, j] = rank
                continue
            value += self._overlapping(group, first, basis, smoothing, gradient, cross)
        return LogDeterminant(value, gradient, cross)

    def null_basis(self) -> FloatArray:
        """Orthonormal basis of the coefficients that no penalty touches, (p, M_p)."""
        blocks = [
            root / max(float(np.linalg.norm(root, 2)), 1e-300)
            for root in self.roots.values()
        ]
        stacked = np.zeros((sum(len(block) for block in blocks), self.n_coefficients))
        row = 0
        for j, block in zip(self.roots, blocks, strict=True):
            stacked[row : row + len(block), self.spans[j]] = block
            row += len(block)
        _, vectors = np.linalg.eigh(stacked.T @ stacked)
        basis: FloatArray = vectors[:, : self.nullity]
        return basis

    def _overlapping(
        self,
        group: list[int],
        first: int,
        basis: FloatArray,
        smoothing: FloatArray,
        gradient: FloatArray,
        cross: FloatArray,
    ) -> float:
        """Add one group of overlapping penalties; return its log-determinant.

        QR of the stacked roots, rows sorted by size and columns pivoted, is accurate
        row by row, so that λ of very different sizes do no harm.
        """
        roots = {}
        for j in group:
            span = self.spans[j]
            inside = basis[span.start - first : span.stop - first]
            roots[j] = np.sqrt(smoothing[j]) * (self.roots[j] @ inside)
        stacked = np.vstack(list(roots.values()))
        order = np.argsort(-np.abs(stacked).max(axis=1), kind="stable")
        upper, pivot = linalg.qr(stacked[order], mode="r", pivoting=True)
        upper = upper[: basis.shape[1]]
        whitened = {
            j: linalg.solve_triangular(upper, root[:, pivot].T, trans="T")
            for j, root in roots.items()
        }  # R^{-T} E_j'
        for j in group:
            gradient[j] = float((whitened[j] ** 2).sum())
            for k in group:
                cross[j, k] = float(((whitened[j].T @ whitened[k]) ** 2).sum())
        return 2.0 * float(np.log(np.abs(np.diag(upper))).sum())

    def _group(self, active: list[int]) -> list[list[int]]:
        """Penalties whose coefficients overlap, directly or through others."""
        groups: list[list[int]] = []
        stop = -1
        for j in sorted(active, key=lambda j: (self.spans[j].start, j)):
            if groups and self.spans[j].start < stop:
                groups[-1].append(j)
            else:
                groups.append([j])
                stop = -1
            stop = max(stop, self.spans[j].stop)
        return groups

    def _basis(self, group: list[int]) -> tuple[int, FloatArray]:
        """First coefficient of a group, and an orthonormal basis of its range."""
        first = min(self.spans[j].start for j in group)
        last = max(self.spans[j].stop for j in group)
        if len(group) == 1:
            rank = self.ranks[group[0]]
            return first, np.zeros((last - first, rank))
        total = np.zeros((last - first, last - first))
        for j in group:
            span = self.spans[j]
            inside = slice(span.start - first, span.stop - first)
            total[inside, inside] += self.matrices[j] / np.linalg.norm(self.matrices[j])
        values, vectors = np.linalg.eigh(total)
        return first, vectors[:, values > 1e-10 * values[-1]]


def _root(matrix: FloatArray, rank: int) -> FloatArray:
    """E (rank, m) with E'E = matrix."""
    values, vectors = np.linalg.eigh(matrix)
    top = values[::-1][:rank]
    root: FloatArray = (vectors[:, ::-1][:, :rank] * np.sqrt(np.maximum(top, 0.0))).T
    return root
