"""Laplace's approximation of the marginal likelihood, with its derivatives.

Letters: θ = (ρ, s) the outer parameters: J free log smoothing parameters ρ and S shapes
s; φ the dispersion, A = X'WX + S_λ, V = A⁻¹, M_p the nullity of S_λ, N an orthonormal
basis of its null space.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from semistruct.solvers._likelihood import Likelihood, Profile
from semistruct.solvers._newton import Optimum, maximise
from semistruct.solvers._penalty import Penalty, PenaltySystem

FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class Solved:
    """Coefficients at one θ.

    Attributes
    ----------
    outer : ndarray of shape (J + S,)
    likelihood : Likelihood
        At the shapes of ``outer``.
    optimum : Optimum
    smoothing : ndarray
        All λ.
    penalty : Penalty
        S_λ.
    """

    outer: FloatArray
    likelihood: Likelihood
    optimum: Optimum
    smoothing: FloatArray
    penalty: Penalty


@dataclass
class Point:
    """The criterion at one θ.

    Attributes
    ----------
    solved : Solved
    score : float
        What is minimised.
    dispersion : float
        φ, or 1.
    inverse : ndarray of shape (p, p)
        V.
    gradient, hessian : ndarray of shape (J + S,), (J + S, J + S)
        Exact gradient; Hessian exact for least squares and without determinants, else
        without the change of W.
    jacobian : ndarray of shape (p, J + S)
        ∂β/∂θ.
    """

    solved: Solved
    score: float
    dispersion: float
    inverse: FloatArray
    gradient: FloatArray
    hessian: FloatArray
    jacobian: FloatArray

    @property
    def outer(self) -> FloatArray:
        """θ."""
        return self.solved.outer

    @property
    def optimum(self) -> Optimum:
        """Coefficients at θ."""
        return self.solved.optimum


@dataclass
class Bends:
    """Penalties along the coefficients, each of length J.

    Attributes
    ----------
    spans : list of slice
    scaled : list of ndarray
        λ_j S_j.
    pulls : list of ndarray
        λ_j S_j β.
    quadratic : ndarray of shape (J,)
        λ_j β'S_jβ.
    """

    spans: list[slice]
    scaled: list[FloatArray]
    pulls: list[FloatArray]
    quadratic: FloatArray


class Criterion:
    """Laplace REML or ML of a likelihood with penalties.

    𝓥(θ) = −ℓ(β̂, φ) + β̂'S_λβ̂/2φ + ½ log|A| − ½ log|S_λ|₊ − ½ M_p log 2πφ, minimised
    over φ where a dispersion is estimated: it does not move β̂, so that this is the
    same as an outer parameter log φ. "ML" leaves the unpenalised coefficients out of
    the integral: log|A| + log|N'VN| for log|A|, and no M_p. "plain" has no
    determinants: the likelihood itself, for models without penalties. Wood (2011),
    doi:10.1111/j.1467-9868.2010.00749.x; Wood, Pya and Säfken (2016),
    doi:10.1080/01621459.2016.1180986.

    Parameters
    ----------
    likelihood : Likelihood
    penalties : PenaltySystem
    method : {"REML", "ML", "plain"}
    """

    def __init__(
        self, likelihood: Likelihood, penalties: PenaltySystem, method: str = "REML"
    ) -> None:
        self.likelihood = likelihood
        self.penalties = penalties
        self.method = method
        self.n_steps = 0
        self.null_basis = penalties.null_basis() if method == "ML" else np.zeros((0, 0))

    @property
    def nullity(self) -> int:
        """M of the criterion: M_p for REML, else 0."""
        return self.penalties.nullity if self.method == "REML" else 0

    @property
    def has_exact_hessian(self) -> bool:
        """Whether ``Point.hessian`` leaves nothing out."""
        return self.likelihood.profiled or self.method == "plain"

    def solve(
        self,
        outer: FloatArray,
        beta: FloatArray,
        *,
        max_steps: int = 60,
        start: tuple[FloatArray, FloatArray] | None = None,
    ) -> Solved:
        """Coefficients at θ; counts the Newton steps."""
        count = self.penalties.n_free
        likelihood = self.likelihood.with_shapes(outer[count:])
        smoothing = self.penalties.smoothing(outer[:count])
        penalty = self.penalties.at(smoothing)
        optimum = maximise(likelihood, beta, penalty, max_steps=max_steps, start=start)
        self.n_steps += optimum.n_steps
        return Solved(outer, likelihood, optimum, smoothing, penalty)

    def profile(self, solved: Solved) -> Profile:
        """φ, and the criterion without determinants."""
        optimum = solved.optimum
        energy = solved.penalty.energy(optimum.beta)
        return solved.likelihood.profile(
            optimum.beta, optimum.value, energy, self.nullity
        )

    def score(self, solved: Solved) -> float:
        """Return the criterion at coefficients that are known."""
        return self.profile(solved).objective + self._determinants(solved)

    def report(self, score: float) -> float:
        """Return the criterion on the scale on which it is reported."""
        return score

    def evaluate(self, outer: FloatArray, beta: FloatArray) -> Point:
        """Criterion with its derivatives at θ."""
        return self.expand(self.solve(outer, beta))

    def expand(self, solved: Solved) -> Point:
        """Differentiate the criterion at coefficients that are known."""
        optimum, beta = solved.optimum, solved.optimum.beta
        profile = self.profile(solved)
        phi = profile.dispersion
        inverse = optimum.factor.inverse()
        inner = self._inner(inverse)
        bends = self.bends(solved)
        shape = solved.likelihood.shape_derivatives(beta, phi, inner)
        count, total = len(bends.spans), len(solved.outer)
        jacobian = self.jacobian(inverse, bends, shape.mixed)

        gradient = np.concatenate([0.5 * bends.quadratic / phi, -shape.first])
        hessian = np.zeros((total, total))
        for j, pull in enumerate(bends.pulls):
            across = pull @ jacobian[bends.spans[j]] / phi
            hessian[j, :] = hessian[:, j] = across
        hessian[count:, count:] = -shape.second
        hessian[count:, count:] -= shape.mixed.T @ jacobian[:, count:] / phi
        hessian[np.diag_indices(count)] += gradient[:count]
        if np.isfinite(profile.curvature):
            tilt = np.concatenate([-gradient[:count], -shape.tilt])
            hessian -= np.outer(tilt, tilt) / profile.curvature
        if self.method != "plain":
            self._add_determinants(solved, bends, inner, gradient, hessian)
            gradient[count:] += 0.5 * shape.trace
            if total and not solved.likelihood.profiled:
                slope = solved.likelihood.trace_gradient(beta, inner)
                gradient = gradient + 0.5 * slope @ jacobian
        score = profile.objective + self._determinants(solved)
        return Point(solved, score, phi, inverse, gradient, hessian, jacobian)

    def bends(self, solved: Solved) -> Bends:
        """Penalties along the coefficients."""
        system, beta = self.penalties, solved.optimum.beta
        free = np.flatnonzero(system.free).tolist()
        bends = [system.roots[j] @ beta[system.spans[j]] for j in free]
        value = solved.smoothing
        return Bends(
            [system.spans[j] for j in free],
            [value[j] * system.matrices[j] for j in free],
            [
                value[j] * bend @ system.roots[j]
                for j, bend in zip(free, bends, strict=True)
            ],
            np.array(
                [
                    value[j] * float(bend @ bend)
                    for j, bend in zip(free, bends, strict=True)
                ]
            ),
        )

    @staticmethod
    def jacobian(inverse: FloatArray, bends: Bends, mixed: FloatArray) -> FloatArray:
        """∂β/∂θ: −λ_j V S_j β, and V ∂²ℓ/∂β∂s."""
        columns = [
            -inverse[:, span] @ pull
            for span, pull in zip(bends.spans, bends.pulls, strict=True)
        ]
        smooth = np.stack(columns, axis=1) if columns else np.zeros((len(inverse), 0))
        return np.hstack([smooth, inverse @ mixed])

    def _determinants(self, solved: Solved) -> float:
        """½ log|A| − ½ log|S_λ|₊, on the range of S_λ for ML."""
        if self.method == "plain":
            return 0.0
        factor = solved.optimum.factor
        value = 0.5 * factor.log_det
        value -= 0.5 * self.penalties.log_det(solved.smoothing).value
        if self.method == "ML":
            middle = self.null_basis.T @ factor.solve(self.null_basis)
            value += 0.5 * float(np.linalg.slogdet(middle)[1])
        return value

    def _inner(self, inverse: FloatArray) -> FloatArray:
        """M with ∂ log|A| = tr(M ∂A): V, or V − VN(N'VN)⁻¹N'V for ML."""
        if self.method != "ML" or not self.null_basis.shape[1]:
            return inverse
        side = inverse @ self.null_basis
        middle = self.null_basis.T @ side
        inner = inverse - side @ np.linalg.solve(middle, side.T)
        return 0.5 * (inner + inner.T)

    def _add_determinants(
        self,
        solved: Solved,
        bends: Bends,
        inner: FloatArray,
        gradient: FloatArray,
        hessian: FloatArray,
    ) -> None:
        """Add what log|A| and log|S_λ|₊ give with W held fixed."""
        free = np.flatnonzero(self.penalties.free)
        determinant = self.penalties.log_det(solved.smoothing)
        pairs = list(zip(bends.spans, bends.scaled, strict=True))
        for j, (left, first) in enumerate(pairs):
            trace = float((inner[left, left] * first).sum())
            change = 0.5 * (trace - determinant.gradient[free[j]])
            gradient[j] += change
            hessian[j, j] += change
            for k, (right, second) in enumerate(pairs[: j + 1]):
                block = inner[left, right]
                bend = -0.5 * float(((first @ block) * (block @ second)).sum())
                bend += 0.5 * determinant.cross[free[j], free[k]]
                hessian[j, k] += bend
                if j != k:
                    hessian[k, j] += bend
