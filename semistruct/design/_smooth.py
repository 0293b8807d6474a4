"""Smooths as columns of the design with their penalties.

Legend: n rows, m rows of a chunk, k functions, q coefficients of one block.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np
import pandas as pd
from scipy import linalg

from semistruct._core.terms import Smooth, Tensor
from semistruct.design._arguments import (
    arguments,
    check_known,
    find_regions,
    fit_bases,
    read_columns,
)
from semistruct.design._bases import basis_from_state
from semistruct.design._basis import Basis
from semistruct.design._columns import Levels, is_numeric, read_numeric, select
from semistruct.design._random import RandomPart

__all__ = ["CHUNK", "RandomPart", "RowSums", "SmoothPart", "row_kronecker"]

CHUNK = 16_384
"""Rows that are evaluated at once, so that a basis stays in the cache."""

_Read = dict[str, np.ndarray]


def row_kronecker(matrices: Sequence[np.ndarray]) -> np.ndarray:
    """Multiply columns of matrices of m rows, each with each; the last runs fastest.

    Parameters
    ----------
    matrices : sequence of ndarray of shape (m, k_j)
        Marginal bases.

    Returns
    -------
    ndarray of shape (m, Π k_j)
    """

    def product(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        return (a[:, :, None] * b[:, None, :]).reshape(len(a), -1)  # (m, k_a k_b)

    return functools.reduce(product, matrices)


class RowSums(Protocol):
    """Sums over the rows that a smooth is fitted to."""

    def margin(self, basis: Basis, name: str) -> np.ndarray:
        """Mean (k,) of each function of the basis of one column."""

    def columns(self, part: SmoothPart) -> tuple[np.ndarray, float]:
        """Mean of each column before the constraint, and the largest Σ|x| of a row."""


class TableSums:
    """Sums over the rows of a table, that were read by the columns of one term.

    A row of weight 2 counts as two rows.
    """

    def __init__(self, read: _Read, n: int, weight: np.ndarray | None = None) -> None:
        self._read = read
        self._n = n
        self._weight = np.ones(n) if weight is None else weight

    def margin(self, basis: Basis, name: str) -> np.ndarray:
        """See `RowSums`."""
        total = np.zeros(basis.k)
        for rows in _chunks(self._n):
            total += self._weight[rows] @ basis.evaluate(self._read[name][rows])
        return total / self._weight.sum()

    def columns(self, part: SmoothPart) -> tuple[np.ndarray, float]:
        """See `RowSums`."""
        total, largest = np.zeros(part.n_block), 0.0
        for rows in _chunks(self._n):
            x = part.unconstrained(self._read, rows)
            total += self._weight[rows] @ x
            largest = max(largest, float(np.abs(x).sum(axis=1).max()))
        return total / self._weight.sum(), largest


class SmoothPart:
    """A fitted `Smooth` or `Tensor`; by a factor, one set of columns for each level.

    The penalty is scaled by ‖X‖²∞ / ‖S‖₁ over the fitted rows, then the constraint
    1'Xβ = 0 (over all fitted rows, for a factor ``by`` too) is absorbed by the
    orthonormal complement Z of the column sums: X Z and Z'SZ (Wood 2017,
    doi:10.1201/9781315370279, 5.4.1). A numeric ``by`` that is not constant takes no
    constraint. ``te`` takes margins as they are unless ``np=True``; each penalty is
    divided by its largest eigenvalue; ``ti`` absorbs a constraint in each margin.

    Attributes
    ----------
    bases : tuple of Basis
        One, or one for each column of a tensor product.
    margins : tuple of ndarray or None
        Matrices (k_j, q_j) that are put behind the marginal bases.
    constraint : ndarray or None
        Z, which is put behind the (product of the) bases.
    matrices : tuple of ndarray of shape (q, q)
        Penalties.
    levels : Levels or None
        Of a factor ``by``.
    """

    def __init__(
        self,
        term: Smooth | Tensor,
        bases: Sequence[Basis],
        margins: Sequence[np.ndarray] | None,
        constraint: np.ndarray | None,
        matrices: Sequence[np.ndarray],
        levels: Levels | None,
    ) -> None:
        self.term = term
        self.bases = tuple(bases)
        self.margins = None if margins is None else tuple(margins)
        self.constraint = constraint
        self.matrices = tuple(matrices)
        self.levels = levels
        self.regions = find_regions(term)

    @classmethod
    def fit(
        cls,
        term: Smooth | Tensor,
        frame: pd.DataFrame,
        sums: RowSums | None = None,
        weight: np.ndarray | None = None,
    ) -> SmoothPart:
        """Place the knots, scale the penalties and find the constraint.

        ``sums`` gives the sums over rows where the rows are not those of ``frame``,
        which ``weight`` (n,) counts.
        """
        read, bases = fit_bases(term, frame)
        if sums is None:
            sums = TableSums(read, len(frame), weight)
        margins: list[np.ndarray] | None = None
        penalties = [basis.penalty for basis in bases]
        if isinstance(term, Tensor):
            margins = _margins(term, bases, read, sums)
            penalties = [z.T @ s @ z for z, s in zip(margins, penalties, strict=True)]
            penalties = [s / linalg.eigvalsh(s)[-1] for s in penalties]
            penalties = _tensor_penalties(penalties)
            if not (term.interaction or term.np):
                margins = None
        levels, free = _read_by(term, frame)
        part = cls(term, bases, margins, None, penalties, levels)
        mean, largest = sums.columns(part)
        part.matrices = tuple(
            s * (largest**2 / np.linalg.norm(s, 1)) for s in penalties
        )
        if not free and not (isinstance(term, Tensor) and term.interaction):
            z = _complement(mean)
            part.constraint = z
            part.matrices = tuple(z.T @ s @ z for s in part.matrices)
        part.matrices = tuple((s + s.T) / 2.0 for s in part.matrices)
        return part

    def reduced(self, keep: np.ndarray) -> SmoothPart:
        """Give the part without some of its columns; ``keep`` (q,) marks the others."""
        z = np.eye(self.n_block) if self.constraint is None else self.constraint
        matrices = [s[np.ix_(keep, keep)] for s in self.matrices]
        return SmoothPart(
            self.term, self.bases, self.margins, z[:, keep], matrices, self.levels
        )

    @property
    def kind(self) -> str:
        """Kind of its blocks."""
        return "smooth" if isinstance(self.term, Smooth) else "tensor"

    @property
    def columns(self) -> tuple[str, ...]:
        """Columns of the table that it reads."""
        return self.term.columns

    @property
    def labels(self) -> tuple[str, ...]:
        """Label of each block: one, or one for each level of ``by``."""
        if self.levels is None:
            return (self.term.label,)
        return tuple(f"{self.term.label}[{value}]" for value in self.levels.values)

    @property
    def n_block(self) -> int:
        """Coefficients of one block."""
        return int(self.matrices[0].shape[0])

    def names(self, block: int) -> tuple[str, ...]:
        """Names of the coefficients of one block."""
        label = self.labels[block]
        return tuple(f"{label}.{j + 1}" for j in range(self.n_block))

    def penalties(self) -> list[tuple[str, np.ndarray, float | None, int]]:
        """Suffix of the label, matrix, given λ and rank of each penalty of a block."""
        if isinstance(self.term, Smooth):
            rank = min(self.bases[0].rank, self.n_block)
            return [("", self.matrices[0], self.term.sp, rank)]
        sizes = [basis.k for basis in self.bases]
        if self.margins is not None:
            sizes = [z.shape[1] for z in self.margins]
        result: list[tuple[str, np.ndarray, float | None, int]] = []
        for j, name in enumerate(self.term.names):
            others = int(np.prod(sizes)) // sizes[j]
            rank = min(min(self.bases[j].rank, sizes[j]) * others, self.n_block)
            if self.n_block < int(np.prod(sizes)) - 1:  # side conditions
                rank = min(rank, int(np.linalg.matrix_rank(self.matrices[j])))
            sp = None if self.term.sp is None else self.term.sp[j]
            result.append((f"[{name}]", self.matrices[j], sp, rank))
        return result

    @property
    def inequality(self) -> np.ndarray | None:
        """Matrix A (m, q) of a constraint Aβ >= 0 on each block, or None."""
        a = self.bases[0].inequality
        return a if a is None or self.constraint is None else a @ self.constraint

    def read(self, frame: pd.DataFrame) -> _Read:
        """Read and check the columns of a table."""
        term = self.term
        read = read_columns(term, frame, self.regions)
        if self.regions is not None:
            check_known(self.bases[0], self.regions, read[term.names[0]], frame, term)
        if self.levels is not None:
            read["by:"] = self.levels.codes(frame, term.label)
        elif term.by is not None:
            read["by:"] = read_numeric(frame, term.by, term.label)
        return read

    def write(self, read: _Read, rows: slice, out: np.ndarray) -> None:
        """Write some rows of the design into ``out`` of shape (m, blocks · q)."""
        x = self.unconstrained(read, rows)
        if self.constraint is not None:
            x = x @ self.constraint
        if self.term.by is None:
            out[:] = x
        elif self.levels is None:
            np.multiply(x, read["by:"][rows, None], out=out)
        else:
            q, codes = self.n_block, read["by:"][rows]
            for level in range(len(self.levels)):
                block = out[:, level * q : (level + 1) * q]
                np.multiply(x, (codes == level)[:, None], out=block)

    def unconstrained(self, read: _Read, rows: slice) -> np.ndarray:
        """Give some rows of the (product of the) bases, as if ``by`` were one."""
        values = [
            basis.evaluate(x[rows])
            for basis, x in zip(self.bases, arguments(self.term, read), strict=True)
        ]
        if self.margins is not None:
            values = [x @ z for x, z in zip(values, self.margins, strict=True)]
        return row_kronecker(values)

    def to_state(self) -> dict[str, Any]:
        """Give the state: JSON types and arrays."""
        return {
            "bases": [basis.to_state() for basis in self.bases],
            "margins": None if self.margins is None else list(self.margins),
            "constraint": self.constraint,
            "matrices": list(self.matrices),
            "levels": None if self.levels is None else self.levels.to_state(),
        }

    @classmethod
    def from_state(cls, term: Smooth | Tensor, state: Mapping[str, Any]) -> SmoothPart:
        """Make the part from its term and its state."""
        margins, constraint = state["margins"], state["constraint"]
        return cls(
            term,
            [basis_from_state(basis) for basis in state["bases"]],
            None if margins is None else [_array(z) for z in margins],
            None if constraint is None else _array(constraint),
            [_array(s) for s in state["matrices"]],
            None if state["levels"] is None else Levels.from_state(state["levels"]),
        )


def _read_by(term: Smooth | Tensor, frame: pd.DataFrame) -> tuple[Levels | None, bool]:
    """Give the levels of a factor ``by``, and whether the smooth is left free."""
    if term.by is None:
        return None, False
    if not is_numeric(select(frame, term.by, term.label)):
        return Levels.fit(frame, term.by, term.label), False
    by = read_numeric(frame, term.by, term.label)
    tolerance = 1000.0 * float(np.finfo(float).eps) * abs(float(np.mean(by)))
    return None, float(np.std(by)) > tolerance


def _margins(
    term: Tensor, bases: Sequence[Basis], read: _Read, sums: RowSums
) -> list[np.ndarray]:
    """Give what is put behind each marginal basis: constraint, reparameterisation."""
    result = []
    for basis, name in zip(bases, term.names, strict=True):
        x = read[name]
        margin = np.eye(basis.k)
        if term.interaction:
            margin = _complement(sums.margin(basis, name))
        if term.np and not basis.at_knots:
            points = np.linspace(x.min(), x.max(), margin.shape[1])
            values = basis.evaluate(points) @ margin
            if np.linalg.cond(values) < np.finfo(float).eps ** -0.66:
                margin = margin @ np.linalg.inv(values)
        result.append(margin)
    return result


def _complement(constraint: np.ndarray) -> np.ndarray:
    """Give an orthonormal basis (k, k - 1) of what is orthogonal to a vector (k,)."""
    q, _ = linalg.qr(constraint[:, None])
    return np.ascontiguousarray(q[:, 1:])


def _tensor_penalties(penalties: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Give I ⊗ … ⊗ S_j ⊗ … ⊗ I for each margin j."""
    result: list[np.ndarray] = []
    for j, penalty in enumerate(penalties):
        factors = [
            penalty if i == j else np.eye(len(other))
            for i, other in enumerate(penalties)
        ]
        result.append(functools.reduce(np.kron, factors))
    return result


def _chunks(n: int) -> list[slice]:
    return [slice(i, min(i + CHUNK, n)) for i in range(0, n, CHUNK)]


def _array(values: Any) -> np.ndarray:
    return np.ascontiguousarray(values, dtype=np.float64)
