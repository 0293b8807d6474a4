"""Calibration, decision curves and risk groups against literal computations."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from semistruct import StepFunction, Surv, metrics
from semistruct.exceptions import DataError, ParameterError
from semistruct.metrics._kaplan_meier import kaplan_meier, pseudo_values
from semistruct.metrics._small_cox import small_cox, spline_basis


def simulated(n=400, seed=0, slope=1.0, shift=0.0):
    """Exponential data; log hazards that are right for slope 1 and shift 0."""
    rng = np.random.default_rng(seed)
    eta = rng.normal(size=n)
    life, censor = rng.exponential(np.exp(-eta)), rng.exponential(2.0, size=n)
    y = Surv(np.minimum(life, censor), life <= censor)
    return y, (eta - shift) / slope


def curves(eta, times):
    return StepFunction(times, np.exp(-np.exp(eta)[:, None] * np.asarray(times)))


@given(st.integers(0, 2**32 - 1), st.integers(1, 30), st.booleans())
def test_kaplan_meier_and_its_pseudo_values(seed, n, tied):
    from lifelines import KaplanMeierFitter

    rng = np.random.default_rng(seed)
    time = rng.integers(1, 8, n) if tied else rng.exponential(3, n)
    time, event = time.astype(float), rng.random(n) < 0.6
    entry = time * rng.choice([0.0, 0.5], n)
    at = np.array([0.5, 2.0, 3.0, 5.5])
    curve = kaplan_meier(time, event)
    fitted = KaplanMeierFitter().fit(time, event)
    expected = fitted.survival_function_at_times(at)
    np.testing.assert_allclose(curve(at), expected, atol=1e-12)
    low, high = curve.interval(at, 1.959963984540054)
    ends = fitted.confidence_interval_.reindex([0.0, *at], method="ffill").iloc[1:]
    inside = (curve(at) > 0) & (curve(at) < 1)
    np.testing.assert_allclose(low[inside], ends.iloc[:, 0][inside], atol=1e-8)
    np.testing.assert_allclose(high[inside], ends.iloc[:, 1][inside], atol=1e-8)
    late = kaplan_meier(time, event, entry=entry)
    for k, t in enumerate(late.times):
        assert late.at_risk[k] == np.sum((entry < t) & (time >= t))
    for t in at:
        found = pseudo_values(time, event, t)
        for i in range(n):
            rest = np.arange(n) != i
            without = kaplan_meier(time[rest], event[rest])([t])[0] if n > 1 else 1.0
            expected = n * curve(np.array([t]))[0] - (n - 1) * without
            assert found[i] == pytest.approx(expected, abs=1e-10)


@pytest.mark.parametrize("censored", [False, True])
def test_d_calibration_counts(censored):
    rng = np.random.default_rng(0)
    n, bins = 60, 5
    times = np.linspace(0.1, 2, 20)
    event = rng.random(n) < (0.5 if censored else 2.0)
    y = Surv(rng.exponential(size=n), event)
    survival = curves(rng.normal(size=n) / 3, times)
    expected = np.zeros(bins)
    for i in range(n):
        s = survival(y.time[i])[i, 0]
        b = min(int(s * bins), bins - 1)
        if y.event[i]:
            expected[b] += 1
        else:
            expected[b] += (s - b / bins) / s
            expected[:b] += 1 / (bins * s)
    found = metrics.d_calibration(y, survival, bins=bins)
    np.testing.assert_allclose(found.counts, expected, atol=1e-12)
    assert found.counts.sum() == pytest.approx(n)
    assert found.statistic == pytest.approx(np.sum((expected - 12) ** 2 / 12))
    assert found.df == 4


def test_d_calibration_has_its_level():
    times = np.linspace(0.01, 8, 500)
    p = []
    for seed in range(60):
        y, eta = simulated(200, seed)
        p.append(metrics.d_calibration(y, curves(eta, times)).p_value)
    assert np.mean(np.array(p) < 0.1) < 0.25
    y, eta = simulated(2000, 0, shift=1.0)
    assert metrics.d_calibration(y, curves(eta, times)).p_value < 1e-6


def test_a_curve_that_reached_zero_counts_in_the_lowest_bin():
    y = Surv([2.0, 2.0], [0, 1])
    found = metrics.d_calibration(y, StepFunction([1.0], np.zeros((2, 1))), bins=2)
    assert found.counts.tolist() == [2.0, 0.0]


@pytest.mark.parametrize("tied", [False, True])
def test_the_small_cox_model_is_that_of_the_solvers(tied):
    from semistruct.solvers import baseline_hazard, fit_cox

    y, eta = simulated(150)
    time = np.ceil(y.time * 4) if tied else y.time
    x = np.column_stack([eta, np.random.default_rng(1).normal(size=150) * 100])
    fit = fit_cox(x, time, y.event, ties="efron")
    coef, survival = small_cox(x, time, y.event, 1.0)
    np.testing.assert_allclose(coef, fit.coef, rtol=1e-6, atol=1e-9)
    predictor = fit.linear_predictor[:, 0]
    ((times, hazard),) = baseline_hazard(
        predictor, time, y.event, entry=None, strata=None, sample_weight=None,
        ties="efron",
    ).values()  # fmt: skip
    level = hazard[np.searchsorted(times, 1.0, side="right") - 1]
    np.testing.assert_allclose(survival, np.exp(-level * np.exp(predictor)), rtol=1e-6)


def test_the_spline_is_linear_in_its_tails():
    x = np.linspace(-3, 3, 601)
    for knots in (3, 4, 5):
        basis = spline_basis(x, knots)
        assert basis.shape == (601, knots - 1)
        bend = np.diff(basis, n=2, axis=0)
        np.testing.assert_allclose(bend[[0, 1, -2, -1]], 0, atol=1e-10)
        assert np.abs(bend[:, 1:]).max() > 1e-5
    assert spline_basis(np.ones(5), 3).shape == (5, 0)
    assert spline_basis(np.r_[np.zeros(20), 1.0], 3).shape == (21, 1)


def test_ici_is_small_for_the_right_model_only():
    y, eta = simulated(3000)
    good = metrics.ici(y, np.exp(-np.exp(eta)), 1.0)
    bad = metrics.ici(y, np.exp(-np.exp(eta + 0.7)), 1.0)
    assert float(good) < 0.02 < 0.1 < float(bad)
    gap = np.abs(good.predicted - good.observed)
    assert good.ici == pytest.approx(gap.mean())
    assert (good.e50, good.e90, good.e_max) == pytest.approx(
        (np.median(gap), np.quantile(gap, 0.9), gap.max())
    )
    constant = metrics.ici(y, np.full(3000, 0.5), 1.0)  # then only a baseline is left
    known = kaplan_meier(y.time, y.event)(np.array([1.0]))[0]
    assert constant.ici == pytest.approx(abs(0.5 - known), abs=1e-3)


@pytest.mark.parametrize(("slope", "shift"), [(1.0, 0.0), (0.5, 0.0), (1.0, 0.6)])
def test_slope_and_intercept_find_what_was_simulated(slope, shift):
    """log(-log S(1)) = shift + slope × predicted."""
    y, eta = simulated(4000, 1, slope=slope, shift=shift)
    survival = np.exp(-np.exp(eta))
    b = metrics.calibration_slope(y, survival, 1.0)
    assert abs(b.estimate - slope) < 3 * b.se < 0.3
    if slope == 1:
        a = metrics.calibration_intercept(y, survival, 1.0)
        assert abs(a.estimate - shift) < 3 * a.se < 0.15


def test_slope_and_intercept_are_least_squares_of_pseudo_values():
    from scipy.optimize import least_squares

    y, eta = simulated(300)
    target = 1 - pseudo_values(y.time, y.event, 1.0)

    def rest(beta, slope=None):
        b = beta[1] if slope is None else slope
        return target - 1 + np.exp(-np.exp(beta[0] + b * eta))

    tight = {"xtol": 1e-15, "ftol": 1e-15, "gtol": 1e-12}
    both = least_squares(rest, [0.0, 1.0], jac="3-point", **tight)
    slope = metrics.calibration_slope(y, np.exp(-np.exp(eta)), 1.0)
    assert slope.estimate == pytest.approx(both.x[1], abs=1e-6)
    bread = np.linalg.inv(both.jac.T @ both.jac)
    robust = bread @ (both.jac.T * both.fun**2) @ both.jac @ bread
    assert slope.se == pytest.approx(np.sqrt(robust[1, 1]), rel=1e-4)
    level = least_squares(rest, [0.0], jac="3-point", args=(1.0,), **tight)
    score = metrics.calibration_intercept(y, np.exp(-np.exp(eta)), 1.0)
    assert score.estimate == pytest.approx(level.x[0], abs=1e-6)


def test_calibration_curve():
    y, eta = simulated(500)
    survival = np.exp(-np.exp(eta))
    curve = metrics.calibration_curve(y, survival, 1.0, bins=4)
    assert curve["n"].tolist() == [125] * 4
    group = np.argsort(np.argsort(-survival)) // 125
    for g in range(4):
        mine = group == g
        row = curve.iloc[g]
        known = kaplan_meier(y.time[mine], y.event[mine])(np.array([1.0]))[0]
        assert row["observed"] == pytest.approx(1 - known)
        assert row["predicted"] == pytest.approx(1 - survival[mine].mean())
        assert row["lower"] < row["observed"] < row["upper"]
        assert row["events"] == np.sum(y.event[mine] & (y.time[mine] <= 1))
    y = Surv([1.0, 1.0, 5.0, 5.0], [1, 0, 1, 0])
    curve = metrics.calibration_curve(y, [0.1, 0.1, 0.9, 0.9], 3.0, bins=2)
    assert curve["observed"].isna().tolist() == [False, True]


def test_decision_curve():
    y, eta = simulated(400)
    survival = np.exp(-np.exp(eta))
    curve = metrics.decision_curve(y, survival, 1.0, [0.3, 0.6])
    for _, row in curve.iterrows():
        q = row["threshold"]
        high = 1 - survival >= q
        known = kaplan_meier(y.time[high], y.event[high])(np.array([1.0]))[0]
        odds = q / (1 - q)
        assert row["n_high"] == high.sum()
        assert row["model"] == pytest.approx(high.mean() * (1 - known - known * odds))
    assert (curve["model"] > np.maximum(curve["all"], 0)).all()
    whole = Surv(np.ceil(y.time))  # without censoring: counts of true and false
    curve = metrics.decision_curve(whole, survival, 1.0, [0.4])
    high, case = 1 - survival >= 0.4, whole.time <= 1
    expected = np.mean(high & case) - np.mean(high & ~case) * 0.4 / 0.6
    assert curve["model"][0] == pytest.approx(expected)
    assert len(metrics.decision_curve(y, survival, 1.0)) == 99
    none = metrics.decision_curve(y, np.ones(400), 1.0, [0.5])
    assert none["model"][0] == 0.0
    with pytest.raises(ParameterError, match="thresholds"):
        metrics.decision_curve(y, survival, 1.0, [0.0])


def test_km_strata():
    y, eta = simulated(300)
    found = metrics.km_strata(y, eta, 3, times=[0.0, 0.5, 1.0])
    assert np.bincount(found.group).tolist() == [100, 100, 100]
    again = metrics.km_strata(y, eta, found.cuts)
    np.testing.assert_array_equal(again.group, found.group)
    assert again.at_risk.shape == (3, 6)
    for g in range(3):
        mine = found.group == g
        assert found.at_risk.loc[g, 0.5] == np.sum(y.time[mine] >= 0.5)
        part = found.curves[found.curves["group"] == g]
        curve = kaplan_meier(y.time[mine], y.event[mine])
        np.testing.assert_allclose(part["survival"][1:], curve.survival)
        assert part["time"].iloc[0] == 0.0
        assert part["events"].sum() == y.event[mine].sum()
        assert part["at_risk"].iloc[0] == 100
    with pytest.raises(DataError, match="must increase"):
        metrics.km_strata(y, eta, [1.0, 0.0])


@pytest.mark.parametrize(
    "measure",
    [
        metrics.ici,
        metrics.calibration_slope,
        metrics.calibration_intercept,
        metrics.calibration_curve,
        metrics.decision_curve,
    ],
)
def test_named_errors(measure):
    y = Surv([1.0, 2.0, 3.0, 4.0])
    risk = [0.4, 0.5, 0.6, 0.7]
    with pytest.raises(DataError, match="horizon of y, 4; the largest is 5"):
        measure(y, risk, 5.0)
    with pytest.raises(DataError, match="shape"):
        measure(y, risk[:3], 2.0)
    with pytest.raises(DataError, match="row 0, time number 0 is nan"):
        measure(y, [np.nan, 0.5, 0.6, 0.7], 2.0)
    with pytest.raises(DataError, match="time must be one number"):
        measure(y, np.full((4, 2), 0.5), [1.0, 2.0])
    with pytest.raises(DataError, match="not made for case weights"):
        measure(Surv([1.0, 2.0], weights=[1, 2]), [0.5, 0.5], 1.0)
    with pytest.raises(DataError, match="late entry"):
        measure(Surv([1.0, 2.0], entry=[0.0, 1.0]), [0.5, 0.5], 1.0)


def test_more_named_errors():
    y = Surv([1.0, 2.0, 3.0])
    with pytest.raises(DataError, match="predictions are equal"):
        metrics.calibration_slope(y, [0.5] * 3, 2.0)
    with pytest.raises(DataError, match="no event"):
        metrics.ici(Surv([1.0, 2.0], [0, 0]), [0.5, 0.4], 1.0)
    with pytest.raises(ParameterError, match="knots"):
        metrics.ici(y, [0.5, 0.4, 0.3], 1.0, knots=2)
    with pytest.raises(DataError, match="did not converge"):
        metrics.calibration_intercept(Surv([1.0, 2.0], [0, 0]), [0.5, 0.4], 1.0)
    with pytest.raises(DataError, match="no rows"):
        metrics.d_calibration(Surv([]), StepFunction([1.0], np.empty((0, 1))))
