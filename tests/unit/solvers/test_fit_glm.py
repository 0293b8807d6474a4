"""Maximum likelihood against statsmodels, weights, ranks, separation."""

import pickle

import numpy as np
import pytest
import statsmodels.api as sm
from sklearn.exceptions import ConvergenceWarning
from statsmodels.datasets import longley

from semistruct.exceptions import DataError, ParameterError, TargetError
from semistruct.families import Bernoulli, Categorical, Gaussian, Poisson
from semistruct.solvers import RankDeficiencyError, fit_glm

RNG = np.random.default_rng(20)
N = 300
PLAIN = np.column_stack([np.ones(N), RNG.normal(size=(N, 2)), RNG.uniform(size=N)])
ETA = PLAIN @ [0.2, 0.8, -0.5, 0.4]
BINARY = (RNG.uniform(size=N) < 1 / (1 + np.exp(-ETA))).astype(float)


def errors(fit):
    return np.sqrt(np.diag(fit.cov))


def awkward():
    """Columns of very different sizes and means."""
    year = 1990.0 + RNG.integers(0, 20, N)
    big, small = 3e6 + 1e5 * PLAIN[:, 1], 1e-4 * PLAIN[:, 2]
    return np.column_stack([np.ones(N), big, small, year])


def clock():
    """Seconds since 1970 within one day."""
    return np.column_stack([np.ones(N), 1.7e9 + 1e5 * PLAIN[:, 3], PLAIN[:, 1]])


@pytest.mark.parametrize("x", [PLAIN, awkward(), clock()], ids=["plain", "big", "time"])
def test_gaussian_equals_ols(x):
    y = 10.0 + ETA + RNG.normal(size=N)
    fit, peer = fit_glm([x], y, Gaussian()), sm.OLS(y, x).fit()
    np.testing.assert_allclose(fit.coef, peer.params, rtol=1e-8)
    np.testing.assert_allclose(errors(fit), peer.bse, rtol=1e-8)
    assert fit.loglik == pytest.approx(peer.llf, abs=1e-8)
    assert fit.dispersion == pytest.approx(peer.scale, rel=1e-10)
    assert fit.converged
    assert fit.message == "converged"
    assert fit.edf.sum() == x.shape[1] == fit.nullity
    np.testing.assert_array_equal(fit.cov, fit.cov_frequentist)
    assert fit.cov_corrected is None


def test_gaussian_on_longley():
    data = longley.load_pandas()
    x = sm.add_constant(data.exog).to_numpy()
    fit, peer = fit_glm([x], data.endog, Gaussian()), sm.OLS(data.endog, x).fit()
    np.testing.assert_allclose(fit.coef, peer.params, rtol=1e-8)
    np.testing.assert_allclose(errors(fit), peer.bse, rtol=1e-8)


def test_bernoulli_equals_logit():
    fit = fit_glm([PLAIN], BINARY, Bernoulli())
    peer = sm.Logit(BINARY, PLAIN).fit(disp=0, tol=1e-14, method="newton")
    np.testing.assert_allclose(fit.coef, peer.params, atol=1e-8)
    np.testing.assert_allclose(errors(fit), peer.bse, rtol=1e-8)
    assert fit.loglik == pytest.approx(peer.llf, abs=1e-8)
    p = peer.predict()
    np.testing.assert_allclose(fit.working_weight[:, 0], p * (1 - p), atol=1e-8)
    assert fit.n_effective == N


def test_categorical_equals_mnlogit():
    y = RNG.integers(0, 3, N) + (RNG.uniform(size=N) < 0.3)
    fit = fit_glm([PLAIN] * 3, y, Categorical(4))
    peer = sm.MNLogit(y, PLAIN).fit(disp=0, tol=1e-14, method="newton")
    by_class = np.stack([fit.coef[part] for part in fit.slices], axis=1)
    np.testing.assert_allclose(by_class, peer.params, atol=1e-7)
    np.testing.assert_allclose(errors(fit), peer.bse.T.ravel(), rtol=1e-7)
    assert fit.loglik == pytest.approx(peer.llf, abs=1e-7)


