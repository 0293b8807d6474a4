"""Scores, bootstrap, optimism and scorers."""

from __future__ import annotations

import pickle

import numpy as np
import pandas as pd
import pytest
from sklearn.base import BaseEstimator
from sklearn.model_selection import GridSearchCV, cross_val_score

from semistruct import StepFunction, Surv, metrics
from semistruct.exceptions import DataError, ParameterError
from semistruct.metrics import CensoringDistribution, Score


def simulated(n=150, seed=0):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=n)
    life, censor = rng.exponential(np.exp(-x)), rng.exponential(2.0, size=n)
    return pd.DataFrame({"x": x}), Surv(np.minimum(life, censor), life <= censor)


class Known(BaseEstimator):
    """An estimator that knows the truth, but for a factor."""

    def __init__(self, factor=1.0):
        self.factor = factor

    def fit(self, X, y):
        self.censoring_ = CensoringDistribution.fit(y)
        self.times_ = np.unique(y.time)
        return self

    def predict(self, X):
        return self.factor * X["x"].to_numpy()

    def predict_survival_function(self, X, strata=None):
        hazard = np.exp(self.predict(X))[:, None] * self.times_
        return StepFunction(self.times_, np.exp(-hazard))


def test_score():
    score = Score("c", 0.9, np.array([0.1, -0.1, 0.1, -0.1]), (0.0, 1.0))
    assert score.se == pytest.approx(0.2)
    assert score.interval() == pytest.approx((0.9 - 0.2 * 1.959964, 1.0), abs=1e-6)
    assert float(score) == 0.9
    assert repr(score) == "Score(c = 0.9000, se = 0.2000)"
    assert score.difference(score).se == 0.0
    with pytest.raises(DataError, match="same rows"):
        score.difference(Score("c", 0.5, np.zeros(3)))
    with pytest.raises(ParameterError, match="level"):
        score.interval(95)


def test_the_difference_of_two_scores_knows_their_correlation():
    X, y = simulated()
    rng = np.random.default_rng(1)
    first = X["x"].to_numpy()
    second = first + 0.3 * rng.normal(size=len(first))
    one, two = metrics.harrell(y, first), metrics.harrell(y, second)

    def gap(y, a, b):
        return float(metrics.harrell(y, a)) - float(metrics.harrell(y, b))

    drawn = metrics.bootstrap_ci(gap, y, first, second, n_boot=300, seed=0)
    assert one.difference(two).se == pytest.approx(drawn.se, rel=0.15)
    assert one.difference(two).se < np.hypot(one.se, two.se) / 2


def test_curve():
    X, y = simulated()
    curve = metrics.cumulative_dynamic_auc(y, y, X["x"], [0.2, 0.5])
    assert curve.interval().shape == (2, 2)
    assert (curve.interval()[:, 0] < curve.estimate).all()
    assert curve.to_frame().columns.tolist() == ["auc", "se"]
    assert "2 times" in repr(curve)


def test_bootstrap_agrees_with_the_analytic_standard_errors():
    X, y = simulated()
    x, times = X["x"].to_numpy(), np.array([0.2, 0.5, 0.8])
    g = CensoringDistribution.fit(y)
    curves = Known().fit(X, y).predict_survival_function(X)
    for measure in (
        lambda y, s: metrics.antolini(y, s),
        lambda y, s: metrics.uno(g, y, -s([0.5])[:, 0], 1.0),
        lambda y, s: metrics.cumulative_dynamic_auc(g, y, s, times).integrated,
        lambda y, s: metrics.integrated_brier_score(g, y, s, times),
        lambda y, s: metrics.integrated_brier_score(g, y, s, times, ipcw="pycox"),
    ):
        drawn = metrics.bootstrap_ci(measure, y, curves, n_boot=200, seed=0)
        assert measure(y, curves).se == pytest.approx(drawn.se, rel=0.2)
        assert drawn.lower < drawn.estimate < drawn.upper
    assert len(x) == 150


def test_bootstrap_draws():
    y = Surv([1.0, 2.0, 3.0, 4.0], id=["a", "a", "b", "b"])
    risk = np.arange(4.0)
    seen = []

    def metric(y, risk, listed):
        assert sorted(y.id.tolist()) == y.id.tolist() or len(set(y.id)) == 2
        seen.append((tuple(y.time), tuple(risk), tuple(listed)))
        return risk.mean()

    first = metrics.bootstrap_ci(metric, y, risk, [0.0, 1, 2, 3], n_boot=20, seed=3)
    again = metrics.bootstrap_ci(metric, y, risk, [0.0, 1, 2, 3], n_boot=20, seed=3)
    np.testing.assert_array_equal(first.values, again.values)
    blocks = {(1.0, 2.0), (3.0, 4.0)}
    for time, drawn, listed in seen:
        assert {time[:2], time[2:]} <= blocks
        assert tuple(np.array(time) - 1) == drawn == listed
    with pytest.raises(DataError, match="prediction has 2 rows"):
        metrics.bootstrap_ci(metric, y, risk[:2])


