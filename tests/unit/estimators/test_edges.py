"""Linear predictors with errors, missing targets, classes by name, runaway fits."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm

import semistruct as ss
from semistruct.exceptions import ConvergenceWarning, DataError


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def test_linear_predictor_and_its_error(rng):
    X = pd.DataFrame(rng.normal(size=(80, 2)), columns=["a", "b"])
    y = X["a"] + rng.normal(size=80)
    ours = ss.GAM("a + b").fit(X, y).predict_linear(X)
    other = sm.OLS(y, sm.add_constant(X)).fit().get_prediction()
    np.testing.assert_allclose(ours["estimate"], other.predicted_mean, rtol=1e-8)
    np.testing.assert_allclose(ours["std err"], other.se_mean, rtol=1e-8)
    both = ss.GAM({"loc": "a", "scale": "b"}).fit(X, y).predict_linear(X)
    assert both.columns.tolist() == [
        (name, column)
        for name in ("loc", "scale")
        for column in ("estimate", "std err")
    ]


def test_missing_targets_are_dropped_on_request(rng):
    X = pd.DataFrame({"a": rng.normal(size=40)})
    y = X["a"].to_numpy() + rng.normal(size=40)
    holes = y.copy()
    holes[[3, 7]] = np.nan
    with pytest.warns(UserWarning, match="dropped 2 of 40"):
        model = ss.GAM("a", missing="drop").fit(X, holes)
    kept = np.delete(np.arange(40), [3, 7])
    other = ss.GAM("a").fit(X.iloc[kept], y[kept])
    np.testing.assert_array_equal(model.coef_, other.coef_)
    with pytest.raises(DataError, match="leaves no row"):
        ss.GAM("a", missing="drop").fit(X, np.full(40, np.nan))


@pytest.mark.parametrize("family", ["ordinal", "categorical"])
def test_classes_are_counted_where_the_family_is_a_name(rng, family):
    X = pd.DataFrame({"a": rng.normal(size=200)})
    y = np.digitize(X["a"] + rng.logistic(size=200), [-1.0, 0.5])
    named = ss.GAM("a", family=family).fit(X, y)
    given = ss.families.get_family(family, n_classes=3)
    other = ss.GAM("a", family=given).fit(X, y)
    np.testing.assert_array_equal(named.predict(X), other.predict(X))
    assert named.predict(X).shape == (200, 3)


def test_a_hazard_that_runs_away_ends_finite_with_one_warning(rng):
    x = rng.uniform(size=200)
    model = ss.SemiStructuredSurvival("s(x)")
    with pytest.warns(ConvergenceWarning, match="did not converge|run to infinity"):
        model.fit(pd.DataFrame({"x": x}), np.exp(1 + np.sin(6 * x)))
    assert np.isfinite(model.coef_).all()
    assert np.isfinite(model.cov_params_.to_numpy()).all()


def test_an_unseen_group_has_the_variance_between_groups(rng):
    X = pd.DataFrame({"g": np.repeat([f"g{i}" for i in range(30)], 10)})
    y = np.repeat(2.0 * rng.normal(size=30), 10) + rng.normal(size=300)
    model = ss.GAM("re(g)").fit(X, y)
    (smoothing,) = model.exact_.sp
    between = model.exact_.dispersion / smoothing
    new = pd.DataFrame({"g": ["other"]})
    error = model.predict_terms(new, se=True)["re(g)"][0]
    assert error == pytest.approx(np.sqrt(between))
    mean = model.cov_params_.loc["Intercept", "Intercept"]
    total = model.predict_linear(new)["std err"][0]
    assert total == pytest.approx(np.sqrt(mean + between))
    assert model.predict_terms(X, se=True)["re(g)"].max() < error


def test_other_targets_are_not_compared_and_other_models_not_pooled(rng):
    X = pd.DataFrame({"a": rng.normal(size=60)})
    y = X["a"] + rng.normal(size=60)
    with pytest.raises(DataError, match="other targets"):
        ss.compare(ss.GAM("a").fit(X, 2 * y), ss.GAM("a").fit(X, y))
    robust = ss.GAM("a", family="student_t").fit(X, y)
    with pytest.raises(DataError, match="other kinds"):
        ss.pool([ss.GAM("a").fit(X, y), robust])
