"""Comparison of models against statsmodels and mgcv."""

from types import SimpleNamespace

import numpy as np
import pytest
import statsmodels.api as sm

from semistruct.exceptions import DataError
from semistruct.inference import (
    FitSummary,
    compare_fits,
    corrected_edf,
    likelihood_ratio_test,
)

RNG = np.random.default_rng(0)
X = np.column_stack([np.ones(90), RNG.normal(size=(90, 3))])
Y = RNG.poisson(np.exp(X @ [0.3, 0.4, 0.0, 0.2])).astype(float)


def peer(columns):
    return sm.Poisson(Y, X[:, :columns]).fit(disp=0)


def summary(columns):
    fit = peer(columns)
    return FitSummary(f"m{columns}", fit.llf, columns, columns, 90)


def test_criteria_equal_statsmodels():
    table = compare_fits([summary(2), summary(3), summary(4)])
    for columns in (2, 3, 4):
        row = table.loc[f"m{columns}"]
        assert row["AIC"] == pytest.approx(peer(columns).aic)
        assert row["AIC conditional"] == pytest.approx(peer(columns).aic)
        assert row["BIC"] == pytest.approx(peer(columns).bic)
    assert table["delta AIC"].min() == 0.0
    assert np.isnan(table["LR"].iloc[0])


def test_likelihood_ratio_equals_statsmodels():
    ols = [sm.OLS(Y, X[:, :k]).fit() for k in (2, 4)]
    statistic, p_value, df = ols[1].compare_lr_test(ols[0])
    ours = likelihood_ratio_test(ols[0].llf, ols[1].llf, df)
    assert ours.statistic == pytest.approx(statistic)
    assert ours.p_value == pytest.approx(p_value)
    table = compare_fits([summary(2), summary(4)])
    expected = likelihood_ratio_test(peer(2).llf, peer(4).llf, 2)
    assert tuple(table.iloc[1, 7:]) == pytest.approx(tuple(expected))


def test_models_in_the_wrong_order_have_no_p_value():
    table = compare_fits([summary(4), summary(2)])
    assert np.isnan(table["P>chi2"].iloc[1])


def test_different_rows_are_refused():
    with pytest.raises(DataError, match="m3: 90, other: 80"):
        compare_fits([summary(3), FitSummary("other", 0.0, 1, 1, 80)])


def test_corrected_edf_and_aic_of_a_gam(air, reference):
    _, _, fit = air
    mgcv = reference["comparison"]
    f = fit.cov @ fit.information / fit.dispersion
    most = np.trace(2 * f - f @ f)
    assert most == pytest.approx(mgcv["edf1"], abs=2e-3)
    ours = corrected_edf(fit)
    assert ours == pytest.approx(mgcv["edf2"], abs=2e-3)  # the bound, in both
    row = compare_fits(
        [FitSummary("gam", fit.loglik, fit.edf.sum() + 1, ours + 1, fit.n_effective)]
    ).iloc[0]
    assert row["AIC conditional"] == pytest.approx(
        -2 * mgcv["loglik"] + 2 * mgcv["edf"] + 2, abs=2e-3
    )
    assert row["AIC"] == pytest.approx(mgcv["aic"], abs=4e-3)


def test_corrected_edf_inside_its_bound():
    f = np.array([0.9, 0.4])
    fit = SimpleNamespace(
        cov=np.diag(f) * 2,
        cov_corrected=np.diag([0.92, 0.5]) * 2,
        information=np.eye(2),
        dispersion=2.0,
        edf=f,
    )
    assert corrected_edf(fit) == pytest.approx(1.42)
    fit.cov_corrected = np.diag([5.9, 0.4]) * 2
    assert corrected_edf(fit) == pytest.approx((2 * f - f**2).sum())


def test_corrected_edf_without_free_smoothing(fit_frame, table):
    _, _, fit = fit_frame(table("sleepstudy"), "Days", "Reaction")
    assert corrected_edf(fit) == pytest.approx(2.0)
