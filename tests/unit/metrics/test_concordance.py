"""Harrell's and Antolini's concordance against a literal count over all pairs."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from semistruct import StepFunction, Surv
from semistruct.exceptions import DataError, ParameterError, TargetError
from semistruct.metrics import antolini, concordance_index, harrell


def literal(y, right, tied, half=0.5, drop=False, weight=None):
    """Count the pairs one by one; None where none is comparable."""
    w = np.ones(len(y)) if weight is None else weight
    good = pairs = 0.0
    for i in range(len(y)):
        for j in range(len(y)):
            later = y.time[j] > y.time[i]
            later |= y.time[j] == y.time[i] and not y.event[j]
            known = y.event[i] and later
            known &= y.strata is None or y.strata[i] == y.strata[j]
            known &= y.entry is None or y.entry[j] < y.time[i]
            equal = bool(tied(i, j))
            if known and not (equal and drop):
                good += w[i] * w[j] * (half if equal else float(right(i, j)))
                pairs += w[i] * w[j]
    return good / pairs if pairs > 0 else None


def of_risk(y, risk, **options):
    def right(i, j):
        return risk[i] > risk[j]

    return literal(y, right, lambda i, j: risk[i] == risk[j], **options)


@st.composite
def tied_data(draw, largest=40):
    """Few values, so that times, events and risks are tied in every way."""
    n = draw(st.integers(2, largest))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    few = draw(st.integers(1, 12))
    event = rng.random(n) < draw(st.sampled_from([0.2, 0.6, 1.0]))
    strata = rng.integers(0, 3, n) if draw(st.booleans()) else None
    time = 1.0 + rng.integers(0, few, n)
    entry = time - rng.integers(1, 4, n) if draw(st.booleans()) else None
    entry = None if entry is None else np.maximum(entry, 0.0)
    return Surv(time, event, entry, strata), rng.integers(0, few, n).astype(float), rng


@given(tied_data())
def test_it_counts_the_pairs(data):
    y, risk, rng = data
    weight = rng.integers(0, 4, len(y)).astype(float)
    for options in ({}, {"half": 0.0}, {"drop": True}, {"weight": weight}):
        expected = of_risk(y, risk, **options)
        ties = "drop" if "drop" in options else "zero" if "half" in options else "half"
        given_weight = options.get("weight")
        if expected is None:
            with pytest.raises(DataError, match="No pair of rows is comparable"):
                concordance_index(y, risk, ties=ties, sample_weight=given_weight)
        else:
            got = concordance_index(y, risk, ties=ties, sample_weight=given_weight)
            assert got == pytest.approx(expected, abs=1e-12)


@given(tied_data())
def test_influence_is_the_derivative_in_the_weights(data):
    y, risk, rng = data
    w = rng.uniform(0.5, 2, len(y))
    try:
        score = harrell(y, risk, sample_weight=w)
    except DataError:
        return
    h = 1e-5
    for i in rng.integers(0, len(y), 3):
        more, less = w.copy(), w.copy()
        more[i] += h
        less[i] -= h
        change = of_risk(y, risk, weight=more) - of_risk(y, risk, weight=less)
        assert score.influence[i] == pytest.approx(w[i] * change / (2 * h), abs=1e-7)


@given(tied_data())
def test_invariances(data):
    y, risk, rng = data
    try:
        c = concordance_index(y, risk)
    except DataError:
        return
    order = rng.permutation(len(y))
    assert concordance_index(y[order], risk[order]) == pytest.approx(c, abs=1e-12)
    assert concordance_index(y, np.exp(risk)) == c
    assert concordance_index(y, -risk) == pytest.approx(1 - c)
    assert concordance_index(y, 0 * risk) == 0.5
    times = rng.integers(1, 4, len(y))
    repeated = np.repeat(np.arange(len(y)), times)
    try:
        score = harrell(y[repeated], risk[repeated])
    except DataError:
        return
    weighted = harrell(y, risk, sample_weight=times)
    assert score.estimate == pytest.approx(weighted.estimate, abs=1e-12)
    y = y[repeated]
    y.id = repeated
    assert harrell(y, risk[repeated]).se == pytest.approx(weighted.se, abs=1e-12)


@pytest.mark.parametrize("n", [1, 15, 16, 17, 32, 33, 64, 700])
def test_sizes_around_the_halving(n):
    rng = np.random.default_rng(n)
    y = Surv(np.r_[0.01, rng.exponential(size=n)], np.r_[True, rng.random(n) < 0.6])
    risk = -y.time + rng.normal(size=n + 1)
    assert concordance_index(y, risk) == pytest.approx(of_risk(y, risk), abs=1e-12)


def test_lifelines_counts_the_same():
    from lifelines.utils import concordance_index as peer

    rng = np.random.default_rng(0)
    time, event = rng.integers(1, 300, 3000), rng.random(3000) < 0.5
    risk = rng.integers(0, 200, 3000).astype(float)
    expected = peer(time, -risk, event)
    assert concordance_index(Surv(time, event), risk) == pytest.approx(expected)


def test_the_standard_error_is_that_of_many_samples():
    rng = np.random.default_rng(1)
    found = []
    for _ in range(200):
        risk = rng.normal(size=150)
        life, censor = rng.exponential(np.exp(-risk)), rng.exponential(2, size=150)
        score = harrell(Surv(np.minimum(life, censor), life < censor), risk)
        found.append((score.estimate, score.se))
    estimate, se = np.array(found).T
    assert se.mean() == pytest.approx(estimate.std(), rel=0.12)


def test_known_values():
    y = Surv([1.0, 2.0, 3.0], [1, 1, 0])
    assert concordance_index(y, [3, 2, 1]) == 1.0
    assert concordance_index(y, [1, 2, 3]) == 0.0
    assert concordance_index(y, [2, 1, 1]) == pytest.approx(2.5 / 3)
    assert concordance_index(y, [2, 1, 1], ties="zero") == pytest.approx(2 / 3)
    assert concordance_index(y, [2, 1, 1], ties="drop") == 1.0


def test_it_takes_what_surv_takes():
    y = Surv([1.0, 2.0, 3.0], [1, 1, 0])
    assert concordance_index(np.asarray(y), [3, 1, 2]) == pytest.approx(2 / 3)
    assert concordance_index([1.0, 2.0, 3.0], [3, 1, 2]) == pytest.approx(2 / 3)
    with pytest.raises(TargetError):
        concordance_index([-1.0, 2.0], [1, 2])


@pytest.mark.parametrize("risk", [[1.0], [1.0, 2.0, 3.0], [[1.0], [2.0]], 1.0])
def test_shapes_must_be_equal(risk):
    with pytest.raises(DataError, match=r"risk has shape .* but y has shape \(2,\)"):
        concordance_index(Surv([1.0, 2.0]), risk)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_risk_that_is_not_finite_names_its_row(value):
    with pytest.raises(DataError, match=rf"risk of row 1 is {value}, not finite"):
        concordance_index(Surv([1.0, 2.0]), [0.0, value])


@pytest.mark.parametrize(
    ("y", "risk", "options"),
    [
        (Surv([1.0, 2.0], [0, 0]), [1.0, 2.0], {}),
        (Surv([], []), [], {}),
        (Surv([1.0, 2.0], strata=["a", "b"]), [1.0, 2.0], {}),
        (Surv([1.0, 2.0], entry=[0.0, 1.0]), [1.0, 2.0], {}),
        (Surv([1.0, 2.0]), [1.0, 1.0], {"ties": "drop"}),
        (Surv([1.0, 2.0]), [1.0, 2.0], {"sample_weight": [1, 0]}),
    ],
)
def test_no_comparable_pair_is_a_named_error(y, risk, options):
    with pytest.raises(DataError, match=rf"not defined: Surv\(n={len(y)}, events="):
        concordance_index(y, risk, **options)


def test_weights():
    y = Surv([1.0, 2.0, 3.0], weights=[1.0, 2.0, 1.0])
    assert concordance_index(y, [1, 3, 2]) == pytest.approx(2 / 5)
    with pytest.raises(DataError, match="both sample_weight and the weights"):
        concordance_index(y, [1, 2, 3], sample_weight=[1, 1, 1])
    y = Surv([1.0, 2.0])
    for weight, words in (
        ([1.0], "shape"),
        ([1, -1], "row 1 is -1"),
        ([np.nan, 1], "0"),
    ):
        with pytest.raises(DataError, match=words):
            concordance_index(y, [1, 2], sample_weight=weight)


def test_an_unknown_treatment_of_ties():
    with pytest.raises(ParameterError, match="Did you mean 'half'"):
        concordance_index([1.0, 2.0], [1, 2], ties="halv")


@given(tied_data(largest=20), st.integers(1, 6), st.booleans())
def test_antolini_counts_the_pairs(data, steps, coarse):
    y, _, rng = data
    y.entry = None
    times = np.sort(rng.choice(np.arange(13), steps, replace=False)).astype(float)
    if not coarse:
        y.time = y.time + rng.random(len(y))
    y.weights = rng.integers(1, 4, len(y)).astype(float)
    drops = rng.integers(0, 2, (len(y), steps)) / 10
    curves = StepFunction(times, 1 - np.cumsum(drops, axis=1))
    at = curves(y.time)

    def right(i, j):
        return at[i, i] < at[j, i]

    def tied(i, j):
        return at[i, i] == at[j, i]

    for ties, options in (("half", {}), ("zero", {"half": 0.0}), ("drop", {"drop": 1})):
        expected = literal(y, right, tied, weight=y.weights, **options)
        if expected is None:
            with pytest.raises(DataError, match="No pair"):
                antolini(y, curves, ties=ties)
        else:
            found = antolini(y, curves, ties=ties).estimate
            assert found == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("strata", [False, True])
def test_antolini_with_many_events_in_a_step(strata):
    """Coarse curves go another way, which must give the same sums."""
    rng = np.random.default_rng(3)
    n = 400
    label = rng.integers(0, 2, n) if strata else None
    y = Surv(rng.integers(1, 60, n), rng.random(n) < 0.7, strata=label)
    fine = np.arange(0.0, 60.0)
    drops = np.zeros((n, 60))
    drops[:, ::20] = rng.integers(0, 5, (n, 3)) / 20
    values = 1 - np.cumsum(drops, axis=1)
    coarse = antolini(y, StepFunction(fine[::20], values[:, ::20]))
    one_by_one = antolini(y, StepFunction(fine, values))
    assert coarse.estimate == pytest.approx(one_by_one.estimate, abs=1e-12)
    np.testing.assert_allclose(coarse.influence, one_by_one.influence, atol=1e-12)


def test_antolini_of_curves_that_do_not_cross_is_harrell():
    rng = np.random.default_rng(4)
    y = Surv(rng.exponential(size=200), rng.random(200) < 0.6)
    risk = rng.normal(size=200)
    times = np.sort(y.time)
    curves = StepFunction(times, np.exp(-np.exp(risk)[:, None] * times))
    first, second = antolini(y, curves), harrell(y, risk)
    assert first.estimate == pytest.approx(second.estimate, abs=1e-12)
    assert first.se == pytest.approx(second.se, abs=1e-12)


def test_antolini_of_a_constant_model_is_one_half():
    y = Surv([1.0, 2.0, 2.0, 3.0], [1, 1, 0, 0])
    curves = StepFunction([1.5], np.full((4, 1), 0.7))
    assert antolini(y, curves).estimate == 0.5
    assert antolini(y, curves, ties="zero").estimate == 0.0


@pytest.mark.parametrize(
    ("survival", "words"),
    [
        (np.ones((2, 1)), "must be a StepFunction"),
        (StepFunction([1.0], [[0.5]]), "survival has 1 rows, but y has 2"),
        (StepFunction([1.0], [[0.5], [np.nan]]), "row 1, time number 0 is nan"),
        (StepFunction([1.0], [[0.5], [1.5]]), r"must lie in \[0, 1\]"),
    ],
)
def test_antolini_names_bad_curves(survival, words):
    with pytest.raises(DataError, match=words):
        antolini(Surv([1.0, 2.0]), survival)


def test_antolini_refuses_late_entry():
    y = Surv([1.0, 2.0], entry=[0.0, 0.5])
    with pytest.raises(DataError, match=r"late entry .row 1 enters at 0.5"):
        antolini(y, StepFunction([1.0], [[0.5], [0.6]]))
