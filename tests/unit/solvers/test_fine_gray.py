"""Fine-Gray models: a literal transcription, invariances, the sandwich, bad input."""

import numpy as np
import pytest
from scipy.optimize import approx_fprime

from semistruct.design import Penalty
from semistruct.exceptions import (
    ConvergenceWarning,
    DataError,
    ParameterError,
    TargetError,
)
from semistruct.inference import CoxRows, cox_sandwich, fine_gray_incidence
from semistruct.solvers import (
    RankDeficiencyError,
    baseline_hazard,
    combine_fits,
    fit_cox,
    fit_fine_gray,
)

N = 90
RNG = np.random.default_rng(7)
X = RNG.normal(size=(N, 2)) + 1.0
TIME = np.ceil(10 * RNG.exponential(size=N) * np.exp(-0.5 * X[:, 0]))
CAUSE = RNG.integers(0, 3, N)
EVENT = CAUSE > 0
ENTRY = np.where(RNG.random(N) < 0.5, 0, np.floor(RNG.random(N) * TIME * 0.9))
STRATA = np.array(["f", "m"])[RNG.integers(0, 2, N)]
WEIGHT = RNG.uniform(0.5, 2, N)
VARIANTS = {
    "plain": {},
    "breslow": {"ties": "breslow"},
    "entry": {"entry": ENTRY},
    "strata": {"strata": STRATA},
    "pooled": {"strata": STRATA, "censoring": "pooled"},
    "weights": {"sample_weight": WEIGHT, "entry": ENTRY, "ties": "breslow"},
}
every = pytest.mark.parametrize("name", VARIANTS)


def fitted(time=TIME, event=EVENT, cause=CAUSE, **options):
    return fit_fine_gray(X, time, event, cause, of=1, **options)


def literal_weights(entry=None, strata=None, censoring="strata", sample_weight=None):
    """A(t)/A(T) of each row at each event time, by products over all times."""
    w = np.ones(N) if sample_weight is None else sample_weight
    start = np.full(N, -np.inf) if entry is None else entry
    group = np.zeros(N) if strata is None or censoring == "pooled" else strata

    def a(t, g):
        mine = group == g
        value = 1.0
        for u in np.unique(TIME[mine & ~EVENT]):
            if u < t:
                gone = mine & ~EVENT & (u == TIME)
                risk = mine & (start < u) & ((u < TIME) | gone)
                value *= 1 - w[gone].sum() / w[risk].sum()
        if entry is not None:
            for v in np.unique(start[mine]):
                if v >= t:
                    came = mine & (start == v)
                    there = mine & (start <= v) & (v < TIME)
                    value *= 1 - w[came].sum() / w[there].sum()
        return value

    events = np.unique(TIME[CAUSE == 1])
    share = np.zeros((N, len(events)))
    for i in range(N):
        for j, t in enumerate(events):
            if start[i] < t <= TIME[i]:
                share[i, j] = 1.0
            elif CAUSE[i] == 2 and t > TIME[i]:
                share[i, j] = a(t, group[i]) / a(TIME[i], group[i])
    return events, share * w[:, None]


def literal_loglik(beta, weights, ties="efron", strata=None):
    """Term by term, every sum over all rows."""
    events, share = weights
    eta = X @ beta
    groups = np.zeros(N) if strata is None else strata
    total = 0.0
    for g in np.unique(groups):
        for j, t in enumerate(events):
            dead = np.flatnonzero((CAUSE == 1) & (t == TIME) & (groups == g))
            if not len(dead):
                continue
            risk = (share[:, j] * np.exp(eta))[groups == g].sum()
            tied = (share[dead, j] * np.exp(eta[dead])).sum()
            own = share[dead, j]
            total += own @ eta[dead]
            for k in range(len(dead)):
                thinned = k / len(dead) if ties == "efron" else 0.0
                total -= own.mean() * np.log(risk - thinned * tied)
    return total


@every
def test_literal_transcription(name):
    options = VARIANTS[name]
    found = fitted(**options).fit
    kept = {k: v for k, v in options.items() if k != "ties"}
    weights = literal_weights(**kept)
    shape = {k: v for k, v in options.items() if k in ("ties", "strata")}

    def loglik(beta):
        return literal_loglik(beta, weights, **shape)

    assert found.converged
    assert found.loglik == pytest.approx(loglik(found.coef), rel=1e-12)
    for point in (found.coef, np.array([0.4, -0.3])):
        slope = approx_fprime(point, loglik, 1e-6)
        if point is found.coef:
            np.testing.assert_allclose(slope, 0.0, atol=2e-4)
        else:
            assert np.abs(slope).max() > 1
    curved = [
        (
            approx_fprime(found.coef + h, loglik, 1e-5)
            - approx_fprime(found.coef - h, loglik, 1e-5)
        )
        / 2e-3
        for h in 1e-3 * np.eye(2)
    ]
    np.testing.assert_allclose(-np.array(curved), found.information, rtol=2e-3)


