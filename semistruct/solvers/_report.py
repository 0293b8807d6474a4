"""From an estimate in coefficient space to a fit with its rows."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from semistruct.design import DesignOperator
from semistruct.solvers._estimate import Estimate
from semistruct.solvers._linalg import Factor, orthogonal_inverse
from semistruct.solvers._penalty import PenaltySystem
from semistruct.solvers._result import ExactFit
from semistruct.solvers._rows import RowLikelihood

FloatArray = NDArray[np.float64]

# Reciprocal conditions of X'WX + S_λ below which covariances come from an orthogonal
# factor. Large λ alone make it small, which costs time and gains little.
EXACT_RCOND = 1e-6
EXACT_RCOND_PENALISED = 1e-10


def sharpen(
    found: Estimate,
    design: DesignOperator,
    weight: FloatArray | None,
    system: PenaltySystem,
    y: FloatArray | None = None,
) -> None:
    """Replace V (and β, given y) by an orthogonal factor's where X'WX is too coarse.

    Sets ``inverse``, ``edf`` and, given y, ``beta`` of ``found``.
    """
    penalty = system.at(found.sp)
    factor = Factor(found.information + penalty.matrix)
    enough = EXACT_RCOND_PENALISED if found.penalised else EXACT_RCOND
    if factor.rcond >= enough:
        if y is not None:  # one step of iterative refinement with true residuals
            residual = y - design.dot(found.beta)
            weighted = residual if weight is None else residual * weight
            pull = design.transpose_dot(weighted) - penalty.pull(found.beta)
            found.beta = found.beta + factor.solve(pull)
        return
    upper = design.triangle(weight, y)
    right = None
    if y is not None:
        upper, right = upper[:, :-1], upper[:, -1]
    found.inverse, beta = orthogonal_inverse(upper, penalty.root, right)
    if beta is not None:
        found.beta = beta
    if found.penalised:
        found.edf = np.einsum("ij,ji->i", found.inverse, found.information)


def expected_weights(likelihood: RowLikelihood, beta: FloatArray) -> FloatArray | None:
    """Fisher weights (n, 1), times the rows' weights and numbers of trials.

    None where covariances come from the observed information: families with several
    predictors, or without a statement of their Fisher weights.
    """
    family = likelihood.family
    if family.n_predictors > 1:
        return None
    weights = family.fisher_weight(torch.from_numpy(likelihood.predictor(beta)))
    if weights is None:
        return None
    rows = weights.numpy()
    if likelihood.y.ndim == 2:
        rows = rows * likelihood.y.sum(axis=1, keepdims=True)
    if likelihood.weight is not None:
        rows = rows * likelihood.weight[:, None]
    return np.ascontiguousarray(rows)


def use_expected(
    found: Estimate,
    likelihood: RowLikelihood,
    weights: FloatArray,
    system: PenaltySystem,
) -> None:
    """Report Fisher's information and Pearson's dispersion instead of the observed.

    Sets ``information``, ``inverse``, ``edf`` and ``dispersion`` of ``found``.
    """
    found.information = likelihood.designs[0].gram(weights[:, 0])
    factor = Factor(found.information + system.at(found.sp).matrix)
    found.inverse = factor.inverse()
    if found.penalised:
        found.edf = np.einsum("ij,ji->i", found.inverse, found.information)
    if likelihood.has_dispersion and not len(likelihood.shapes):
        eta = torch.from_numpy(likelihood.predictor(found.beta))
        family = likelihood.family
        residual = likelihood.y - family.mean(eta).numpy()
        rows = residual**2 / family.variance(eta).numpy()
        if likelihood.weight is not None:
            rows = rows * likelihood.weight
        free = likelihood.n_effective - float(found.edf.sum())
        found.dispersion = max(float(rows.sum()), 1e-280) / max(free, 1e-8)


def assemble(
    found: Estimate,
    *,
    slices: tuple[slice, ...],
    loglik: float,
    linear_predictor: FloatArray,
    working_weight: FloatArray,
    n_effective: float,
    dispersion: float,
    shape_values: FloatArray | None = None,
) -> ExactFit:
    """Put the pieces of a fit together."""
    cov = dispersion * found.inverse
    frequentist = cov
    if found.penalised:
        spread = cov @ found.information @ found.inverse
        frequentist = 0.5 * (spread + spread.T)
    if found.added is not None:
        cov = cov + found.added
        frequentist = cov
    return ExactFit(
        coef=found.beta,
        slices=slices,
        cov=cov,
        cov_frequentist=frequentist,
        cov_corrected=None if found.corrected is None else cov + found.corrected,
        information=found.information,
        edf=found.edf,
        dispersion=dispersion,
        sp=found.sp,
        score=found.score,
        loglik=loglik,
        linear_predictor=linear_predictor,
        working_weight=working_weight,
        n_iter=found.n_iter,
        converged=found.converged,
        gradient_norm=found.gradient_norm,
        message=found.message,
        nullity=found.nullity,
        n_effective=n_effective,
        diverging=found.diverging,
        method=found.method,
        shape_names=found.likelihood.shape_names,
        shapes=found.likelihood.shapes.copy(),
        shape_values=np.zeros(0) if shape_values is None else shape_values,
        shape_cov=found.shape_cov,
    )
