"""Measures weighted for censoring against literal transcriptions of their formulas."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from semistruct import StepFunction, Surv, metrics
from semistruct.exceptions import DataError, ParameterError
from semistruct.metrics import CensoringDistribution

CONVENTIONS = ("left", "scikit-survival", "pycox")


def g_of(y, at, *, left=False, together=False):
    """G(at) or G(at−), time by time."""
    value = 1.0
    for t in sorted(set(y.time)):
        if t > at or (left and t == at):
            break
        gone = sum(y.time[k] == t and not y.event[k] for k in range(len(y)))
        risk = sum(
            y.time[k] > t or (y.time[k] == t and (together or not y.event[k]))
            for k in range(len(y))
        )
        value *= 1 - gone / risk if gone else 1.0
    return value


def weight_of(train, y, i, ipcw):
    left, together = ipcw != "scikit-survival", ipcw == "pycox"
    return 1 / g_of(train, y.time[i], left=left, together=together)


def mean_loss(train, y, s, t, loss, ipcw, w):
    total = mass = 0.0
    for i in range(len(y)):
        inverse = lost = 0.0
        if y.time[i] > t:
            inverse = 1 / g_of(train, t, together=ipcw == "pycox")
            lost = loss(s[i], True)
        elif y.event[i]:
            inverse, lost = weight_of(train, y, i, ipcw), loss(s[i], False)
        total += w[i] * inverse * lost
        mass += w[i] * (inverse if ipcw == "pycox" else 1.0)
    return total / mass


def brier(s, lives):
    return (1 - s) ** 2 if lives else s**2


def nbll(s, lives):
    return -np.log(np.clip(s if lives else 1 - s, 1e-7, 1 - 1e-7))


def pair_mean(train, y, risk, pairs, power, ipcw):
    right = total = 0.0
    for i, j in pairs:
        w = weight_of(train, y, i, ipcw) ** power
        right += w * ((risk[i] > risk[j]) + 0.5 * (risk[i] == risk[j]))
        total += w
    return right / total if total else None


@st.composite
def problems(draw):
    """Tied training and test data; at the end all of them are still followed up."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    out = []
    for n in (draw(st.integers(3, 25)), draw(st.integers(3, 25))):
        time, event = rng.integers(1, 8, n), rng.random(n) < 0.6
        out.append(Surv(np.r_[time, 9.0], np.r_[event, False]))
    n = len(out[1])
    return *out, rng.integers(0, 4, n).astype(float), rng


@given(problems(), st.sampled_from(CONVENTIONS))
def test_losses(problem, ipcw):
    train, y, _, rng = problem
    times = np.array([1.0, 2.0, 4.5, 7.0])
    s = np.sort(rng.integers(0, 11, (len(y), 4)) / 10, axis=1)[:, ::-1]
    w = rng.integers(1, 4, len(y)).astype(float)
    for measure, loss in (
        (metrics.brier_score, brier),
        (metrics.negative_binomial_log_likelihood, nbll),
    ):
        expected = [
            mean_loss(train, y, s[:, k], t, loss, ipcw, w) for k, t in enumerate(times)
        ]
        found = measure(train, y, s, times, ipcw=ipcw, sample_weight=w)
        np.testing.assert_allclose(found.estimate, expected, rtol=1e-12, atol=1e-14)
        whole = np.trapezoid(expected, times) / 6
        assert found.integrated.estimate == pytest.approx(whole, rel=1e-12)


@given(problems(), st.sampled_from(CONVENTIONS))
def test_influence_of_losses_is_the_derivative_in_the_weights(problem, ipcw):
    train, y, _, rng = problem
    times, s = np.array([2.0, 4.5, 7.0]), rng.random((len(y), 3))
    w, i, h = rng.uniform(0.5, 2, len(y)), rng.integers(0, len(y)), 1e-5

    def at(step):
        changed = w.copy()
        changed[i] += step
        return metrics.brier_score(train, y, s, times, ipcw=ipcw, sample_weight=changed)

    change = float(at(h).integrated) - float(at(-h).integrated)
    score = at(0.0)
    influence = score.integrated.influence
    assert influence[i] == pytest.approx(w[i] * change / (2 * h), abs=1e-8)
    single = metrics.brier_score(
        train, y, s[:, 1], times[1], ipcw=ipcw, sample_weight=w
    )
    assert single.integrated is None
    assert single.se[0] == pytest.approx(score.se[1], rel=1e-9)


