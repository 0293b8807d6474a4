"""Interval censoring in the survival target, and who refuses it."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pandas as pd
import pytest
from sklearn.model_selection import train_test_split

import semistruct as ss
from semistruct._core.surv import Surv
from semistruct.exceptions import TargetError

LOWER = [0.0, np.nan, 2.0, 4.0, 6.0, 5.0]
UPPER = [3.0, 1.0, 3.5, 4.0, np.inf, np.nan]
KINDS = ["left", "left", "interval", "exact", "right", "right"]


def make(**fields) -> Surv:
    return Surv.interval(LOWER, UPPER, **fields)


def test_the_convention_of_missing_ends():
    y = make()
    assert y.kind.tolist() == KINDS
    assert y.time.tolist() == [0, 0, 2, 4, 6, 5]
    assert y.upper.tolist() == [3, 1, 3.5, 4, np.inf, np.inf]
    assert y.event.tolist() == [True, True, True, True, False, False]
    expected = np.column_stack([np.zeros(6), y.time, y.upper])
    np.testing.assert_array_equal(y.bounds(), expected)


@pytest.mark.parametrize("kind", [list, np.array, pd.Series, tuple])
def test_kinds_of_input(kind):
    assert Surv.interval(kind(LOWER), kind(UPPER)) == make()


def test_missing_values_of_pandas():
    y = Surv.interval(
        pd.Series([1, None], dtype="Int64"), pd.array([None, 2], dtype="Float64")
    )
    assert y.bounds().tolist() == [[0, 1, np.inf], [0, 0, 2]]
    assert Surv.interval([1.0, None], [None, 2.0]) == y


def test_a_right_censored_target_has_bounds_too():
    y = Surv([5.0, 8.0], [1, 0], entry=[1.0, 2.0])
    assert y.kind.tolist() == ["exact", "right"]
    assert y.bounds().tolist() == [[1, 5, 5], [2, 8, np.inf]]
    assert y.upper is None


def test_rows_equality_copies_and_words():
    y = make(weights=np.arange(6.0))
    part = y[[4, 2, 0]]
    assert part.kind.tolist() == ["right", "interval", "left"]
    assert part.upper.tolist() == [np.inf, 3.5, 3]
    assert y[np.arange(6) < 2].kind.tolist() == ["left", "left"]
    assert y == make(weights=np.arange(6.0))
    assert y != make()
    assert y != Surv(y.time, y.event, weights=np.arange(6.0))
    for same in (copy.copy(y), copy.deepcopy(y), pickle.loads(pickle.dumps(y))):
        assert same == y
    assert repr(make()) == "Surv(n=6, events=4, time=[0, 6], upper)"
    train, test = train_test_split(y, test_size=2, random_state=0)
    assert len(train) == 4
    assert len(test) == 2
    assert train.upper is not None
    array = np.asarray(y)
    assert array.dtype.names == ("event", "time", "upper")
    assert array["upper"].tolist() == y.upper.tolist()


def test_tables():
    y = make(entry=[0, 0, 1, 1, 1, 0])
    frame = y.to_frame(time="from", upper="to")
    again = Surv.from_frame(frame, "from", "event", upper="to", entry="entry")
    assert again == y
    raw = pd.DataFrame({"from": LOWER, "to": UPPER})
    assert Surv.from_frame(raw, "from", upper="to") == make()


def test_entry_may_be_where_an_interval_begins():
    y = Surv.interval([2.0, 2.0], [3.0, 2.0], entry=[2.0, 1.0])
    assert y.entry.tolist() == [2, 1]
    for lower, upper in [(2.0, 2.0), (2.0, np.inf), (1.0, 3.0)]:
        with pytest.raises(TargetError, match="entry must lie before time; row 0"):
            Surv.interval([lower], [upper], entry=[2.0])


def test_rows_of_an_id_may_not_overlap():
    entry, ids = [0.0, 2.5], ["a", "a"]
    with pytest.raises(TargetError, match="overlap"):
        Surv.interval([2.0, 4.0], [3.0, np.inf], entry=entry, id=ids)
    Surv.interval([2.0, 4.0], [2.5, np.inf], entry=entry, id=ids)


@pytest.mark.parametrize(
    ("lower", "upper", "words"),
    [
        ([1.0, 3.0], [1.0, 2.0], "row 1 has 3 and 2"),
        ([1.0, 0.0], [1.0, 0.0], "row 1 has 0 and 0"),
        ([1.0, -1.0], [1.0, 2.0], "time must be finite and not negative; row 1"),
        ([1.0, np.inf], [1.0, np.inf], "row 1"),
        ([1.0, 2.0], [1.0], "upper has 1 rows"),
        ([1.0, 2.0], ["a", "b"], "upper must be numbers"),
    ],
)
def test_bad_ends_are_named(lower, upper, words):
    with pytest.raises(TargetError, match=words):
        Surv.interval(lower, upper)


def test_an_event_that_contradicts_the_ends_is_named():
    with pytest.raises(TargetError, match=r"contradict.*row 1 has event True"):
        Surv([1.0, 2.0], [1, 1], upper=[3.0, np.inf])
    assert Surv([1.0, 2.0], [1, 0], upper=[3.0, np.inf]).event.tolist() == [True, False]


# -- nobody ignores the upper end ---------------------------------------------------


def test_coerce_refuses_unless_told():
    y = make()
    assert Surv.coerce(y, interval=True) is y
    with pytest.raises(TargetError, match=r"row 0 lies between 0 and 3.*parametric"):
        Surv.coerce(y)
    # nothing would be lost: events are exact or not seen
    exact = y[3:]
    assert Surv.coerce(exact) is exact


def test_a_late_row_is_named():
    with pytest.raises(TargetError, match=r"row 1 lies between 2 and 3.5 \(1 such"):
        make()[[3, 2, 4]].refuse_interval("Model")


@pytest.mark.parametrize(
    "use", [list, Surv.to_structured, Surv.to_pycox], ids=["list", "sksurv", "pycox"]
)
def test_forms_without_an_upper_end_are_refused(use):
    with pytest.raises(TargetError, match="lies between"):
        use(make())
    assert len(use(make()[3:])) in (2, 3)


def test_other_heads_and_metrics_refuse():
    y = make()
    risk = np.arange(6.0)
    with pytest.raises(TargetError, match="lies between"):
        ss.SemiStructuredSurvival("x").fit(pd.DataFrame({"x": risk}), y)
    with pytest.raises(TargetError, match="lies between"):
        ss.metrics.concordance_index(y, risk)
    with pytest.raises(TargetError, match="lies between"):
        ss.metrics.CensoringDistribution.fit(y)
