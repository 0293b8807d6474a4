"""Frequencies and precisions against repetition and statsmodels."""

import numpy as np
import pytest
import statsmodels.api as sm

from semistruct.exceptions import DataError
from semistruct.families import Bernoulli, Gamma, Gaussian, InverseGaussian, Poisson
from semistruct.solvers import fit_glm

N = 150
RNG = np.random.default_rng(7)
X = np.column_stack([np.ones(N), RNG.normal(size=(N, 2))])
ETA = X @ [0.5, 0.4, -0.3]
V = RNG.uniform(0.3, 3.0, N)
COUNT = RNG.integers(0, 4, N)
PEERS = {
    "gaussian": (Gaussian(link="log"), sm.families.Gaussian(sm.families.links.Log())),
    "gamma": (Gamma(), sm.families.Gamma(sm.families.links.Log())),
    "inverse": (
        InverseGaussian(),
        sm.families.InverseGaussian(sm.families.links.Log()),
    ),
    "poisson": (Poisson(), sm.families.Poisson()),
    "bernoulli": (Bernoulli(), sm.families.Binomial()),
}
TARGETS = {
    name: family.sample(ETA[:, None], RNG, 0.1) for name, (family, _) in PEERS.items()
}


def errors(fit):
    return np.sqrt(np.diag(fit.cov))


def test_gaussian_precisions_equal_weighted_least_squares():
    y = ETA + RNG.normal(size=N) / np.sqrt(V)
    fit, peer = fit_glm([X], y, Gaussian(), var_weights=V), sm.WLS(y, X, V).fit()
    np.testing.assert_allclose(fit.coef, peer.params, rtol=1e-9)
    np.testing.assert_allclose(errors(fit), peer.bse, rtol=1e-9)
    assert fit.dispersion == pytest.approx(peer.scale, rel=1e-10)
    assert fit.loglik == pytest.approx(peer.llf, abs=1e-8)
    assert fit.n_effective == N


@pytest.mark.parametrize("name", PEERS)
def test_precisions_equal_those_of_glm(name):
    family, peer = PEERS[name]
    y = TARGETS[name]
    fit = fit_glm([X], y, family, var_weights=V)
    model = sm.GLM(y, X, family=peer, var_weights=V)
    other = model.fit(tol=1e-14, maxiter=100, start_params=fit.coef)
    np.testing.assert_allclose(fit.coef, other.params, atol=1e-7)
    np.testing.assert_allclose(errors(fit), other.bse, rtol=1e-6)
    assert fit.dispersion == pytest.approx(other.scale, rel=1e-7)


@pytest.mark.parametrize("name", PEERS)
def test_frequencies_with_precisions_equal_repetition(name):
    family, _ = PEERS[name]
    y, each = TARGETS[name], np.repeat(np.arange(N), COUNT)
    fit = fit_glm([X], y, family, sample_weight=COUNT, var_weights=V)
    other = fit_glm([X[each]], y[each], family, var_weights=V[each])
    np.testing.assert_allclose(fit.coef, other.coef, atol=1e-8)
    np.testing.assert_allclose(errors(fit), errors(other), rtol=1e-7)
    assert fit.loglik == pytest.approx(other.loglik, rel=1e-9)
    assert fit.score == pytest.approx(other.score, rel=1e-9)
    assert fit.n_effective == COUNT.sum()


def test_constant_precision_divides_the_dispersion():
    for name in ("gaussian", "gamma"):
        family, y = PEERS[name][0], TARGETS[name]
        one = fit_glm([X], y, family)
        four = fit_glm([X], y, family, var_weights=np.full(N, 4.0))
        assert four.dispersion == pytest.approx(4 * one.dispersion, rel=1e-8)
        np.testing.assert_allclose(errors(four), errors(one), rtol=1e-8)
        assert four.loglik == pytest.approx(one.loglik, abs=1e-7)


def test_bad_precisions_are_named():
    y = TARGETS["poisson"]
    zero = np.where(np.arange(N) == 3, 0.0, 1.0)
    with pytest.raises(DataError, match="row 3 holds 0"):
        fit_glm([X], y, Poisson(), var_weights=zero)
    with pytest.raises(DataError, match="var_weights has shape"):
        fit_glm([X], y, Poisson(), var_weights=np.ones(3))
