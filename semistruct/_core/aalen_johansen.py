"""Cumulative incidence of a cause from counts at distinct times."""

from __future__ import annotations

import numpy as np

__all__ = ["incidence_of_counts"]

_ROUNDING = 1e-9  # of the sums of weights that the numbers at risk are


def incidence_of_counts(
    at_risk: np.ndarray, every: np.ndarray, own: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Aalen and Johansen's estimate and its variance by the delta method.

    Sums over j ≤ t of (F(t) − F_j)² and F(t) − F_j are expanded in powers of F(t).

    Parameters
    ----------
    at_risk : ndarray of shape (k,)
        Σ w of the rows at risk at each distinct time, increasing.
    every, own : ndarray of shape (k,)
        Σ w of the events of any cause, and of the cause.

    Returns
    -------
    estimate, variance : ndarray of shape (k,)

    Examples
    --------
    >>> import numpy as np
    >>> from semistruct._core.aalen_johansen import incidence_of_counts
    >>> n, every, own = np.array([[4.0, 3.0], [1.0, 1.0], [1.0, 0.0]])
    >>> incidence_of_counts(n, every, own)[0].tolist()
    [0.25, 0.25]
    """
    safe = np.where(at_risk > 0, at_risk, 1.0)
    left = np.where(at_risk - every > _ROUNDING * at_risk, at_risk - every, 0.0)
    survival = np.cumprod(np.where(every > 0, left / safe, 1.0))
    before = np.concatenate([[1.0], survival[:-1]])[: len(survival)]
    f = np.cumsum(before * own / safe)
    # nobody left: F stays as it is, so the term is 0
    a = np.where(left > 0, every / (safe * np.where(left > 0, left, 1.0)), 0.0)
    b = before * own / safe**2
    c = before**2 * own * np.maximum(at_risk - own, 0.0) / safe**3
    total = f**2 * np.cumsum(a) - 2.0 * f * np.cumsum(a * f) + np.cumsum(a * f**2)
    total += np.cumsum(c) - 2.0 * (f * np.cumsum(b) - np.cumsum(b * f))
    return f, np.maximum(total, 0.0)
