"""The bases against slow, literal transcriptions of their definitions."""

import itertools
import math

import numpy as np
import pandas as pd
import pytest
from scipy import integrate, linalg
from scipy.interpolate import BSpline
from scipy.interpolate import CubicSpline as SciPyCubic

from semistruct._core.terms import Tensor
from semistruct.design import (
    BASES,
    CubicSpline,
    CyclicSpline,
    MarkovField,
    PSpline,
    ThinPlate,
)
from semistruct.design._smooth import SmoothPart


@pytest.fixture
def x() -> np.ndarray:
    return np.random.default_rng(4).gamma(2.0, size=90)


def bending(splines, knots) -> np.ndarray:
    """∫ f_i'' f_j'' by Simpson's rule, exact for a product of two lines."""
    total = np.zeros((len(splines), len(splines)))
    for left, right in itertools.pairwise(knots):
        points = np.linspace(left, right, 3)
        second = np.array([f(points, 2) for f in splines])
        for i, j in itertools.product(range(len(splines)), repeat=2):
            total[i, j] += integrate.simpson(second[i] * second[j], x=points)
    return total


@pytest.mark.parametrize("k", [3, 4, 9])
def test_cubic_splines_are_scipy_s_natural_ones(x, k) -> None:
    basis = CubicSpline.fit(x, k)
    unique = np.unique(x)
    at = np.arange(k) * (len(unique) - 1) / (k - 1)
    low = np.floor(at).astype(int)
    high = np.minimum(low + 1, len(unique) - 1)
    knots = unique[low] + (at - low) * (unique[high] - unique[low])
    np.testing.assert_allclose(basis.knots, knots, rtol=1e-12)
    splines = [SciPyCubic(knots, e, bc_type="natural") for e in np.eye(k)]
    points = np.concatenate([x, knots, [-3.0, 0.0, 30.0]])
    inside = np.clip(points, knots[0], knots[-1])
    expected = [f(inside) + f(inside, 1) * (points - inside) for f in splines]
    np.testing.assert_allclose(
        basis.evaluate(points), np.transpose(expected), atol=1e-10
    )
    np.testing.assert_allclose(
        basis.penalty,
        bending(splines, knots),
        atol=1e-10 * np.abs(basis.penalty).max(),
    )


@pytest.mark.parametrize("k", [4, 5, 10])
def test_cyclic_splines_are_scipy_s_periodic_ones(x, k) -> None:
    basis = CyclicSpline.fit(x, k)
    knots = basis.knots
    assert (knots[0], knots[-1], basis.k) == (x.min(), x.max(), k - 1)
    ends = np.vstack([np.eye(k - 1), np.eye(k - 1)[:1]])  # the last is the first
    splines = [SciPyCubic(knots, column, bc_type="periodic") for column in ends.T]
    period = knots[-1] - knots[0]
    points = np.concatenate([x, knots, x - period, x + 3 * period])
    wrapped = np.concatenate([x, knots, x, x])
    expected = np.transpose([f(wrapped) for f in splines])
    np.testing.assert_allclose(basis.evaluate(points), expected, atol=1e-9)
    np.testing.assert_allclose(
        basis.penalty,
        bending(splines, knots),
        atol=1e-10 * np.abs(basis.penalty).max(),
    )


