"""The test of random effects against mgcv, ANOVA, refits and simulation."""

import numpy as np
import pytest
from scipy import stats

from semistruct.inference import chi2_mixture_tail, random_effect_test, smooth_table
from semistruct.solvers import fit_glm


def cases(table):
    sleep, plates = table("sleepstudy"), table("penicillin")
    early = sleep[sleep["Days"] < 3]
    at = np.arange(1, len(plates) + 1)
    slopes = "Days + re(Subject) + re(Subject, Days)"
    crossed = "re(plate) + re(sample)"
    few = sleep[sleep["Days"].isin([0, 9])]
    count = early.assign(y=((early["Reaction"] - 190) / 22).round())
    uneven = plates[np.isin(at % 7, [1, 2, 4])]
    return {
        "sleepstudy": (sleep, "Days + re(Subject)", "Reaction"),
        "few": (few, "Days + re(Subject)", "Reaction"),
        "count": (count, "Days + re(Subject)", "y"),
        "penicillin": (plates, crossed, "diameter"),
        "slopes": (sleep, slopes, "Reaction"),
        "uneven": (uneven, crossed, "diameter"),
    }


def fitted(name, table, fit_frame, reference):
    frame, formula, target = cases(table)[name]
    family = "poisson" if name == "count" else "gaussian"
    design, x, fit = fit_frame(frame.reset_index(drop=True), formula, target, family)
    mgcv = {k: np.atleast_1d(v) for k, v in reference["random_effect"][name].items()}
    residual = None if name == "count" else float(mgcv["df_residual"][0])
    rows = smooth_table(fit, [design.blocks], residual)
    return design, x, fit, rows, mgcv


@pytest.mark.parametrize("name", ["sleepstudy", "few", "count", "penicillin"])
def test_equals_mgcv(name, table, fit_frame, reference):
    *_, rows, mgcv = fitted(name, table, fit_frame, reference)
    np.testing.assert_allclose(rows["edf"], mgcv["edf"], atol=2e-3)
    np.testing.assert_array_equal(rows["ref df"], mgcv["ref_df"])
    statistic = rows["chi2"] if name == "count" else rows["F"] * rows["ref df"]
    expected = mgcv["statistic"] * (1 if name == "count" else mgcv["ref_df"])
    np.testing.assert_allclose(statistic, expected, rtol=1e-3)
    # mgcv integrates with an absolute tolerance of 2e-5
    np.testing.assert_allclose(rows["p-value"], mgcv["p_value"], rtol=2e-3, atol=2e-5)


@pytest.mark.parametrize("name", ["slopes", "uneven"])
def test_mgcv_weights_by_the_covariance_beside_other_random_effects(
    name, table, fit_frame, reference
):
    """mgcv's form of the statistic, transcribed, gives mgcv's number.

    Beside other random effects it multiplies by the root of their marginal covariance
    where the likelihood ratio divides by it; both are calibrated, ours has the power.
    """
    design, _, fit, rows, mgcv = fitted(name, table, fit_frame, reference)
    phi, g = fit.dispersion, fit.information
    v = fit.cov / phi
    total = np.zeros_like(g)
    for penalty, sp in zip(design.penalties, fit.sp, strict=True):
        span = slice(penalty.start, penalty.stop)
        total[span, span] += sp * penalty.matrix
    random = [b for b in design.blocks if b.kind == "random"]
    for i, block in enumerate(random):
        own = np.arange(block.start, block.stop)
        others = [np.arange(b.start, b.stop) for b in random if b is not block]
        extra = sum(
            g[:, o] @ np.linalg.inv(total[np.ix_(o, o)]) @ g[o, :] for o in others
        )
        null = phi * v @ (g + extra) @ v
        rest = np.setdiff1d(np.arange(len(g)), np.concatenate([own, *others]))
        a = g + extra + total
        cross = a[np.ix_(own, rest)]
        schur = a[np.ix_(own, own)]
        schur = schur - cross @ np.linalg.solve(a[np.ix_(rest, rest)], cross.T)
        statistic = fit.coef[own] @ schur @ fit.coef[own] / phi
        root = np.linalg.cholesky(schur)
        weights = np.linalg.eigvalsh(root.T @ null[np.ix_(own, own)] @ root) / phi
        weights = weights[weights > 1e-10 * weights.max()]
        expected = mgcv["statistic"][i] * mgcv["ref_df"][i]
        assert statistic == pytest.approx(expected, rel=1e-3)
        k = float(mgcv["df_residual"][0])
        p_value = chi2_mixture_tail(
            0.0, [*weights, -statistic / k], [*np.ones(len(weights)), k]
        )
        assert p_value == pytest.approx(mgcv["p_value"][i], rel=2e-3, abs=2e-5)
        assert rows["p-value"].iloc[i] <= p_value * (1 + 1e-9)


