"""Misuse that gave wrong numbers, or errors that did not name their cause."""

import numpy as np
import pandas as pd
import pytest

import semistruct as ss
from semistruct import analysis
from semistruct.exceptions import (
    ColumnError,
    DataError,
    ParameterError,
    TargetError,
    UnseenLevelError,
)


@pytest.fixture(scope="module")
def table():
    rng = np.random.default_rng(0)
    n = 200
    frame = pd.DataFrame(
        {
            "x": rng.normal(size=n),
            "z": rng.uniform(size=n),
            "g": pd.Categorical(rng.choice(list("abc"), n)),
            "scan": list(rng.random((n, 8, 8)).astype(np.float32)),
        }
    )
    return frame, 1 + frame.x + np.sin(6 * frame.z) + rng.normal(size=n)


@pytest.mark.parametrize("family", ["student_t", "zero_inflated_poisson"])
def test_negative_observed_weights_leave_the_projection(table, family):
    X, _ = table
    rng = np.random.default_rng(1)
    y = X.x + rng.standard_t(2, len(X))
    if family != "student_t":
        y = rng.poisson(np.exp(X.x / 2)) * (rng.random(len(X)) > 0.4)
    exact = ss.GAM("x + s(z)", family=family).fit(X, y)
    model = ss.SemiStructuredRegressor(
        "x + s(z) + image(scan)",
        family=family,
        random_state=0,
        training=ss.Training(max_epochs=2),
    ).fit(X, y)
    assert np.isfinite(model.predict(X)).all()
    assert abs(model.coef_[0] - exact.coef_[0]) < exact.cov_params_.loc["x", "x"] ** 0.5


def test_robust_covariance_knows_precision_weights(table):
    sm = pytest.importorskip("statsmodels.api")
    X, y = table
    w = np.random.default_rng(2).uniform(0.1, 2.0, len(X))
    model = ss.GAM("x").fit(X, y, var_weights=w)
    design = sm.add_constant(X.x.to_numpy())
    oracle = sm.WLS(y.to_numpy(), design, weights=w).fit(cov_type="HC1")
    found = analysis.robust_covariance(model, X, y, var_weights=w)["std err"]
    np.testing.assert_allclose(found, oracle.bse, rtol=1e-8)


def test_robust_covariance_refuses_other_rows_and_forgotten_weights(table):
    X, y = table
    model = ss.GAM("x").fit(X, y)
    with pytest.raises(DataError, match="those of fit"):
        analysis.robust_covariance(model, X.head(50), y.head(50))
    weighted = ss.GAM("x").fit(X, y, sample_weight=np.full(len(X), 2.0))
    with pytest.raises(DataError, match="400 rows in all; got 200"):
        analysis.robust_covariance(weighted, X, y)


@pytest.mark.parametrize("terms", ["x + offset(x)", "x + tabular(x, z)"])
def test_effects_refuse_a_column_that_other_parts_read(table, terms):
    X, y = table
    training = ss.Training(max_epochs=1)
    model = ss.SemiStructuredRegressor(terms, random_state=0, training=training)
    model.fit(X, y)
    with pytest.raises(ColumnError, match="'x' too"):
        analysis.average_comparison(model, X, "x", 0, 1)


def test_effects_name_a_factor_and_an_unseen_level(table):
    X, y = table
    model = ss.GAM("x + g").fit(X, y)
    with pytest.raises(ColumnError, match="has levels"):
        analysis.average_slope(model, X, "g")
    with pytest.raises(UnseenLevelError, match="'zz'"):
        analysis.average_comparison(model, X, "g", "a", "zz")


@pytest.mark.parametrize("weights", [["x"], {"a": "x"}, {"a": {"x": np.nan}}])
def test_contrasts_check_their_weights(table, weights):
    model = ss.GAM("x").fit(*table)
    with pytest.raises(ParameterError, match="weights"):
        analysis.contrasts(model, weights)


def test_dates_are_no_response(table):
    X, _ = table
    for y in (pd.date_range("2020", periods=len(X)), pd.to_timedelta(X.x, unit="D")):
        with pytest.raises(TargetError, match="dates"):
            ss.GAM("x").fit(X, y)


def test_cox_has_a_hazard_of_each_cause(table):
    X, _ = table
    rng = np.random.default_rng(3)
    time, event = rng.exponential(size=len(X)), rng.random(len(X)) > 0.3
    cause = rng.choice(["a", "b"], len(X))
    both = ss.SemiStructuredSurvival("x").fit(X, ss.Surv(time, event, cause=cause))
    assert list(both.params_["a"].index) == ["x"]
    own = ss.Surv(time, event & (cause == "b"))
    alone = ss.SemiStructuredSurvival("x").fit(X, own)
    np.testing.assert_allclose(both.params_["b"], alone.params_, rtol=1e-10)
    one = ss.Surv(time, event, cause=np.full(len(X), "a"))
    ss.SemiStructuredSurvival("x").fit(X, one)


def test_what_is_no_table_is_named(table):
    X, y = table
    model = ss.GAM("x").fit(X, y)
    for given in (X.iloc[0], {"x": [1.0]}):
        with pytest.raises(DataError, match="must be a DataFrame"):
            model.predict(given)
    with pytest.raises(DataError, match="has none"):
        ss.GAM().fit(X[[]], y)


@pytest.mark.parametrize(
    ("terms", "hint"),
    [("x + s(x)", "holds x itself"), ("cr(x, df=4)", "constraints='center'")],
)
def test_a_redundant_basis_says_what_to_write(table, terms, hint):
    with pytest.raises(DataError, match=hint):
        ss.GAM(terms).fit(*table)


def test_diagnostics_check_their_arguments(table):
    X, y = table
    model = ss.GAM("x + s(z)").fit(X, y)
    with pytest.raises(DataError, match="200 rows, but y has 3"):
        analysis.quantile_residuals(model, X, y[:3])
    with pytest.raises(ParameterError, match="predictor"):
        analysis.concurvity(model, X, predictor=1)
