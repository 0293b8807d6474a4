"""The heads beside Cox: accelerated failure times, long rows, discrete times."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
import torch
from scipy import integrate, stats
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV, cross_val_score

import semistruct as ss
from semistruct.exceptions import (
    ColumnError,
    DataError,
    FormulaError,
    ParameterError,
    TargetError,
)

TIMES = [3.0, 20.0, 41.5]
CUTS = [10.0, 20.0, 30.0, 40.0, 52.0]
HEADS = {
    "cox": "cox",
    "weibull": "weibull",
    "lognormal": "lognormal",
    "loglogistic": "loglogistic",
    "exponential": "exponential",
    "pamm": ss.heads.PAMM(cuts=8),
    "proportional": ss.heads.Discrete(cuts=CUTS),
    "cloglog": ss.heads.Discrete(cuts=CUTS, link="cloglog"),
    "varying": ss.heads.Discrete(cuts=CUTS, effects="varying"),
    "pmf": ss.heads.Discrete("pmf", cuts=CUTS),
    "mtlr": ss.heads.Discrete("mtlr", cuts=CUTS),
}


@pytest.fixture(scope="module")
def rossi():
    return ss.datasets.load_rossi()


@pytest.fixture(scope="module")
def models(rossi):
    X, y = rossi
    return {
        name: ss.SemiStructuredSurvival("fin + age + prio", head=head).fit(X, y)
        for name, head in HEADS.items()
    }


@pytest.fixture(scope="module")
def risks():
    """Times of two causes, and a table."""
    rng = np.random.default_rng(3)
    n = 500
    X = pd.DataFrame({"a": rng.normal(size=n), "b": rng.normal(size=n)})
    first = rng.exponential(np.exp(1.0 - X["a"]))
    second = rng.exponential(np.exp(1.5 - 0.5 * X["b"]))
    ends = rng.exponential(4.0, n)
    time = np.minimum(np.minimum(first, second), ends)
    cause = np.where(time == first, "relapse", "death")
    state = np.where(time == ends, "none", cause)
    return X, ss.Surv.from_status(time, state, censored="none")


# -- every head ---------------------------------------------------------------------


@pytest.mark.parametrize("name", HEADS)
def test_curves_fit_together(models, rossi, name):
    X, _ = rossi
    model = models[name]
    curve = model.predict_survival_function(X[:5], times=TIMES)
    hazard = model.predict_cumulative_hazard_function(X[:5], times=TIMES)
    np.testing.assert_allclose(curve.values, np.exp(-hazard.values), rtol=1e-12)
    assert (np.diff(curve.values, axis=1) < 0).all()
    given = model.predict_conditional_survival_function(X[:5], 20.0, times=TIMES)
    expected = curve([41.5]) / curve([20.0])
    np.testing.assert_allclose(given([41.5]), expected, rtol=1e-12)
    order = np.argsort(model.predict(X[:50]))
    at_end = model.predict_survival_function(X[:50], times=[51.0]).values[order, 0]
    if name not in ("varying", "pmf", "mtlr"):  # curves of those may cross
        assert (np.diff(at_end) <= 1e-12).all()


@pytest.mark.parametrize("name", [n for n in HEADS if n != "cox"])
def test_quantiles_and_restricted_means(models, rossi, name):
    X, _ = rossi
    model = models[name]
    found = model.predict_quantile(X[:4], [0.05, 0.1])
    for i in range(4):
        at = found.to_numpy()[i]
        shares = 1.0 - model.predict_survival_function(X[i : i + 1], times=at).values
        np.testing.assert_allclose(shares[0], [0.05, 0.1], rtol=1e-9)
    area = model.predict_restricted_mean(X[:2], 50.0)
    for i in range(2):
        row = X[i : i + 1]

        def survival(t, row=row):
            curve = model.predict_survival_function(row, times=[t])
            return curve.values[0, 0]

        breaks = getattr(model.curves_, "cuts", None)
        slow, _ = integrate.quad(survival, 0, 50, points=breaks, limit=200)
        np.testing.assert_allclose(area.iloc[i], slow, rtol=1e-6)


@pytest.mark.parametrize("name", [n for n in HEADS if n != "cox"])
def test_band_is_that_of_the_delta_method(models, rossi, name):
    """Its gradient in each coefficient is a finite difference of the prediction."""
    X, _ = rossi
    model = models[name]
    row = X[7:9]
    band = model.predict_survival_band(row, times=TIMES)
    fit, gradient = model.exact_, []
    for predictor, at in zip(model.predictor_.predictors, fit.slices, strict=True):
        for j in range(at.stop - at.start):
            sides = []
            for step in (1e-5, -1e-5):
                predictor.coef[j] += step
                sides.append(model.predict_cumulative_hazard_function(row, times=TIMES))
                predictor.coef[j] -= step
            gradient.append((sides[0].values - sides[1].values) / 2e-5)
    g = np.stack(gradient)  # (p, n, m)
    slow = np.sqrt(np.einsum("pnm,pq,qnm->nm", g, fit.cov, g))
    np.testing.assert_allclose(band.std_error.values, slow, rtol=2e-5)
    middle = model.predict_survival_function(row, times=TIMES).values
    np.testing.assert_allclose(band.estimate.values, middle, rtol=1e-12)
    assert (band.lower.values < middle).all()
    assert (middle < band.upper.values).all()


@pytest.mark.parametrize("name", HEADS)
def test_limits_of_quantiles_and_restricted_means(models, rossi, name):
    X, _ = rossi
    model = models[name]
    found = model.predict_restricted_mean_interval(X[:3], 50.0)
    assert (found["lower"] < found["estimate"]).all()
    np.testing.assert_allclose(
        found["estimate"], model.predict_restricted_mean(X[:3], 50.0), rtol=1e-12
    )
    # the models say the same of these data, so their errors are close
    cox = models["cox"].predict_restricted_mean_interval(X[:3], 50.0)["std err"]
    np.testing.assert_allclose(found["std err"], cox, rtol=0.3)
    limits = model.predict_quantile_interval(X[:3], 0.1)
    assert (limits["lower"] <= limits["estimate"]).all()
    assert (limits["estimate"] <= limits["upper"]).all()
    at = limits["lower"].to_numpy()
    band = model.predict_survival_band(X[:3], times=np.unique(at))
    reached = np.diag(band.lower(at))
    if name == "cox":  # a step function
        assert (reached <= 0.9).all()
    else:
        np.testing.assert_allclose(reached, 0.9, atol=1e-5)


def test_the_restricted_mean_of_cox_by_its_double_sum(models, rossi):
    X, _ = rossi
    model, horizon = models["cox"], 50.5
    base = model.curves_.baselines[0]
    part = base.strata[None]
    x = model.predictor_.matrices(X[:3])[0] - base.center
    ratio = np.exp(model.predict(X[:3]) - base.level)
    times = part.times[part.times < horizon]
    hazard, variance, drift = part.at(times)
    width = np.diff(np.append(times, horizon))
    cov = model.exact_.cov
    for i in range(3):
        a = x[i] * hazard[:, None] - drift
        first = np.minimum.outer(np.arange(len(times)), np.arange(len(times)))
        joint = ratio[i] ** 2 * (variance[first] + a @ cov @ a.T)
        weight = np.exp(-ratio[i] * hazard) * width
        slow = np.sqrt(weight @ joint @ weight)
        found = model.predict_restricted_mean_interval(X[i : i + 1], horizon)
        np.testing.assert_allclose(found["std err"], slow, rtol=1e-10)


@pytest.mark.parametrize("head", ["pamm", "pmf"])
def test_limits_of_an_incidence(risks, head):
    X, y = risks
    choice = (
        ss.heads.PAMM(cuts=5) if head == "pamm" else ss.heads.Discrete("pmf", cuts=5)
    )
    model = ss.SemiStructuredSurvival("a + b", head=choice).fit(X, y)
    at = [float(model.curves_.cuts[2])]
    band = model.predict_cumulative_incidence_band(X[:20], "relapse", times=at)
    if head == "pamm":  # of the same form as Cox; the masses are another model
        cox = ss.SemiStructuredSurvival("a + b").fit(X, y)
        peer = cox.predict_cumulative_incidence_band(X[:20], "relapse", times=at)
        found, other = band.estimate.values, peer.estimate.values
        np.testing.assert_allclose(found, other, atol=0.06)
        found, other = band.std_error.values, peer.std_error.values
        np.testing.assert_allclose(found, other, rtol=0.35)
    assert (band.lower.values < band.estimate.values).all()
    assert (band.estimate.values < band.upper.values).all()


@pytest.mark.parametrize("name", HEADS)
def test_saved_cloned_and_row_by_row(models, rossi, tmp_path, name):
    X, y = rossi
    model = models[name]
    model.save(tmp_path / "model")
    again = ss.load(tmp_path / "model")
    assert (again.predict(X) == model.predict(X)).all()
    curves = model.predict_survival_function(X[:3], times=TIMES).values
    loaded = again.predict_survival_function(X[:3], times=TIMES).values
    assert (loaded == curves).all()
    assert again.summary().as_text() == model.summary().as_text()
    one = model.predict_survival_function(X[2:3], times=TIMES).values
    np.testing.assert_allclose(one[0], curves[2], rtol=1e-12)
    refitted = clone(model).fit(X, y)
    np.testing.assert_array_equal(refitted.params_, model.params_)
    shuffled = X[list(X.columns[::-1])].assign(more="other")
    np.testing.assert_array_equal(model.predict(shuffled), model.predict(X))


@pytest.mark.parametrize("name", ["weibull", "pamm", "proportional", "varying"])
def test_weights_are_repetition(rossi, name):
    X, y = rossi
    weight = np.arange(len(X)) % 3
    twice = np.repeat(np.arange(len(X)), weight)
    # the cuts of a PAMM and of a smooth's knots depend on the rows that are there
    head = ss.heads.PAMM(cuts=CUTS) if name == "pamm" else HEADS[name]
    terms = "time + fin + prio" if name in ("pamm", "proportional") else "fin + prio"
    a = ss.SemiStructuredSurvival(terms, head=head).fit(X, y, weight)
    b = ss.SemiStructuredSurvival(terms, head=head).fit(
        X.iloc[twice].reset_index(drop=True), y[twice]
    )
    np.testing.assert_allclose(a.params_, b.params_, rtol=1e-6, atol=1e-8)
    np.testing.assert_allclose(a.cov_params_, b.cov_params_, rtol=1e-5, atol=1e-9)


# -- accelerated failure times ------------------------------------------------------


def test_weibull_curve_is_scipys(models, rossi):
    X, _ = rossi
    model = models["weibull"]
    eta = model.predict_linear(X[:3])
    shape = 1 / np.exp(eta["scale"]["estimate"].to_numpy())
    scale = np.exp(eta["loc"]["estimate"].to_numpy())
    for i in range(3):
        expected = stats.weibull_min.sf(TIMES, shape[i], scale=scale[i])
        found = model.predict_survival_function(X[i : i + 1], times=TIMES).values[0]
        np.testing.assert_allclose(found, expected, rtol=1e-10)


def test_interval_censoring_narrows_to_exact_times(rossi):
    X, y = rossi
    width = np.where(y.event, 1e-4, np.inf)
    open_ = ss.Surv.interval(y.time, y.time + width)
    exact = ss.SemiStructuredSurvival("fin + prio", head="weibull").fit(X, y)
    near = ss.SemiStructuredSurvival("fin + prio", head="weibull").fit(X, open_)
    np.testing.assert_allclose(near.params_, exact.params_, atol=1e-4)
    with pytest.raises(TargetError, match="lies between"):
        ss.SemiStructuredSurvival("fin").fit(X, open_)


# -- competing risks ------------------------------------------------------------------


def test_cause_specific_cox_models(risks, tmp_path):
    X, y = risks
    model = ss.SemiStructuredSurvival({"relapse": "a", "death": "a + b"}).fit(X, y)
    own = ss.Surv(y.time, y.event & (y.cause == "death"))
    alone = ss.SemiStructuredSurvival("a + b").fit(X, own)
    np.testing.assert_allclose(model.params_["death"], alone.params_, rtol=1e-10)
    at = [0.5, 1.0, 3.0]
    incidence = model.predict_cumulative_incidence_function(X[:4], times=at)
    survival = model.predict_survival_function(X[:4], times=at)
    total = sum(curve.values for curve in incidence.values()) + survival.values
    np.testing.assert_allclose(total, 1.0, rtol=1e-10)
    band = model.predict_cumulative_incidence_band(X[:4], "death", times=at)
    middle = incidence["death"].values
    np.testing.assert_allclose(band.estimate.values, middle, rtol=1e-10)
    assert (band.lower.values < middle).all()
    assert (middle < band.upper.values).all()
    assert 0.55 < model.score(X, y) < 1
    model.save(tmp_path / "model")
    again = ss.load(tmp_path / "model")
    np.testing.assert_array_equal(again.predict(X), model.predict(X))
    with pytest.raises(ParameterError, match=r"'cause'.*\['death', 'relapse'\]"):
        model.predict_cumulative_incidence_band(X, "deth")
    with pytest.raises(TargetError, match="one for each cause"):
        ss.SemiStructuredSurvival({"relapse": "a"}).fit(X, y)


def test_scorers_of_a_cause(risks):
    X, y = risks
    model = ss.SemiStructuredSurvival("a + b")
    concordance = ss.metrics.scorer("cause_concordance", cause="relapse")
    brier = ss.metrics.scorer("cause_ibs", cause="relapse", times=[0.5, 1.0, 2.0])
    fitted = model.fit(X[:300], y[:300])
    at = [float(fitted.censoring_.default_times()[-1])]
    curve = fitted.predict_cumulative_incidence_function(X[300:], times=at)["relapse"]
    slow = ss.metrics.cause_concordance(
        fitted.censoring_, y[300:], curve.values[:, 0], at[0], cause="relapse"
    )
    assert concordance(fitted, X[300:], y[300:]) == slow.estimate > 0.6
    found = cross_val_score(model, X, y, scoring=brier, cv=3)
    assert ((found < 0) & (found > -0.25)).all()
    with pytest.raises(ParameterError, match="cause"):
        ss.metrics.scorer("cause_ibs")
    with pytest.raises(ParameterError, match="one of the causes of the model"):
        ss.metrics.scorer("cause_ibs", cause="x", times=[1, 2])(fitted, X, y)


def test_fine_gray(risks, tmp_path):
    from semistruct.solvers import fit_fine_gray

    X, y = risks
    head = ss.heads.FineGray(cause="relapse")
    model = ss.SemiStructuredSurvival("a + b", head=head).fit(X, y)
    alone = fit_fine_gray(X, y.time, y.event, y.cause, of="relapse")
    np.testing.assert_allclose(model.coef_, alone.fit.coef, rtol=1e-10)
    np.testing.assert_allclose(model.cov_params_, alone.cov_robust, rtol=1e-10)
    times, hazard = alone.baseline[None]
    eta = X.to_numpy()[:3] @ alone.fit.coef - alone.level
    expected = -np.expm1(-hazard * np.exp(eta)[:, None])
    curve = model.predict_cumulative_incidence_function(X[:3])["relapse"]
    np.testing.assert_allclose(curve(times), expected, rtol=1e-9)
    band = model.predict_cumulative_incidence_band(X[:3], "relapse", times=[1.0, 2.0])
    np.testing.assert_allclose(band.estimate.values, curve([1.0, 2.0]), atol=5e-3)
    assert (band.lower.values < band.upper.values).all()
    model.save(tmp_path / "model")
    again = ss.load(tmp_path / "model")
    loaded = again.predict_cumulative_incidence_band(X[:3], "relapse", times=[1.0])
    np.testing.assert_array_equal(loaded.lower.values[:, 0], band.lower.values[:, 0])
    assert 0.5 < model.score(X, y) < 1
    with pytest.raises(ParameterError, match="predict_cumulative_incidence_function"):
        model.predict_survival_function(X[:2])
    head = ss.heads.FineGray(cause="relaps")
    with pytest.raises(ParameterError, match="one of the causes of y"):
        ss.SemiStructuredSurvival("a", head=head).fit(X, y)
    with pytest.raises(TargetError, match="needs the causes"):
        ss.SemiStructuredSurvival("a", head=model.head).fit(X, ss.Surv(y.time, y.event))


@pytest.mark.parametrize("head", ["cox", "pamm", "fine_gray"])
def test_competing_risks_with_a_deep_term(risks, head):
    X, y = risks
    choice = {
        "cox": "cox",
        "pamm": ss.heads.PAMM(cuts=5),
        "fine_gray": ss.heads.FineGray(cause="relapse"),
    }[head]
    training = ss.Training(max_epochs=3, learning_rate=1e-2)
    model = ss.SemiStructuredSurvival(
        "a + tabular(b)", head=choice, training=training, random_state=0
    ).fit(X, y)
    curves = model.predict_cumulative_incidence_function(X[:5], times=[1.0])
    alone = model.predict_cumulative_incidence_function(X[3:4], times=[1.0])
    for cause, curve in curves.items():
        assert ((curve.values > 0) & (curve.values < 1)).all()
        np.testing.assert_allclose(alone[cause].values[0], curve.values[3], rtol=1e-5)


# -- the Cox head ---------------------------------------------------------------------


def test_cox_band_is_that_of_the_rows(rossi):
    X, y = rossi
    model = ss.SemiStructuredSurvival("fin + age + prio").fit(X, y)
    rows = ss.survival.survival_band(model, X, y, X[:3])
    kept = model.predict_survival_band(X[:3])
    for a, b in zip(rows, kept, strict=True):
        np.testing.assert_allclose(a.values, b.values, rtol=1e-8)


def test_firth_where_the_likelihood_is_monotone():
    X = pd.DataFrame({"x": [0.0, 0, 0, 0, 1, 1, 1, 1]})
    y = ss.Surv([5.0, 6, 7, 8, 1, 2, 3, 4], [0, 0, 0, 0, 1, 1, 1, 1])
    model = ss.SemiStructuredSurvival("x", firth=True).fit(X, y)
    assert 0 < model.coef_[0] < 10
    assert "Firth" in model.summary().as_text()
    with pytest.raises(ParameterError, match="firth"):
        ss.SemiStructuredSurvival("s(x, k=4)", firth=True).fit(
            X.assign(x=np.arange(8.0)), y
        )


def test_robust_covariance_of_ids(rossi):
    X, y = rossi
    robust = ss.SemiStructuredSurvival("fin + age", covariance="robust").fit(X, y)
    plain = ss.SemiStructuredSurvival("fin + age").fit(X, y)
    np.testing.assert_array_equal(robust.coef_, plain.coef_)
    # Lin and Wei's sandwich; the dfbeta are compared with R's elsewhere
    change = ss.survival.residuals(plain, X, y, kind="dfbeta").to_numpy()
    np.testing.assert_allclose(robust.cov_params_, change.T @ change, rtol=1e-8)
    twice = np.repeat(np.arange(len(X)), 2)
    doubled = ss.Surv(y.time[twice], y.event[twice], id=twice)
    options = {"covariance": "robust", "ties": "breslow"}
    clusters = ss.SemiStructuredSurvival("fin + age", **options)
    clusters.fit(X.iloc[twice].reset_index(drop=True), doubled)
    once = ss.SemiStructuredSurvival("fin + age", **options).fit(X, y)
    np.testing.assert_allclose(clusters.cov_params_, once.cov_params_, rtol=1e-6)


# -- long rows ------------------------------------------------------------------------


def exploded(X, time, event, cuts, entry=None):
    """Long rows, slowly."""
    rows = []
    for i in range(len(X)):
        start = 0.0
        begin = 0.0 if entry is None else entry[i]
        for j, cut in enumerate(cuts):
            risk = min(cut, time[i]) - max(start, begin)
            if risk > 0:
                seen = event[i] and start < time[i] <= cut
                rows.append((i, j, cut, risk, float(seen)))
            start = cut
    long = pd.DataFrame(rows, columns=["row", "j", "time", "risk", "event"])
    return X.iloc[long["row"]].reset_index(drop=True).join(long)


def dummies(long, *covariates):
    x = pd.get_dummies(long["j"], drop_first=True, dtype=float)
    return np.column_stack([np.ones(len(long)), long[list(covariates)], x])


def test_pamm_is_a_poisson_model_of_long_rows(rossi):
    X, y = rossi
    head = ss.heads.PAMM(cuts=CUTS)
    model = ss.SemiStructuredSurvival("fin + age + C(time)", head=head).fit(X, y)
    long = exploded(X, y.time, y.event, CUTS)
    slow = sm.GLM(
        long["event"],
        dummies(long, "fin", "age"),
        family=sm.families.Poisson(),
        offset=np.log(long["risk"]),
    ).fit(tol=1e-14)
    np.testing.assert_allclose(model.params_[["fin", "age"]], slow.params[1:3], 1e-7)
    se = np.sqrt(np.diag(model.cov_params_))[1:3]
    np.testing.assert_allclose(se, slow.bse[1:3], rtol=1e-5)
    # the curve, from its definition
    rates = np.exp(
        dummies(exploded(X[:1], [52.0], [0], CUTS), "fin", "age") @ slow.params
    )
    hazard = rates @ np.array([10.0, 10.0, 1.5, 0.0, 0.0])
    found = model.predict_survival_function(X[:1], times=[21.5]).values
    np.testing.assert_allclose(found, np.exp(-hazard), rtol=1e-6)


def test_pamm_with_effects_that_vary_over_time(rossi):
    X, y = rossi
    head = ss.heads.PAMM(cuts=CUTS)
    model = ss.SemiStructuredSurvival("fin*time + C(time)", head=head)
    with pytest.raises(DataError, match="linear combinations"):
        model.fit(X, y)
    model = ss.SemiStructuredSurvival("fin + time + fin:time", head=head).fit(X, y)
    long = exploded(X, y.time, y.event, CUTS)
    x = np.column_stack(
        [np.ones(len(long)), long["fin"], long["time"], long["fin"] * long["time"]]
    )
    poisson = sm.families.Poisson()
    slow = sm.GLM(long["event"], x, family=poisson, offset=np.log(long["risk"])).fit()
    np.testing.assert_allclose(model.params_, slow.params, rtol=1e-5, atol=1e-8)


def test_gap_time_and_calendar_time():
    rng = np.random.default_rng(0)
    n = 300
    entry = rng.uniform(0, 5, n)
    gap = rng.exponential(2, n)
    X = pd.DataFrame({"x": rng.normal(size=n)})
    y = ss.Surv(entry + gap, rng.random(n) < 0.7, entry=entry)
    cuts = [1.0, 2.0, 4.0, 20.0]
    own = {"cuts": cuts, "timescale": "gap"}
    gaps = ss.SemiStructuredSurvival("x", head=ss.heads.PAMM(**own)).fit(X, y)
    fresh = ss.SemiStructuredSurvival("x", head=ss.heads.PAMM(cuts=cuts)).fit(
        X, ss.Surv(gap, y.event)
    )
    np.testing.assert_allclose(gaps.params_, fresh.params_, rtol=1e-6)
    calendar = ss.SemiStructuredSurvival("x + time", head=ss.heads.PAMM(cuts=cuts))
    long = exploded(X, y.time, y.event, cuts, entry)
    x = np.column_stack([np.ones(len(long)), long[["x", "time"]]])
    poisson = sm.families.Poisson()
    slow = sm.GLM(long["event"], x, family=poisson, offset=np.log(long["risk"])).fit()
    np.testing.assert_allclose(calendar.fit(X, y).params_, slow.params, rtol=1e-6)


def test_causes_have_hazards_of_their_own(risks):
    X, y = risks
    cuts = np.quantile(y.time[y.event], [0.2, 0.4, 0.6, 0.8, 1.0])
    head = ss.heads.PAMM(cuts=cuts)
    model = ss.SemiStructuredSurvival("a + b + C(time)", head=head).fit(X, y)
    for cause in y.causes:
        own = ss.Surv(y.time, y.event & (y.cause == cause))
        alone = ss.SemiStructuredSurvival("a + b + C(time)", head=head).fit(X, own)
        np.testing.assert_allclose(model.params_[cause], alone.params_, rtol=1e-7)
    incidence = model.predict_cumulative_incidence_function(X[:4])
    survival = model.predict_survival_function(X[:4])
    total = sum(curve.values for curve in incidence.values()) + survival.values
    np.testing.assert_allclose(total, 1.0, rtol=1e-12)
    assert model.predict(X[:4]).shape == (4, 2)
    each = {"relapse": "a + C(time)", "death": "b + C(time)"}
    apart = ss.SemiStructuredSurvival(each, head=head).fit(X, y)
    assert list(apart.params_["relapse"].index)[1] == "a"


def test_deep_terms_of_a_pamm_see_the_likelihood_of_its_long_rows(risks):
    """The n Poisson counts of the network give the likelihood of N long rows."""
    from semistruct.estimators._person_period_head import PersonPeriodHead

    X, y = risks
    model = ss.SemiStructuredSurvival("a + s(time, k=5)", head=ss.heads.PAMM(cuts=6))
    head, fitted = model._fit(X, y, None, None)
    assert isinstance(head, PersonPeriodHead)
    tensors = head.tensors(fitted.exact, [], np.zeros((len(X), 2)))
    rng = np.random.default_rng(1)
    d, e = (rng.normal(size=(len(X), 2)) * 0.3 for _ in range(2))

    def short(deep):
        eta = tensors["offset"].numpy() + deep
        return (tensors["y"].numpy() * eta - np.exp(eta)).sum()

    def long(deep):
        total, period = 0.0, head.period
        for k, predictor in enumerate(model.predictor_.predictors):
            at = X.iloc[period.row].assign(time=period.cuts[period.interval])
            eta = predictor.design.matrix(at) @ predictor.coef + deep[period.row, k]
            total += (head.events(k) * eta - period.exposure * np.exp(eta)).sum()
        return total

    np.testing.assert_allclose(short(d) - short(e), long(d) - long(e), rtol=1e-8)


# -- discrete times -------------------------------------------------------------------


@pytest.mark.parametrize("link", ["logit", "cloglog"])
def test_proportional_hazards_are_a_binomial_model_of_long_rows(rossi, link):
    X, y = rossi
    head = ss.heads.Discrete(cuts=CUTS, link=link)
    model = ss.SemiStructuredSurvival("fin + age", head=head).fit(X, y)
    edges = np.concatenate([[0.0], CUTS])
    # who is censored in an interval is not followed in it
    ends = np.where(y.event, y.time, edges[np.searchsorted(edges, y.time, "right") - 1])
    long = exploded(X, ends, y.event, CUTS)
    links = sm.families.links
    family = sm.families.Binomial(links.Logit() if link == "logit" else links.CLogLog())
    slow = sm.GLM(long["event"], dummies(long, "fin", "age"), family=family).fit()
    np.testing.assert_allclose(model.params_[["fin", "age"]], slow.params[1:3], 1e-6)
    h = slow.predict(dummies(exploded(X[:1], [52.0], [0], CUTS), "fin", "age"))
    found = model.predict_survival_function(X[:1]).values[0]
    np.testing.assert_allclose(found, np.cumprod(1 - h), rtol=1e-6)


def test_deep_terms_of_discrete_times_see_the_likelihood_of_their_long_rows(rossi):
    X, y = rossi
    model = ss.SemiStructuredSurvival("fin", head=ss.heads.Discrete(cuts=CUTS))
    head, fitted = model._fit(X, y, None, None)
    designs = [p.design for p in model.predictor_.predictors]
    matrices = head.evaluate(designs, X)
    tensors = head.tensors(fitted.exact, matrices, np.zeros((len(X), 1)))
    d = np.random.default_rng(1).normal(size=len(X))
    eta = tensors["offset"] + torch.as_tensor(d)[:, None]
    value = head.wide.log_density(tensors["y"], eta).numpy().sum()
    period = head.period
    long = matrices[0].dot(fitted.exact.coef) + d[period.row]
    slow = (period.event * long - np.logaddexp(0, long)).sum()
    np.testing.assert_allclose(value, slow, rtol=1e-10)


@pytest.mark.parametrize("loss", ["pmf", "deephit"])
def test_causes_in_discrete_times(risks, loss):
    X, y = risks
    head = ss.heads.Discrete(loss, cuts=5)
    model = ss.SemiStructuredSurvival("a + b", head=head).fit(X, y)
    at = [0.3, 1.0, float(model.curves_.cuts[-1])]
    incidence = model.predict_cumulative_incidence_function(X[:4], times=at)
    survival = model.predict_survival_function(X[:4], times=at)
    total = sum(curve.values for curve in incidence.values()) + survival.values
    np.testing.assert_allclose(total, 1.0, rtol=1e-10)
    assert list(incidence) == ["death", "relapse"]


# -- with scans ---------------------------------------------------------------------


@pytest.fixture(scope="module")
def scans():
    X, y = ss.datasets.load_survival_digits()
    return X[:300], y[:300]


@pytest.mark.parametrize(
    "head",
    [
        "weibull",
        ss.heads.PAMM(cuts=10),
        ss.heads.Discrete(cuts=4),
        ss.heads.Discrete("multisurv", cuts=4, effects="varying"),
        ss.heads.Discrete("deephit", cuts=3),
    ],
    ids=["weibull", "pamm", "proportional", "multisurv", "deephit"],
)
def test_heads_with_scans(scans, tmp_path, head):
    X, y = scans
    training = ss.Training(max_epochs=4, learning_rate=5e-3)
    model = ss.SemiStructuredSurvival(
        "age + image(scan)", head=head, training=training, random_state=0
    ).fit(X, y)
    assert model.history_["epoch"].max() == 4
    at = model.curves_.times[[1, -1]]
    together = model.predict_survival_function(X[:6], times=at).values
    alone = model.predict_survival_function(X[4:5], times=at).values
    np.testing.assert_allclose(alone[0], together[4], rtol=1e-5)
    table = model.predict_survival_function(X[:6].drop(columns="scan"), times=at)
    assert np.isfinite(table.values).all()
    model.save(tmp_path / "model")
    again = ss.load(tmp_path / "model")
    loaded = again.predict_survival_function(X[:6], times=at).values
    np.testing.assert_array_equal(loaded, together)


# -- parameters and bad input --------------------------------------------------------


def test_options_in_a_grid(rossi):
    X, y = rossi
    model = ss.SemiStructuredSurvival("fin + prio", head=ss.heads.Discrete())
    assert model.get_params()["head__cuts"] == 10
    search = GridSearchCV(model, {"head__cuts": [3, 6]}, cv=3).fit(X, y)
    assert search.best_params_["head__cuts"] in (3, 6)
    assert model.head.cuts == 10
    with pytest.raises(ParameterError, match=r"head__cut.*Did you mean 'head__cuts'"):
        model.set_params(head__cut=3)


@pytest.mark.parametrize(
    ("head", "message"),
    [
        (ss.heads.PAMM(timescale="gaps"), r"timescale.*PAMM.*'gap'"),
        (ss.heads.PAMM(cuts=0), "cuts.*PAMM"),
        (ss.heads.PAMM(cuts=[3.0, -1.0]), "cuts"),
        (ss.heads.Discrete("pmff"), r"loss.*Discrete.*'pmf'"),
        (ss.heads.Discrete(cuts=0), "cuts"),
        (ss.heads.Discrete(alpha=2), "alpha.*Discrete"),
        (ss.heads.Discrete(sigma=0), "sigma.*Discrete"),
        (ss.heads.Discrete(effects="both"), "effects.*Discrete"),
        ("weibul", r"one of.*Did you mean 'weibull'\?"),
    ],
)
def test_wrong_options(rossi, head, message):
    X, y = rossi
    with pytest.raises(ParameterError, match=message):
        ss.SemiStructuredSurvival("fin", head=head).fit(X, y)


@pytest.mark.parametrize("name", ["weibull", "pamm", "proportional", "pmf"])
def test_wrong_targets(rossi, risks, name):
    X, y = rossi
    model = ss.SemiStructuredSurvival("fin", head=HEADS[name])
    with pytest.raises(TargetError, match="no event: all 432 rows are censored"):
        model.fit(X, ss.Surv(y.time, np.zeros(len(y), bool)))
    with pytest.raises(TargetError, match="strata"):
        model.fit(X, ss.Surv(y.time, y.event, strata=X["race"]))
    if name == "weibull":
        with pytest.raises(TargetError, match="several causes"):
            ss.SemiStructuredSurvival("a", head="weibull").fit(*risks)


@pytest.mark.parametrize("name", ["weibull", "proportional", "pmf"])
def test_times_of_zero(rossi, name):
    X, y = rossi
    time = y.time.copy()
    time[5] = 0.0
    with pytest.raises(TargetError, match="5"):
        ss.SemiStructuredSurvival("fin", head=HEADS[name]).fit(
            X, ss.Surv(time, y.event)
        )


def test_the_name_of_the_time_axis(rossi):
    X, y = rossi
    table = X.assign(time=1.0)
    with pytest.raises(FormulaError, match="name of the time axis"):
        ss.SemiStructuredSurvival("s(time) + fin", head="pamm").fit(table, y)
    kept = ss.SemiStructuredSurvival("fin", head=ss.heads.PAMM(cuts=12)).fit(table, y)
    plain = ss.SemiStructuredSurvival("fin", head=ss.heads.PAMM(cuts=12)).fit(X, y)
    np.testing.assert_array_equal(kept.params_, plain.params_)
    with pytest.raises(ColumnError, match="time"):
        plain.predict_terms(X[:2])
    assert "s(time)" in plain.predict_terms(X[:2].assign(time=[3.0, 9.0]))


@pytest.mark.parametrize("given", [[-1.0], [np.nan], "later", []])
def test_times_that_cannot_be_asked_for(models, rossi, given):
    with pytest.raises(ParameterError, match="times"):
        models["weibull"].predict_survival_function(rossi[0][:1], times=given)


def test_after_the_last_cut(models, rossi):
    X, _ = rossi
    with pytest.raises(DataError, match="after the last cut"):
        models["pamm"].predict_survival_function(X[:1], times=[500.0])
    with pytest.raises(DataError, match="after the last"):
        models["pamm"].predict_restricted_mean(X[:1], 500.0)


def test_what_a_head_does_not_have(models, rossi):
    X, _ = rossi
    with pytest.raises(ParameterError, match="competing risks"):
        models["pamm"].predict_cumulative_incidence_function(X[:1])
    with pytest.raises(AttributeError, match="no baseline hazard"):
        _ = models["pamm"].baseline_


def test_the_picture_of_a_smooth_of_time(rossi):
    X, y = rossi
    head = ss.heads.PAMM(cuts=20)
    model = ss.SemiStructuredSurvival("s(time) + s(age)", head=head).fit(X, y)
    time, age = ss.plots.terms(model, X)
    assert len(time.lines) == 1
    assert len(age.lines) == 2  # with the rug of its column
    plt.close(time.figure)


def test_monotone_smooths_by_head(rossi):
    X, y = rossi
    with pytest.raises(ParameterError, match=r"smooths without constraints.*pamm"):
        ss.SemiStructuredSurvival("s(prio, bs='mpi', k=6)").fit(X, y)
    for head in (ss.heads.PAMM(cuts=8), "weibull"):
        bs = "mpd" if head == "weibull" else "mpi"  # more arrests, an earlier event
        model = ss.SemiStructuredSurvival(f"s(prio, bs='{bs}', k=6)", head=head)
        rows = X[:1].loc[[X.index[0]] * 10].assign(prio=range(10))
        risk = model.fit(X, y).predict(rows)
        assert (np.diff(risk) >= -1e-10).all()
