"""Quantiles, restricted means and conditional survival of step functions."""

import numpy as np
import pytest

from semistruct import StepFunction
from semistruct.exceptions import DataError, ParameterError
from semistruct.inference import (
    conditional_survival,
    median_survival,
    restricted_mean,
    survival_quantile,
)


def curves(n=20, m=15, seed=0):
    rng = np.random.default_rng(seed)
    times = np.sort(rng.uniform(0, 10, m))
    values = np.cumprod(rng.uniform(0.7, 1.0, (n, m)), axis=1)
    return StepFunction(times, values, index=[f"r{i}" for i in range(n)])


def test_quantiles_are_the_first_time_at_or_below():
    curve = curves()
    probabilities = [0.1, 0.5, 0.9]
    found = survival_quantile(curve, probabilities)
    assert list(found.columns) == ["0.1", "0.5", "0.9"]
    assert list(found.index) == list(curve.index)
    for i in range(len(curve)):
        for p in probabilities:
            times = [
                t
                for t, s in zip(curve.times, curve.values[i], strict=True)
                if 1 - s >= p
            ]
            expected = min(times, default=np.inf)
            assert found.loc[f"r{i}", f"{p:g}"] == expected
    assert median_survival(curve).tolist() == found["0.5"].tolist()
    assert np.isinf(found["0.9"]).any()


def test_a_quantile_is_met_despite_rounding():
    curve = StepFunction([1.0, 2.0, 3.0], [[0.9, 0.8, 0.7 + 1e-15]])
    assert survival_quantile(curve, 0.3).loc[0, "0.3"] == 3.0
    assert survival_quantile(StepFunction([], [[]]), 0.5).loc[0, "0.5"] == np.inf


def test_restricted_mean_is_the_integral():
    curve = curves()
    grid = np.linspace(1.5, 8.0, 200_001)
    middle = 0.5 * (grid[1:] + grid[:-1])
    expected = curve(middle).mean(axis=1) * 6.5
    found = restricted_mean(curve, 8.0, start=1.5)
    np.testing.assert_allclose(found, expected, rtol=1e-4)
    flat = StepFunction([5.0], [[0.5]])
    assert restricted_mean(flat, 4.0).tolist() == [4.0]
    assert restricted_mean(flat, 9.0).tolist() == [7.0]
    assert restricted_mean(flat, 5.0).tolist() == [5.0]


def test_conditional_survival():
    curve = curves()
    since = np.linspace(0, 6, len(curve))
    found = conditional_survival(curve, since)
    times = np.linspace(0, 12, 50)
    for i, s in enumerate(since):
        base = curve([s])[i, 0]
        expected = [1.0 if t <= s else curve([t])[i, 0] / base for t in times]
        np.testing.assert_allclose(found(times)[i], expected, rtol=1e-12)
    assert list(found.index) == list(curve.index)
    same = conditional_survival(curve, 0.0)
    np.testing.assert_array_equal(same.values, curve.values)


def test_errors():
    curve = StepFunction([1.0, 2.0], [[0.5, 0.0]])
    with pytest.raises(DataError, match="survival of row 0 is 0 at 2"):
        conditional_survival(curve, 2.0)
    with pytest.raises(DataError, match="given is nan in row 0"):
        conditional_survival(curve, np.nan)
    with pytest.raises(DataError, match="given has shape"):
        conditional_survival(curve, [1.0, 2.0])
    with pytest.raises(ParameterError, match="probability"):
        survival_quantile(curve, [0.5, 1.0])
    with pytest.raises(ParameterError, match="horizon"):
        restricted_mean(curve, 1.0, start=2.0)
