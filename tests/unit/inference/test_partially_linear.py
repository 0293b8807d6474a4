from __future__ import annotations

import numpy as np
import pytest
from sklearn.ensemble import RandomForestRegressor
from sklearn.linear_model import LinearRegression, RidgeCV

from semistruct.exceptions import DataError, InferenceWarning, ParameterError
from semistruct.inference import (
    check_clusters,
    check_share,
    cross_folds,
    cross_residuals,
    median_of_splits,
    partially_linear,
    residual_share,
    sandwich,
)


def confounded(n=600, seed=0, beta=0.5):
    """A latent that drives both the covariate and the response."""
    rng = np.random.default_rng(seed)
    U = rng.normal(size=(n, 4))
    X = np.column_stack([U[:, 0] + rng.normal(size=n), rng.normal(size=n)])
    y = X @ [beta, -1.0] + 2.0 * U[:, 0] - U[:, 1] + rng.normal(size=n)
    return X, y, U


# -- the estimate ------------------------------------------------------------------


def test_it_is_the_literal_algorithm() -> None:
    X, y, U = confounded(200)
    folds = np.arange(200) % 4
    left = np.empty((200, 3))
    for k in range(4):  # slowly, by scikit-learn
        inside, outside = folds == k, folds != k
        for j, column in enumerate([*X.T, y]):
            model = LinearRegression().fit(U[outside], column[outside])
            left[inside, j] = column[inside] - model.predict(U[inside])
    expected = np.linalg.lstsq(left[:, :2], left[:, 2], rcond=None)[0]
    fit = partially_linear(X, y, U, folds=folds, learner=LinearRegression())
    np.testing.assert_allclose(fit.coef, expected, rtol=1e-10)
    residual = left[:, 2] - left[:, :2] @ expected
    bread = np.linalg.inv(left[:, :2].T @ left[:, :2])
    cov = sandwich(left[:, :2] * residual[:, None], bread)
    np.testing.assert_allclose(fit.cov, cov, rtol=1e-10)
    np.testing.assert_allclose(fit.residual, residual, atol=1e-10)


def test_the_ridge_is_that_of_generalised_cross_validation() -> None:
    _, y, U = confounded(150)
    folds = np.arange(150) % 3
    left = cross_residuals(y[:, None], U, folds)[:, 0]
    for k in range(3):
        inside, outside = folds == k, folds != k
        u, target = U[outside], y[outside]
        center, spread = u.mean(axis=0), u.std(axis=0)
        z = (u - center) / spread
        n, best, chosen = len(u), np.inf, 0.0
        for penalty in np.logspace(-4, 6, 21) * n:
            hat = z @ np.linalg.solve(z.T @ z + penalty * np.eye(4), z.T)
            rest = target - target.mean() - hat @ (target - target.mean())
            score = rest @ rest / (n - 1 - np.trace(hat)) ** 2
            if score < best:
                best, chosen = score, penalty
        slope = np.linalg.solve(
            z.T @ z + chosen * np.eye(4), z.T @ (target - target.mean())
        )
        fitted = (U[inside] - center) / spread @ slope + target.mean()
        np.testing.assert_allclose(left[inside], y[inside] - fitted, atol=1e-9)


def test_it_recovers_the_effect_at_a_fixed_image() -> None:
    """Coverage over 200 data sets; the regression without the latents has none."""
    hit, naive = [], []
    for seed in range(200):
        X, y, U = confounded(300, seed)
        fit = partially_linear(X, y, U, seed=seed)
        se = np.sqrt(np.diag(fit.cov))
        hit.append(np.abs(fit.coef - [0.5, -1.0]) < 1.96 * se)
        naive.append(np.linalg.lstsq(X, y, rcond=None)[0][0])
    share = np.mean(hit, axis=0)
    assert (np.abs(share - 0.95) < 3 * np.sqrt(0.95 * 0.05 / 200)).all(), share
    assert np.mean(naive) > 1.2


