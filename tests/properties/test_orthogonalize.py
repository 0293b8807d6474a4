"""The orthogonalised branch is orthogonal, whatever the design."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from semistruct.fusion import apply_projection, fit_projection


@st.composite
def problems(draw):
    n = draw(st.integers(1, 60))
    p = draw(st.integers(1, 8))
    q = draw(st.integers(1, 4))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    X = rng.normal(size=(n, p)) * 10.0 ** rng.integers(-4, 5, p)
    if draw(st.booleans()):
        X[:, 0] = 1.0
    if draw(st.booleans()) and p > 2:
        X[:, -1] = X[:, 0] - X[:, 1]
    w = rng.random(n) * 10.0 ** draw(st.integers(-6, 6))
    w[rng.random(n) < draw(st.sampled_from([0.0, 0.3, 1.0]))] = 0.0
    mask = rng.random(n) >= draw(st.sampled_from([0.0, 0.4]))
    U = rng.normal(size=(n, q)) * 10.0 ** draw(st.integers(-3, 3))
    return X, U + X @ rng.normal(size=(p, q)), w, mask


@settings(max_examples=150, deadline=None, derandomize=True)
@given(problems())
def test_structured_columns_are_orthogonal_to_what_is_left(problem) -> None:
    X, U, w, mask = problem
    A = fit_projection(X, U, w, mask)
    assert np.isfinite(A).all()
    left = apply_projection(U, X, A, mask)
    counted = (w * mask)[:, None]
    inner = (counted * X).T @ left
    sizes = np.sqrt((counted * X**2).sum(0))[:, None]
    sizes = sizes * np.sqrt((counted * np.where(mask[:, None], U, 0) ** 2).sum(0))
    assert (np.abs(inner) <= 1e-8 * sizes + 1e-300).all()


@settings(max_examples=50, deadline=None, derandomize=True)
@given(problems())
def test_projecting_twice_is_projecting_once(problem) -> None:
    X, U, w, mask = problem
    once = apply_projection(U, X, fit_projection(X, U, w, mask), mask)
    twice = apply_projection(once, X, fit_projection(X, once, w, mask), mask)
    counted = (w > 0) & mask
    scale = np.abs(U).max()
    np.testing.assert_allclose(twice[counted], once[counted], atol=1e-8 * scale)


@settings(max_examples=50, deadline=None, derandomize=True)
@given(problems(), st.integers(0, 59))
def test_a_row_does_not_depend_on_the_rows_beside_it(problem, row) -> None:
    X, U, w, mask = problem
    A = fit_projection(X, U, w, mask)
    i = row % len(X)
    one = apply_projection(U[[i]], X[[i]], A, mask[[i]])[0]
    scale = np.abs(U[i]).max() + np.abs(X[i]) @ np.abs(A)
    np.testing.assert_allclose(
        apply_projection(U, X, A, mask)[i], one, atol=1e-12 * scale.max()
    )
