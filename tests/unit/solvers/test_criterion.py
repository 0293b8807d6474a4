"""Derivatives of likelihoods and of the REML criterion against finite differences."""

from dataclasses import dataclass

import numpy as np
import pytest

from semistruct.design import DenseDesign
from semistruct.families import Bernoulli, Categorical, Poisson
from semistruct.solvers import fit_cox, fit_glm
from semistruct.solvers._cox_likelihood import CoxLikelihood
from semistruct.solvers._criterion import Criterion
from semistruct.solvers._least_squares import LeastSquares
from semistruct.solvers._newton import maximise
from semistruct.solvers._penalty import PenaltySystem
from semistruct.solvers._risk_sets import RiskSets
from semistruct.solvers._rows import RowLikelihood
from semistruct.solvers._search import outer_covariance, search, start_rho

N = 150
RNG = np.random.default_rng(5)
X = RNG.normal(size=(N, 7))
FULL = np.column_stack([np.ones(N), X])
ETA = 0.7 * X[:, 0] - 0.5 * X[:, 1]
WEIGHT = RNG.integers(0, 3, N).astype(float)


@dataclass(frozen=True)
class Penalty:
    start: int
    stop: int
    matrix: np.ndarray
    rank: int
    sp: float | None = None


def penalties(shift):
    """A ridge, and two overlapping penalties on the columns after it."""
    d = np.diff(np.eye(4), axis=0)
    weights = np.diag([0.0, 1.0, 2.0, 3.0])
    return [
        Penalty(shift, shift + 3, np.eye(3), 3),
        Penalty(shift + 3, shift + 7, d.T @ d, 3),
        Penalty(shift + 3, shift + 7, weights, 3),
    ]


def cox(ties="efron", entry=False, strata=False, weight=False):
    time = np.ceil(8 * RNG.exponential(size=N) * np.exp(-ETA))
    sets = RiskSets.build(
        time,
        RNG.uniform(size=N) < 0.7,
        entry=np.maximum(time - RNG.integers(1, 9, N), 0.0) if entry else None,
        strata=RNG.integers(0, 3, N) if strata else None,
        weight=WEIGHT if weight else None,
        ties=ties,
    )
    return CoxLikelihood(X, sets, 0.1 * RNG.normal(size=N))


def rows(family, y, weight=None):
    size = family.n_predictors
    offset = 0.1 * RNG.normal(size=(N, size))
    return RowLikelihood(
        [DenseDesign(FULL), DenseDesign(FULL[:, :5])][:size], y, family, weight, offset
    )


LIKELIHOODS = {
    "gaussian": LeastSquares(DenseDesign(FULL), ETA + RNG.normal(size=N), WEIGHT),
    "bernoulli": rows(Bernoulli(), (RNG.uniform(size=N) < 0.5) * 1.0, WEIGHT),
    "poisson": rows(Poisson(), RNG.poisson(np.exp(ETA)).astype(float)),
    "categorical": rows(Categorical(3), RNG.integers(0, 3, N).astype(float), WEIGHT),
    "cox": cox(),
    "cox breslow": cox("breslow", entry=True),
    "cox all": cox(entry=True, strata=True, weight=True),
}
every = pytest.mark.parametrize("name", LIKELIHOODS)


@every
def test_likelihood_derivatives(name):
    likelihood = LIKELIHOODS[name]
    p = likelihood.n_coefficients
    beta = 0.3 * np.random.default_rng(1).normal(size=p)
    gradient, information = likelihood.derivatives(beta)
    matrix = np.random.default_rng(2).normal(size=(p, p))
    inner = matrix @ matrix.T
    third = likelihood.trace_gradient(beta, inner)
    np.testing.assert_allclose(information, information.T, atol=1e-10)
    assert np.linalg.eigvalsh(information).min() > 0
    h = 1e-5
    for j in range(p):
        step = h * np.eye(p)[j]
        slope = (likelihood.value(beta + step) - likelihood.value(beta - step)) / 2 / h
        assert gradient[j] == pytest.approx(slope, abs=1e-5)
        above, below = (likelihood.derivatives(beta + s) for s in (step, -step))
        bend = (below[0] - above[0]) / (2 * h)
        np.testing.assert_allclose(information[j], bend, atol=2e-6)
        change = np.sum(inner * (above[1] - below[1])) / (2 * h)
        assert third[j] == pytest.approx(change, abs=1e-4)


