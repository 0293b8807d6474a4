"""Tests and intervals of linear functions of the coefficients."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from semistruct._core.validation import check_number

FloatArray = NDArray[np.float64]


class LinearCombination(NamedTuple):
    """Estimate and standard error of L β, each of shape (m,)."""

    estimate: FloatArray
    std_error: FloatArray


class WaldTest(NamedTuple):
    """Wald statistic (χ², or F when ``df_residual`` was given), its df and p-value."""

    statistic: float
    df: int
    p_value: float


class Band(NamedTuple):
    """Fitted curve with pointwise limits, each of shape (m,)."""

    estimate: FloatArray
    std_error: FloatArray
    lower: FloatArray
    upper: FloatArray


def critical_value(
    level: float, df_residual: ArrayLike | None, owner: str
) -> FloatArray:
    """Two-sided quantile of the normal, or of t when df are given; shape of the df."""
    check_number(
        level, parameter="level", owner=owner, low=0.0, high=1.0, closed="neither"
    )
    upper = 0.5 + level / 2.0
    if df_residual is None:
        return np.asarray(stats.norm.ppf(upper))
    return np.asarray(stats.t.ppf(upper, np.asarray(df_residual, dtype=np.float64)))


def coefficient_table(
    names: Sequence[object],
    coef: ArrayLike,
    cov: ArrayLike,
    df_residual: ArrayLike | None = None,
    level: float = 0.95,
) -> pd.DataFrame:
    """Estimates with standard errors, tests of zero and confidence intervals.

    Parameters
    ----------
    names : sequence of length p
        Row labels.
    coef : array-like of shape (p,)
    cov : array-like of shape (p, p)
        Covariance of ``coef``.
    df_residual : float or array-like of shape (p,), optional
        Degrees of freedom of an estimated dispersion, or of each coefficient after
        multiple imputation: t is used. Without it, z.
    level : float in (0, 1), default 0.95
        Coverage of the intervals.

    Returns
    -------
    DataFrame
        Columns "coef", "std err", "z" or "t", "P>|z|" or "P>|t|", and the two limits,
        named "[0.025" and "0.975]" at the 0.95 level. A coefficient with a standard
        error of 0 has an infinite statistic, and none (NaN) when it is 0 itself.

    Examples
    --------
    >>> from semistruct.inference import coefficient_table
    >>> coefficient_table(["x"], [1.0], [[0.25]]).round(3)
       coef  std err    z  P>|z|  [0.025  0.975]
    x   1.0      0.5  2.0  0.046    0.02    1.98
    """
    estimate = np.asarray(coef, dtype=np.float64)
    error = np.sqrt(np.maximum(np.diag(np.asarray(cov, dtype=np.float64)), 0.0))
    half = critical_value(level, df_residual, "coefficient_table") * error
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = estimate / error
    symbol = "z" if df_residual is None else "t"
    if df_residual is None:
        p_value = 2.0 * stats.norm.sf(np.abs(ratio))
    else:
        p_value = 2.0 * stats.t.sf(np.abs(ratio), df_residual)
    tail = (1.0 - level) / 2.0
    return pd.DataFrame(
        {
            "coef": estimate,
            "std err": error,
            symbol: ratio,
            f"P>|{symbol}|": p_value,
            f"[{tail:.4g}": estimate - half,
            f"{1.0 - tail:.4g}]": estimate + half,
        },
        index=pd.Index(list(names), tupleize_cols=False),
    )


def linear_combination(
    combination: ArrayLike, coef: ArrayLike, cov: ArrayLike
) -> LinearCombination:
    """Estimate L β with its standard error √diag(L Cov L').

    Parameters
    ----------
    combination : array-like of shape (p,) or (m, p)
        L.
    coef : array-like of shape (p,)
    cov : array-like of shape (p, p)

    Returns
    -------
    LinearCombination

    Examples
    --------
    >>> from semistruct.inference import linear_combination
    >>> estimate, error = linear_combination([1, -1], [3.0, 1.0], [[4, 0], [0, 5]])
    >>> estimate.item(), error.item()
    (2.0, 3.0)
    """
    rows = np.atleast_2d(np.asarray(combination, dtype=np.float64))
    covariance = np.asarray(cov, dtype=np.float64)
    variance = np.einsum("ij,ij->i", rows @ covariance, rows)
    estimate = rows @ np.asarray(coef, dtype=np.float64)
    return LinearCombination(estimate, np.sqrt(np.maximum(variance, 0.0)))


def wald_test(
    coef: ArrayLike,
    cov: ArrayLike,
    combination: ArrayLike | None = None,
    df_residual: float | None = None,
) -> WaldTest:
    """Test L β = 0 jointly by (Lβ)' (L Cov L')⁻ Lβ.

    Parameters
    ----------
    coef : array-like of shape (p,)
    cov : array-like of shape (p, p)
    combination : array-like of shape (p,) or (m, p), optional
        L; the identity when not given. Redundant rows do not count.
    df_residual : float, optional
        Of an estimated dispersion: the statistic is divided by its rank and referred
        to F. Without it, χ².

    Returns
    -------
    WaldTest

    Examples
    --------
    >>> from semistruct.inference import wald_test
    >>> wald_test([2.0, 0.0], [[1.0, 0.0], [0.0, 1.0]]).statistic
    4.0
    """
    beta = np.asarray(coef, dtype=np.float64)
    rows = np.eye(len(beta)) if combination is None else np.atleast_2d(combination)
    rows = np.asarray(rows, dtype=np.float64)
    middle = rows @ np.asarray(cov, dtype=np.float64) @ rows.T
    values, vectors = np.linalg.eigh(middle)
    kept = values > 1e-10 * max(float(values.max(initial=0.0)), 1e-300)
    along = vectors[:, kept].T @ (rows @ beta)
    statistic, rank = float((along**2 / values[kept]).sum()), int(kept.sum())
    if rank == 0:
        return WaldTest(0.0, 0, 1.0)
    if df_residual is None:
        return WaldTest(statistic, rank, float(stats.chi2.sf(statistic, rank)))
    ratio = statistic / rank
    return WaldTest(ratio, rank, float(stats.f.sf(ratio, rank, df_residual)))


def pointwise_band(
    matrix: ArrayLike,
    coef: ArrayLike,
    cov: ArrayLike,
    level: float = 0.95,
    df_residual: float | None = None,
) -> Band:
    """Fitted values of rows of a design matrix with pointwise intervals.

    With the Bayesian covariance Vb of a penalised fit the intervals cover ``level`` on
    average over the points (Marra and Wood 2012,
    doi:10.1111/j.1467-9469.2011.00760.x).

    Parameters
    ----------
    matrix : array-like of shape (m, p)
    coef : array-like of shape (p,)
    cov : array-like of shape (p, p)
    level : float in (0, 1), default 0.95
    df_residual : float, optional
        Use t with these degrees of freedom instead of the normal.

    Returns
    -------
    Band

    Examples
    --------
    >>> from semistruct.inference import pointwise_band
    >>> pointwise_band([[1.0]], [2.0], [[1.0]]).upper.round(2)
    array([3.96])
    """
    estimate, error = linear_combination(matrix, coef, cov)
    half = critical_value(level, df_residual, "pointwise_band") * error
    return Band(estimate, error, estimate - half, estimate + half)
