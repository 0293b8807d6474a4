"""The survival target: as an array of rows for scikit-learn, and its errors."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.base import BaseEstimator
from sklearn.model_selection import (
    GridSearchCV,
    GroupKFold,
    KFold,
    ShuffleSplit,
    cross_val_predict,
    cross_val_score,
    train_test_split,
)
from sklearn.utils import resample, shuffle
from sklearn.utils.validation import check_consistent_length, indexable

from semistruct._core.surv import Surv
from semistruct.exceptions import TargetError

FIELDS = ("time", "event", "entry", "strata", "id", "cause", "weights")


def full(n: int = 12) -> Surv:
    rng = np.random.default_rng(0)
    entry = rng.uniform(0, 1, n)
    return Surv(
        time=entry + rng.uniform(0.1, 5, n),
        event=rng.integers(0, 2, n),
        entry=entry,
        strata=np.array(["a", "b"])[np.arange(n) % 2],
        id=np.arange(n) // 2,
        cause=np.arange(n) % 3,
        weights=rng.uniform(0, 2, n),
    )


def check_rows(part: Surv, whole: Surv, rows) -> None:
    assert type(part) is Surv
    for field in FIELDS:
        expected = getattr(whole, field)[rows]
        assert getattr(part, field).tolist() == expected.tolist()


# -- what it takes ------------------------------------------------------------------


def test_defaults():
    y = Surv([5, 8])
    assert y.event.tolist() == [True, True]
    assert y.time.dtype == np.float64
    assert all(getattr(y, f) is None for f in FIELDS[2:])


@pytest.mark.parametrize(
    "event",
    [
        [1, 0],
        [1.0, 0.0],
        [True, False],
        np.array([True, False], dtype=object),
        pd.Series([1, 0], index=["b", "a"]),
        pd.Series([True, False], dtype="boolean"),
        pd.Series([1, 0], dtype="Int64"),
        (1, 0),
    ],
)
def test_kinds_of_event(event):
    y = Surv([1.0, 2.0], event)
    assert y.event.dtype == bool
    assert y.event.tolist() == [True, False]


@pytest.mark.parametrize(
    "time",
    [
        [1, 2],
        np.array([1, 2], dtype=np.float32),
        np.array([1, 2.0], dtype=object),
        pd.Series([1, 2], dtype="Int64"),
        pd.Index([1, 2]),
    ],
)
def test_kinds_of_time(time):
    assert Surv(time).time.tolist() == [1.0, 2.0]


def test_it_owns_its_arrays():
    time, event, strata = np.ones(2), np.array([True, False]), np.array(["a", "b"])
    y = Surv(time, event, strata=strata)
    time[0], event[0], strata[0] = 9.0, False, "z"
    assert y == Surv([1.0, 1.0], [1, 0], strata=["a", "b"])


def test_no_rows():
    y = Surv([], [])
    assert len(y) == 0
    assert repr(y) == "Surv(n=0, events=0)"


# -- errors -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"time": [1.0, np.nan]}, "time must be finite and not negative; row 1 is nan"),
        ({"time": [1.0, np.inf]}, "row 1 is inf"),
        ({"time": [-1.0, 2.0]}, r"row 0 is -1.0 \(1 such rows\)"),
        ({"time": pd.Series([1, None], dtype="Int64")}, "row 1 is nan"),
        ({"time": ["1", "2"]}, "time must be numbers; got texts"),
        ({"time": np.array(["1", 2], dtype=object)}, "must be numbers; got dtype obj"),
        ({"time": [b"1", b"2"]}, "got bytes"),
        ({"time": pd.to_datetime(["2020-01-01", "2020-01-02"])}, "got dates"),
        ({"time": pd.to_timedelta([1, 2], unit="D")}, "got time differences"),
        ({"time": [1 + 1j, 2]}, "got dtype complex"),
        ({"time": np.ones((2, 1))}, "time must have one dimension; got 2"),
        ({"time": 3.0}, "time must have one dimension; got 0"),
        ({"event": [1, 2]}, r"event must be boolean or 0/1; row 1 is 2.*status == 2"),
        ({"event": [1, np.nan]}, "row 1 is nan"),
        ({"event": pd.Series([True, None], dtype="boolean")}, "row 1 is"),
        ({"event": ["yes", "no"]}, "event must be boolean or 0/1; got texts"),
        ({"event": [1, 0, 1]}, "event has 3 rows, but time has 2"),
        ({"entry": [0.0, 2.0]}, r"row 1 has entry 2 and time 2 \(1 such rows\)"),
        ({"entry": [-1.0, 0.0]}, "entry must be finite and not negative; row 0"),
        ({"entry": [0.0]}, "entry has 1 rows"),
        ({"strata": ["a", None]}, "strata is missing in row 1"),
        ({"strata": ["a"]}, "strata has 1 rows"),
        ({"id": [np.nan, 1.0]}, "id is missing in row 0"),
        ({"cause": ["a", pd.NA]}, "cause is missing in row 1, which has an event"),
        ({"weights": [1.0, -0.5]}, "weights must be finite and not negative; row 1"),
        ({"weights": [1.0, np.nan]}, "weights must be finite"),
    ],
)
def test_errors_name_the_field_and_the_row(fields, message):
    with pytest.raises(TargetError, match=message):
        Surv(**{"time": [1.0, 2.0], **fields})


# -- other forms --------------------------------------------------------------------


def test_from_tuples():
    expected = Surv([5.0, 8.0], [1, 0])
    assert Surv.from_tuples([(True, 5.0), (False, 8.0)]) == expected
    assert Surv.from_tuples(iter([(1, 5), (0, 8)])) == expected
    assert Surv.from_tuples(np.asarray(expected)) == expected
    assert Surv.from_tuples(expected) == expected  # it iterates over its pairs


@pytest.mark.parametrize(
    "rows", [[(True, 5.0), (True,)], [(True, 5.0), (1, 2, 3)], [3.0, 4.0]]
)
def test_from_tuples_wants_pairs(rows):
    with pytest.raises(TargetError, match=r"each row must be a pair.*row [01] is not"):
        Surv.from_tuples(rows)


def test_coerce():
    y = full()
    assert Surv.coerce(y) is y
    plain = Surv(y.time, y.event)
    assert Surv.coerce(np.asarray(y)) == plain
    swapped = np.empty(len(y), dtype=[("t", float), ("status", bool)])
    swapped["t"], swapped["status"] = y.time, y.event
    assert Surv.coerce(swapped) == plain
    assert Surv.coerce(y.time) == Surv(y.time)
    assert Surv.coerce(pd.Series(y.time)) == Surv(y.time)


def test_coerce_of_two_numeric_fields_reads_time_then_event():
    y = np.array([(5.0, 1), (8.0, 0)], dtype=[("t", float), ("d", int)])
    assert Surv.coerce(y) == Surv([5, 8], [1, 0])


@pytest.mark.parametrize(
    "y",
    [
        np.zeros(3, dtype=[("a", bool), ("b", float), ("c", float)]),
        [(True, 1.0)],
        ["a", "b"],
        None,
    ],
)
def test_coerce_refuses(y):
    with pytest.raises(TargetError, match="Surv: time must"):
        Surv.coerce(y)


def test_frames_round_trip():
    y = full()
    frame = y.to_frame()
    assert list(frame) == list(FIELDS)
    names = {f: f for f in FIELDS[2:]}
    assert Surv.from_frame(frame, "time", "event", **names) == y
    assert list(Surv([1.0]).to_frame()) == ["time", "event"]
    assert Surv.from_frame(frame, "time") == Surv(y.time)


def test_from_frame_suggests():
    frame = pd.DataFrame({"week": [1.0], "arrest": [1]})
    with pytest.raises(TargetError, match=r"no column 'weeks' for.*mean 'week'"):
        Surv.from_frame(frame, "weeks", "arrest")
    with pytest.raises(TargetError, match=r"unknown field 'stratum'.*mean 'strata'"):
        Surv.from_frame(frame, "week", "arrest", stratum="week")


def test_as_an_array():
    y = full()
    array = np.asarray(y)
    assert array.dtype == y.dtype == np.dtype([("event", bool), ("time", float)])
    assert array["time"].tolist() == y.time.tolist()
    assert array["event"].tolist() == y.event.tolist()
    as_other = np.asarray(y, dtype=[("event", "u1"), ("time", "f4")])
    assert as_other["event"].tolist() == y.event.astype(int).tolist()
    with pytest.raises(ValueError, match="always a copy"):
        np.array(y, copy=False)


def test_iteration_equality_hash_and_copies():
    y = full()
    assert next(iter(y)) == (bool(y.event[0]), float(y.time[0]))
    assert y == pickle.loads(pickle.dumps(y)) == copy.deepcopy(y)
    assert y != y[1:]
    assert y != Surv(y.time, y.event)
    assert y != "y"
    with pytest.raises(TypeError, match="unhashable"):
        hash(y)


def test_repr():
    assert repr(Surv([5, 8, 3], [1, 0, 1])) == "Surv(n=3, events=2, time=[3, 8])"
    assert repr(full()).endswith(", entry, strata, id, cause, weights)")


def test_structured_arrays():
    y = full()
    array = y.to_structured("status", "months")
    assert array.dtype == np.dtype([("status", bool), ("months", float)])
    assert Surv.from_structured(array) == Surv(y.time, y.event)
    assert y.to_structured().dtype == y.dtype
    with pytest.raises(TargetError, match=r"two fields.*the fields are \(\)"):
        Surv.from_structured(y.time)
    with pytest.raises(TargetError, match="'a', 'b', 'c'"):
        Surv.from_structured(np.zeros(2, [("a", bool), ("b", float), ("c", float)]))


def test_frames_under_other_names():
    y = full()
    frame = y.to_frame(time="duration", event="observed", id="person")
    assert list(frame)[:2] == ["duration", "observed"]
    assert "person" in frame
    names = {f: f for f in FIELDS[2:]} | {"id": "person"}
    assert Surv.from_frame(frame, "duration", "observed", **names) == y
    with pytest.raises(TargetError, match=r"unknown field 'times'.*mean 'time'"):
        y.to_frame(times="duration")


def test_pycox_pairs():
    y = Surv([5.0, 8.0, 3.0], [1, 0, 1])
    durations, events = y.to_pycox()
    assert (durations.tolist(), events.tolist()) == ([5.0, 8.0, 3.0], [1, 0, 1])
    assert Surv.from_pycox((durations, events)) == y
    assert Surv.from_pycox((durations, events.astype("float32"))) == y
    several = Surv.from_pycox((durations, np.array([2, 0, 1])))
    assert several.event.tolist() == [True, False, True]
    assert several.causes == [1, 2]
    assert several.to_pycox()[1].tolist() == [2, 0, 1]
    for bad in (durations, (durations,), "ab "):
        with pytest.raises(TargetError, match="a pair"):
            Surv.from_pycox(bad)


def test_causes_and_status():
    y = Surv([1, 2, 3, 4], [1, 0, 1, 1], cause=["b", None, "a", "b"])
    assert y.causes == ["a", "b"]
    assert y.cause.tolist() == ["b", None, "a", "b"]
    assert y == y[[0, 1, 2, 3]] == pickle.loads(pickle.dumps(y))
    assert y.to_pycox()[1].tolist() == [2, 0, 1, 2]
    assert y[[0, 1]].causes == ["b"]
    assert Surv([1.0]).causes == []
    number = Surv([1, 2], [1, 0], cause=[7.0, np.nan])
    assert number.causes == [7.0]
    state = Surv.from_status([1, 2, 3, 4], ["b", "-", "a", "b"], censored="-")
    assert (state.event == y.event).all()
    assert state.causes == y.causes
    assert Surv.from_status([1, 2], [0, 3]).causes == [3]
    assert Surv.from_status([1, 2], ["a", "b"]).event.all()
    with pytest.raises(TargetError, match="status has 1 rows"):
        Surv.from_status([1, 2], [0])
    with pytest.raises(TargetError, match="status is missing in row 1"):
        Surv.from_status([1, 2], ["a", None])


def test_intervals_of_an_id():
    good = Surv([2, 5, 4], [0, 1, 1], entry=[0, 2, 0], id=["a", "a", "b"])
    assert len(good) == 3
    message = r"rows 0 and 2 of id 'a' cover \(0, 3\] and \(2, 5\] \(1 such pairs\)"
    with pytest.raises(TargetError, match=message):
        Surv([3, 4, 5], [0, 1, 1], entry=[0, 0, 2], id=["a", "b", "a"])
    with pytest.raises(TargetError, match="must not overlap"):  # a duplicate
        Surv([3, 3], [1, 1], entry=[0, 0], id=[1, 1])
    # side by side in strata: causes, or gap times
    Surv([3, 4], [1, 1], entry=[0, 0], id=[1, 1], strata=["first", "second"])
    # without entries an id may repeat: a cluster, or a bootstrap
    Surv([3, 3], [1, 1], id=[1, 1])
    assert len(good[[0, 0, 1]]) == 3


@given(
    st.lists(
        st.tuples(st.integers(0, 3), st.integers(0, 5), st.integers(1, 4)),
        min_size=1,
        max_size=8,
    )
)
def test_overlaps_are_found(rows):
    ids, entry, length = (np.array(v) for v in zip(*rows, strict=True))
    time = entry + length
    pairs = [
        (i, j)
        for i in range(len(ids))
        for j in range(i)
        if ids[i] == ids[j] and entry[i] < time[j] and entry[j] < time[i]
    ]
    if pairs:
        with pytest.raises(TargetError, match="must not overlap"):
            Surv(time, entry=entry, id=ids)
    else:
        Surv(time, entry=entry, id=ids)


# -- as an array of rows ------------------------------------------------------------


@given(st.data())
def test_indexing_is_numpys(data):
    y = full()
    n = len(y)
    key = data.draw(
        st.one_of(
            st.integers(-n, n - 1),
            st.slices(n),
            st.lists(st.integers(-n, n - 1), min_size=1),
            st.lists(st.booleans(), min_size=n, max_size=n),
        )
    )
    rows = np.atleast_1d(np.arange(n)[key])
    check_rows(y[key], y, rows)
    check_rows(y[key, ...], y, rows)  # scikit-learn's form


def test_indexing_by_other_kinds():
    y = full()
    for key in (np.array([2, 0]), pd.Series([2, 0]), pd.Index([2, 0])):
        check_rows(y[key], y, [2, 0])
    check_rows(y[pd.Series(y.event, index=range(100, 112))], y, y.event)
    assert len(y[[False] * 12]) == 0


@pytest.mark.parametrize("key", [12, -13, (slice(None), 0), "time", [[0, 1]]])
def test_indexing_outside(key):
    with pytest.raises(IndexError):
        full()[key]


def test_train_test_split():
    y = full()
    X = pd.DataFrame({"row": np.arange(12)})
    X1, X2, y1, y2 = train_test_split(X, y, random_state=0, stratify=y.event)
    check_rows(y1, y, X1["row"].to_numpy())
    check_rows(y2, y, X2["row"].to_numpy())


@pytest.mark.parametrize("splitter", [KFold(3), ShuffleSplit(3, random_state=0)])
def test_splitters(splitter):
    y = full()
    for train, test in splitter.split(np.zeros((12, 1)), y):
        check_rows(y[train], y, train)
        check_rows(y[test], y, test)


def test_group_splits_by_id():
    y = full()
    for train, test in GroupKFold(3).split(np.zeros((12, 1)), y, groups=y.id):
        assert not set(y[train].id) & set(y[test].id)


def test_shuffle_resample_and_length_checks():
    y, rows = full(), np.arange(12)
    check_consistent_length(rows, y)
    assert indexable(rows, y)[1] is y
    picked, order = shuffle(y, rows, random_state=0)
    check_rows(picked, y, order)
    picked, order = resample(y, rows, random_state=0)
    check_rows(picked, y, order)
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        check_consistent_length(rows[:-1], y)


class Keeps(BaseEstimator):
    """Checks that the target it gets is that of its rows."""

    def __init__(self, shift: float = 0.0) -> None:
        self.shift = shift

    def fit(self, X, y):
        check_rows(y, full(), X[:, 0])
        return self

    def predict(self, X):
        return X[:, 0] + self.shift

    def score(self, X, y):
        check_rows(y, full(), X[:, 0])
        return -abs(self.shift)


def test_cross_val_and_grid_search():
    X, y = np.arange(12)[:, None], full()
    assert cross_val_score(Keeps(), X, y, cv=3).tolist() == [0.0] * 3
    assert cross_val_predict(Keeps(), X, y, cv=3).tolist() == list(range(12))
    search = GridSearchCV(Keeps(), {"shift": [1.0, 0.5]}, cv=3).fit(X, y)
    assert search.best_params_ == {"shift": 0.5}
