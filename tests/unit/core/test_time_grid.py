"""Grids of discrete time: where rows fall, and how cuts are chosen."""

from __future__ import annotations

import json

import numpy as np
import pytest

from semistruct._core.persistence import read_state, write_state
from semistruct._core.time_grid import TimeGrid
from semistruct.exceptions import ParameterError, TargetError

GRID = TimeGrid([1.0, 2.5, 4.0])


@pytest.mark.parametrize(
    ("time", "event", "ended", "midpoint"),
    [
        (0.1, 1, (0, 1), (0, 1)),
        (1.0, 1, (0, 1), (0, 1)),  # an event at a cut is in the interval it ends
        (1.01, 2, (1, 2), (1, 2)),
        (4.0, 1, (2, 1), (2, 1)),
        (4.01, 1, (3, 0), (3, 0)),  # past the last cut: censored at it
        (0.4, 0, (0, 0), (0, 0)),
        (0.5, 0, (0, 0), (1, 0)),  # at the midpoint
        (1.0, 0, (1, 0), (1, 0)),  # censored at a cut: the interval is survived
        (2.49, 0, (1, 0), (2, 0)),
        (2.5, 0, (2, 0), (2, 0)),
        (9.0, 0, (3, 0), (3, 0)),
    ],
)
def test_rows_fall_where_the_convention_says(time, event, ended, midpoint):
    assert tuple(GRID.target([time], [event])[0]) == ended
    assert tuple(GRID.target([time], [event], censored="midpoint")[0]) == midpoint


@pytest.mark.parametrize(
    ("entry", "time", "event", "ended", "midpoint"),
    [
        (0.0, 3.0, 1, (2, 1, 0), (2, 1, 0)),
        (0.3, 3.0, 1, (2, 1, 1), (2, 1, 0)),
        (0.6, 3.0, 1, (2, 1, 1), (2, 1, 1)),
        (1.0, 3.0, 0, (2, 0, 1), (2, 0, 1)),
        (2.6, 3.0, 1, (3, 0, 3), (2, 1, 2)),  # at risk in no whole interval
        (3.5, 3.8, 1, (3, 0, 3), (3, 0, 3)),
        (5.0, 6.0, 1, (3, 0, 3), (3, 0, 3)),  # after the grid
    ],
)
def test_late_entry(entry, time, event, ended, midpoint):
    given = ([time], [event], [entry])
    assert tuple(GRID.target(*given)[0]) == ended
    assert tuple(GRID.target(*given, censored="midpoint")[0]) == midpoint


def test_target_equals_a_literal_loop():
    rng = np.random.default_rng(0)
    time = np.round(rng.exponential(2.5, 300), 1) + 0.1
    event = rng.integers(0, 3, 300)
    for row, t, code in zip(GRID.target(time, event), time, event, strict=True):
        if t > 4.0:
            assert tuple(row) == (3, 0)
        elif code:
            inside = [a < t <= b for a, b in ((0, 1), (1, 2.5), (2.5, 4))]
            assert tuple(row) == (inside.index(True), code)
        else:
            assert tuple(row) == (sum(c <= t for c in (1, 2.5, 4)), 0)


def test_equidistant_cuts_end_at_the_last_event_that_someone_outlives():
    time, event = [1.0, 2.0, 6.0, 8.0], [1, 1, 1, 0]
    grid = TimeGrid.fit(time, event, 3, "equidistant")
    np.testing.assert_allclose(grid.cuts, [2, 4, 6])
    np.testing.assert_allclose(grid.starts, [0, 2, 4])
    # all were seen to die: the last death is beyond the grid
    assert TimeGrid.fit(time, [1, 1, 1, 1], 3, "equidistant").cuts[-1] == 6.0
    assert TimeGrid.fit([2.0, 2.0], [1, 1], 1).cuts.tolist() == [2.0]


@pytest.mark.parametrize("how", ["kaplan_meier", "events"])
def test_quantile_cuts_share_the_events_out(how):
    rng = np.random.default_rng(1)
    time = rng.exponential(size=2000)
    event = np.ones(2000)
    grid = TimeGrid.fit(time, event, 10, how)
    assert grid.n_intervals == 10
    y = grid.target(time, event)
    counts = np.bincount(y[y[:, 1] == 1, 0].astype(int), minlength=10)
    assert abs(counts - 200).max() <= 1
    assert y[time == time.max()].tolist() == [[10, 0]]


