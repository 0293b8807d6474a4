"""Test that the variance of a random effect is zero."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from semistruct.inference._mixture import mixture_p_value
from semistruct.inference._smooth import SmoothTest

FloatArray = NDArray[np.float64]

_SMALL = float(np.finfo(float).eps ** 0.8)


def random_effect_test(
    coef: ArrayLike,
    cov: ArrayLike,
    information: ArrayLike,
    span: slice,
    others: Sequence[slice] = (),
    dispersion: float = 1.0,
    df_residual: float | None = None,
) -> SmoothTest:
    """Test that a fully penalised term, a random effect b, has variance zero.

    The statistic T = b̂' V_b⁻¹ b̂, V_b being the Bayesian covariance of b̂, is twice the
    drop of the penalised log-likelihood when b is taken out with all variances held.
    Under b = 0 the estimator is normal with covariance
    C = (V/φ) (G + Σ_r G_r S_r⁻ G_r') V, V = Cov(β) = φ (G + S)⁻¹ and G = X'WX, the sum
    running over the *other* random effects r, which stay random (φ S_r⁻ is their
    covariance, G_r their columns of G). So T is a mixture of χ²₁ variables with the
    eigenvalues of V_b^(−1/2) C_b V_b^(−1/2) for weights, over χ²_ν / ν where the
    dispersion is estimated. No variance is at an edge in this argument, unlike in a
    likelihood-ratio test of the variance itself.

    Parameters
    ----------
    coef : array-like of shape (p,)
        All coefficients.
    cov : array-like of shape (p, p)
        Their Bayesian covariance V.
    information : array-like of shape (p, p)
        X'WX, free of φ.
    span : slice
        Where b stands.
    others : sequence of slice, default=()
        Where the other random effects stand.
    dispersion : float > 0, default 1.0
        φ.
    df_residual : float, optional
        n − Σ edf where the dispersion is estimated.

    Returns
    -------
    SmoothTest
        ``rank`` is the number of weights that are not zero; the statistic is T, divided
        by the rank where the dispersion is estimated.

    References
    ----------
    Wood (2013), A simple test for random effects in regression models, Biometrika 100,
    1005-1010, doi:10.1093/biomet/ast038.

    Examples
    --------
    One group mean of size 2 with standard error 1, shrunken by a half:

    >>> from semistruct.inference import random_effect_test
    >>> found = random_effect_test([1.0], [[0.5]], [[1.0]], slice(0, 1))
    >>> round(found.p_value, 4)
    0.0455
    """
    beta = np.asarray(coef, dtype=np.float64)[span]
    v = np.asarray(cov, dtype=np.float64)
    g = np.asarray(information, dtype=np.float64)
    spread = g.copy()
    if others:
        unit = 1.0 / np.sqrt(np.diag(v))
        scale = np.outer(unit, unit)
        penalty = dispersion * np.linalg.pinv(v * scale, hermitian=True) * scale - g
        for other in others:
            spread += g[:, other] @ _variance(penalty[other, other]) @ g[other, :]
    null = v[span] @ spread @ v[:, span] / dispersion
    values, vectors = np.linalg.eigh(v[span, span])
    kept = values > _SMALL * max(float(values.max(initial=0.0)), 1e-300)
    root = vectors[:, kept] / np.sqrt(values[kept])  # V_b⁻ = root root'
    statistic = float(((root.T @ beta) ** 2).sum())
    weights = np.linalg.eigvalsh(root.T @ null @ root)
    weights = weights[weights > _SMALL * max(float(weights.max(initial=0.0)), 1e-300)]
    rank = len(weights)
    if rank == 0:
        return SmoothTest(0.0, 0.0, 1.0)
    p_value = mixture_p_value(statistic, weights, df_residual)
    if df_residual is not None:
        statistic /= rank
    return SmoothTest(statistic, float(rank), p_value)


def _variance(penalty: FloatArray) -> FloatArray:
    """Pseudo-inverse of a penalty."""
    middle = 0.5 * (penalty + penalty.T)
    return np.asarray(np.linalg.pinv(middle, rcond=_SMALL, hermitian=True))
