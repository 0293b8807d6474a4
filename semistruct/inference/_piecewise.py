"""Curves of hazards that are constant in intervals: exact at any time.

Letters: n rows, J intervals (s_j, κ_j], T times, C causes, p coefficients.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from semistruct.design import DesignOperator
from semistruct.exceptions import DataError

__all__ = [
    "piecewise_cumulative_hazard",
    "piecewise_cumulative_hazard_error",
    "piecewise_cumulative_incidence",
    "piecewise_survival",
]

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

CELLS = 1 << 20  # numbers of a chunk of rows of the design


def piecewise_cumulative_hazard(
    hazard: ArrayLike, starts: ArrayLike, cuts: ArrayLike, times: ArrayLike
) -> FloatArray:
    """Cumulative hazard Λ(t) = Σ_j h_j (min(t, κ_j) − s_j)₊.

    Parameters
    ----------
    hazard : array-like of shape (n, J)
        h >= 0, per unit of time.
    starts, cuts : array-like of shape (J,)
        s_j and κ_j, increasing; s_j < κ_j <= s_{j+1}.
    times : array-like of shape (T,)
        Up to the last cut; before the first start Λ is 0.

    Returns
    -------
    ndarray of shape (n, T)

    Raises
    ------
    DataError
        If a time is after the last cut, the intervals overlap, or a hazard is negative
        or not finite.

    References
    ----------
    Friedman (1982), doi:10.1214/aos/1176345693

    Examples
    --------
    >>> from semistruct.inference import piecewise_cumulative_hazard
    >>> hazard = [[0.1, 0.5]]
    >>> piecewise_cumulative_hazard(hazard, [0, 2], [2, 4], [1, 2, 3]).round(3)
    array([[0.1, 0.2, 0.7]])
    """
    owner = "piecewise_cumulative_hazard"
    rates, begins, ends = _checked(hazard, starts, cuts, owner, 2)
    at, inside = _place(begins, ends, times, owner)
    before = _before(rates * (ends - begins))
    return np.asarray(before[:, at] + rates[:, at] * inside)


def piecewise_survival(
    hazard: ArrayLike, starts: ArrayLike, cuts: ArrayLike, times: ArrayLike
) -> FloatArray:
    """Survival function S(t) = exp(−Λ(t)); see `piecewise_cumulative_hazard`.

    Parameters
    ----------
    hazard : array-like of shape (n, J)
        h >= 0; with competing risks their sum.
    starts, cuts : array-like of shape (J,)
        Ends of the intervals.
    times : array-like of shape (T,)
        Up to the last cut.

    Returns
    -------
    ndarray of shape (n, T)
        In (0, 1].

    Examples
    --------
    >>> from semistruct.inference import piecewise_survival
    >>> piecewise_survival([[0.1, 0.5]], [0, 2], [2, 4], [0, 2, 4]).round(3)
    array([[1.   , 0.819, 0.301]])
    """
    return np.exp(-piecewise_cumulative_hazard(hazard, starts, cuts, times))


def piecewise_cumulative_incidence(
    hazards: ArrayLike, starts: ArrayLike, cuts: ArrayLike, times: ArrayLike
) -> FloatArray:
    """Cumulative incidence F_c(t) = ∫₀ᵗ S(u) h_c(u) du of competing causes, exact.

    In an interval F_c grows by S(s_j) (h_jc / h_j·) (1 − exp(−h_j· (t − s_j))), h_j·
    the sum over causes; by 0 where h_j· is 0. Σ_c F_c(t) + S(t) = 1.

    Parameters
    ----------
    hazards : array-like of shape (C, n, J)
        Cause-specific hazards >= 0.
    starts, cuts : array-like of shape (J,)
        Ends of the intervals.
    times : array-like of shape (T,)
        Up to the last cut.

    Returns
    -------
    ndarray of shape (C, n, T)

    Raises
    ------
    DataError
        As `piecewise_cumulative_hazard`.

    References
    ----------
    Kalbfleisch & Prentice (2002), doi:10.1002/9781118032985, 8.2

    Examples
    --------
    >>> from semistruct.inference import piecewise_cumulative_incidence
    >>> hazards = [[[0.1, 0.5]], [[0.3, 0.5]]]
    >>> f = piecewise_cumulative_incidence(hazards, [0, 2], [2, 4], [1, 4])
    >>> f[:, 0].round(3)
    array([[0.082, 0.332],
           [0.247, 0.607]])
    """
    owner = "piecewise_cumulative_incidence"
    rates, begins, ends = _checked(hazards, starts, cuts, owner, 3)
    at, inside = _place(begins, ends, times, owner)
    total = rates.sum(axis=0)  # (n, J)
    width = ends - begins
    reached = np.exp(-_before(total * width)[:, :-1])  # S(s_j)
    share = np.divide(rates, total, out=np.zeros_like(rates), where=total > 0.0)
    grown = _before(share * (reached * -np.expm1(-total * width)))
    part = reached[:, at] * -np.expm1(-total[:, at] * inside)
    return np.asarray(grown[..., at] + share[..., at] * part)


def piecewise_cumulative_hazard_error(
    design: DesignOperator,
    hazard: ArrayLike,
    cov: ArrayLike,
    starts: ArrayLike,
    cuts: ArrayLike,
    times: ArrayLike,
) -> FloatArray:
    """Give the standard error of Λ(t) by the delta method.

    With h_ij = exp(x_ij'β), ∂Λ_i(t)/∂β = Σ_j h_ij (min(t, κ_j) − s_j)₊ x_ij = g and
    se² = g'Vg. Limits are best made on the scale of log Λ: Λ exp(±z se / Λ), and
    exp(−Λ) of them are limits of S.

    Parameters
    ----------
    design : DesignOperator of n · J rows
        x_ij, row by row, such as `PersonPeriodDesign` on `PersonPeriod.grid`; read by
        chunks.
    hazard : array-like of shape (n, J)
        h.
    cov : array-like of shape (p, p)
        V, for instance ``ExactFit.cov``.
    starts, cuts : array-like of shape (J,)
        Ends of the intervals.
    times : array-like of shape (T,)
        Up to the last cut.

    Returns
    -------
    ndarray of shape (n, T)

    Examples
    --------
    >>> import numpy as np
    >>> from semistruct.design import DenseDesign
    >>> from semistruct.inference import piecewise_cumulative_hazard_error
    >>> design = DenseDesign(np.ones((2, 1)))
    >>> piecewise_cumulative_hazard_error(
    ...     design, [[0.1, 0.1]], [[0.04]], [0, 1], [1, 2], [0.5, 2.0]
    ... ).round(3)
    array([[0.01, 0.04]])
    """
    owner = "piecewise_cumulative_hazard_error"
    rates, begins, ends = _checked(hazard, starts, cuts, owner, 2)
    at, inside = _place(begins, ends, times, owner)
    middle = np.asarray(cov, dtype=np.float64)
    n, size = rates.shape
    p = design.shape[1]
    if design.shape[0] != n * size or middle.shape != (p, p):
        raise DataError(
            f"{owner}: {n} rows and {size} intervals need a design of {n * size} rows "
            f"and a covariance of its columns; they have the shapes {design.shape} and "
            f"{middle.shape}."
        )
    result = np.empty((n, len(at)))
    step = max(1, CELLS // (max(size, len(at)) * p))
    for start in range(0, n, step):
        rows = slice(start, min(start + step, n))
        x = design.rows(slice(rows.start * size, rows.stop * size))
        slope = x.reshape(-1, size, p) * rates[rows, :, None]  # (m, J, p)
        whole = np.cumsum(slope * (ends - begins)[:, None], axis=1)
        gradient = slope[:, at] * inside[:, None]  # (m, T, p)
        later = at > 0
        gradient[:, later] += whole[:, at[later] - 1]
        square = np.einsum("mtp,mtp->mt", gradient @ middle, gradient)
        result[rows] = np.sqrt(np.maximum(square, 0.0))
    return result


def _checked(
    hazard: ArrayLike, starts: ArrayLike, cuts: ArrayLike, owner: str, axes: int
) -> tuple[FloatArray, FloatArray, FloatArray]:
    rates = np.asarray(hazard, dtype=np.float64)
    begins = np.asarray(starts, dtype=np.float64)
    ends = np.asarray(cuts, dtype=np.float64)
    if rates.ndim != axes or begins.shape != ends.shape or begins.ndim != 1:
        need = "(n, J)" if axes == 2 else "(C, n, J)"
        raise DataError(
            f"{owner}: the hazard must have shape {need}, starts and cuts (J,); got "
            f"{rates.shape}, {begins.shape} and {ends.shape}."
        )
    if rates.shape[-1] != len(ends) or not len(ends):
        raise DataError(
            f"{owner}: the hazard has {rates.shape[-1]} intervals and the cuts "
            f"{len(ends)}: they must agree, and be one or more."
        )
    if not ((begins < ends).all() and (ends[:-1] <= begins[1:]).all()):
        raise DataError(
            f"{owner}: intervals must be in order, without overlap, and end after "
            "their start."
        )
    bad = np.argwhere(~(np.isfinite(rates) & (rates >= 0.0)))
    if len(bad):
        place = tuple(int(v) for v in bad[0])
        raise DataError(
            f"{owner}: hazards must be finite and at least 0; at {place} stands "
            f"{rates[place]}."
        )
    return rates, begins, ends


def _place(
    begins: FloatArray, ends: FloatArray, times: ArrayLike, owner: str
) -> tuple[IntArray, FloatArray]:
    """Give the interval of each time, and how far it is inside of it."""
    asked = np.atleast_1d(np.asarray(times, dtype=np.float64))
    if asked.ndim != 1 or np.isnan(asked).any():
        raise DataError(f"{owner}: times must be numbers of shape (T,).")
    late = np.flatnonzero(asked > ends[-1])
    if len(late):
        raise DataError(
            f"{owner}: the time {asked[late[0]]:g} is after the last cut, "
            f"{ends[-1]:g}; nothing is known of the hazard there. Ask for earlier "
            "times, or fit with later cuts."
        )
    at = np.searchsorted(ends, asked, side="left")
    return at, np.maximum(asked - begins[at], 0.0)


def _before(growth: FloatArray) -> FloatArray:
    """Give what has come together at each start, and at the end, (…, J + 1)."""
    total = np.zeros((*growth.shape[:-1], growth.shape[-1] + 1))
    np.cumsum(growth, axis=-1, out=total[..., 1:])
    return total
