"""Measures for one of several causes against literal transcriptions."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from semistruct import StepFunction, Surv, metrics
from semistruct.exceptions import DataError, ParameterError, TargetError
from semistruct.metrics._competing_calibration import incidence_pseudo_values
from semistruct.survival import aalen_johansen


def g_of(y, at, *, left=False):
    """G(at) or G(at−), time by time; events come before censorings."""
    value = 1.0
    for t in sorted(set(y.time)):
        if t > at or (left and t == at):
            break
        gone = sum(y.time[k] == t and not y.event[k] for k in range(len(y)))
        risk = sum(
            y.time[k] > t or (y.time[k] == t and not y.event[k]) for k in range(len(y))
        )
        value *= 1 - gone / risk if gone else 1.0
    return value


def incidence_of(time, event, own, at):
    """F(at) from its definition."""
    survival, found = 1.0, 0.0
    for t in sorted(set(time)):
        if t > at:
            break
        risk = np.sum(time >= t)
        found += survival * np.sum(own & (time == t)) / risk
        survival *= 1 - np.sum(event & (time == t)) / risk
    return found


@st.composite
def problems(draw):
    """Tied rows with causes a and b; the last is still followed up."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    n = draw(st.integers(4, 25))
    state = rng.integers(0, 3, n)
    time = np.r_[rng.integers(1, 8, n), 1, 9].astype(float)
    cause = np.array(["", "a", "b"])[np.r_[state, 1, 0]]
    y = Surv(time, cause != "", cause=cause)
    return y, rng.integers(0, 4, n + 2).astype(float), rng


def literal_concordance(y, risk, w, tau):
    right = total = 0.0
    for i in range(len(y)):
        if not (y.event[i] and y.cause[i] == "a" and y.time[i] < tau):
            continue
        gi = g_of(y, y.time[i], left=True)
        for j in range(len(y)):
            other = y.event[j] and y.cause[j] != "a"
            if y.time[j] > y.time[i] or (
                y.time[j] == y.time[i] and not (y.event[j] and y.cause[j] == "a")
            ):
                weight = 1 / gi**2
            elif other and y.time[j] < y.time[i]:
                weight = 1 / (gi * g_of(y, y.time[j], left=True))
            else:
                continue
            weight *= w[i] * w[j]
            right += weight * ((risk[i] > risk[j]) + 0.5 * (risk[i] == risk[j]))
            total += weight
    return right / total


@given(problems(), st.sampled_from([None, 4.0]))
def test_concordance(problem, tau):
    y, risk, rng = problem
    w = rng.integers(1, 3, len(y)).astype(float)
    found = metrics.cause_concordance(y, y, risk, tau, cause="a", sample_weight=w)
    expected = literal_concordance(y, risk, w, np.inf if tau is None else tau)
    assert float(found) == pytest.approx(expected, abs=1e-12)


@given(problems())
def test_concordance_without_other_events_is_unos(problem):
    y, risk, _ = problem
    own = y.event & (y.cause == "a")
    plain = Surv(y.time, own)
    single = Surv(y.time, own, cause=np.where(own, "a", ""))
    found = metrics.cause_concordance(plain, single, risk, cause="a")
    uno = metrics.uno(plain, plain, risk)
    assert float(found) == pytest.approx(float(uno), abs=1e-12)
    np.testing.assert_allclose(found.influence, uno.influence, atol=1e-12)


def test_influences_are_derivatives_in_the_weights():
    rng = np.random.default_rng(5)
    n = 40
    cause = np.array(["", "a", "b"])[rng.integers(0, 3, n)]
    y = Surv(rng.integers(1, 9, n), cause != "", cause=cause)
    risk, w = rng.normal(size=n), rng.uniform(0.5, 2, n)
    train = metrics.CensoringDistribution.fit(y, truncate=0.05)

    def measures(w):
        given_w = {"cause": "a", "sample_weight": w}
        brier = metrics.cause_brier_score(
            train, y, np.full((n, 2), 0.3) + 0.01 * risk[:, None], [2, 4], **given_w
        )
        return (
            metrics.cause_concordance(train, y, risk, **given_w),
            metrics.cause_auc(train, y, risk, [4.0], **given_w).integrated,
            metrics.cause_auc(
                train, y, risk, [4.0], controls="free", **given_w
            ).integrated,
            brier.integrated,
        )

    here = measures(w)
    for i in (0, 7, 23):
        up, down = w.copy(), w.copy()
        up[i] += 1e-6
        down[i] -= 1e-6
        for score, high, low in zip(here, measures(up), measures(down), strict=True):
            slope = w[i] * (high.estimate - low.estimate) / 2e-6
            assert score.influence[i] == pytest.approx(slope, abs=1e-7)


