"""Mixtures of χ² and tests of smooths."""

from types import SimpleNamespace

import numpy as np
import pytest
from scipy import integrate, stats

from semistruct.inference import chi2_mixture_tail, smooth_table, smooth_test


@pytest.mark.parametrize("df", [1, 2, 3, 10])
@pytest.mark.parametrize("x", [1e-3, 0.1, 1.0, 5.0, 30.0, 200.0])
def test_tail_of_one_chi2_and_of_f(x, df):
    assert chi2_mixture_tail(x, [2.0], [df]) == pytest.approx(
        stats.chi2.sf(x / 2, df), rel=1e-7
    )
    for residual in (3, 30, 500, 1e5):
        ratio = chi2_mixture_tail(0.0, [1.0, -x * df / residual], [df, residual])
        # two forms of one probability; far out the F tail loses digits to cancellation
        assert ratio == pytest.approx(stats.f.sf(x, df, residual), rel=1e-6, abs=1e-200)


def test_tail_of_a_mixture_by_convolution():
    def direct(x, a, b):
        def inner(z):
            return 2 * stats.norm.pdf(z) * stats.chi2.sf(max(x - b * z * z, 0) / a, 1)

        edge = np.sqrt(x / b)
        low = integrate.quad(inner, 0, edge, epsabs=0, epsrel=1e-10, limit=400)[0]
        return low + 2 * stats.norm.sf(edge)

    for x, a, b in ((2.0, 1.0, 0.3), (12.0, 1.2, 0.05), (25.0, 1.1, 0.9)):
        assert chi2_mixture_tail(x, [a, b]) == pytest.approx(direct(x, a, b), rel=1e-7)


def test_tails_at_the_edges():
    assert chi2_mixture_tail(0.0, [1.0, 2.0]) == 1.0
    assert chi2_mixture_tail(1.0, [-1.0]) == 0.0
    assert chi2_mixture_tail(5.0, [0.0, 1.0]) == pytest.approx(stats.chi2.sf(5, 1))
    assert 0 < chi2_mixture_tail(400.0, [1.0, 0.2]) < 1e-80


def test_full_rank_test_is_the_wald_test():
    rng = np.random.default_rng(0)
    root = rng.normal(size=(3, 3))
    cov, beta = root @ root.T, rng.normal(size=3)
    information = np.linalg.inv(cov)
    found = smooth_test(beta, cov, information, 3.0)
    statistic = beta @ information @ beta
    assert found.statistic == pytest.approx(statistic)
    assert found.p_value == pytest.approx(stats.chi2.sf(statistic, 3))
    found = smooth_test(beta, cov, information, 3.0, df_residual=20.0)
    assert found.statistic == pytest.approx(statistic / 3)
    assert found.p_value == pytest.approx(stats.f.sf(statistic / 3, 3, 20))


def test_fractional_ranks_lie_between_whole_ones():
    cov, beta = np.diag([1.0, 0.5, 0.2]), np.array([1.0, 1.5, 0.5])
    whole = [smooth_test(beta, cov, np.eye(3), r).statistic for r in (1, 2, 3)]
    for rank in (1.3, 2.7):
        found = smooth_test(beta, cov, np.eye(3), rank)
        assert found.rank == pytest.approx(rank)
        low, high = whole[int(rank) - 1], whole[int(rank)]
        assert low < found.statistic < high
    close = smooth_test(beta, cov, np.eye(3), 2.0 + 1e-7)
    assert close.statistic == pytest.approx(whole[1], rel=1e-3)
    below = smooth_test(beta, cov, np.eye(3), 0.4)
    assert below.statistic == pytest.approx(whole[0])


def test_p_values_are_uniform_under_the_null():
    rng = np.random.default_rng(1)
    spread = np.array([1.0, 0.6, 0.3, 0.1])
    draws = rng.normal(size=(400, 4)) * np.sqrt(spread)
    p = [smooth_test(b, np.diag(spread), np.eye(4), 2.6).p_value for b in draws]
    assert stats.kstest(p, "uniform").pvalue > 0.01


def test_rotations_and_units_do_not_matter():
    rng = np.random.default_rng(2)
    root = rng.normal(size=(4, 4))
    cov, beta = root @ root.T, rng.normal(size=4)
    base = smooth_test(beta, cov, np.eye(4), 2.4)
    turn = np.linalg.qr(rng.normal(size=(4, 4)))[0] * 1e3
    back = np.linalg.inv(turn)
    other = smooth_test(turn @ beta, turn @ cov @ turn.T, back.T @ back, 2.4)
    assert other.statistic == pytest.approx(base.statistic)
    assert other.p_value == pytest.approx(base.p_value)


def test_table_lists_terms_with_their_tests():
    kinds = ("intercept", "smooth", "random")
    spans = [(0, 1), (1, 3), (3, 5)]
    blocks = [
        SimpleNamespace(label=kind, kind=kind, start=a, stop=b)
        for kind, (a, b) in zip(kinds, spans, strict=True)
    ]
    information = np.eye(5)
    cov = np.diag([1.0, 0.5, 0.5, 0.2, 0.2])
    fit = SimpleNamespace(
        coef=np.arange(5.0),
        cov=cov,
        information=information,
        dispersion=1.0,
        edf=np.diag(cov @ information).copy(),
        slices=(slice(0, 5),),
    )
    table = smooth_table(fit, [blocks])
    assert list(table.index) == ["smooth", "random"]
    assert list(table.columns) == ["edf", "ref df", "chi2", "p-value"]
    assert table.loc["smooth", "edf"] == pytest.approx(1.0)
    assert table.loc["smooth", "ref df"] == pytest.approx(1.5)
    # V_b = 0.2, C_b = 0.2 · 0.2, so T = 5 Σ b² and each weight is 0.2
    assert table.loc["random", "ref df"] == 2
    assert table.loc["random", "chi2"] == pytest.approx(5 * (3**2 + 4**2))
    expected = stats.chi2.sf(25 * (3**2 + 4**2), 2)
    assert table.loc["random", "p-value"] == pytest.approx(expected, rel=1e-6)
    assert not table.isna().any(axis=None)
    assert "F" in smooth_table(fit, [blocks], 30.0)
    double = SimpleNamespace(**vars(fit))
    double.slices = (slice(0, 5), slice(0, 5))
    rows = smooth_table(double, [blocks, blocks], None, ("a", "b")).index
    assert list(rows) == ["a: smooth", "a: random", "b: smooth", "b: random"]
    assert smooth_table(fit, [blocks[:1]]).empty