@every
def test_sandwich_is_the_derivative_in_the_weights(name):
    """Of the whole procedure, the weights of censoring being estimated anew."""
    options = dict(VARIANTS[name])
    if options.get("ties") != "breslow":  # Efron's mean weights are not smooth in w
        options["ties"] = "breslow"
    base = options.pop("sample_weight", np.ones(N))
    found = fitted(sample_weight=base, **options)
    change = np.empty((N, 2))
    for i in range(N):
        up, down = base.copy(), base.copy()
        up[i] += 1e-4
        down[i] -= 1e-4
        above = fitted(sample_weight=up, **options).fit.coef
        below = fitted(sample_weight=down, **options).fit.coef
        change[i] = base[i] * (above - below) / 2e-4
    np.testing.assert_allclose(change.T @ change, found.cov_robust, rtol=1e-6)


@every
def test_invariances(name):
    options = VARIANTS[name]
    found = fitted(**options)
    order = RNG.permutation(N)
    moved = {
        k: v[order] if isinstance(v, np.ndarray) else v for k, v in options.items()
    }
    again = fit_fine_gray(
        X[order] + 5, TIME[order], EVENT[order], CAUSE[order], of=1, **moved
    )
    np.testing.assert_allclose(again.fit.coef, found.fit.coef, rtol=1e-8)
    np.testing.assert_allclose(again.cov_robust, found.cov_robust, rtol=1e-7)
    later = {**options}
    if "entry" in later:
        later["entry"] = np.sqrt(ENTRY)
    warped = fitted(time=np.sqrt(TIME), **later)
    np.testing.assert_allclose(warped.fit.coef, found.fit.coef, rtol=1e-8)


def test_without_other_events_it_is_cox():
    event = CAUSE == 1
    found = fitted(event=event, entry=ENTRY, strata=STRATA)
    cox = fit_cox(X, TIME, event, entry=ENTRY, strata=STRATA)
    np.testing.assert_allclose(found.fit.coef, cox.coef, rtol=1e-10)
    np.testing.assert_allclose(found.fit.cov, cox.cov, rtol=1e-9)
    eta = cox.linear_predictor[:, 0]
    rows = CoxRows(X, eta, TIME, event, entry=ENTRY, strata=STRATA)
    np.testing.assert_allclose(found.cov_robust, cox_sandwich(rows, cox.cov), rtol=1e-8)
    base = baseline_hazard(eta - found.level, TIME, event, entry=ENTRY, strata=STRATA)
    for label, (times, hazard) in base.items():
        np.testing.assert_array_equal(found.baseline[label][0], times)
        np.testing.assert_allclose(found.baseline[label][1], hazard, rtol=1e-9)


def test_without_censoring_rows_with_another_event_stay_for_ever():
    cause = np.where(CAUSE == 0, 2, CAUSE)
    found = fitted(event=np.ones(N, bool), cause=cause)
    stay = np.where(cause == 2, TIME.max() + 1, TIME)
    cox = fit_cox(X, stay, cause == 1)
    np.testing.assert_allclose(found.fit.coef, cox.coef, rtol=1e-10)


def test_weights_are_repetition():
    times = RNG.integers(1, 4, N)
    weighted = fitted(sample_weight=times.astype(float), ties="breslow", entry=ENTRY)
    rows = np.repeat(np.arange(N), times)
    repeated = fit_fine_gray(
        X[rows],
        TIME[rows],
        EVENT[rows],
        CAUSE[rows],
        of=1,
        ties="breslow",
        entry=ENTRY[rows],
        clusters=rows,
    )
    np.testing.assert_allclose(weighted.fit.coef, repeated.fit.coef, rtol=1e-8)
    np.testing.assert_allclose(weighted.cov_robust, repeated.cov_robust, rtol=1e-7)