@given(problems(), st.sampled_from(CONVENTIONS))
def test_uno(problem, ipcw):
    train, y, risk, rng = problem
    tau = float(rng.integers(2, 9))
    pairs = [
        (i, j)
        for i in range(len(y))
        for j in range(len(y))
        if y.event[i]
        and y.time[i] < tau
        and (y.time[j] > y.time[i] or (y.time[j] == y.time[i] and not y.event[j]))
    ]
    known = "scikit-survival" if ipcw == "scikit-survival" else "left"
    given_g = CensoringDistribution.fit(train)
    expected = pair_mean(train, y, risk, pairs, 2, known)
    if expected is None:
        with pytest.raises(DataError, match="No pair"):
            metrics.uno(train, y, risk, tau)
        return
    score = metrics.uno(given_g, y, risk, tau, ipcw=ipcw)
    assert score.estimate == pytest.approx(expected, abs=1e-12)
    order = rng.permutation(len(y))
    other = metrics.uno(given_g, y[order], np.exp(risk[order]), tau, ipcw=ipcw)
    assert other.estimate == pytest.approx(score.estimate, abs=1e-12)
    assert other.se == pytest.approx(score.se, abs=1e-12)
    assert metrics.uno(train, y, 0 * risk, tau).estimate == pytest.approx(0.5)


@given(problems(), st.sampled_from(("left", "scikit-survival")))
def test_auc(problem, ipcw):
    train, y, risk, rng = problem
    times = np.array([2.0, 4.0, 6.5])
    n = range(len(y))
    expected = [
        pair_mean(
            train,
            y,
            risk,
            [(i, j) for i in n for j in n if y.event[i] and y.time[i] <= t < y.time[j]],
            1,
            ipcw,
        )
        for t in times
    ]
    if None in expected:
        with pytest.raises(DataError, match="there is no event up to time"):
            metrics.cumulative_dynamic_auc(train, y, risk, times, ipcw=ipcw)
        return
    curve = metrics.cumulative_dynamic_auc(train, y, risk, times, ipcw=ipcw)
    np.testing.assert_allclose(curve.estimate, expected, atol=1e-12)
    columns = np.column_stack([risk, np.exp(risk), risk + 1])
    again = metrics.cumulative_dynamic_auc(train, y, columns, times, ipcw=ipcw)
    np.testing.assert_allclose(again.estimate, expected, atol=1e-12)
    curves = StepFunction(times, 1 / (2 + risk)[:, None] * [1, 0.9, 0.8])
    again = metrics.cumulative_dynamic_auc(train, y, curves, times, ipcw=ipcw)
    np.testing.assert_allclose(again.se, curve.se, atol=1e-12)
    i, h = rng.integers(0, len(y)), 1e-5
    w, values = np.ones(len(y)), []
    for step in (h, -h):
        changed = w.copy()
        changed[i] += step
        found = metrics.cumulative_dynamic_auc(
            train, y, risk, times[1:2], ipcw=ipcw, sample_weight=changed
        )
        values.append(found.estimate[0])
    one = metrics.cumulative_dynamic_auc(train, y, risk, times[1:2], ipcw=ipcw)
    slope = (values[0] - values[1]) / (2 * h)
    assert one.integrated.influence[i] == pytest.approx(slope, abs=1e-7)


