"""Rubin's rules against mice, statsmodels and a slow transcription."""

from types import SimpleNamespace

import numpy as np
import pytest
from statsmodels.imputation.mice import MICE

from semistruct.exceptions import DataError
from semistruct.inference import coefficient_table, pool_estimates

RNG = np.random.default_rng(0)
COEFS = RNG.normal(size=(6, 3)) * 0.3 + [1.0, 2.0, 0.0]
ROOTS = RNG.normal(size=(6, 3, 3))
COVS = np.einsum("mij,mkj->mik", ROOTS, ROOTS) / 20 + 0.05 * np.eye(3)


@pytest.mark.parametrize(("name", "df"), [("large", None), ("small", 27.0)])
def test_equals_mice(reference, name, df):
    ref = reference["pool"]
    q, u = np.array(ref["q"])[:, None], np.array(ref["u"])[:, None, None]
    ours, mice = pool_estimates(q, u, df), ref[name]
    assert ours.coef[0] == pytest.approx(mice["qbar"])
    assert ours.within[0, 0] == pytest.approx(mice["ubar"])
    assert ours.between[0, 0] == pytest.approx(mice["b"])
    assert ours.cov[0, 0] == pytest.approx(mice["t"])
    assert ours.df[0] == pytest.approx(mice["df"], rel=1e-10)
    assert ours.missing_information[0] == pytest.approx(mice["fmi"], rel=1e-10)


def test_total_covariance_equals_statsmodels():
    fits = [
        SimpleNamespace(params=b, cov_params=lambda v=v: v)
        for b, v in zip(COEFS, COVS, strict=True)
    ]
    names = {"exog_names": list("abc"), "endog_names": "y", "model_class": None}
    results = [SimpleNamespace(_results=fit, scale=1.0) for fit in fits]
    peer = MICE.combine(SimpleNamespace(results_list=results, **names))
    ours = pool_estimates(COEFS, COVS)
    np.testing.assert_allclose(ours.coef, peer.params)
    np.testing.assert_allclose(ours.cov, peer.cov_params())
    share = 1 - np.diag(ours.within) / np.diag(ours.cov)
    np.testing.assert_allclose(share, peer.frac_miss_info)


@pytest.mark.parametrize("nu", [None, 40.0])
def test_equals_the_rules_spelled_out(nu):
    ours = pool_estimates(COEFS, COVS, nu)
    m = len(COEFS)
    for j in range(3):
        b = sum((q - COEFS[:, j].mean()) ** 2 for q in COEFS[:, j]) / (m - 1)
        w = sum(v[j, j] for v in COVS) / m
        t = w + b + b / m
        gamma = (b + b / m) / t
        df = (m - 1) * (1 + w / (b + b / m)) ** 2
        if nu is not None:
            observed = (nu + 1) / (nu + 3) * nu * (1 - gamma)
            df = df * observed / (df + observed)
        r = (b + b / m) / w
        assert ours.cov[j, j] == pytest.approx(t)
        assert ours.df[j] == pytest.approx(df)
        fraction = (r + 2 / (df + 3)) / (1 + r)
        assert ours.missing_information[j] == pytest.approx(fraction)


def test_agreeing_imputations_are_one_fit():
    same = pool_estimates(np.ones((3, 2)), np.stack([np.eye(2)] * 3))
    np.testing.assert_array_equal(same.cov, np.eye(2))
    assert np.isinf(same.df).all()
    np.testing.assert_array_equal(same.missing_information, 0.0)
    finite = pool_estimates(np.ones((3, 2)), np.stack([np.eye(2)] * 3), 20.0)
    np.testing.assert_allclose(finite.df, 21 / 23 * 20)


def test_table_takes_a_df_for_each_coefficient():
    ours = pool_estimates(COEFS, COVS, 50.0)
    table = coefficient_table(list("abc"), ours.coef, ours.cov, ours.df)
    for j, name in enumerate("abc"):
        single = coefficient_table(
            [name], ours.coef[[j]], ours.cov[[j]][:, [j]], float(ours.df[j])
        )
        np.testing.assert_allclose(table.loc[name], single.loc[name])


def test_refusals():
    with pytest.raises(DataError, match="at least two"):
        pool_estimates(np.ones((1, 2)), np.ones((1, 2, 2)))
    with pytest.raises(DataError, match="shape"):
        pool_estimates(np.ones((3, 2)), np.ones((3, 2)))
