"""Curves of discrete-time models between the cuts.

Letters: n rows, J intervals with ends c_1 … c_J, C causes, t times asked for.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from semistruct._core.validation import check_choice
from semistruct.exceptions import DataError

FloatArray = NDArray[np.float64]

WITHIN = ("constant_density", "constant_hazard")


def interpolate_survival(
    cuts: ArrayLike,
    survival: ArrayLike,
    times: ArrayLike,
    how: str = "constant_density",
) -> FloatArray:
    """Evaluate survival functions that are known at the cuts at any times.

    Parameters
    ----------
    cuts : array-like of shape (J,)
        Ends of the intervals; the first begins at 0, where survival is 1.
    survival : array-like of shape (n, J)
        S(c_j), in [0, 1], not increasing.
    times : array-like of shape (t,) or (n, t)
        Times ≥ 0, the same for all rows or each row's own.
    how : {"constant_density", "constant_hazard"}, default "constant_density"
        Within an interval S is linear in time ("constant_density"), or log S is
        ("constant_hazard").

    Returns
    -------
    ndarray of shape (n, t)
        Past the last cut the value there, as a step function has it: the model says
        no more.

    Raises
    ------
    DataError
        If shapes do not fit, or a time is negative or not finite.

    References
    ----------
    Kvamme and Borgan (2021), section 5; doi:10.1007/s10985-021-09532-6.

    Examples
    --------
    >>> from semistruct.families import interpolate_survival
    >>> interpolate_survival([1.0, 2.0], [[0.8, 0.2]], [0.5, 1.5, 9.0]).tolist()
    [[0.9, 0.5, 0.2]]
    >>> interpolate_survival([1.0, 2.0], [[0.8, 0.2]], [1.5], "constant_hazard")
    array([[0.4]])
    """
    owner = "interpolate_survival"
    check_choice(how, WITHIN, parameter="how", owner=owner)
    ends = np.asarray(cuts, dtype=np.float64)
    curve = _checked_curve(survival, 2, ends, owner)
    return _evaluated(ends, curve, _checked_times(times, len(curve), owner), how)


def conditional_survival(
    cuts: ArrayLike,
    survival: ArrayLike,
    times: ArrayLike,
    given: ArrayLike,
    how: str = "constant_density",
) -> FloatArray:
    """Evaluate P(T > t | T > g) = S(t) / S(g) for rows that are known alive at g.

    Parameters
    ----------
    cuts, survival, times, how
        See :func:`interpolate_survival`.
    given : float or array-like of shape (n,)
        Times g ≥ 0 up to which the rows have survived.

    Returns
    -------
    ndarray of shape (n, t)
        1 where t ≤ g.

    Raises
    ------
    DataError
        As :func:`interpolate_survival`; also where S(g) = 0, with the row.

    Examples
    --------
    >>> from semistruct.families import conditional_survival
    >>> conditional_survival([1.0, 2.0], [[0.8, 0.2]], [0.5, 2.0], given=1.0).tolist()
    [[1.0, 0.25]]
    """
    owner = "conditional_survival"
    check_choice(how, WITHIN, parameter="how", owner=owner)
    ends = np.asarray(cuts, dtype=np.float64)
    curve = _checked_curve(survival, 2, ends, owner)
    asked = _checked_times(times, len(curve), owner)
    start = np.asarray(given, dtype=np.float64)
    if start.ndim and start.shape != (len(curve),):
        raise DataError(
            f"{owner}: given has shape {start.shape}, need a number or ({len(curve)},)."
        )
    begin = np.broadcast_to(start, (len(curve),))[:, None]  # (n, 1)
    alive = _evaluated(ends, curve, _checked_times(begin, len(curve), owner), how)
    gone = np.flatnonzero(alive[:, 0] == 0)
    if gone.size:
        raise DataError(
            f"{owner}: row {gone[0]} has survival 0 at its given time "
            f"{begin[gone[0], 0]:g}: nothing can be said of what follows. Give an "
            "earlier time."
        )
    return _evaluated(ends, curve, np.maximum(asked, begin), how) / alive


def interpolate_incidence(
    cuts: ArrayLike, incidence: ArrayLike, times: ArrayLike
) -> FloatArray:
    """Evaluate cumulative incidences that are known at the cuts at any times.

    Linear within an interval (constant density), from 0 at time 0.

    Parameters
    ----------
    cuts : array-like of shape (J,)
    incidence : array-like of shape (C, n, J)
        F_c(c_j), not decreasing.
    times : array-like of shape (t,) or (n, t)
        Times ≥ 0.

    Returns
    -------
    ndarray of shape (C, n, t)
        Past the last cut the value there.

    Raises
    ------
    DataError
        As :func:`interpolate_survival`.

    Examples
    --------
    >>> from semistruct.families import interpolate_incidence
    >>> interpolate_incidence([1.0, 2.0], [[[0.2, 0.6]]], [0.5, 1.5]).tolist()
    [[[0.1, 0.4]]]
    """
    owner = "interpolate_incidence"
    ends = np.asarray(cuts, dtype=np.float64)
    curves = _checked_curve(incidence, 3, ends, owner)
    asked = _checked_times(times, curves.shape[1], owner)
    parts = [_evaluated(ends, each, asked, WITHIN[0], start=0.0) for each in curves]
    return np.stack(parts)


def _evaluated(
    ends: FloatArray,
    curve: FloatArray,
    times: FloatArray,
    how: str,
    start: float = 1.0,
) -> FloatArray:
    """Values (n, t) of curves (n, J) that have the value ``start`` at time 0."""
    at = np.minimum(np.searchsorted(ends, times, side="left"), len(ends) - 1)
    starts = np.r_[0.0, ends[:-1]]
    # the share of its interval that a time has seen, (t,) or (n, t)
    share = np.minimum((times - starts[at]) / (ends - starts)[at], 1.0)
    before = np.hstack([np.full((len(curve), 1), start), curve[:, :-1]])
    if times.ndim == 1:
        left, right = before[:, at], curve[:, at]
    else:
        left = np.take_along_axis(before, at, axis=1)
        right = np.take_along_axis(curve, at, axis=1)
    found: FloatArray
    if how == "constant_density":
        found = (1.0 - share) * left + share * right
    else:
        found = left ** (1.0 - share) * right**share
    return found


def _checked_curve(
    values: ArrayLike, ndim: int, ends: FloatArray, owner: str
) -> FloatArray:
    curve = np.asarray(values, dtype=np.float64)
    if ends.ndim != 1 or curve.ndim != ndim or curve.shape[-1:] != ends.shape:
        letters = "(n, J)" if ndim == 2 else "(C, n, J)"
        raise DataError(
            f"{owner}: cuts of shape {ends.shape} and values of shape {curve.shape} do "
            f"not fit; they are (J,) and {letters}."
        )
    return curve


def _checked_times(times: ArrayLike, n: int, owner: str) -> FloatArray:
    asked = np.asarray(times, dtype=np.float64)
    if asked.ndim not in (1, 2) or (asked.ndim == 2 and len(asked) != n):
        raise DataError(
            f"{owner}: times have shape {asked.shape}, need (t,) or ({n}, t)."
        )
    bad = ~(np.isfinite(asked) & (asked >= 0))
    if bad.any():
        place = np.argwhere(bad)[0]
        raise DataError(
            f"{owner}: times must be finite and at least 0; number {place[-1]} is "
            f"{asked[tuple(place)]:g}."
        )
    return asked
