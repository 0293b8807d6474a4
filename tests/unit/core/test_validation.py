"""Checks of parameters: what passes, and what the message says when it does not."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from semistruct._core.validation import (
    check_bool,
    check_choice,
    check_number,
    suggest,
)
from semistruct.exceptions import ParameterError

WHO = {"parameter": "p", "owner": "Owner"}


@pytest.mark.parametrize(
    ("name", "known", "expected"),
    [
        ("agee", ["age", "bmi"], " Did you mean 'age'?"),
        ("AGE", ["age"], " Did you mean 'age'?"),
        ("Bmi2", ["BMI_2"], " Did you mean 'BMI_2'?"),
        ("zzz", ["age", "bmi"], ""),
        ("x", [], ""),
        ("colum_1", iter(["column_1"]), " Did you mean 'column_1'?"),
        ("12", [11, 12], " Did you mean '12'?"),  # columns may be numbers
    ],
)
def test_suggest(name, known, expected):
    assert suggest(name, known) == expected


@pytest.mark.parametrize(
    ("value", "allowed"),
    [
        ("a", ["a", "b"]),
        (np.str_("a"), ["a", "b"]),  # from a grid that is an array
        (None, ["a", None]),
        (True, [True]),
        (2, (1, 2)),
    ],
)
def test_check_choice_passes(value, allowed):
    check_choice(value, allowed, **WHO)


@pytest.mark.parametrize(
    ("value", "allowed"),
    [
        (True, [1, 2]),
        (1, [True]),
        (1.0, [1]),
        (None, ["a"]),
        (np.array(["a", "b"]), ["a"]),
        ({"a"}, ["a"]),
    ],
)
def test_check_choice_refuses(value, allowed):
    with pytest.raises(ParameterError, match=r"'p' of Owner must be one of .*; got"):
        check_choice(value, allowed, **WHO)


def test_check_choice_suggests_the_nearest():
    with pytest.raises(ParameterError) as info:
        check_choice("cosin", iter(["cosine", "step"]), **WHO)
    assert str(info.value) == (
        "The parameter 'p' of Owner must be one of 'cosine', 'step'; got 'cosin'. "
        "Did you mean 'cosine'?"
    )


def test_check_bool():
    check_bool(True, **WHO)
    check_bool(False, **WHO)
    for value in (1, 0, None, "True", np.True_):
        with pytest.raises(ParameterError, match="True or False; got"):
            check_bool(value, **WHO)


@pytest.mark.parametrize(
    ("value", "options"),
    [
        (0, {"low": 0}),
        (1, {"low": 0, "high": 1}),
        (0.0, {"low": 0, "high": 1, "closed": "left"}),
        (1.0, {"low": 0, "high": 1, "closed": "right"}),
        (0.5, {"low": 0, "high": 1, "closed": "neither"}),
        (np.float32(0.5), {}),
        (np.int64(3), {"integer": True}),
        (Fraction(1, 2), {"high": 1}),
        (10**400, {"integer": True}),  # beyond the range of floats
        (None, {"none": True}),
    ],
)
def test_check_number_passes(value, options):
    check_number(value, **WHO, **options)


@pytest.mark.parametrize(
    ("value", "options", "allowed"),
    [
        (-1, {"low": 0}, "a number in [0, inf)"),
        (2, {"low": 0, "high": 1}, "a number in [0, 1]"),
        (1.0, {"low": 0, "high": 1, "closed": "left"}, "a number in [0, 1)"),
        (0.0, {"low": 0, "high": 1, "closed": "right"}, "a number in (0, 1]"),
        (0, {"low": 0, "high": 1, "closed": "neither"}, "a number in (0, 1)"),
        (1, {"low": 0, "high": 1, "closed": "neither"}, "a number in (0, 1)"),
        (math.inf, {}, "a number in (-inf, inf)"),
        (-math.inf, {"high": 1}, "a number in (-inf, 1]"),
        (math.nan, {}, "a number in (-inf, inf)"),
        (2.0, {"integer": True, "low": 1}, "an integer in [1, inf)"),
        (True, {}, "a number in (-inf, inf)"),
        (np.True_, {}, "a number in (-inf, inf)"),
        ("3", {"none": True, "low": 0}, "a number in [0, inf) or None"),
        (None, {}, "a number in (-inf, inf)"),
        (1j, {}, "a number in (-inf, inf)"),
        (np.array([1.0]), {}, "a number in (-inf, inf)"),
    ],
)
def test_check_number_refuses(value, options, allowed):
    with pytest.raises(ParameterError) as info:
        check_number(value, **WHO, **options)
    assert info.value.allowed == allowed
    assert info.value.given is value


@given(
    st.floats(allow_nan=False),
    st.floats(-10, 10),
    st.floats(0, 10),
    st.sampled_from(["both", "left", "right", "neither"]),
)
def test_check_number_is_membership_of_the_interval(value, low, width, closed):
    high = low + width
    inside = low < value < high
    inside |= value == low and closed in ("both", "left") and value <= high
    inside |= value == high and closed in ("both", "right") and value >= low
    if low == high:
        inside = value == low and closed == "both"
    try:
        check_number(value, **WHO, low=low, high=high, closed=closed)
    except ParameterError:
        assert not inside
    else:
        assert inside
