"""Properties of the exact path that hold for any data."""

from dataclasses import dataclass

import numpy as np
import torch
from hypothesis import assume, given
from hypothesis import strategies as st

from semistruct.families import (
    Bernoulli,
    Gaussian,
    NegativeBinomial,
    Poisson,
    cox_log_likelihood,
)
from semistruct.solvers import baseline_hazard, fit_cox, fit_glm

seeds = st.integers(0, 10_000)


@dataclass(frozen=True)
class Penalty:
    start: int
    stop: int
    matrix: np.ndarray
    rank: int
    sp: float | None = None


def draw(seed, n=60):
    rng = np.random.default_rng(seed)
    x = np.column_stack([np.ones(n), rng.normal(size=(n, 5))])
    d = np.diff(np.eye(4), axis=0)
    return rng, x, Penalty(2, 6, d.T @ d, 3)


def response(rng, family, eta):
    if family.name == "gaussian":
        return eta + rng.normal(size=len(eta))
    if family.name == "poisson":
        return rng.poisson(np.exp(0.5 * eta)).astype(float)
    return (rng.uniform(size=len(eta)) < 1 / (1 + np.exp(-eta))).astype(float)


families = st.sampled_from([Gaussian(), Bernoulli(), Poisson()])


@given(seeds, families, st.booleans())
def test_weights_equal_repetition(seed, family, smooth):
    rng, x, penalty = draw(seed)
    y = response(rng, family, 0.5 * x[:, 1])
    weight = rng.integers(0, 4, len(y))
    penalties = [[penalty]] if smooth else None
    once = fit_glm([x], y, family, penalties=penalties, sample_weight=weight)
    repeated = fit_glm(
        [np.repeat(x, weight, axis=0)],
        np.repeat(y, weight),
        family,
        penalties=penalties,
    )
    np.testing.assert_allclose(once.coef, repeated.coef, atol=2e-5)
    np.testing.assert_allclose(once.loglik, repeated.loglik, rtol=1e-6)
    assert once.n_effective == repeated.n_effective


@given(seeds)
def test_weights_equal_repetition_with_two_predictors_and_shapes(seed):
    rng, x, penalty = draw(seed, n=100)
    weight = rng.integers(0, 4, len(x))
    each = np.repeat(np.arange(len(x)), weight)
    both = Gaussian().with_formulas(("loc", "scale"))
    y = response(rng, both, 0.5 * x[:, 1])
    options = {"penalties": [[penalty], []]}
    once = fit_glm([x, x[:, :2]], y, both, sample_weight=weight, **options)
    again = fit_glm([x[each], x[each, :2]], y[each], both, **options)
    np.testing.assert_allclose(once.coef, again.coef, atol=1e-4)
    np.testing.assert_allclose(once.score, again.score, rtol=1e-8)
    counts = rng.poisson(rng.gamma(2.0, np.exp(0.5 * x[:, 1]))).astype(float)
    once = fit_glm([x[:, :3]], counts, NegativeBinomial(), sample_weight=weight)
    again = fit_glm([x[each, :3]], counts[each], NegativeBinomial())
    np.testing.assert_allclose(once.coef, again.coef, atol=1e-4)
    np.testing.assert_allclose(once.loglik, again.loglik, rtol=1e-8)


@given(seeds)
def test_precisions_are_free_of_their_unit(seed):
    rng, x, penalty = draw(seed)
    y = response(rng, Gaussian(), 0.5 * x[:, 1])
    precision = rng.uniform(0.2, 3.0, len(y))
    options = {"penalties": [[penalty]]}
    fit = fit_glm([x], y, Gaussian(), var_weights=precision, **options)
    other = fit_glm([x], y, Gaussian(), var_weights=7.0 * precision, **options)
    np.testing.assert_allclose(other.coef, fit.coef, atol=2e-5)
    np.testing.assert_allclose(other.dispersion, 7.0 * fit.dispersion, rtol=1e-5)
    np.testing.assert_allclose(other.loglik, fit.loglik, atol=1e-4)
    np.testing.assert_allclose(other.score, fit.score, atol=1e-6)


@given(seeds, families)
def test_row_order_and_offsets(seed, family):
    rng, x, penalty = draw(seed)
    y = response(rng, family, 0.5 * x[:, 1])
    fit = fit_glm([x], y, family, penalties=[[penalty]])
    order = rng.permutation(len(y))
    moved = fit_glm([x[order]], y[order], family, penalties=[[penalty]])
    np.testing.assert_allclose(moved.coef, fit.coef, atol=2e-5)
    shifted = fit_glm(
        [x], y, family, penalties=[[penalty]], offset=np.full(len(y), 0.7)
    )
    np.testing.assert_allclose(shifted.coef[0], fit.coef[0] - 0.7, atol=2e-5)
    np.testing.assert_allclose(shifted.coef[1:], fit.coef[1:], atol=2e-5)


@given(seeds, families)
def test_edf_and_covariances_are_ordered(seed, family):
    rng, x, penalty = draw(seed)
    y = response(rng, family, 0.5 * x[:, 1])
    fit = fit_glm([x], y, family, penalties=[[penalty]])
    assert fit.nullity - 1e-9 <= fit.edf.sum() <= x.shape[1] + 1e-9
    size = np.linalg.norm(fit.cov, 2)
    assert np.linalg.eigvalsh(fit.cov - fit.cov_frequentist).min() > -1e-8 * size
    assert np.linalg.eigvalsh(fit.cov_corrected - fit.cov).min() > -1e-8 * size
    assert fit.converged


@given(seeds, st.sampled_from(["efron", "breslow"]), st.booleans())
def test_cox_is_invariant_to_monotone_maps_of_time(seed, ties, stratified):
    rng, x, penalty = draw(seed)
    x = x[:, 1:]
    time = rng.integers(1, 15, len(x)).astype(float)
    event = rng.uniform(size=len(x)) < 0.7
    assume(event.any())
    strata = rng.integers(0, 3, len(x)) if stratified else None
    moved = Penalty(1, 5, penalty.matrix, 3)
    options = {"ties": ties, "strata": strata, "penalties": [moved]}
    fit = fit_cox(x, time, event, **options)
    mapped = fit_cox(x, np.exp(time / 3), event, **options)
    np.testing.assert_allclose(mapped.coef, fit.coef, atol=1e-9)
    eta = torch.from_numpy(fit.linear_predictor[:, 0])
    value = cox_log_likelihood(eta, time, event, strata=strata, ties=ties)
    np.testing.assert_allclose(value.item(), fit.loglik, rtol=1e-10)


@given(seeds, st.sampled_from(["efron", "breslow"]))
def test_baseline_hazards_rise_and_scale(seed, ties):
    rng, x, _ = draw(seed)
    time = rng.integers(1, 15, len(x)).astype(float)
    entry = np.maximum(time - rng.integers(1, 9, len(x)), 0.0)
    event = rng.uniform(size=len(x)) < 0.7
    assume(event.any())
    eta = x[:, 1]
    times, hazard = baseline_hazard(eta, time, event, entry=entry, ties=ties)[None]
    assert (np.diff(times) > 0).all()
    assert (np.diff(hazard, prepend=0.0) > 0).all()
    _, scaled = baseline_hazard(eta + 2.0, time, event, entry=entry, ties=ties)[None]
    np.testing.assert_allclose(scaled, hazard * np.exp(-2.0), rtol=1e-10)
