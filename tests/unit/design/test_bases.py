"""Every registered basis: state, penalty, rows."""

import numpy as np
import pytest
from scipy.interpolate import BSpline

from semistruct.design import BASES, Basis, PSpline

RING = tuple((i, tuple(sorted(((i - 1) % 9, (i + 1) % 9)))) for i in range(9))


@pytest.fixture(params=sorted(BASES))
def basis(request) -> Basis:
    rng = np.random.default_rng(0)
    kind = BASES[request.param]
    x = rng.integers(0, 9, 200) if kind.factor else rng.normal(size=200)
    return kind.fit(x, 9, neighbours=RING if kind.factor else None)


@pytest.fixture
def points(basis) -> np.ndarray:
    return np.arange(9) if basis.factor else np.linspace(-9.0, 9.0, 400)


def test_state_gives_the_same_numbers(basis, points) -> None:
    again = BASES[basis.name].from_state(basis.to_state())
    assert type(again) is type(basis)
    assert (again.k, again.rank) == (basis.k, basis.rank)
    np.testing.assert_array_equal(again.evaluate(points), basis.evaluate(points))
    np.testing.assert_array_equal(again.penalty, basis.penalty)


def test_penalty_is_symmetric_with_the_rank_that_it_says(basis) -> None:
    penalty = basis.penalty
    assert penalty.shape == (basis.k, basis.k)
    np.testing.assert_array_equal(penalty, penalty.T)
    values = np.linalg.eigvalsh(penalty)
    assert np.sum(values > 1e-9 * values[-1]) == basis.rank
    assert values[0] > -1e-9 * values[-1]


def test_constants_are_in_the_basis_and_are_not_penalised(basis, points) -> None:
    values = basis.evaluate(points)
    ones = np.linalg.lstsq(values, np.ones(len(points)), rcond=None)[0]
    np.testing.assert_allclose(values @ ones, 1.0, atol=1e-9)
    np.testing.assert_allclose(
        basis.penalty @ ones, 0.0, atol=1e-9 * np.abs(basis.penalty).max()
    )


def test_rows_are_independent_and_any_finite_value_is_taken(basis) -> None:
    x = np.array([-1e8, -3.0, 0.0, 0.5, 1e8])
    x = np.arange(5) if basis.factor else x
    values = basis.evaluate(x)
    assert np.isfinite(values).all()
    assert values.shape == (5, basis.k)
    single = np.vstack([basis.evaluate(x[[i]]) for i in range(5)])
    np.testing.assert_array_equal(single, values)
    assert basis.evaluate(x[:0]).shape == (0, basis.k)


def test_a_fit_does_not_depend_on_the_order_of_rows() -> None:
    x = np.random.default_rng(1).normal(size=150)
    points = np.linspace(-3.0, 3.0, 50)
    for kind in BASES.values():
        if not kind.factor:
            one, other = kind.fit(x, 8), kind.fit(x[::-1], 8)
            np.testing.assert_allclose(
                np.abs(one.evaluate(points)), np.abs(other.evaluate(points)), atol=1e-8
            )


@pytest.mark.parametrize("k", [4, 5, 10, 25])
def test_p_splines_are_b_splines_with_linear_ends(k) -> None:
    x = np.random.default_rng(1).uniform(2.0, 5.0, 300)
    basis = PSpline.fit(x, k)
    low = x.min() - 0.001 * np.ptp(x)
    high = x.max() + 0.001 * np.ptp(x)
    h = (high - low) / (k - 3)
    knots = low + h * np.arange(-3, k + 1)
    # literal: scipy inside, first-order Taylor series at the ends outside
    splines = [BSpline(knots, np.eye(k)[j], 3) for j in range(k)]
    points = np.concatenate([x, [low, high, 0.0, 1.5, 5.5, 40.0]])
    inside = np.clip(points, low, high)
    expected = np.column_stack(
        [s(inside) + s(inside, nu=1) * (points - inside) for s in splines]
    )
    np.testing.assert_allclose(basis.evaluate(points), expected, atol=1e-11)


def test_p_splines_reproduce_lines_and_do_not_penalise_them() -> None:
    x = np.linspace(0.0, 1.0, 50)
    basis = PSpline.fit(x, 8)
    points = np.linspace(-1.0, 2.0, 31)
    line = basis.low + basis.h * np.arange(-1, 7)  # B-spline coefficients of x
    np.testing.assert_allclose(basis.evaluate(points) @ line, points, atol=1e-12)
    np.testing.assert_allclose(basis.penalty @ line, 0.0, atol=1e-12)
    np.testing.assert_allclose(basis.evaluate(points).sum(axis=1), 1.0, atol=1e-12)
