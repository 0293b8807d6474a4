"""Cox models: oracles, invariances, monotone likelihood, bad input."""

import numpy as np
import pytest
import torch
from sklearn.exceptions import ConvergenceWarning

from semistruct.exceptions import DataError, ParameterError, TargetError
from semistruct.families import cox_log_likelihood
from semistruct.solvers import RankDeficiencyError, baseline_hazard, fit_cox

N = 120
RNG = np.random.default_rng(11)
X = RNG.normal(size=(N, 3))
RAW = RNG.exponential(size=N) * np.exp(-X @ [0.8, -0.4, 0.0])
TIME = np.ceil(10 * RAW)
EVENT = RNG.uniform(size=N) < 0.7
ENTRY = np.maximum(TIME - RNG.integers(1, 15, N), 0.0)
STRATA = np.array(["b", "a", "c"])[RNG.integers(0, 3, N)]
VARIANTS = {
    "plain": {},
    "breslow": {"ties": "breslow"},
    "entry": {"entry": ENTRY},
    "strata": {"strata": STRATA},
    "all": {"entry": ENTRY, "strata": STRATA},
}
every = pytest.mark.parametrize("name", VARIANTS)


@every
@pytest.mark.parametrize("weighted", [False, True])
def test_likelihood_is_the_torch_one_and_its_gradient_vanishes(name, weighted):
    options = VARIANTS[name]
    weight = RNG.integers(0, 3, N).astype(float) if weighted else None
    offset = 0.3 * X[:, 2] ** 2
    fit = fit_cox(X, TIME, EVENT, sample_weight=weight, offset=offset, **options)
    assert fit.converged
    beta = torch.tensor(fit.coef, requires_grad=True)
    eta = torch.from_numpy(X) @ beta + torch.from_numpy(offset)

    def value(coef):
        eta = torch.from_numpy(X) @ coef + torch.from_numpy(offset)
        return cox_log_likelihood(eta, TIME, EVENT, weight=weight, **options)

    assert fit.loglik == pytest.approx(value(beta).item(), rel=1e-12)
    (gradient,) = torch.autograd.grad(value(beta), beta)
    np.testing.assert_allclose(gradient, 0.0, atol=1e-7)
    hessian = torch.autograd.functional.hessian(value, beta.detach())
    np.testing.assert_allclose(fit.cov, torch.linalg.inv(-hessian), rtol=1e-7)
    np.testing.assert_allclose(fit.linear_predictor[:, 0], eta.detach(), atol=1e-12)


@every
def test_invariances(name):
    options = VARIANTS[name]
    fit = fit_cox(X, TIME, EVENT, **options)
    order = RNG.permutation(N)
    moved = {k: v if k == "ties" else v[order] for k, v in options.items()}
    shuffled = fit_cox(X[order], TIME[order], EVENT[order], **moved)
    np.testing.assert_allclose(shuffled.coef, fit.coef, rtol=1e-9)
    later = dict(options)
    if "entry" in later:
        later["entry"] = later["entry"] + 100.0
    np.testing.assert_allclose(
        fit_cox(X, TIME + 100.0, EVENT, **later).coef, fit.coef, rtol=1e-9
    )
    scaled = fit_cox(1e4 * X + 1e6, TIME, EVENT, **options)
    np.testing.assert_allclose(1e4 * scaled.coef, fit.coef, rtol=1e-6)


@pytest.mark.parametrize("name", ["breslow", "all"])
def test_breslow_weights_are_repetitions(name):
    options = {**VARIANTS[name], "ties": "breslow"}
    weight = RNG.integers(0, 4, N)
    fit = fit_cox(X, TIME, EVENT, sample_weight=weight, **options)
    again = {k: v if k == "ties" else np.repeat(v, weight) for k, v in options.items()}
    repeated = fit_cox(
        np.repeat(X, weight, axis=0),
        np.repeat(TIME, weight),
        np.repeat(EVENT, weight),
        **again,
    )
    np.testing.assert_allclose(fit.coef, repeated.coef, rtol=1e-8)
    np.testing.assert_allclose(fit.cov, repeated.cov, rtol=1e-8)


