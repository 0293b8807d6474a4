"""Contrasts against statsmodels, multcomp and the multivariate t distribution."""

import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.multitest import multipletests

from semistruct.exceptions import DataError, ParameterError
from semistruct.inference import coefficient_table, contrasts

RNG = np.random.default_rng(0)
ROOT = RNG.normal(size=(5, 5))
COV = ROOT @ ROOT.T / 5
COEF = np.array([1.0, -0.4, 2.5, 0.1, 3.0])
L = RNG.normal(size=(4, 5))


def test_unadjusted_is_the_table_of_the_combinations():
    table = contrasts(L, COEF, COV, list("abcd"), df_residual=12)
    expected = coefficient_table(list("abcd"), L @ COEF, L @ COV @ L.T, 12)
    np.testing.assert_allclose(table, expected)
    assert list(table.columns) == list(expected.columns)


@pytest.mark.parametrize("adjust", ["holm", "bonferroni"])
@pytest.mark.parametrize("df", [None, 9.0])
def test_adjusted_p_values_equal_statsmodels(adjust, df):
    raw = contrasts(L, COEF, COV, df_residual=df)
    table = contrasts(L, COEF, COV, df_residual=df, adjust=adjust)
    expected = multipletests(raw.iloc[:, 3], method=adjust)[1]
    np.testing.assert_allclose(table.iloc[:, 3], expected)
    level = 1 - 0.05 / 4
    wide = contrasts(L, COEF, COV, df_residual=df, level=level)
    np.testing.assert_allclose(table.iloc[:, 4:], wide.iloc[:, 4:])


def test_simultaneous_equals_multcomp(reference):
    ref = reference["contrasts"]
    table = contrasts(
        ref["matrix"], ref["coef"], ref["cov"], None, ref["df"], "simultaneous"
    )
    np.testing.assert_allclose(table["P>|t|"], ref["p_value"], atol=6e-4, rtol=1e-2)
    half = (table["0.975]"] - table["[0.025"]) / 2 / table["std err"]
    np.testing.assert_allclose(half, ref["quantile"], rtol=5e-3)


def test_simultaneous_equals_the_joint_distribution():
    table = contrasts(L, COEF, COV, adjust="simultaneous", level=0.9)
    middle = L @ COV @ L.T
    error = np.sqrt(np.diag(middle))
    joint = stats.multivariate_normal(cov=middle / np.outer(error, error))
    for z, p in zip(table["z"].abs(), table["P>|z|"], strict=True):
        inside = joint.cdf(np.full(4, z), lower_limit=np.full(4, -z))
        assert p == pytest.approx(1 - inside, rel=1e-2, abs=6e-4)
    half = float((table.iloc[0, 5] - table.iloc[0, 4]) / 2 / error[0])
    inside = joint.cdf(np.full(4, half), lower_limit=np.full(4, -half))
    assert inside == pytest.approx(0.9, abs=3e-3)


def test_far_tails_are_bounded_by_bonferroni():
    far = contrasts(L, 100 * COEF, COV, adjust="simultaneous")["P>|z|"]
    raw = contrasts(L, 100 * COEF, COV)["P>|z|"]
    assert (far >= raw).all()
    assert (far <= 4 * raw + 1e-300).all()


def test_one_contrast_is_never_adjusted():
    plain = contrasts(L[0], COEF, COV)
    for adjust in ("holm", "bonferroni", "simultaneous"):
        table = contrasts(L[0], COEF, COV, adjust=adjust)
        np.testing.assert_allclose(table["P>|z|"], plain["P>|z|"])
        np.testing.assert_allclose(table, plain, rtol=2e-2)


def test_refusals():
    with pytest.raises(ParameterError, match="holm"):
        contrasts(L, COEF, COV, adjust="hol")
    with pytest.raises(DataError, match="2 names for 4"):
        contrasts(L, COEF, COV, ["a", "b"])
