"""Rubin's rules: one inference from several imputed data sets."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from semistruct.exceptions import DataError

FloatArray = NDArray[np.float64]


class PooledEstimate(NamedTuple):
    """Estimates pooled over imputations.

    Attributes
    ----------
    coef : ndarray of shape (p,)
        Mean of the estimates.
    cov : ndarray of shape (p, p)
        Total covariance, within + (1 + 1/m) between.
    within : ndarray of shape (p, p)
        Mean of the covariances.
    between : ndarray of shape (p, p)
        Covariance of the estimates over the imputations.
    df : ndarray of shape (p,)
        Degrees of freedom of t, infinite where the imputations agree.
    missing_information : ndarray of shape (p,)
        Fraction of the information that is missing, in [0, 1].
    """

    coef: FloatArray
    cov: FloatArray
    within: FloatArray
    between: FloatArray
    df: FloatArray
    missing_information: FloatArray


def pool_estimates(
    coefs: ArrayLike, covs: ArrayLike, df_complete: float | None = None
) -> PooledEstimate:
    """Pool the fits of m imputed data sets.

    With W the mean covariance, B the covariance of the estimates over the imputations
    and T = W + (1 + 1/m) B (Rubin 1987, doi:10.1002/9780470316696), let
    r = (1 + 1/m) B / W and λ = (1 + 1/m) B / T for each coefficient. Then
    ν_m = (m − 1) / λ², and with ν_c the degrees of freedom of complete data
    ν = (1/ν_m + 1/ν_o)⁻¹, ν_o = (ν_c + 1)/(ν_c + 3) ν_c (1 − λ) (Barnard and Rubin
    1999, doi:10.1093/biomet/86.4.948); the fraction of missing information is
    [r + 2/(ν + 3)] / (r + 1).

    Parameters
    ----------
    coefs : array-like of shape (m, p)
        Estimates, m ≥ 2.
    covs : array-like of shape (m, p, p)
        Their covariances.
    df_complete : float, optional
        ν_c, for instance n − p of a gaussian model; infinite when not given.

    Returns
    -------
    PooledEstimate
        ``coefficient_table(names, pooled.coef, pooled.cov, pooled.df)`` is its table.

    Examples
    --------
    >>> import numpy as np
    >>> from semistruct.inference import pool_estimates
    >>> pooled = pool_estimates([[1.0], [3.0]], np.ones((2, 1, 1)))
    >>> pooled.coef, pooled.cov
    (array([2.]), array([[4.]]))
    """
    beta = np.asarray(coefs, dtype=np.float64)
    each = np.asarray(covs, dtype=np.float64)
    if beta.ndim != 2 or each.shape != (*beta.shape, beta.shape[-1]):
        raise DataError(
            "pool_estimates: coefs must have shape (m, p) and covs (m, p, p), got "
            f"{beta.shape} and {each.shape}."
        )
    m = len(beta)
    if m < 2:
        raise DataError("pool_estimates: at least two imputations are needed, got 1.")
    coef = beta.mean(axis=0)
    within = each.mean(axis=0)
    between = (beta - coef).T @ (beta - coef) / (m - 1.0)
    extra = (1.0 + 1.0 / m) * between
    cov = within + extra
    with np.errstate(divide="ignore", invalid="ignore"):
        share = np.nan_to_num(np.diag(extra) / np.diag(cov))  # λ
        increase = np.nan_to_num(np.diag(extra) / np.diag(within))  # r
        df = (m - 1.0) / share**2
        if df_complete is not None and np.isfinite(df_complete):
            observed = (df_complete + 1.0) / (df_complete + 3.0) * df_complete
            df = 1.0 / (1.0 / df + 1.0 / (observed * (1.0 - share)))
        missing = (increase + 2.0 / (df + 3.0)) / (increase + 1.0)
    return PooledEstimate(coef, cov, within, between, df, missing)
