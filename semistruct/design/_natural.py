"""Cubic splines by their values and second derivatives at knots.

Between the knots t_j and t_{j+1} = t_j + h a cubic spline f with the values f_j and the
second derivatives f''_j there is

    f(x) = b/h f_j + a/h f_{j+1} + (b³/h - hb)/6 f''_j + (a³/h - ha)/6 f''_{j+1},

a = x - t_j, b = t_{j+1} - x: four weights for each row. Many splines on the same knots
are one table, whatever the number of knots.

Legend: n rows, m knots, k splines.
"""

from __future__ import annotations

import numpy as np
from scipy import sparse

__all__ = ["combine", "cubic_weights", "quantile_knots"]


def quantile_knots(x: np.ndarray, k: int) -> np.ndarray:
    """Give ``k`` knots at equidistant quantiles of the distinct values of ``x``."""
    knots: np.ndarray = np.quantile(np.unique(x), np.linspace(0.0, 1.0, k))
    return knots


def cubic_weights(x: np.ndarray, knots: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Find the interval of each value and the four weights there.

    Parameters
    ----------
    x : ndarray of shape (n,)
        Values; beyond the outer knots the spline goes on linearly.
    knots : ndarray of shape (m,)
        Increasing, two or more.

    Returns
    -------
    first : ndarray of shape (n,), int
        Index j of the knot at the left of each interval.
    weights : ndarray of shape (n, 4)
        Of f_j, f_{j+1}, f''_j and f''_{j+1}.
    """
    low, high = knots[0], knots[-1]
    inside = np.clip(x, low, high)
    first = np.searchsorted(knots[1:-1], inside, side="right")
    h = np.diff(knots)[first]
    a = inside - knots[first]
    b = knots[first + 1] - inside
    weights = np.empty((len(x), 4))
    weights[:, 0] = b / h
    weights[:, 1] = a / h
    weights[:, 2] = b * (b * b / h - h) / 6.0
    weights[:, 3] = a * (a * a / h - h) / 6.0
    beyond = np.flatnonzero(inside != x)
    if len(beyond):
        step = x[beyond] - inside[beyond]
        h, below = h[beyond], step < 0
        weights[beyond, 0] -= step / h
        weights[beyond, 1] += step / h
        weights[beyond, 2] += step * h * np.where(below, -2.0, 1.0) / 6.0
        weights[beyond, 3] += step * h * np.where(below, -1.0, 2.0) / 6.0
    return first, weights


def combine(
    first: np.ndarray, second: np.ndarray, weights: np.ndarray, table: np.ndarray
) -> np.ndarray:
    """Weigh rows of a table.

    Parameters
    ----------
    first, second : ndarray of shape (n,), int
        Knots at the left and at the right of each value.
    weights : ndarray of shape (n, 4)
        As `cubic_weights` gives them.
    table : ndarray of shape (2m, k)
        Values of the k splines at the knots, below them the second derivatives.

    Returns
    -------
    ndarray of shape (n, k)
    """
    n, m = len(first), len(table) // 2
    at = np.column_stack([first, second, first + m, second + m])  # (n, 4)
    pointers = np.arange(0, 4 * n + 1, 4)
    rows = sparse.csr_matrix(
        (weights.ravel(), at.ravel(), pointers), shape=(n, len(table))
    )
    values: np.ndarray = rows @ table
    return values
