"""The whole design: order, state, prediction of any rows, speed."""

import copy
import json
import pickle
import time

import numpy as np
import pandas as pd
import pytest

from semistruct._core.terms import Image, Linear, Smooth
from semistruct.design import StructuredDesign, parse_formula
from semistruct.exceptions import DataError, FormulaError, ParameterError

FORMULA = (
    "age*C(stage) + poly(bmi, 2) + scale(age) + s(bmi, k=6) + s(age, by=stage, k=5) + "
    "s(age, by=bmi, k=5, sp=2) + te(age, bmi, k=4) + ti(age, bmi, k=4) + re(ward) + "
    "re(ward, age) + te(age, log_t, bs=('tp', 'cr'), k=(4, 5), np=True) + "
    "s(log_t, bs='cr') + s(age, bs='cc') + s(bmi, log_t, bs='tp') + "
    "s(log_t, by=bmi, bs='tp') + s(log_t, by=stage, bs='mpi') + offset(log_t)"
)


@pytest.fixture
def frame() -> pd.DataFrame:
    rng = np.random.default_rng(8)
    n = 150
    return pd.DataFrame(
        {
            "age": rng.uniform(40, 80, n),
            "bmi": rng.normal(25, 3, n),
            "stage": rng.choice(["I", "II", "III"], n),
            "ward": rng.integers(0, 9, n),
            "log_t": rng.normal(size=n),
        }
    )


@pytest.fixture
def design(frame) -> StructuredDesign:
    return StructuredDesign.fit(parse_formula(FORMULA), frame)


def through_json(state):
    """JSON, arrays apart, as the package saves a model."""
    arrays = []

    def hide(value):
        if isinstance(value, dict):
            assert all(isinstance(key, str) for key in value)
            return {key: hide(item) for key, item in value.items()}
        if isinstance(value, list):
            return [hide(item) for item in value]
        if isinstance(value, np.ndarray):
            arrays.append(value)
            return {"array": len(arrays) - 1}
        return value

    def show(value):
        if isinstance(value, dict) and set(value) == {"array"}:
            return arrays[value["array"]].copy()
        if isinstance(value, dict):
            return {key: show(item) for key, item in value.items()}
        return [show(item) for item in value] if isinstance(value, list) else value

    return show(json.loads(json.dumps(hide(state))))


@pytest.mark.parametrize(
    "again",
    [
        lambda d: StructuredDesign.from_state(through_json(d.to_state())),
        lambda d: pickle.loads(pickle.dumps(d)),
        copy.deepcopy,
    ],
    ids=["state", "pickle", "deepcopy"],
)
def test_copies_are_the_same_to_the_bit(design, frame, again) -> None:
    other = again(design)
    np.testing.assert_array_equal(other.matrix(frame), design.matrix(frame))
    np.testing.assert_array_equal(other.offset(frame), design.offset(frame))
    assert other.names == design.names
    assert other.blocks == design.blocks
    assert other.columns == design.columns
    assert other.terms == design.terms
    for a, b in zip(other.constraints, design.constraints, strict=True):
        np.testing.assert_array_equal(a.matrix, b.matrix)
        assert (a.label, a.start, a.stop) == (b.label, b.start, b.stop)
    for a, b in zip(other.penalties, design.penalties, strict=True):
        np.testing.assert_array_equal(a.matrix, b.matrix)
        assert (a.label, a.start, a.stop, a.sp, a.rank) == (
            *(b.label, b.start, b.stop, b.sp, b.rank),
        )


def test_a_row_s_columns_depend_on_nothing_else(design, frame) -> None:
    whole = design.matrix(frame)
    assert whole.dtype == np.float64
    assert whole.flags["C_CONTIGUOUS"]
    one = np.vstack([design.matrix(frame.iloc[[i]]) for i in range(10)])
    np.testing.assert_allclose(one, whole[:10], rtol=0, atol=1e-12)
    order = np.random.default_rng(0).permutation(len(frame))
    shuffled = frame.iloc[order, ::-1].assign(extra=np.nan, more="x")
    np.testing.assert_allclose(design.matrix(shuffled), whole[order], atol=1e-12)
    np.testing.assert_array_equal(design.offset(shuffled), frame.log_t.iloc[order])
    assert design.matrix(frame.iloc[:0]).shape == (0, design.n_coefficients)


