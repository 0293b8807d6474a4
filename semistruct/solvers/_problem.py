"""A model of independent rows, checked, and how it is solved."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from semistruct.design import DesignOperator
from semistruct.exceptions import DataError
from semistruct.families import Family
from semistruct.solvers._estimate import Estimate, estimate
from semistruct.solvers._firth import FirthLikelihood
from semistruct.solvers._least_squares import LeastSquares
from semistruct.solvers._likelihood import Likelihood
from semistruct.solvers._linalg import Factor, check_rank
from semistruct.solvers._median import MedianLikelihood
from semistruct.solvers._penalty import PenaltySystem
from semistruct.solvers._report import (
    assemble,
    expected_weights,
    sharpen,
    use_expected,
)
from semistruct.solvers._result import ExactFit
from semistruct.solvers._rows import RowLikelihood

FloatArray = NDArray[np.float64]

MEDIAN_ROUNDS = 50
MEDIAN_TOLERANCE = 1e-6  # change of the predictor of the scale


@dataclass(frozen=True)
class Problem:
    """Rows of a family with K linear predictors, as :func:`fit_glm` takes them.

    Attributes
    ----------
    designs : tuple of K DesignOperator of shape (n, p_k)
    y : ndarray of shape (n,) or (n, 2)
    family : Family
    penalties : tuple of K sequences of Penalty
    frequency, precision : ndarray of shape (n,) or None
    offset : ndarray of shape (n, K)
    method : str
    corrected, firth : bool
    """

    designs: tuple[DesignOperator, ...]
    y: FloatArray
    family: Family
    penalties: tuple[Sequence[Any], ...]
    frequency: FloatArray | None
    precision: FloatArray | None
    offset: FloatArray
    method: str
    corrected: bool
    firth: bool

    @cached_property
    def ends(self) -> NDArray[np.int64]:
        """Where the coefficients of each predictor begin, and where the last end."""
        return np.cumsum([0, *(design.shape[1] for design in self.designs)])

    @cached_property
    def system(self) -> PenaltySystem:
        """Penalties of all predictors together."""
        pairs = [
            (int(self.ends[k]), penalty)
            for k, group in enumerate(self.penalties)
            for penalty in group
        ]
        return PenaltySystem(pairs, int(self.ends[-1]))

    @property
    def is_median(self) -> bool:
        """Whether the location has a formula and the log-density a kink in it."""
        family = self.family
        kinked = not family.twice_differentiable
        return kinked and family.all_parameters[0] not in family.fixed

    def likelihood(self) -> RowLikelihood:
        """Return the rows at rough shapes."""
        kind = MedianLikelihood if self.is_median else RowLikelihood
        rows = kind(
            self.designs,
            self.y,
            self.family,
            self.frequency,
            self.offset,
            self.precision,
        )
        return rows.with_shapes(rows.initial_shapes()) if len(rows.shapes) else rows

    def refuse_redundant(self, root: FloatArray) -> None:
        """Raise ``RankDeficiencyError`` for redundant columns, given a root of S_λ."""
        present = None
        if self.frequency is not None:
            present = (self.frequency > 0).astype(np.float64)
        for k, design in enumerate(self.designs):
            own = slice(int(self.ends[k]), int(self.ends[k + 1]))
            check_rank(design.triangle(present), root[:, own], first=own.start)

    def reach(self) -> FloatArray:
        """Largest absolute value of each column, (p,)."""
        return np.concatenate([design.max_abs() for design in self.designs])


def solve(problem: Problem) -> ExactFit:
    """Fit a problem without constraints."""
    if getattr(problem.family, "is_least_squares", False):
        return _solve_least_squares(problem)
    likelihood = problem.likelihood()
    if problem.firth:
        likelihood = FirthLikelihood.around(likelihood)
    system = problem.system
    if isinstance(likelihood, MedianLikelihood):
        found = _estimate_median(problem, likelihood)
    else:
        found = _estimate(problem, likelihood)
    at = cast(RowLikelihood, found.likelihood)
    eta = at.predictor(found.beta)
    joint = found.added is not None  # maximum likelihood, shapes included
    working = None if joint else expected_weights(at, found.beta)
    if working is not None and not found.diverging:
        use_expected(found, at, working, system)
    else:
        _, curvature = at.row_derivatives(found.beta)
        working = np.ascontiguousarray(np.einsum("ikk->ik", curvature))
    if len(problem.designs) == 1 and not found.diverging and (working >= 0).all():
        sharpen(found, problem.designs[0], working[:, 0], system)
    return assemble(
        found,
        slices=at.slices,
        loglik=at.best_log_likelihood(found.beta),
        linear_predictor=eta,
        working_weight=working,
        n_effective=at.n_effective,
        dispersion=found.dispersion,
        shape_values=np.array(list(at.family.shape_values.values()), dtype=np.float64),
    )


def _estimate(problem: Problem, likelihood: Likelihood) -> Estimate:
    """Coefficients, smoothing parameters and shapes of a likelihood."""
    return estimate(
        likelihood,
        problem.system,
        method=problem.method,
        check_rank=problem.refuse_redundant,
        column_reach=problem.reach,
        corrected=problem.corrected,
    )


def _estimate_median(problem: Problem, likelihood: MedianLikelihood) -> Estimate:
    """Fit Laplace rows; where the scale has a formula, in rounds of held weights.

    A round estimates the smoothing parameters with the weights of the round before:
    at the end the gradient of the criterion is zero but for the change of the weights.
    """
    n, rows = likelihood.n_effective, len(likelihood.y)
    system = problem.system
    if n <= system.nullity or (not system.roots and rows <= problem.ends[1]):
        problem.refuse_redundant(system.stacked_root(np.ones(len(system))))
        raise DataError(
            f"{rows} rows (total weight {n:g}) cannot estimate {problem.ends[-1]} "
            f"coefficients and a scale: at least {system.nullity + 1} are needed. "
            "Drop terms."
        )
    if len(problem.designs) == 1 or not system.n_free:
        return _estimate(problem, likelihood)
    beta = likelihood.start()
    for _ in range(MEDIAN_ROUNDS):
        found = _estimate(problem, likelihood.holding(beta))
        moved = np.abs(likelihood.predictor(found.beta) - likelihood.predictor(beta))
        beta = found.beta
        if moved[:, 1].max() <= MEDIAN_TOLERANCE:
            return found
    return replace(
        found,
        converged=False,
        message="The smoothing parameters did not settle. Give sp= for the terms of "
        "the scale, or lower k.",
    )


def _solve_least_squares(problem: Problem) -> ExactFit:
    """Gaussian rows: cross-products once, residuals at the end."""
    design, system = problem.designs[0], problem.system
    target = problem.y - problem.offset[:, 0]
    squares = LeastSquares(design, target, problem.frequency, problem.precision)
    rows, p, n = len(target), squares.n_coefficients, squares.n_effective
    if n <= system.nullity or (not system.roots and rows <= p):
        problem.refuse_redundant(system.stacked_root(np.ones(len(system))))
        raise DataError(
            f"{rows} rows (total weight {n:g}) cannot estimate {p} coefficients and "
            f"a dispersion: at least {system.nullity + 1} are needed. Drop terms."
        )
    first = Factor(squares.gram + 1e-8 * np.diag(np.diag(squares.gram)))
    squares.recentre(first.solve(squares.cross))
    found = estimate(
        squares,
        system,
        method=problem.method,
        check_rank=problem.refuse_redundant,
        column_reach=problem.reach,
        corrected=problem.corrected,
    )
    sharpen(found, design, squares.weight, system, target)
    fitted = design.dot(found.beta)
    residual = target - fitted
    weighted = residual if squares.weight is None else residual * squares.weight
    rss = max(float(residual @ weighted), 1e-280)
    working = np.ones(rows) if squares.weight is None else squares.weight.copy()
    loglik = -0.5 * n * (np.log(2.0 * np.pi * rss / n) + 1.0)
    return assemble(
        found,
        slices=(slice(0, p),),
        loglik=loglik + 0.5 * squares.log_precision,
        linear_predictor=fitted[:, None] + problem.offset,
        working_weight=working[:, None],
        n_effective=n,
        dispersion=rss / (n - float(found.edf.sum())),
    )
