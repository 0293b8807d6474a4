"""Kaplan-Meier and kin: against lifelines, repetition of rows, and what must hold."""

import warnings

import numpy as np
import pandas as pd
import pytest

from semistruct import Surv
from semistruct.exceptions import DataError, ParameterError, TargetError
from semistruct.survival import (
    aalen_johansen,
    kaplan_meier,
    log_rank,
    nelson_aalen,
    numbers_at_risk,
)


def sample(n=120, seed=0, tied=True):
    rng = np.random.default_rng(seed)
    time = rng.exponential(10, n) + 0.1
    time = np.ceil(time) if tied else time
    event = rng.random(n) < 0.7
    return time, event, rng.integers(0, 3, n), rng.choice(["x", "y"], n)


@pytest.fixture
def lifelines():
    """Import the library without its warnings and changes of NumPy's error state."""
    import lifelines.statistics

    with warnings.catch_warnings(), np.errstate():
        warnings.simplefilter("ignore")
        yield lifelines


def test_against_lifelines(lifelines):
    time, event, _, _ = sample()
    found = kaplan_meier(Surv(time, event), level=0.9)
    theirs = lifelines.KaplanMeierFitter(alpha=0.1).fit(time, event)
    at = found.table.loc["all"].index
    np.testing.assert_allclose(
        found.estimate(at)[0], theirs.survival_function_.loc[at].to_numpy()[:, 0]
    )
    limits = theirs.confidence_interval_.loc[at].to_numpy()
    inside = found.estimate(at)[0] > 0
    np.testing.assert_allclose(found.lower(at)[0][inside], limits[inside, 0])
    np.testing.assert_allclose(found.upper(at)[0][inside], limits[inside, 1])
    hazard = nelson_aalen(Surv(time, event))
    theirs = lifelines.NelsonAalenFitter(nelson_aalen_smoothing=False).fit(time, event)
    np.testing.assert_allclose(
        hazard.estimate(at)[0], theirs.cumulative_hazard_.loc[at].to_numpy()[:, 0]
    )


def test_incidence_against_lifelines(lifelines):
    time, event, cause, _ = sample(tied=False)
    y = Surv(time, event, cause=cause)
    found = aalen_johansen(y, 1)
    theirs = lifelines.AalenJohansenFitter().fit(time, event * (cause + 1), 2)
    at = found.table.loc["all"].index
    cif = theirs.cumulative_density_.loc[at].to_numpy()[:, 0]
    np.testing.assert_allclose(found.estimate(at)[0], cif, rtol=1e-9)
    variance = theirs.variance_.loc[at].to_numpy()
    seen = ~np.isnan(variance)  # theirs has none once all have died
    ours = found.std_error(at)[0] ** 2
    assert seen.sum() >= len(at) - 1
    np.testing.assert_allclose(ours[seen], variance[seen], atol=1e-10)


@pytest.mark.parametrize("weighting", ["logrank", "wilcoxon", "tarone-ware"])
def test_log_rank_against_lifelines(lifelines, weighting):
    time, event, cause, _ = sample()
    chosen = None if weighting == "logrank" else weighting
    theirs = lifelines.statistics.multivariate_logrank_test(
        time, cause, event, weightings=chosen
    )
    found = log_rank(Surv(time, event), cause, weighting=weighting)
    assert found.statistic == pytest.approx(theirs.test_statistic, rel=1e-9)
    assert found.p_value == pytest.approx(theirs.p_value, rel=1e-9)
    assert found.df == 2
    assert found.table["observed"].sum() == pytest.approx(found.table["expected"].sum())


def test_weights_are_repetition():
    time, event, cause, group = sample(seed=2)
    weight = np.resize([1, 3, 2, 0], len(time))
    entry = np.maximum(time - 6, 0)
    y = Surv(time, event, entry=entry, cause=cause, weights=weight)
    rows = np.repeat(np.arange(len(time)), weight)
    long = Surv(time[rows], event[rows], entry=entry[rows], cause=cause[rows])
    for curve in (kaplan_meier, nelson_aalen, lambda *a: aalen_johansen(a[0], 1, a[1])):
        one, two = curve(y, group), curve(long, group[rows])
        pd.testing.assert_frame_equal(one.table, two.table, atol=1e-12)
    one, two = log_rank(y, group), log_rank(long, group[rows])
    assert one.statistic == pytest.approx(two.statistic)
    at = [0.0, 3.0, 11.5]
    pd.testing.assert_frame_equal(
        numbers_at_risk(y, at, group), numbers_at_risk(long, at, group[rows])
    )


