"""Diagnostics against mgcv, exact laws and slow transcriptions."""

import numpy as np
import pytest
from scipy import stats

from semistruct.exceptions import DataError, ParameterError
from semistruct.inference import (
    concurvity,
    k_check,
    pit_histogram,
    quantile_residuals,
    worm,
)

RNG = np.random.default_rng(0)
MEAN = np.exp(RNG.normal(size=2000) * 0.5)
COUNTS = RNG.poisson(MEAN)
RIGHT, LEFT = stats.poisson.cdf(COUNTS, MEAN), stats.poisson.cdf(COUNTS - 1, MEAN)


def test_gaussian_residuals_are_standardised():
    y = RNG.normal(3, 2, 50)
    r = quantile_residuals(stats.norm.cdf(y, 3, 2))
    np.testing.assert_allclose(r, (y - 3) / 2, atol=1e-10)


def test_randomised_residuals_are_normal_and_inside():
    r = quantile_residuals(RIGHT, LEFT, np.random.default_rng(1))
    assert stats.kstest(r, "norm").pvalue > 0.01
    u = stats.norm.cdf(r)
    assert (u <= RIGHT + 1e-12).all()
    assert (u >= LEFT - 1e-12).all()
    wrong = np.full(2000, MEAN.mean())
    bad = quantile_residuals(
        stats.poisson.cdf(COUNTS, wrong),
        stats.poisson.cdf(COUNTS - 1, wrong),
        np.random.default_rng(1),
    )
    assert stats.kstest(bad, "norm").pvalue < 0.01


def test_residuals_stay_finite_and_refuse():
    assert np.isfinite(quantile_residuals([0.0, 1.0])).all()
    with pytest.raises(DataError, match="rng"):
        quantile_residuals([0.5], [0.2])
    with pytest.raises(DataError, match=r"row 1 holds 1\.2"):
        quantile_residuals([0.5, 1.2])
    with pytest.raises(DataError, match="row 0 holds nan"):
        pit_histogram([np.nan])


def test_worm_of_the_quantiles_is_flat():
    n = 99
    z = stats.norm.ppf((np.arange(1, n + 1) - 0.5) / n)
    plot = worm(2 + 3 * z[::-1])
    np.testing.assert_allclose(plot.theoretical, z)
    np.testing.assert_allclose(plot.deviation, 2 + 2 * z)
    np.testing.assert_allclose(plot.lower, -plot.upper)
    # the middle: the standard error of a median, 1.2533 / √n
    middle = 1.96 * np.sqrt(np.pi / 2 / n)
    assert plot.upper[49] == pytest.approx(middle, rel=1e-4)


def test_worm_limits_cover_points():
    inside = [
        (np.abs(p.deviation) <= p.upper).mean()
        for p in (worm(row) for row in RNG.normal(size=(300, 200)))
    ]
    assert np.mean(inside) == pytest.approx(0.95, abs=0.02)
    with pytest.raises(ParameterError, match="level"):
        worm([0.0, 1.0], level=2)


def test_pit_of_continuous_responses_is_a_histogram():
    u = RNG.random(500)
    ours = pit_histogram(u, bins=8)
    counts, edges = np.histogram(u, bins=8, range=(0, 1))
    np.testing.assert_allclose(ours.density, counts * 8 / 500)
    np.testing.assert_allclose(ours.edges, edges)
    np.testing.assert_allclose(pit_histogram([0.0, 1.0], bins=4).density, [2, 0, 0, 2])


def test_pit_of_counts_equals_the_definition():
    ours = pit_histogram(RIGHT, LEFT, bins=5)

    def average(u):
        total = 0.0
        for low, high in zip(LEFT, RIGHT, strict=True):
            total += 0 if u <= low else 1 if u >= high else (u - low) / (high - low)
        return total / len(LEFT)

    cumulative = [average(u) for u in np.linspace(0, 1, 6)]
    np.testing.assert_allclose(ours.density, 5 * np.diff(cumulative), atol=1e-12)
    assert ours.density.mean() == pytest.approx(1.0)
    np.testing.assert_allclose(ours.density, 1.0, atol=0.12)