@given(problems(), st.sampled_from(("events first", "together")))
def test_the_censoring_distribution(problem, ties):
    train, _, _, rng = problem
    g = CensoringDistribution.fit(train, ties=ties)
    at = np.array([0.0, 0.5, *range(1, 9), 8.5])
    for left in (False, True):
        expected = [g_of(train, t, left=left, together=ties == "together") for t in at]
        np.testing.assert_allclose(g(at, left=left), expected, atol=1e-12)
    w = rng.integers(1, 4, len(train)).astype(float)
    rows = np.repeat(np.arange(len(train)), w.astype(int))
    weighted = Surv(train.time, train.event, weights=w)
    repeated = CensoringDistribution.fit(train[rows], ties=ties)
    np.testing.assert_allclose(
        CensoringDistribution.fit(weighted, ties=ties)(at), repeated(at), atol=1e-12
    )
    again = CensoringDistribution.from_state(g.to_state())
    np.testing.assert_array_equal(again(at), g(at))
    np.testing.assert_array_equal(again.default_times(5), g.default_times(5))


def test_late_entry_in_the_censoring_distribution():
    y = Surv([2.0, 3.0, 4.0, 5.0], [0, 0, 0, 1], entry=[0.0, 2.0, 0.0, 2.5])
    g = CensoringDistribution.fit(y)
    np.testing.assert_allclose(g([2, 3, 4]), [1 / 2, 1 / 3, 1 / 6])


def test_without_censoring_all_weights_are_one():
    y = Surv([1.0, 2.0, 3.0])
    g = CensoringDistribution.fit(y)
    assert g([0.5, 100.0]).tolist() == [1.0, 1.0]
    s = np.array([[0.2], [0.4], [0.9]])
    expected = np.mean([0.2**2, 0.6**2, 0.1**2])
    for ipcw in CONVENTIONS:
        found = metrics.brier_score(g, y, s, 1.0, ipcw=ipcw)
        assert found.estimate[0] == pytest.approx(expected)


def test_a_censoring_model_that_depends_on_covariates():
    """Where it does not, it is the Kaplan-Meier estimate."""
    rng = np.random.default_rng(0)
    y = Surv(rng.exponential(size=600), rng.random(600) < 0.6)
    X = pd.DataFrame({"x": rng.normal(size=600)})
    risk, times = rng.normal(size=600), np.array([0.2, 0.5, 1.0])
    s = np.exp(-times * np.exp(risk)[:, None])
    g = CensoringDistribution.fit(y)

    def model(asked, table):
        return np.tile(g(np.minimum(asked, g.horizon)), (len(table), 1))

    def by(measure, *arguments):
        first = measure(g, *arguments)
        second = measure(model, *arguments, X=X)
        np.testing.assert_allclose(second.estimate, first.estimate, atol=1e-12)
        np.testing.assert_allclose(second.se, first.se, atol=1e-12)

    by(metrics.brier_score, y, s, times)
    by(metrics.integrated_negative_binomial_log_likelihood, y, s, times)
    by(metrics.uno, y, risk, 1.0)
    by(metrics.cumulative_dynamic_auc, y, risk, times)
    with pytest.raises(ParameterError, match="a table of the 600 rows"):
        metrics.brier_score(model, y, s, times)
    with pytest.raises(DataError, match="must give one row for each row of X"):
        metrics.brier_score(lambda t, X: g(t), y, s, times, X=X)
    with pytest.raises(DataError, match=r"outside of \[0, 1\]"):
        metrics.brier_score(lambda t, X: 2 * model(t, X), y, s, times, X=X)


def test_a_censoring_survival_of_zero_says_where_and_offers_truncation():
    train = Surv([1.0, 2.0, 3.0, 4.0], [1, 0, 1, 0])
    y = Surv([1.0, 3.0, 5.0, 6.0])
    words = r"is zero at time 4, but is needed at time 4.5 .*tau < 4.*truncate=0.05"
    with pytest.raises(DataError, match=words):
        metrics.brier_score(train, y, np.full((4, 1), 0.5), [4.5])
    with pytest.raises(DataError, match="is zero at time 4, but is needed at time 5"):
        metrics.uno(train, y, [1, 2, 3, 4])
    g = CensoringDistribution.fit(train, truncate=0.05)
    assert g([3.0, 4.0, 9.0]).tolist() == pytest.approx([2 / 3, 0.05, 0.05])
    assert metrics.uno(g, y, [4, 3, 2, 1]).estimate == 1.0

    def model(times, X):
        return np.zeros((len(X), len(times)))

    with pytest.raises(DataError, match="no value below"):
        metrics.brier_score(model, y, np.full((4, 1), 0.5), [2], X=np.zeros((4, 1)))


