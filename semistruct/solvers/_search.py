"""The search for the outer parameters of a criterion.

Letters: θ = (ρ, s) the outer parameters: J free log smoothing parameters and S shapes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from semistruct.solvers._criterion import Criterion, Point, Solved
from semistruct.solvers._penalty import PenaltySystem

FloatArray = NDArray[np.float64]

TOLERANCE = 1e-6  # of the criterion's gradient
LOOSE = 1e-4  # gradient that is still accepted when no step helps any more
MAX_STEPS = 100
LONGEST_STEP = 4.0
RANGE = 16.0  # how far ρ may go from log(tr G_j / tr S_j)
UNDERSMOOTHED = 3.0
LOOSE_VARIANCE = 1e4  # of a shape on its log or logit scale


@dataclass
class Search:
    """Where the search for θ ended.

    Attributes
    ----------
    point : Point
    gradient_norm : float
        Over the directions that are not at a bound.
    moving : ndarray of shape (J + S,)
        Which parameters are not held at a bound.
    converged : bool
    """

    point: Point
    gradient_norm: float
    moving: NDArray[np.bool_]
    converged: bool


def start_rho(penalties: PenaltySystem, information: FloatArray) -> FloatArray:
    """log(tr |G_j| / tr S_j) − 3, with G the unpenalised information.

    The criterion can have more than one minimum; from the wiggly side the search finds
    features that it would smooth away from the other.
    """
    start = np.empty(penalties.n_free)
    size = np.abs(np.diag(information))
    for position, j in enumerate(np.flatnonzero(penalties.free)):
        gram = float(size[penalties.spans[j]].sum())
        trace = float(np.trace(penalties.matrices[j]))
        start[position] = np.log(max(gram, 1e-300) / trace) - UNDERSMOOTHED
    return start


def fellner_schall(
    criterion: Criterion, outer: FloatArray, beta: FloatArray, limits: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Ten generalised Fellner-Schall updates of ρ, few Newton steps between them.

    λ_j ← λ_j φ [tr(S⁻S_j) − tr(V S_j)] / β'S_jβ; Wood and Fasiolo (2017),
    doi:10.1111/biom.12666. Shapes take a Newton step of the likelihood each time.
    """
    system = criterion.penalties
    free = np.flatnonzero(system.free).tolist()
    latest = None
    for _ in range(10):
        solved = criterion.solve(outer, beta, max_steps=1, start=latest)
        beta = solved.optimum.beta
        latest = solved.optimum.gradient, solved.optimum.information
        dispersion = criterion.profile(solved).dispersion
        inverse = solved.optimum.factor.inverse()
        known = system.log_det(solved.smoothing).gradient
        change = np.empty(len(outer))
        for position, j in enumerate(free):
            span, matrix = system.spans[j], system.matrices[j]
            value = solved.smoothing[j]
            trace = value * float((inverse[span, span] * matrix).sum())
            bend = system.roots[j] @ beta[span]
            energy = value * float(bend @ bend)
            gain = max(known[j] - trace, 1e-12)
            change[position] = np.log(dispersion * gain / max(energy, 1e-300))
        change = np.clip(change, -LONGEST_STEP, LONGEST_STEP)
        if len(free) < len(outer):
            latest = None  # derivatives move with the shapes
            change[len(free) :] = _shape_step(solved, dispersion, inverse)
        updated = np.clip(outer + change, limits[0], limits[1])
        moved = float(np.abs(updated - outer).max(initial=0.0))
        outer = updated
        if moved < 0.05:
            break
    return outer, beta


def _shape_step(solved: Solved, dispersion: float, inverse: FloatArray) -> FloatArray:
    """Newton step of the likelihood in the shapes, at most 1 on scales without unit."""
    likelihood = solved.likelihood
    shape = likelihood.shape_derivatives(solved.optimum.beta, dispersion, inverse)
    values, vectors = np.linalg.eigh(-shape.second)
    values = np.maximum(np.abs(values), 1e-8 * max(float(np.abs(values).max()), 1e-8))
    step = vectors @ ((vectors.T @ shape.first) / values)
    capped = np.isfinite(likelihood.shape_limits()[0])
    longest = np.abs(np.where(capped, step, 0.0)).max(initial=0.0)
    return step / max(1.0, float(longest))


def search(criterion: Criterion, outer: FloatArray, beta: FloatArray) -> Search:
    """Minimise the criterion: Fellner-Schall, then guarded quasi-Newton steps."""
    count = criterion.penalties.n_free
    room = criterion.likelihood.shape_limits()
    middle = outer + UNDERSMOOTHED
    limits = np.stack([middle - RANGE, middle + RANGE])
    limits[:, count:] = room
    outer, beta = fellner_schall(criterion, outer, beta, limits)
    point = criterion.evaluate(outer, beta)
    correction = np.zeros((len(outer), len(outer)))
    idle = 0  # steps in a row that gained nothing but rounding
    for _ in range(MAX_STEPS):
        moving = _moving(point, limits)
        norm = float(np.abs(point.gradient[moving]).max(initial=0.0))
        if point.optimum.status == "diverging":
            return Search(point, norm, moving, False)
        if norm <= TOLERANCE:
            return Search(point, norm, moving, point.optimum.status == "converged")
        step = _step(point, correction, moving, limits)
        trial = _line_search(criterion, point, step, limits)
        if trial is None and correction.any():
            correction[:] = 0.0
            step = _step(point, correction, moving, limits)
            trial = _line_search(criterion, point, step, limits)
        if trial is None:
            return Search(point, norm, moving, norm <= LOOSE)
        gained = point.score - trial.score > _slack(point)
        idle = 0 if gained else idle + 1
        if idle >= 5 and norm <= LOOSE:
            return Search(point, norm, moving, point.optimum.status == "converged")
        if not criterion.has_exact_hessian:
            _correct(correction, point, trial)
        point = trial
    moving = _moving(point, limits)
    norm = float(np.abs(point.gradient[moving]).max(initial=0.0))
    return Search(point, norm, moving, norm <= LOOSE)


