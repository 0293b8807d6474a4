"""Baselines from shared risk sets, thinned ones, and the choice of a covariance."""

import numpy as np
import pytest

from semistruct._core.persistence import read_state, write_state
from semistruct.exceptions import DataError, ParameterError, TargetError
from semistruct.inference import (
    CoxBaseline,
    CoxRows,
    RiskRows,
    cox_covariance,
    cox_sandwich,
    cox_survival_band,
)
from semistruct.solvers import fit_cox_on, risk_sets

N = 400
RNG = np.random.default_rng(8)
X = RNG.normal(size=(N, 3)) + np.array([5.0, 0.0, -2.0])
TIME = np.ceil(200 * RNG.exponential(size=N) * np.exp(-X @ [0.5, -0.3, 0.2])) + 1.0
EVENT = RNG.uniform(size=N) < 0.8
ENTRY = np.floor(TIME * RNG.uniform(0.0, 0.5, N))
STRATA = np.array(["b", "a"])[RNG.integers(0, 2, N)]
WEIGHT = RNG.choice([0.0, 0.5, 2.0], N)
OPTIONS = {
    "plain": {},
    "breslow": {"ties": "breslow"},
    "all": {"entry": ENTRY, "strata": STRATA, "sample_weight": WEIGHT},
}
every = pytest.mark.parametrize("name", OPTIONS)


def fitted(name):
    sets = risk_sets(TIME, EVENT, **OPTIONS[name])
    fit = fit_cox_on(sets, X)
    return sets, fit, CoxRows(X, fit.linear_predictor, TIME, EVENT, **OPTIONS[name])


def bands(base, fit, name):
    labels = None if name != "all" else STRATA[:20]
    eta = fit.linear_predictor[:20, 0]
    return cox_survival_band(base, X[:20], eta, fit.cov, strata=labels)


@every
def test_from_sets_is_from_rows(name):
    sets, fit, rows = fitted(name)
    one = bands(CoxBaseline.from_rows(rows), fit, name)
    two = bands(CoxBaseline.from_sets(sets, X, fit.linear_predictor), fit, name)
    for a, b in zip(one, two, strict=True):
        np.testing.assert_allclose(a.values, b.values, rtol=1e-10, atol=1e-13)


@every
def test_thinned_baselines_keep_the_curve_and_nearly_the_error(name):
    sets, fit, _ = fitted(name)
    whole = CoxBaseline.from_sets(sets, X, fit.linear_predictor)
    thin = CoxBaseline.from_sets(sets, X, fit.linear_predictor, max_knots=40)
    for label, part in thin.strata.items():
        full = whole.strata[label]
        assert part.drift.shape == (len(part.knots), 3)
        assert len(part.knots) <= 40 < len(part.times) == len(full.knots)
        assert part.knots[-1] == len(part.times) - 1
        np.testing.assert_array_equal(part.hazard, full.hazard)
        np.testing.assert_allclose(part.drift, full.drift[part.knots], rtol=1e-9)
    one, two = bands(whole, fit, name), bands(thin, fit, name)
    np.testing.assert_array_equal(one.estimate.values, two.estimate.values)
    inside = one.std_error.values > 0
    ratio = two.std_error.values[inside] / one.std_error.values[inside]
    assert 0 < np.abs(ratio - 1).max() < 0.01


@every
def test_a_saved_baseline_gives_the_same_bands(tmp_path, name):
    sets, fit, _ = fitted(name)
    base = CoxBaseline.from_sets(sets, X, fit.linear_predictor, max_knots=25)
    write_state(tmp_path / "base", base.to_state())
    again = CoxBaseline.from_state(read_state(tmp_path / "base"))
    for a, b in zip(bands(base, fit, name), bands(again, fit, name), strict=True):
        np.testing.assert_array_equal(a.values, b.values)


def test_drift_is_held_from_before_the_first_event_to_the_last():
    sets, fit, _ = fitted("plain")
    base = CoxBaseline.from_sets(sets, X, fit.linear_predictor, max_knots=25)
    part = base.strata[None]
    hazard, variance, drift = part.at(np.array([0.0, part.times[0], 1e9]))
    assert hazard[0] == variance[0] == 0.0
    assert (drift[0] == 0).all()
    np.testing.assert_allclose(drift[1], part.drift[0])
    np.testing.assert_allclose(drift[2], part.drift[-1])


@every
def test_covariances(name):
    sets, fit, rows = fitted(name)
    shared = RiskRows(sets, X, fit.linear_predictor)
    ids = np.arange(N) // 3
    model = cox_covariance("model", shared, fit.cov)
    assert np.array_equal(model, fit.cov)
    assert model is not fit.cov
    for kind, clusters in (("robust", None), ("cluster", ids)):
        found = cox_covariance(kind, shared, fit.cov, clusters)
        np.testing.assert_allclose(
            found, cox_sandwich(rows, fit.cov, clusters), rtol=1e-9
        )
        assert np.abs(found / model - 1).max() > 0.01
    alone = cox_covariance("cluster", shared, fit.cov, np.arange(N))
    np.testing.assert_allclose(alone, cox_covariance("robust", shared, fit.cov))


def test_what_is_refused():
    sets, fit, _ = fitted("plain")
    eta = fit.linear_predictor
    rows = RiskRows(sets, X, eta)
    with pytest.raises(ParameterError, match=r"'kind' of cox_covariance.*'cluster'"):
        cox_covariance("clusters", rows, fit.cov)
    with pytest.raises(DataError, match="needs clusters"):
        cox_covariance("cluster", rows, fit.cov)
    with pytest.raises(DataError, match="only one cluster"):
        cox_covariance("cluster", rows, fit.cov, np.zeros(N))
    with pytest.raises(DataError, match="RiskRows: linear_predictor has 2 rows"):
        RiskRows(sets, X, [0.0, 1.0])
    with pytest.raises(DataError, match="do not fit risk sets of 400 rows"):
        CoxBaseline.from_sets(sets, X[:5], eta)
    with pytest.raises(ParameterError, match="'max_knots' of CoxBaseline"):
        CoxBaseline.from_sets(sets, X, eta, max_knots=1)
    with pytest.raises(DataError, match="too far below"):
        CoxBaseline.from_sets(sets, X, np.where(TIME.min() == TIME, 2000.0, 0.0))
    none = risk_sets(TIME, np.zeros(N))
    with pytest.raises(TargetError, match="there is no hazard"):
        CoxBaseline.from_sets(none, X, eta)
    with pytest.raises(TargetError, match="nothing to diagnose"):
        RiskRows(none, X, eta)
