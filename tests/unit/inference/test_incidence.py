"""Cumulative incidence from hazards: literal sums, gradients, limits, coverage."""

import numpy as np
import pytest

from semistruct import Surv
from semistruct.exceptions import DataError, ParameterError
from semistruct.inference import (
    CoxBaseline,
    CoxRows,
    cox_incidence,
    cox_incidence_band,
    cox_survival_band,
    fine_gray_band,
    fine_gray_incidence,
    incidence_from_hazards,
)
from semistruct.solvers import baseline_hazard, combine_fits, fit_cox, fit_fine_gray
from semistruct.survival import aalen_johansen

N = 120
RNG = np.random.default_rng(9)
X = RNG.normal(size=(N, 2)) + 1.0
TIME = np.ceil(20 * RNG.exponential(size=N) * np.exp(-0.5 * X[:, 0]))
CAUSE = RNG.integers(0, 3, N)
STRATA = np.array(["f", "m"])[RNG.integers(0, 2, N)]
NEW = np.array([[0.0, 1.0], [2.0, 0.5], [1.0, 1.0]])
FORMS = ("exponential", "product")


def models(strata=None, x=X, time=TIME, cause=CAUSE):
    """Fits, baselines at the levels, and levels of both causes."""
    fits, bases, levels = [], [], []
    for k in (1, 2):
        fit = fit_cox(x, time, cause == k, strata=strata)
        eta = fit.linear_predictor[:, 0]
        levels.append(eta.mean())
        fits.append(fit)
        bases.append(baseline_hazard(eta - levels[-1], time, cause == k, strata=strata))
    return fits, bases, np.array(levels)


def summaries(fits, strata=None, x=X, time=TIME, cause=CAUSE):
    return [
        CoxBaseline.from_rows(
            CoxRows(x, f.linear_predictor, time, cause == k, strata=strata)
        )
        for k, f in zip((1, 2), fits, strict=True)
    ]


@pytest.mark.parametrize("form", FORMS)
def test_literal_sums(form):
    hazards = np.cumsum(RNG.uniform(0, 0.2, (3, 4, 6)), axis=2)
    found, survival = incidence_from_hazards(hazards, form=form)
    for i in range(4):
        s, f = 1.0, np.zeros(3)
        for j in range(6):
            h = hazards[:, i, j] - (hazards[:, i, j - 1] if j else 0.0)
            if form == "product":
                f = f + s * h
                s *= 1 - h.sum()
            else:
                f = f + s * h / h.sum() * (1 - np.exp(-h.sum()))
                s *= np.exp(-h.sum())
            np.testing.assert_allclose(found[:, i, j], f, rtol=1e-12)
            assert survival[i, j] == pytest.approx(s, rel=1e-12)


@pytest.mark.parametrize("form", FORMS)
def test_probabilities_sum_to_one_even_where_jumps_are_large(form):
    hazards = np.cumsum(RNG.exponential(0.6, (2, 50, 8)), axis=2)
    hazards[:, 0] = 0.0
    found, survival = incidence_from_hazards(hazards, form=form)
    np.testing.assert_allclose(found.sum(axis=0) + survival, 1.0, rtol=1e-12)
    assert (np.diff(found, axis=2) >= 0).all()
    assert (survival >= 0).all()


def test_without_covariates_the_product_is_aalen_johansen():
    none = np.zeros(N)
    bases = [baseline_hazard(none, TIME, k == CAUSE, ties="breslow") for k in (1, 2)]
    times = np.arange(0.0, TIME.max() + 2)
    found = cox_incidence(bases, [[0.0, 0.0]], times, form="product")
    y = Surv(TIME, CAUSE > 0, cause=CAUSE)
    for k in (1, 2):
        expected = aalen_johansen(y, k).estimate(times)
        np.testing.assert_allclose(found.causes[k - 1], expected, atol=1e-12)


