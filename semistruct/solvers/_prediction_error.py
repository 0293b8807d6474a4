"""Smoothing parameters by prediction error: GCV and UBRE.

Letters as in ``_criterion``; D the deviance, n the sum of frequencies, τ = tr F the
effective degrees of freedom, F = V X'WX = I − V S_λ.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from semistruct.solvers._criterion import Criterion, Point, Solved
from semistruct.solvers._likelihood import Profile

FloatArray = NDArray[np.float64]

STEP = 1e-4  # of differences of the exact gradient


class PredictionError(Criterion):
    """GCV = nD/(n − τ)² where φ is estimated, UBRE = D/n + 2τ/n − 1 where it is known.

    What is minimised is ½ n log GCV, or ½ n UBRE (AIC/2 but for a constant), so that
    steps and tolerances mean what they mean for a likelihood. Craven and Wahba (1978),
    doi:10.1007/BF01404567; Wood (2008), doi:10.1111/j.1467-9868.2007.00646.x.
    """

    @property
    def nullity(self) -> int:
        """Zero."""
        return 0

    @property
    def has_exact_hessian(self) -> bool:
        """No: it is a difference of gradients."""
        return False

    def profile(self, solved: Solved) -> Profile:
        """φ = D/(n − τ), or 1."""
        if not solved.likelihood.has_dispersion:
            return Profile(1.0, np.nan, np.inf)
        deviance, edf = self._parts(solved)
        rows = solved.likelihood.n_effective
        return Profile(max(deviance, 1e-280) / max(rows - edf, 1e-3), np.nan, np.inf)

    def score(self, solved: Solved) -> float:
        """½ n log GCV or ½ n UBRE."""
        deviance, edf = self._parts(solved)
        rows = solved.likelihood.n_effective
        if not solved.likelihood.has_dispersion:
            return 0.5 * (deviance + 2.0 * edf - rows)
        if edf >= rows:
            return np.inf
        ratio = rows * max(deviance, 1e-280) / (rows - edf) ** 2
        return 0.5 * rows * float(np.log(ratio))

    def report(self, score: float) -> float:
        """GCV or UBRE."""
        rows = self.likelihood.n_effective
        if self.likelihood.has_dispersion:
            return float(np.exp(2.0 * score / rows))
        return 2.0 * score / rows

    def expand(self, solved: Solved) -> Point:
        """Exact gradient, and a Hessian by differences of it."""
        point = self._slope(solved)
        size = len(solved.outer)
        hessian = np.empty((size, size))
        for j in range(size):
            outer = solved.outer.copy()
            outer[j] += STEP
            guess = solved.optimum.beta + STEP * point.jacobian[:, j]
            moved = self._slope(self.solve(outer, guess))
            hessian[:, j] = (moved.gradient - point.gradient) / STEP
        point.hessian = 0.5 * (hessian + hessian.T)
        return point

    def _parts(self, solved: Solved) -> tuple[float, float]:
        """Deviance and effective degrees of freedom."""
        factor, matrix = solved.optimum.factor, solved.penalty.matrix
        edf = len(matrix) - float(np.trace(factor.solve(matrix)))
        return solved.likelihood.deviance(solved.optimum.value), edf

    def _slope(self, solved: Solved) -> Point:
        """Score with its exact gradient.

        ∂D = −2 (S_λβ)'δ_j and ∂τ = −λ_j tr(VS_j) + λ_j tr(VS_λV S_j) + c·δ_j, with c
        the derivative of tr{VS_λV X'W(η)X}, V held fixed.
        """
        optimum = solved.optimum
        inverse = optimum.factor.inverse()
        bends = self.bends(solved)
        jacobian = self.jacobian(inverse, bends, np.zeros((len(inverse), 0)))
        inner = inverse @ solved.penalty.matrix @ inverse
        slope = solved.likelihood.trace_gradient(optimum.beta, inner)
        deviance_slope = -2.0 * solved.penalty.pull(optimum.beta) @ jacobian
        edf_slope = slope @ jacobian
        for j, (span, scaled) in enumerate(zip(bends.spans, bends.scaled, strict=True)):
            change = inner[span, span] - inverse[span, span]
            edf_slope[j] += float((change * scaled).sum())
        rows = solved.likelihood.n_effective
        deviance, edf = self._parts(solved)
        if solved.likelihood.has_dispersion:
            gradient = 0.5 * rows * deviance_slope / max(deviance, 1e-280)
            gradient = gradient + rows * edf_slope / max(rows - edf, 1e-3)
        else:
            gradient = 0.5 * deviance_slope + edf_slope
        size = len(solved.outer)
        return Point(
            solved,
            self.score(solved),
            self.profile(solved).dispersion,
            inverse,
            gradient,
            np.zeros((size, size)),
            jacobian,
        )