def test_bootstrap_counts_what_failed():
    y = Surv([1.0, 2.0, 3.0], [1, 0, 0])
    found = metrics.bootstrap_ci(metrics.harrell, y, [3, 2, 1], n_boot=100, seed=0)
    assert found.n_failed + len(found.values) == 100
    assert found.n_failed > 0
    y, told = Surv([1.0, 2.0, 3.0]), []

    def once(y):
        if told:
            raise DataError("the last words")
        told.append(y)
        return 1.0

    words = "not defined on more than half of the resamples; .* the last words"
    with pytest.raises(DataError, match=words):
        metrics.bootstrap_ci(once, y, n_boot=50)


def test_optimism_of_a_model_that_learns_noise():
    rng = np.random.default_rng(0)
    _, y = simulated(80)
    X = rng.normal(size=(80, 20))

    def fit_predict(X_fit, y_fit, X):
        late = np.log(y_fit.time)
        return -X @ np.linalg.lstsq(X_fit, late - late.mean(), rcond=None)[0]

    found = metrics.optimism_corrected(
        fit_predict, X, y, metrics.harrell, n_boot=60, seed=0
    )
    assert found.apparent > 0.6
    assert found.corrected == pytest.approx(found.apparent - found.optimism)
    assert float(found) == found.corrected
    assert abs(found.corrected - 0.5) < 0.1
    again = metrics.optimism_corrected(
        fit_predict, X, y, metrics.harrell, n_boot=60, seed=0
    )
    np.testing.assert_array_equal(found.values, again.values)
    constant = metrics.optimism_corrected(
        lambda a, b, X: X[:, 0], X, y, metrics.harrell, n_boot=200, seed=0
    )
    assert abs(constant.optimism) < 0.02
    with pytest.raises(DataError, match="X has 3 rows"):
        metrics.optimism_corrected(fit_predict, X[:3], y, metrics.harrell)


@pytest.mark.parametrize("name", ["harrell", "uno", "antolini", "ibs", "nbll", "auc"])
def test_scorers_in_cross_validation(name):
    X, y = simulated()
    score = metrics.scorer(name)
    found = cross_val_score(Known(), X, y, scoring=score, cv=3, error_score="raise")
    assert np.isfinite(found).all()
    assert (found < 0).all() == (name in ("ibs", "nbll"))
    wrong = cross_val_score(Known(-1.0), X, y, scoring=score, cv=3)
    assert (found > wrong).all()
    assert pickle.loads(pickle.dumps(score)).name == name
    search = GridSearchCV(Known(), {"factor": [-1.0, 1.0]}, scoring=score, cv=2)
    assert search.fit(X, y).best_params_ == {"factor": 1.0}


def test_scorers_use_the_training_data():
    X, y = simulated()
    model = Known().fit(X[:100], y[:100])
    g, test = model.censoring_, y[100:]
    risk, rest = model.predict(X[100:]), X[100:]
    tau = np.percentile(y[:100].time[y[:100].event], 90)
    expected = metrics.uno(y[:100], test, risk, tau).estimate
    assert metrics.scorer("uno")(model, rest, test) == pytest.approx(expected)
    times = g.default_times()
    assert len(times) == 100
    assert times[-1] == pytest.approx(tau)
    inside = times[times < test.time.max()]
    curves = model.predict_survival_function(rest)
    expected = -metrics.integrated_brier_score(y[:100], test, curves, inside).estimate
    assert metrics.scorer("ibs")(model, rest, test) == pytest.approx(expected)
    fixed = metrics.scorer("ibs", times=[0.2, 0.4], ipcw="pycox")
    expected = -float(
        metrics.integrated_brier_score(g, test, curves, [0.2, 0.4], ipcw="pycox")
    )
    assert fixed(model, rest, test) == pytest.approx(expected)
    assert repr(fixed) == "scorer('ibs', times=[0.2, 0.4], ipcw='pycox')"
    with pytest.raises(DataError, match="horizon of y"):
        metrics.scorer("auc", times=[0.1, 1e6])(model, rest, test)
    with pytest.raises(DataError, match="at least two times"):
        metrics.scorer("nbll", times=[0.3])(model, rest, test)
    early = Surv(test.time / 1e6, test.event)
    with pytest.raises(DataError, match="chosen from the training data, lie beyond"):
        metrics.scorer("ibs")(model, rest, early)


def test_scorers_name_what_is_wrong():
    with pytest.raises(ParameterError, match="Did you mean 'harrell'"):
        metrics.scorer("harell")
    with pytest.raises(ParameterError, match="Did you mean 'times'"):
        metrics.scorer("ibs", time=[1.0])
    with pytest.raises(ParameterError, match="ties"):
        metrics.scorer("uno", ties="no")
    X, y = simulated(20)
    with pytest.raises(DataError, match="Known has no censoring_"):
        metrics.scorer("ibs")(Known(), X, y)


def test_strata_reach_the_prediction():
    X, y = simulated(60)
    y.strata = np.repeat(["a", "b"], 30)
    given = []

    class Stratified(Known):
        def predict_survival_function(self, X, strata=None):
            given.append(strata)
            return super().predict_survival_function(X)

    metrics.scorer("antolini")(Stratified().fit(X, y), X, y)
    assert given[0].tolist() == y.strata.tolist()