@pytest.mark.parametrize("strata", [None, STRATA])
def test_curves_of_rows(strata):
    fits, bases, levels = models(strata)
    eta = np.column_stack([NEW @ f.coef for f in fits])
    labels = None if strata is None else ["f", "m", "f"]
    times = np.array([7.0, 0.0, 15.0, 1000.0])
    found = cox_incidence(bases, eta - levels, times, strata=labels)
    for i in range(3):
        parts = [b[None if labels is None else labels[i]] for b in bases]
        grid = np.unique(np.concatenate([t for t, _ in parts]))
        hazards = np.array(
            [
                np.r_[0.0, h][np.searchsorted(t, grid, side="right")] * np.exp(r)
                for (t, h), r in zip(parts, eta[i] - levels, strict=True)
            ]
        )
        curves, survival = incidence_from_hazards(hazards[:, None])
        at = np.searchsorted(grid, times, side="right")
        padded = np.concatenate([np.zeros((2, 1)), curves[:, 0]], axis=1)
        np.testing.assert_allclose(found.causes[:, i], padded[:, at], rtol=1e-10)
        expected = np.r_[1.0, survival[0]][at]
        np.testing.assert_allclose(found.survival[i], expected, rtol=1e-10)


def literal_variance(bases, eta, cov, cause, t, label):
    """Gradients by differences of the increments and of the coefficients."""
    parts = [b.strata[label] for b in bases]
    grid = np.unique(np.concatenate([p.times for p in parts]))

    def steps(values, own):
        out = np.zeros((len(grid), *values.shape[1:]))
        out[np.searchsorted(grid, own)] = np.diff(values, axis=0, prepend=0.0)
        return out

    ratio = [np.exp(e - b.level) for e, b in zip(eta, bases, strict=True)]
    h = np.array(
        [r * steps(p.hazard, p.times) for r, p in zip(ratio, parts, strict=True)]
    )
    last = np.searchsorted(grid, t, side="right") - 1

    def f(h):
        return incidence_from_hazards(np.cumsum(h, axis=1)[:, None])[0][cause, 0, last]

    slope = np.zeros_like(h)
    for index in np.ndindex(*h.shape):
        up, down = h.copy(), h.copy()
        step = min(1e-5, h[index]) or 1e-5
        up[index] += step
        down[index] -= step if h[index] > 0 else 0.0
        slope[index] = (f(up) - f(down)) / (step * (2 if h[index] > 0 else 1))
    noise = np.array(
        [r**2 * steps(p.variance, p.times) for r, p in zip(ratio, parts, strict=True)]
    )
    pull = []
    for k, (b, p) in enumerate(zip(bases, parts, strict=True)):
        x = NEW[0] - b.center
        move = ratio[k] * (
            x * steps(p.hazard, p.times)[:, None] - steps(p.drift, p.times)
        )
        pull.append(slope[k] @ move)
    pull = np.concatenate(pull)
    return (slope**2 * noise).sum() + pull @ cov @ pull


@pytest.mark.parametrize("strata", [None, STRATA])
@pytest.mark.parametrize("cause", [0, 1])
def test_variance_is_that_of_differences(strata, cause):
    fits, _, _ = models(strata)
    bases = summaries(fits, strata)
    cov = combine_fits(fits).cov
    eta = np.column_stack([NEW @ f.coef for f in fits])
    labels = None if strata is None else ["m", "m", "f"]
    times = [3.0, 9.0, 14.0]
    band = cox_incidence_band(bases, [NEW, NEW], eta, cov, cause, times, strata=labels)
    for j in (1, 2):
        label = None if labels is None else "m"
        expected = literal_variance(bases, eta[0], cov, cause, times[j], label)
        assert band.std_error.values[0, j] ** 2 == pytest.approx(expected, rel=1e-3)


