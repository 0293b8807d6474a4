"""Cox regression on few columns, for calibration curves only."""

from __future__ import annotations

import numpy as np

from semistruct.exceptions import DataError

__all__ = ["small_cox", "spline_basis"]

_KNOTS = {
    3: (0.1, 0.5, 0.9),
    4: (0.05, 0.35, 0.65, 0.95),
    5: (0.05, 0.275, 0.5, 0.725, 0.95),
}


def spline_basis(x: np.ndarray, knots: int) -> np.ndarray:
    """Restricted cubic spline: x, and knots − 2 columns that are linear in the tails.

    Knots lie at Harrell's quantiles; where they are tied only x is left, and nothing
    of a constant.
    """
    if np.ptp(x) <= 1e-12 * max(1.0, np.abs(x).max()):
        return np.empty((len(x), 0))
    k = np.quantile(x, _KNOTS[knots])
    if np.any(np.diff(k) <= 1e-9 * np.ptp(x)):
        return x[:, None]

    def cube(at: float) -> np.ndarray:
        return np.maximum(x - at, 0.0) ** 3

    last, before = k[-1], k[-2]
    columns = [x]
    for at in k[:-2]:
        tail = cube(before) * (last - at) - cube(last) * (before - at)
        columns.append((cube(at) - tail / (last - before)) / (last - k[0]) ** 2)
    return np.column_stack(columns)


def small_cox(
    x: np.ndarray, time: np.ndarray, event: np.ndarray, at: float
) -> tuple[np.ndarray, np.ndarray]:
    """Fit a Cox model with Efron's ties by Newton's method.

    Parameters
    ----------
    x : ndarray of shape (n, p)
        Columns, p small.
    time, event : ndarray of shape (n,)
        Times and events.
    at : float
        A time.

    Returns
    -------
    coef : ndarray of shape (p,)
        Log hazard ratios.
    survival : ndarray of shape (n,)
        Fitted S(at | x) of each row.
    """
    order = np.argsort(time, kind="stable")
    t, d = time[order], event[order]
    spread = x.std(axis=0)
    z = ((x - x.mean(axis=0)) / np.where(spread > 0, spread, 1.0))[order]
    p = z.shape[1]
    start = np.searchsorted(t, t[d], side="left")  # of the risk set of each event
    times, group, tied = np.unique(t[d], return_inverse=True, return_counts=True)
    first = np.r_[0, np.cumsum(tied)[:-1]]
    thin = (np.arange(len(group)) - first[group]) / tied[group]

    def totals(values: np.ndarray) -> np.ndarray:
        """Sum over the risk set of each event, thinned for ties."""
        risk = np.cumsum(values[::-1], axis=0)[::-1][start]
        dead = np.add.reduceat(values[d], first, axis=0)[group]
        return risk - thin.reshape((-1,) + (1,) * (values.ndim - 1)) * dead

    def likelihood(beta: np.ndarray) -> tuple[float, np.ndarray, np.ndarray]:
        eta = z @ beta
        ratio = np.exp(eta - eta.max())
        s0 = totals(ratio)
        return float(eta[d].sum() - np.log(s0).sum() - len(s0) * eta.max()), ratio, s0

    beta = np.zeros(p)
    value, ratio, s0 = likelihood(beta)
    for _ in range(50):
        if p == 0:
            break
        mean = totals(ratio[:, None] * z) / s0[:, None]
        outer = totals(ratio[:, None, None] * z[:, :, None] * z[:, None, :])
        gradient = z[d].sum(axis=0) - mean.sum(axis=0)
        information = (outer / s0[:, None, None]).sum(axis=0) - mean.T @ mean
        step = np.linalg.lstsq(information, gradient, rcond=1e-12)[0]
        while np.max(np.abs(step)) > 1e-9:
            new = likelihood(beta + step)
            if new[0] >= value - 1e-10 * abs(value):
                break
            step = step / 2
        else:
            break
        beta = beta + step
        value, ratio, s0 = new
    else:
        raise DataError("The calibration curve did not converge; use fewer knots.")
    hazard = np.sum((1.0 / s0)[times[group] <= at])
    survival = np.empty(len(t))
    survival[order] = np.exp(-hazard * ratio)
    return beta / np.where(spread > 0, spread, 1.0), survival
