"""Bands that hold at all points at once."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from semistruct._core.validation import check_number
from semistruct.inference._linear import linear_combination

FloatArray = NDArray[np.float64]

_CHUNK = 2_000_000  # numbers held at once


class SimultaneousBand(NamedTuple):
    """Fitted curve with limits for the whole of it, each of shape (m,).

    ``critical_value`` is the number of standard errors on each side, where a pointwise
    band has 1.96 at the 0.95 level.
    """

    estimate: FloatArray
    std_error: FloatArray
    lower: FloatArray
    upper: FloatArray
    critical_value: float


def max_abs_draws(
    matrix: FloatArray,
    cov: FloatArray,
    n_draws: int,
    seed: int,
    df_residual: float | None,
) -> FloatArray:
    """Draws of max_i |b_i'(β̃ − β)| / se_i, or of its t analogue, of shape (n_draws,).

    Rows with a standard error of 0 do not take part.
    """
    values, vectors = np.linalg.eigh(cov)
    kept = values > 1e-14 * max(float(values.max(initial=0.0)), 1e-300)
    root = matrix @ (vectors[:, kept] * np.sqrt(values[kept]))  # (m, r)
    error = np.sqrt((root**2).sum(axis=1))
    some = error > 1e-12 * max(float(error.max(initial=0.0)), 1e-300)
    root = root[some] / error[some, None]
    draws = np.zeros(n_draws)
    if not len(root):
        return draws
    if len(root) < root.shape[1]:  # fewer points than coefficients: draw the points
        root = np.asarray(np.linalg.qr(root.T, mode="r")).T
    generator = np.random.default_rng(seed)
    step = max(1, _CHUNK // max(root.shape))
    for start in range(0, n_draws, step):
        part = draws[start : start + step]
        z = generator.standard_normal((root.shape[1], len(part)))
        part[:] = np.abs(root @ z).max(axis=0)
    if df_residual is not None:
        draws /= np.sqrt(generator.chisquare(df_residual, n_draws) / df_residual)
    return draws


def simultaneous_band(
    matrix: ArrayLike,
    coef: ArrayLike,
    cov: ArrayLike,
    level: float = 0.95,
    n_draws: int = 10_000,
    seed: int = 0,
    df_residual: float | None = None,
) -> SimultaneousBand:
    """Fitted values of rows of a design matrix with limits that hold at all rows.

    The critical value is the ``level`` quantile of max_i |b_i'(β̃ − β)| / se_i over
    draws β̃ − β ~ N(0, cov), b_i being the rows (Ruppert, Wand and Carroll 2003,
    section 6.5, doi:10.1017/CBO9780511755453). Its Monte Carlo error at 10,000 draws is
    about 1 % of it.

    Parameters
    ----------
    matrix : array-like of shape (m, p)
        A row for each point; for a band of one term, the other columns are 0.
    coef : array-like of shape (p,)
    cov : array-like of shape (p, p)
    level : float in (0, 1), default 0.95
        Probability that the whole curve is inside.
    n_draws : int >= 100, default 10_000
    seed : int >= 0, default 0
        The same seed gives the same band.
    df_residual : float, optional
        Degrees of freedom of an estimated dispersion: draws of a multivariate t.

    Returns
    -------
    SimultaneousBand

    Examples
    --------
    >>> import numpy as np
    >>> from semistruct.inference import simultaneous_band
    >>> band = simultaneous_band(np.eye(5), np.zeros(5), np.eye(5), n_draws=100_000)
    >>> round(band.critical_value, 1)  # the quantile of the largest of five
    2.6
    """
    owner = "simultaneous_band"
    check_number(
        level, parameter="level", owner=owner, low=0.0, high=1.0, closed="neither"
    )
    check_number(n_draws, parameter="n_draws", owner=owner, low=100, integer=True)
    rows = np.atleast_2d(np.asarray(matrix, dtype=np.float64))
    covariance = np.asarray(cov, dtype=np.float64)
    estimate, error = linear_combination(rows, coef, covariance)
    draws = max_abs_draws(rows, covariance, n_draws, seed, df_residual)
    critical = float(np.quantile(draws, level))
    half = critical * error
    return SimultaneousBand(estimate, error, estimate - half, estimate + half, critical)