def test_band_follows_the_curve_and_of_one_cause_is_that_of_survival():
    fits, bases, levels = models()
    eta = np.column_stack([NEW @ f.coef for f in fits])
    times = np.array([2.0, 5.0, 10.0, 20.0])
    cov = combine_fits(fits).cov
    for transform in ("log-log", "plain"):
        band = cox_incidence_band(
            summaries(fits), [NEW, NEW], eta, cov, 1, times, transform=transform
        )
        curve = cox_incidence(bases, eta - levels, times).causes[1]
        np.testing.assert_allclose(band.estimate.values, curve, rtol=1e-12)
        assert (band.lower.values <= curve).all()
        assert (curve <= band.upper.values).all()
    one = summaries(fits)[:1]
    alone = cox_incidence_band(one, [NEW], eta[:, :1], fits[0].cov, 0, times)
    survival = cox_survival_band(one[0], NEW, eta[:, 0], fits[0].cov)
    np.testing.assert_allclose(alone.lower.values, 1 - survival.upper(times), rtol=1e-9)
    np.testing.assert_allclose(alone.upper.values, 1 - survival.lower(times), rtol=1e-9)


@pytest.mark.parametrize(
    "options",
    [{}, {"strata": STRATA}, {"strata": STRATA, "censoring": "pooled"}],
    ids=["plain", "strata", "pooled"],
)
def test_fine_gray_variance_is_the_derivative_in_the_weights(options):
    weight = RNG.uniform(0.5, 2, N)
    labels = ["f", "m", "f"] if options else None

    def curves(w):
        found = fit_fine_gray(
            X,
            TIME,
            CAUSE > 0,
            CAUSE,
            of=1,
            ties="breslow",
            sample_weight=w,
            offset=0.1 * X[:, 1] ** 2,
            **options,
        )
        ratio = NEW @ found.fit.coef - found.level
        return found, fine_gray_incidence(
            found.baseline, ratio, [4.0, 9.0], strata=labels
        )

    found, estimate = curves(weight)
    band = fine_gray_band(
        found.spread(1000),
        found.level,
        NEW,
        NEW @ found.fit.coef,
        found.cov_robust,
        strata=labels,
    )
    np.testing.assert_allclose(band.estimate([4.0, 9.0]), estimate, rtol=1e-12)
    variance = np.zeros_like(estimate)
    for i in range(N):
        up, down = weight.copy(), weight.copy()
        up[i] += 1e-4
        down[i] -= 1e-4
        variance += (weight[i] * (curves(up)[1] - curves(down)[1]) / 2e-4) ** 2
    error = band.std_error([4.0, 9.0])
    np.testing.assert_allclose(error, np.sqrt(variance), rtol=1e-5)


def test_fine_gray_band_may_be_thinned():
    found = fit_fine_gray(X, TIME, CAUSE > 0, CAUSE, of=1, clusters=STRATA)
    whole, thin = found.spread(1000)[None], found.spread(5)[None]
    assert len(thin.times) == 5
    assert thin.times[-1] == whole.times[-1]
    at = np.searchsorted(whole.times, thin.times)
    for field in ("hazard", "variance", "drift", "cross"):
        np.testing.assert_allclose(
            getattr(thin, field), getattr(whole, field)[at], rtol=1e-12
        )
    hazard = found.baseline[None][1]
    np.testing.assert_allclose(whole.hazard, hazard, rtol=1e-10)


