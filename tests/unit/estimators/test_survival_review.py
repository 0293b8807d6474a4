"""Survival heads at their edges: labels, weights, cuts, far predictors, wrong input."""

from __future__ import annotations

import pickle
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV, cross_val_score

import semistruct as ss
from semistruct.exceptions import (
    ConvergenceWarning,
    DataError,
    ParameterError,
    TargetError,
)

DATA = Path(__file__).parents[2] / "references" / "data"
CUTS = [10.0, 20.0, 30.0, 40.0, 52.0]
HEADS = {
    "cox": "cox",
    "weibull": "weibull",
    "lognormal": "lognormal",
    "loglogistic": "loglogistic",
    "exponential": "exponential",
    "pamm": ss.heads.PAMM(cuts=8),
    "discrete": ss.heads.Discrete(cuts=CUTS),
    "cloglog": ss.heads.Discrete(cuts=CUTS, link="cloglog"),
    "varying": ss.heads.Discrete(cuts=CUTS, effects="varying"),
    "pmf": ss.heads.Discrete("pmf", cuts=CUTS),
    "mtlr": ss.heads.Discrete("mtlr", cuts=CUTS),
}
CAUSES = {
    "cox": "cox",
    "pamm": ss.heads.PAMM(cuts=4),
    "pmf": ss.heads.Discrete("pmf", cuts=4),
}
Model = ss.SemiStructuredSurvival


@pytest.fixture(scope="module")
def rossi():
    return ss.datasets.load_rossi()


@pytest.fixture(scope="module")
def models(rossi):
    X, y = rossi
    return {name: Model("fin + prio", head=h).fit(X, y) for name, h in HEADS.items()}


@pytest.fixture(scope="module")
def risks():
    """Times of two causes, told by numbers, and a table with names of rows."""
    rng = np.random.default_rng(3)
    n = 300
    rows = [f"r{i}" for i in range(n)]
    X = pd.DataFrame({"a": rng.normal(size=n), "b": rng.normal(size=n)}, index=rows)
    a, b = X.to_numpy().T
    first = rng.exponential(np.exp(1.0 - a))
    second = rng.exponential(np.exp(1.5 - 0.5 * b))
    ends = rng.exponential(4.0, n)
    time = np.minimum(np.minimum(first, second), ends)
    return X, time, time < ends, np.where(time == first, 1, 2)


# -- far predictors -------------------------------------------------------------------


@pytest.mark.parametrize("name", HEADS)
def test_far_predictors_give_zero_and_one(models, rossi, name):
    """No warning of an overflow, and nothing that is NaN."""
    far = rossi[0][:2].assign(prio=[1e5, -1e5])
    model = models[name]
    curve = model.predict_survival_function(far, times=[0.0, 20.0, 51.0])
    np.testing.assert_array_equal(curve.values[:, 0], 1.0)
    np.testing.assert_allclose(curve.values[0, 1:], 0.0, atol=1e-12)
    np.testing.assert_allclose(curve.values[1, 1:], 1.0, atol=1e-12)
    hazard = model.predict_cumulative_hazard_function(far, times=[0.0, 51.0])
    assert not np.isnan(hazard.values).any()
    risk = model.predict(far)
    assert np.isfinite(risk).all()
    assert risk[0] > risk[1]
    for transform in ("log-log", "log", "plain"):
        band = model.predict_survival_band(
            far, times=[0.0, 20.0, 51.0], transform=transform
        )
        for part in band:
            assert np.isfinite(part.values).all()
    assert not model.predict_quantile(far, [0.1, 0.5]).isna().any(axis=None)
    assert not model.predict_quantile_interval(far, 0.1).isna().any(axis=None)
    area = model.predict_restricted_mean_interval(far, 50.0)
    assert np.isfinite(area.to_numpy()).all()


