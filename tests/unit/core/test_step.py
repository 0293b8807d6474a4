"""Step functions against a literal loop over times."""

from __future__ import annotations

import pickle

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from semistruct._core.step import StepFunction
from semistruct.exceptions import DataError

TIMES = np.array([1.0, 2.0, 4.0])
VALUES = np.array([[0.9, 0.5, 0.1], [0.8, 0.7, 0.6]])


def literal(times, values, before, at):
    """Give the value of the last step that is not after ``at``."""
    found = before
    for time, value in zip(times, values, strict=True):
        if time <= at:
            found = value
    return found


@given(
    st.lists(st.integers(0, 8), max_size=6, unique=True),
    st.lists(st.floats(-1, 10), min_size=1, max_size=6),
    st.sampled_from([0.0, 1.0]),
)
def test_against_the_literal_definition(times, at, before):
    times = np.sort(np.array(times, dtype=float))
    values = np.vstack([np.arange(len(times)) + 2.0, -np.arange(len(times))])
    curve = StepFunction(times, values, before)
    expected = [[literal(times, row, before, a) for a in at] for row in values]
    assert curve(at).tolist() == expected


def test_right_continuous_and_constant_outside():
    curve = StepFunction(TIMES, VALUES[0])
    assert curve([0.0, 1.0, np.nextafter(1, 0), 4.0, 1e9]).tolist() == [
        [1.0, 0.9, 1.0, 0.1, 0.1]
    ]
    assert curve(2.0).shape == (1, 1)


def test_infinite_and_missing_times():
    assert StepFunction(TIMES, VALUES[0])([-np.inf, np.inf]).tolist() == [[1.0, 0.1]]
    assert np.isnan(StepFunction(TIMES, VALUES)([np.nan])).all()


def test_without_steps_it_is_constant():
    curve = StepFunction([], np.empty((3, 0)), before=0.0)
    assert len(curve) == 3
    assert curve([1.0, 2.0]).tolist() == [[0.0, 0.0]] * 3


@pytest.mark.parametrize(
    ("key", "rows"),
    [
        (0, [0]),
        (-1, [1]),
        (slice(None), [0, 1]),
        ([1, 0], [1, 0]),
        (np.array([False, True]), [1]),
    ],
)
@pytest.mark.parametrize("index", [None, ["a", "b"], pd.Index([7, 9], name="id")])
def test_indexing_keeps_names_and_start(key, rows, index):
    curve = StepFunction(TIMES, VALUES, 0.5, index)
    part = curve[key]
    assert isinstance(part, StepFunction)
    assert part.values.tolist() == VALUES[rows].tolist()
    assert list(part.index) == [list(curve.index)[r] for r in rows]
    assert part.before == 0.5


def test_iteration_gives_the_rows():
    rows = list(StepFunction(TIMES, VALUES))
    assert [r.values.tolist() for r in rows] == [[v] for v in VALUES.tolist()]


def test_index_error_beyond_the_end():
    with pytest.raises(IndexError):
        StepFunction(TIMES, VALUES)[2]


def test_to_frame():
    frame = StepFunction(TIMES, VALUES, index=["a", "b"]).to_frame()
    assert frame.index.name == "time"
    assert frame.loc[2.0, "b"] == 0.7
    assert frame.shape == (3, 2)


def test_repr_and_pickle():
    curve = StepFunction(TIMES, VALUES)
    assert repr(curve) == "StepFunction(n=2, times=3)"
    again = pickle.loads(pickle.dumps(curve))
    assert again([2.0]).tolist() == curve([2.0]).tolist()


@pytest.mark.parametrize("times", [[1.0, 1.0, 2.0], [2.0, 1.0, 3.0], [1.0, np.nan, 2]])
def test_times_must_increase(times):
    with pytest.raises(DataError, match="times must increase"):
        StepFunction(times, VALUES)


@pytest.mark.parametrize(
    ("times", "values"), [(TIMES[:2], VALUES), ([TIMES], VALUES), (TIMES, [VALUES])]
)
def test_shapes_must_fit(times, values):
    with pytest.raises(DataError, match=r"do not fit; they are \(m,\) and \(n, m\)"):
        StepFunction(times, values)


def test_index_must_have_a_name_for_each_row():
    with pytest.raises(DataError, match="index has 1 names for 2 rows"):
        StepFunction(TIMES, VALUES, index=["a"])
