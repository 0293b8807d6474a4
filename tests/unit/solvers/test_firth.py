"""Firth's penalty against a slow literal maximisation."""

import warnings

import numpy as np
import pytest
from scipy import optimize

from semistruct.exceptions import ParameterError
from semistruct.families import Bernoulli, Binomial, Gamma, Gaussian, Poisson
from semistruct.solvers import fit_glm

N = 60
RNG = np.random.default_rng(2)
X = np.column_stack([np.ones(N), RNG.normal(size=(N, 2))])
BINARY = (RNG.uniform(size=N) < 1 / (1 + np.exp(-X @ [0.2, 1.0, -0.5]))) * 1.0
COUNTS = RNG.poisson(np.exp(X @ [0.1, 0.4, 0.2])).astype(float)
WEIGHT = RNG.integers(1, 3, N).astype(float)


def literal(y, name, weight):
    """Maximise ℓ + ½ log|X'WX| without derivatives of the determinant."""

    def negative(beta):
        eta = X @ beta
        if name == "poisson":
            value, curvature = y * eta - np.exp(eta), np.exp(eta)
        else:
            p = 1 / (1 + np.exp(-eta))
            value, curvature = y * eta - np.logaddexp(0, eta), p * (1 - p)
        gram = X.T @ (X * (weight * curvature)[:, None])
        return -weight @ value - 0.5 * np.linalg.slogdet(gram)[1]

    tight = {"xatol": 1e-10, "fatol": 1e-12, "maxiter": 20_000, "maxfev": 20_000}
    best = optimize.minimize(negative, np.zeros(3), method="Nelder-Mead", options=tight)
    return best.x


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize(("family", "y"), [(Bernoulli(), BINARY), (Poisson(), COUNTS)])
def test_same_mode(family, y, weighted):
    weight = WEIGHT if weighted else np.ones(N)
    fit = fit_glm([X], y, family, sample_weight=weight, firth=True)
    assert fit.converged
    np.testing.assert_allclose(fit.coef, literal(y, family.name, weight), atol=1e-6)
    np.testing.assert_allclose(fit.cov, np.linalg.inv(fit.information), rtol=1e-8)
    plain = fit_glm([X], y, family, sample_weight=weight)
    assert fit.loglik < plain.loglik


def test_intercept_alone_adds_half_a_success_and_half_a_failure():
    fit = fit_glm([X[:, :1]], BINARY, Bernoulli(), firth=True)
    odds = (BINARY.sum() + 0.5) / (N - BINARY.sum() + 0.5)
    assert fit.coef[0] == pytest.approx(np.log(odds), abs=1e-9)
    whole = np.array([[BINARY.sum(), N - BINARY.sum()]])
    other = fit_glm([np.ones((1, 1))], whole, Binomial(), firth=True)
    assert other.coef[0] == pytest.approx(fit.coef[0], abs=1e-9)


def test_estimates_are_finite_under_separation():
    y = (X[:, 1] > 0).astype(float)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fit = fit_glm([X], y, Bernoulli(), firth=True)
    assert fit.converged
    assert fit.diverging == ()
    np.testing.assert_allclose(fit.coef, literal(y, "bernoulli", np.ones(N)), atol=1e-5)
    assert np.sqrt(np.diag(fit.cov)).max() < 10


def test_refused_where_it_is_not_defined():
    for family, y in ((Gaussian(), BINARY), (Gamma(), COUNTS + 1)):
        with pytest.raises(ParameterError, match="firth"):
            fit_glm([X], y, family, firth=True)
    with pytest.raises(ParameterError, match="firth"):
        fit_glm([X], BINARY, Bernoulli(link="probit"), firth=True)