def test_any_regressor_serves() -> None:
    rng = np.random.default_rng(0)
    U = rng.uniform(-1, 1, size=(1000, 1))
    wave = np.cos(np.pi * U)  # not linear in the latent
    X = wave + rng.normal(size=(1000, 1))
    y = 0.5 * X[:, 0] + 3.0 * wave[:, 0] + rng.normal(size=1000)
    forest = RandomForestRegressor(40, min_samples_leaf=10, random_state=0)
    error = partially_linear(X, y, U, learner=forest).coef[0] - 0.5
    linear = partially_linear(X, y, U, learner=RidgeCV()).coef[0] - 0.5
    assert abs(error) < 0.1 < 0.8 < abs(linear)


def test_one_latent_array_for_each_fold() -> None:
    X, y, U = confounded()
    folds = cross_folds(600, 3, 0)
    same = partially_linear(X, y, U, folds=folds)
    each = partially_linear(X, y, [U, 2 * U, U - 1], folds=folds)
    np.testing.assert_allclose(each.coef, same.coef, rtol=1e-6)
    turned = [U, U[::-1], U]  # the second network knows nothing: it must matter
    other = partially_linear(X, y, turned, folds=folds)
    assert abs(other.coef[0] - same.coef[0]) > 0.05


def test_weights_are_those_of_least_squares() -> None:
    X, y, U = confounded(200)
    w, folds = np.random.default_rng(1).integers(1, 4, 200), np.arange(200) % 2
    many = np.repeat(np.arange(200), w)
    linear = {"folds": folds, "learner": LinearRegression()}
    np.testing.assert_allclose(
        partially_linear(X, y, U, weight=w, **linear).coef,
        partially_linear(
            X[many], y[many], U[many], folds=folds[many], learner=LinearRegression()
        ).coef,
        rtol=1e-9,
    )


def test_clusters_are_kept_together_and_widen_the_interval() -> None:
    rng = np.random.default_rng(3)
    g = np.repeat(np.arange(60), 10)
    shared = rng.normal(size=60)[g]
    x = rng.normal(size=60)[g] + 0.1 * rng.normal(size=600)
    y, U = 0.5 * x + 2 * shared + rng.normal(size=600), rng.normal(size=(600, 2))
    clustered = partially_linear(x[:, None], y, U, clusters=g)
    rows = partially_linear(x[:, None], y, U)
    assert clustered.cov[0, 0] > 4 * rows.cov[0, 0]


def test_repeats_give_the_median_and_its_spread() -> None:
    X, y, U = confounded(120)
    each = [partially_linear(X, y, U, seed=5 + r) for r in range(3)]
    pooled = partially_linear(X, y, U, repeats=3, seed=5)
    coefs = np.array([fit.coef for fit in each])
    np.testing.assert_allclose(pooled.coef, np.median(coefs, axis=0))
    np.testing.assert_allclose(pooled.spread, coefs.std(axis=0, ddof=1))
    assert (pooled.spread > 0).all()
    assert (each[0].spread == 0).all()
    variances = [np.diag(f.cov) + (f.coef - pooled.coef) ** 2 for f in each]
    np.testing.assert_allclose(np.diag(pooled.cov), np.median(variances, axis=0))
    assert np.linalg.eigvalsh(pooled.cov).min() > 0


# -- how much is left of a covariate ----------------------------------------------


def test_the_share_is_one_less_r_squared() -> None:
    X, y, U = confounded(4000)
    fit = partially_linear(X, y, U)
    np.testing.assert_allclose(fit.residual_share, [0.5, 1.0], atol=0.03)
    assert residual_share([[1.0], [1.0]], [[0.0], [0.0]]).tolist() == [0.0]


def test_an_encoded_covariate_is_warned_of_and_refused() -> None:
    X, y, U = confounded()
    noise = np.random.default_rng(0).normal(size=600)
    X[:, 0] = U[:, 0] + 0.25 * noise
    with pytest.warns(InferenceWarning, match=r"little is left .* 'age' \(0\.0"):
        partially_linear(X, y, U, names=["age", "bmi"])
    X[:, 0] = U[:, 0] + 0.01 * noise
    with pytest.raises(DataError, match=r"'age' \(0\.000\): the deep input encodes"):
        partially_linear(X, y, U, names=["age", "bmi"])
    check_share([0.5], ["age"], "model")


# -- folds -------------------------------------------------------------------------


