"""Discrete designs against the dense matrix of the same design."""

import tracemalloc

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from semistruct._core.terms import Smooth
from semistruct.design import (
    DenseDesign,
    DiscreteDesign,
    StructuredDesign,
    parse_formula,
)
from semistruct.design import _indexed as indexed
from semistruct.design._binning import distinct, find_cells, find_joint, find_margin
from semistruct.design._indexed import NumericColumns
from semistruct.exceptions import DataError, ParameterError

FORMULAS = {
    "intercept": "1",
    "numeric": "x + np.log(z) + many",
    "few values": "month + flag + poly(month, 2)",
    "categorical": "g + C(month)",
    "interaction": "g:h + g*C(month)",
    "number by factor": "many*g + x:z:h + x:g:h",
    "function by factor": "np.log(z):g + poly(many, 2):g",
    "no intercept": "0 + g + many",
    "ps": "s(x) + s(z, k=6)",
    "other bases": (
        "s(x, bs='cr') + s(z, bs='tp', k=6) + s(month, bs='cc', k=6) + "
        "s(x, z, bs='tp', k=8, by=g) + s(x, bs='mpi', k=6, by=many)"
    ),
    "by a factor": "s(x, by=g, k=6) + s(z, by=g) + s(x, by=h, k=5)",
    "by a number": "s(x, by=many) + s(z, by=many) + s(x, by=flag)",
    "te": "te(x, z, k=4) + s(x)",
    "te by": "te(x, z, by=g, k=4) + te(x, z, by=many, k=4)",
    "ti": "s(x) + s(z) + ti(x, z, k=4)",
    "te of other bases": "te(x, z, bs='cr', k=(4, 5), np=True)",
    "three ways": "te(x, z, month, k=4)",
    "re": "re(g) + re(ward)",
    "re slope": "many + re(ward) + re(ward, many) + re(g, x)",
    "all": (
        "many*g + month + s(x, k=6) + s(z, by=h, k=5) + s(x, by=g, k=5) + "
        "s(month, by=many, k=5) + te(x, z, k=4) + re(ward) + re(ward, x) + offset(x)"
    ),
}


def make_table(n: int, seed: int = 0) -> pd.DataFrame:
    """x and z with few values, ``many`` with n of them."""
    rng = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            "x": rng.integers(0, 40, n) / 7.0 - 1.0,
            "z": rng.integers(1, 30, n) ** 1.5,
            "many": rng.normal(size=n),
            "month": rng.integers(1, 13, n),
            "flag": rng.uniform(size=n) < 0.3,
            "g": rng.choice(["a", "b", "c"], n),
            "h": pd.Categorical(rng.choice(["u", "v"], n), categories=["v", "u", "w"]),
            "ward": rng.integers(0, 60, n),
        }
    )


def near(actual, expected, tolerance: float = 1e-10) -> None:
    scale = np.abs(expected).max(initial=1e-300)
    np.testing.assert_allclose(actual, expected, rtol=0, atol=tolerance * scale)


