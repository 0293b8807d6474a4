"""Penalised Newton: coefficients at given smoothing parameters."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from semistruct.solvers._likelihood import Likelihood
from semistruct.solvers._linalg import Factor
from semistruct.solvers._penalty import Penalty

FloatArray = NDArray[np.float64]

TOLERANCE = 1e-9  # of the gradient, in units of standard errors
NOISE = 1e-5  # most of the gradient that is ever put down to rounding
ROUNDING = 1e-12  # relative fall of the objective that is taken for rounding
MAX_STEPS = 60
MAX_HALVINGS = 40


@dataclass
class Optimum:
    """Coefficients at which the inner iteration stopped.

    Attributes
    ----------
    beta : ndarray of shape (p,)
    value : float
        Log-likelihood without the penalty.
    gradient : ndarray of shape (p,)
        Of the log-likelihood at ``beta``.
    information : ndarray of shape (p, p)
        Negative Hessian of the log-likelihood at ``beta``.
    factor : Factor
        Of information + S_λ.
    gradient_norm : float
        max_j |g_j| / √A_jj of the penalised gradient g, over the residual standard
        deviation where the dispersion is profiled.
    n_steps : int
    status : {"converged", "diverging", "stalled", "limit"}
    runaway : ndarray of shape (p,) or None
        The direction along which the optimum lies at infinity.
    """

    beta: FloatArray
    value: float
    gradient: FloatArray
    information: FloatArray
    factor: Factor
    gradient_norm: float
    n_steps: int
    status: str
    runaway: FloatArray | None = None


class OwnMaximum(ABC):
    """A likelihood that finds its own optimum: Newton's method does not serve it."""

    @abstractmethod
    def maximise(self, beta: FloatArray, penalty: Penalty) -> Optimum:
        """Maximise ℓ(β) − ½ β'S_λβ from a start, as :func:`maximise` does."""


def maximise(
    likelihood: Likelihood,
    beta: FloatArray,
    penalty: Penalty,
    *,
    max_steps: int = MAX_STEPS,
    tolerance: float = TOLERANCE,
    start: tuple[FloatArray, FloatArray] | None = None,
) -> Optimum:
    """Maximise ℓ(β) − ½ β'S_λβ by Newton steps that are halved until they help.

    Parameters
    ----------
    likelihood : Likelihood
    beta : ndarray of shape (p,)
        Start.
    penalty : Penalty
        S_λ.
    max_steps : int
    tolerance : float
        Of ``Optimum.gradient_norm``.
    start : (gradient, information), optional
        Derivatives of the log-likelihood at ``beta`` where they are known.

    Returns
    -------
    Optimum
        With information and factor evaluated at the returned coefficients.
    """
    if isinstance(likelihood, OwnMaximum):
        return likelihood.maximise(beta, penalty)
    value = likelihood.value(beta)
    known = start
    objective = value - 0.5 * penalty.energy(beta)
    gain, best = np.inf, np.inf
    n_steps = 0
    while True:
        if known is None:
            known = likelihood.derivatives(beta)
        (gradient, information), known = known, None
        score = gradient - penalty.pull(beta)
        factor = Factor(information + penalty.matrix)
        norm = float(np.abs(score * factor.scale).max(initial=0.0))
        unit = likelihood.unit(value)
        norm /= unit
        size = np.abs(information) + np.abs(penalty.matrix)
        size = size @ np.abs(beta) * factor.scale
        noise = np.finfo(float).eps * float(size.max(initial=0.0)) / unit
        enough = max(tolerance, min(noise, NOISE))
        here = Optimum(
            beta, value, gradient, information, factor, norm, n_steps, "limit"
        )
        step = factor.solve(score)
        at_rounding = best <= 1.05 * norm <= 1e3 * enough
        best = min(best, norm)
        near = norm <= enough or at_rounding
        flat = n_steps >= 8 and gain <= 1e-6 * (1.0 + abs(objective))
        if (near or flat) and _runs_away(likelihood, penalty, beta, step):
            return replace(here, status="diverging", runaway=step)
        if near and not factor.repaired:
            return replace(here, status="converged")
        if n_steps == max_steps:
            return here
        slack = ROUNDING * (1.0 + abs(objective))
        for _ in range(MAX_HALVINGS):
            trial = beta + step
            trial_value = likelihood.value(trial)
            reached = trial_value - 0.5 * penalty.energy(trial)
            if np.isfinite(reached) and reached >= objective - slack:
                break
            step = 0.5 * step
        else:
            near = norm <= 1e3 * enough
            return replace(here, status="converged" if near else "stalled")
        gain = reached - objective
        beta, value, objective = trial, trial_value, reached
        n_steps += 1


def _runs_away(
    likelihood: Likelihood, penalty: Penalty, beta: FloatArray, step: FloatArray
) -> bool:
    """Whether the step is long where nothing is gained, and leads to infinity."""
    # what a unit step costs, in units of log-likelihood; rounding where λ is large
    slack = max(1e-6, 1e-8 * float(np.diag(penalty.matrix) @ step**2))
    if penalty.energy(step) > slack or likelihood.reach(step) <= 0.1:
        return False
    return likelihood.recedes(beta, step)
