"""Robust covariances against statsmodels."""

import numpy as np
import pytest
import statsmodels.api as sm
from scipy.special import expit

from semistruct.exceptions import DataError, ParameterError
from semistruct.inference import sandwich, sandwich_chunked, score_rows

RNG = np.random.default_rng(0)
N = 150
X = np.column_stack([np.ones(N), RNG.normal(size=(N, 2))])
GROUP = RNG.integers(0, 17, N)
ETA = X @ [0.2, 0.5, -0.4] + RNG.normal(0, 0.5, 17)[GROUP]
CONTINUOUS = ETA + RNG.normal(size=N) * np.exp(0.4 * X[:, 1])
BINARY = (RNG.random(N) < expit(ETA)).astype(float)
COUNTS = RNG.poisson(np.exp(0.5 * ETA)).astype(float)


def linear(**kind):
    fit = sm.OLS(CONTINUOUS, X).fit(**kind)
    return (CONTINUOUS - X @ fit.params)[:, None], np.linalg.inv(X.T @ X), fit


def logistic(**kind):
    fit = sm.Logit(BINARY, X).fit(disp=0, tol=1e-13, **kind)
    p = expit(X @ fit.params)
    return (BINARY - p)[:, None], np.linalg.inv((X.T * (p * (1 - p))) @ X), fit


def poisson(**kind):
    model = sm.GLM(COUNTS, X, family=sm.families.Poisson())
    fit = model.fit(tol=1e-13, **kind)
    mean = np.exp(X @ fit.params)
    return (COUNTS - mean)[:, None], np.linalg.inv((X.T * mean) @ X), fit


MODELS = pytest.mark.parametrize("model", [linear, logistic, poisson])


def close(ours, peer):
    size = np.abs(peer.cov_params()).max()
    np.testing.assert_allclose(ours, peer.cov_params(), rtol=1e-8, atol=1e-8 * size)


@MODELS
def test_robust_equals_statsmodels(model):
    gradient, bread, peer = model(cov_type="HC0")
    close(sandwich(score_rows([X], gradient), bread, hc="HC0"), peer)


def test_robust_with_its_factor_equals_statsmodels():
    """Of linear models only: elsewhere statsmodels' HC1 is its HC0."""
    gradient, bread, peer = linear(cov_type="HC1")
    close(sandwich(score_rows([X], gradient), bread, hc="HC1"), peer)


def test_logistic_equals_sandwich_of_r(reference, table):
    ref, frame = reference["sandwich"], table("fair")[::10]
    x = np.column_stack([np.ones(len(frame)), frame[["age", "yrs_married"]]])
    y = (frame["affairs"] > 0).astype(float)
    p = expit(x @ np.array(ref["coef"]))
    rows = score_rows([x], (y - p).to_numpy()[:, None])
    bread = np.linalg.inv((x.T * (p * (1 - p))) @ x)
    groups = frame["occupation"]
    np.testing.assert_allclose(sandwich(rows, bread, hc="HC0"), ref["hc0"], rtol=1e-6)
    np.testing.assert_allclose(sandwich(rows, bread), ref["hc1"], rtol=1e-6)
    np.testing.assert_allclose(sandwich(rows, bread, groups), ref["cl"], rtol=1e-6)


@MODELS
@pytest.mark.parametrize("hc", ["HC0", "HC1"])
def test_cluster_equals_statsmodels(model, hc):
    options = {"groups": GROUP, "use_correction": hc == "HC1"}
    gradient, bread, peer = model(cov_type="cluster", cov_kwds=options)
    close(sandwich(score_rows([X], gradient), bread, GROUP, hc), peer)


@MODELS
@pytest.mark.parametrize("clusters", [None, GROUP, GROUP.astype(str)])
def test_chunks_equal_the_whole(model, clusters):
    gradient, bread, _ = model()
    chunks = (
        ([X[i]], gradient[i], None if clusters is None else clusters[i])
        for i in np.array_split(np.arange(N), 7)
    )
    ours = sandwich_chunked(chunks, bread)
    whole = sandwich(score_rows([X], gradient), bread, clusters)
    np.testing.assert_allclose(ours, whole, rtol=1e-10)


def test_rows_of_several_predictors_are_derivatives():
    """Scores of a gaussian location-scale model against finite differences."""
    z, beta = X[:, :2], np.array([0.1, 0.4, -0.3, 0.2, 0.1])

    def loglik(b):
        residual = CONTINUOUS - X @ b[:3]
        log_sd = z @ b[3:]
        return -log_sd - 0.5 * residual**2 * np.exp(-2 * log_sd)

    residual, precision = CONTINUOUS - X @ beta[:3], np.exp(-2 * z @ beta[3:])
    gradient = np.column_stack([residual * precision, residual**2 * precision - 1])
    step = 1e-5 * np.eye(5)
    numeric = np.column_stack(
        [(loglik(beta + h) - loglik(beta - h)) / 2e-5 for h in step]
    )
    np.testing.assert_allclose(score_rows([X, z], gradient), numeric, atol=1e-7)


def test_single_row_clusters_are_hc0():
    gradient, bread, _ = linear()
    rows = score_rows([X], gradient)
    each = sandwich(rows, bread, np.arange(N), "HC0")
    np.testing.assert_allclose(each, sandwich(rows, bread, hc="HC0"))


def test_effective_parameters_enter_the_factor():
    gradient, bread, _ = linear()
    rows = score_rows([X], gradient)
    plain = sandwich(rows, bread, hc="HC0")
    ours = sandwich(rows, bread, n_parameters=2.5)
    np.testing.assert_allclose(ours, plain * N / (N - 2.5))


def test_refusals():
    rows = np.ones((4, 1))
    with pytest.raises(ParameterError, match="HC0"):
        sandwich(rows, [[1.0]], hc="HC3")
    with pytest.raises(DataError, match="one cluster"):
        sandwich(rows, [[1.0]], np.zeros(4))
    with pytest.raises(DataError, match="one label for each"):
        sandwich(rows, [[1.0]], np.zeros(3))
    with pytest.raises(DataError, match="more rows"):
        sandwich(rows, [[1.0]], n_parameters=4)
    with pytest.raises(DataError, match="one column for each"):
        score_rows([rows], np.ones((4, 2)))
    mixed = [([rows], rows, None), ([rows], rows, np.arange(4))]
    with pytest.raises(DataError, match="some do not"):
        sandwich_chunked(mixed, [[1.0]])
