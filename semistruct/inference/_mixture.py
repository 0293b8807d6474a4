"""Tail probabilities of weighted sums of χ² variables."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import optimize

_POINTS = 600
_REACH = 14.0  # sinh of it is the end of the contour, in saddle-point units


def chi2_mixture_tail(
    x: float, weights: ArrayLike, df: ArrayLike | None = None
) -> float:
    """P(Σ_j a_j χ²_{f_j} > x) for independent χ² variables.

    The inversion integral (1/2πi) ∫ M(s) e^(−sx) / s ds of the moment generating
    function M(s) = Π (1 − 2a_j s)^(−f_j/2) is taken over a contour through its saddle
    point on the positive real axis, so that small probabilities keep their relative
    accuracy (the same integral as that of Imhof 1961,
    doi:10.1093/biomet/48.3-4.419, on a better path).

    Parameters
    ----------
    x : float
        Must be 0 where negative weights are present (move x into a weight).
    weights : array-like of shape (m,)
        a_j, at least one positive.
    df : array-like of shape (m,), optional
        Degrees of freedom f_j > 0, 1 when not given.

    Returns
    -------
    float
        In [0, 1].

    Examples
    --------
    >>> from semistruct.inference import chi2_mixture_tail
    >>> round(chi2_mixture_tail(3.841459, [1.0]), 6)
    0.05
    """
    a = np.asarray(weights, dtype=np.float64)
    f = np.ones_like(a) if df is None else np.asarray(df, dtype=np.float64)
    a, f = a[a != 0], f[a != 0]
    if not (a > 0).any():
        return 0.0 if x >= 0 or not len(a) else 1.0
    if (a > 0).all() and x <= 0:
        return 1.0
    end = 0.5 / a.max()  # the generating function ends here

    def slope(s: float) -> float:
        return float((f * a / (1.0 - 2.0 * a * s)).sum()) - x - 1.0 / s

    low, high = 1e-12 * end, (1.0 - 1e-12) * end
    if slope(high) <= 0:
        saddle = high
    else:
        saddle = optimize.brentq(slope, low, high, xtol=1e-14 * end, rtol=1e-12)
    bend = (2.0 * f * a**2 / (1.0 - 2.0 * a * saddle) ** 2).sum() + 1.0 / saddle**2
    unit = 1.0 / np.sqrt(bend)
    t = np.linspace(0.0, _REACH, _POINTS)
    u = unit * np.sinh(t)
    turn = 0.25 / unit  # bend to the right, where the integrand dies out
    s = saddle + turn * u**2 + 1j * u
    rise = (2.0 * turn * u + 1j) * unit * np.cosh(t)  # ds/dt
    with np.errstate(under="ignore", over="ignore"):
        exponent = -0.5 * (f[:, None] * np.log(1.0 - 2.0 * a[:, None] * s)).sum(axis=0)
        values = (np.exp(exponent - s * x) / s * rise).imag
    values[0] *= 0.5
    tail = float(values.sum()) * (t[1] - t[0]) / np.pi
    return float(min(max(tail, 0.0), 1.0))


def mixture_p_value(
    statistic: float, weights: NDArray[np.float64], df_residual: float | None
) -> float:
    """P(Σ a χ²₁ > t), or P(Σ a χ²₁ > t χ²_ν/ν) where the dispersion is estimated."""
    if df_residual is None:
        return chi2_mixture_tail(statistic, weights)
    both = np.append(weights, -statistic / df_residual)
    return chi2_mixture_tail(0.0, both, np.append(np.ones(len(weights)), df_residual))
