"""Factors and ranks on matrices of known answers."""

import numpy as np
import pytest
from scipy import linalg

from semistruct.design import DenseDesign
from semistruct.solvers import RankDeficiencyError
from semistruct.solvers._linalg import (
    CHUNK,
    Factor,
    check_rank,
    orthogonal_inverse,
    row_quadratic,
    weighted_gram,
)

RNG = np.random.default_rng(0)


def test_factor_of_badly_scaled_matrix():
    x = RNG.normal(size=(30, 4)) * [1e-8, 1.0, 1e6, 1e12]
    matrix = x.T @ x
    factor = Factor(matrix)
    assert not factor.repaired
    right = matrix @ np.array([1e8, 1.0, 1e-6, 1e-12])
    np.testing.assert_allclose(factor.solve(right), [1e8, 1.0, 1e-6, 1e-12])
    scale = np.sqrt(np.diag(matrix))
    unit = matrix / scale[:, None] / scale
    inverse = np.linalg.inv(unit) / scale[:, None] / scale
    np.testing.assert_allclose(factor.inverse(), inverse, rtol=1e-10)
    assert factor.log_det == pytest.approx(
        np.linalg.slogdet(unit)[1] + 2 * np.log(scale).sum()
    )
    assert 0 < factor.rcond < 1


def test_indefinite_matrices_are_repaired():
    matrix = np.array([[2.0, 0.0], [0.0, -1.0]])
    factor = Factor(matrix)
    assert factor.repaired
    np.testing.assert_allclose(factor.solve(np.ones(2)), [0.5, 1.0])
    np.testing.assert_allclose(factor.inverse(), np.diag([0.5, 1.0]))


def test_products_by_chunks():
    n = CHUNK + 100
    x, z = RNG.normal(size=(n, 3)), RNG.normal(size=(n, 2))
    for weight in (RNG.uniform(size=n), RNG.normal(size=n)):
        np.testing.assert_allclose(
            weighted_gram(x, weight), x.T @ (x * weight[:, None]), atol=1e-9
        )
    middle = RNG.normal(size=(3, 2))
    expected = np.sum((x @ middle) * z, axis=1)
    np.testing.assert_allclose(row_quadratic(x, middle, z), expected, atol=1e-12)


def test_orthogonal_inverse_of_an_ill_conditioned_design():
    x = linalg.hilbert(12)[:, :5]
    weight = RNG.uniform(1, 2, 12)
    root = 1e-4 * np.eye(5)
    beta = np.arange(1.0, 6.0)
    design = DenseDesign(x)
    inverse, _ = orthogonal_inverse(design.triangle(weight), root)
    exact = np.linalg.inv(x.T @ (x * weight[:, None]) + 1e-8 * np.eye(5))
    np.testing.assert_allclose(inverse, exact, rtol=1e-6)
    upper = design.triangle(weight, x @ beta)
    none = np.zeros((0, 5))
    _, solution = orthogonal_inverse(upper[:, :-1], none, upper[:, -1])
    np.testing.assert_allclose(solution, beta, rtol=1e-7)


def test_rank_names_the_columns_involved():
    a, b, c = RNG.normal(size=(3, 40))
    x = np.column_stack([a, b, a - b, c, 2 * c])
    with pytest.raises(RankDeficiencyError) as error:
        check_rank(x, np.zeros((0, 5)), first=10)
    assert error.value.columns == (12, 14)
    assert error.value.involved == (10, 11, 12, 13, 14)
    root = np.zeros((2, 5))
    root[0, 2] = root[1, 4] = 1.0
    check_rank(x, root)
    check_rank(x[:, [0, 1, 3]] * [1e-9, 1.0, 1e9], np.zeros((0, 3)))
