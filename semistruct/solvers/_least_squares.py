"""Gaussian rows with identity link: everything from one pass of cross-products."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from semistruct.design import DesignOperator
from semistruct.solvers._likelihood import Likelihood, Profile

FloatArray = NDArray[np.float64]


class LeastSquares(Likelihood):
    """−RSS/2 with a dispersion that is profiled out.

    Sums refer to the residuals of a first solution, so that nothing cancels when the
    fit is close.

    Parameters
    ----------
    design : DesignOperator of shape (n, p)
    y : ndarray of shape (n,)
        Response less its offset.
    frequency : ndarray of shape (n,) or None
        A row of frequency 2 counts as two rows.
    precision : ndarray of shape (n,) or None
        The variance of a row is φ over its precision.

    Attributes
    ----------
    weight : ndarray of shape (n,) or None
        Frequency times precision.
    log_precision : float
        Σ frequency log precision.
    smallest : float
        Least penalised sum of squares that is believed.
    """

    profiled = True
    has_dispersion = True

    def __init__(
        self,
        design: DesignOperator,
        y: FloatArray,
        frequency: FloatArray | None = None,
        precision: FloatArray | None = None,
    ) -> None:
        self.design = design
        self.y = y
        self.weight = frequency
        self.log_precision = 0.0
        if precision is not None:
            self.weight = precision if frequency is None else frequency * precision
            logs = np.log(precision)
            summed = logs.sum() if frequency is None else frequency @ logs
            self.log_precision = float(summed)
        self.n_coefficients = design.shape[1]
        self.n_effective = float(len(y) if frequency is None else frequency.sum())
        self.gram = design.gram(self.weight)
        self.origin = np.zeros(self.n_coefficients)
        self.smallest = 0.0
        self.recentre(self.origin)
        self.total = self.rss
        self.smallest = 1e-22 * self.total + 1e-280

    def recentre(self, beta: FloatArray) -> None:
        """Refer all sums to the residuals at ``beta``.

        Sets ``origin``, ``cross`` and ``rss``.
        """
        residual = self.y - self.design.dot(beta) if beta.any() else self.y
        weighted = residual if self.weight is None else residual * self.weight
        self.origin = beta
        self.cross = self.design.transpose_dot(weighted)
        self.rss = float(residual @ weighted)

    def start(self) -> FloatArray:
        """Return the reference solution."""
        return self.origin

    def value(self, beta: FloatArray) -> float:
        """−RSS/2."""
        step = beta - self.origin
        change = step @ (self.gram @ step) - 2.0 * (step @ self.cross)
        return -0.5 * (self.rss + float(change))

    def unit(self, value: float) -> float:
        """Residual standard deviation, not below 1e-6 of that of y."""
        spread = max(-2.0 * value, 1e-12 * self.total)
        return float(np.sqrt(spread / self.n_effective)) or 1.0

    def profile(
        self, beta: FloatArray, value: float, energy: float, nullity: int
    ) -> Profile:
        """φ = (RSS + β'S_λβ)/(n − M)."""
        free = self.n_effective - nullity
        spread = max(energy - 2.0 * value, self.smallest)
        dispersion = spread / free
        half = 0.5 * free * (1.0 + np.log(2.0 * np.pi * dispersion))
        return Profile(dispersion, half - 0.5 * self.log_precision, 0.5 * free)

    def derivatives(self, beta: FloatArray) -> tuple[FloatArray, FloatArray]:
        """X'W(y − Xβ) and X'WX."""
        return self.cross - self.gram @ (beta - self.origin), self.gram

    def trace_gradient(self, beta: FloatArray, inner: FloatArray) -> FloatArray:
        """Zero: the information is constant."""
        return np.zeros(self.n_coefficients)

    def reach(self, direction: FloatArray) -> float:
        """Zero: least squares cannot run away."""
        return 0.0

    def recedes(self, beta: FloatArray, direction: FloatArray) -> bool:
        """Never."""
        return False