def test_poisson_with_offset_equals_glm():
    offset = RNG.normal(size=N)
    y = RNG.poisson(np.exp(0.5 * ETA + offset))
    fit = fit_glm([PLAIN], y, Poisson(), offset=offset)
    family = sm.families.Poisson()
    peer = sm.GLM(y, PLAIN, family=family, offset=offset).fit(tol=1e-14)
    np.testing.assert_allclose(fit.coef, peer.params, atol=1e-8)
    np.testing.assert_allclose(errors(fit), peer.bse, rtol=1e-8)
    assert fit.loglik == pytest.approx(peer.llf, abs=1e-8)
    np.testing.assert_allclose(fit.linear_predictor[:, 0], PLAIN @ fit.coef + offset)


def test_gaussian_offset_is_subtracted():
    y = ETA + RNG.normal(size=N)
    offset = RNG.normal(size=N)
    fit = fit_glm([PLAIN], y, Gaussian(), offset=offset)
    plain = fit_glm([PLAIN], y - offset, Gaussian())
    np.testing.assert_allclose(fit.coef, plain.coef, atol=1e-12)
    np.testing.assert_allclose(fit.linear_predictor[:, 0], PLAIN @ fit.coef + offset)


def test_predictors_may_have_different_designs():
    y = RNG.integers(0, 3, N)
    fit = fit_glm([PLAIN, PLAIN[:, :2]], y, Categorical(3))
    assert fit.slices == (slice(0, 4), slice(4, 6))
    assert fit.converged
    assert fit.linear_predictor.shape == (N, 2)
    p = np.exp(fit.linear_predictor)
    p /= 1 + p.sum(axis=1, keepdims=True)
    residual = np.eye(3)[y][:, 1:] - p
    np.testing.assert_allclose(PLAIN.T @ residual[:, 0], 0, atol=1e-8)
    np.testing.assert_allclose(PLAIN[:, :2].T @ residual[:, 1], 0, atol=1e-8)


def test_no_columns_at_all():
    fit = fit_glm([np.zeros((N, 0))], BINARY, Bernoulli())
    assert fit.loglik == pytest.approx(N * np.log(0.5))
    assert fit.coef.shape == (0,)


@pytest.mark.parametrize(
    ("x", "redundant"),
    [
        (np.column_stack([PLAIN, PLAIN[:, 1] + 2 * PLAIN[:, 2]]), (4,)),
        (np.column_stack([PLAIN, 5 * np.ones(N), PLAIN[:, 3]]), (4, 5)),
        (np.column_stack([np.zeros(N), PLAIN]), (0,)),
        (np.column_stack([PLAIN, 1e-9 * PLAIN[:, 1]]), (4,)),
    ],
)
@pytest.mark.parametrize("family", [Gaussian(), Bernoulli()], ids=lambda f: f.name)
def test_redundant_columns_are_named(x, redundant, family):
    with pytest.raises(RankDeficiencyError, match="rank deficient") as error:
        fit_glm([x], BINARY, family)
    assert error.value.columns == redundant
    assert set(redundant) <= set(error.value.involved)
    assert pickle.loads(pickle.dumps(error.value)).columns == redundant


def test_redundant_column_of_the_second_predictor():
    y = RNG.integers(0, 3, N)
    with pytest.raises(RankDeficiencyError) as error:
        fit_glm([PLAIN, np.column_stack([PLAIN, PLAIN[:, 1]])], y, Categorical(3))
    assert error.value.columns == (8,)


def test_rank_counts_only_rows_with_weight():
    weight = (np.arange(N) < 100).astype(float)
    x = np.column_stack([PLAIN, np.arange(N) >= 100])
    with pytest.raises(RankDeficiencyError) as error:
        fit_glm([x], BINARY, Gaussian(), sample_weight=weight)
    assert error.value.columns == (4,)


def test_too_few_rows():
    with pytest.raises(RankDeficiencyError):
        fit_glm([PLAIN[:3]], BINARY[:3], Gaussian())
    with pytest.raises(DataError, match="4 rows"):
        fit_glm([PLAIN[:4]], BINARY[:4], Gaussian())


def group(count):
    return (np.arange(N) < count).astype(float)