def test_a_subject_may_be_split_into_rows():
    cut = np.floor((ENTRY + TIME) / 2)
    long = np.flatnonzero((cut > ENTRY) & (cut < TIME))
    rows = np.r_[np.arange(N), long]
    time, entry, event = TIME[rows].copy(), ENTRY[rows].copy(), EVENT[rows].copy()
    time[N:], entry[long] = cut[long], cut[long]
    event[N:] = False
    whole = fitted(entry=ENTRY)
    split = fit_fine_gray(
        X[rows], time, event, CAUSE[rows], of=1, entry=entry, subject=rows
    )
    np.testing.assert_allclose(split.fit.coef, whole.fit.coef, rtol=1e-9)
    np.testing.assert_allclose(split.cov_robust, whole.cov_robust, rtol=1e-8)
    times, hazard = whole.baseline[None]
    np.testing.assert_array_equal(split.baseline[None][0], times)
    scale = np.exp(split.level - whole.level)
    np.testing.assert_allclose(split.baseline[None][1], hazard * scale, rtol=1e-8)


def test_an_offset_is_a_coefficient_of_one():
    free = fitted().fit.coef
    held = fit_fine_gray(X[:, :1], TIME, EVENT, CAUSE, of=1, offset=free[1] * X[:, 1])
    assert held.fit.coef[0] == pytest.approx(free[0], rel=1e-7)


def test_smooths_are_chosen_by_reml():
    rng = np.random.default_rng(1)
    n = 400
    x = rng.uniform(-2, 2, n)
    knots = np.linspace(-2, 2, 12)
    basis = np.exp(-((x[:, None] - knots) ** 2) / 0.5)
    second = np.diff(np.eye(12), n=2, axis=0)
    ratio = 0.8 * np.exp(np.sin(2 * x))  # F₁(t) = 1 − exp(−ratio (1 − e^−t))
    u = rng.random(n)
    own = u < -np.expm1(-ratio)
    early = -np.log1p(np.log1p(-np.where(own, u, 0.0)) / ratio)
    time = np.where(own, early, rng.exponential(size=n))
    late = rng.uniform(0.5, 3, n)
    cause = np.where(time > late, 0, np.where(own, 1, 2))
    time = np.minimum(time, late)
    found = fit_fine_gray(
        basis - basis.mean(axis=0),
        time,
        cause > 0,
        cause,
        of=1,
        penalties=[Penalty("s(x)", 0, 12, second.T @ second, None, 10)],
    )
    assert found.fit.converged
    assert 2 < found.fit.edf.sum() < 11
    fitted_curve = found.fit.linear_predictor[:, 0]
    assert np.corrcoef(fitted_curve, np.sin(2 * x))[0, 1] > 0.9


def test_monotone_likelihood_warns():
    x = np.where(CAUSE == 1, 1.0, 0.0)[:, None] + 0.0
    x[CAUSE == 2] = -RNG.random((int((CAUSE == 2).sum()), 1))
    with pytest.warns(ConvergenceWarning, match="monotone likelihood"):
        fit_fine_gray(x, TIME, EVENT, CAUSE, of=1)


def test_a_column_without_variation_is_named():
    with pytest.raises(RankDeficiencyError):
        fit_fine_gray(np.c_[X, np.ones(N)], TIME, EVENT, CAUSE, of=1)


def test_bad_input():
    with pytest.raises(
        TargetError, match=r"no event has the cause 9; there are \[1, 2"
    ):
        fit_fine_gray(X, TIME, EVENT, CAUSE, of=9)
    with pytest.raises(TargetError, match="no row with a positive weight has cause 1"):
        fitted(sample_weight=(CAUSE != 1).astype(float))
    with pytest.raises(DataError, match="cause has shape"):
        fitted(cause=CAUSE[1:])
    with pytest.raises(DataError, match="clusters has shape"):
        fitted(clusters=CAUSE[1:])
    with pytest.raises(DataError, match="subject has shape"):
        fitted(subject=CAUSE[1:])
    with pytest.raises(ParameterError, match="'ties' of fit_fine_gray"):
        fitted(ties="exact")
    with pytest.raises(ParameterError, match="'censoring' of fit_fine_gray"):
        fitted(censoring="by row")
    with pytest.raises(TargetError, match="entry must lie below time; row 3"):
        fitted(entry=np.where(np.arange(N) == 3, TIME, 0.0))
    with pytest.raises(ParameterError, match=r"'count' of spread\(\)"):
        fitted().spread(0)


