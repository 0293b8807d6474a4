from __future__ import annotations

import numpy as np
import pytest
import torch

from semistruct.exceptions import DataError
from semistruct.fusion import apply_projection, fit_projection, project_batch


def batch(n=40, p=4, q=3, seed=0):
    rng = np.random.default_rng(seed)
    X = np.column_stack([np.ones(n), rng.normal(size=(n, p - 1))])
    U = rng.normal(size=(n, q)) + X @ rng.normal(size=(p, q))
    w = rng.random(n)
    w[:5] = 0.0
    return tuple(torch.from_numpy(v) for v in (U, X, w))


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("masked", [False, True])
def test_it_is_the_global_projection_of_the_batch(weighted, masked) -> None:
    U, X, w = batch()
    weight = w if weighted else None
    mask = torch.arange(40) % 3 > 0 if masked else None
    if masked:
        U = U.clone()
        U[~mask] = torch.nan
    arrays = [None if v is None else v.numpy() for v in (X, U, weight, mask)]
    A = fit_projection(*arrays)
    expected = apply_projection(arrays[1], arrays[0], A, arrays[3])
    found = project_batch(U, X, weight, mask)
    np.testing.assert_allclose(found.numpy(), expected, atol=1e-10)


def test_dependent_columns_and_units_change_nothing() -> None:
    U, X, w = batch()
    more = torch.column_stack([X * 1e6, X[:, 1] - X[:, 2], 0 * X[:, 0]])
    np.testing.assert_allclose(
        project_batch(U, more, w), project_batch(U, X, w), atol=1e-8
    )


def test_the_gradient_meets_finite_differences() -> None:
    U, X, w = batch(12, 3, 2)
    U.requires_grad_()
    assert torch.autograd.gradcheck(lambda u: project_batch(u, X, w), (U,))


def test_no_gradient_pulls_along_the_columns() -> None:
    U, X, _ = batch()
    U.requires_grad_()
    project_batch(U, X).square().sum().backward()
    assert (X.T @ U.grad).abs().max() < 1e-10


@pytest.mark.parametrize("n", [1, 3, 4])
def test_fewer_rows_than_columns_leave_nothing(n) -> None:
    U, X, _ = batch(n, 4)
    out = project_batch(U, X)
    assert out.shape == U.shape
    assert (out == 0).all()


def test_no_columns_and_no_present_row() -> None:
    U, X, _ = batch()
    torch.testing.assert_close(project_batch(U, X[:, :0]), U)
    assert (project_batch(U, X, mask=torch.zeros(40, dtype=torch.bool)) == 0).all()


def test_the_type_stays() -> None:
    U, X, _ = batch()
    assert project_batch(U.float(), X.float()).dtype == torch.float32


def test_bad_lengths_are_named() -> None:
    U, X, w = batch()
    with pytest.raises(DataError, match="X has 39 rows, the latents have 40"):
        project_batch(U, X[:-1])
    with pytest.raises(DataError, match="weight has 39 rows"):
        project_batch(U, X, w[:-1])
