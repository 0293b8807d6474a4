"""P-splines, the default basis.

Legend: n rows, k functions of the basis before any constraint.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from semistruct.design._basis import Basis, Neighbours

__all__ = ["PSpline"]


class PSpline(Basis):
    """Cubic B-splines on equidistant knots with a penalty on second differences.

    The range of x is widened by .001 of it on each side and cut by k - 2 knots into
    intervals of width h; three more knots stand on each side. Outside of it every
    function goes on linearly. The penalty is D'D, D the (k - 2, k) matrix of second
    differences (Eilers & Marx 1996, doi:10.1214/ss/1038425655; constants as in mgcv,
    Wood 2017, doi:10.1201/9781315370279).

    Parameters
    ----------
    low, high : float
        Ends of the widened range.
    k : int
        Dimension, at least 4.

    Examples
    --------
    >>> import numpy as np
    >>> from semistruct.design import PSpline
    >>> basis = PSpline.fit(np.linspace(0.0, 1.0, 50), k=6)
    >>> values = basis.evaluate(np.array([0.25, 0.5, 2.0]))
    >>> values.shape, np.allclose(values.sum(axis=1), 1.0)
    ((3, 6), True)
    """

    name = "ps"
    least_k = 4

    def __init__(self, low: float, high: float, k: int) -> None:
        self.low = float(low)
        self.high = float(high)
        self.k = int(k)
        self.h = (self.high - self.low) / (self.k - 3)

    @classmethod
    def fit(
        cls, x: np.ndarray, k: int, *, neighbours: Neighbours | None = None
    ) -> PSpline:
        low, high = float(np.min(x)), float(np.max(x))
        margin = (high - low) * 0.001
        return cls(low - margin, high + margin, k)

    def evaluate(self, x: np.ndarray) -> np.ndarray:
        n, k = len(x), self.k
        inside = np.clip(x, self.low, self.high)
        u = (inside - self.low) / self.h
        first = np.clip(np.floor(u), 0, k - 4)  # first of the four functions
        t = u - first
        s = 1.0 - t
        values = np.zeros((n, k))
        flat = values.reshape(-1)
        at = np.arange(n) * k + first.astype(np.intp)
        t2, s2 = t * t, s * s
        flat[at] = s2 * s / 6.0
        flat[at + 1] = (4.0 + t2 * (3.0 * t - 6.0)) / 6.0
        flat[at + 2] = (4.0 + s2 * (3.0 * s - 6.0)) / 6.0
        flat[at + 3] = t2 * t / 6.0
        beyond = np.flatnonzero(inside != x)
        if len(beyond):
            step = (x[beyond] - inside[beyond]) / self.h  # (m,)
            at = at[beyond]
            t, s = t[beyond], s[beyond]
            flat[at] -= step * s * s / 2.0
            flat[at + 1] += step * t * (3.0 * t - 4.0) / 2.0
            flat[at + 2] -= step * s * (3.0 * s - 4.0) / 2.0
            flat[at + 3] += step * t * t / 2.0
        return values

    @property
    def penalty(self) -> np.ndarray:
        differences = np.diff(np.eye(self.k), n=2, axis=0)  # (k - 2, k)
        return differences.T @ differences

    @property
    def rank(self) -> int:
        return self.k - 2

    def to_state(self) -> dict[str, Any]:
        return {"name": self.name, "low": self.low, "high": self.high, "k": self.k}

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> PSpline:
        return cls(state["low"], state["high"], state["k"])