def test_k_check_equals_mgcv(air, table, reference):
    design, _, fit = air
    frame = table("airquality")
    r = frame["Ozone"].to_numpy() - fit.linear_predictor[:, 0]
    smooth = [b for b in design.blocks if b.kind == "smooth"]
    for i, block in enumerate(smooth):
        edf = fit.edf[block.start : block.stop].sum()
        x = frame[block.columns[0]]
        found = k_check(r, x, block.stop - block.start, edf, 4000)
        assert found.k == 9
        assert found.k_index == pytest.approx(
            reference["k_check"]["index"][i], rel=1e-3
        )
        expected = reference["k_check"]["p_value"][i]
        assert found.p_value == pytest.approx(expected, abs=0.03)


def test_k_check_of_two_covariates_equals_the_definition():
    x, r = RNG.random((60, 2)) * [1, 50], RNG.normal(size=60)
    scaled = (x - x.min(axis=0)) / np.ptp(x, axis=0)
    total = []
    for i in range(60):
        distance = ((scaled - scaled[i]) ** 2).sum(axis=1)
        distance[i] = np.inf
        total += [(r[i] - r[j]) ** 2 for j in np.argsort(distance)[:3]]
    found = k_check(r, x, 20, 5.0, 50)
    assert found.k_index == pytest.approx(np.mean(total) / 2 / np.mean(r**2))


def test_k_check_sees_pattern_and_noise():
    x = RNG.random(6000)
    noise = RNG.normal(size=6000)
    assert k_check(noise, x, 10, 3.0).p_value > 0.01
    assert k_check(noise + np.sin(30 * x), x, 10, 9.0).p_value == 0.0
    assert k_check(noise, x, 10, 3.0, seed=4) == k_check(noise, x, 10, 3.0, seed=4)
    twice = np.repeat(RNG.random((10, 2)), 6, axis=0)  # more than 3 equal rows
    assert np.isfinite(k_check(noise[:60], twice, 10, 3.0, 20).k_index)
    with pytest.raises(DataError, match="5 residuals and 4"):
        k_check(noise[:5], x[:4], 10, 3.0)
    with pytest.raises(ParameterError, match="n_permutations"):
        k_check(noise, x, 10, 3.0, n_permutations=0)


def test_concurvity_equals_mgcv(air, reference):
    design, x, fit = air
    blocks = {b.label: slice(b.start, b.stop) for b in design.blocks}
    found = concurvity(x, blocks, fit.coef)
    ref = reference["concurvity"]
    for measure, rel in (("worst", 1e-6), ("observed", 1e-3), ("estimate", 1e-6)):
        np.testing.assert_allclose(found[measure], ref[measure], rtol=rel, atol=1e-12)


def test_concurvity_equals_least_squares():
    x = RNG.normal(size=(40, 6))
    x[:, 3] += x[:, 0] + 0.5 * x[:, 4]
    coef = RNG.normal(size=6)
    blocks = {"a": slice(0, 2), "b": slice(2, 4), "c": slice(4, 6)}
    found = concurvity(x, blocks, coef)
    others = x[:, [0, 1, 4, 5]]
    own, part = x[:, 2:4], x[:, 2:4] @ coef[2:4]
    hat = others @ np.linalg.solve(others.T @ others, others.T)
    assert found.loc["b", "observed"] == pytest.approx(
        (part @ hat @ part) / (part @ part)
    )
    assert found.loc["b", "estimate"] == pytest.approx(
        np.trace(own.T @ hat @ own) / (own**2).sum()
    )
    root = np.linalg.inv(np.linalg.cholesky(own.T @ own))
    ratio = np.linalg.eigvalsh(root @ own.T @ hat @ own @ root.T)
    assert found.loc["b", "worst"] == pytest.approx(ratio.max())
    np.testing.assert_allclose(
        concurvity(np.linalg.qr(x)[1], blocks, coef), found, atol=1e-12
    )


def test_concurvity_of_a_copy_is_one():
    x = RNG.normal(size=(30, 2))
    both = np.hstack([x, x @ [[1.0, 2.0], [0.0, 1.0]]])
    found = concurvity(both, {"a": slice(0, 2), "b": slice(2, 4)}, np.ones(4))
    np.testing.assert_allclose(found, 1.0)
    zero = concurvity(both, {"a": slice(0, 2), "b": slice(2, 4)}, [1, 1, 0, 0])
    assert np.isnan(zero.loc["b", "observed"])
    with pytest.raises(DataError, match="two terms"):
        concurvity(x, {"a": slice(0, 2)}, np.ones(2))
