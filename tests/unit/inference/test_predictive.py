"""Intervals of means and of new responses."""

import numpy as np
import pytest
import statsmodels.api as sm
from scipy import stats
from scipy.special import expit

from semistruct.exceptions import ParameterError
from semistruct.inference import (
    delta_mean,
    prediction_interval,
    predictive_interval_gaussian,
)

RNG = np.random.default_rng(0)
X = np.column_stack([np.ones(40), RNG.normal(size=40)])
Y = X @ [1.0, 2.0] + RNG.normal(size=40)


def test_gaussian_interval_equals_ols():
    fit = sm.OLS(Y, X).fit()
    peer = fit.get_prediction(X[:6])
    ours = predictive_interval_gaussian(
        peer.predicted_mean, peer.se_mean, np.sqrt(fit.scale), 0.9, 38
    )
    limits = peer.conf_int(obs=True, alpha=0.1)
    np.testing.assert_allclose(np.column_stack(ours), limits)


def test_delta_method_equals_glm():
    binary = (Y > 1).astype(float)
    fit = sm.GLM(binary, X, family=sm.families.Binomial()).fit()
    peer = fit.get_prediction(X[:6])
    eta = X[:6] @ fit.params
    error = np.sqrt(np.einsum("ij,jk,ik->i", X[:6], fit.cov_params(), X[:6]))
    ours = delta_mean(eta, error, expit, lambda e: expit(e) * expit(-e))
    np.testing.assert_allclose(ours.estimate, peer.predicted_mean)
    np.testing.assert_allclose(ours.std_error, peer.se_mean)
    limits = np.column_stack([ours.lower, ours.upper])
    np.testing.assert_allclose(limits, peer.conf_int())


def test_limits_of_a_falling_link_are_in_order():
    band = delta_mean([2.0], [0.1], lambda e: 1 / e, lambda e: -1 / e**2)
    assert band.lower[0] < 0.5 < band.upper[0]
    assert band.std_error[0] == pytest.approx(0.025)


def test_quantile_interval():
    law = stats.gamma([2.0, 5.0])
    lower, upper = prediction_interval(law.ppf, 0.8)
    np.testing.assert_allclose(law.cdf(upper) - law.cdf(lower), 0.8)
    with pytest.raises(ParameterError, match="level"):
        prediction_interval(law.ppf, 1.0)
