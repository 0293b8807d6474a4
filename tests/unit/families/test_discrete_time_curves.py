"""Curves between the cuts."""

from __future__ import annotations

import numpy as np
import pytest

from semistruct.exceptions import DataError, ParameterError
from semistruct.families import (
    conditional_survival,
    interpolate_incidence,
    interpolate_survival,
)

CUTS = np.array([1.0, 2.0, 4.0])
CURVES = np.array([[0.9, 0.6, 0.2], [0.5, 0.5, 0.0]])
TIMES = np.array([0.0, 0.25, 1.0, 1.5, 3.0, 4.0, 7.0])
HOW = ("constant_density", "constant_hazard")


def literal(curve, t, how):
    """One value, by the definition."""
    if t >= CUTS[-1]:
        return curve[-1]
    ends, values = [0.0, *CUTS], [1.0, *curve]
    j = max(k for k in range(4) if ends[k] <= t)
    share = (t - ends[j]) / (ends[j + 1] - ends[j])
    if how == "constant_density":
        return values[j] - share * (values[j] - values[j + 1])
    if values[j + 1] == 0.0:
        return values[j] if share == 0 else 0.0
    return values[j] * np.exp(share * np.log(values[j + 1] / values[j]))


@pytest.mark.parametrize("how", HOW)
def test_interpolation_equals_the_definition(how):
    expected = [[literal(c, t, how) for t in TIMES] for c in CURVES]
    found = interpolate_survival(CUTS, CURVES, TIMES, how)
    np.testing.assert_allclose(found, expected, atol=1e-15)
    own = interpolate_survival(CUTS, CURVES, np.stack([TIMES, TIMES[::-1]]), how)
    np.testing.assert_allclose(own[0], expected[0], atol=1e-15)
    np.testing.assert_allclose(own[1], expected[1][::-1], atol=1e-15)


def test_linear_survival_is_numpys():
    knots = np.r_[0.0, CUTS]
    expected = [np.interp(TIMES, knots, np.r_[1.0, c]) for c in CURVES]
    np.testing.assert_allclose(interpolate_survival(CUTS, CURVES, TIMES), expected)


@pytest.mark.parametrize("how", HOW)
def test_conditional_survival(how):
    found = conditional_survival(CUTS, CURVES, TIMES, [0.5, 1.5], how)
    for i, given in enumerate((0.5, 1.5)):
        alive = literal(CURVES[i], given, how)
        expected = [
            1.0 if t <= given else literal(CURVES[i], t, how) / alive for t in TIMES
        ]
        np.testing.assert_allclose(found[i], expected, atol=1e-15)
    one = conditional_survival(CUTS, CURVES[:1], TIMES, 0.5, how)
    np.testing.assert_array_equal(one, found[:1])


def test_incidence_is_linear_from_zero():
    incidence = np.stack([0.4 * (1 - CURVES), 0.6 * (1 - CURVES)])
    found = interpolate_incidence(CUTS, incidence, TIMES)
    assert found.shape == (2, 2, len(TIMES))
    for c in range(2):
        for i in range(2):
            expected = np.interp(TIMES, np.r_[0, CUTS], np.r_[0, incidence[c, i]])
            np.testing.assert_allclose(found[c, i], expected, atol=1e-15)
    total = found.sum(axis=0) + interpolate_survival(CUTS, CURVES, TIMES)
    np.testing.assert_allclose(total, 1.0)


def test_what_is_refused():
    with pytest.raises(DataError, match=r"cuts of shape \(2,\) .* \(n, J\)"):
        interpolate_survival(CUTS[:2], CURVES, TIMES)
    with pytest.raises(DataError, match=r"\(C, n, J\)"):
        interpolate_incidence(CUTS, CURVES, TIMES)
    with pytest.raises(DataError, match="at least 0; number 1 is -1"):
        interpolate_survival(CUTS, CURVES, [1.0, -1.0])
    with pytest.raises(DataError, match="number 0 is nan"):
        interpolate_survival(CUTS, CURVES, [np.nan])
    with pytest.raises(DataError, match=r"need \(t,\) or \(2, t\)"):
        interpolate_survival(CUTS, CURVES, np.ones((3, 1)))
    with pytest.raises(ParameterError, match="Did you mean 'constant_hazard'"):
        interpolate_survival(CUTS, CURVES, TIMES, "constant_hazards")
    with pytest.raises(DataError, match="row 1 has survival 0 at its given time 4"):
        conditional_survival(CUTS, CURVES, [5.0], 4.0)
    with pytest.raises(DataError, match="given has shape"):
        conditional_survival(CUTS, CURVES, [5.0], [1.0, 1.0, 1.0])
