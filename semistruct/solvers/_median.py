"""Laplace rows: median regression, whose log-density has a kink and no curvature.

Letters: n rows, K linear predictors (the location first), w weights, r residuals, b
scales, d the dual variables of the deviations (a subgradient of Σ w|r|/b in r).
"""

from __future__ import annotations

import copy
from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from semistruct.solvers._absolute import CERTIFIED, least_absolute
from semistruct.solvers._likelihood import ShapeDerivatives
from semistruct.solvers._linalg import Factor
from semistruct.solvers._newton import Optimum, OwnMaximum
from semistruct.solvers._penalty import Penalty
from semistruct.solvers._rows import RowLikelihood

FloatArray = NDArray[np.float64]

TOLERANCE = 1e-9  # of the gradient in the scale, in units of standard errors
MAX_ROUNDS = 200
MAX_HALVINGS = 40
SMALLEST = 1e-10  # scale, over that of the start, that is taken for a run to zero


class MedianLikelihood(OwnMaximum, RowLikelihood):
    """Laplace rows with the identity link for the location.

    Location coefficients minimise a convex function exactly, given the scale; the
    scale's take Newton steps, given the residuals; in turns until neither moves. The
    log-density is differentiable in the scale everywhere, so that this is an optimum of
    both. The information is Fisher's, w/b² and w (b'/b)², which is the curvature of
    the expected log-likelihood and has no part between location and scale.

    Where weights are ``held``, the information is theirs whatever the coefficients
    are, so that the criterion of the smoothing parameters has an exact gradient.
    """

    held: FloatArray | None = None
    _first: FloatArray | None = None
    _dual: tuple[FloatArray, FloatArray] | None = None

    def holding(self, beta: FloatArray) -> Self:
        """Return the likelihood with the weights and the start held at β."""
        other = copy.copy(self)
        other.held = self.weights(beta)
        other._first = beta.copy()
        return other

    def start(self) -> FloatArray:
        """Where the weights are held, or near the covariate-free fit."""
        return super().start() if self._first is None else self._first

    def scales(self, beta: FloatArray) -> FloatArray:
        """Return b (n,)."""
        eta = torch.from_numpy(self.predictor(beta))
        return self.family.theta(eta)["scale"].numpy()

    def weights(self, beta: FloatArray) -> FloatArray:
        """Fisher weights (n, K), times the rows' weights."""
        if self.held is not None:
            return self.held
        eta = self.predictor(beta)
        scale = self.scales(beta)
        weight = self._base / scale**2
        if len(self.designs) == 1:
            return weight[:, None]
        link = self.family.links["scale"]
        slope = link.derivative(torch.from_numpy(eta[:, 1])).numpy()
        return np.column_stack([weight, weight * slope**2])

    def row_derivatives(self, beta: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Subgradient (n, K) of ℓ in η and Fisher weights (n, K, K)."""
        eta = torch.from_numpy(self.predictor(beta))
        slope = self.family.derivatives(self._target, eta)[1].numpy()
        slope = slope * self._base[:, None]
        if self._dual is not None and np.array_equal(self._dual[0], beta):
            slope[:, 0] = self._dual[1]
        weight = self.weights(beta)
        return slope, np.einsum("ik,kl->ikl", weight, np.eye(weight.shape[1]))

    def trace_gradient(self, beta: FloatArray, inner: FloatArray) -> FloatArray:
        """Zero: the information is constant."""
        return np.zeros(self.n_coefficients)

    def shape_derivatives(
        self, beta: FloatArray, dispersion: float, inner: FloatArray
    ) -> ShapeDerivatives:
        """Differentiate in the constant scale, where it is estimated."""
        if not len(self.shapes):
            return super().shape_derivatives(beta, dispersion, inner)
        link = self.family.links["scale"]

        def scale(shape: Tensor) -> Tensor:
            return link.inverse(shape)

        point = torch.tensor(float(self.shapes[0]), dtype=torch.float64)
        b = float(scale(point))
        first = float(torch.func.jacrev(scale)(point))
        second = float(torch.func.jacrev(torch.func.jacrev(scale))(point))
        residual = np.abs(self.y - self.predictor(beta)[:, 0])
        size, rows = float(self._base @ residual), float(self._base.sum())
        slope = size / b**2 - rows / b
        bend = rows / b**2 - 2.0 * size / b**3
        pull, information = self.derivatives(beta)
        trace = -2.0 * first / b * float((inner * information).sum())
        return ShapeDerivatives(
            np.array([slope * first]),
            np.array([[bend * first**2 + slope * second]]),
            np.zeros(1),
            -(first / b) * pull[:, None],
            np.array([trace]),
        )

    def maximise(self, beta: FloatArray, penalty: Penalty) -> Optimum:
        """Location and scale in turns, until neither moves."""
        least = SMALLEST * float(np.median(self.scales(self.start())))
        status, runaway, n_steps = "limit", None, 0
        for _ in range(MAX_ROUNDS):
            beta, gap, taken = self._locate(beta, penalty)
            n_steps += taken
            if len(self.designs) == 1:
                status = "converged" if gap <= CERTIFIED else "stalled"
                break
            score, factor = self._scale_score(beta, penalty)
            if np.abs(score * factor.scale).max(initial=0.0) <= TOLERANCE:
                status = "converged" if gap <= CERTIFIED else "stalled"
                break
            moved = self._rescale(beta, penalty, score, factor)
            if moved is None:
                near = np.abs(score * factor.scale).max() <= 1e3 * TOLERANCE
                status = "converged" if near else "stalled"
                break
            if self.scales(moved).min() < least:
                status, runaway = "diverging", moved - beta
                break
            beta = moved
        value = self.value(beta)
        gradient, information = self.derivatives(beta)
        whole = Factor(information + penalty.matrix)
        score = gradient - penalty.pull(beta)
        norm = float(np.abs(score * whole.scale).max(initial=0.0))
        return Optimum(
            beta, value, gradient, information, whole, norm, n_steps, status, runaway
        )

    def _locate(
        self, beta: FloatArray, penalty: Penalty
    ) -> tuple[FloatArray, float, int]:
        """Best location coefficients at the scale of β, with their duality gap."""
        part = self.slices[0]
        target = self.y - self.offset[:, 0]
        own = Penalty(penalty.matrix[part, part], penalty.root[:, part])
        weight = self._base / self.scales(beta)
        found = least_absolute(self.designs[0], target, weight, own, beta[part])
        beta = beta.copy()
        beta[part] = found.beta
        self._dual = beta, found.dual
        return beta, found.gap, found.n_steps

    def _scale_score(
        self, beta: FloatArray, penalty: Penalty
    ) -> tuple[FloatArray, Factor]:
        """Penalised gradient in the scale's coefficients, and a factor for steps."""
        part = self.slices[1]
        eta = torch.from_numpy(self.predictor(beta))
        _, slope, hessian = self.family.derivatives(self._target, eta)
        score = self.designs[1].transpose_dot(self._base * slope[:, 1].numpy())
        score = score - penalty.pull(beta)[part]
        own = penalty.matrix[part, part]
        observed = -self._base * hessian[:, 1, 1].numpy()
        factor = Factor(self.designs[1].gram(observed) + own)
        if factor.repaired or factor.rcond < 1e-10:
            link = self.family.links["scale"]
            rate = link.derivative(eta[:, 1]).numpy() / self.scales(beta)
            factor = Factor(self.designs[1].gram(self._base * rate**2) + own)
        return score, factor

    def _rescale(
        self, beta: FloatArray, penalty: Penalty, score: FloatArray, factor: Factor
    ) -> FloatArray | None:
        """Newton step in the scale, halved until it helps; None where none does."""
        step = np.zeros(len(beta))
        step[self.slices[1]] = factor.solve(score)
        step /= max(1.0, self.reach(step) / 4.0)
        objective = self.value(beta) - 0.5 * penalty.energy(beta)
        slack = 1e-12 * (1.0 + abs(objective))
        for _ in range(MAX_HALVINGS):
            trial = beta + step
            reached = self.value(trial) - 0.5 * penalty.energy(trial)
            if np.isfinite(reached) and reached >= objective - slack:
                return trial
            step = 0.5 * step
        return None