@given(problems(), st.sampled_from(["all", "free"]))
def test_auc(problem, controls):
    y, risk, _ = problem
    t = 3.5
    found = metrics.cause_auc(y, y, risk, t, cause="a", controls=controls)
    right = total = 0.0
    for i in range(len(y)):
        if not (y.event[i] and y.cause[i] == "a" and y.time[i] <= t):
            continue
        for j in range(len(y)):
            if y.time[j] > t:
                weight = 1 / g_of(y, t)
            elif controls == "all" and y.event[j] and y.cause[j] == "b":
                weight = 1 / g_of(y, y.time[j], left=True)
            else:
                continue
            weight /= g_of(y, y.time[i], left=True)
            right += weight * ((risk[i] > risk[j]) + 0.5 * (risk[i] == risk[j]))
            total += weight
    assert found.estimate[0] == pytest.approx(right / total, abs=1e-12)


def test_auc_is_weighted_by_the_rise_of_incidence():
    cause = np.array(["a", "b", "a", "a", ""])
    y = Surv([1.0, 2.0, 3.0, 4.0, 5.0], cause != "", cause=cause)
    curve = metrics.cause_auc(y, y, [3.0, 1.0, 2.0, 4.0, 1.5], [1, 3], cause="a")
    rise = np.diff(aalen_johansen(y, "a").estimate([1.0, 3.0])[0], prepend=0.0)
    mean = curve.estimate @ rise / rise.sum()
    assert curve.integrated.estimate == pytest.approx(mean, abs=1e-12)


@given(problems())
def test_brier_score(problem):
    y, _, rng = problem
    times = np.array([2.0, 3.5])
    f = rng.uniform(size=(len(y), 2))
    found = metrics.cause_brier_score(y, y, f, times, cause="a")
    for k, t in enumerate(times):
        total = 0.0
        for i in range(len(y)):
            if y.time[i] > t:
                total += f[i, k] ** 2 / g_of(y, t)
            elif y.event[i]:
                hit = y.cause[i] == "a"
                total += (hit - f[i, k]) ** 2 / g_of(y, y.time[i], left=True)
        assert found.estimate[k] == pytest.approx(total / len(y), abs=1e-12)
    whole = metrics.integrated_cause_brier_score(y, y, f, times, cause="a")
    assert float(whole) == pytest.approx(found.estimate.mean(), abs=1e-12)


def test_brier_score_of_one_cause_is_that_of_survival():
    rng = np.random.default_rng(1)
    time, event = rng.integers(1, 9, 30), rng.random(30) < 0.6
    plain = Surv(np.r_[time, 10], np.r_[event, False])
    single = Surv(plain.time, plain.event, cause=np.full(31, "a"))
    f = rng.uniform(size=(31, 3))
    for ipcw in ("left", "scikit-survival", "pycox"):
        a = metrics.cause_brier_score(plain, single, f, [2, 3, 4], cause="a", ipcw=ipcw)
        b = metrics.brier_score(plain, plain, 1 - f, [2, 3, 4], ipcw=ipcw)
        np.testing.assert_allclose(a.estimate, b.estimate, rtol=1e-12)
        np.testing.assert_allclose(a.se, b.se, rtol=1e-12)


@given(problems())
def test_pseudo_values(problem):
    y, _, _ = problem
    own = y.event & (y.cause == "a")
    n = len(y)
    for at in (2.0, 5.5, 8.0):
        whole = incidence_of(y.time, y.event, own, at)
        expected = []
        for i in range(n):
            kept = np.arange(n) != i
            f = incidence_of(y.time[kept], y.event[kept], own[kept], at)
            expected.append(n * whole - (n - 1) * f)
        found = incidence_pseudo_values(y.time, y.event, own, at)
        np.testing.assert_allclose(found, expected, atol=1e-10)