def test_kaplan_meier_cuts_weigh_late_events_more():
    """By hand: S falls 1 → .75 → .5 → 0 at 1, 2, 6 with a row censored at 5."""
    time, event = [1.0, 2.0, 5.0, 6.0], [1, 1, 0, 1]
    by_curve = TimeGrid.fit(time, event, 2, "kaplan_meier", last=6.0)
    assert by_curve.cuts.tolist() == [2.0, 6.0]
    by_count = TimeGrid.fit(time, event, 3, last=6.0)
    assert by_count.cuts.tolist() == [1.0, 2.0, 6.0]
    # the fall of .5 at 6 fills two of four intervals
    by_four = TimeGrid.fit(time, event, 4, "kaplan_meier", last=6.0)
    assert by_four.cuts.tolist() == [1.0, 2.0, 6.0]


def test_a_last_cut_that_is_given_is_kept():
    time = np.arange(1.0, 21.0)
    for how in ("kaplan_meier", "events", "equidistant"):
        grid = TimeGrid.fit(time, np.ones(20), 4, how, last=10.5)
        assert grid.cuts[-1] == 10.5
        assert grid.n_intervals == 4


def test_tied_times_give_fewer_intervals():
    assert TimeGrid.fit([1, 1, 1, 2, 3], [1, 1, 1, 1, 0], 4).cuts.tolist() == [1, 2]


def test_state_and_identity(tmp_path):
    write_state(tmp_path / "grid", GRID.to_state())
    again = TimeGrid.from_state(read_state(tmp_path / "grid"))
    assert again == GRID
    assert hash(again) == hash(GRID)
    assert again != TimeGrid([1.0])
    assert repr(again) == "TimeGrid([1, 2.5, 4])"
    assert repr(TimeGrid(np.arange(1, 12))) == "TimeGrid([1, 2, 3, …, 10, 11])"
    assert json.dumps(GRID.to_state()["cuts"].tolist()) == "[1.0, 2.5, 4.0]"
    with pytest.raises(ValueError, match="read-only"):
        GRID.cuts[0] = 0.5


@pytest.mark.parametrize("cuts", [[], [0.0, 1.0], [1.0, 1.0], [2, 1], ["a"], [[1.0]]])
def test_illegal_cuts(cuts):
    with pytest.raises(ParameterError, match="cuts"):
        TimeGrid(cuts)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (([1.0, 0.0], [1, 1]), r"target: times must be above 0; row 1 holds 0"),
        (([1.0, np.nan], [1, 1]), "time must be finite; row 1"),
        (([1.0, 2.0], [1, 0.5]), "event must be a code .* row 1 holds 0.5"),
        (([1.0, 2.0], [1, -1]), "event must be a code .* row 1 holds -1"),
        (([1.0, 2.0], [1]), r"event has shape \(1,\), need \(2,\)"),
        ((["a", "b"], [1, 1]), "time must be numeric"),
        (([], []), r"time has shape \(0,\)"),
        (([1.0, 2.0], [1, 1], [0.0, 2.0]), "entry must be .* row 1 holds 2"),
        (([1.0, 2.0], [1, 1], [-1.0, 1.0]), "entry must be .* row 0 holds -1"),
    ],
)
def test_illegal_rows_are_named(arguments, words):
    with pytest.raises(TargetError, match=words):
        GRID.target(*arguments)


def test_illegal_choices():
    with pytest.raises(ParameterError, match="Did you mean 'midpoint'"):
        GRID.target([1.0], [1], censored="midpoints")
    with pytest.raises(ParameterError, match="Did you mean 'events'"):
        TimeGrid.fit([1.0], [1], 2, "event")
    with pytest.raises(ParameterError, match="n_intervals"):
        TimeGrid.fit([1.0], [1], 0)
    with pytest.raises(ParameterError, match="last"):
        TimeGrid.fit([1.0], [1], 1, last=0.0)
    with pytest.raises(TargetError, match="no event was seen up to the last cut 1"):
        TimeGrid.fit([2.0, 3.0], [1, 0], 1, last=1.0)
    with pytest.raises(TargetError, match=r"no event was seen\. .*give cuts"):
        TimeGrid.fit([2.0, 3.0], [0, 0], 1)