def test_folds_keep_groups_and_strata() -> None:
    rng = np.random.default_rng(0)
    g, event = np.repeat(np.arange(50), 4), rng.random(200) < 0.2
    for strata in (None, event):
        folds = cross_folds(200, 5, 1, groups=g, strata=strata)
        assert all(len(set(folds[g == k])) == 1 for k in range(50))
        assert np.bincount(folds).tolist() == pytest.approx([40] * 5, abs=8)
    folds = cross_folds(200, 5, 1, strata=event)
    share = np.bincount(folds, event) / np.bincount(folds)
    np.testing.assert_allclose(share, event.mean(), atol=0.03)
    assert (cross_folds(200, 5, 1) != cross_folds(200, 5, 2)).any()
    assert (cross_folds(200, 5, 1, groups=g) != cross_folds(200, 5, 2, groups=g)).any()
    rare = np.arange(200) < 2
    assert len(np.unique(cross_folds(200, 5, 1, strata=rare))) == 5
    few = np.array([0] * 190 + [1] * 5 + [2] * 5)
    assert len(np.unique(cross_folds(200, 3, 1, groups=few, strata=event))) == 3


def test_a_median_of_splits_by_hand() -> None:
    one = median_of_splits([[1.0, 2.0]], [np.eye(2)])
    assert one.coef.tolist() == [1.0, 2.0]
    assert one.spread.tolist() == [0.0, 0.0]
    with pytest.raises(DataError, match="median_of_splits: coefs must have shape"):
        median_of_splits([[1.0, 2.0]], [np.eye(3)])


# -- what cannot be used -----------------------------------------------------------


def test_constant_latents_are_warned_of() -> None:
    X, y, _ = confounded(100)
    with pytest.warns(InferenceWarning, match="latent features are constant"):
        fit = partially_linear(X, y, np.ones((100, 3)), folds=2)
    expected = np.linalg.lstsq(np.column_stack([np.ones(100), X]), y, rcond=None)[0][1:]
    np.testing.assert_allclose(fit.coef, expected, atol=0.1)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"X": np.zeros(600)}, r"X must have shape \(n, p\)"),
        ({"y": np.zeros(5)}, r"X must have shape \(n, p\)"),
        ({"X": np.random.default_rng(0).normal(size=(600, 600))}, "600 covariates"),
        ({"latent": np.full((600, 2), np.nan)}, "latent must be a matrix of finite"),
        ({"latent": np.zeros((5, 2))}, "latent must have 600 rows"),
        ({"folds": np.zeros(600)}, "all rows are in one fold"),
        ({"folds": np.zeros(5)}, "folds must have 600 rows"),
        ({"latent": [np.eye(600)] * 3, "folds": np.arange(600) % 2}, "3 arrays of"),
        ({"clusters": np.zeros(600)}, "only one cluster"),
        ({"clusters": np.zeros(5)}, r"clusters has shape \(5,\)"),
        ({"clusters": np.arange(600) % 3}, "3 groups cannot be dealt into 5 folds"),
        ({"weight": np.zeros(5)}, "weight must have 600 rows"),
    ],
)
def test_bad_data_are_named(change, words) -> None:
    X, y, U = confounded()
    given = {"X": X, "y": y, "latent": U} | change
    with pytest.raises(DataError, match=words):
        partially_linear(**given)


def test_dependent_columns_are_named() -> None:
    X, y, U = confounded()
    X = np.column_stack([X, X[:, 0] + X[:, 1], np.arange(600.0)])
    with pytest.raises(DataError, match="columns 'a', 'b', 'c' are linear comb"):
        partially_linear(X, y, U, names=list("abcd"), learner=LinearRegression())


def test_clusters_of_one_row_are_warned_of() -> None:
    with pytest.warns(InferenceWarning, match="each of the 4 clusters has one row"):
        check_clusters(list("abcd"), 4, "model")
    check_clusters(list("abca"), 4, "model")
    check_clusters(None, 4, "model")


@pytest.mark.parametrize("change", [{"repeats": 0}, {"folds": 1}])
def test_bad_numbers_are_named(change) -> None:
    with pytest.raises(ParameterError, match=next(iter(change))):
        partially_linear(*confounded(), **change)