SEPARATED = {
    "perfect": ([PLAIN[:, :2]], (PLAIN[:, 1] > 0).astype(float), Bernoulli(), (1,)),
    "quasi": (
        [np.column_stack([PLAIN, group(20)])],
        np.where(group(20) > 0, 1.0, BINARY),
        Bernoulli(),
        (4,),
    ),
    "one class": ([PLAIN[:, :1]], np.ones(N), Bernoulli(), (0,)),
    "class": (
        [np.column_stack([PLAIN, group(20)])] * 2,
        np.where(group(20) > 0, 1, RNG.integers(0, 3, N)),
        Categorical(3),
        (4,),
    ),
    "no events": (
        [np.column_stack([PLAIN, group(20)])],
        np.where(group(20) > 0, 0, RNG.poisson(2.0, N)),
        Poisson(),
        (4,),
    ),
}


@pytest.mark.parametrize("name", SEPARATED)
def test_separation_ends_finite_and_is_named(name):
    designs, y, family, diverging = SEPARATED[name]
    with pytest.warns(ConvergenceWarning, match="separation"):
        fit = fit_glm(designs, y, family)
    assert not fit.converged
    assert fit.diverging == diverging
    assert np.isfinite(fit.coef).all()
    assert np.isfinite(fit.cov).all()
    assert np.isfinite(fit.loglik)
    assert fit.n_iter < 60


def test_strong_effects_are_not_taken_for_separation():
    x = np.column_stack([np.ones(400), np.linspace(-8, 8, 400)])
    y = (x[:, 1] > 0).astype(float)
    y[198:202] = [1, 0, 1, 0]
    fit = fit_glm([x], y, Bernoulli())
    peer = sm.Logit(y, x).fit(disp=0, tol=1e-14, method="newton", maxiter=100)
    assert fit.converged
    np.testing.assert_allclose(fit.coef, peer.params, rtol=1e-8, atol=1e-12)


def test_constant_and_exact_responses():
    fit = fit_glm([PLAIN], np.zeros(N), Gaussian())
    np.testing.assert_array_equal(fit.coef, 0)
    exact = fit_glm([PLAIN], ETA, Gaussian())
    np.testing.assert_allclose(exact.coef, [0.2, 0.8, -0.5, 0.4], atol=1e-12)
    assert np.isfinite(exact.cov).all()
    assert exact.converged


def test_units_of_y_do_not_matter():
    y = ETA + RNG.normal(size=N)
    fit = fit_glm([PLAIN], y, Gaussian())
    for unit in (1e-12, 1e12):
        other = fit_glm([PLAIN], y * unit, Gaussian())
        assert other.converged
        np.testing.assert_allclose(other.coef, fit.coef * unit, rtol=1e-10)


def test_bad_input_is_named():
    y = BINARY
    cases = [
        ({"sample_weight": np.ones(3)}, "sample_weight has shape"),
        ({"sample_weight": -np.ones(N)}, "row 0 holds"),
        ({"sample_weight": np.zeros(N)}, "0 in every row"),
        ({"offset": np.ones((N, 2))}, "offset has shape"),
        ({"offset": np.full(N, np.nan)}, "first in row 0"),
    ]
    for options, text in cases:
        with pytest.raises(DataError, match=text):
            fit_glm([PLAIN], y, Bernoulli(), **options)
    with pytest.raises(DataError, match="linear predictor"):
        fit_glm([PLAIN, PLAIN], y, Bernoulli())
    with pytest.raises(DataError, match="rows"):
        fit_glm([PLAIN[:10]], y, Bernoulli())
    with pytest.raises(DataError, match="two dimensions"):
        fit_glm([y], y, Bernoulli())
    spoiled = PLAIN.copy()
    spoiled[7, 2] = np.inf
    with pytest.raises(DataError, match="row 7, column 2"):
        fit_glm([spoiled], y, Bernoulli())
    with pytest.raises(TargetError):
        fit_glm([PLAIN], y + 0.5, Bernoulli())
    with pytest.raises(ParameterError, match="REML"):
        fit_glm([PLAIN], y, Bernoulli(), method="AIC")