def test_start_stop_rows_are_one_subject():
    split = 0.4 * TIME
    x = np.vstack([X, X])
    entry = np.concatenate([np.zeros(N), split])
    time = np.concatenate([split, TIME])
    event = np.concatenate([np.zeros(N, bool), EVENT])
    fit = fit_cox(X, TIME, EVENT)
    pieces = fit_cox(x, time, event, entry=entry)
    np.testing.assert_allclose(pieces.coef, fit.coef, rtol=1e-8)
    np.testing.assert_allclose(pieces.cov, fit.cov, rtol=1e-8)


@every
def test_expected_events_add_up_to_events(name):
    fit = fit_cox(X, TIME, EVENT, **VARIANTS[name])
    assert fit.working_weight.sum() == pytest.approx(EVENT.sum())


def test_expected_events_are_hazard_times_risk():
    fit = fit_cox(X, TIME, EVENT, ties="breslow", strata=STRATA, entry=ENTRY)
    eta = fit.linear_predictor
    curves = baseline_hazard(
        eta, TIME, EVENT, ties="breslow", strata=STRATA, entry=ENTRY
    )
    assert sorted(curves) == ["a", "b", "c"]

    def hazard(label, moment):
        times, values = curves[label]
        place = np.searchsorted(times, moment, side="right")
        return values[place - 1] if place else 0.0

    rows = zip(STRATA, ENTRY, TIME, eta[:, 0], strict=True)
    expected = [
        np.exp(e) * (hazard(s, stop) - hazard(s, start)) for s, start, stop, e in rows
    ]
    np.testing.assert_allclose(fit.working_weight[:, 0], expected, rtol=1e-9)


@pytest.mark.parametrize("name", ["plain", "entry", "strata", "all"])
def test_monotone_likelihood_ends_finite_and_is_named(name):
    x = np.column_stack([X, EVENT])
    with pytest.warns(ConvergenceWarning, match="monotone likelihood"):
        fit = fit_cox(x, TIME, EVENT, **VARIANTS[name])
    assert fit.diverging == (3,)
    assert not fit.converged
    assert np.isfinite(fit.coef).all()
    assert np.isfinite(fit.cov).all()


def test_columns_that_do_not_vary_within_strata_are_named():
    for column in (np.ones(N), 1e9 * np.ones(N) / 3):
        with pytest.raises(RankDeficiencyError) as error:
            fit_cox(np.column_stack([X, column]), TIME, EVENT)
        assert error.value.columns == (3,)
    codes = np.unique(STRATA, return_inverse=True)[1]
    with pytest.raises(RankDeficiencyError):
        fit_cox(np.column_stack([X, codes]), TIME, EVENT, strata=STRATA)


def test_no_columns_and_far_predictors():
    fit = fit_cox(np.zeros((N, 0)), TIME, EVENT, offset=X[:, 0] + 3000.0)
    plain = fit_cox(np.zeros((N, 0)), TIME, EVENT, offset=X[:, 0])
    assert fit.loglik == pytest.approx(plain.loglik, abs=1e-6)


def test_strata_without_events_have_no_curve_points():
    event = EVENT & (STRATA != "c")
    curves = baseline_hazard(np.zeros(N), TIME, event, strata=STRATA)
    assert curves["c"][0].size == 0
    none = baseline_hazard(np.zeros(N), TIME, np.zeros(N))
    assert none[None][1].size == 0
    fit = fit_cox(X, TIME, event, strata=STRATA)
    kept = STRATA != "c"
    other = fit_cox(X[kept], TIME[kept], event[kept], strata=STRATA[kept])
    np.testing.assert_allclose(fit.coef, other.coef, rtol=1e-9)


def test_bad_input_is_named():
    with pytest.raises(TargetError, match="has an event"):
        fit_cox(X, TIME, np.zeros(N))
    with pytest.raises(TargetError, match="row 0 enters at"):
        fit_cox(X, TIME, EVENT, entry=TIME)
    with pytest.raises(TargetError, match="not finite, first in row 3"):
        fit_cox(X, np.where(np.arange(N) == 3, np.nan, TIME), EVENT)
    with pytest.raises(TargetError, match="event must be 0 or 1; row 0"):
        fit_cox(X, TIME, np.full(N, 2))
    with pytest.raises(DataError, match="strata has shape"):
        fit_cox(X, TIME, EVENT, strata=[1])
    with pytest.raises(ParameterError, match="efron"):
        fit_cox(X, TIME, EVENT, ties="exact")