def test_bad_input():
    fits, bases, levels = models(STRATA)
    eta = np.column_stack([NEW @ f.coef for f in fits]) - levels
    with pytest.raises(DataError, match=r"hazards must be \(C, n, m\)"):
        incidence_from_hazards([[0.1]])
    with pytest.raises(
        DataError, match=r"cause number 1, row 0 is 0\.1 at time number 1"
    ):
        incidence_from_hazards([[[0.1, 0.2]], [[0.2, 0.1]]])
    with pytest.raises(DataError, match="is nan at time number 0"):
        incidence_from_hazards([[[np.nan]]])
    with pytest.raises(ParameterError, match="'form' of cox_incidence"):
        cox_incidence(bases, eta, form="sum", strata=["f", "f", "m"])
    with pytest.raises(DataError, match="the fit had strata; give strata="):
        cox_incidence(bases, eta)
    with pytest.raises(DataError, match="row 2 is in stratum 'x'"):
        cox_incidence(bases, eta, strata=["f", "m", "x"])
    with pytest.raises(DataError, match="strata has 2 rows, but there are 3"):
        cox_incidence(bases, eta, strata=["f", "m"])
    with pytest.raises(DataError, match=r"must be \(n, 2\), a column for each cause"):
        cox_incidence(bases, eta[:, :1], strata=["f", "m", "f"])
    with pytest.raises(DataError, match="predictors of row 1 are not finite"):
        cox_incidence(bases, [[0, 0], [np.nan, 0]], strata=["f", "m"])
    fits, _, _ = models()
    parts, cov = summaries(fits), combine_fits(fits).cov
    with pytest.raises(ParameterError, match="'cause' of cox_incidence_band"):
        cox_incidence_band(parts, [NEW, NEW], eta, cov, 2, [1.0])
    with pytest.raises(DataError, match="do not fit models of 4 columns in all"):
        cox_incidence_band(parts, [NEW, NEW], eta, cov[:2, :2], 0, [1.0])
    found = fit_fine_gray(X, TIME, CAUSE > 0, CAUSE, of=1)
    with pytest.raises(DataError, match="do not fit a model of 2 columns"):
        fine_gray_band(found.spread(), found.level, NEW, [0.0], found.cov_robust)


@pytest.mark.slow
def test_coverage_of_both_bands():
    """Pointwise 95% limits of F₁ at a row, in 300 samples of 250 rows."""
    x_new, horizon = np.array([[1.0]]), 0.8
    # cause-specific hazards 0.5 e^{0.7x}, 0.4 e^{-0.3x}
    a, b = 0.5 * np.exp(0.7), 0.4 * np.exp(-0.3)
    truth = a / (a + b) * -np.expm1(-(a + b) * horizon)
    q = 0.8 * np.exp(0.5)
    truth_fine_gray = -np.expm1(-q * -np.expm1(-horizon))
    hits, hits_fine_gray, runs = 0, 0, 300
    for seed in range(runs):
        rng = np.random.default_rng(seed)
        n = 250
        x = rng.uniform(0, 2, (n, 1))
        rate_1, rate_2 = 0.5 * np.exp(0.7 * x[:, 0]), 0.4 * np.exp(-0.3 * x[:, 0])
        late = rng.uniform(0.3, 2.5, n)
        raw = rng.exponential(size=n) / (rate_1 + rate_2)
        which = np.where(rng.random(n) < rate_1 / (rate_1 + rate_2), 1, 2)
        time, cause = np.minimum(raw, late), np.where(raw <= late, which, 0)
        fits, _, _ = models(x=x, time=time, cause=cause)
        band = cox_incidence_band(
            summaries(fits, x=x, time=time, cause=cause),
            [x_new, x_new],
            np.column_stack([x_new @ f.coef for f in fits]),
            combine_fits(fits).cov,
            0,
            [horizon],
        )
        hits += band.lower.values[0, 0] <= truth <= band.upper.values[0, 0]
        ratio = 0.8 * np.exp(0.5 * x[:, 0])
        u = rng.random(n)
        own = u < -np.expm1(-ratio)
        early = -np.log1p(np.log1p(-np.where(own, u, 0.0)) / ratio)
        raw = np.where(own, early, rng.exponential(size=n))
        time = np.minimum(raw, late)
        cause = np.where(raw <= late, np.where(own, 1, 2), 0)
        found = fit_fine_gray(x, time, cause > 0, cause, of=1)
        band = fine_gray_band(
            found.spread(500),
            found.level,
            x_new,
            x_new @ found.fit.coef,
            found.cov_robust,
        )
        low, high = band.lower([horizon])[0, 0], band.upper([horizon])[0, 0]
        hits_fine_gray += low <= truth_fine_gray <= high
    print(
        f"coverage: cause-specific {hits / runs:.3f}, "
        f"Fine-Gray {hits_fine_gray / runs:.3f}"
    )
    assert 0.92 <= hits / runs <= 0.98
    assert 0.92 <= hits_fine_gray / runs <= 0.98
