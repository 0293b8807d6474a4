"""Penalised least absolute deviations against linear and quadratic programs."""

import numpy as np
import pytest
from scipy import optimize

from semistruct.design import DenseDesign
from semistruct.solvers._absolute import least_absolute
from semistruct.solvers._penalty import Penalty


def no_penalty(p):
    return Penalty(np.zeros((p, p)), np.zeros((0, p)))


def by_linear_program(x, y, c):
    """Smallest Σ c|r|: r = u − v with u, v ≥ 0."""
    n, p = x.shape
    found = optimize.linprog(
        np.concatenate([np.zeros(p), c, c]),
        A_eq=np.hstack([x, np.eye(n), -np.eye(n)]),
        b_eq=y,
        bounds=[(None, None)] * p + [(0, None)] * (2 * n),
        method="highs",
    )
    return found.fun, found.x[:p]


@pytest.mark.parametrize(("n", "p"), [(30, 3), (200, 6), (800, 12)])
def test_equals_a_linear_program(n, p):
    rng = np.random.default_rng(n)
    x = np.column_stack([np.ones(n), rng.normal(size=(n, p - 1))])
    y = 10 * x @ rng.normal(size=p) + rng.standard_cauchy(size=n)
    c = rng.uniform(0.2, 3.0, size=n)
    found = least_absolute(DenseDesign(x), y, c, no_penalty(p), np.zeros(p))
    value, beta = by_linear_program(x, y, c)
    assert found.certified
    assert c @ np.abs(y - x @ found.beta) == pytest.approx(value, rel=1e-10)
    np.testing.assert_allclose(found.beta, beta, atol=1e-8)
    assert (np.abs(y - x @ found.beta) < 1e-8).sum() == p  # a vertex
    assert (np.abs(found.dual) <= c).all()
    np.testing.assert_allclose(x.T @ found.dual, 0.0, atol=1e-9 * n)


def test_equals_a_smooth_minimiser_with_a_penalty():
    rng = np.random.default_rng(1)
    n, p = 150, 5
    x = np.column_stack([np.ones(n), rng.normal(size=(n, p - 1))])
    y = x @ rng.normal(size=p) + rng.laplace(size=n)
    root = np.diag([0.0, 3.0, 3.0, 5.0, 5.0])
    penalty = Penalty(root.T @ root, root)
    found = least_absolute(DenseDesign(x), y, np.ones(n), penalty, np.zeros(p))

    def objective(beta):
        return np.abs(y - x @ beta).sum() + 0.5 * np.sum((root @ beta) ** 2)

    # max over |d| ≤ 1 of d'y − ½ β'Sβ with X'd = Sβ bounds it from below
    assert found.certified
    np.testing.assert_allclose(x.T @ found.dual, penalty.matrix @ found.beta, atol=1e-8)
    lower = found.dual @ y - 0.5 * found.beta @ penalty.matrix @ found.beta
    assert objective(found.beta) - lower == pytest.approx(0.0, abs=1e-8)
    for _ in range(200):
        near = found.beta + rng.normal(size=p) * 10.0 ** rng.uniform(-6, 0)
        assert objective(near) >= objective(found.beta) - 1e-9


def test_ties_and_rows_without_weight():
    rng = np.random.default_rng(2)
    n = 120
    x = np.column_stack([np.ones(n), rng.integers(0, 3, size=n)]).astype(float)
    y = rng.integers(0, 5, size=n).astype(float)
    c = (rng.uniform(size=n) < 0.7).astype(float)
    found = least_absolute(DenseDesign(x), y, c, no_penalty(2), np.zeros(2))
    value, _ = by_linear_program(x[c > 0], y[c > 0], c[c > 0])
    assert found.certified
    assert c @ np.abs(y - x @ found.beta) == pytest.approx(value, rel=1e-10)
    assert not found.dual[c == 0].any()


def test_a_perfect_fit_is_found():
    x = np.column_stack([np.ones(20), np.arange(20.0)])
    y = x @ [1.0, 2.0]
    found = least_absolute(DenseDesign(x), y, np.ones(20), no_penalty(2), np.zeros(2))
    np.testing.assert_allclose(found.beta, [1.0, 2.0], atol=1e-9)
