"""Firth's penalty of a Cox model against a slow literal maximisation."""

import numpy as np
import pytest
from scipy import optimize

from semistruct.design import Penalty
from semistruct.exceptions import ParameterError
from semistruct.inference import profile_interval
from semistruct.solvers import cox_profile, fit_cox, risk_sets
from semistruct.solvers._cox_firth import FirthCoxLikelihood

N = 50
RNG = np.random.default_rng(5)
X = np.column_stack([RNG.normal(size=N), RNG.integers(0, 2, N), RNG.normal(size=N)])
TIME = np.ceil(4 * RNG.exponential(size=N) * np.exp(-X @ [0.7, -0.5, 0.0])) + 2.0
EVENT = RNG.uniform(size=N) < 0.7
ENTRY = np.floor(TIME * RNG.uniform(0.0, 0.6, N))
STRATA = np.array(["b", "a"])[RNG.integers(0, 2, N)]
WEIGHT = RNG.integers(1, 3, N).astype(float)
VARIANTS = {
    "efron": {},
    "breslow": {"ties": "breslow"},
    "all": {"entry": ENTRY, "strata": STRATA, "sample_weight": WEIGHT},
    "breslow all": {
        "ties": "breslow",
        "entry": ENTRY,
        "strata": STRATA,
        "sample_weight": WEIGHT,
    },
}
every = pytest.mark.parametrize("name", VARIANTS)


def literal(
    x, time, event, beta, *, entry=None, strata=None, sample_weight=None, ties="efron"
):
    """Log partial likelihood and information by loops over times and deaths."""
    n, p = x.shape
    entry = np.full(n, -np.inf) if entry is None else entry
    strata = np.zeros(n) if strata is None else strata
    weight = np.ones(n) if sample_weight is None else sample_weight
    value, information = 0.0, np.zeros((p, p))
    risk = weight * np.exp(x @ beta)
    for label in np.unique(strata):
        for t in np.unique(time[event & (strata == label)]):
            here = (strata == label) & (entry < t) & (time >= t)
            dead = here & event & (time == t)
            d = int(dead.sum())
            value += weight[dead] @ (x[dead] @ beta)
            for k in range(d):
                share = np.where(dead, 1 - k / d, 1.0) if ties == "efron" else 1.0
                at = risk * here * share
                mean = at @ x / at.sum()
                value -= weight[dead].mean() * np.log(at.sum())
                spread = ((x - mean).T * at) @ (x - mean) / at.sum()
                information += weight[dead].mean() * spread
    return value, information


def penalised(beta, x=X, time=TIME, event=EVENT, **options):
    value, information = literal(x, time, event, np.asarray(beta), **options)
    return value + 0.5 * np.linalg.slogdet(information)[1]


def maximum(held=None, x=X, time=TIME, event=EVENT, **options):
    """Maximise by Nelder and Mead, one coefficient held where that is asked for."""
    free = np.array([j for j in range(x.shape[1]) if held is None or j != held[0]])

    def negative(part):
        beta = np.zeros(x.shape[1])
        beta[free] = part
        if held is not None:
            beta[held[0]] = held[1]
        return -penalised(beta, x, time, event, **options)

    tight = {"xatol": 1e-9, "fatol": 1e-12, "maxiter": 4000, "maxfev": 4000}
    found = optimize.minimize(
        negative, np.zeros(len(free)), method="Nelder-Mead", options=tight
    )
    return found.x, -found.fun


@every
def test_same_mode_as_the_slow_maximisation(name):
    options = VARIANTS[name]
    fit = fit_cox(X, TIME, EVENT, firth=True, **options)
    assert fit.converged
    beta, _ = maximum(**options)
    np.testing.assert_allclose(fit.coef, beta, atol=1e-6)
    value, information = literal(X, TIME, EVENT, fit.coef, **options)
    assert fit.loglik == pytest.approx(value, rel=1e-10)  # without the prior
    np.testing.assert_allclose(fit.cov, np.linalg.inv(information), rtol=1e-8)
    assert fit.loglik < fit_cox(X, TIME, EVENT, **options).loglik


@every
def test_value_and_gradient(name):
    options = VARIANTS[name]
    likelihood = FirthCoxLikelihood(X, risk_sets(TIME, EVENT, **options), np.zeros(N))
    beta = np.array([0.4, -0.6, 0.2])
    assert likelihood.value(beta) == pytest.approx(penalised(beta, **options))
    gradient, _ = likelihood.derivatives(beta)
    for j, step in enumerate(1e-5 * np.eye(3)):
        above, below = (penalised(beta + s, **options) for s in (step, -step))
        assert gradient[j] == pytest.approx((above - below) / 2e-5, abs=1e-6)