def test_the_last_death_ends_the_curve_despite_rounding():
    time = np.arange(1.0, 8.0)
    weight = np.array([0.1, 0.2, 0.3, 0.7, 0.1, 0.3, 0.1]) / 3
    y = Surv(time, entry=time - 0.9, weights=weight, cause=np.ones(7))
    late = Surv(time, entry=[0, 0.5, 0, 2.5, 0.1, 0, 3], weights=weight)
    assert kaplan_meier(y).estimate([1.0]).item() == 0
    assert kaplan_meier(late).estimate([7.0]).item() == 0
    assert aalen_johansen(y, 1).estimate([9.0]).item() == pytest.approx(1)


def test_incidences_and_survival_add_up():
    time, event, cause, group = sample(seed=3)
    y = Surv(time, event, cause=cause)
    at = np.unique(time)
    total = sum(aalen_johansen(y, c, group).estimate(at) for c in y.causes)
    np.testing.assert_allclose(total + kaplan_meier(y, group).estimate(at), 1)
    one = aalen_johansen(Surv(time, event, cause=np.ones(len(time))), 1)
    whole = kaplan_meier(Surv(time, event))
    np.testing.assert_allclose(one.estimate(at), 1 - whole.estimate(at))
    error = whole.std_error(at)[0]
    seen = ~np.isnan(error)  # one cause: Greenwood's
    np.testing.assert_allclose(one.std_error(at)[0][seen], error[seen], atol=1e-12)


def test_log_rank_is_the_score_test_of_cox():
    """Without ties the log-rank test is Cox's score test at 0, late entry and all."""
    from semistruct.inference import CoxRows, score_residuals

    time, event, _, group = sample(tied=False, seed=5)
    entry = np.maximum(time - 8, 0)
    strata = np.arange(len(time)) % 3
    x = (group == "y").astype(float)[:, None]
    rows = CoxRows(x, np.zeros(len(x)), time, event, entry=entry, strata=strata)
    score, information = score_residuals(rows).sum(), rows.information()[0, 0]
    found = log_rank(Surv(time, event, entry=entry, strata=strata), group)
    assert found.statistic == pytest.approx(score**2 / information)


def test_groups():
    time, event, cause, group = sample()
    y = Surv(time, event, strata=group)
    found = kaplan_meier(y)  # by strata
    assert list(found.estimate.index) == ["x", "y"]
    assert list(kaplan_meier(y, cause).estimate.index) == [0, 1, 2]
    alone = kaplan_meier(Surv(time[group == "y"], event[group == "y"]))
    at = np.linspace(0, 30, 40)
    np.testing.assert_array_equal(found.estimate(at)[1], alone.estimate(at)[0])
    pd.testing.assert_frame_equal(found.table.loc["y"], alone.table.loc["all"])
    counts = numbers_at_risk(y, [0.0, 10.0])
    assert counts.loc["x", 10.0] == ((group == "x") & (time >= 10)).sum()
    ordered = pd.Categorical(group, ["y", "x"])
    assert list(kaplan_meier(y, pd.Series(ordered)).estimate.index) == ["y", "x"]


def test_limits_stay_in_range_and_hold_the_estimate():
    time, event, cause, _ = sample(n=15)
    y = Surv(time, event, cause=cause)
    for found in (
        kaplan_meier(y),
        kaplan_meier(y, transform="log"),
        kaplan_meier(y, transform="plain"),
        aalen_johansen(y, y.causes[0]),
        nelson_aalen(y),
        nelson_aalen(y, transform="plain"),
    ):
        table = found.table.dropna()
        assert (table["lower"] >= 0).all()
        assert (table["lower"] <= table["estimate"] + 1e-12).all()
        assert (table["estimate"] <= table["upper"] + 1e-12).all()


def test_errors():
    y = Surv([1.0, 2.0], [1, 0], cause=["relapse", None])
    with pytest.raises(TargetError, match=r"cause 'relaps'.*Did you mean 'relapse'"):
        aalen_johansen(y, "relaps")
    with pytest.raises(TargetError, match="no causes"):
        aalen_johansen(Surv([1.0]), "a")
    with pytest.raises(DataError, match="groups have shape"):
        kaplan_meier(y, ["a"])
    with pytest.raises(DataError, match="group of row 1 is missing"):
        kaplan_meier(y, ["a", None])
    with pytest.raises(DataError, match="no rows"):
        kaplan_meier(Surv([], []))
    with pytest.raises(ParameterError, match="level"):
        kaplan_meier(y, level=95)
    with pytest.raises(ParameterError, match="transform"):
        nelson_aalen(y, transform="log-log")
    with pytest.raises(DataError, match="two groups are needed"):
        log_rank(y, ["a", "a"])
    with pytest.raises(TargetError, match="no event"):
        log_rank(Surv([1.0, 2.0], [0, 0]), ["a", "b"])
    with pytest.raises(ParameterError, match="weighting"):
        log_rank(y, ["a", "b"], weighting="gehan")
