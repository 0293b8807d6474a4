"""Simultaneous bands against laws of the maximum that are known."""

import numpy as np
import pytest
from scipy import stats

from semistruct.exceptions import ParameterError
from semistruct.inference import pointwise_band, simultaneous_band

N = 200_000


def test_one_point_is_the_pointwise_band():
    row, coef, cov = [[1.0, 2.0]], [0.5, 1.0], [[1.0, 0.3], [0.3, 2.0]]
    band = simultaneous_band(row, coef, cov, n_draws=N)
    plain = pointwise_band(row, coef, cov)
    np.testing.assert_allclose(band.std_error, plain.std_error)
    np.testing.assert_allclose(band.upper, plain.upper, rtol=5e-3)
    wide = simultaneous_band(row, coef, cov, n_draws=N, df_residual=5)
    assert wide.critical_value == pytest.approx(stats.t.ppf(0.975, 5), rel=1e-2)


@pytest.mark.parametrize("level", [0.8, 0.95])
def test_independent_points_have_sidaks_value(level):
    band = simultaneous_band(np.eye(6) * 3, np.zeros(6), np.eye(6), level, N)
    expected = stats.norm.ppf(0.5 + level ** (1 / 6) / 2)
    assert band.critical_value == pytest.approx(expected, rel=5e-3)


def test_all_directions_have_scheffes_value():
    angle = np.linspace(0, np.pi, 400)
    circle = np.column_stack([np.cos(angle), np.sin(angle)])
    root = np.array([[2.0, 0.0], [1.0, 0.5]])
    band = simultaneous_band(circle @ np.linalg.inv(root), [0, 0], root @ root.T)
    expected = np.sqrt(stats.chi2.ppf(0.95, 2))
    assert band.critical_value == pytest.approx(expected, rel=2e-2)


def test_covers_the_whole_curve_of_a_smooth(air):
    design, x, fit = air
    block = next(b for b in design.blocks if b.label == "s(Temp)")
    rows = np.zeros_like(x)
    rows[:, block.start : block.stop] = x[:, block.start : block.stop]
    band = simultaneous_band(rows, fit.coef, fit.cov)
    plain = pointwise_band(rows, fit.coef, fit.cov)
    assert plain.upper[0] < band.upper[0]
    assert 2.3 < band.critical_value < 3.2
    rng = np.random.default_rng(9)
    drawn = rows @ rng.multivariate_normal(fit.coef, fit.cov, 4000).T
    inside = (drawn <= band.upper[:, None]) & (drawn >= band.lower[:, None])
    assert inside.all(axis=0).mean() == pytest.approx(0.95, abs=0.012)


def test_seed_and_degenerate_rows():
    rows = np.array([[1.0, 0.0], [0.0, 0.0], [1.0, 1.0]])
    first = simultaneous_band(rows, [1.0, 2.0], np.eye(2), seed=3)
    again = simultaneous_band(rows, [1.0, 2.0], np.eye(2), seed=3)
    assert first.critical_value == again.critical_value
    assert first.lower[1] == first.upper[1] == 0.0
    none = simultaneous_band(rows, [1.0, 2.0], np.zeros((2, 2)))
    np.testing.assert_array_equal(none.lower, none.upper)
    # fewer points than coefficients are drawn as points
    wide = simultaneous_band(rows[[0, 2]], [1.0, 2.0], np.eye(2), n_draws=N)
    many = simultaneous_band(rows[[0, 2, 0]], [1.0, 2.0], np.eye(2), n_draws=N)
    assert wide.critical_value == pytest.approx(many.critical_value, rel=5e-3)


def test_refuses_bad_levels_and_draws():
    with pytest.raises(ParameterError, match="level"):
        simultaneous_band([[1.0]], [1.0], [[1.0]], level=1.5)
    with pytest.raises(ParameterError, match="n_draws"):
        simultaneous_band([[1.0]], [1.0], [[1.0]], n_draws=10)