def _moving(point: Point, limits: FloatArray) -> NDArray[np.bool_]:
    """Directions that are not at a bound with the gradient pointing outwards."""
    below = (point.outer <= limits[0] + 1e-9) & (point.gradient > 0)
    above = (point.outer >= limits[1] - 1e-9) & (point.gradient < 0)
    moving: NDArray[np.bool_] = ~(below | above)
    return moving


def _step(
    point: Point,
    correction: FloatArray,
    moving: NDArray[np.bool_],
    limits: FloatArray,
) -> FloatArray:
    """Newton step with eigenvalues made positive.

    At most ``LONGEST_STEP`` long on scales without a unit, those with finite limits.
    """
    hessian = (point.hessian + correction)[np.ix_(moving, moving)]
    values, vectors = np.linalg.eigh(hessian)
    floor = 1e-7 * max(float(np.abs(values).max()), 1e-7)
    values = np.maximum(np.abs(values), floor)
    step = np.zeros(len(moving))
    step[moving] = -vectors @ ((vectors.T @ point.gradient[moving]) / values)
    capped = np.where(np.isfinite(limits[0]), step, 0.0)
    longest = float(np.abs(capped).max(initial=0.0))
    return step * min(1.0, LONGEST_STEP / longest) if longest > 0 else step


def _slack(point: Point) -> float:
    """Change of the criterion that is taken for rounding."""
    return 1e-11 * (1.0 + abs(point.score))


def _line_search(
    criterion: Criterion, point: Point, step: FloatArray, limits: FloatArray
) -> Point | None:
    """Halve the step until the criterion falls; None when it never does."""
    for _ in range(25):
        outer = np.clip(point.outer + step, limits[0], limits[1])
        guess = point.optimum.beta + point.jacobian @ (outer - point.outer)
        solved = criterion.solve(outer, guess)
        score = criterion.score(solved)
        # log|A| of an indefinite A is no criterion
        sound = not solved.optimum.factor.repaired or point.optimum.factor.repaired
        if sound and np.isfinite(score) and score <= point.score + _slack(point):
            return criterion.expand(solved)
        step = 0.5 * step
    return None


def _correct(correction: FloatArray, old: Point, new: Point) -> None:
    """Symmetric rank-one update of what the approximate Hessian leaves out."""
    step = new.outer - old.outer
    rest = new.gradient - old.gradient - (new.hessian + correction) @ step
    inner = float(rest @ step)
    if abs(inner) > 1e-8 * np.linalg.norm(rest) * np.linalg.norm(step):
        correction += np.outer(rest, rest) / inner


def outer_covariance(
    criterion: Criterion, found: Search
) -> tuple[FloatArray, NDArray[np.bool_]]:
    """Covariance of θ̂, and which parameters the criterion does not determine.

    The inverse Hessian of the criterion, zero for held and for flat directions.

    The Hessian is exact where the criterion says so; otherwise differences of the exact
    gradient, forward ones in ρ and central ones in the shapes.
    """
    point, moving = found.point, np.flatnonzero(found.moving)
    hessian = point.hessian[np.ix_(moving, moving)]
    if not criterion.has_exact_hessian:
        hessian = np.empty((len(moving), len(moving)))
        for column, j in enumerate(moving.tolist()):
            ahead = _shifted(criterion, point, j, 1e-3)
            slope = (ahead - point.gradient) / 1e-3
            if j >= criterion.penalties.n_free:
                behind = _shifted(criterion, point, j, -1e-3)
                slope = (ahead - behind) / 2e-3
            hessian[:, column] = slope[moving]
        hessian = 0.5 * (hessian + hessian.T)
    covariance = np.zeros((len(point.outer), len(point.outer)))
    loose = ~found.moving
    if len(moving):
        values, vectors = np.linalg.eigh(hessian)
        good = values > 1e-7 * max(float(values.max()), 1e-7)
        part = (vectors[:, good] / values[good]) @ vectors[:, good].T
        covariance[np.ix_(moving, moving)] = part
        loose[moving] = (vectors[:, ~good] ** 2).sum(axis=1) > 0.5
        first = criterion.penalties.n_free
        unitless = np.isfinite(criterion.likelihood.shape_limits()[0])
        loose[first:] |= unitless & (np.diag(covariance)[first:] > LOOSE_VARIANCE)
    return covariance, loose


def _shifted(criterion: Criterion, point: Point, j: int, step: float) -> FloatArray:
    """Return the gradient a step away along one outer parameter."""
    outer = point.outer.copy()
    outer[j] += step
    guess = point.optimum.beta + step * point.jacobian[:, j]
    return criterion.evaluate(outer, guess).gradient