@pytest.mark.parametrize("name", [*CAUSES, "fine_gray"])
def test_far_predictors_of_causes(risks, name):
    X, time, event, cause = risks
    head = CAUSES.get(name, ss.heads.FineGray(cause=1))
    model = Model("a + b", head=head).fit(X, ss.Surv(time, event, cause=cause))
    far = X[:2].assign(a=[1e5, -1e5])
    at = [0.0, 0.5, 1.5]
    for curve in model.predict_cumulative_incidence_function(far, times=at).values():
        assert np.isfinite(curve.values).all()
    for part in model.predict_cumulative_incidence_band(far, 1, times=at):
        assert np.isfinite(part.values).all()
    assert np.isfinite(model.predict(far)).all()


# -- what curves of continuous models are ---------------------------------------------


def slow_area(model, row, horizon):
    """The predicted curve, added up by the trapezoidal rule."""
    at = np.linspace(0.0, horizon, 20_001)
    return np.trapezoid(model.predict_survival_function(row, times=at).values[0], at)


@pytest.mark.parametrize("name", ["discrete", "cloglog", "varying", "pmf", "mtlr"])
def test_restricted_means_are_areas_under_the_curve(models, rossi, name):
    row = rossi[0][:1]
    for horizon in (7.0, 30.0, 47.5, 60.0):
        found = models[name].predict_restricted_mean(row, horizon).iloc[0]
        np.testing.assert_allclose(found, slow_area(models[name], row, horizon), 1e-6)


def test_discrete_times_of_causes_between_the_cuts(risks):
    """The density is constant there: areas and quantiles follow the curve."""
    X, time, event, cause = risks
    y = ss.Surv(time, event, cause=cause)
    model = Model("a + b", head=ss.heads.Discrete("pmf", cuts=5)).fit(X, y)
    horizon = 0.9 * float(model.curves_.cuts[-1])
    found = model.predict_restricted_mean(X[:1], horizon).iloc[0]
    np.testing.assert_allclose(found, slow_area(model, X[:1], horizon), rtol=1e-5)
    at = model.predict_quantile(X[:3], 0.3).to_numpy()[:, 0]
    curve = model.predict_survival_function(X[:3], times=np.sort(at))
    np.testing.assert_allclose(np.diag(curve(at)), 0.7, rtol=1e-9)


def test_many_rows_are_predicted_in_parts(rossi, monkeypatch):
    """Restricted means, quantiles and limits of many rows need no wide array."""
    from semistruct.estimators import _curves

    X, y = rossi[0][:150], rossi[1][:150]
    for head in ("cox", "weibull"):
        model = Model("fin + prio", head=head).fit(X, y)

        def predictions(model=model):
            band = model.predict_survival_band(X, times=[20.0, 40.0])
            return (
                model.predict_restricted_mean_interval(X, 45.0),
                model.predict_quantile(X, [0.1, 0.2]),
                model.predict_quantile_interval(X, 0.1),
                band.lower.to_frame(),
            )

        whole = predictions()
        with monkeypatch.context() as patch:
            patch.setattr(_curves, "_CELLS", 3000)
            parts = predictions()
        for a, b in zip(whole, parts, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-10)


def test_limits_of_any_event_with_competing_risks(risks):
    """Var Λ is the sum over the causes; the limits of one event type are its own."""
    X, time, event, cause = risks
    model = Model("a + b").fit(X, ss.Surv(time, event, cause=cause))
    at = [0.3, 1.0, 2.0]
    band = model.predict_survival_band(X[:4], times=at)
    square, total = 0.0, 0.0
    for k in (1, 2):
        alone = Model("a + b").fit(X, ss.Surv(time, event & (cause == k)))
        own = alone.predict_survival_band(X[:4], times=at)
        square = square + own.std_error.values**2
        total = total - np.log(own.estimate.values)
    np.testing.assert_allclose(band.std_error.values, np.sqrt(square), rtol=1e-8)
    np.testing.assert_allclose(-np.log(band.estimate.values), total, rtol=1e-8)
    with pytest.raises(ParameterError, match="events of one cause"):
        model.predict_restricted_mean_interval(X[:2], 1.0)


