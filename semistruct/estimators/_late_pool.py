"""Linear pools of what several members say, and the weights that serve best.

Letters: M members, n rows, d numbers for each row (1, classes or times).
"""

from __future__ import annotations

import warnings
from collections.abc import Callable

import numpy as np
from scipy.optimize import minimize

from semistruct.exceptions import ConvergenceWarning

__all__ = ["Loss", "fill_absent", "pool", "row_weights", "simplex_weights"]

Loss = Callable[[np.ndarray], tuple[float, np.ndarray]]
"""Of pooled numbers (n, d): a value, and its derivative (n, d)."""

_TINY = 1e-12


def row_weights(present: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Share the weights of each row among the members that are present in it.

    Parameters
    ----------
    present : ndarray of bool of shape (M, n)
        Who says something about a row; at least one.
    weight : ndarray of shape (M,)
        Weights >= 0. A row in which only members of weight 0 are present has equal
        weights of these.

    Returns
    -------
    ndarray of shape (M, n)
        Columns add up to 1.

    Examples
    --------
    >>> import numpy as np
    >>> from semistruct.estimators._late_pool import row_weights
    >>> present = np.array([[True, True], [True, False]])
    >>> row_weights(present, np.array([0.25, 0.75]))
    array([[0.25, 1.  ],
           [0.75, 0.  ]])
    """
    share = present * weight[:, None]
    share = np.where(share.sum(axis=0) > _TINY, share, present)
    return share / share.sum(axis=0)


def pool(said: np.ndarray, present: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Give Σ_m w_im said_im over the members present, (n, d) from (M, n, d)."""
    share = row_weights(present, weight)
    return np.einsum("mn,mnd->nd", share, np.where(present[:, :, None], said, 0.0))


def fill_absent(said: np.ndarray, present: np.ndarray) -> np.ndarray:
    """Put for an absent member the mean of those present, (M, n, d)."""
    mean = pool(said, present, np.ones(len(said)))
    return np.where(present[:, :, None], said, mean)


def simplex_weights(said: np.ndarray, present: np.ndarray, loss: Loss) -> np.ndarray:
    """Find weights >= 0 that add up to 1 and make the pool's loss least.

    Sequential quadratic programming from equal weights, with the exact gradient: where
    s_i = Σ_m w_m over the members present, ∂f_i/∂w_m = (said_im − f_i)/s_i.

    Parameters
    ----------
    said : ndarray of shape (M, n, d)
        What members say about rows that they were not fitted to.
    present : ndarray of bool of shape (M, n)
        Where they say something.
    loss : callable
        Loss of pooled numbers, with its derivative.

    Returns
    -------
    ndarray of shape (M,)
    """
    members = len(said)
    start = np.full(members, 1.0 / members)
    if members == 1:
        return start
    known = np.where(present[:, :, None], said, 0.0)
    unit = max(abs(loss(pool(said, present, start))[0]), _TINY)

    def objective(weight: np.ndarray) -> tuple[float, np.ndarray]:
        pooled = pool(said, present, weight)
        value, slope = loss(pooled)
        total = weight @ present
        free = total > _TINY
        gap = np.einsum("mnd,nd->mn", known, slope) - np.sum(pooled * slope, axis=1)
        gap = np.where(present & free, gap, 0.0) / np.where(free, total, 1.0)
        return value / unit, gap.sum(axis=1) / unit

    found = minimize(
        objective,
        start,
        jac=True,
        method="SLSQP",
        bounds=[(0.0, 1.0)] * members,
        constraints={
            "type": "eq",
            "fun": lambda w: w.sum() - 1.0,
            "jac": lambda w: np.ones(members),
        },
        options={"maxiter": 500, "ftol": 1e-10},
    )
    weight = np.clip(found.x, 0.0, None)
    weight /= weight.sum()
    weight[weight < 1e-8] = 0.0
    weight /= weight.sum()
    if not found.success or objective(weight)[0] > objective(start)[0]:
        warnings.warn(
            f"LateFusion: the search for weights did not converge ({found.message}); "
            "the weights are those where it stopped, or equal if these are better.",
            ConvergenceWarning,
            stacklevel=4,
        )
        if objective(weight)[0] > objective(start)[0]:
            return start
    return weight
