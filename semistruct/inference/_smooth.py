"""Tests of smooth terms after Wood (2013)."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from semistruct.inference._mixture import mixture_p_value


class SmoothTest(NamedTuple):
    """Test that a smooth is zero.

    Attributes
    ----------
    statistic : float
        Wald-type statistic T_r; divided by its rank where the dispersion is estimated.
    rank : float
        Reference degrees of freedom r.
    p_value : float
    """

    statistic: float
    rank: float
    p_value: float


def smooth_test(
    coef: ArrayLike,
    cov: ArrayLike,
    information: ArrayLike,
    rank: float,
    df_residual: float | None = None,
) -> SmoothTest:
    """Test that a smooth term is zero everywhere.

    With f = Rβ, R'R = the term's block of X'WX, the statistic is f' V_r⁻ f, V_r⁻ being
    a pseudo-inverse of Cov(f) = R Cov R' of the fractional rank r: the leading
    eigenvectors enter in full, and the last two through a 2 × 2 block such that the
    statistic has mean r. Its reference is a mixture of χ² variables, over χ²/df where
    the dispersion is estimated. The block is determined up to a sign; the p-values of
    both are averaged.

    Parameters
    ----------
    coef : array-like of shape (m,)
        Coefficients of the term.
    cov : array-like of shape (m, m)
        Their Bayesian covariance.
    information : array-like of shape (m, m)
        Their block of X'WX.
    rank : float
        r = tr(2F − FF) over the term.
    df_residual : float, optional
        n − Σ edf where the dispersion is estimated.

    Returns
    -------
    SmoothTest

    References
    ----------
    Wood (2013), Biometrika 100, 221-228, doi:10.1093/biomet/ass048.

    Examples
    --------
    >>> from semistruct.inference import smooth_test
    >>> round(smooth_test([2.0], [[1.0]], [[1.0]], 1.0).p_value, 4)
    0.0455
    """
    beta = np.asarray(coef, dtype=np.float64)
    values, vectors = np.linalg.eigh(np.asarray(information, dtype=np.float64))
    root = vectors * np.sqrt(np.maximum(values, 0.0))
    middle = root.T @ np.asarray(cov, dtype=np.float64) @ root
    spread, axes = np.linalg.eigh(0.5 * (middle + middle.T))
    spread, axes = spread[::-1], axes[:, ::-1]
    usable = int((spread > spread[0] * np.finfo(float).eps ** 0.9).sum())
    size = min(float(rank), float(len(beta)), float(usable))
    if usable == 0 or size <= 0:
        return SmoothTest(0.0, 0.0, 1.0)
    whole = int(np.floor(size + 1e-9))
    part = max(size - whole, 0.0)
    if part < 1e-9 or whole == 0:  # below one degree of freedom: one direction
        whole, part = max(whole, 1), 0.0
    z = (axes.T @ (root.T @ beta))[: whole + 1] / np.sqrt(spread[: whole + 1])
    if part == 0.0:
        statistics = [float((z[:whole] ** 2).sum())]
        weights = np.ones(whole)
    else:
        head = float((z[: whole - 1] ** 2).sum())
        pair = z[whole - 1 :]
        cross = np.sqrt(0.5 * part * (1.0 - part))
        mean = pair[0] ** 2 + part * pair[1] ** 2
        twist = 2.0 * cross * pair[0] * pair[1]
        statistics = [head + mean + twist, head + mean - twist]
        # eigenvalues of [[1, c], [c, part]]
        gap = np.sqrt((1.0 - part) ** 2 + 4.0 * cross**2)
        tail = [(1.0 + part + gap) / 2.0, (1.0 + part - gap) / 2.0]
        weights = np.concatenate([np.ones(whole - 1), tail])
    p_values = [mixture_p_value(value, weights, df_residual) for value in statistics]
    statistic = float(np.mean(statistics))
    rank_used = whole + part
    if df_residual is not None:
        statistic /= rank_used
    return SmoothTest(statistic, rank_used, float(np.mean(p_values)))