@every
def test_criterion_derivatives(name):
    likelihood = LIKELIHOODS[name]
    shift = 0 if name.startswith("cox") else 1
    system = PenaltySystem(
        [(0, penalty) for penalty in penalties(shift)], likelihood.n_coefficients
    )
    criterion = Criterion(likelihood, system)
    rho = np.array([1.0, 0.5, -0.4])
    point = criterion.evaluate(rho, likelihood.start())
    assert point.optimum.status == "converged"
    h = 1e-4
    for j in range(3):
        step = h * np.eye(3)[j]
        above = criterion.evaluate(rho + step, point.optimum.beta)
        below = criterion.evaluate(rho - step, point.optimum.beta)
        slope = (above.score - below.score) / (2 * h)
        assert point.gradient[j] == pytest.approx(slope, abs=1e-6)
        moved = (above.optimum.beta - below.optimum.beta) / (2 * h)
        np.testing.assert_allclose(point.jacobian[:, j], moved, atol=1e-6)
        bend = (above.gradient - below.gradient) / (2 * h)
        exact = name == "gaussian"
        np.testing.assert_allclose(
            point.hessian[j], bend, atol=1e-6 if exact else 0.25 * np.abs(bend).max()
        )


@every
def test_search_finds_a_minimum(name):
    likelihood = LIKELIHOODS[name]
    shift = 0 if name.startswith("cox") else 1
    system = PenaltySystem(
        [(0, penalty) for penalty in penalties(shift)], likelihood.n_coefficients
    )
    criterion = Criterion(likelihood, system)
    start = likelihood.start()
    rho = start_rho(system, likelihood.derivatives(start)[1])
    found = search(criterion, rho, start)
    assert found.converged
    assert found.gradient_norm < 1e-5
    best = found.point
    for j in range(3):
        for step in (-0.2, 0.2):
            other = best.outer + step * np.eye(3)[j]
            if abs(other[j] - rho[j]) < 16:
                value = criterion.evaluate(other, best.optimum.beta).score
                assert value > best.score - 1e-6  # flat far out
    spread, _ = outer_covariance(criterion, found)
    assert np.linalg.eigvalsh(spread).min() >= -1e-12


def test_separate_starts_reach_the_same_optimum():
    likelihood = LIKELIHOODS["poisson"]
    system = PenaltySystem(
        [(0, penalty) for penalty in penalties(1)], likelihood.n_coefficients
    )
    criterion = Criterion(likelihood, system)
    start = likelihood.start()
    rho = start_rho(system, likelihood.derivatives(start)[1])
    scores = [search(criterion, rho + s, start).point.score for s in (-3, 0, 3)]
    np.testing.assert_allclose(scores, scores[0], rtol=1e-8)


def test_newton_survives_a_wild_start():
    likelihood = LIKELIHOODS["poisson"]
    system = PenaltySystem([], likelihood.n_coefficients)
    none = system.at(np.zeros(0))
    good = maximise(likelihood, likelihood.start(), none)
    wild = likelihood.start() + np.array([0, 3.0, -3.0, 3.0, 0, 0, 3.0, -3.0])
    far = maximise(likelihood, wild, none)
    assert good.status == far.status == "converged"
    np.testing.assert_allclose(far.beta, good.beta, atol=1e-8)


def test_penalty_of_the_second_predictor():
    y = RNG.integers(0, 3, N)
    penalty = penalties(1)[0]
    fit = fit_glm([FULL, FULL], y, Categorical(3), penalties=[[], [penalty]])
    assert fit.converged
    np.testing.assert_allclose(fit.edf[:8], 1.0, atol=1e-9)
    assert fit.edf[9:12].sum() < 3.0
    assert fit.nullity == 13


def test_uncorrected_fit_is_the_same_fit():
    time = RNG.exponential(size=N)
    event = RNG.uniform(size=N) < 0.6
    options = {"penalties": penalties(0)}
    with_it = fit_cox(X, time, event, **options)
    without = fit_cox(X, time, event, corrected=False, **options)
    assert without.cov_corrected is None
    assert with_it.cov_corrected is not None
    np.testing.assert_array_equal(with_it.coef, without.coef)