def test_baselines_of_every_cause(risks):
    X, time, event, cause = risks
    model = Model("a + b").fit(X, ss.Surv(time, event, cause=cause))
    assert list(model.baseline_) == [(1, None), (2, None)]
    alone = Model("a + b").fit(X, ss.Surv(time, event & (cause == 2)))
    found, own = model.baseline_[2, None], alone.baseline_[None]
    np.testing.assert_allclose(found(own.times), own.values, rtol=1e-8)


# -- labels ---------------------------------------------------------------------------

LABELS = {
    "numbers": (1, 2),
    "floats": (1.5, 2.5),
    "booleans": (True, False),
    "strings": ("relapse", "death"),
    "mixed": (1, "death"),
}


@pytest.mark.parametrize("kind", LABELS)
@pytest.mark.parametrize("head", [*CAUSES, "fine_gray"])
def test_labels_of_causes_are_saved(risks, tmp_path, kind, head):
    X, time, event, cause = risks
    one, two = LABELS[kind]
    labels = np.array([one if c == 1 else two for c in cause], dtype=object)
    y = ss.Surv(time, event, cause=labels)
    model = Model("a", head=CAUSES.get(head, ss.heads.FineGray(cause=one))).fit(X, y)
    model.save(tmp_path / "model")
    again = ss.load(tmp_path / "model")
    for fitted in (model, again, pickle.loads(pickle.dumps(model))):
        curves = fitted.predict_cumulative_incidence_function(X[:2], times=[1.0])
        first = model.predict_cumulative_incidence_function(X[:2], times=[1.0])
        assert [type(c) for c in curves] == [type(c) for c in first]
        for label, curve in curves.items():
            np.testing.assert_array_equal(curve.values, first[label].values)
            assert list(curve.index) == ["r0", "r1"]
        assert fitted.params_.equals(model.params_)
        band = fitted.predict_cumulative_incidence_band(X[:1], one, times=[1.0])
        assert band.lower.values[0, 0] < first[one].values[0, 0]


@pytest.mark.parametrize("kind", [k for k in LABELS if k != "mixed"])
def test_labels_of_strata_are_saved(risks, tmp_path, kind):
    X, time, event, _ = risks
    labels = np.array(LABELS[kind])[(X["b"] > 0).astype(int)]
    model = Model("a").fit(X, ss.Surv(time, event, strata=labels))
    model.save(tmp_path / "model")
    again = ss.load(tmp_path / "model")
    found = again.predict_survival_band(X[:5], labels[:5], times=[1.0])
    given = model.predict_survival_band(X[:5], labels[:5], times=[1.0])
    np.testing.assert_array_equal(found.lower.values, given.lower.values)


def test_labels_of_strata_that_are_of_several_kinds(risks):
    X, time, event, _ = risks
    labels = np.array(["a", 1] * 150, dtype=object)
    with pytest.raises(TargetError, match=r"several kinds, \['int', 'str'\]"):
        Model("a").fit(X, ss.Surv(time, event, strata=labels))


def test_a_formula_for_each_cause_that_is_a_number(risks, tmp_path):
    X, time, event, cause = risks
    y = ss.Surv(time, event, cause=cause)
    model = Model({1: "a", 2: "b"}).fit(X, y)
    assert list(model.params_.index) == [(1, "a"), (2, "b")]
    as_strings = Model({"1": "a", "2": "b"}).fit(X, y)
    np.testing.assert_array_equal(as_strings.params_, model.params_)
    model.save(tmp_path / "model")
    again = ss.load(tmp_path / "model")
    np.testing.assert_array_equal(clone(again).fit(X, y).params_, model.params_)
    for head in ("cox", ss.heads.PAMM(cuts=4)):
        with pytest.raises(TargetError, match=r"formulas for \['1'\].*\[1, 2\]"):
            Model({1: "a"}, head=head).fit(X, y)
        with pytest.raises(ParameterError, match="each cause of competing risks"):
            Model({1: "a"}, head=head).fit(X, ss.Surv(time, event))
    with pytest.raises(ParameterError, match="dict from distribution parameters"):
        Model({(1, 2): "a"}).fit(X, y)


