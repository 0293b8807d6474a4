"""Curves of piecewise constant hazards against numerical integration."""

import numpy as np
import pytest
from scipy import integrate

from semistruct.design import DenseDesign
from semistruct.exceptions import DataError
from semistruct.inference import (
    piecewise_cumulative_hazard,
    piecewise_cumulative_hazard_error,
    piecewise_cumulative_incidence,
    piecewise_survival,
)

CUTS = np.array([0.5, 1.5, 1.75, 4.0])
STARTS = np.array([0.0, 0.5, 1.5, 1.75])
TIMES = np.array([-1.0, 0.0, 0.2, 0.5, 1.0, 1.5, 1.6, 3.3, 4.0])


@pytest.fixture
def hazards():
    """Three causes of two rows; nothing happens in one interval of the first row."""
    rates = np.random.default_rng(0).uniform(0.0, 0.8, (3, 2, 4))
    rates[:, 0, 1] = 0.0
    rates[1, 1] = 0.0
    return rates


def at(rates, u):
    return rates[np.searchsorted(CUTS, u)]


def integral(function, end):
    stops = [c for c in CUTS if c < end]
    return integrate.quad(function, 0.0, end, points=stops or None, epsabs=1e-11)[0]


def test_cumulative_hazard_and_survival(hazards):
    total = hazards.sum(axis=0)
    found = piecewise_cumulative_hazard(total, STARTS, CUTS, TIMES)
    for i, rates in enumerate(total):
        for k, end in enumerate(TIMES):
            expected = integral(lambda u, r=rates: at(r, u), end) if end > 0 else 0.0
            assert found[i, k] == pytest.approx(expected, abs=1e-9)
    survival = piecewise_survival(total, STARTS, CUTS, TIMES)
    np.testing.assert_allclose(survival, np.exp(-found), rtol=1e-15)
    np.testing.assert_array_equal(survival[:, :2], 1.0)


def test_cumulative_incidence(hazards):
    found = piecewise_cumulative_incidence(hazards, STARTS, CUTS, TIMES)
    total = hazards.sum(axis=0)
    for c in range(3):
        for i in range(2):

            def density(u, c=c, i=i):
                survival = piecewise_survival(total[[i]], STARTS, CUTS, [u])[0, 0]
                return at(hazards[c, i], u) * survival

            for k, end in enumerate(TIMES[2:], start=2):
                expected = integral(density, end)
                assert found[c, i, k] == pytest.approx(expected, abs=1e-9)
    survival = piecewise_survival(total, STARTS, CUTS, TIMES)
    np.testing.assert_allclose(found.sum(axis=0) + survival, 1.0, rtol=1e-14)
    np.testing.assert_array_equal(found[1, 1], 0.0)


def test_one_cause_is_one_minus_survival(hazards):
    found = piecewise_cumulative_incidence(hazards[:1], STARTS, CUTS, TIMES)
    survival = piecewise_survival(hazards[0], STARTS, CUTS, TIMES)
    np.testing.assert_allclose(found[0], 1.0 - survival, atol=1e-15)


def test_nothing_happens_between_intervals():
    found = piecewise_cumulative_hazard([[1.0, 2.0]], [0, 3], [1, 4], [1, 2, 3, 3.5])
    np.testing.assert_allclose(found, [[1.0, 1.0, 1.0, 2.0]])


@pytest.mark.parametrize("cells", [1, 1 << 20])
def test_error_of_the_cumulative_hazard(monkeypatch, cells):
    """By finite differences in the coefficients."""
    monkeypatch.setattr("semistruct.inference._piecewise.CELLS", cells)
    rng = np.random.default_rng(1)
    x = rng.normal(size=(3 * 4, 2))
    beta = np.array([0.3, -0.4])
    root = rng.normal(size=(2, 2))
    cov = root @ root.T

    def curve(coef):
        hazard = np.exp(x @ coef).reshape(3, 4)
        return piecewise_cumulative_hazard(hazard, STARTS, CUTS, TIMES)

    step = 1e-6
    slopes = [
        (curve(beta + step * e) - curve(beta - step * e)) / (2 * step)
        for e in np.eye(2)
    ]
    expected = np.sqrt(np.einsum("ant,ab,bnt->nt", slopes, cov, slopes))
    hazard = np.exp(x @ beta).reshape(3, 4)
    found = piecewise_cumulative_hazard_error(
        DenseDesign(x), hazard, cov, STARTS, CUTS, TIMES
    )
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize(
    ("hazard", "starts", "cuts", "times", "message"),
    [
        ([[1.0, 1.0]], [0, 1], [1, 2], [2.5], "the time 2.5 is after the last cut, 2"),
        ([[1.0, 1.0]], [0, 1], [1, 2], [np.nan], "times must be numbers"),
        ([[1.0, -1.0]], [0, 1], [1, 2], [1.0], r"at \(0, 1\) stands -1"),
        ([[1.0, np.inf]], [0, 1], [1, 2], [1.0], r"at \(0, 1\) stands inf"),
        ([[1.0]], [0, 1], [1, 2], [1.0], "1 intervals and the cuts 2"),
        ([1.0, 1.0], [0, 1], [1, 2], [1.0], r"must have shape \(n, J\)"),
        ([[1.0, 1.0]], [0, 1], [2, 1], [1.0], "must be in order"),
        ([[1.0, 1.0]], [0, 1], [2, 3], [1.0], "must be in order"),
    ],
)
def test_bad_input_is_a_named_error(hazard, starts, cuts, times, message):
    with pytest.raises(DataError, match=message):
        piecewise_survival(hazard, starts, cuts, times)
    with pytest.raises(DataError, match=r"piecewise_cumulative_incidence: "):
        piecewise_cumulative_incidence([hazard], starts, cuts, times)


def test_designs_that_do_not_fit():
    with pytest.raises(DataError, match="need a design of 2 rows"):
        piecewise_cumulative_hazard_error(
            DenseDesign(np.ones((3, 1))), [[1.0, 1.0]], [[1.0]], [0, 1], [1, 2], [1.0]
        )
