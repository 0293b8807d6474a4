"""Smooths against mgcv: bases, scalings, constraints; and their own rules."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.datasets import load_diabetes

from semistruct._core.terms import Smooth
from semistruct.design import StructuredDesign, parse_formula
from semistruct.design._smooth import row_kronecker
from semistruct.exceptions import DataError, ParameterError, UnseenLevelError

REFERENCE = json.loads(Path(__file__).with_name("mgcv_smooths.json").read_text())


def table(name: str) -> pd.DataFrame:
    if name != "diabetes":
        return pd.DataFrame(REFERENCE["data"][name])
    frame = load_diabetes(as_frame=True).frame
    frame["g"] = np.where(frame.age > 0, "a", "b")
    frame["sex_factor"] = frame.sex.astype("category")
    return frame


def fit(reference: dict) -> tuple[StructuredDesign, np.ndarray, np.ndarray]:
    """Penalised least squares with given λ: design, coefficients, edf matrix."""
    frame = table(reference["data"])
    design = StructuredDesign.fit(parse_formula(reference["formula"]), frame)
    x = design.matrix(frame)
    y = frame[reference["response"]].to_numpy(float)
    rows = [x]
    for sp, penalty in zip(reference["sp"], design.penalties, strict=True):
        values, vectors = np.linalg.eigh(penalty.matrix)
        root = np.zeros((len(values), x.shape[1]))
        scaled = np.sqrt(sp * np.maximum(values, 0.0))
        # the null space of the penalty exactly, since λ may be large
        scaled[: len(values) - penalty.rank] = 0.0
        root[:, penalty.start : penalty.stop] = scaled[:, None] * vectors.T
        rows.append(root)
    q, r = np.linalg.qr(np.vstack(rows))
    q = q[: len(x)]
    coef = np.linalg.solve(r, q.T @ y)
    return design, coef, np.linalg.solve(r, q.T @ x)


def near(actual, expected, tolerance: float = 1e-6) -> None:
    expected = np.asarray(expected, dtype=float)
    scale = np.abs(expected).max()
    np.testing.assert_allclose(actual, expected, rtol=0, atol=tolerance * scale)


@pytest.mark.parametrize("reference", REFERENCE["fits"], ids=lambda r: r["call"])
def test_terms_and_edf_are_mgcv_s(reference) -> None:
    design, coef, influence = fit(reference)
    first = design.matrix(table(reference["data"]).iloc[:8])
    near(first @ coef, reference["linear_predictor"])
    blocks = [b for b in design.blocks if b.kind != "intercept"]
    terms = [first[:, b.start : b.stop] @ coef[b.start : b.stop] for b in blocks]
    near(np.column_stack(terms), reference["terms"])
    edf = [
        np.trace(influence[b.start : b.stop, b.start : b.stop])
        for b in blocks
        if b.kind != "parametric"
    ]
    np.testing.assert_allclose(edf, reference["edf"], atol=1e-5)


@pytest.mark.parametrize("reference", REFERENCE["given"], ids=lambda r: r["formula"])
def test_ti_by_and_three_way_te_are_mgcv_s(reference) -> None:
    design, coef, _ = fit(reference)
    first = design.matrix(table(reference["data"]).iloc[:8])
    near(first @ coef, reference["linear_predictor"], 1e-10)


def test_extrapolation_is_mgcv_s() -> None:
    reference = REFERENCE["beyond"]
    design, coef, _ = fit(reference)
    beyond = pd.DataFrame({"times": reference["times"]})
    near(design.matrix(beyond) @ coef, reference["linear_predictor"], 1e-10)


@pytest.fixture
def frame() -> pd.DataFrame:
    rng = np.random.default_rng(3)
    n = 120
    return pd.DataFrame(
        {
            "x": rng.normal(size=n),
            "z": rng.uniform(size=n),
            "one": np.ones(n),
            "flag": rng.uniform(size=n) < 0.5,
            "g": rng.choice(["a", "b", "c"], n),
        }
    )


def block(design: StructuredDesign, label: str):
    return next(b for b in design.blocks if b.label == label)


def test_smooths_sum_to_zero_and_penalties_have_their_rank(frame) -> None:
    terms = parse_formula("s(x, k=7) + te(x, z, k=4) + ti(x, z, k=4) + s(z, by=g)")
    design = StructuredDesign.fit(terms, frame)
    x = design.matrix(frame)
    for b in design.blocks[1:3]:  # ti() sums to zero in each margin instead
        np.testing.assert_allclose(x[:, b.start : b.stop].sum(axis=0), 0, atol=1e-10)
    levels = [b for b in design.blocks if b.label.startswith("s(z):g")]
    assert [b.label for b in levels] == ["s(z):g[a]", "s(z):g[b]", "s(z):g[c]"]
    total = sum(x[:, b.start : b.stop] for b in levels)
    np.testing.assert_allclose(total.sum(axis=0), 0, atol=1e-10)
    for penalty in design.penalties:
        assert penalty.matrix.shape == (penalty.stop - penalty.start,) * 2
        np.testing.assert_array_equal(penalty.matrix, penalty.matrix.T)
        values = np.linalg.eigvalsh(penalty.matrix)
        assert np.sum(values > 1e-8 * values[-1]) == penalty.rank
    labels = [p.label for p in design.penalties]
    assert labels == [
        "s(x)",
        *("te(x, z)[x]", "te(x, z)[z]", "ti(x, z)[x]", "ti(x, z)[z]"),
        *("s(z):g[a]", "s(z):g[b]", "s(z):g[c]"),
    ]
    assert design.names[1] == "s(x).1"
    assert block(design, "s(z):g[b]").names[0] == "s(z):g[b].1"
    assert {b.kind for b in design.blocks} == {"intercept", "smooth", "tensor"}


def test_penalty_scaling_by_the_literal_definition(frame) -> None:
    design = StructuredDesign.fit(parse_formula("s(x, k=6, sp=0.5)"), frame)
    (penalty,) = design.penalties
    d = np.diff(np.eye(6), n=2, axis=0)
    s = d.T @ d
    # rows of a B-spline basis sum to one, so that the row norm of X is one
    scaled = s / np.abs(s).sum(axis=0).max()
    values = np.linalg.eigvalsh(penalty.matrix)
    assert penalty.sp == 0.5
    # Z'SZ interlaces with S
    full = np.linalg.eigvalsh(scaled)
    assert np.all(full[:-1] - 1e-12 <= values)
    assert np.all(values <= full[1:] + 1e-12)


def test_by_a_factor_keeps_every_level_and_rows_of_other_levels_are_zero(frame) -> None:
    design = StructuredDesign.fit(parse_formula("s(x, k=5, by=g)"), frame)
    x = design.matrix(frame)
    for level in "abc":
        b = block(design, f"s(x):g[{level}]")
        part = x[:, b.start : b.stop]
        assert not part[(frame.g != level).to_numpy()].any()
        assert part[(frame.g == level).to_numpy()].any(axis=1).all()
    with pytest.raises(UnseenLevelError, match=r"'g' of s\(x\):g has the level 'd'"):
        design.matrix(frame.assign(g="d"))


@pytest.mark.parametrize(("by", "q"), [("z", 5), ("flag", 5), ("one", 4)])
def test_by_a_number_multiplies_and_is_free_unless_constant(frame, by, q) -> None:
    design = StructuredDesign.fit(parse_formula(f"s(x, k=5, by={by})"), frame)
    plain = StructuredDesign.fit(parse_formula("s(x, k=5, by=one)"), frame)
    x = design.matrix(frame)[:, 1:]
    assert x.shape == (120, q)
    if by == "one":
        centred = StructuredDesign.fit(parse_formula("s(x, k=5)"), frame)
        np.testing.assert_array_equal(x, centred.matrix(frame)[:, 1:])
    else:
        basis = plain._parts[0].bases[0].evaluate(frame.x.to_numpy())
        expected = basis * frame[by].to_numpy(float)[:, None]
        np.testing.assert_allclose(x, expected, rtol=1e-14)


def test_row_kronecker_by_loops() -> None:
    rng = np.random.default_rng(0)
    a, b, c = rng.normal(size=(4, 2)), rng.normal(size=(4, 3)), rng.normal(size=(4, 2))
    expected = [np.kron(np.kron(a[i], b[i]), c[i]) for i in range(4)]
    np.testing.assert_allclose(row_kronecker([a, b, c]), expected)


def test_random_effects(frame) -> None:
    design = StructuredDesign.fit(parse_formula("re(g) + re(g, x, sp=3)"), frame)
    x = design.matrix(frame)
    dummies = (frame.g.to_numpy()[:, None] == np.array(["a", "b", "c"])).astype(float)
    np.testing.assert_array_equal(x[:, 1:4], dummies)
    np.testing.assert_array_equal(x[:, 4:], dummies * frame.x.to_numpy()[:, None])
    assert design.names[1:5] == ("re(g)[a]", "re(g)[b]", "re(g)[c]", "re(g, x)[a]")
    for penalty, sp in zip(design.penalties, (None, 3), strict=True):
        np.testing.assert_array_equal(penalty.matrix, np.eye(3))
        assert (penalty.rank, penalty.sp) == (3, sp)
    new = frame.iloc[:2].assign(g=["b", "never seen"])
    rows = design.matrix(new)
    assert not rows[1, 1:].any()
    assert rows[0, 2] == 1.0
    with pytest.raises(DataError, match=r"'g' of re\(g\) has one level only"):
        StructuredDesign.fit(parse_formula("re(g)"), frame.assign(g="a"))


@pytest.mark.parametrize("formula", ["s(x)", "te(x, z)", "re(g, x)", "s(z, by=x)"])
@pytest.mark.parametrize(
    ("value", "message"),
    [(np.nan, "1 missing value, the first in row 7"), (np.inf, "1 infinite value")],
)
def test_cells_that_are_not_finite(frame, formula, value, message) -> None:
    design = StructuredDesign.fit(parse_formula(formula), frame)
    frame.loc[7, "x"] = value
    for call in (design.matrix, lambda f: design.fit(design.terms, f)):
        with pytest.raises(DataError, match=f"column 'x' of .*{message}"):
            call(frame)


def test_columns_that_cannot_carry_a_smooth(frame) -> None:
    few = frame.assign(x=np.arange(120) % 6)
    with pytest.raises(DataError, match=r"'x' of s\(x\) has 6 distinct.*Write k=6"):
        StructuredDesign.fit(parse_formula("s(x)"), few)
    with pytest.raises(DataError, match=r"'one' of te\(x, one\) has one distinct"):
        StructuredDesign.fit(parse_formula("te(x, one)"), frame)
    same = frame.assign(y=frame.x.iloc[0], x=frame.x.iloc[0])
    with pytest.raises(
        DataError, match=r"columns \('x', 'y'\) of s.* have one distinct"
    ):
        StructuredDesign.fit(parse_formula("s(x, y, bs='tp')"), same)
    for other in (frame.one, 2.0 - 3.0 * frame.x):
        with pytest.raises(DataError, match="do not span a surface"):
            StructuredDesign.fit(
                parse_formula("s(x, y, bs='tp', k=9)"), frame.assign(y=other)
            )
    with pytest.raises(
        DataError, match=r"'g' is of dtype object, for instance '[abc]'"
    ):
        StructuredDesign.fit(parse_formula("s(g)"), frame)


@pytest.mark.parametrize("bs", ["cr", "tp", "cc", "mpi"])
def test_every_basis_takes_by(frame, bs) -> None:
    plain = StructuredDesign.fit(parse_formula(f"s(x, k=6, bs='{bs}')"), frame)
    q = plain.n_coefficients - 1
    design = StructuredDesign.fit(parse_formula(f"s(x, k=6, bs='{bs}', by=g)"), frame)
    x = design.matrix(frame)
    assert x.shape[1] == 1 + 3 * q
    for i, level in enumerate("abc"):
        part = x[:, 1 + i * q : 1 + (i + 1) * q]
        own = (frame.g == level).to_numpy()
        assert not part[~own].any()
        np.testing.assert_allclose(part[own], plain.matrix(frame)[own, 1:], atol=1e-12)
    free = StructuredDesign.fit(parse_formula(f"s(x, k=6, bs='{bs}', by=z)"), frame)
    assert free.n_coefficients == q + 2


def test_surfaces_read_their_columns_by_name(frame) -> None:
    design = StructuredDesign.fit(parse_formula("s(x, z, bs='tp')"), frame)
    assert design.n_coefficients == 30
    assert design.columns == ("x", "z")
    swapped = StructuredDesign.fit(parse_formula("s(z, x, bs='tp')"), frame)
    a, b = design.matrix(frame), swapped.matrix(frame)
    change, *_ = np.linalg.lstsq(a, b, rcond=None)
    np.testing.assert_allclose(a @ change, b, atol=1e-6)  # the same space


def test_constraints_of_monotone_smooths(frame) -> None:
    terms = parse_formula("z + s(x, k=7, bs='mpi') + s(z, k=5, bs='mpd', by=g) + re(g)")
    design = StructuredDesign.fit(terms, frame)
    labels = ["s(x)", "s(z):g[a]", "s(z):g[b]", "s(z):g[c]"]
    assert [c.label for c in design.constraints] == labels
    rng = np.random.default_rng(0)
    grid = pd.DataFrame({"x": np.linspace(-9, 9, 500), "z": np.linspace(-1, 2, 500)})
    for constraint in design.constraints:
        b = block(design, constraint.label)
        assert (constraint.start, constraint.stop) == (b.start, b.stop)
        k = 7 if constraint.label == "s(x)" else 5
        assert constraint.matrix.shape == (k - 1, k - 1)
        steps = rng.exponential(size=k - 1)
        beta = np.linalg.solve(constraint.matrix, steps)  # any steps >= 0 are allowed
        x = design.matrix(grid.assign(g=constraint.label[-2] if k == 5 else "a"))
        f = x[:, b.start : b.stop] @ beta
        assert (np.diff(f) * (1 if k == 7 else -1) > 0).all()
    plain = StructuredDesign.fit(parse_formula("s(x) + re(g) + te(x, z)"), frame)
    assert plain.constraints == ()
    free = StructuredDesign.fit(parse_formula("s(x, by=z, bs='mpi')"), frame)
    (constraint,) = free.constraints
    np.testing.assert_array_equal(constraint.matrix, np.diff(np.eye(10), axis=0))


LINE = {"a": ["b"], "b": ["a", "c"], "c": ["b", "d"], "d": ["c"], "e": [], "f": []}


def field(frame, neighbours=LINE, **options) -> StructuredDesign:
    return StructuredDesign.fit(
        [Smooth("g", bs="mrf", neighbours=neighbours, **options)], frame
    )


def test_markov_fields_by_regions(frame) -> None:
    frame.loc[:9, "g"] = "e"  # isolated, with data; "d" and "f" have none
    design = field(frame)
    assert design.n_coefficients == 5
    x = design.matrix(frame)
    np.testing.assert_allclose(x[:, 1:].sum(axis=0), 0.0, atol=1e-12)
    assert design.penalties[0].rank == 3
    effects = design.matrix(pd.DataFrame({"g": list("abcde")}))[:, 1:]
    # βS_cβ over the scale is the sum over pairs of neighbours
    beta = np.random.default_rng(0).normal(size=4)
    f = effects @ beta
    energy = (f[0] - f[1]) ** 2 + (f[1] - f[2]) ** 2 + (f[2] - f[3]) ** 2
    scale = 1.0 / 4.0  # ‖X‖ is 1; the largest column sum is that of "b" or "c"
    penalty = design.penalties[0].matrix
    np.testing.assert_allclose(beta @ penalty @ beta, scale * energy)
    with pytest.raises(UnseenLevelError, match="'f' in row 0: neither it nor any"):
        design.matrix(pd.DataFrame({"g": ["f"]}))
    with pytest.raises(UnseenLevelError, match=r"'g' of s\(g\) has the level 'h'"):
        design.matrix(pd.DataFrame({"g": ["h"]}))
    again = StructuredDesign.from_state(design.to_state())
    np.testing.assert_array_equal(again.matrix(frame), x)
    by = field(frame.assign(h=np.where(frame.x > 0, "u", "v")), by="h")
    assert by.n_coefficients == 9


def test_markov_fields_that_cannot_be(frame) -> None:
    known = {"a": ["b"], "b": ["a"]}
    with pytest.raises(DataError, match="'c', which is no region of neighbours="):
        field(frame, known)
    with pytest.raises(DataError, match="has one level only"):
        field(frame.assign(g="a"), known)
    for neighbours, message in [
        (None, "in a list of terms"),
        ({"a": []}, "in a list of terms"),
        ([("a", "b")], "in a list of terms"),
        ({"a": ["bb"], "bbb": ["a"]}, "'bb' is no key. Did you mean 'bbb'"),
        ({"a": ["b"], "b": []}, "'a' must be among those of 'b' too"),
        ({"a": ["a"], "b": []}, "'a' neighbours itself"),
    ]:
        with pytest.raises(ParameterError, match=message):
            field(frame, neighbours)
    with pytest.raises(ParameterError, match=r"'k' of s.. must be None"):
        field(frame, k=3)
    with pytest.raises(ParameterError, match=r"'neighbours' of s.. must be None"):
        StructuredDesign.fit([Smooth("x", neighbours=LINE)], frame)