@pytest.mark.parametrize("d", [1, 2, 3])
def test_thin_plates_by_loops(d) -> None:
    rng = np.random.default_rng(d)
    x = np.round(rng.normal(size=(60, d)), 1)
    k = 16
    basis = ThinPlate.fit(x if d > 1 else x[:, 0], k)
    m = {1: 2, 2: 2, 3: 3}[d]
    knots = sorted(set(map(tuple, x)))
    mean = x.mean(axis=0)
    np.testing.assert_allclose(basis.knots + mean, knots, atol=1e-12)

    def eta(r: float) -> float:
        if r == 0.0:
            return 0.0
        if d == 2:
            return r**2 * math.log(r) / (8 * math.pi)
        bottom = 2 ** (2 * m) * math.pi ** (d / 2) * math.factorial(m - 1)
        return math.gamma(d / 2 - m) / bottom * r ** (2 * m - d)

    def kernel(rows) -> np.ndarray:
        return np.array([[eta(math.dist(a, b)) for b in knots] for a in rows])

    def polynomials(rows) -> np.ndarray:
        powers = [p for p in itertools.product(range(m), repeat=d) if sum(p) < m]
        shifted = np.asarray(rows) - mean
        return np.array(
            [[np.prod(row ** np.array(p)) for p in powers] for row in shifted]
        )

    # the space: eigenvectors of largest modulus, orthogonal to polynomials
    values, vectors = np.linalg.eigh(kernel(knots))
    largest = np.argsort(-np.abs(values))[:k]
    u, t = vectors[:, largest], polynomials(knots)
    delta = u @ linalg.null_space(t.T @ u)
    new = rng.normal(scale=2.0, size=(40, d))
    for rows in (x, new):
        literal = np.hstack([kernel(rows) @ delta, polynomials(rows)])
        ours = basis.evaluate(rows if d > 1 else rows[:, 0])
        change, *_ = np.linalg.lstsq(
            np.hstack([kernel(x) @ delta, polynomials(x)]),
            basis.evaluate(x if d > 1 else x[:, 0]),
            rcond=None,
        )
        np.testing.assert_allclose(literal @ change, ours, atol=1e-6)
    energy = np.zeros((k, k))
    energy[: delta.shape[1], : delta.shape[1]] = delta.T @ kernel(knots) @ delta
    np.testing.assert_allclose(
        change.T @ energy @ change,
        basis.penalty,
        atol=1e-6 * np.abs(basis.penalty).max(),
    )
    evaluated = basis.evaluate(x if d > 1 else x[:, 0])
    np.testing.assert_allclose(np.square(evaluated).mean(axis=0), 1.0, rtol=1e-10)


def test_thin_plates_of_one_column_bend_as_their_penalty_says(x) -> None:
    basis = ThinPlate.fit(x, 8)
    knots = basis.knots[:, 0] + basis.shift[0]
    # natural cubic splines through their own values at all knots
    values = basis.evaluate(knots)
    splines = [SciPyCubic(knots, column, bc_type="natural") for column in values.T]
    np.testing.assert_allclose(
        basis.evaluate(x), np.transpose([f(x) for f in splines]), atol=1e-8
    )
    np.testing.assert_allclose(
        basis.penalty,
        bending(splines, knots),
        atol=1e-6 * np.abs(basis.penalty).max(),
    )


@pytest.mark.parametrize("d", [1, 2])
def test_thin_plates_of_many_rows_take_a_part_as_knots(d) -> None:
    rng = np.random.default_rng(0)
    x = rng.uniform(size=(3000, d))
    basis = ThinPlate.fit(x, 12)
    assert basis.knots.shape == (2000, d)
    chosen = {tuple(row) for row in np.round(basis.knots + basis.shift, 9)}
    assert chosen <= {tuple(row) for row in np.round(x, 9)}
    y = np.sin(6 * x[:, 0]) * (1 + x[:, -1])
    values = basis.evaluate(x)
    fitted = values @ np.linalg.lstsq(values, y, rcond=None)[0]
    assert np.corrcoef(y, fitted)[0, 1] > 0.99
    same = ThinPlate.fit(x[::-1], 12)
    np.testing.assert_allclose(same.knots, basis.knots, atol=1e-12)


def test_markov_fields_by_pairs() -> None:
    neighbours = {
        "a": ["b", "c"],
        "b": ["a"],
        "c": ["a"],
        "alone": [],
        "far": ["farther"],
        "farther": ["far"],
        "empty": [],
    }
    regions = list(neighbours)
    pairs = tuple((key, tuple(value)) for key, value in neighbours.items())
    codes = np.array([regions.index(v) for v in ("a", "b", "alone", "far", "b")])
    basis = MarkovField.fit(codes, len(regions), neighbours=pairs)
    assert basis.columns.tolist() == [0, 1, 2, 3, 4, 5, -1]  # of "empty" is nothing
    assert (basis.k, basis.rank) == (6, 3)  # three connected parts have data
    beta = np.random.default_rng(0).normal(size=6)
    energy = sum(
        (beta[regions.index(p)] - beta[regions.index(q)]) ** 2
        for p, q in [("a", "b"), ("a", "c"), ("far", "farther")]
    )
    np.testing.assert_allclose(beta @ basis.penalty @ beta, energy)
    expected = np.zeros((7, 6))
    expected[range(6), range(6)] = 1.0
    np.testing.assert_array_equal(basis.evaluate(np.arange(7)), expected)