def test_rows_of_a_subject_must_meet():
    time = np.r_[TIME, TIME[:1] + 5]
    arrays = (np.r_[X, X[:1]], time, np.r_[EVENT, False], np.r_[CAUSE, 0])
    entry, subject = np.r_[np.zeros(N), TIME[0] + 1], np.r_[np.arange(N), 0]
    with pytest.raises(TargetError, match="without a gap"):
        fit_fine_gray(*arrays, of=1, entry=entry, subject=subject)


def test_weights_that_do_not_exist_are_refused():
    time = np.array([1.0, 2.0, 3.0, 5.0, 6.0, 7.0])
    entry = np.array([0.0, 0.0, 0.0, 4.0, 4.0, 4.0])  # a gap in (3, 4]
    cause = np.array([2, 1, 0, 1, 2, 1])
    with pytest.raises(DataError, match="at time 3 everybody who is at risk is cens"):
        fit_fine_gray(
            np.arange(6.0)[:, None], time, cause > 0, cause, of=1, entry=entry
        )


def test_combined_fits():
    fits = [fit_cox(X, TIME, k == CAUSE) for k in (1, 2)]
    both = combine_fits(fits, ["one", "two"])
    assert both.slices == (slice(0, 2), slice(2, 4))
    np.testing.assert_array_equal(both.coef, np.r_[fits[0].coef, fits[1].coef])
    np.testing.assert_array_equal(both.cov[2:, 2:], fits[1].cov)
    assert not both.cov[:2, 2:].any()
    assert both.linear_predictor.shape == (N, 2)
    assert both.loglik == fits[0].loglik + fits[1].loglik
    assert both.converged
    assert both.message == "converged"
    # the joint likelihood on rows that are stacked by cause, in strata of the causes
    block = np.zeros((2 * N, 4))
    block[:N, :2], block[N:, 2:] = X, X
    joint = fit_cox(
        block,
        np.tile(TIME, 2),
        np.r_[CAUSE == 1, CAUSE == 2],
        strata=np.repeat([0, 1], N),
    )
    np.testing.assert_allclose(both.coef, joint.coef, rtol=1e-7)
    np.testing.assert_allclose(both.cov, joint.cov, rtol=1e-6, atol=1e-12)
    assert both.loglik == pytest.approx(joint.loglik, rel=1e-12)
    with pytest.raises(DataError, match="no fits"):
        combine_fits([])
    with pytest.raises(DataError, match="1 names are given for 2"):
        combine_fits(fits, ["one"])
    short = fit_cox(X[1:], TIME[1:], (CAUSE == 2)[1:])
    with pytest.raises(DataError, match="the fit of b has rows 89"):
        combine_fits([fits[0], short], ["a", "b"])


def test_a_stratum_without_the_cause_has_no_hazard():
    strata = np.where((CAUSE == 1) & (STRATA == "f"), "m", STRATA)
    found = fitted(strata=strata)
    assert len(found.baseline["f"][0]) == 0
    alone = fit_fine_gray(
        X[strata == "m"],
        TIME[strata == "m"],
        EVENT[strata == "m"],
        CAUSE[strata == "m"],
        of=1,
    )
    np.testing.assert_allclose(found.fit.coef, alone.fit.coef, rtol=1e-8)
    np.testing.assert_allclose(found.cov_robust, alone.cov_robust, rtol=1e-7)
    curve = fine_gray_incidence(
        found.baseline, [0.0, 0.0], [5.0, 50.0], strata=["f", "m"]
    )
    assert not curve[0].any()
    assert (curve[1] > 0).all()
    assert list(found.spread()) == ["m"]


def test_times_may_be_negative_or_zero():
    found, moved = fitted(entry=ENTRY), fitted(time=TIME - 20.0, entry=ENTRY - 20.0)
    np.testing.assert_allclose(moved.fit.coef, found.fit.coef, rtol=1e-10)
    np.testing.assert_allclose(moved.cov_robust, found.cov_robust, rtol=1e-9)


def test_rows_of_weight_zero_are_not_there():
    kept = RNG.random(N) < 0.8
    found = fitted(sample_weight=kept.astype(float), entry=ENTRY)
    alone = fit_fine_gray(
        X[kept], TIME[kept], EVENT[kept], CAUSE[kept], of=1, entry=ENTRY[kept]
    )
    np.testing.assert_allclose(found.fit.coef, alone.fit.coef, rtol=1e-9)
    np.testing.assert_allclose(found.cov_robust, alone.cov_robust, rtol=1e-8)
    np.testing.assert_allclose(found.level, alone.level, rtol=1e-9)
