"""Long rows of follow-up against a literal transcription of their definition."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from semistruct.design import PersonPeriod
from semistruct.exceptions import DataError, ParameterError, TargetError


def literal(time, event, entry, cuts):
    """One long row for each row and interval with time at risk, in a double loop."""
    found = []
    for i in range(len(time)):
        for j, end in enumerate(cuts):
            start = 0.0 if j == 0 else cuts[j - 1]
            exposure = min(end, time[i]) - max(start, entry[i])
            if exposure > 0:
                ends_here = time[i] <= end
                found.append((i, j, exposure, float(event[i] and ends_here)))
    return found


def agree(long, expected):
    rows = list(zip(long.row, long.interval, long.exposure, long.event, strict=True))
    assert rows == expected


times = st.integers(1, 12).map(float)


@given(
    st.lists(st.tuples(times, st.booleans(), st.integers(0, 11)), min_size=1),
    st.none() | st.lists(st.integers(1, 12).map(float), min_size=1, max_size=6),
)
def test_long_rows_of_tied_times(rows, cuts):
    """Few distinct times, so that times, entries and cuts meet."""
    time = np.array([row[0] for row in rows])
    event = np.array([row[1] for row in rows])
    entry = np.array([min(row[2], row[0] - 1) for row in rows])
    at = np.unique(time[event] if cuts is None else cuts)
    expected = literal(time, event, entry, at) if len(at) else []
    if not expected:
        with pytest.raises(TargetError, match=r"no row is at risk|no events"):
            PersonPeriod.build(time, event, entry, cuts)
        return
    long = PersonPeriod.build(time, event, entry, cuts)
    np.testing.assert_array_equal(long.cuts, at)
    agree(long, expected)
    kept = np.minimum(time, at[-1]) - entry
    assert long.exposure.sum() == pytest.approx(kept[kept > 0].sum())
    np.testing.assert_array_equal(np.diff(long.bounds), long.count)


def test_edges():
    """An event at the last cut is kept, one after it is dropped with its follow-up."""
    long = PersonPeriod.build(
        [2.0, 5.0, 6.0, 5.0], [1, 1, 1, 1], [0, 2, 0, 5 - 1e-9], [2, 5]
    )
    np.testing.assert_array_equal(long.row, [0, 1, 2, 2, 3])
    np.testing.assert_array_equal(long.interval, [0, 1, 0, 1, 1])
    np.testing.assert_array_equal(long.event, [1, 1, 0, 0, 1])
    np.testing.assert_allclose(long.exposure, [2, 3, 2, 3, 1e-9], rtol=1e-6)
    assert repr(long) == ("PersonPeriod(5 long rows of 4 rows, 2 intervals, 3 events)")


def test_rows_without_time_at_risk_have_no_long_rows():
    late = PersonPeriod.build([3.0, 4.0], [1, 0], [0, 3], cuts=[3.0])
    np.testing.assert_array_equal(late.count, [1, 0])
    never = PersonPeriod.build([0.0, 3.0], [0, 1])
    np.testing.assert_array_equal(never.count, [0, 1])


def test_events_of_one_cause():
    long = PersonPeriod.build([1.0, 2.0, 3.0], [1, 1, 1], cuts=[1.0, 2.5])
    total = long.events_of([1, 0, 1]) + long.events_of([0, 1, 0])
    np.testing.assert_array_equal(total, long.event)
    np.testing.assert_array_equal(long.events_of([0, 1, 0]), [0, 0, 1, 0, 0])


def test_grid_has_every_pair():
    grid = PersonPeriod.grid(3, [1.0, 2.5])
    np.testing.assert_array_equal(grid.row.reshape(3, 2), [[0, 0], [1, 1], [2, 2]])
    np.testing.assert_array_equal(grid.interval, [0, 1] * 3)
    np.testing.assert_array_equal(grid.exposure, [1.0, 1.5] * 3)
    assert not grid.event.any()


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (([1.0, np.nan], [1, 1]), TargetError, "time must be finite.*row 1"),
        (([1.0, -2.0], [1, 1]), TargetError, "time must be .*row 1 holds -2"),
        (([1.0, 2.0], [1, 2]), TargetError, "event must be 0 or 1; row 1 holds 2"),
        (([1.0, 2.0], [1]), TargetError, r"event has shape \(1,\), need \(2,\)"),
        (([], []), TargetError, "time has shape"),
        (([1.0], [1], [1.0]), TargetError, "row 0 enters at 1 and ends at 1"),
        (([0.0, 1.0], [1, 1]), TargetError, "row 0 has its event at time 0"),
        (([1.0, 2.0], [0, 0]), TargetError, "no events to cut"),
        (([3.0], [1], [2.0], [1.0]), TargetError, "no row is at risk before"),
        (([3.0], [1], None, [0.0, 1.0]), ParameterError, "'cuts' of PersonPeriod"),
        (([3.0], [1], None, []), ParameterError, "'cuts' of PersonPeriod"),
    ],
)
def test_bad_input_is_a_named_error(arguments, error, message):
    with pytest.raises(error, match=message):
        PersonPeriod.build(*arguments)


def test_bad_grids_and_causes():
    with pytest.raises(ParameterError, match="'n_rows' of PersonPeriod"):
        PersonPeriod.grid(0, [1.0])
    with pytest.raises(DataError, match=r"event has shape \(1,\), need \(2,\)"):
        PersonPeriod.grid(2, [1.0]).events_of([1])
