"""Without deep terms the estimators are what other tools compute, and train nothing."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
from scipy.stats import norm

import semistruct as ss

REFERENCES = Path(__file__).parents[2] / "references"
COLUMNS = "fin + age + race + wexp + mar + paro + prio"


@pytest.fixture(autouse=True)
def no_engine(monkeypatch):
    """A model without deep terms never starts the engine."""

    def refuse(*args, **kwargs):
        raise AssertionError("the engine was started")

    for module in ("estimators._deep_stage", "engine._train", "engine"):
        monkeypatch.setattr(f"semistruct.{module}.train", refuse)


@pytest.fixture(scope="module")
def table() -> pd.DataFrame:
    rng = np.random.default_rng(3)
    n = 180
    return pd.DataFrame(
        {
            "x": rng.normal(size=n),
            "z": rng.uniform(10, 20, size=n),
            "g": rng.choice(list("abc"), size=n),
        }
    )


def dummies(table: pd.DataFrame) -> np.ndarray:
    x, z, g = table["x"], table["z"], table["g"]
    columns = [np.ones(len(table)), x, z, g == "b", g == "c", x * z]
    return np.column_stack(columns).astype(np.float64)


TERMS = "x + z + C(g) + x:z"


def ordered(model) -> tuple[list[int], np.ndarray]:
    """Where Intercept, x, z, g[b], g[c], x:z stand among the coefficients."""
    names = list(model.params_.index)
    wanted = ["Intercept", "x", "z", "C(g)[T.b]", "C(g)[T.c]", "x:z"]
    at = [names.index(name) for name in wanted]
    return at, model.params_.to_numpy()[at]


def test_regressor_is_ordinary_least_squares(table):
    y = dummies(table) @ [1, 2, 0.3, -1, 0.5, 0.1] + np.random.default_rng(0).normal(
        size=len(table)
    )
    model = ss.SemiStructuredRegressor(TERMS).fit(table, y)
    oracle = sm.OLS(y, dummies(table)).fit()
    at, coef = ordered(model)
    np.testing.assert_allclose(coef, oracle.params, rtol=1e-8, atol=1e-8)
    se = np.sqrt(np.diag(model.cov_params_))[at]
    np.testing.assert_allclose(se, oracle.bse, rtol=1e-8)
    assert model.intercept_ == pytest.approx(oracle.params[0], rel=1e-8)
    assert model.exact_.dispersion == pytest.approx(oracle.scale, rel=1e-10)
    assert model.score(table, y) == pytest.approx(oracle.rsquared, abs=1e-12)
    shown = model.summary().coefficients.iloc[at]
    np.testing.assert_allclose(shown["std err"], oracle.bse, rtol=1e-8)
    np.testing.assert_allclose(shown["P>|t|"], oracle.pvalues, rtol=1e-6, atol=1e-14)
    np.testing.assert_allclose(
        shown[["[0.025", "0.975]"]], oracle.conf_int(), rtol=1e-7
    )


def test_poisson_regressor_is_statsmodels_glm(table):
    eta = dummies(table)[:, :5] @ [0.1, 0.4, 0.02, -0.3, 0.2]
    y = np.random.default_rng(1).poisson(np.exp(eta))
    model = ss.SemiStructuredRegressor(TERMS, family="poisson").fit(table, y)
    family = sm.families.Poisson()
    oracle = sm.GLM(y, dummies(table), family=family).fit(tol=1e-14, maxiter=50)
    at, coef = ordered(model)
    np.testing.assert_allclose(coef, oracle.params, rtol=1e-8, atol=1e-8)
    se = np.sqrt(np.diag(model.cov_params_))[at]
    np.testing.assert_allclose(se, oracle.bse, rtol=1e-8)
    np.testing.assert_allclose(model.predict(table), oracle.predict(), rtol=1e-8)


def test_classifier_is_logit(table):
    eta = dummies(table) @ [-3, 1, 0.2, -1, 0.5, 0]
    y = np.random.default_rng(2).random(len(table)) < 1 / (1 + np.exp(-eta))
    model = ss.SemiStructuredClassifier(TERMS).fit(table, np.where(y, "yes", "no"))
    oracle = sm.Logit(y.astype(float), dummies(table)).fit(disp=0, tol=1e-14)
    at, coef = ordered(model)
    np.testing.assert_allclose(coef, oracle.params, rtol=1e-8, atol=1e-8)
    se = np.sqrt(np.diag(model.cov_params_))[at]
    np.testing.assert_allclose(se, oracle.bse, rtol=1e-8)
    assert model.classes_.tolist() == ["no", "yes"]
    proba = model.predict_proba(table)
    np.testing.assert_allclose(proba[:, 1], oracle.predict(), rtol=1e-8)
    np.testing.assert_allclose(proba.sum(axis=1), 1, rtol=1e-12)
    log_odds = np.log(proba[:, 1] / proba[:, 0])
    np.testing.assert_allclose(model.decision_function(table), log_odds, rtol=1e-6)
    assert model.predict(table).tolist() == [
        ["no", "yes"][k] for k in (oracle.predict() > 0.5).astype(int)
    ]


def test_classifier_is_mnlogit(table):
    noise = np.random.default_rng(4).gumbel(size=(len(table), 3))
    score = np.column_stack([np.zeros(len(table)), table["x"], 0.1 * table["z"] - 1.5])
    y = np.array([3, 5, 9])[(score + noise).argmax(axis=1)]
    model = ss.SemiStructuredClassifier("x + z").fit(table, y)
    design = dummies(table)[:, :3]
    oracle = sm.MNLogit(np.searchsorted([3, 5, 9], y), design).fit(disp=0, tol=1e-14)
    names = list(model.params_[5].index)
    at = [names.index(name) for name in ("Intercept", "x", "z")]
    coef = model.params_.to_numpy().reshape(2, -1)[:, at].T
    np.testing.assert_allclose(coef, oracle.params, rtol=1e-8, atol=1e-8)
    se = np.sqrt(np.diag(model.cov_params_)).reshape(2, -1)[:, at].T
    np.testing.assert_allclose(se, oracle.bse, rtol=1e-8)
    np.testing.assert_allclose(model.predict_proba(table), oracle.predict(), rtol=1e-7)
    assert model.coef_.shape == (2, 2)
    assert model.intercept_.shape == (2,)
    assert model.classes_.tolist() == [3, 5, 9]
    assert model.decision_function(table).shape == (len(table), 3)
    assert model.predict_terms(table).columns.nlevels == 2
    assert list(model.cov_params_.index.get_level_values(0).unique()) == [5, 9]


@pytest.mark.parametrize(("entry", "ties"), [(0, "efron"), (1, "breslow")])
def test_survival_is_coxph(entry, ties):
    text = (REFERENCES / "cox.json").read_text(encoding="utf-8")
    reference = json.loads(text)["cox"][entry]
    assert reference["data"] == "rossi"
    assert ("breslow" in reference["call"]) == (ties == "breslow")
    X, y = ss.datasets.load_rossi()
    model = ss.SemiStructuredSurvival(COLUMNS, ties=ties).fit(X, y)
    assert list(model.cov_params_.index) == reference["names"]
    expected_se = np.array(reference["se"])
    error = np.abs(model.coef_ - reference["estimate"]) / expected_se
    assert error.max() < 1e-6
    se = np.sqrt(np.diag(model.cov_params_))
    np.testing.assert_allclose(se, expected_se, rtol=1e-6)
    assert model.intercept_ == 0
    assert model.n_events_ == reference["events"]
    assert model.exact_.loglik == pytest.approx(reference["loglik"][1], rel=1e-10)
    assert model.score(X, y) == pytest.approx(reference["concordance"], abs=1e-10)
    shown = model.summary().coefficients
    z = model.coef_ / expected_se
    np.testing.assert_allclose(shown["z"], z, rtol=1e-5)
    np.testing.assert_allclose(shown["P>|z|"], 2 * norm.sf(np.abs(z)), rtol=1e-4)
    np.testing.assert_allclose(shown["hazard ratio"], np.exp(model.coef_), rtol=1e-12)
    for row in reference["basehaz_head"] + reference["basehaz_tail"]:
        found = model.baseline_[None](row["time"])[0, 0]
        assert found == pytest.approx(row["hazard"], rel=1e-6)


def test_survival_function_is_that_of_lifelines():
    from lifelines import CoxPHFitter

    X, y = ss.datasets.make_survival_digits(150, random_state=2)  # no tied times
    X = X[["age", "bmi"]]
    model = ss.SemiStructuredSurvival("age + bmi").fit(X, y)
    frame = X.assign(time=y.time, event=y.event)
    oracle = CoxPHFitter().fit(frame, "time", "event", fit_options={"precision": 1e-12})
    times = np.sort(y.time)[[8, 40, 90, 140]]  # it interpolates between them
    expected = oracle.predict_survival_function(X, times=times).to_numpy().T
    curves = model.predict_survival_function(X)
    np.testing.assert_allclose(curves(times), expected, rtol=1e-6)
    np.testing.assert_allclose(curves([0.0]), 1.0)
    hazard = model.predict_cumulative_hazard_function(X)
    np.testing.assert_allclose(np.exp(-hazard(times)), expected, rtol=1e-6)
    assert curves.to_frame().shape == (int(y.event.sum()), len(X))
    assert curves.to_frame().columns.equals(X.index)
    assert model.score(X, y) == pytest.approx(oracle.concordance_index_, abs=1e-12)


def test_survival_of_a_far_column_does_not_overflow():
    """A calendar year with a large effect: exp(η) is no number, S(t | x) is."""
    rng = np.random.default_rng(0)
    X = pd.DataFrame({"year": 1990 + rng.uniform(0, 3, size=200)})
    y = ss.Surv(rng.exponential(np.exp(-1.5 * (X["year"] - 1990))))
    far = ss.SemiStructuredSurvival("year").fit(X, y)
    assert far.coef_[0] * 1990 > 1000
    near = ss.SemiStructuredSurvival("year").fit(X - 1990, y)
    found = far.predict_survival_function(X).values
    expected = near.predict_survival_function(X - 1990).values
    np.testing.assert_allclose(found, expected, atol=1e-6)
    assert 0.1 < expected.mean() < 0.9


def test_stratified_survival_has_a_baseline_for_each_stratum():
    X, y = ss.datasets.load_rossi()
    strata = np.where(X["fin"] == 1, "aid", "none")
    target = ss.Surv(y.time, y.event, strata=strata)
    model = ss.SemiStructuredSurvival("age + prio").fit(X, target)
    assert set(model.baseline_) == {"aid", "none"}
    from lifelines import CoxPHFitter

    frame = X[["age", "prio", "fin"]].assign(week=y.time, arrest=y.event)
    oracle = CoxPHFitter().fit(
        frame, "week", "arrest", strata=["fin"], fit_options={"precision": 1e-12}
    )
    np.testing.assert_allclose(model.coef_, oracle.params_, rtol=1e-6)
    curves = model.predict_survival_function(X.head(6), strata=strata[:6])
    own = model.baseline_[strata[0]]([30.0])[0, 0] * np.exp(model.predict(X.head(1)))
    np.testing.assert_allclose(curves([30.0])[0, 0], np.exp(-own)[0], rtol=1e-12)
    with pytest.raises(ss.exceptions.DataError, match=r"has strata.*'aid', 'none'"):
        model.predict_survival_function(X)
    with pytest.raises(ss.exceptions.DataError, match=r"row 0 is in stratum 'other'"):
        model.predict_survival_function(X.head(1), strata=["other"])
    with pytest.raises(ss.exceptions.DataError, match="strata has 1 rows, but X has 2"):
        model.predict_survival_function(X.head(2), strata=["aid"])


def test_smooth_regressor_is_mgcv():
    text = (REFERENCES / "gam.json").read_text(encoding="utf-8")
    reference = json.loads(text)["gam"][0]
    assert reference["call"].startswith('gam(accel~s(times,bs="ps",k=20),data=d,method')
    X, y = ss.datasets.load_mcycle()
    model = ss.SemiStructuredRegressor("s(times, k=20)").fit(X, y)
    assert model.exact_.score == pytest.approx(reference["score"], abs=1e-4)
    assert model.exact_.edf.sum() == pytest.approx(reference["edf_total"], abs=2e-3)
    assert model.exact_.dispersion == pytest.approx(reference["scale"], rel=1e-4)
    assert model.intercept_ == pytest.approx(reference["parametric"]["estimate"])
    se = np.sqrt(model.cov_params_.loc["Intercept", "Intercept"])
    assert se == pytest.approx(reference["parametric"]["se"], rel=1e-4)
    head = np.array(reference["first_rows_linear_predictor"])[:, 0]
    np.testing.assert_allclose(model.predict(X.head(8)), head, rtol=1e-3, atol=1e-3)
    terms = np.array(reference["first_rows_terms"])[:, 0]
    shown = model.predict_terms(X.head(8))["s(times)"]
    np.testing.assert_allclose(shown, terms, rtol=1e-4, atol=1e-3)
    smooth = model.summary().smooths.iloc[0]
    assert smooth["edf"] == pytest.approx(reference["edf_terms"], abs=2e-3)


@pytest.mark.parametrize("name", ["Regressor", "Classifier", "Survival"])
def test_weights_are_repetition(name, table):
    rng = np.random.default_rng(6)
    weight = rng.integers(0, 4, size=len(table))
    y = 0.5 * table["x"].to_numpy() + rng.normal(size=len(table))
    if name == "Classifier":
        y = np.where(y > 0.4, 2, np.where(y > -0.4, 1, 0))
    make = getattr(ss, f"SemiStructured{name}")
    options = {}
    if name == "Survival":  # Efron's ties are no repetition in any tool
        y = ss.Surv(np.exp(y), rng.random(len(table)) < 0.7)
        options = {"ties": "breslow"}
    rows = np.repeat(np.arange(len(table)), weight)
    one = make("x + C(g)", **options).fit(table, y, sample_weight=weight)
    two = make("x + C(g)", **options).fit(table.iloc[rows], y[rows])
    np.testing.assert_allclose(one.coef_, two.coef_, rtol=1e-7, atol=1e-9)
    np.testing.assert_allclose(one.cov_params_, two.cov_params_, rtol=1e-6, atol=1e-12)
    with_weights = one.fit(table, y, sample_weight=2.5 * weight.astype(float))
    np.testing.assert_allclose(with_weights.coef_, two.coef_, rtol=1e-7, atol=1e-9)


def test_weights_of_the_target_are_sample_weights():
    X, y = ss.datasets.load_rossi()
    weight = np.random.default_rng(0).integers(1, 4, size=len(X))
    given = ss.SemiStructuredSurvival("age + prio").fit(X, y, sample_weight=weight)
    inside = ss.Surv(y.time, y.event, weights=weight)
    own = ss.SemiStructuredSurvival("age + prio").fit(X, inside)
    np.testing.assert_array_equal(own.coef_, given.coef_)


def test_none_is_every_column_linear():
    X, y = ss.datasets.load_rossi()
    every = ss.SemiStructuredSurvival().fit(X, y)
    named = ss.SemiStructuredSurvival(COLUMNS).fit(X, y)
    np.testing.assert_array_equal(every.coef_, named.coef_)
    bare = ss.SemiStructuredSurvival().fit(X.to_numpy(), y)
    np.testing.assert_allclose(bare.coef_, named.coef_, rtol=1e-10)
    assert not hasattr(bare, "feature_names_in_")
    assert bare.n_features_in_ == 7


def test_a_list_of_terms_is_its_formula():
    X, y = ss.datasets.make_regression_digits(150)
    listed = [
        ss.terms.Linear("age + C(stage)"),
        ss.terms.Smooth("bmi", k=6),
        ss.terms.Offset("age"),
    ]
    formula = "age + C(stage) + s(bmi, k=6) + offset(age)"
    one = ss.SemiStructuredRegressor(listed).fit(X, y)
    two = ss.SemiStructuredRegressor(formula).fit(X, y)
    np.testing.assert_array_equal(one.coef_, two.coef_)
    assert one.terms_ == two.terms_ == tuple(listed)
    assert one.predict_terms(X)["offset"].tolist() == X["age"].tolist()
    single = ss.SemiStructuredRegressor(ss.terms.Smooth("bmi", k=6)).fit(X, y)
    assert single.predict_terms(X).columns.tolist() == ["Intercept", "s(bmi)"]


def test_random_effect_predicts_an_unseen_level_at_zero():
    rng = np.random.default_rng(0)
    group = rng.choice(list("abcdef"), size=200)
    frame = pd.DataFrame({"x": rng.normal(size=200), "g": group})
    y = frame["x"] + pd.Series(group).map(dict(zip("abcdef", range(6), strict=True)))
    y = y + 0.1 * rng.normal(size=200)
    model = ss.SemiStructuredRegressor("x + re(g)").fit(frame, y)
    new = pd.DataFrame({"x": [0.0], "g": ["new"]})
    assert model.predict_terms(new)["re(g)"].tolist() == [0.0]
    assert model.predict(new)[0] == pytest.approx(model.intercept_)
    assert model.predict_terms(frame)["re(g)"].std() > 1


def test_the_profile_of_columns_knows_no_unused_level():
    frame = pd.DataFrame({"x": np.arange(12.0), "g": list("abba") * 3})
    frame["g"] = pd.Categorical(frame["g"], categories=["z", "a", "b"])
    y = np.random.default_rng(0).normal(size=12)
    model = ss.SemiStructuredRegressor("x + C(g)").fit(frame, y)
    assert sorted(model.profile_["g"]["levels"]) == ["a", "b"]
    assert model.profile_["x"]["range"] == [0.0, 11.0]


def test_fitting_again_forgets_the_first_fit():
    X, y = ss.datasets.load_rossi()
    model = ss.SemiStructuredSurvival().fit(X, y)
    renamed = X.set_axis(range(X.shape[1]), axis=1)
    model.fit(renamed, y)
    assert not hasattr(model, "feature_names_in_")
    np.testing.assert_array_equal(model.predict(renamed), model.predict(X.to_numpy()))
