"""Kaplan-Meier estimates that the measures need."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

__all__ = ["KaplanMeier", "kaplan_meier", "pseudo_values"]


@dataclass(frozen=True, eq=False)
class KaplanMeier:
    """Survival after each distinct time, with what it is made of.

    ``times``, ``survival``, ``variance`` (Greenwood's sum Σ d / (n (n − d)), of
    log S), ``events`` and ``at_risk`` have the shape (m,).
    """

    times: np.ndarray
    survival: np.ndarray
    variance: np.ndarray
    events: np.ndarray
    at_risk: np.ndarray

    def __call__(self, times: np.ndarray, *, left: bool = False) -> np.ndarray:
        """Evaluate S(t), or S(t−)."""
        at = np.searchsorted(self.times, times, side="left" if left else "right")
        return np.r_[1.0, self.survival][at]

    def interval(self, times: np.ndarray, z: float) -> tuple[np.ndarray, np.ndarray]:
        """Give the log-log interval of S(t)."""
        at = np.searchsorted(self.times, times, side="right")
        survival = np.r_[1.0, self.survival][at]
        se = np.sqrt(np.r_[0.0, self.variance][at])
        with np.errstate(divide="ignore", invalid="ignore"):
            spread = np.exp(z * se / np.log(survival))
            low, high = survival ** (1 / spread), survival**spread
        inside = (survival > 0) & (survival < 1)
        return np.where(inside, low, survival), np.where(inside, high, survival)


def kaplan_meier(
    time: np.ndarray,
    event: np.ndarray,
    weight: np.ndarray | None = None,
    entry: np.ndarray | None = None,
    leaving: np.ndarray | None = None,
) -> KaplanMeier:
    """Estimate a survival function.

    Parameters
    ----------
    time, weight, entry : ndarray of shape (n,)
        Times, case weights, times from which rows are at risk.
    event : ndarray of shape (n,) of bool
        What counts as the event.
    leaving : ndarray of shape (n,) of bool, optional
        Rows that leave just before the events of their time, and are not at risk then.

    Returns
    -------
    KaplanMeier
    """
    weight = np.ones(len(time)) if weight is None else weight
    times, at = np.unique(time, return_inverse=True)
    m = len(times)
    total = np.bincount(at, weight, m)
    events = np.bincount(at, np.where(event, weight, 0.0), m)
    at_risk = np.cumsum(total[::-1])[::-1]
    if leaving is not None:
        at_risk = at_risk - np.bincount(at, np.where(leaving, weight, 0.0), m)
    if entry is not None:  # rows that have not entered before this time
        late = np.bincount(np.searchsorted(times, entry, "right"), weight, m + 1)
        at_risk = at_risk - np.cumsum(late[:0:-1])[::-1]
    seen = events > 0
    share = np.divide(events, at_risk, out=np.zeros(m), where=seen)
    share = np.where(share > 1 - 1e-14, 1.0, share)
    left = at_risk - events
    terms = np.divide(events, at_risk * left, out=np.zeros(m), where=seen & (share < 1))
    return KaplanMeier(times, np.cumprod(1 - share), np.cumsum(terms), events, at_risk)


def pseudo_values(time: np.ndarray, event: np.ndarray, at: float) -> np.ndarray:
    """Give the jackknife pseudo-values n S(t) − (n − 1) S₋ᵢ(t), in O(n log n)."""
    n = len(time)
    whole = kaplan_meier(time, event)
    until = whole.times <= at
    d, r = whole.events[until], whole.at_risk[until]
    # without row i: one fewer at risk at all times up to its own, and at its own time
    # one event fewer if it had one
    with np.errstate(divide="ignore", invalid="ignore"):
        fewer = np.where(r > 1, (r - 1 - d) / (r - 1), 1.0)
        own = np.where(r > 1, (r - d) / (r - 1), 1.0)  # its event is gone too
        kept = (r - d) / r
    before = np.r_[1.0, np.cumprod(fewer)]
    after = np.r_[np.cumprod(kept[::-1])[::-1], 1.0]
    k = np.searchsorted(whole.times[until], time, side="left")
    inside = time <= at
    j = np.minimum(k, max(len(d) - 1, 0))
    without = np.full(n, before[-1])
    if len(d):
        step = np.where(event, own[j], fewer[j])
        without = np.where(inside, before[j] * step * after[j + 1], before[-1])
    return n * whole(np.array([at]))[0] - (n - 1) * without
