"""Dense designs and what every design gets from its rows: against plain NumPy."""

import tracemalloc

import numpy as np
import pytest

from semistruct.design import DenseDesign, DesignOperator
from semistruct.design._operator import row_chunks
from semistruct.exceptions import DataError


class ByRows(DesignOperator):
    """States its rows only."""

    def __init__(self, matrix):
        self.matrix = matrix

    @property
    def shape(self):
        return self.matrix.shape

    def rows(self, which):
        return self.matrix[which]


def near(actual, expected) -> None:
    scale = max(np.abs(expected).max(initial=0.0), 1e-300)
    np.testing.assert_allclose(actual, expected, rtol=0, atol=1e-12 * scale)


@pytest.fixture
def rng():
    return np.random.default_rng(4)


@pytest.fixture(params=[DenseDesign, ByRows])
def design(request, rng):
    return request.param(rng.normal(size=(5000, 60)) * 10.0 ** rng.integers(-2, 2, 60))


@pytest.mark.parametrize("kind", ["none", "positive", "signed", "zero"])
def test_gram_and_cross(design, rng, kind) -> None:
    n, x = design.shape[0], design.matrix
    weight = {
        "none": None,
        "positive": rng.uniform(size=n),
        "signed": rng.normal(size=n),
        "zero": np.zeros(n),
    }[kind]
    w = np.ones(n) if weight is None else weight
    gram = design.gram(weight)
    near(gram, x.T @ (x * w[:, None]))
    np.testing.assert_array_equal(gram, gram.T)
    z = rng.normal(size=(n, 7))
    for other in (DenseDesign(z), ByRows(z)):
        near(design.cross(weight, other), x.T @ (z * w[:, None]))


def test_products(design, rng) -> None:
    (n, p), x = design.shape, design.matrix
    for shape in ((), (1,), (3,)):
        beta, v = rng.normal(size=(p, *shape)), rng.normal(size=(n, *shape))
        near(design.dot(beta), x @ beta)
        near(design.transpose_dot(v), x.T @ v)
    middle = rng.normal(size=(p, p))
    near(design.row_quadratic(middle), ((x @ middle) * x).sum(axis=1))
    z = rng.normal(size=(n, 4))
    form = rng.normal(size=(p, 4))
    for other in (DenseDesign(z), ByRows(z)):
        near(design.row_bilinear(form, other), ((x @ form) * z).sum(axis=1))
    near(design.max_abs(), np.abs(x).max(axis=0))
    np.testing.assert_array_equal(design.columns(slice(2, 9)), x[:, 2:9])
    np.testing.assert_array_equal(design.rows(slice(3, 8)), x[3:8])


def test_triangle(design, rng) -> None:
    (n, p), x = design.shape, design.matrix
    w, y = rng.uniform(size=n), rng.normal(size=n)
    w[:100] = 0.0
    upper = design.triangle(w, y)
    assert upper.shape == (p + 1, p + 1)
    np.testing.assert_array_equal(upper, np.triu(upper))
    both = np.column_stack([x, y]) * np.sqrt(w)[:, None]
    near(upper.T @ upper, both.T @ both)
    beta = np.linalg.solve(upper[:p, :p], upper[:p, p])
    expected = np.linalg.lstsq(both[:, :p], both[:, p], rcond=None)[0]
    np.testing.assert_allclose(beta, expected, rtol=1e-9)
    near(np.abs(np.diag(design.triangle())), np.abs(np.diag(np.linalg.qr(x)[1])))


def test_triangle_sees_what_a_gram_matrix_does_not(rng) -> None:
    x = np.column_stack([np.ones(4000), 1.0 + 1e-9 * rng.normal(size=4000)])
    values = np.linalg.svd(DenseDesign(x).triangle(), compute_uv=False)
    np.testing.assert_allclose(values, np.linalg.svd(x, compute_uv=False), rtol=1e-6)


@pytest.mark.parametrize("shape", [(0, 3), (2, 5), (3, 0), (1, 1)])
def test_small_shapes(shape, rng) -> None:
    x = rng.normal(size=shape)
    for design in (DenseDesign(x), ByRows(x)):
        near(design.gram(np.ones(shape[0])), x.T @ x)
        near(design.dot(np.ones(shape[1])), x @ np.ones(shape[1]))
        assert design.row_quadratic(np.eye(shape[1])).shape == shape[:1]
        np.testing.assert_array_equal(design.columns(slice(None)), x)
        upper = design.triangle()
        near(upper.T @ upper, x.T @ x)


def test_a_matrix_is_not_copied_nor_changed(rng) -> None:
    x = rng.normal(size=(200_000, 20))  # 32 MB
    design = DenseDesign(x)
    assert design.matrix is x
    before, weight, middle = x.copy(), rng.uniform(size=len(x)), np.eye(20)
    tracemalloc.start()
    design.gram(weight)
    design.gram(-weight)
    design.cross(weight, design)
    design.row_quadratic(middle)
    design.max_abs()
    design.triangle(weight)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 16e6  # half of the matrix
    np.testing.assert_array_equal(x, before)


def test_chunks_cover_all_rows() -> None:
    for n, width, least in ((0, 3, 0), (1, 0, 0), (10_000, 3000, 0), (5000, 1, 999)):
        parts = list(row_chunks(n, width, least))
        assert np.array_equal(
            np.concatenate([np.arange(n)[part] for part in parts] or [[]]),
            np.arange(n),
        )


def test_what_does_not_fit_is_named(rng) -> None:
    with pytest.raises(DataError, match="two dimensions, got 1"):
        DenseDesign(np.ones(3))
    design = DenseDesign(rng.normal(size=(10, 2)))
    with pytest.raises(DataError, match=r"\(10,\), not \(9,\)"):
        design.gram(np.ones(9))
    with pytest.raises(DataError, match="10 rows and the vector has 9"):
        design.transpose_dot(np.ones(9))
    with pytest.raises(DataError, match="the other design has 9"):
        design.cross(None, DenseDesign(np.ones((9, 1))))
    assert repr(design) == "DenseDesign(10 rows, 2 columns)"
