"""Precision weights in intervals, quantiles and residuals; Firth; plain messages."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

import semistruct as ss
from semistruct.exceptions import (
    DataError,
    NotFittedError,
    ParameterError,
    UnseenLevelError,
)
from semistruct.families import get_family, get_link

RNG = np.random.default_rng(0)
N = 400
TABLE = pd.DataFrame({"x": RNG.normal(size=N), "g": RNG.integers(0, 3, size=N)})
PRECISE = RNG.choice([0.25, 4.0], size=N)
MU = 1.0 + TABLE["x"].to_numpy()
Y = MU + RNG.normal(size=N) / np.sqrt(PRECISE)


@pytest.fixture(scope="module")
def model():
    return ss.GAM("x").fit(TABLE, Y, var_weights=PRECISE)


def test_gaussian_intervals_are_those_of_weighted_least_squares(model):
    found = model.predict(TABLE, interval=0.9, var_weights=PRECISE)
    x = np.column_stack([np.ones(N), TABLE["x"]])
    phi = model.exact_.dispersion
    inverse = np.linalg.inv(x.T @ (PRECISE[:, None] * x))
    spread = np.sqrt(phi / PRECISE + phi * np.einsum("ij,jk,ik->i", x, inverse, x))
    half = stats.t.ppf(0.95, N - 2) * spread
    np.testing.assert_allclose(found["upper"], model.predict(TABLE) + half, rtol=1e-8)
    inside = (found["lower"] <= Y) & (found["upper"] >= Y)
    for value in (0.25, 4.0):
        assert 0.84 <= inside[value == PRECISE].mean() <= 0.96
    plain = model.predict(TABLE, interval=0.9)
    ones = model.predict(TABLE, interval=0.9, var_weights=np.ones(N))
    pd.testing.assert_frame_equal(plain, ones)


def test_residuals_are_normal_with_the_weights_only(model):
    right = ss.analysis.quantile_residuals(model, TABLE, Y, var_weights=PRECISE)
    wrong = ss.analysis.quantile_residuals(model, TABLE, Y)
    assert stats.kstest(right, "norm").pvalue > 0.01
    for value in (0.25, 4.0):
        assert 0.85 < right[value == PRECISE].std() < 1.15
        assert not 0.6 < wrong[value == PRECISE].std() < 1.4
    plot = ss.analysis.worm(model, TABLE, Y, var_weights=PRECISE)
    np.testing.assert_allclose(plot.theoretical + plot.deviation, np.sort(right))
    flat = ss.analysis.pit_histogram(model, TABLE, Y, 4, var_weights=PRECISE)
    assert np.abs(flat.density - 1.0).max() < 0.25


def test_gamma_quantiles_divide_the_dispersion():
    y = RNG.gamma(3.0 * PRECISE, np.exp(MU) / (3.0 * PRECISE))
    fit = ss.GAM("x", family="gamma").fit(TABLE, y, var_weights=PRECISE)
    shape = PRECISE / fit.exact_.dispersion
    expected = stats.gamma.ppf(0.8, shape, scale=fit.predict(TABLE) / shape)
    found = fit.predict_quantiles(TABLE, [0.1, 0.8], var_weights=PRECISE)
    np.testing.assert_allclose(found[0.8], expected, rtol=1e-8)
    residuals = ss.analysis.quantile_residuals(fit, TABLE, y, var_weights=PRECISE)
    assert stats.kstest(residuals, "norm").pvalue > 0.01


def test_what_weights_may_not_be(model):
    with pytest.raises(DataError, match="greater than 0; row 0"):
        model.predict(TABLE, interval=0.9, var_weights=np.arange(N))
    with pytest.raises(DataError, match="shape"):
        model.predict_quantiles(TABLE, 0.5, var_weights=np.ones(3))
    with pytest.raises(ParameterError, match="None without an interval"):
        model.predict(TABLE, var_weights=PRECISE)
    poisson = ss.GAM("x", family="poisson").fit(TABLE, RNG.poisson(2, size=N))
    with pytest.raises(ParameterError, match="poisson has no dispersion to divide"):
        poisson.predict(TABLE, interval=0.9, var_weights=PRECISE)


@pytest.mark.parametrize("family", ["bernoulli", "binomial"])
def test_firth_is_finite_under_separation_and_equals_the_classifier(family):
    x = pd.DataFrame({"x": np.arange(20.0)})
    y = (x["x"] > 9.5).to_numpy() * 1
    target = np.column_stack([y, 1 - y]) if family == "binomial" else y
    found = ss.GAM("x", family=family, firth=True).fit(x, target)
    peer = ss.SemiStructuredClassifier("x", firth=True).fit(x, y)
    assert found.exact_.converged
    np.testing.assert_allclose(found.params_, peer.params_, rtol=1e-6)


def test_firth_poisson_and_refusals():
    x = pd.DataFrame({"x": [0.0] * 10 + [1.0] * 10})
    y = np.array([0] * 10 + [2] * 10)
    found = ss.GAM("x", family="poisson", firth=True).fit(x, y)
    # each group on its own: the mode of Σ y + ½ log μ is (Σ y + ½) / n
    np.testing.assert_allclose(found.predict(x.iloc[[0, -1]]), [0.05, 2.05], rtol=1e-6)
    with pytest.raises(ParameterError, match="firth"):
        ss.GAM("s(x, k=4)", family="poisson", firth=True).fit(TABLE, y.repeat(20))
    with pytest.raises(ParameterError, match="firth"):
        ss.GAM("x", firth=True).fit(TABLE, Y)
    with pytest.raises(ParameterError, match="'firth' of GAM"):
        ss.GAM("x", firth="yes").fit(TABLE, Y)


def test_robust_errors_of_a_median_estimate_the_density():
    rng = np.random.default_rng(5)
    table = pd.DataFrame({"x": rng.normal(size=4000)})
    y = 1.0 + table["x"].to_numpy() + rng.normal(size=4000)
    fit = ss.GAM("x", family="laplace").fit(table, y)
    robust = ss.analysis.robust_covariance(fit, table, y)["std err"]
    # var of a median of normal errors: π/2n; Laplace's density would give 2/πn
    np.testing.assert_allclose(robust, np.sqrt(np.pi / 2 / 4000), rtol=0.1)
    own = np.sqrt(np.diag(fit.exact_.cov))
    np.testing.assert_allclose(own, np.sqrt(2 / np.pi / 4000), rtol=0.05)
    flat = np.where(np.arange(4000) < 3500, 1.0, y)
    level = ss.GAM("1", family="laplace").fit(table, flat)
    with pytest.raises(DataError, match="half of the residuals are 0"):
        ss.analysis.robust_covariance(level, table, flat)


# -- messages ----------------------------------------------------------------------


def test_messages_show_plain_numbers():
    fit = ss.GAM("C(g)").fit(TABLE, Y)
    with pytest.raises(UnseenLevelError, match="has the level 7 in row 0 "):
        fit.predict(TABLE.assign(g=7))
    with pytest.raises(ParameterError, match=r"got 2\.0\."):
        fit.predict(TABLE, interval=np.float64(2.0))
    with pytest.raises(ParameterError, match=r"got 3\."):
        ss.GAM("x", max_bins=np.int64(3)).fit(TABLE, Y)


@pytest.mark.parametrize("q", ["a", ["a", "b"], [[0.1, 0.2]], None])
def test_quantiles_that_are_no_numbers(model, q):
    with pytest.raises(ParameterError, match=r"'q' of GAM\.predict_quantiles"):
        model.predict_quantiles(TABLE, q)


def test_plots_of_what_is_not_fitted():
    with pytest.raises(NotFittedError):
        ss.plots.terms(ss.GAM("s(x)"))
    with pytest.raises(NotFittedError):
        ss.plots.history(ss.GAM("s(x)"))


def test_a_link_of_another_class_is_refused_before_it_is_lost():
    class MyLog(type(get_link("log"))):
        pass

    with pytest.raises(ParameterError, match="could not be saved; got 'MyLog'"):
        get_family("gamma", link=MyLog())