def test_one_way_layout_gives_the_f_test_of_anova(fit_frame, table):
    frame = table("sleepstudy")[["Reaction", "Subject"]]
    design, x, fit = fit_frame(frame, "re(Subject)", "Reaction")
    groups = [part.to_numpy() for _, part in frame.groupby("Subject")["Reaction"]]
    f, p = stats.f_oneway(*groups)
    rows = smooth_table(fit, [design.blocks], len(x) - len(groups))
    assert rows["p-value"].iloc[0] == pytest.approx(p, rel=1e-4)
    # every weight is 1 − λ/(n_g + λ)
    weight = 10 / (10 + fit.sp[0])
    assert rows["F"].iloc[0] == pytest.approx(weight * f, rel=1e-4)


def crossed(seed=0):
    """Uneven crossed layout with known variances, the second group effect null."""
    rng = np.random.default_rng(seed)
    a, b = rng.integers(0, 6, 50), rng.integers(0, 4, 50)
    za, zb = np.eye(6)[a], np.eye(4)[b]
    x = np.column_stack([np.ones(50), rng.normal(size=50), za, zb])
    penalty = np.diag([0.0, 0.0, *np.full(6, 2.0), *np.full(4, 5.0)])
    return x, penalty, rng


def test_statistic_is_the_drop_of_the_penalised_likelihood():
    x, penalty, rng = crossed()
    y = rng.normal(size=50)
    g, phi = x.T @ x, 1.7
    v = np.linalg.inv(g + penalty)
    beta = v @ x.T @ y

    def objective(columns):
        part, s = x[:, columns], penalty[np.ix_(columns, columns)]
        b = np.linalg.solve(part.T @ part + s, part.T @ y)
        return ((y - part @ b) ** 2).sum() + b @ s @ b

    found = random_effect_test(
        beta, phi * v, g, slice(8, 12), [slice(2, 8)], dispersion=phi
    )
    drop = objective(np.arange(8)) - objective(np.arange(12))
    assert found.statistic == pytest.approx(drop / phi)
    assert found.rank == 3  # the intercept takes one


def test_p_values_are_uniform_when_the_variance_is_zero():
    x, penalty, rng = crossed(1)
    g = x.T @ x
    v = np.linalg.inv(g + penalty)
    p_values, naive = [], []
    for _ in range(600):
        y = rng.normal(size=50) + x[:, 2:8] @ rng.normal(0, np.sqrt(0.5), 6)
        beta = v @ x.T @ y
        span, others = slice(8, 12), [slice(2, 8)]
        p_values.append(random_effect_test(beta, v, g, span, others).p_value)
        naive.append(random_effect_test(beta, v, g, span).p_value)
    assert stats.kstest(p_values, "uniform").pvalue > 0.01
    assert stats.kstest(naive, "uniform").pvalue < stats.kstest(p_values, "uniform")[1]


def test_a_variance_at_the_edge_is_not_significant():
    rng = np.random.default_rng(3)
    group = np.repeat(np.arange(8), 5)
    y = rng.normal(size=40)
    y -= np.bincount(group, y)[group] / 5  # group means are all zero
    x = np.column_stack([np.ones(40), np.eye(8)[group]])
    from semistruct.design import Penalty
    from semistruct.families import Gaussian

    penalty = Penalty("re(g)", 1, 9, np.eye(8), None, 8)
    fit = fit_glm([x], y, Gaussian(), penalties=[[penalty]])
    found = random_effect_test(
        fit.coef, fit.cov, fit.information, slice(1, 9), (), fit.dispersion, 39.0
    )
    assert 0.99 < found.p_value <= 1.0