@pytest.mark.parametrize(("name", "sign"), [("mpi", 1.0), ("mpd", -1.0)])
def test_monotone_splines(x, name, sign) -> None:
    basis = BASES[name].fit(x, 9)
    plain = PSpline.fit(x, 9)
    np.testing.assert_array_equal(basis.evaluate(x), plain.evaluate(x))
    np.testing.assert_array_equal(basis.penalty, plain.penalty)
    rng = np.random.default_rng(0)
    for _ in range(20):
        beta = np.cumsum(rng.exponential(size=9) * (rng.uniform(size=9) < 0.6)) * sign
        beta += rng.normal()
        assert (basis.inequality @ beta >= 0).all()
        points = np.linspace(-5.0, 25.0, 1001)
        assert (sign * np.diff(basis.evaluate(points) @ beta) >= -1e-12).all()
    for j in range(8):  # each row says sign (β_{j+1} - β_j)
        beta = rng.normal(size=9)
        difference = sign * (beta[j + 1] - beta[j])
        assert (basis.inequality @ beta)[j] == pytest.approx(difference)


def tensor_margins(table, term):
    """B-splines and their penalties, literally, with ti()'s constraint."""
    k = term.k
    result = []
    for name in term.names:
        v = table[name].to_numpy()
        span = np.ptp(v)
        low, high = v.min() - 0.001 * span, v.max() + 0.001 * span
        h = (high - low) / (k - 3)
        knots = low + h * np.arange(-3, k + 1)
        b = np.column_stack([BSpline(knots, e, 3)(v) for e in np.eye(k)])
        d = np.diff(np.eye(k), n=2, axis=0)
        z = linalg.null_space(b.sum(axis=0)[None]) if term.interaction else np.eye(k)
        s = z.T @ d.T @ d @ z
        result.append((b @ z, s / np.linalg.eigvalsh(s)[-1]))
    return result


def test_ti_by_loops() -> None:
    rng = np.random.default_rng(5)
    table = pd.DataFrame(rng.uniform(size=(150, 2)), columns=["u", "v"])
    term = Tensor(("u", "v"), k=5, interaction=True)
    part = SmoothPart.fit(term, table)
    ours = np.empty((150, 16))
    part.write(part.read(table), slice(0, 150), ours)
    (b1, s1), (b2, s2) = tensor_margins(table, term)
    literal = np.array(
        [[p * q for p in b1[i] for q in b2[i]] for i in range(len(table))]
    )
    change, *_ = np.linalg.lstsq(literal, ours, rcond=None)
    np.testing.assert_allclose(literal @ change, ours, atol=1e-10)
    for matrix, expected in zip(
        part.matrices, (np.kron(s1, np.eye(4)), np.kron(np.eye(4), s2)), strict=True
    ):
        moved = change.T @ expected @ change
        scale = np.trace(matrix) / np.trace(moved)
        np.testing.assert_allclose(
            matrix, scale * moved, atol=1e-9 * np.abs(matrix).max()
        )
    # main effects are out: over a full grid of the rows each margin sums to zero
    grid = pd.DataFrame({"u": np.repeat(table.u, 150), "v": np.tile(table.v, 150)})
    whole = np.empty((150 * 150, 16))
    part.write(part.read(grid.reset_index(drop=True)), slice(0, 22_500), whole)
    cube = whole.reshape(150, 150, 16)
    np.testing.assert_allclose(cube.sum(axis=0), 0.0, atol=1e-9)
    np.testing.assert_allclose(cube.sum(axis=1), 0.0, atol=1e-9)


@pytest.mark.parametrize("bs", ["ps", "tp", "cr"])
def test_np_makes_coefficients_values_of_the_function(bs) -> None:
    table = pd.DataFrame({"u": np.linspace(0, 1, 61) ** 2, "v": np.linspace(2, 9, 61)})
    part = SmoothPart.fit(Tensor(("u", "v"), k=(5, 4), bs=bs, np=True), table)
    points = [
        basis.knots if bs == "cr" else np.linspace(x.min(), x.max(), k)
        for basis, x, k in zip(part.bases, (table.u, table.v), (5, 4), strict=True)
    ]
    grid = [np.repeat(points[0], 4), np.tile(points[1], 5)]
    values = part.unconstrained(dict(zip("uv", grid, strict=True)), slice(0, 20))
    np.testing.assert_allclose(values, np.eye(20), atol=1e-9)