def test_messages_name_coefficients_of_causes(risks):
    X, time, event, cause = risks
    X = X.assign(never=(np.arange(len(X)) == 5).astype(float))
    event = np.where(np.arange(len(X)) == 5, False, event)
    with pytest.warns(ConvergenceWarning) as caught:
        Model("a + never").fit(X, ss.Surv(time, event, cause=cause))
    text = str(caught[0].message)
    assert text.count("coefficients 'never'") == 2
    assert "[" not in text


# -- weights --------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["cox", "weibull", "pamm", "discrete", "varying"])
def test_weights_of_y_are_sample_weights(rossi, name):
    X, y = rossi
    weight = 1.0 + np.arange(len(X)) % 3
    inside = ss.Surv(y.time, y.event, weights=weight)
    a = Model("fin + s(age, k=6)", head=HEADS[name]).fit(X, inside)
    b = Model("fin + s(age, k=6)", head=HEADS[name]).fit(X, y, weight)
    np.testing.assert_array_equal(a.params_, b.params_)
    np.testing.assert_array_equal(a.cov_params_, b.cov_params_)
    np.testing.assert_array_equal(a.censoring_.values, b.censoring_.values)
    twice = np.repeat(np.arange(len(X)), weight.astype(int))
    many = Model("fin", head=HEADS[name]).fit(
        X.iloc[twice].reset_index(drop=True), y[twice]
    )
    at = [5.0, 20.0, 51.0]
    np.testing.assert_allclose(a.censoring_(at), many.censoring_(at), rtol=1e-12)
    with pytest.raises(TargetError, match="both sample_weight and the weights of y"):
        Model("fin", head=HEADS[name]).fit(X, inside, weight)


# -- cuts -----------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [ss.heads.PAMM, ss.heads.Discrete])
@pytest.mark.parametrize(
    "cuts", ["a", [1.0, "b"], [1.0, np.nan], 2.5, np.inf, [], 0, [3.0, 2.0], [[1, 2]]]
)
def test_cuts_that_are_none(rossi, kind, cuts):
    with pytest.raises(ParameterError, match=f"'cuts' of {kind.__name__}"):
        Model("fin", head=kind(cuts=cuts)).fit(*rossi)


@pytest.mark.parametrize("kind", [ss.heads.PAMM, ss.heads.Discrete])
@pytest.mark.parametrize("time", [3, "", "a b"])
def test_a_time_axis_without_a_name(rossi, kind, time):
    with pytest.raises(ParameterError, match=f"'time' of {kind.__name__}"):
        Model("fin", head=kind(time=time)).fit(*rossi)


@pytest.mark.parametrize("kind", [ss.heads.PAMM, ss.heads.Discrete])
def test_cuts_outside_of_follow_up(rossi, kind):
    X, y = rossi
    with pytest.raises(TargetError, match=r"no event lies before the last cut, 0\.5"):
        Model("fin", head=kind(cuts=[0.5])).fit(X, y)
    late = Model("fin", head=kind(cuts=[*CUTS, 100.0, 200.0])).fit(X, y)
    plain = Model("fin", head=kind(cuts=CUTS)).fit(X, y)
    np.testing.assert_array_equal(late.params_, plain.params_)
    assert list(late.curves_.cuts) == CUTS