def agree(fast, x, rng, tolerance: float = 1e-10) -> None:
    """Every product is that of the matrix."""
    n, p = x.shape
    assert fast.shape == (n, p)
    w, v = rng.normal(size=n), rng.normal(size=(n, 2))
    near(fast.gram(), x.T @ x, tolerance)
    gram = fast.gram(w)
    near(gram, x.T @ (x * w[:, None]), tolerance)
    np.testing.assert_array_equal(gram, gram.T)
    beta = rng.normal(size=(p, 2))
    for right in (beta, beta[:, 0]):
        near(fast.dot(right), x @ right, tolerance)
    for right in (v, v[:, 0]):
        near(fast.transpose_dot(right), x.T @ right, tolerance)
    middle = rng.normal(size=(p, p))
    near(fast.row_quadratic(middle), ((x @ middle) * x).sum(axis=1), tolerance)
    near(fast.max_abs(), np.abs(x).max(axis=0), tolerance)
    part = slice(n // 3, n // 2)
    near(fast.rows(part), x[part], tolerance)
    near(fast.columns(slice(None)), x, tolerance)


@pytest.mark.parametrize("name", FORMULAS)
@pytest.mark.parametrize("n", [300, 6000])
def test_exact_where_nothing_is_binned(name, n) -> None:
    frame = make_table(n)
    design = StructuredDesign.fit(parse_formula(FORMULAS[name]), frame)
    fast = DiscreteDesign.from_design(design, frame)
    assert fast.largest_rounding == 0.0
    agree(fast, design.matrix(frame), np.random.default_rng(1))


def test_exact_for_a_random_field() -> None:
    frame = make_table(500)
    frame["region"] = np.where(frame.g == "a", "south", "north")
    line = {"south": ["middle"], "middle": ["south", "north"], "north": ["middle"]}
    terms = [Smooth("region", bs="mrf", neighbours=line), Smooth("x", by="g")]
    design = StructuredDesign.fit(terms, frame)
    fast = DiscreteDesign.from_design(design, frame)
    agree(fast, design.matrix(frame), np.random.default_rng(1))


@pytest.mark.parametrize("way", ["histogram", "left", "right"])
@pytest.mark.parametrize("name", ["all", "by a factor", "te"])
def test_every_way_gives_the_same(monkeypatch, way, name) -> None:
    """Whichever way is cheaper: none depends on the other's being there."""
    original = indexed._way
    taken = set()

    def forced(left, right, count):
        target, other = (right, left) if way == "right" else (left, right)
        free = other.table is not None or way == "histogram"
        cells = min(target.n_cells, other.n_cells) > 1
        chosen = way if free and cells else original(left, right, count)
        taken.add(chosen)
        return chosen

    monkeypatch.setattr(indexed, "_way", forced)
    frame = make_table(2000)
    design = StructuredDesign.fit(parse_formula(FORMULAS[name]), frame)
    fast = DiscreteDesign.from_design(design, frame)
    agree(fast, design.matrix(frame), np.random.default_rng(1))
    assert way in taken


def test_intercept_free_coding_of_a_cox_model() -> None:
    frame = make_table(500)
    design = StructuredDesign.fit(
        parse_formula("g + many + s(x)"), frame, intercept=False
    )
    fast = DiscreteDesign.from_design(design, frame)
    agree(fast, design.matrix(frame), np.random.default_rng(1))


def test_cross_products_of_two_designs() -> None:
    frame, rng = make_table(3000), np.random.default_rng(2)
    one, two = (
        StructuredDesign.fit(parse_formula(formula), frame)
        for formula in ("g + s(x) + s(z, by=h) + re(ward)", "many*h + s(x, k=6)")
    )
    fast = DiscreteDesign.from_designs([one, two], frame)
    x, z = one.matrix(frame), two.matrix(frame)
    w = rng.normal(size=len(frame))
    middle = rng.normal(size=(x.shape[1], z.shape[1]))
    left, right = fast
    for a, b in ((left, right), (left, DenseDesign(z)), (DenseDesign(x), right)):
        near(a.cross(w, b), x.T @ (z * w[:, None]))
        near(a.cross(None, b), x.T @ z)
        near(a.row_bilinear(middle, b), ((x @ middle) * z).sum(axis=1))
    shared = {id(block.index) for block in left.blocks if hasattr(block, "index")}
    smooth = [block for block in right.blocks if hasattr(block, "index")][-1]
    assert id(smooth.index) in shared
    own = DiscreteDesign.from_design(two, frame)
    near(left.cross(w, own), x.T @ (z * w[:, None]))


def test_triangle_gives_rank_and_exact_inverse() -> None:
    frame = make_table(4000)
    design = StructuredDesign.fit(parse_formula("many*g + s(x)"), frame)
    x = design.matrix(frame)
    w = np.random.default_rng(0).uniform(size=len(x))
    upper = DiscreteDesign.from_design(design, frame).triangle(w)
    near(upper.T @ upper, x.T @ (x * w[:, None]))


def test_other_rows_and_unseen_levels() -> None:
    frame = make_table(2000)
    design = StructuredDesign.fit(parse_formula(FORMULAS["all"]), frame)
    new = make_table(700, seed=5).iloc[::-1]
    new["ward"] = new["ward"] + 40  # some of them are new
    new = new[new.g != "b"]
    new["x"] = new["x"] * 1.3 - 1.0  # beyond the range
    fast = DiscreteDesign.from_design(design, new)
    agree(fast, design.matrix(new), np.random.default_rng(1))
    one = new.iloc[:1]
    fast = DiscreteDesign.from_design(design, one)
    agree(fast, design.matrix(one), np.random.default_rng(1))


def test_bins_are_close_to_the_covariate() -> None:
    rng = np.random.default_rng(3)
    n = 20_000
    frame = pd.DataFrame(
        {
            "x": rng.uniform(size=n),
            "z": rng.lognormal(sigma=1.5, size=n),
            "g": rng.choice(["a", "b"], n),
        }
    )
    terms = parse_formula("s(x, k=15) + s(z, k=15) + s(x, by=g, k=8) + te(x, z, k=4)")
    design = StructuredDesign.fit(terms, frame)
    x = design.matrix(frame)
    errors = {}
    for max_bins in (100, 1000):
        fast = DiscreteDesign.from_design(design, frame, max_bins)
        by_label = {}
        for each in fast.roundings:
            assert each.largest > 0.0
            by_label.setdefault(each.label, each)
        assert fast.n_bins["s(x)"] <= max_bins
        assert by_label["s(x)"].largest <= 2.0 / max_bins * 1.1
        # one step of the grid changes a cubic B-spline by its slope, at most 1 / h
        step = by_label["s(x)"].largest * 12
        block = next(b for b in design.blocks if b.label == "s(x)")
        gap = np.abs(fast.columns(slice(block.start, block.stop)) - x[:, 1:15])
        assert gap.max() <= step
        w = rng.uniform(size=n)
        exact = x.T @ (x * w[:, None])
        errors[max_bins] = np.abs(fast.gram(w) - exact).max() / np.abs(exact).max()
        # the products are those of the rows that the design says it has
        agree(fast, fast.columns(slice(None)), rng)
    assert errors[1000] < 3e-4
    assert errors[1000] < errors[100] < 1e-2


def test_fitted_values_of_bins() -> None:
    rng = np.random.default_rng(5)
    n = 30_000
    frame = pd.DataFrame({"x": rng.uniform(size=n), "z": rng.normal(size=n)})
    y = np.sin(6 * frame.x) + frame.z**2 / 4 + 0.3 * rng.normal(size=n)
    design = StructuredDesign.fit(parse_formula("s(x, k=20) + s(z, k=20)"), frame)
    x = design.matrix(frame)
    fast = DiscreteDesign.from_design(design, frame)
    ridge = np.eye(x.shape[1]) * 1e-3
    exact = np.linalg.solve(x.T @ x + ridge, x.T @ y)
    rounded = np.linalg.solve(fast.gram() + ridge, fast.transpose_dot(y))
    deviation = np.std(x @ (rounded - exact))
    assert deviation < 0.02 * 0.3 * np.sqrt(x.shape[1] / n)  # of its standard error


def test_margins() -> None:
    rng = np.random.default_rng(0)
    index, levels, largest = find_margin(np.array([3.0, 1.0, 3.0, 2.0]), 3)
    assert (index.dtype, index.tolist(), largest) == (np.int32, [2, 0, 2, 1], 0.0)
    np.testing.assert_array_equal(levels, [1.0, 2.0, 3.0])
    for values in (
        rng.uniform(size=30_000),
        rng.standard_cauchy(size=30_000),
        np.concatenate([np.zeros(20_000), rng.uniform(size=10_000)]),
        np.sort(rng.lognormal(sigma=3.0, size=30_000)),
        1e12 + rng.uniform(size=30_000),
        np.append(rng.uniform(size=30_000), 1e9),
    ):
        index, levels, largest = find_margin(values, 200)
        assert len(levels) <= 200
        assert np.all(np.diff(levels) > 0)
        changes = np.abs(levels[index] - values)
        reach = np.ptp(values)
        assert changes.max() == pytest.approx(largest * reach, rel=1e-9)
        assert largest <= 2.0 / 200 * 1.05
        order = np.argsort(values)
        assert np.all(np.diff(index[order]) >= 0)
        # neither are the bins crowded
        spike = np.unique(values, return_counts=True)[1].max()
        assert np.bincount(index).max() <= max(0.05 * len(values), spike * 1.2)
    codes = rng.integers(0, 5000, 20_000)
    index, levels, largest = find_margin(codes, 100)
    assert largest == 0.0
    np.testing.assert_array_equal(levels[index], codes)


def test_distinct_looks_at_a_sample_first_and_is_right_all_the_same() -> None:
    values = np.zeros(50_000)
    values[1::5] = np.arange(10_000)  # between the rows of the sample
    assert distinct(values, 500) is None
    assert distinct(np.arange(50_000.0), 500) is None
    index, levels = distinct(values, 10_000)
    np.testing.assert_array_equal(levels[index], values)


def test_combinations_of_margins() -> None:
    rng = np.random.default_rng(0)
    margins = [rng.integers(0, k, 1000).astype(np.int32) for k in (5, 7, 3)]
    distinct_rows = len(set(zip(*margins, strict=True)))
    for sizes in ((5, 7, 3), (10**6, 10**6, 10**6), (2**31 - 1,) * 3):
        index, cells = find_joint(margins, sizes)
        assert len(cells[0]) == index.max() + 1 == distinct_rows
        for cell, margin in zip(cells, margins, strict=True):
            np.testing.assert_array_equal(cell[index], margin)
    few = rng.integers(0, 4, 20_000).astype(float)
    cells = find_cells({"few": few, "x": rng.uniform(size=20_000)}, 100)
    assert cells.rounding["few"] == (4, 0.0)
    assert cells.rounding["x"][0] <= 100
    assert cells.n_cells <= 400
    three = find_cells({c: rng.uniform(size=20_000) for c in "abc"}, 100)
    assert three.n_cells <= 1000


@settings(max_examples=30, deadline=None)
@given(
    seed=st.integers(0, 2**31),
    n=st.integers(30, 400),
    parts=st.lists(
        st.sampled_from(
            [
                *("many", "g", "many:g", "C(month)", "x:h", "np.exp(x)"),
                *("s(x, k=5)", "s(month, k=5, by=g)", "s(x, k=4, by=many)"),
                *("te(x, month, k=4)", "re(ward)", "re(ward, x)", "s(many, k=5)"),
            ]
        ),
        min_size=1,
        max_size=5,
        unique=True,
    ),
)
def test_random_tables(seed, n, parts) -> None:
    frame = make_table(n, seed)
    frame.loc[:19, "x"] = np.arange(20) / 7.0
    frame.loc[:11, "month"] = np.arange(1, 13)
    frame.loc[:2, "g"] = ["a", "b", "c"]
    frame["h"] = np.where(np.arange(n) % 2, "u", "v")
    design = StructuredDesign.fit(parse_formula(" + ".join(parts)), frame)
    fast = DiscreteDesign.from_design(design, frame)
    agree(fast, design.matrix(frame), np.random.default_rng(seed))


def test_no_matrix_of_all_rows_is_made() -> None:
    n = 200_000
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(rng.uniform(size=(n, 4)), columns=list("abcd"))
    frame["g"] = rng.choice(list("uvwxyz"), n)
    terms = "g*a + s(a, k=20) + s(b, k=20) + s(c, k=20) + s(d, by=g, k=20) + re(g, b)"
    design = StructuredDesign.fit(parse_formula(terms), frame)
    w, middle = rng.uniform(size=n), np.eye(design.n_coefficients)
    matrix = 8 * n * design.n_coefficients
    assert matrix > 300e6
    tracemalloc.start()
    fast = DiscreteDesign.from_design(design, frame)
    built = tracemalloc.get_traced_memory()[1]
    tracemalloc.reset_peak()
    fast.gram(w)
    fast.dot(middle[0])
    fast.transpose_dot(w)
    fast.row_quadratic(middle)
    fast.max_abs()
    used = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert built < 80e6
    assert used < 80e6
    assert fast.n_bytes < 20e6
    assert not any(isinstance(block, NumericColumns) for block in fast.blocks[3:])


def test_many_levels_need_no_table_of_them() -> None:
    rng = np.random.default_rng(0)
    n, levels = 20_000, 1500
    frame = pd.DataFrame({"id": rng.integers(0, levels, n), "x": rng.uniform(size=n)})
    design = StructuredDesign.fit(parse_formula("s(x) + re(id) + re(id, x)"), frame)
    fast = DiscreteDesign.from_design(design, frame)
    assert fast.n_bytes < 1e6
    w = rng.uniform(size=n)
    gram = fast.gram(w)
    effects = gram[10 : 10 + levels, 10 : 10 + levels]
    near(effects, np.diag(np.bincount(frame.id, w, levels)))
    slopes = gram[10 : 10 + levels, 10 + levels :]
    near(slopes, np.diag(np.bincount(frame.id, w * frame.x, levels)))


def test_what_does_not_fit_is_named() -> None:
    frame = make_table(100)
    design = StructuredDesign.fit(parse_formula("s(x)"), frame)
    with pytest.raises(ParameterError, match="'max_bins' of DiscreteDesign"):
        DiscreteDesign.from_design(design, frame, max_bins=3)
    with pytest.raises(DataError, match="no rows"):
        DiscreteDesign.from_design(design, frame.iloc[:0])
    bad = frame.copy()
    bad.loc[4, "x"] = np.nan
    with pytest.raises(DataError, match=r"'x' of s\(x\).*row 4"):
        DiscreteDesign.from_design(design, bad)
    fast = DiscreteDesign.from_design(design, frame)
    with pytest.raises(DataError, match=r"\(100,\), not \(3,\)"):
        fast.gram(np.ones(3))
    with pytest.raises(DataError, match="the other design has 3"):
        fast.cross(None, DenseDesign(np.ones((3, 1))))
    assert repr(fast) == "DiscreteDesign(100 rows, 10 columns)"
