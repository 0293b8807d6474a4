"""The faces of a fitted estimator give what the pure functions give."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

import semistruct as ss
from semistruct.design import DenseDesign
from semistruct.exceptions import DataError, NotFittedError, ParameterError, TargetError
from semistruct.inference import (
    CoxRows,
    cox_ph_test,
    cox_sandwich,
    dfbeta,
    martingale_residuals,
    schoenfeld_residuals,
)
from semistruct.solvers import fit_cox
from semistruct.survival import influence, ph_test, residuals, survival_band


@pytest.fixture(scope="module")
def rossi():
    X, y = ss.datasets.load_rossi()
    X.index = [f"p{i}" for i in range(len(X))]
    return X, y, ss.SemiStructuredSurvival("fin + C(race) + age + prio").fit(X, y)


def rows_of(rossi):
    X, y, _ = rossi
    x = X[["fin", "race", "age", "prio"]].to_numpy(float)
    fit = fit_cox(x, y.time, y.event)
    return fit, CoxRows(x, fit.linear_predictor, y.time, y.event)


def test_residuals_are_named(rossi):
    X, y, model = rossi
    fit, rows = rows_of(rossi)
    names = ["fin", "C(race)[T.1]", "age", "prio"]
    found = residuals(model, X, y)
    assert found.index.equals(X.index)
    np.testing.assert_allclose(found, martingale_residuals(rows), atol=1e-8)
    assert abs(residuals(model, X, y, "deviance")).max() > 1
    change = residuals(model, X, y, "dfbeta")
    assert list(change.columns) == names
    np.testing.assert_allclose(change, dfbeta(rows, fit.cov), atol=1e-8)
    relative = residuals(model, X, y, "dfbetas")
    np.testing.assert_allclose(relative, change / np.sqrt(np.diag(fit.cov)), atol=1e-7)
    score = residuals(model, X, y, "score")
    np.testing.assert_allclose(score.sum(), 0, atol=1e-4)
    events = residuals(model, X, y, "schoenfeld")
    assert events.index.names == ["time", "row"]
    expected = schoenfeld_residuals(rows)
    assert list(events.index.get_level_values("row")) == list(X.index[expected.rows])
    np.testing.assert_allclose(events, expected.values, atol=1e-7)
    scaled = residuals(model, X, y, "scaled_schoenfeld")
    np.testing.assert_allclose(scaled.mean(), model.coef_, atol=1e-7)


def test_ph_test_by_terms(rossi):
    X, y, model = rossi
    _, rows = rows_of(rossi)
    terms = {"fin": [0], "C(race)": [1], "age": [2], "prio": [3]}
    for transform in ("km", "identity", np.sqrt):
        found = ph_test(model, X, y, transform)
        expected = cox_ph_test(rows, terms, transform=transform)
        pd.testing.assert_frame_equal(found, expected, rtol=1e-6)


def test_a_smooth_is_tested_with_its_penalty(rossi):
    X, y, _ = rossi
    smooth = ss.SemiStructuredSurvival("fin + s(age)").fit(X, y)
    found = ph_test(smooth, X, y)
    assert list(found.index) == ["fin", "s(age)", "GLOBAL"]
    assert 1 <= found.loc["s(age)", "df"] < 9
    stiff = ss.SemiStructuredSurvival("fin + s(age, sp=1e9)").fit(X, y)
    line = ss.SemiStructuredSurvival("fin + age").fit(X, y)
    # a penalty without end leaves a straight line
    np.testing.assert_allclose(ph_test(stiff, X, y), ph_test(line, X, y), rtol=1e-3)


def test_influence(rossi):
    X, y, model = rossi
    fit, rows = rows_of(rossi)
    found = influence(model, X, y)
    np.testing.assert_allclose(found.dfbeta, dfbeta(rows, fit.cov), atol=1e-8)
    information = np.linalg.inv(fit.cov)
    expected = [d @ information @ d for d in found.dfbeta.to_numpy()]
    np.testing.assert_allclose(found.displacement, expected, rtol=1e-6)
    ids = np.arange(len(X)) // 4
    clustered = influence(model, X, ss.Surv(y.time, y.event, id=ids))
    sums = clustered.dfbeta.to_numpy()
    assert list(clustered.displacement.index) == sorted(set(ids))
    np.testing.assert_allclose(
        sums.T @ sums, cox_sandwich(rows, fit.cov, ids), rtol=1e-6
    )
    again = influence(model, X, y, clusters=ids)
    pd.testing.assert_frame_equal(again.dfbetas, clustered.dfbetas)


def test_band_holds_the_predicted_curve(rossi):
    X, y, model = rossi
    band = survival_band(model, X, y, X[:5])
    curve = model.predict_survival_function(X[:5])
    np.testing.assert_allclose(band.estimate.values, curve.values, rtol=1e-9)
    assert band.estimate.index.equals(X.index[:5])
    assert (band.lower.values < curve.values).all()
    wide = survival_band(model, X, y, X[:5], cov=4 * model.exact_.cov)
    assert (wide.lower.values < band.lower.values).all()


def test_weights_of_y_or_given(rossi):
    X, y, _ = rossi
    weight = np.resize([1.0, 2.0], len(X))
    model = ss.SemiStructuredSurvival("age").fit(X, y, sample_weight=weight)
    weighted = ss.Surv(y.time, y.event, weights=weight)
    one = residuals(model, X, y, "dfbeta", sample_weight=weight)
    pd.testing.assert_frame_equal(one, residuals(model, X, weighted, "dfbeta"))
    assert abs(one["age"].sum()) < 1e-7
    with pytest.raises(TargetError, match="both sample_weight and the weights of y"):
        residuals(model, X, weighted, sample_weight=weight)


class Predictor:
    """A predictor of two columns and a deep term, with matrices of its own."""

    def __init__(self, operator):
        self.operator = operator
        block = SimpleNamespace(label="ab", kind="parametric", start=0, stop=2)
        self.designs = [SimpleNamespace(blocks=(block,), names=("a", "b"))]

    def matrices(self, frame):
        x = frame[["a", "b"]].to_numpy(float)
        return [DenseDesign(x) if self.operator else x]

    def linear_predictor(self, frame):
        x = frame[["a", "b"]].to_numpy(float)
        return (x @ [0.3, -0.2] + frame["deep"].to_numpy())[:, None]


@pytest.mark.parametrize("operator", [False, True])
def test_deep_terms_are_an_offset(operator):
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(rng.normal(size=(80, 3)), columns=["a", "b", "deep"])
    y = ss.Surv(rng.exponential(size=80), rng.random(80) < 0.7)
    model = SimpleNamespace(
        head="cox",
        ties="breslow",
        predictor_=Predictor(operator),
        exact_=SimpleNamespace(coef=[0.3, -0.2], cov=np.eye(2) / 40, edf=np.ones(2)),
        _frame=lambda X: X,
    )
    x = frame[["a", "b"]].to_numpy()
    eta = x @ [0.3, -0.2] + frame["deep"]
    rows = CoxRows(x, eta, y.time, y.event, ties="breslow")
    np.testing.assert_allclose(residuals(model, frame, y), martingale_residuals(rows))
    expected = cox_ph_test(rows, {"ab": [0, 1]})
    pd.testing.assert_frame_equal(ph_test(model, frame, y), expected)


def test_errors(rossi):
    X, y, model = rossi
    with pytest.raises(ParameterError, match="head='cox'"):
        ph_test(ss.SemiStructuredRegressor("age"), X, y)
    with pytest.raises(NotFittedError, match="call fit first"):
        ph_test(ss.SemiStructuredSurvival("age"), X, y)
    with pytest.raises(ParameterError, match=r"kind.*Did you mean 'martingale'"):
        residuals(model, X, y, "martingal")
    with pytest.raises(DataError, match="X has 432 rows, but y has 431"):
        influence(model, X, y[1:])


@pytest.mark.parametrize(
    "ask",
    [
        ph_test,
        influence,
        lambda model, X, y: residuals(model, X, y, "dfbeta"),
        lambda model, X, y: residuals(model, X, y, "schoenfeld"),
        lambda model, X, y: survival_band(model, X, y, X[:1]),
    ],
)
def test_other_rows_than_those_of_the_fit_are_refused(rossi, ask):
    X, y, model = rossi
    ask(model, X, y)
    with pytest.raises(TargetError, match="y is not the target of the fit"):
        ask(model, X[:300], y[:300])
    with pytest.raises(TargetError, match="y is not the target of the fit"):
        ask(model, X, y[::-1])


def test_martingale_residuals_may_be_those_of_other_rows(rossi):
    X, y, model = rossi
    found = residuals(model, X[:300], y[:300])
    assert found.sum() == pytest.approx(0, abs=1e-9)


def test_models_of_several_causes_are_refused():
    model = SimpleNamespace(
        head="cox",
        ties="efron",
        predictor_=None,
        exact_=SimpleNamespace(slices=(slice(0, 1), slice(1, 2))),
    )
    with pytest.raises(ParameterError, match="a Cox model of one event"):
        ph_test(model, None, None)
