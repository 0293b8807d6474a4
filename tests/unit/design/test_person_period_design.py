"""Designs of long rows against the dense matrix of a table of long rows."""

import json
import tracemalloc

import numpy as np
import pandas as pd
import pytest

from semistruct._core.terms import Cumulative, Smooth
from semistruct.data import TensorArray
from semistruct.design import (
    DenseDesign,
    PersonPeriod,
    PersonPeriodDesign,
    StructuredDesign,
    fit_person_period,
    parse_formula,
    person_period_offset,
)
from semistruct.design import _person_period_pairs as pairs
from semistruct.exceptions import (
    ColumnError,
    DataError,
    FormulaError,
    ParameterError,
    UnseenLevelError,
)

FORMULAS = {
    "intercept": "1",
    "rows only": "x*g + s(h, k=6) + s(x, by=g, k=5) + te(x, z, k=4)",
    "time only": "s(time, k=6)",
    "numbers and time": "time*x + np.log(time) + time:g + np.sqrt(time):x:g",
    "levels of time": "C(time) + C(time):x",
    "no intercept": "0 + g + time:g",
    "time-varying": "s(time, k=6) + x + s(time, by=x, k=5) + s(z, k=5)",
    "by a factor": "g + s(time, by=g, k=5) + s(z, by=g, k=5)",
    "by time": "s(h, by=time, k=5) + s(time, by=time, k=5) + te(x, z, by=time, k=4)",
    "other bases": (
        "s(time, bs='cr', k=5) + s(x, bs='tp', k=5) + s(z, bs='cr', k=5)"
        " + s(time, by=x, bs='tp', k=5) + s(x, z, bs='tp', k=8)"
    ),
    "tensor": "te(time, x, k=(4, 5))",
    "tensor, time last": "te(x, time, k=(4, 5), np=True)",
    "tensor of three": "te(x, time, z, k=4)",
    "tensor by": "te(time, x, by=z, k=4) + te(time, z, by=g, k=4)",
    "interaction": "s(time, k=5) + s(x, k=5) + ti(time, x, k=4) + ti(x, time, z, k=4)",
    "random": "s(time, k=5) + re(h) + re(h, x) + re(h, time) + re(g, z)",
    "random only": "0 + re(h)",
    "random times": "x + re(time) + re(time, x)",
    "exposures": "s(h, k=5) + x + cumulative(dose, k=5) + te(time, x, k=4)",
    "lags": "cumulative(dose, k=4, lag=3, lead=0.5, times=(0, 1, 1.5, 4)) + re(h)",
}


def make_table(n=60, seed=0):
    """A table, its follow-up, and the long rows with tied times and late entry."""
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame(
        {
            "x": rng.normal(size=n).round(1),
            "z": rng.uniform(size=n),
            "g": rng.choice(["a", "b", "c"], n),
            "h": rng.integers(0, 7, n),
            "dose": TensorArray(rng.uniform(size=(n, 4))),
        },
        index=[f"row {i}" for i in range(n)],
    )
    entry = rng.choice([0.0, 0.0, 1.0, 1.5], n)
    time = entry + rng.integers(1, 9, n) / 2.0
    time[0], entry[0] = 5.0, 4.5  # after the last cut
    cuts = [0.5, 1.0, 1.75, 2.0, 2.5, 3.0, 3.5, 4.0]
    return frame, (time, rng.uniform(size=n) < 0.6, entry, cuts)


def explode(frame, long, time="time"):
    table = frame.iloc[long.row].reset_index(drop=True)
    return table.assign(**{time: long.cuts[long.interval]})


def near(actual, expected, tolerance=1e-10):
    scale = np.abs(expected).max(initial=1e-300)
    np.testing.assert_allclose(actual, expected, rtol=0, atol=tolerance * scale)