def test_times_beyond_a_horizon_name_both():
    train = Surv([1.0, 2.0, 3.0], [0, 0, 1])
    y = Surv([1.0, 2.0, 5.0, 9.0], [1, 1, 1, 0])
    s = np.full((4, 1), 0.5)
    with pytest.raises(DataError, match="horizon of y, 9; the largest is 9"):
        metrics.brier_score(train, y, s, [9.0])
    with pytest.raises(DataError, match="horizon of y, 9; the largest is 12"):
        metrics.cumulative_dynamic_auc(train, y, [1, 2, 3, 4], [1.0, 12.0])
    train = Surv([1.0, 2.0, 3.0], [1, 0, 1])
    with pytest.raises(DataError, match=r"training data, 3; it was asked at 4"):
        metrics.brier_score(train, y, s, [4.0])
    with pytest.raises(DataError, match=r"training data, 3; it was asked at 5.*tau"):
        metrics.uno(train, y, [1, 2, 3, 4])
    assert metrics.brier_score(Surv([9.0]), Surv([1.0, 2.0]), s[:2], [2.0]).estimate


@pytest.mark.parametrize(
    ("survival", "times", "words"),
    [
        (np.full((2, 1), 0.5), [1.0], r"survival has shape \(2, 1\), but 3 rows"),
        (np.full((3, 2), 0.5), [1.0], r"\(3, 1\)"),
        (StepFunction([1.0], [[0.5]]), [1.0], "survival has 1 rows, but y has 3"),
        (np.array([[0.5], [np.nan], [1]]), [1.0], "row 1, time number 0 is nan"),
        (np.full((3, 1), 1.1), [1.0], "3 such values"),
        (np.full((3, 2), 0.5), [2.0, 1.0], "times must increase"),
        (np.full((3, 1), 0.5), [np.nan], "times must be finite"),
        (np.full((3, 0), 0.5), [], "times must be finite"),
        (np.full((3, 1), 0.5), [-1.0], "not be negative"),
    ],
)
def test_named_errors(survival, times, words):
    y = Surv([1.0, 2.0, 3.0])
    with pytest.raises(DataError, match=words):
        metrics.brier_score(y, y, survival, times)


def test_more_named_errors():
    y = Surv([1.0, 2.0, 3.0])
    half = np.full((3, 1), 0.5)
    with pytest.raises(DataError, match="at least two times"):
        metrics.integrated_brier_score(y, y, half, [1.0])
    with pytest.raises(ParameterError, match="ipcw"):
        metrics.brier_score(y, y, half, [1.0], ipcw="other")
    with pytest.raises(DataError, match="late entry"):
        metrics.brier_score(y, Surv([1.0], entry=[0.5]), half, [1.0])
    with pytest.raises(DataError, match="no row that lives beyond time 3"):
        metrics.cumulative_dynamic_auc(y, y, [1, 2, 3], [3.0])
    with pytest.raises(DataError, match="of which 1 are not finite"):
        metrics.cumulative_dynamic_auc(y, y, [[1], [np.nan], [2]], [1.0])
    with pytest.raises(DataError, match="no rows"):
        CensoringDistribution.fit(Surv([]))
    with pytest.raises(ParameterError, match="tau"):
        metrics.uno(y, y, [1, 2, 3], tau=0)
    with pytest.raises(ParameterError, match="truncate"):
        CensoringDistribution.fit(y, truncate=1)
    with pytest.raises(DataError, match="no row with a positive weight is known"):
        metrics.brier_score(y, y, half, [1.0], sample_weight=[0, 0, 0])
