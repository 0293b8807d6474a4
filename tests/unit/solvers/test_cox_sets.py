"""Risk sets that are shared, and sums over them by chunks of rows."""

import numpy as np
import pytest

from semistruct.exceptions import DataError, ParameterError, TargetError
from semistruct.solvers import (
    _cox_columns,
    _risk_sets,
    baseline_hazard,
    baseline_hazard_on,
    fit_cox,
    fit_cox_on,
    risk_sets,
)
from semistruct.solvers._cox_likelihood import CoxLikelihood

N = 150
RNG = np.random.default_rng(21)
X = np.column_stack([RNG.normal(size=(N, 2)), np.ones(N), 1e6 + RNG.normal(size=N)])
TIME = np.ceil(12 * RNG.exponential(size=N)) + 1.0
EVENT = RNG.uniform(size=N) < 0.6
ENTRY = np.floor(TIME * RNG.uniform(0.0, 0.9, N))
STRATA = RNG.integers(0, 9, N)
EVENT[STRATA == 8] = False
WEIGHT = RNG.integers(0, 3, N) * 0.5
VARIANTS = {
    "efron": {},
    "breslow": {"ties": "breslow"},
    "entry": {"entry": ENTRY},
    "strata": {"strata": STRATA},
    "weights": {"sample_weight": WEIGHT},
    "all": {"entry": ENTRY, "strata": STRATA, "sample_weight": WEIGHT},
    "all breslow": {
        "ties": "breslow",
        "entry": ENTRY,
        "strata": STRATA,
        "sample_weight": WEIGHT,
    },
}
every = pytest.mark.parametrize("name", VARIANTS)


def steps(options):
    """Yield (ω, share at risk of each row) of each pseudo-step, by loops."""
    entry = options.get("entry", np.full(N, -np.inf))
    strata = options.get("strata", np.zeros(N))
    weight = options.get("sample_weight", np.ones(N))
    for label in np.unique(strata):
        mine = (strata == label) & (weight > 0)
        for t in np.unique(TIME[mine & EVENT]):
            here = mine & (entry < t) & (t <= TIME)
            dead = here & EVENT & (t == TIME)
            d = int(dead.sum())
            if options.get("ties") == "breslow":
                yield weight[dead].sum(), here.astype(float)
                continue
            for k in range(d):
                yield weight[dead].mean(), np.where(dead, 1 - k / d, here)


@every
@pytest.mark.parametrize("chunk", [1, 3, 16, 8192])
def test_sums_over_risk_sets_are_the_literal_ones(monkeypatch, name, chunk):
    monkeypatch.setattr(_risk_sets, "CHUNK", chunk)
    options = VARIANTS[name]
    weight = options.get("sample_weight", np.ones(N))
    sets = risk_sets(TIME, EVENT, **options)
    ratio = np.exp(RNG.normal(size=N))
    risk = (weight * ratio)[sets.rows]
    literal = list(steps(options))
    total = sets.totals(risk)
    np.testing.assert_allclose(total, [at @ (weight * ratio) for _, at in literal])
    np.testing.assert_allclose(sets.step_weight, [omega for omega, _ in literal])
    means = np.full((len(total), 2), np.nan)
    for part, values in sets.means(risk, total, lambda rows: X[sets.rows[rows], :2]):
        means[part] = values
    expected = [
        (at * weight * ratio) @ X[:, :2] / t
        for (_, at), t in zip(literal, total, strict=True)
    ]
    np.testing.assert_allclose(means, expected, rtol=1e-11, atol=1e-12)
    rate = RNG.uniform(size=len(total))
    over = sum(r * at for r, (_, at) in zip(rate, literal, strict=True))
    np.testing.assert_allclose(sets.over_exposure(rate), over[sets.rows], atol=1e-12)


@every
def test_a_design_that_is_not_copied_gives_the_same(monkeypatch, name):
    options = VARIANTS[name]
    sets = risk_sets(TIME, EVENT, **options)
    beta, inner = np.array([0.3, -0.2, 5.0, 0.1]), np.diag([1.0, 2.0, 0.5, 1.5])
    kept = CoxLikelihood(X, sets, 0.1 * X[:, 0])
    monkeypatch.setattr(_cox_columns, "KEPT", 0)
    monkeypatch.setattr(_cox_columns, "CHUNK", 11)
    monkeypatch.setattr(_risk_sets, "CHUNK", 13)
    read = CoxLikelihood(X, sets, 0.1 * X[:, 0])
    assert read.value(beta) == pytest.approx(kept.value(beta), rel=1e-12)
    for one, two in zip(kept.derivatives(beta), read.derivatives(beta), strict=True):
        np.testing.assert_allclose(two, one, rtol=1e-9, atol=1e-9)
    assert (read.derivatives(beta)[1][2] == 0).all()  # a constant column, exactly
    np.testing.assert_allclose(
        read.trace_gradient(beta, inner), kept.trace_gradient(beta, inner), atol=1e-9
    )
    at_risk = read.columns.reach(sets.rows)
    np.testing.assert_allclose(at_risk, kept.columns.reach(sets.rows), rtol=1e-9)
    assert read.reach(beta) == pytest.approx(kept.reach(beta), rel=1e-9)


@every
def test_shared_sets_give_what_the_times_give(name):
    options = VARIANTS[name]
    x = X[:, :2]
    sets = risk_sets(TIME, EVENT, **options)
    fit, shared = fit_cox(x, TIME, EVENT, **options), fit_cox_on(sets, x)
    assert np.array_equal(fit.coef, shared.coef)
    assert np.array_equal(fit.working_weight, shared.working_weight)
    assert fit.n_effective == shared.n_effective
    assert fit.n_effective == options.get("sample_weight", np.ones(N)).sum()
    curves = baseline_hazard(fit.linear_predictor, TIME, EVENT, **options)
    others = baseline_hazard_on(sets, fit.linear_predictor)
    assert list(curves) == list(others)
    for label, pair in curves.items():
        assert all(
            np.array_equal(a, b) for a, b in zip(pair, others[label], strict=True)
        )


def test_one_value_is_not_stored_for_every_row():
    sets = risk_sets(TIME, EVENT)
    for values in (sets.weight, sets.first, sets.stratum):
        assert values.strides == (0,)
    assert sets.labels.tolist() == [None]
    continuous = risk_sets(TIME + RNG.uniform(size=N), EVENT)
    assert continuous.step_share.strides == (0,)
    assert not continuous.tied


def test_bad_input_is_named():
    sets = risk_sets(TIME, EVENT)
    with pytest.raises(DataError, match="the design has 149 rows, the times 150"):
        fit_cox_on(sets, X[1:, :2])
    with pytest.raises(DataError, match="linear_predictor has 2 rows"):
        baseline_hazard_on(sets, [0.0, 1.0])
    with pytest.raises(TargetError, match="fit_cox_on: no row"):
        fit_cox_on(risk_sets(TIME, np.zeros(N)), X[:, :2])
    with pytest.raises(ParameterError, match="'ties' of risk_sets"):
        risk_sets(TIME, EVENT, ties="exact")
