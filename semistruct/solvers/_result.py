"""What the exact path returns."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class ExactFit:
    """A fitted model of the exact path.

    Letters: n rows, K linear predictors, p coefficients of all predictors together,
    W = −φ ∂²ℓ/∂η², S = Σ λ_j S_j, V = (X'WX + S)⁻¹, F = V X'WX.

    Attributes
    ----------
    coef : ndarray of shape (p,)
        Coefficients of the K predictors, one after the other.
    slices : tuple of slice
        Where each predictor's coefficients stand in ``coef``.
    cov : ndarray of shape (p, p)
        Bayesian covariance Vb = φV.
    cov_frequentist : ndarray of shape (p, p)
        Covariance of the estimator Ve = φ V X'WX V; equal to Vb without penalties.
        Without penalties both are those of joint maximum likelihood when shapes are
        estimated; with penalties they condition on the shapes, and Vc does not.
    cov_corrected : ndarray of shape (p, p) or None
        Vc = Vb + J V_θ J', which adds the uncertainty of log λ and of the shapes; None
        when no smoothing parameter was estimated, or not by likelihood.
    information : ndarray of shape (p, p)
        X'WX, free of φ; F = cov @ information / dispersion.
    edf : ndarray of shape (p,)
        Effective degrees of freedom by coefficient, diag F.
    dispersion : float
        φ: Pearson's X² / (n − Σ edf) where the family has a dispersion (gaussian:
        RSS / (n − Σ edf)), else 1. With a shape beside it (tweedie's power): the φ of
        the criterion.
    sp : ndarray
        Smoothing parameters λ in the order of the penalties. Infinite where active
        constraints leave nothing to penalise.
    score : float
        The criterion at the optimum (smaller is better); see ``method``.
    loglik : float
        Log-likelihood, without the penalty, at the dispersion that maximises it
        (gaussian: RSS / n).
    linear_predictor : ndarray of shape (n, K)
        η with the offset.
    working_weight : ndarray of shape (n, K)
        W_kk of each row times its weights, free of φ.
    n_iter : int
        Newton steps taken in all.
    converged : bool
        Whether the gradient norms certify an optimum.
    gradient_norm : float
        Largest gradient left: of the penalised log-likelihood in units of the
        coefficients' standard errors, and of the criterion in log λ and the shapes.
    message : str
        "converged", or what went wrong and what to try.
    nullity : int
        Dimension M_p of the space that no penalty touches.
    n_effective : float
        Σ sample_weight: the n of the criterion and of the degrees of freedom.
    diverging : tuple of int
        Coefficients that run to infinity (separation, monotone likelihood).
    method : str
        Criterion that chose the smoothing parameters: "REML", "ML", "GCV", "UBRE".
    shape_names : tuple of str
        Constant distribution parameters that were estimated (S of them).
    shapes : ndarray of shape (S,)
        Their values on the link scale: ``family.with_shapes(fit.shapes)``.
    shape_values : ndarray of shape (S,)
        Their values on the natural scale.
    shape_cov : ndarray of shape (S, S)
        Covariance on the link scale, from the Hessian of the criterion; NaN for shapes
        that the data do not determine (at the end of their range).
    active : tuple of int
        Constraints that hold with equality, counted over all predictors.
    """

    coef: FloatArray
    slices: tuple[slice, ...]
    cov: FloatArray
    cov_frequentist: FloatArray
    cov_corrected: FloatArray | None
    information: FloatArray
    edf: FloatArray
    dispersion: float
    sp: FloatArray
    score: float
    loglik: float
    linear_predictor: FloatArray
    working_weight: FloatArray
    n_iter: int
    converged: bool
    gradient_norm: float
    message: str
    nullity: int
    n_effective: float
    diverging: tuple[int, ...] = ()
    method: str = "REML"
    shape_names: tuple[str, ...] = ()
    shapes: FloatArray = field(default_factory=lambda: np.zeros(0))
    shape_values: FloatArray = field(default_factory=lambda: np.zeros(0))
    shape_cov: FloatArray = field(default_factory=lambda: np.zeros((0, 0)))
    active: tuple[int, ...] = ()
