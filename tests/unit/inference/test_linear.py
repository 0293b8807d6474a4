"""Tables, linear combinations, Wald tests and bands against statsmodels and scipy."""

import numpy as np
import pytest
import statsmodels.api as sm
from scipy import stats

from semistruct.exceptions import ParameterError
from semistruct.inference import (
    coefficient_table,
    linear_combination,
    pointwise_band,
    wald_test,
)

RNG = np.random.default_rng(0)
X = np.column_stack([np.ones(80), RNG.normal(size=(80, 3))])
Y = X @ [1.0, 0.5, 0.0, -0.2] + RNG.normal(size=80)
OLS = sm.OLS(Y, X).fit()
NAMES = ["const", "x1", "x2", "x3"]


@pytest.mark.parametrize("level", [0.95, 0.9])
def test_t_table_equals_ols(level):
    table = coefficient_table(NAMES, OLS.params, OLS.cov_params(), 76, level)
    tail = "0.025" if level == 0.95 else "0.05"
    upper = "0.975" if level == 0.95 else "0.95"
    columns = ["coef", "std err", "t", "P>|t|", f"[{tail}", f"{upper}]"]
    assert list(table.columns) == columns
    assert list(table.index) == NAMES
    np.testing.assert_allclose(table["std err"], OLS.bse)
    np.testing.assert_allclose(table["P>|t|"], OLS.pvalues)
    np.testing.assert_allclose(table.iloc[:, 4:], OLS.conf_int(1 - level))


def test_z_table_uses_the_normal():
    table = coefficient_table(NAMES, OLS.params, OLS.cov_params())
    expected = 2 * stats.norm.sf(np.abs(OLS.params / OLS.bse))
    np.testing.assert_allclose(table["P>|z|"], expected)
    assert "t" not in table


def test_table_of_a_zero_error_and_of_tuple_labels():
    table = coefficient_table([("a", "x"), "b"], [1.0, 0.0], np.zeros((2, 2)))
    assert table.index[0] == ("a", "x")
    assert np.isinf(table["z"].iloc[0])
    assert np.isnan(table["z"].iloc[1])


def test_linear_combination_equals_t_test():
    contrast = np.array([[0.0, 1.0, -1.0, 0.0], [1.0, 0.0, 0.0, 2.0]])
    ours = linear_combination(contrast, OLS.params, OLS.cov_params())
    peer = OLS.t_test(contrast)
    np.testing.assert_allclose(ours.estimate, peer.effect)
    np.testing.assert_allclose(ours.std_error, np.ravel(peer.sd))


def test_wald_equals_f_test_and_chi2():
    contrast = np.eye(4)[1:3]
    ours = wald_test(OLS.params, OLS.cov_params(), contrast, df_residual=76)
    peer = OLS.f_test(contrast)
    assert ours.statistic == pytest.approx(float(peer.fvalue))
    assert ours.p_value == pytest.approx(float(peer.pvalue))
    assert ours.df == 2
    normal = wald_test(OLS.params, OLS.cov_params(), contrast)
    assert normal.statistic == pytest.approx(2 * ours.statistic)
    assert normal.p_value == pytest.approx(stats.chi2.sf(normal.statistic, 2))


def test_redundant_rows_of_a_wald_test_do_not_count():
    contrast = np.vstack([np.eye(4)[1:3], np.eye(4)[1] + np.eye(4)[2]])
    ours = wald_test(OLS.params, OLS.cov_params(), contrast)
    plain = wald_test(OLS.params, OLS.cov_params(), contrast[:2])
    assert ours.df == 2
    assert ours.statistic == pytest.approx(plain.statistic)
    assert wald_test(OLS.params, OLS.cov_params(), np.zeros((1, 4))).p_value == 1.0


def test_band_equals_prediction_interval_of_the_mean():
    band = pointwise_band(X[:5], OLS.params, OLS.cov_params(), 0.9, 76)
    peer = OLS.get_prediction(X[:5])
    np.testing.assert_allclose(band.estimate, peer.predicted_mean)
    limits = peer.conf_int(alpha=0.1)
    np.testing.assert_allclose(np.stack([band.lower, band.upper], 1), limits)


@pytest.mark.parametrize("level", [0.0, 1.0, 95])
def test_levels_outside_the_unit_interval(level):
    with pytest.raises(ParameterError, match="level"):
        coefficient_table(["a"], [1.0], [[1.0]], level=level)