def test_integer_weights_are_repetitions_after_breslow():
    options = {"ties": "breslow", "firth": True}
    weighted = fit_cox(X, TIME, EVENT, sample_weight=WEIGHT, **options)
    count = WEIGHT.astype(int)
    rows = [np.repeat(part, count, axis=0) for part in (X, TIME, EVENT)]
    repeated = fit_cox(*rows, **options)
    np.testing.assert_allclose(weighted.coef, repeated.coef, atol=1e-8)
    np.testing.assert_allclose(weighted.cov, repeated.cov, rtol=1e-7)


MONOTONE = np.column_stack([X[:, 0], EVENT])  # who has no event has a 0


@pytest.mark.parametrize("ties", ["efron", "breslow"])
def test_finite_where_the_likelihood_is_monotone(ties):
    with pytest.warns(match="monotone likelihood"):
        plain = fit_cox(MONOTONE, TIME, EVENT, ties=ties)
    assert plain.diverging == (1,)
    fit = fit_cox(MONOTONE, TIME, EVENT, ties=ties, firth=True)
    assert fit.converged
    assert fit.diverging == ()
    beta, _ = maximum(x=MONOTONE, ties=ties)
    np.testing.assert_allclose(fit.coef, beta, atol=1e-5)
    assert abs(fit.coef[1]) < 10


def test_profile_is_the_slow_one():
    options = VARIANTS["all"]
    profile = cox_profile(risk_sets(TIME, EVENT, **options), X, 0, firth=True)
    top = profile(fit_cox(X, TIME, EVENT, firth=True, **options).coef[0])
    best = maximum(**options)[1]
    for value in (-0.5, 0.3, 2.0):
        slow = maximum(held=(0, value), **options)[1]
        assert profile(value) - top == pytest.approx(slow - best, abs=1e-7)


@pytest.mark.parametrize("ties", ["efron", "breslow"])
def test_interval_is_where_the_profile_falls_by_half_a_quantile(ties):
    sets = risk_sets(TIME, EVENT, ties=ties)
    fit = fit_cox(MONOTONE, TIME, EVENT, ties=ties, firth=True)
    profile = cox_profile(sets, MONOTONE, 1, firth=True)
    error = np.sqrt(fit.cov[1, 1])
    found = profile_interval(profile, fit.coef[1], error, level=0.9)
    top = maximum(x=MONOTONE, ties=ties)[1]
    for limit in found:
        slow = maximum(held=(1, limit), x=MONOTONE, ties=ties)[1]
        assert 2 * (top - slow) == pytest.approx(2.705543454095404, abs=1e-5)
    assert found.lower < fit.coef[1] < found.upper
    wald = fit.coef[1] + 1.6448536269514722 * error
    assert found.upper - wald > 0.2  # the profile is skew: Wald's limit is too low


def test_monotone_likelihood_has_one_infinite_limit():
    profile = cox_profile(risk_sets(TIME, EVENT), MONOTONE, 1)
    found = profile_interval(profile, 12.0, 3.0)
    assert found.upper == np.inf
    assert np.isfinite(found.lower)


def test_one_coefficient_alone():
    sets = risk_sets(TIME, EVENT)
    fit = fit_cox(X[:, :1], TIME, EVENT)
    profile = cox_profile(sets, X[:, :1], 0)
    assert profile(fit.coef[0]) == pytest.approx(fit.loglik, rel=1e-12)
    assert profile(0.0) == pytest.approx(fit_cox(X[:, :0], TIME, EVENT).loglik)


def test_refusals_are_named():
    smooth = Penalty("s(x)", 0, 3, np.eye(3), None, 3)
    with pytest.raises(ParameterError, match=r"'firth' of fit_cox.*penalties"):
        fit_cox(X, TIME, EVENT, penalties=[smooth], firth=True)
    with pytest.raises(ParameterError, match="'index' of cox_profile"):
        cox_profile(risk_sets(TIME, EVENT), X, 3)
    with pytest.raises(ParameterError, match="'level' of profile_interval"):
        profile_interval(lambda value: -(value**2), 0.0, 1.0, level=1.0)
    with pytest.raises(ParameterError, match="'std_error' of profile_interval"):
        profile_interval(lambda value: -(value**2), 0.0, 0.0)
