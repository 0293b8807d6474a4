"""Cyclic cubic regression splines."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from semistruct.design._basis import Basis, Neighbours
from semistruct.design._natural import combine, cubic_weights, quantile_knots

__all__ = ["CyclicSpline"]


class CyclicSpline(Basis):
    """Cubic splines whose ends meet in value, slope and curvature.

    The period is the range of x: its smallest and its largest value are the same point
    (for hours 0 to 23 or months 1 to 12 the data must hold the point where the circle
    closes, 24 or 13, or code it so). Outside of the range x is wrapped. The ``k`` knots
    stand at equidistant quantiles of the distinct values, the last is the first, so
    that there are k - 1 functions; coefficients are values at the knots. The penalty is
    ∫ f''(x)² dx over the period, β'D'B⁻¹Dβ with cyclic B and D (Wood 2017,
    doi:10.1201/9781315370279, 5.3.2).

    Parameters
    ----------
    knots : ndarray of shape (k + 1,)
        Increasing, both ends of the period included; four or more.

    Examples
    --------
    >>> import numpy as np
    >>> from semistruct.design import CyclicSpline
    >>> basis = CyclicSpline.fit(np.linspace(0.0, 24.0, 49), k=6)
    >>> basis.k
    5
    >>> bool(np.allclose(basis.evaluate(np.array([1.0])), basis.evaluate([25.0])))
    True
    """

    name = "cc"
    least_k = 4
    at_knots = True

    def __init__(self, knots: np.ndarray) -> None:
        self.knots = np.ascontiguousarray(knots, dtype=np.float64)
        self.k = k = len(self.knots) - 1
        h = np.diff(self.knots)  # (k,), h[j] to the right of knot j
        left = np.roll(h, 1)
        here, there = np.arange(k), np.roll(np.arange(k), -1)
        difference, band = np.zeros((k, k)), np.zeros((k, k))
        difference[here, here] = -1.0 / left - 1.0 / h
        difference[here, there] = difference[there, here] = 1.0 / h
        band[here, here] = (left + h) / 3.0
        band[here, there] = band[there, here] = h / 6.0
        curvature = np.linalg.solve(band, difference)
        self._table = np.vstack([np.eye(k), curvature])
        penalty = difference @ curvature
        self._penalty = (penalty + penalty.T) / 2.0

    @classmethod
    def fit(
        cls, x: np.ndarray, k: int, *, neighbours: Neighbours | None = None
    ) -> CyclicSpline:
        return cls(quantile_knots(x, k))

    def evaluate(self, x: np.ndarray) -> np.ndarray:
        low, high = self.knots[0], self.knots[-1]
        wrapped = low + np.mod(np.asarray(x, dtype=np.float64) - low, high - low)
        first, weights = cubic_weights(wrapped, self.knots)
        return combine(first, (first + 1) % self.k, weights, self._table)

    @property
    def penalty(self) -> np.ndarray:
        return self._penalty

    @property
    def rank(self) -> int:
        return self.k - 1

    def to_state(self) -> dict[str, Any]:
        return {"name": self.name, "knots": self.knots}

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> CyclicSpline:
        return cls(state["knots"])
