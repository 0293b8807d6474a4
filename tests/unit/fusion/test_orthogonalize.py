from __future__ import annotations

import numpy as np
import pytest

from semistruct.exceptions import DataError
from semistruct.fusion import apply_projection, fit_projection


def data(n=200, p=4, q=3, seed=0):
    rng = np.random.default_rng(seed)
    X = np.column_stack([np.ones(n), rng.normal(size=(n, p - 1))])
    return X, rng.normal(size=(n, q)) + X @ rng.normal(size=(p, q)), rng.random(n)


def test_it_is_weighted_least_squares() -> None:
    X, U, w = data()
    expected = np.linalg.solve((X.T * w) @ X, (X.T * w) @ U)
    np.testing.assert_allclose(fit_projection(X, U, w), expected, rtol=1e-10)


def test_masked_rows_do_not_count_and_stay_zero() -> None:
    X, U, w = data()
    mask = np.arange(200) % 3 > 0
    U[~mask] = np.nan
    A = fit_projection(X, U, w, mask)
    np.testing.assert_allclose(A, fit_projection(X[mask], U[mask], w[mask]))
    rest = apply_projection(U, X, A, mask)
    assert (rest[~mask] == 0).all()
    assert np.abs((X.T * w) @ rest).max() < 1e-10


def test_rows_without_weight_do_not_count() -> None:
    X, U, w = data()
    w[:50] = 0.0
    np.testing.assert_allclose(
        fit_projection(X, U, w), fit_projection(X[50:], U[50:], w[50:]), rtol=1e-10
    )


def test_dependent_columns_change_nothing_but_the_coefficients() -> None:
    X, U, w = data()
    more = np.column_stack([X, X[:, 1] - 2 * X[:, 2], np.zeros(len(X)), X[:, 0]])
    full = apply_projection(U, X, fit_projection(X, U, w))
    wide = apply_projection(U, more, fit_projection(more, U, w))
    np.testing.assert_allclose(wide, full, atol=1e-10)


def test_units_of_columns_do_not_decide_the_rank() -> None:
    X, U, w = data()
    units = np.array([1.0, 1e-9, 1e9, 1e-4])
    np.testing.assert_allclose(
        apply_projection(U, X * units, fit_projection(X * units, U, w)),
        apply_projection(U, X, fit_projection(X, U, w)),
        atol=1e-8,
    )


def test_a_row_is_the_same_alone_and_in_a_batch() -> None:
    X, U, w = data()
    A = fit_projection(X, U, w)
    together = apply_projection(U, X, A)
    for i in (0, 7, 199):
        alone = apply_projection(U[i : i + 1], X[i : i + 1], A)
        np.testing.assert_allclose(alone[0], together[i], rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize(
    ("n", "p", "q"), [(3, 5, 2), (1, 1, 1), (5, 0, 2), (4, 2, 0), (0, 2, 2)]
)
def test_odd_shapes(n, p, q) -> None:
    rng = np.random.default_rng(1)
    X, U = rng.normal(size=(n, p)), rng.normal(size=(n, q))
    A = fit_projection(X, U)
    assert A.shape == (p, q)
    assert np.abs(X.T @ apply_projection(U, X, A)).max(initial=0.0) < 1e-10


def test_nothing_present_gives_zeros() -> None:
    X, U, _ = data()
    assert (fit_projection(X, U, mask=np.zeros(200, dtype=bool)) == 0).all()
    assert (fit_projection(X, U, np.zeros(200)) == 0).all()


def test_inputs_are_left_as_they_were() -> None:
    X, U, w = data()
    copies = X.copy(), U.copy(), w.copy()
    fit_projection(X, U, w)
    for now, before in zip((X, U, w), copies, strict=True):
        np.testing.assert_array_equal(now, before)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda X, U, w: (X, U[:-1], w), "latent must have the 200 rows"),
        (lambda X, U, w: (X, U, w[:-1]), "weight must have the 200 rows"),
        (lambda X, U, w: (X, U, w - 0.5), "negative"),
        (lambda X, U, w: (X * np.nan, U, w), "X has NaN"),
        (lambda X, U, w: (X, U * np.inf, w), "latent has NaN"),
        (lambda X, U, w: (X, U, w * np.nan), "weight has NaN"),
        (lambda X, U, w: (X[:, 0], U, w), "X must be two-dimensional"),
    ],
)
def test_bad_data_are_named(change, words) -> None:
    with pytest.raises(DataError, match=words):
        fit_projection(*change(*data()))