def agree(fast, x, rng):
    """Every product is that of the matrix."""
    n, p = x.shape
    assert fast.shape == (n, p)
    near(fast.rows(slice(None)), x)
    part = slice(n // 3, n // 2)
    near(fast.rows(part), x[part])
    w, v = rng.normal(size=n), rng.normal(size=(n, 2))
    near(fast.gram(), x.T @ x)
    gram = fast.gram(w)
    near(gram, x.T @ (x * w[:, None]))
    np.testing.assert_array_equal(gram, gram.T)
    beta = rng.normal(size=(p, 2))
    for right in (beta, beta[:, 0]):
        near(fast.dot(right), x @ right)
    for right in (v, v[:, 0]):
        near(fast.transpose_dot(right), x.T @ right)
    middle = rng.normal(size=(p, p))
    near(fast.row_quadratic(middle), ((x @ middle) * x).sum(axis=1))
    near(fast.max_abs(), np.abs(x).max(axis=0))
    near(fast.cross(w, DenseDesign(v)), x.T @ (v * w[:, None]))
    for weight in (None, w**2):
        upper = fast.triangle(weight)
        scaled = x if weight is None else x * weight[:, None]
        near(upper.T @ upper, x.T @ scaled)
        np.testing.assert_array_equal(upper, np.triu(upper))
    upper = fast.triangle(w**2, v[:, 0])
    both = np.column_stack([x, v[:, 0]])
    near(upper.T @ upper, both.T @ (both * w[:, None] ** 2))


@pytest.mark.parametrize("filled", [0.0, 2.0], ids=["dense pairs", "sparse pairs"])
@pytest.mark.parametrize("name", FORMULAS)
def test_the_design_is_that_of_the_long_table(monkeypatch, name, filled):
    """Fitted without the long table, and equal to what is fitted to it."""
    monkeypatch.setattr(pairs, "FILLED", filled)
    frame, follow_up = make_table()
    long = PersonPeriod.build(*follow_up)
    assert (long.count == 0).any()
    terms = parse_formula(FORMULAS[name])
    design = fit_person_period(terms, frame, long)
    table = explode(frame, long)
    whole = StructuredDesign.fit(terms, table)
    assert design.names == whole.names
    assert [b.label for b in design.blocks] == [b.label for b in whole.blocks]
    for own, other in zip(design.penalties, whole.penalties, strict=True):
        assert (own.label, own.rank) == (other.label, other.rank)
        near(own.matrix, other.matrix)
    x = whole.matrix(table)
    near(design.matrix(table), x)
    fast = PersonPeriodDesign.from_design(design, frame, long)
    agree(fast, x, np.random.default_rng(1))
    again = StructuredDesign.from_state(design.to_state())
    same = PersonPeriodDesign.from_design(again, frame, long)
    np.testing.assert_array_equal(same.rows(slice(None)), fast.rows(slice(None)))


def test_nested_tensor_products_lose_what_smooths_can_write():
    """As in the long table; which of several equal columns go is left to rounding."""
    frame, follow_up = make_table()
    long = PersonPeriod.build(*follow_up)
    terms = parse_formula(
        "s(time, k=5) + s(x, k=5) + te(time, x, k=4)"
        " + s(time, by=g, k=4) + s(x, by=g, k=4) + te(x, time, by=g, k=4)"
    )
    design = fit_person_period(terms, frame, long)
    table = explode(frame, long)
    whole = StructuredDesign.fit(terms, table)
    sizes = [[b.stop - b.start for b in d.blocks] for d in (design, whole)]
    assert sizes[0] == sizes[1]
    assert min(sizes[0][1:]) < 15
    fast = PersonPeriodDesign.from_design(design, frame, long)
    x = design.matrix(table)
    agree(fast, x, np.random.default_rng(0))
    basis, upper = np.linalg.svd(whole.matrix(table), full_matrices=False)[:2]
    basis = basis[:, upper > 1e-10 * upper[0]]
    near(basis @ (basis.T @ x), x)


def test_a_weight_is_a_repetition():
    frame, (time, event, entry, cuts) = make_table()
    weight = np.random.default_rng(0).integers(1, 4, len(frame))
    again = np.repeat(np.arange(len(frame)), weight)
    long = PersonPeriod.build(time, event, entry, cuts)
    more = PersonPeriod.build(time[again], event[again], entry[again], cuts)
    terms = parse_formula("s(time, k=5) + s(x, k=5) + te(z, h, k=4) + ti(time, x, k=4)")
    design = fit_person_period(terms, frame, long, weight=weight)
    longer = fit_person_period(terms, frame.iloc[again], more)
    fast = PersonPeriodDesign.from_design(design, frame.iloc[again], more)
    expected = PersonPeriodDesign.from_design(longer, frame.iloc[again], more)
    near(fast.rows(slice(None)), expected.rows(slice(None)))
    with pytest.raises(DataError, match=r"weights have shape \(2,\), need \(60,\)"):
        fit_person_period(terms, frame, long, weight=np.ones(2))


@pytest.mark.parametrize("name", ["rows only", "time-varying", "tensor", "random"])
def test_chunks_and_both_ways_give_the_same(monkeypatch, name):
    frame, follow_up = make_table(200, seed=3)
    long = PersonPeriod.build(*follow_up)
    design = fit_person_period(parse_formula(FORMULAS[name]), frame, long)
    x = design.matrix(explode(frame, long))
    monkeypatch.setattr(pairs, "CELLS", 64)
    ways = set()
    for forced in (True, False):
        fast = PersonPeriodDesign.from_design(design, frame, long)
        for pair in fast._plan:
            pair.time_first = forced or pair.sparse
            ways.add(pair.time_first)
        agree(fast, x, np.random.default_rng(1))
    assert ways == {True, False}


def test_a_random_field_and_times_by_another_name():
    frame, follow_up = make_table()
    long = PersonPeriod.build(*follow_up)
    line = {"a": ["b"], "b": ["a", "c"], "c": ["b"]}
    terms = [
        Smooth("g", bs="mrf", neighbours=line),
        Smooth("months", k=5),
        Cumulative("dose", k=4, time="months"),
    ]
    design = fit_person_period(terms, frame, long, time="months")
    x = StructuredDesign.fit(terms, explode(frame, long, "months"))
    fast = PersonPeriodDesign.from_design(design, frame, long, time="months")
    agree(fast, x.matrix(explode(frame, long, "months")), np.random.default_rng(0))


def test_rows_in_new_intervals():
    """Prediction on a grid of times of rows that were not in fit."""
    frame, follow_up = make_table()
    long = PersonPeriod.build(*follow_up)
    terms = parse_formula("g + s(time, by=x, k=5) + te(time, z, k=4) + time:x + re(h)")
    design = fit_person_period(terms, frame, long)
    other = make_table(9, seed=5)[0].assign(h=99)
    grid = PersonPeriod.grid(9, [0.25, 1.0, 7.5])
    fast = PersonPeriodDesign.from_design(design, other, grid)
    x = design.matrix(explode(other, grid))
    agree(fast, x, np.random.default_rng(0))
    beta = np.random.default_rng(1).normal(size=design.n_coefficients)
    near(fast.dot(beta).reshape(9, 3)[4], x[12:15] @ beta)


def test_data_dependent_transforms_span_what_they_span_in_the_long_table():
    frame, follow_up = make_table()
    long = PersonPeriod.build(*follow_up)
    terms = parse_formula("scale(x) + poly(time, 2) + poly(time, 2):center(x)")
    design = fit_person_period(terms, frame, long)
    table = explode(frame, long)
    fast = PersonPeriodDesign.from_design(design, frame, long)
    x = design.matrix(table)
    agree(fast, x, np.random.default_rng(0))
    whole = StructuredDesign.fit(terms, table).matrix(table)
    q = np.linalg.qr(whole)[0]
    near(q @ (q.T @ x), x)


def test_offsets():
    frame, follow_up = make_table()
    long = PersonPeriod.build(*follow_up)
    design = fit_person_period(
        parse_formula("g + offset(x) + offset(time)"), frame, long
    )
    expected = design.offset(explode(frame, long))
    np.testing.assert_array_equal(person_period_offset(design, frame, long), expected)


def test_memory_is_that_of_the_table():
    """Fitting and multiplying 900,000 long rows of 33 columns: 240 MB as a matrix."""
    rng = np.random.default_rng(0)
    n = 30_000
    frame = pd.DataFrame({"x": rng.normal(size=n), "z": rng.uniform(size=n)})
    long = PersonPeriod.build(
        rng.uniform(0, 30, n), np.ones(n), cuts=np.arange(1, 61) / 2
    )
    terms = parse_formula("s(time) + x + s(z) + te(time, x, k=4)")
    weight = np.ones(len(long))
    tracemalloc.start()
    design = fit_person_period(terms, frame, long)
    fast = PersonPeriodDesign.from_design(design, frame, long)
    fast.gram(weight)
    fast.row_quadratic(np.eye(fast.shape[1]))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(long) > 850_000
    assert peak < 0.25 * len(long) * fast.shape[1] * 8
    assert fast.n_bytes < 0.12 * len(long) * fast.shape[1] * 8


@pytest.mark.parametrize(
    ("formula", "error", "message"),
    [
        ("I(time * x)", FormulaError, r"Write their product as time:x"),
        ("np.log(x + time)", FormulaError, "together"),
        ("s(time, x, bs='tp')", FormulaError, r"Write te\(time, x\)"),
        ("cumulative(dose, time=day)", FormulaError, "the time axis is named 'time'"),
        ("s(y)", ColumnError, r"s\(y\) reads the column 'y'"),
        ("s(time, k=50)", DataError, "distinct values"),
        ("s(g)", DataError, "needs numbers"),
        ("cumulative(x)", DataError, "one length|one array"),
    ],
)
def test_bad_terms_are_named_errors(formula, error, message):
    frame, follow_up = make_table()
    long = PersonPeriod.build(*follow_up)
    with pytest.raises(error, match=message):
        fit_person_period(parse_formula(formula), frame, long)


def test_bad_tables_are_named_errors():
    frame, follow_up = make_table()
    long = PersonPeriod.build(*follow_up)
    terms = parse_formula("x + C(time):g")
    with pytest.raises(DataError, match="a column 'time', which is the name of the"):
        fit_person_period(terms, frame.assign(time=1.0), long)
    with pytest.raises(DataError, match="3 rows and the follow-up 60"):
        fit_person_period(terms, frame[:3], long)
    with pytest.raises(ParameterError, match="'time' of fit_person_period"):
        fit_person_period(terms, frame, long, time="")
    with pytest.raises(DataError, match="DataFrame"):
        fit_person_period(terms, frame.to_numpy(), long)
    design = fit_person_period(terms, frame, long)
    with pytest.raises(UnseenLevelError, match="'time'"):
        PersonPeriodDesign.from_design(design, frame[:1], PersonPeriod.grid(1, [0.3]))
    with pytest.raises(DataError, match="shape"):
        PersonPeriodDesign.from_design(design, frame, long).gram(np.ones(3))


def test_states_are_json():
    frame, follow_up = make_table()
    long = PersonPeriod.build(*follow_up)
    terms = parse_formula("s(time, k=5) + cumulative(dose, k=4, lag=3)")
    state = fit_person_period(terms, frame, long).to_state()
    json.dumps(state["terms"])