def test_a_baseline_of_few_intervals():
    """The number of intervals decides, not the number asked for."""
    X = pd.DataFrame({"x": np.arange(40) % 7})
    time = np.tile([1.0, 2, 3, 3, 4, 5, 1, 2], 5)
    y = ss.Surv(time, np.tile([1, 1, 0, 1, 1, 1, 0, 1], 5))
    each = Model("x + C(time)", head=ss.heads.PAMM()).fit(X, y)
    for cuts in (None, 20):
        model = Model("x", head=ss.heads.PAMM(cuts=cuts)).fit(X, y)
        np.testing.assert_allclose(model.params_, each.params_, rtol=1e-8)
    one = Model("x", head=ss.heads.PAMM(cuts=1)).fit(X, y)
    assert list(one.params_.index) == ["Intercept", "x"]
    rate = Model("x", head="exponential").fit(X, y)  # of all the follow-up, as here
    np.testing.assert_allclose(one.params_, -rate.params_, rtol=1e-6)
    later = ss.Surv(time + 1, y.event)
    grouped = Model("x", head=ss.heads.Discrete(cuts=1)).fit(X, later)
    assert list(grouped.params_.index) == ["Intercept", "x"]


def test_late_entry_into_intervals(rossi):
    X, y = rossi
    shifted = ss.Surv(y.time + 100, y.event, entry=np.full(len(y), 100.0))
    cuts = [50.0, 100.0, *(np.array(CUTS) + 100)]
    late = Model("fin", head=ss.heads.PAMM(cuts=cuts)).fit(X, shifted)
    plain = Model("fin", head=ss.heads.PAMM(cuts=CUTS)).fit(X, y)
    np.testing.assert_allclose(late.params_, plain.params_, rtol=1e-8)
    given = late.predict_conditional_survival_function(X[:2], 100.0, times=[120, 145])
    curve = plain.predict_survival_function(X[:2], times=[20, 45])
    np.testing.assert_allclose(given([120, 145]), curve.values, rtol=1e-8)
    with pytest.raises(TargetError, match=r"in all of the interval \(0, 50\]"):
        Model("fin", head=ss.heads.Discrete(cuts=cuts)).fit(X, shifted)


def test_late_entry_within_an_interval_of_discrete_times(rossi):
    """A row is at risk from its next interval on, if it is there so long."""
    X, y = rossi
    rng = np.random.default_rng(0)
    entry = np.where(rng.random(len(y)) < 0.5, 0.9 * y.time, 0.0)
    late = ss.Surv(y.time, y.event, entry=entry)
    head = ss.heads.Discrete(cuts=CUTS)
    model = Model("fin + C(time)", head=head).fit(X, late)
    edges = np.concatenate([[0.0], CUTS])
    rows = []
    for i in range(len(y)):
        for j, end in enumerate(CUTS):
            begins, seen = edges[j], y.event[i] and edges[j] < y.time[i] <= end
            if begins >= entry[i] and (y.time[i] >= end or seen):
                rows.append((X["fin"].iloc[i], end, float(seen)))
    long = pd.DataFrame(rows, columns=["fin", "time", "event"])
    slow = ss.SemiStructuredClassifier("fin + C(time)")
    slow.fit(long[["fin", "time"]], long["event"].to_numpy())
    np.testing.assert_allclose(model.params_, slow.params_, rtol=1e-6)


# -- parameters -----------------------------------------------------------------------


@pytest.mark.parametrize("head", ["weibull", "pamm", "discrete", "fine_gray"])
@pytest.mark.parametrize(
    "option", [{"firth": True}, {"covariance": "robust"}, {"ties": "breslow"}]
)
def test_options_of_cox_models_are_refused_elsewhere(risks, head, option):
    X, time, event, cause = risks
    y = ss.Surv(time, event, cause=cause if head == "fine_gray" else None)
    choice = HEADS.get(head, ss.heads.FineGray(cause=1))
    (name,) = option
    with pytest.raises(ParameterError, match=f"'{name}'.*it is one of head='cox'"):
        Model("a", head=choice, **option).fit(X, y)


