"""Cumulative effects: the columns, literally; the errors; recovery by a fit."""

import json

import numpy as np
import pandas as pd
import pytest

from semistruct._core.terms import Cumulative
from semistruct.data import TensorArray
from semistruct.design import (
    DiscreteDesign,
    PersonPeriod,
    PersonPeriodDesign,
    StructuredDesign,
    fit_person_period,
    format_terms,
    parse_formula,
)
from semistruct.exceptions import DataError, FormulaError, ParameterError
from semistruct.families import Poisson
from semistruct.solvers import fit_glm


@pytest.fixture
def frame():
    rng = np.random.default_rng(0)
    return pd.DataFrame(
        {"time": rng.uniform(0, 8, 30), "dose": TensorArray(rng.normal(size=(30, 5)))},
        index=[f"row {i}" for i in range(30)],
    )


def literal(basis, doses, time, at, lead, lag):
    """Each row, exposure and function by itself."""
    width = [at[1] - at[0], *np.diff(at)]
    result = np.zeros((len(time), basis.k))
    for i, t in enumerate(time):
        for l, when in enumerate(at):
            latency = t - when
            if lead <= latency <= lag:
                value = basis.evaluate(np.array([latency]))[0]
                result[i] += width[l] * value * doses[i, l]
    return result


@pytest.mark.parametrize(
    ("arguments", "at", "lead", "lag"),
    [
        ("", [1, 2, 3, 4, 5], 0.0, None),
        (", k=5, lag=3", [1, 2, 3, 4, 5], 0.0, 3.0),
        (", lag=4, lead=1.5, times=(0, 1, 1.5, 4, 7)", [0, 1, 1.5, 4, 7], 1.5, 4.0),
    ],
)
def test_columns(frame, monkeypatch, arguments, at, lead, lag):
    monkeypatch.setattr("semistruct.design._cumulative._CELLS", 400)
    terms = parse_formula(f"cumulative(dose{arguments})")
    design = StructuredDesign.fit(terms, frame)
    part = design._parts[0]
    lag = frame.time.max() - at[0] if lag is None else lag
    assert (part.basis.low, part.basis.high) == (lead, lag)
    doses = frame.dose.array.block
    expected = literal(part.basis, doses, frame.time.to_numpy(), at, lead, lag)
    x = design.matrix(frame)
    np.testing.assert_allclose(x[:, 1:], expected, atol=1e-12)
    assert design.names[1] == "cumulative(dose).1"
    assert [b.kind for b in design.blocks] == ["intercept", "cumulative"]
    assert design.penalties[0].rank == part.basis.k - 2
    again = StructuredDesign.from_state(design.to_state())
    np.testing.assert_array_equal(again.matrix(frame), x)
    cells = frame.assign(dose=list(doses))
    np.testing.assert_array_equal(design.matrix(cells), x)
    fast = DiscreteDesign.from_design(design, frame)
    np.testing.assert_allclose(fast.gram(), x.T @ x, atol=1e-10)


def test_language():
    text = "age + cumulative(dose, k=8, lag=30, times=(0.0, 2.5), time=day)"
    terms = parse_formula(text)
    assert terms[1] == Cumulative("dose", 8, 30, 0.0, (0.0, 2.5), "day")
    assert format_terms(terms) == text
    assert parse_formula("cumulative('the dose', lead=1)")[0].column == "the dose"
    with pytest.raises(FormulaError, match="cumulative"):
        parse_formula("cumulatve(dose)")


@pytest.mark.parametrize(
    ("arguments", "parameter"),
    [
        ("k=3", "k"),
        ("lead=-1", "lead"),
        ("lag=1, lead=1", "lag"),
        ("times=(2, 1)", "times"),
        ("times=3", "times"),
        ("sp=-1", "sp"),
    ],
)
def test_arguments_are_checked(frame, arguments, parameter):
    with pytest.raises((ParameterError, FormulaError), match=f"'{parameter}'"):
        StructuredDesign.fit(parse_formula(f"cumulative(dose, {arguments})"), frame)


