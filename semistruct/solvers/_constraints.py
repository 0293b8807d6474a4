"""Linear inequalities Cβ ≥ 0 by an active set around the fit.

Rows of C that hold with equality leave β = Zγ, Z an orthonormal basis of their null
space; the model in γ is one without constraints. Rows that are violated become active,
active ones whose multiplier is negative are let go, until neither is left (the
Karush-Kuhn-Tucker conditions). Wood (1994), doi:10.1137/0915069; Hintermüller, Ito and
Kunisch (2002), doi:10.1137/S1052623401383558, for changing all rows at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import linalg

from semistruct.design import DesignOperator, Penalty
from semistruct.exceptions import DataError
from semistruct.solvers._problem import Problem, solve
from semistruct.solvers._result import ExactFit

FloatArray = NDArray[np.float64]

MAX_FITS = 60
MAX_SINGLE = 500  # fits at given smoothing parameters, one row at a time
TOLERANCE = 1e-7  # of a row's length times the largest coefficient


class ReducedDesign(DesignOperator):
    """X Z for a design X and a basis Z of a part of its coefficients.

    Parameters
    ----------
    full : DesignOperator of shape (n, p)
    basis : ndarray of shape (p, q)
        Z.
    """

    def __init__(self, full: DesignOperator, basis: FloatArray) -> None:
        self.full = full
        self.basis = basis

    @property
    def shape(self) -> tuple[int, int]:
        """Numbers (n, q) of rows and columns."""
        return self.full.shape[0], self.basis.shape[1]

    def rows(self, which: slice) -> FloatArray:
        """Give some rows."""
        return self.full.rows(which) @ self.basis

    def gram(self, weight: ArrayLike | None = None) -> FloatArray:
        """Z'X'WXZ."""
        product = self.basis.T @ self.full.gram(weight) @ self.basis
        return 0.5 * (product + product.T)

    def cross(self, weight: ArrayLike | None, other: DesignOperator) -> FloatArray:
        """Z'X'W times the other design."""
        if isinstance(other, ReducedDesign):
            product = self.basis.T @ self.full.cross(weight, other.full) @ other.basis
            return np.asarray(product)
        return np.asarray(self.basis.T @ self.full.cross(weight, other))

    def dot(self, beta: ArrayLike) -> FloatArray:
        """XZγ."""
        return self.full.dot(self.basis @ np.asarray(beta))

    def transpose_dot(self, vector: ArrayLike) -> FloatArray:
        """Z'X'v."""
        return np.asarray(self.basis.T @ self.full.transpose_dot(vector))

    def row_bilinear(self, middle: ArrayLike, other: DesignOperator) -> FloatArray:
        """Rows of XZ M times rows of the other design."""
        left = self.basis @ np.asarray(middle)
        if isinstance(other, ReducedDesign):
            right = left @ other.basis.T
            if other.full is self.full:
                return self.full.row_quadratic(right)
            return self.full.row_bilinear(right, other.full)
        return self.full.row_bilinear(left, other)


@dataclass(frozen=True)
class Inequalities:
    """All inequalities of one problem.

    Attributes
    ----------
    matrix : ndarray of shape (m, p)
        C over all coefficients, rows of length 1.
    spans : tuple of slice
        Coefficients that rows have in common; disjoint and in order.
    """

    matrix: FloatArray
    spans: tuple[slice, ...]

    def basis(self, active: NDArray[np.bool_]) -> FloatArray:
        """Orthonormal Z with C_a Z = 0, block-diagonal in ``spans``, (p, q)."""
        p = self.matrix.shape[1]
        blocks, at = [], 0
        for span in self.spans:
            part = self.matrix[active][:, span]
            part = part[np.abs(part).max(axis=1, initial=0.0) > 0]
            blocks += [np.eye(span.start - at), _null_basis(part)]
            at = span.stop
        return np.asarray(linalg.block_diag(*blocks, np.eye(p - at)))


def solve_constrained(
    problem: Problem, constraints: Sequence[Sequence[Any]]
) -> ExactFit:
    """Fit under linear inequalities.

    Smoothing parameters are estimated given the active rows, and so are covariances,
    edf and p-values: they do not know that rows were chosen by the data.

    Parameters
    ----------
    problem : Problem
    constraints : sequence of K sequences of Constraint
        Each has ``start``, ``stop`` and ``matrix`` in the columns of its design.

    Returns
    -------
    ExactFit
        In the coefficients of the problem; ``active`` names the rows that hold with
        equality.
    """
    rows = _stack(problem, constraints)
    none = np.zeros(len(rows.matrix), dtype=bool)
    fit, active, settled = _settle(problem, rows, none, MAX_FITS)
    if not settled:
        fit, active, settled = _settle_at(problem, rows, active, fit.sp)
    named = tuple(np.flatnonzero(active).tolist())
    if settled:
        return replace(fit, active=named)
    return replace(
        fit,
        active=named,
        converged=False,
        message="The active constraints did not settle. Give sp= for the constrained "
        "terms, or lower k.",
    )


def _settle(
    problem: Problem, rows: Inequalities, active: NDArray[np.bool_], most: int
) -> tuple[ExactFit, NDArray[np.bool_], bool]:
    """Change all wrong rows at once, until none is left or a set comes back."""
    seen: set[bytes] = set()
    for _ in range(most):
        seen.add(active.tobytes())
        fit = _solve_on(problem, rows, active)
        wrong = _wrong(problem, rows.matrix, active, fit)
        if not wrong.any():
            return fit, active, True
        if (active ^ wrong).tobytes() in seen:
            break
        active = active ^ wrong
    return fit, active, False


def _settle_at(
    problem: Problem, rows: Inequalities, active: NDArray[np.bool_], sp: FloatArray
) -> tuple[ExactFit, NDArray[np.bool_], bool]:
    """Settle the active rows with smoothing parameters held where they are.

    Estimates of λ that belong to neighbouring sets can send the search round in
    circles; at one λ the last wrong row alone, changed again and again, comes to an
    end (Murty 1974, doi:10.1007/BF01580094, for quadratic problems).
    """
    held = _with_smoothing(problem, sp)
    fit, active, settled = _settle(held, rows, active, MAX_FITS)
    for _ in range(MAX_SINGLE):
        if settled:
            break
        wrong = _wrong(held, rows.matrix, active, fit)
        settled = not wrong.any()
        if not settled:
            active = active.copy()
            active[np.flatnonzero(wrong)[-1]] ^= True
            fit = _solve_on(held, rows, active)
    if not settled:
        return fit, active, False
    free = _solve_on(problem, rows, active)
    if not _wrong(problem, rows.matrix, active, free).any():
        return free, active, True
    note = "; the smoothing parameters are those of a neighbouring set of constraints"
    return replace(fit, message=fit.message + note), active, True


def _with_smoothing(problem: Problem, sp: FloatArray) -> Problem:
    """Return the problem with smoothing parameters that are given."""
    values = iter(np.where(np.isfinite(sp), sp, 1e6).tolist())
    groups = [
        [
            Penalty(
                str(getattr(p, "label", "")),
                p.start,
                p.stop,
                p.matrix,
                next(values),
                p.rank,
            )
            for p in group
        ]
        for group in problem.penalties
    ]
    return replace(problem, penalties=tuple(groups))


def _stack(problem: Problem, constraints: Sequence[Sequence[Any]]) -> Inequalities:
    """All inequalities over all coefficients."""
    if len(constraints) != len(problem.designs):
        raise DataError(
            f"constraints has {len(constraints)} groups, need one for each of "
            f"{len(problem.designs)} linear predictor(s)."
        )
    blocks, pairs = [], []
    for k, group in enumerate(constraints):
        for each in group:
            part = np.asarray(each.matrix, dtype=np.float64)
            shift = int(problem.ends[k])
            span = slice(shift + each.start, shift + each.stop)
            block = np.zeros((len(part), int(problem.ends[-1])))
            block[:, span] = part
            blocks.append(block)
            pairs.append(span)
    spans: list[slice] = []
    for span in sorted(pairs, key=lambda span: span.start):
        if spans and span.start < spans[-1].stop:
            spans[-1] = slice(spans[-1].start, max(span.stop, spans[-1].stop))
        else:
            spans.append(span)
    stacked = np.vstack(blocks)
    length = np.linalg.norm(stacked, axis=1, keepdims=True)
    return Inequalities(stacked / np.where(length == 0, 1.0, length), tuple(spans))


def _wrong(
    problem: Problem, matrix: FloatArray, active: NDArray[np.bool_], fit: ExactFit
) -> NDArray[np.bool_]:
    """Rows that are violated, and active ones that hold back an increase.

    Multipliers μ solve ∇ℓ_p + C_a'μ = 0 at the constrained optimum.
    """
    values = matrix @ fit.coef
    wrong = ~active & (values < -TOLERANCE * np.abs(fit.coef).max(initial=1e-300))
    if active.any():
        rows = problem.likelihood().with_shapes(fit.shapes)
        slope, _ = rows.row_derivatives(fit.coef)
        smoothing = np.where(np.isfinite(fit.sp), fit.sp, 0.0)
        gradient = rows.pulled(slope) - problem.system.total(smoothing) @ fit.coef
        multipliers = np.linalg.lstsq(matrix[active].T, -gradient, rcond=None)[0]
        size = np.abs(multipliers).max(initial=1e-300)
        wrong[active] = multipliers < -TOLERANCE * size
    return wrong


def _solve_on(
    problem: Problem, rows: Inequalities, active: NDArray[np.bool_]
) -> ExactFit:
    """Fit with the active rows as equalities, in the coefficients of the problem."""
    if not active.any():
        return solve(problem)
    whole = rows.basis(active)
    designs: list[DesignOperator] = []
    penalties: list[list[Penalty]] = []
    kept: list[bool] = []
    for k, design in enumerate(problem.designs):
        own = slice(int(problem.ends[k]), int(problem.ends[k + 1]))
        used = np.abs(whole[own]).max(axis=0, initial=0.0) > 0
        basis = whole[own][:, used]
        designs.append(ReducedDesign(design, basis))
        reduced = [_reduced(penalty, basis) for penalty in problem.penalties[k]]
        kept += [penalty is not None for penalty in reduced]
        penalties.append([penalty for penalty in reduced if penalty is not None])
    fit = solve(replace(problem, designs=tuple(designs), penalties=tuple(penalties)))
    smoothing = np.full(len(kept), np.inf)
    smoothing[kept] = fit.sp
    corrected, coef = fit.cov_corrected, whole @ fit.coef
    ends = problem.ends.tolist()
    away = list(fit.diverging)
    return replace(
        fit,
        coef=coef,
        slices=tuple(slice(a, b) for a, b in pairwise(ends)),
        cov=whole @ fit.cov @ whole.T,
        cov_frequentist=whole @ fit.cov_frequentist @ whole.T,
        cov_corrected=None if corrected is None else whole @ corrected @ whole.T,
        information=_information(problem, fit, coef),
        edf=whole**2 @ fit.edf,
        sp=smoothing,
        diverging=tuple(np.flatnonzero(np.abs(whole[:, away]).sum(axis=1)).tolist()),
    )


def _information(problem: Problem, fit: ExactFit, coef: FloatArray) -> FloatArray:
    """X'WX in the coefficients of the problem."""
    if len(problem.designs) == 1:
        return problem.designs[0].gram(fit.working_weight[:, 0])
    rows = problem.likelihood().with_shapes(fit.shapes)
    return rows.crossed(rows.row_derivatives(coef)[1])


def _reduced(penalty: Any, basis: FloatArray) -> Penalty | None:
    """Z'SZ on the columns of Z that it touches; None where nothing is left of it."""
    part = basis[penalty.start : penalty.stop]
    columns = np.flatnonzero(np.abs(part).max(axis=0, initial=0.0) > 0)
    if not len(columns):
        return None
    start, stop = int(columns[0]), int(columns[-1]) + 1
    matrix = part[:, start:stop].T @ penalty.matrix @ part[:, start:stop]
    values = np.linalg.eigvalsh(matrix)
    rank = int((values > 1e-9 * np.linalg.norm(penalty.matrix, 2)).sum())
    if not rank:
        return None
    label = str(getattr(penalty, "label", ""))
    return Penalty(label, start, stop, matrix, penalty.sp, rank)


def _null_basis(rows: FloatArray) -> FloatArray:
    """Orthonormal Z with rows @ Z = 0."""
    if not len(rows):
        return np.eye(rows.shape[1])
    _, values, vectors = np.linalg.svd(rows, full_matrices=True)
    rank = int((values > 1e-10 * values[0]).sum())
    return np.asarray(vectors[rank:].T)
