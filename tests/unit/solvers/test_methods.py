"""GCV, UBRE and ML against literal definitions and grids."""

from dataclasses import dataclass

import numpy as np
import pytest
from scipy import linalg, optimize, stats

from semistruct.design import DenseDesign
from semistruct.exceptions import ConvergenceWarning, ParameterError
from semistruct.families import Bernoulli, Gamma, Gaussian, NegativeBinomial, Poisson
from semistruct.solvers import fit_glm
from semistruct.solvers._least_squares import LeastSquares
from semistruct.solvers._penalty import PenaltySystem
from semistruct.solvers._prediction_error import PredictionError
from semistruct.solvers._rows import RowLikelihood

N = 120
RNG = np.random.default_rng(11)
T = np.sort(RNG.uniform(size=N))
BASIS = np.maximum(T[:, None] - np.linspace(0, 0.9, 9), 0.0)
X = np.column_stack([np.ones(N), BASIS, RNG.normal(size=(N, 3))])
TRUTH = np.sin(5 * T)
WEIGHT = RNG.integers(0, 3, N).astype(float)


@dataclass(frozen=True)
class Penalty:
    start: int
    stop: int
    matrix: np.ndarray
    rank: int
    sp: float | None = None
    label: str = "s(t)"


PENALTIES = [
    Penalty(2, 10, np.eye(8), 8),
    Penalty(10, 13, np.eye(3), 3, label="re(g)"),
]
TARGETS = {
    "gaussian": (Gaussian(), TRUTH + 0.5 * RNG.normal(size=N)),
    "poisson": (Poisson(), RNG.poisson(np.exp(1 + TRUTH)).astype(float)),
    "bernoulli": (Bernoulli(), (RNG.uniform(size=N) < 0.5 + 0.4 * TRUTH) * 1.0),
    "gamma": (Gamma(), RNG.gamma(3.0, np.exp(TRUTH))),
}
every = pytest.mark.parametrize("name", TARGETS)


def literal(name, rho):
    """Deviance, effective degrees of freedom and coefficients at given log λ."""
    family, y = TARGETS[name]
    given = [
        Penalty(p.start, p.stop, p.matrix, p.rank, float(np.exp(r)), p.label)
        for p, r in zip(PENALTIES, rho, strict=True)
    ]
    fit = fit_glm([X], y, family, penalties=[given])
    curvature = np.ones(N)
    if name == "poisson":
        curvature = np.exp(fit.linear_predictor[:, 0])
    if name == "bernoulli":
        p = 1 / (1 + np.exp(-fit.linear_predictor[:, 0]))
        curvature = p * (1 - p)
    if name == "gamma":
        curvature = y * np.exp(-fit.linear_predictor[:, 0])
    total = np.zeros((13, 13))
    for each in given:
        own = slice(each.start, each.stop)
        total[own, own] += each.sp * each.matrix
    gram = X.T @ (X * curvature[:, None])
    edf = np.trace(np.linalg.solve(gram + total, gram))
    return family.deviance(y, fit.linear_predictor), edf


def criterion(name, rho):
    deviance, edf = literal(name, rho)
    if TARGETS[name][0].has_dispersion:
        return N * deviance / (N - edf) ** 2
    return deviance / N + 2 * edf / N - 1


@every
def test_prediction_error_at_its_minimum(name):
    family, y = TARGETS[name]
    fit = fit_glm([X], y, family, penalties=[PENALTIES], method="GCV")
    assert fit.converged
    assert fit.method == ("GCV" if family.has_dispersion else "UBRE")
    assert fit.cov_corrected is None
    best = np.log(fit.sp)
    assert fit.score == pytest.approx(criterion(name, best), rel=1e-9)
    grid = np.linspace(-6, 8, 8)
    values = [criterion(name, (a, b)) for a in grid for b in grid]
    assert fit.score <= min(values) + 1e-7
    for step in np.vstack([np.eye(2), -np.eye(2)]) * 0.3:
        assert criterion(name, best + step) >= fit.score - 1e-7  # flat far out