@pytest.mark.parametrize(
    ("cells", "message"),
    [
        ([None] + [np.ones(3)] * 29, "1 missing cell.*'row 0'"),
        ([np.ones(2)] + [np.ones(3)] * 29, "arrays of numbers of one length"),
        ([np.ones((2, 2))] * 30, "its cells have 2 axes"),
        ([np.ones(3)] * 4 + [np.array([1.0, np.nan, 1.0])] * 26, "not finite.*'row 4'"),
        (["a"] * 30, "one array of exposures"),
    ],
)
def test_bad_exposures_are_named_errors(frame, cells, message):
    if isinstance(cells[0], str):
        message = "arrays of numbers"
    with pytest.raises(DataError, match=f"(?s){message}"):
        StructuredDesign.fit(
            parse_formula("cumulative(dose)"), frame.assign(dose=cells)
        )


def test_exposures_that_do_not_fit(frame):
    with pytest.raises(DataError, match="5 exposures, but times= names 2 times"):
        StructuredDesign.fit(parse_formula("cumulative(dose, times=(1, 2))"), frame)
    with pytest.raises(DataError, match=r"No exposure of .* lies 9 or more before"):
        StructuredDesign.fit(parse_formula("cumulative(dose, lead=9)"), frame)
    design = StructuredDesign.fit(parse_formula("cumulative(dose)"), frame)
    short = frame.assign(dose=TensorArray(np.ones((30, 3))))
    with pytest.raises(DataError, match="3 exposures; in fit there were 5"):
        design.matrix(short)
    long = PersonPeriod.grid(30, [1.0, 2.0])
    with pytest.raises(DataError, match="3 exposures; in fit there were 5"):
        PersonPeriodDesign.from_design(design, short[["dose"]], long)


def test_the_weight_of_past_exposures_is_found():
    """A hump of the latency, from events of 3,000 subjects in 20 intervals."""
    rng = np.random.default_rng(3)
    n, size = 3000, 20
    cuts = np.arange(1.0, size + 1.0)
    doses = (rng.uniform(size=(n, size)) < 0.5) * rng.gamma(2.0, 0.5, (n, size))

    def weight(latency):
        return 0.5 * np.exp(-0.5 * ((latency - 3.0) / 1.5) ** 2)

    latency = cuts[:, None] - cuts
    past = np.where(latency >= 0, weight(latency), 0.0)  # (J, L)
    hazard = np.exp(-4.5 + doses @ past.T)
    total = np.cumsum(np.hstack([np.zeros((n, 1)), hazard]), axis=1)
    goal = rng.exponential(size=n)
    last = (total[:, 1:] < goal[:, None]).sum(axis=1)
    inside = np.minimum(last, size - 1)
    rows = np.arange(n)
    step = (goal - total[rows, inside]) / hazard[rows, inside]
    time = np.where(last < size, inside + step, size)
    frame = pd.DataFrame({"dose": TensorArray(doses)})
    long = PersonPeriod.build(np.maximum(time, 1e-9), last < size, cuts=cuts)
    design = fit_person_period(parse_formula("cumulative(dose, lag=12)"), frame, long)
    x = PersonPeriodDesign.from_design(design, frame, long)
    fit = fit_glm(
        [x],
        long.event,
        Poisson(),
        penalties=[design.penalties],
        offset=np.log(long.exposure),
    )
    assert fit.converged
    at = np.linspace(0.0, 12.0, 25)
    basis = design._parts[0].basis.evaluate(at)
    error = np.sqrt(np.einsum("ij,jk,ik->i", basis, fit.cov[1:, 1:], basis))
    miss = basis @ fit.coef[1:] - weight(at)
    assert np.abs(miss).max() < 0.1
    assert np.abs(miss / error).max() < 4.0
    assert np.mean(np.abs(miss / error) < 2.0) > 0.8


def test_states_are_json(frame):
    design = StructuredDesign.fit(parse_formula("cumulative(dose, lag=3)"), frame)
    assert json.loads(json.dumps(design.to_state()["terms"]))[0]["lag"] == 3