@pytest.mark.parametrize(
    "cuts",
    [np.array(CUTS), tuple(CUTS), pd.Series(CUTS), np.int64(4)],
    ids=["array", "tuple", "series", "int64"],
)
@pytest.mark.parametrize("kind", [ss.heads.PAMM, ss.heads.Discrete])
def test_cuts_are_cloned_and_saved(rossi, tmp_path, kind, cuts):
    X, y = rossi
    model = clone(Model("fin", head=kind(cuts=cuts))).fit(X, y)
    model.save(tmp_path / "model")
    again = clone(ss.load(tmp_path / "model")).fit(X, y)
    np.testing.assert_array_equal(again.params_, model.params_)
    np.testing.assert_array_equal(again.curves_.cuts, model.curves_.cuts)
    assert kind.__name__ in repr(model)


@pytest.mark.parametrize("jobs", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_grids_over_heads(rossi, jobs):
    X, y = rossi
    scorer = ss.metrics.scorer("ibs", times=[10.0, 20.0, 30.0])
    grid = {"head": ["cox", "weibull", ss.heads.PAMM(cuts=np.array(CUTS))]}
    search = GridSearchCV(Model("fin + prio"), grid, cv=3, scoring=scorer, n_jobs=jobs)
    search.fit(X, y)
    found = search.cv_results_["mean_test_score"]
    assert np.isfinite(found).all()
    assert np.ptp(found) < 0.01  # they say the same of these data


def test_grids_over_cuts(rossi):
    X, y = rossi
    cuts = [[10.0, 30.0, 52.0], np.array(CUTS), 3]
    search = GridSearchCV(
        Model("fin", head=ss.heads.Discrete()), {"head__cuts": cuts}, cv=3
    ).fit(X, y)
    assert len(search.cv_results_["params"]) == 3
    single = cross_val_score(Model("fin", head="weibull"), X, y, cv=3)
    assert ((single > 0.4) & (single < 0.7)).all()


# -- predictions that are asked wrongly -----------------------------------------------


@pytest.mark.parametrize("given", ["x", -3.0, np.nan, [1.0, 2.0], np.inf])
def test_a_time_that_cannot_be_conditioned_on(models, rossi, given):
    model = models["weibull"]
    with pytest.raises(ParameterError, match=r"'given' of .*conditional"):
        model.predict_conditional_survival_function(rossi[0][:1], given)


@pytest.mark.parametrize("p", ["x", 0.0, 1.0, [0.5, 2.0], np.nan])
def test_shares_that_are_none(models, rossi, p):
    with pytest.raises(ParameterError, match=r"'p' of .*predict_quantile"):
        models["cox"].predict_quantile(rossi[0][:1], p)


@pytest.mark.parametrize("horizon", ["x", 0.0, -1.0, np.inf])
def test_horizons_that_are_none(models, rossi, horizon):
    with pytest.raises(ParameterError, match="'horizon'"):
        models["cox"].predict_restricted_mean(rossi[0][:1], horizon)


def test_strata_that_are_asked_wrongly(models, rossi):
    X, y = rossi
    with pytest.raises(DataError, match="has no strata"):
        models["cox"].predict_survival_function(X[:1], ["a"])
    model = Model("age").fit(X, ss.Surv(y.time, y.event, strata=X["race"]))
    with pytest.raises(DataError, match="needs strata="):
        model.predict_survival_function(X[:2])
    with pytest.raises(DataError, match=r"row 1 is in stratum 7.*known are \[0, 1\]"):
        model.predict_survival_function(X[:2], [1, 7])
    for wrong in (1, [1]):
        with pytest.raises(DataError, match="strata has 1 rows, but X has 2"):
            model.predict_survival_function(X[:2], wrong)


@pytest.mark.parametrize("name", HEADS)
def test_targets_that_are_none(rossi, name):
    X, y = rossi
    model = Model("fin", head=HEADS[name])
    with pytest.raises(DataError, match="X has 432 rows, but y has 5"):
        model.fit(X, y[:5])
    with pytest.raises(TargetError, match="numbers"):
        model.fit(X, ["later"] * len(X))
    with pytest.raises(TargetError, match="1d array"):
        model.fit(X, pd.DataFrame({"event": y.event, "time": y.time}))
    with pytest.raises(TargetError, match="no event"):
        model.fit(X, ss.Surv(y.time, y.event, weights=1.0 - y.event))


# -- models that are compared ---------------------------------------------------------


def test_which_likelihoods_can_be_compared(rossi):
    X, y = rossi
    late = ss.Surv(y.time, y.event, entry=0.5 * y.time)
    strata = ss.Surv(y.time, y.event, strata=X["race"])
    plain = Model("fin").fit(X, y)
    for other in (
        Model("fin").fit(X, late),
        Model("fin").fit(X, strata),
        Model("fin").fit(X, y, np.full(len(X), 2.0)),
        Model("fin", ties="breslow").fit(X, y),
    ):
        with pytest.raises(DataError, match="cannot be compared"):
            ss.compare(plain, other)
    ss.compare(plain, Model("fin", covariance="robust").fit(X, y))
    for kind in (ss.heads.PAMM, ss.heads.Discrete):
        few = Model("fin", head=kind(cuts=CUTS)).fit(X, y)
        more = Model("fin", head=kind(cuts=[5.0, *CUTS])).fit(X, y)
        with pytest.raises(DataError, match="cannot be compared"):
            ss.compare(few, more)
    names = ["weibull", "lognormal", "loglogistic"]
    times = [Model("fin", head=name).fit(X, y) for name in names]
    table = ss.compare(*times, names=names)
    loglik = [model.exact_.loglik for model in times]
    np.testing.assert_allclose(table["AIC"], 6 - 2 * np.array(loglik), rtol=1e-12)


# -- what a summary says --------------------------------------------------------------


def test_ratios_are_of_comparisons_of_rows(rossi, risks):
    X, y = rossi
    for head, name in (("pamm", "hazard ratio"), ("discrete", "odds ratio")):
        table = Model("fin", head=HEADS[head]).fit(X, y).summary().coefficients
        assert np.isnan(table.loc["Intercept", name])
        np.testing.assert_allclose(table.loc["fin", name], np.exp(table["coef"]["fin"]))
    times = Model("fin", head="weibull").fit(X, y).summary()
    ratio = times.coefficients["time ratio"]
    assert ratio.notna().tolist() == [False, True, False]  # of loc, without intercept
    assert "nan" not in times.as_text()
    constant = Model("fin", head="exponential").fit(X, y).summary()
    assert constant.coefficients["time ratio"].notna().tolist() == [False, True]
    X, time, event, cause = risks
    model = Model("a", head=ss.heads.FineGray(cause=1))
    model.fit(X, ss.Surv(time, event, cause=cause))
    assert model.n_events_ == (event & (cause == 1)).sum()


# -- deep terms of Fine and Gray's model ----------------------------------------------


def test_fine_gray_beside_a_deep_term(risks):
    X, time, event, cause = risks
    y = ss.Surv(time, event, cause=cause)
    options = {"head": ss.heads.FineGray(cause=1), "random_state": 0}
    training = ss.Training(max_epochs=5, learning_rate=1e-2)
    found = {}
    for strategy in ("joint", "two_stage"):
        model = Model(
            "b + tabular(a)", strategy=strategy, training=training, **options
        ).fit(X, y)
        curve = model.predict_cumulative_incidence_function(X, times=[1.0])[1]
        found[strategy] = curve.values.mean()
    # the baseline is that of the whole predictor, whatever was fitted last
    plain = Model("b + a", head=options["head"]).fit(X, y)
    curve = plain.predict_cumulative_incidence_function(X, times=[1.0])[1]
    np.testing.assert_allclose(found["joint"], curve.values.mean(), rtol=0.05)
    np.testing.assert_allclose(found["two_stage"], curve.values.mean(), rtol=0.05)
    with pytest.raises(ParameterError, match="beside the deep terms"):
        model.predict_cumulative_incidence_band(X[:1], 1, times=[1.0])


# -- real data ------------------------------------------------------------------------


@pytest.fixture(scope="module")
def lung():
    table = pd.read_csv(DATA / "lung.csv").rename(columns={"ph.ecog": "ecog"})
    table = table.dropna(subset=["ecog", "inst"]).reset_index(drop=True)
    y = ss.Surv(table["time"], table["status"])
    return table[["age", "sex", "ecog", "inst"]].assign(lag=0.01 * table["age"]), y


@pytest.mark.parametrize("name", ["cox", "weibull", "pamm", "discrete"])
def test_a_whole_model_of_lung_cancer(lung, tmp_path, name):
    """A smooth, a factor, hospitals, an offset, and a deep term."""
    X, y = lung
    heads = {
        "pamm": ss.heads.PAMM(cuts=20),
        "discrete": ss.heads.Discrete(cuts=6),
    }
    terms = "s(age, k=5) + C(sex) + ecog + re(inst) + offset(lag) + tabular(ecog, age)"
    training = ss.Training(max_epochs=3, learning_rate=1e-2)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        model = Model(
            terms, head=heads.get(name, name), training=training, random_state=0
        ).fit(X, y)
    assert 0.55 < model.score(X, y) < 0.8
    unseen = X[:3].assign(inst=99.0)
    at = [100.0, 300.0, 500.0]
    curves = model.predict_survival_function(unseen, times=at)
    assert ((curves.values > 0) & (curves.values < 1)).all()
    one = model.predict_survival_function(unseen[1:2], times=at)
    np.testing.assert_allclose(one.values[0], curves.values[1], rtol=1e-5)
    assert list(one.index) == [1]
    model.save(tmp_path / "model")
    again = ss.load(tmp_path / "model").predict_survival_band(X[:2], times=at)
    band = model.predict_survival_band(X[:2], times=at)
    np.testing.assert_array_equal(again.upper.values, band.upper.values)
    assert "tabular" in model.summary().as_text()


def test_recurrent_events_with_a_frailty():
    table = pd.read_csv(DATA / "bladder2.csv")
    table = table[table["start"] < table["stop"]].reset_index(drop=True)
    X = table[["rx", "number", "size", "id"]]
    y = ss.Surv(table["stop"], table["event"], entry=table["start"], id=table["id"])
    for timescale in ("gap", "calendar"):
        head = ss.heads.PAMM(cuts=15, timescale=timescale)
        model = Model("rx + number + re(id)", head=head).fit(X, y)
        assert model.exact_.edf.sum() > 6  # subjects differ
        assert model.params_["number"] > 0
        assert np.isfinite(model.predict_survival_band(X[:2]).lower.values).all()
    plain = Model("rx + number", covariance="robust").fit(X, y)
    rows = Model("rx + number", covariance="robust").fit(
        X, ss.Surv(y.time, y.event, entry=y.entry)
    )
    assert (np.diag(plain.cov_params_) != np.diag(rows.cov_params_)).all()
    np.testing.assert_array_equal(plain.coef_, rows.coef_)


def test_rows_without_causes_are_dropped_with_the_rest(risks):
    X, time, event, cause = risks
    X = X.copy()
    X.iloc[5, 0] = np.nan
    weight = 1.0 + np.arange(len(X)) % 2
    kept = np.arange(len(X)) != 5
    for head in (*CAUSES.values(), ss.heads.FineGray(cause=1)):
        y = ss.Surv(time, event, cause=cause, weights=weight)
        with pytest.warns(UserWarning, match="dropped 1 of 300"):
            model = Model("a + b", head=head, missing="drop").fit(X, y)
        plain = Model("a + b", head=head).fit(X[kept], y[kept])
        np.testing.assert_array_equal(model.params_, plain.params_)
