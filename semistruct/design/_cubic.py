"""Cubic regression splines."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from semistruct.design._basis import Basis, Neighbours
from semistruct.design._natural import combine, cubic_weights, quantile_knots

__all__ = ["CubicSpline"]


class CubicSpline(Basis):
    """Natural cubic splines; the coefficients are the function's values at the knots.

    Knots stand at equidistant quantiles of the distinct values of x. The penalty is
    ∫ f''(x)² dx = β'D'B⁻¹Dβ, with B (k - 2, k - 2) of h_j/3 + h_{j+1}/3 on and
    h_{j+1}/6 beside its diagonal, and D (k - 2, k) of second divided differences
    (Wood 2017, doi:10.1201/9781315370279, 5.3.1). Beyond the outer knots every function
    goes on linearly.

    Parameters
    ----------
    knots : ndarray of shape (k,)
        Increasing; k >= 3.

    Examples
    --------
    >>> import numpy as np
    >>> from semistruct.design import CubicSpline
    >>> basis = CubicSpline.fit(np.linspace(0.0, 1.0, 50), k=5)
    >>> bool(np.allclose(basis.evaluate(basis.knots), np.eye(5)))
    True
    """

    name = "cr"
    least_k = 3
    at_knots = True

    def __init__(self, knots: np.ndarray) -> None:
        self.knots = np.ascontiguousarray(knots, dtype=np.float64)
        self.k = k = len(self.knots)
        h = np.diff(self.knots)  # (k - 1,)
        inner = np.arange(k - 2)
        difference = np.zeros((k - 2, k))
        difference[inner, inner] = 1.0 / h[:-1]
        difference[inner, inner + 1] = -1.0 / h[:-1] - 1.0 / h[1:]
        difference[inner, inner + 2] = 1.0 / h[1:]
        band = np.diag((h[:-1] + h[1:]) / 3.0)
        band[inner[:-1], inner[1:]] = band[inner[1:], inner[:-1]] = h[1:-1] / 6.0
        curvature = np.zeros((k, k))  # second derivatives at the knots
        curvature[1:-1] = np.linalg.solve(band, difference)
        self._table = np.vstack([np.eye(k), curvature])
        penalty = difference.T @ curvature[1:-1]
        self._penalty = (penalty + penalty.T) / 2.0

    @classmethod
    def fit(
        cls, x: np.ndarray, k: int, *, neighbours: Neighbours | None = None
    ) -> CubicSpline:
        return cls(quantile_knots(x, k))

    def evaluate(self, x: np.ndarray) -> np.ndarray:
        first, weights = cubic_weights(x, self.knots)
        return combine(first, first + 1, weights, self._table)

    @property
    def penalty(self) -> np.ndarray:
        return self._penalty

    @property
    def rank(self) -> int:
        return self.k - 2

    def to_state(self) -> dict[str, Any]:
        return {"name": self.name, "knots": self.knots}

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> CubicSpline:
        return cls(state["knots"])
