"""What is explained: each linear predictor, and curves at a time."""

from __future__ import annotations

import numpy as np
import pytest

import semistruct as ss
from semistruct.attribution import explain
from semistruct.exceptions import DataError, ParameterError

QUICK = ss.Training(max_epochs=3, learning_rate=5e-3)


def digits(n=120):
    return ss.datasets.make_regression_digits(n, random_state=7)


def survival_model(head, terms="age + image(scan)"):
    X, y = ss.datasets.make_survival_digits(120, random_state=3)
    model = ss.SemiStructuredSurvival(
        terms, head=head, training=QUICK, random_state=0
    ).fit(X, y)
    return model, X


# -- curves ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    "head",
    [
        "cox",
        "weibull",
        ss.heads.PAMM(cuts=5),
        ss.heads.Discrete(cuts=3),
        ss.heads.Discrete("pmf", cuts=3),
    ],
    ids=["cox", "weibull", "pamm", "proportional", "pmf"],
)
def test_curves_are_explained_at_a_time(head):
    model, X = survival_model(head)
    rows = X[:4]
    for output in ("log_cumulative_hazard", "survival"):
        found = explain(model, rows, output=output, time=3.0)
        survival = model.predict_survival_function(rows, times=[3.0]).values[:, 0]
        log = np.log(-np.log(survival))
        expected = survival if output == "survival" else log
        np.testing.assert_allclose(found.outcome, expected, atol=1e-5)
        np.testing.assert_allclose(found.delta, 0.0, atol=5e-3)
        assert np.abs(found.values).max() > 1e-4


def test_the_log_hazard_of_a_cox_model_is_its_contribution():
    model, X = survival_model("cox")
    one = explain(model, X[:4])
    two = explain(model, X[:4], output="log_cumulative_hazard", time=3.0)
    np.testing.assert_allclose(two.values, one.values, atol=1e-6)
    assert one.explained == "log hazard"
    assert two.explained == "log Λ(t = 3)"


def test_each_parameter_class_and_cause_has_its_own():
    X, y = digits()
    both = ss.SemiStructuredRegressor(
        {"loc": "age + image(scan)", "scale": "1 + image(scan)"},
        training=QUICK,
        random_state=0,
    ).fit(X, y)
    labels = np.array(["a", "b", "c"])[np.digitize(y, np.quantile(y, [0.3, 0.6]))]
    three = ss.SemiStructuredClassifier(
        "age + image(scan)", training=QUICK, random_state=0
    ).fit(X, labels)
    for model, names in ((both, ["loc", "scale"]), (three, ["b", "c"])):
        for name in names:
            found = explain(model, X[:5], parameter=name)
            expected = model.predict_terms(X[:5])[name, "image(scan)"]
            np.testing.assert_allclose(found.outcome, expected, atol=1e-5)
            assert name in found.explained
        with pytest.raises(ParameterError, match="parameter.*" + names[0]):
            explain(model, X[:5])
    time = np.random.default_rng(0).exponential(10.0, len(X))
    cause = np.where(np.arange(len(X)) % 2, "relapse", "death")
    risks = ss.SemiStructuredSurvival(
        "age + image(scan)", training=QUICK, random_state=0
    ).fit(X, ss.Surv(time, np.ones(len(X), dtype=bool), cause=cause))
    found = explain(risks, X[:5], parameter="relapse")
    expected = risks.predict_terms(X[:5])["relapse", "image(scan)"]
    np.testing.assert_allclose(found.outcome, expected, atol=1e-5)


def test_strata_have_curves_of_their_own():
    X, y = ss.datasets.make_survival_digits(120, random_state=3)
    strata = np.where(np.arange(120) % 2, "a", "b")
    target = ss.Surv(y.time, y.event, strata=strata)
    model = ss.SemiStructuredSurvival(
        "age + image(scan)", training=QUICK, random_state=0
    ).fit(X, target)
    options = {"output": "survival", "time": 3.0}
    found = explain(model, X[:4], strata=strata[:4], **options)
    curve = model.predict_survival_function(X[:4], strata[:4], times=[3.0])
    np.testing.assert_allclose(found.outcome, curve.values[:, 0], atol=1e-6)
    with pytest.raises(DataError, match="strata"):
        explain(model, X[:4], **options)


@pytest.mark.parametrize(
    "head", ["cox", ss.heads.PAMM(cuts=4), ss.heads.FineGray(cause="relapse")]
)
def test_the_incidence_of_a_cause_is_explained(head):
    X, y = ss.datasets.make_survival_digits(150, random_state=3)
    cause = np.where(np.arange(150) % 3, "relapse", "death")
    model = ss.SemiStructuredSurvival(
        "age + image(scan)", head=head, training=QUICK, random_state=0
    ).fit(X, ss.Surv(y.time, y.event, cause=cause))
    options = {"output": "incidence", "time": 3.0}
    found = explain(model, X[:4], parameter="relapse", **options)
    curves = model.predict_cumulative_incidence_function(X[:4], times=[3.0])
    expected = curves["relapse"].values[:, 0]
    np.testing.assert_allclose(found.outcome, expected, atol=1e-5)
    np.testing.assert_allclose(found.delta, 0.0, atol=5e-3)
    assert found.explained == "F(t = 3) of relapse"
    with pytest.raises(ParameterError, match="one of the causes"):
        explain(model, X[:4], **options)


def test_a_loaded_model_is_explained_as_before(tmp_path):
    model, X = survival_model("cox")
    model.save(tmp_path / "model")
    loaded = ss.load(tmp_path / "model")
    for options in ({}, {"output": "survival", "time": 3.0}):
        one, two = (explain(m, X[:3], **options) for m in (model, loaded))
        np.testing.assert_allclose(one.values, two.values, atol=1e-7)
    one, two = (ss.attribution.modality_shapley(m, X[:3]) for m in (model, loaded))
    np.testing.assert_allclose(one.values, two.values, atol=1e-7)


def test_wrong_times_are_named():
    model, X = survival_model("cox")
    with pytest.raises(ParameterError, match="None for output"):
        explain(model, X[:2], output="survival", time=9.0, parameter="eta")
    with pytest.raises(ParameterError, match="one kind of event"):
        explain(model, X[:2], output="incidence", time=9.0)
    with pytest.raises(ParameterError, match="Λ"):
        explain(model, X[:2], output="log_cumulative_hazard", time=1e-9)
    with pytest.raises(ParameterError, match="time"):
        explain(model, X[:2], output="survival", time=-1.0)