def test_the_frame_is_left_as_it_was(design, frame) -> None:
    before = frame.copy(deep=True)
    design.matrix(frame)
    StructuredDesign.fit(design.terms, frame)
    pd.testing.assert_frame_equal(frame, before)


def test_layout(design) -> None:
    assert design.names[0] == "Intercept"
    assert len(design.names) == design.n_coefficients == design.blocks[-1].stop
    assert len(set(design.names)) == design.n_coefficients
    for left, right in zip(design.blocks, design.blocks[1:], strict=False):
        assert left.stop == right.start
    for b in design.blocks:
        assert design.names[b.start : b.stop] == b.names
    assert design.columns == ("age", "stage", "bmi", "ward", "log_t")
    tensor = [p for p in design.penalties if p.label.startswith("te(age, bmi)")]
    assert len({(p.start, p.stop) for p in tensor}) == 1
    assert "te(age, bmi)" in repr(design)


def test_offsets_add_up_and_have_no_column(frame) -> None:
    terms = parse_formula("1 + offset(age) + offset(bmi)")
    design = StructuredDesign.fit(terms, frame)
    assert design.names == ("Intercept",)
    np.testing.assert_allclose(design.offset(frame), frame.age + frame.bmi)
    plain = StructuredDesign.fit((), frame)
    assert plain.names == ("Intercept",)
    assert not plain.offset(frame).any()
    frame.loc[3, "age"] = np.nan
    with pytest.raises(DataError, match=r"'age' of offset\(age\).*row 3"):
        design.offset(frame)


def test_terms_that_do_not_fit(frame) -> None:
    with pytest.raises(ParameterError, match=r"Linear, Smooth.*Image"):
        StructuredDesign.fit((Image("scan"),), frame)
    with pytest.raises(ParameterError, match="'k' of s"):
        StructuredDesign.fit((Smooth("age", k=2),), frame)
    with pytest.raises(ParameterError, match="'formula' of Linear"):
        StructuredDesign.fit((Linear(" "),), frame)
    with pytest.raises(FormulaError, match="twice"):
        StructuredDesign.fit((Smooth("age"), Smooth("age", k=5)), frame)
    with pytest.raises(DataError, match="no rows"):
        StructuredDesign.fit((Linear("age"),), frame.iloc[:0])
    with pytest.raises(DataError, match="n_samples=1"):
        StructuredDesign.fit((Linear("age"),), frame.iloc[:1])
    with pytest.raises(DataError, match="DataFrame; got ndarray"):
        StructuredDesign.fit((Linear("age"),), frame.to_numpy())


def test_a_state_cannot_bring_code(design) -> None:
    state = design.to_state()
    state["parametric"]["formula"] = "I(__import__('os').getcwd())"
    with pytest.raises(FormulaError):
        StructuredDesign.from_state(state).matrix(pd.DataFrame({"x": [1.0]}))


@pytest.mark.parametrize("bs", ["ps", "cr", "cc", "tp", "mpi", "mpd", "mrf"])
def test_speed(bs) -> None:
    rng = np.random.default_rng(0)
    values = rng.normal(size=(100_000, 4))
    if bs == "mrf":
        values = rng.integers(0, 30, size=(100_000, 4))
    frame = pd.DataFrame(values, columns=list("abcd"))
    ring = {i: [(i - 1) % 30, (i + 1) % 30] for i in range(30)}
    options = {"neighbours": ring} if bs == "mrf" else {"k": 20}
    terms = [Smooth(c, bs=bs, **options) for c in "abcd"]
    design = StructuredDesign.fit(terms, frame)
    seconds = []
    for _ in range(3):
        start = time.process_time()
        design.matrix(frame)
        seconds.append(time.process_time() - start)
    assert min(seconds) < 0.4