@every
def test_prediction_error_derivatives(name):
    family, y = TARGETS[name]
    if name == "gaussian":
        likelihood = LeastSquares(DenseDesign(X), y, WEIGHT)
    else:
        likelihood = RowLikelihood(
            [DenseDesign(X)], y, family, WEIGHT, np.zeros((N, 1))
        )
    system = PenaltySystem([(0, each) for each in PENALTIES], 13)
    error = PredictionError(likelihood, system)
    rho = np.array([0.5, 1.0])
    point = error.evaluate(rho, likelihood.start())
    for j in range(2):
        step = 1e-4 * np.eye(2)[j]
        above = error.evaluate(rho + step, point.optimum.beta)
        below = error.evaluate(rho - step, point.optimum.beta)
        slope = (above.score - below.score) / 2e-4
        assert point.gradient[j] == pytest.approx(slope, abs=1e-6)
        bend = (above.gradient - below.gradient) / 2e-4
        np.testing.assert_allclose(point.hessian[j], bend, atol=1e-3)


def test_ml_equals_the_marginal_likelihood_of_a_mixed_model():
    _, y = TARGETS["gaussian"]
    fit = fit_glm([X], y, Gaussian(), penalties=[PENALTIES], method="ML")
    fixed = X[:, :2]

    def negative(z):
        cov = np.exp(z[2]) * np.eye(N)
        for own, r in ((slice(2, 10), z[0]), (slice(10, 13), z[1])):
            cov += np.exp(z[2] - r) * X[:, own] @ X[:, own].T
        half = linalg.cholesky(cov, lower=True)
        a = linalg.solve_triangular(half, fixed, lower=True)
        b = linalg.solve_triangular(half, y, lower=True)
        rest = b - a @ np.linalg.lstsq(a, b, rcond=None)[0]
        level = np.log(np.diag(half)).sum() + 0.5 * N * np.log(2 * np.pi)
        return 0.5 * rest @ rest + level

    best = optimize.minimize(negative, [0.0, 0.0, -1.0], tol=1e-9)
    assert fit.method == "ML"
    assert fit.converged
    assert fit.score == pytest.approx(best.fun, abs=1e-5)
    assert np.log(fit.sp[0]) == pytest.approx(best.x[0], abs=2e-2)


def test_ml_is_the_integral_over_the_random_effects():
    """One random coefficient of a Poisson model; the Laplace error is small."""
    y = RNG.poisson(20.0, 60).astype(float)
    x = np.column_stack([np.ones(60), np.arange(60) < 30])
    ridge = [Penalty(1, 2, np.eye(1), 1, sp=4.0)]
    fit = fit_glm([x], y, Poisson(), penalties=[ridge], method="ML")

    def negative(level):
        u = np.linspace(-3, 3, 4001)
        log = stats.norm(0, 0.5).logpdf(u)
        for row, value in zip(x, y, strict=True):
            log = log + stats.poisson(np.exp(level + u * row[1])).logpmf(value)
        return -(np.log(np.trapezoid(np.exp(log - log.max()), u)) + log.max())

    # the joint mode in the level is close to the marginal one
    assert fit.score == pytest.approx(negative(fit.coef[0]), abs=2e-3)


@every
@pytest.mark.parametrize("method", ["REML", "ML", "GCV"])
def test_given_smoothing_parameters_stay(name, method):
    family, y = TARGETS[name]
    given = [
        Penalty(2, 10, np.eye(8), 8, sp=3.0),
        Penalty(10, 13, np.eye(3), 3, sp=0.0),
    ]
    fit = fit_glm([X], y, family, penalties=[given], method=method)
    np.testing.assert_array_equal(fit.sp, [3.0, 0.0])
    free = fit_glm([X], y, family, penalties=[given[:1]], method=method)
    np.testing.assert_allclose(fit.coef, free.coef, atol=1e-7)


def test_methods_that_do_not_fit_the_family_are_refused():
    _, y = TARGETS["gaussian"]
    with pytest.raises(ParameterError, match="has a dispersion"):
        fit_glm([X], y, Gaussian(), penalties=[PENALTIES], method="UBRE")
    counts = TARGETS["poisson"][1]
    with pytest.raises(ParameterError, match="size"):
        fit_glm([X], counts, NegativeBinomial(), method="GCV")
    given = NegativeBinomial(fixed={"size": 2.0})
    fit = fit_glm([X], counts, given, penalties=[PENALTIES], method="GCV")
    assert fit.method == "UBRE"


def test_warning_names_the_term(monkeypatch):
    from semistruct.solvers import _search

    monkeypatch.setattr(_search, "MAX_STEPS", 0)
    family, y = TARGETS["poisson"]
    with pytest.warns(ConvergenceWarning, match=r"smoothing parameter of (s|re)\("):
        fit = fit_glm([X], y, family, penalties=[PENALTIES])
    assert not fit.converged
    assert fit.gradient_norm > 1e-4
    assert "sp=" in fit.message