def sample(n, seed):
    """Rows with F_a(t | x) = 1 − exp(−(1 − e^{−t}) q e^{x}) and its values at t = 1."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=n) * 0.7
    ratio = 0.6 * np.exp(x)
    u = rng.random(n)
    limit = -np.expm1(-ratio)  # F_a(∞)
    a = u < limit
    inner = np.clip(1 + np.log1p(-np.where(a, u, 0.0)) / ratio, 1e-12, 1)
    time = np.where(a, -np.log(inner), rng.exponential(size=n))
    late = rng.uniform(0.5, 3, n)
    cause = np.where(a, "a", "b")
    y = Surv(np.minimum(time, late), time <= late, cause=cause)
    return y, -np.expm1(-ratio * -np.expm1(-1.0))


def test_calibration_of_the_truth_and_of_what_is_wrong():
    y, truth = sample(4000, 2)
    slope = metrics.cause_calibration_slope(y, truth, 1.0, cause="a")
    intercept = metrics.cause_calibration_intercept(y, truth, 1.0, cause="a")
    assert abs(slope.estimate - 1) < 3 * slope.se < 0.3
    assert abs(intercept.estimate) < 3 * intercept.se < 0.3
    hazard = -np.log1p(-truth)
    narrow = -np.expm1(-np.exp(0.3 + 0.5 * np.log(hazard)))
    double = metrics.cause_calibration_slope(y, narrow, 1.0, cause="a")
    assert double.estimate == pytest.approx(2 * slope.estimate, rel=1e-6)
    low = metrics.cause_calibration_intercept(y, -np.expm1(-hazard / 2), 1.0, cause="a")
    shift = low.estimate - intercept.estimate
    assert shift == pytest.approx(np.log(2), rel=1e-6)


def test_calibration_curve_is_aalen_johansen_by_group():
    y, truth = sample(300, 3)
    curve = metrics.cause_calibration_curve(y, truth, 1.0, cause="a", bins=3)
    cuts = np.quantile(truth, [1 / 3, 2 / 3])
    group = np.searchsorted(cuts, truth)
    expected = aalen_johansen(y, "a", group)
    for name, step in (
        ("observed", expected.estimate),
        ("lower", expected.lower),
        ("upper", expected.upper),
    ):
        np.testing.assert_allclose(curve[name], step([1.0])[:, 0], rtol=1e-12)
    assert curve["n"].sum() == 300
    assert curve["events"].sum() == np.sum((y.cause == "a") & y.event & (y.time <= 1))


def test_curve_has_nothing_to_observe_where_nobody_was_followed_up():
    cause = np.array(["a", "", "a", ""])
    y = Surv([1.0, 2.0, 3.0, 9.0], cause != "", cause=cause)
    curve = metrics.cause_calibration_curve(
        y, [0.1, 0.1, 0.9, 0.9], 5.0, cause="a", bins=2
    )
    assert curve["observed"].isna().tolist() == [True, False]


def test_step_functions_are_read():
    y, truth = sample(50, 4)
    curves = StepFunction([0.5, 1.0], np.column_stack([truth / 2, truth]), before=0.0)
    a = metrics.cause_brier_score(y, y, curves, [0.7, 1.0], cause="a")
    b = metrics.cause_brier_score(y, y, curves([0.7, 1.0]), [0.7, 1.0], cause="a")
    np.testing.assert_array_equal(a.estimate, b.estimate)
    c = metrics.cause_auc(y, y, curves, 1.0, cause="a")
    d = metrics.cause_auc(y, y, truth, 1.0, cause="a")
    assert c.estimate == pytest.approx(d.estimate)


Y = Surv([1.0, 2.0, 3.0, 4.0], [1, 1, 1, 0], cause=["a", "b", "a", ""])
F = np.full((4, 1), 0.5)
CALLS = {
    "cause_concordance": lambda y, **k: metrics.cause_concordance(
        y, y, np.zeros(len(y)), **k
    ),
    "cause_auc": lambda y, **k: metrics.cause_auc(y, y, np.zeros(len(y)), 2.5, **k),
    "cause_brier_score": lambda y, **k: metrics.cause_brier_score(
        y, y, np.zeros((len(y), 1)), 2.5, **k
    ),
    "integrated_cause_brier_score": lambda y, **k: metrics.integrated_cause_brier_score(
        y, y, np.zeros((len(y), 2)), [2, 2.5], **k
    ),
    "cause_calibration_curve": lambda y, **k: metrics.cause_calibration_curve(
        y, np.zeros(len(y)), 2.5, **k
    ),
    "cause_calibration_slope": lambda y, **k: metrics.cause_calibration_slope(
        y, np.linspace(0, 1, len(y)), 2.5, **k
    ),
    "cause_calibration_intercept": lambda y, **k: metrics.cause_calibration_intercept(
        y, np.zeros(len(y)), 2.5, **k
    ),
}
every_call = pytest.mark.parametrize("name", CALLS)


@every_call
def test_causes_that_are_not_there(name):
    with pytest.raises(TargetError, match=rf"{name}\(\): no event of y has the cause"):
        CALLS[name](Y, cause="c")
    with pytest.raises(TargetError, match=r"y has no causes; give Surv"):
        CALLS[name](Surv(Y.time, Y.event), cause="a")


@every_call
def test_late_entry_is_refused(name):
    late = Surv(Y.time, Y.event, entry=[0, 1, 0, 0], cause=Y.cause)
    with pytest.raises(DataError, match=r"not made for late entry \(row 1 enters at 1"):
        CALLS[name](late, cause="a")


@every_call
def test_times_beyond_the_horizon(name):
    if name == "cause_concordance":
        return
    early = Y[[0, 1]]  # ends at 2
    with pytest.raises(DataError, match="horizon of y, 2"):
        CALLS[name](early, cause="a")


def test_bad_values():
    with pytest.raises(DataError, match=r"predicted incidence must lie in \[0, 1\]"):
        metrics.cause_brier_score(Y, Y, F + 1, [2.5], cause="a")
    with pytest.raises(DataError, match="incidence has shape"):
        metrics.cause_brier_score(Y, Y, F[:3], [2.5], cause="a")
    with pytest.raises(ParameterError, match="'controls' of cause_auc"):
        metrics.cause_auc(Y, Y, [0, 0, 0, 0], 2.5, cause="a", controls="none")
    with pytest.raises(DataError, match=r"no event of 'a' up to time 0\.5"):
        metrics.cause_auc(Y, Y, [0, 0, 0, 0], [0.5, 2.5], cause="a")
    with pytest.raises(DataError, match="all predictions are equal"):
        metrics.cause_calibration_slope(Y, [0.5] * 4, 2.5, cause="a")
    with pytest.raises(DataError, match="at least two times"):
        metrics.integrated_cause_brier_score(Y, Y, F, [2.5], cause="a")


CURVES = StepFunction([1.0, 2.0], np.full((4, 2), 0.5))
RISK = np.arange(4.0)
ALL_CAUSE = {
    "harrell": lambda y: metrics.harrell(y, RISK),
    "uno": lambda y: metrics.uno(y, y, RISK),
    "antolini": lambda y: metrics.antolini(y, CURVES),
    "cumulative_dynamic_auc": lambda y: metrics.cumulative_dynamic_auc(y, y, RISK, 2),
    "brier_score": lambda y: metrics.brier_score(y, y, CURVES, 2),
    "negative_binomial_log_likelihood": (
        lambda y: metrics.negative_binomial_log_likelihood(y, y, CURVES, 2)
    ),
    "ici": lambda y: metrics.ici(y, CURVES, 2),
    "calibration_curve": lambda y: metrics.calibration_curve(y, CURVES, 2),
    "d_calibration": lambda y: metrics.d_calibration(y, CURVES),
    "decision_curve": lambda y: metrics.decision_curve(y, CURVES, 2),
    "km_strata": lambda y: metrics.km_strata(y, RISK, 2),
}


@pytest.mark.parametrize("name", ALL_CAUSE)
def test_measures_of_any_event_refuse_several_causes(name):
    with pytest.raises(DataError, match=rf"{name}\(\): y has events of several causes"):
        ALL_CAUSE[name](Y)
    ALL_CAUSE[name](Surv(Y.time, Y.event, cause=["a", "a", "a", "b"]))
