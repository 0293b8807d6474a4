"""The corrected resampled t-test is Nadeau and Bengio's formula."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from semistruct.estimators import corrected_resampled_ttest
from semistruct.exceptions import DataError, ParameterError


def test_the_corrected_test_is_the_formula() -> None:
    d = np.array([0.03, -0.01, 0.05, 0.02, 0.04])
    found = corrected_resampled_ttest(d, 80, 20, level=0.9)
    se = np.sqrt((1 / 5 + 20 / 80) * np.sum((d - d.mean()) ** 2) / 4)
    t = d.mean() / se
    assert found.se == pytest.approx(se)
    assert found.statistic == pytest.approx(t)
    assert found.p_value == pytest.approx(2 * (1 - stats.t.cdf(abs(t), 4)))
    reach = stats.t.ppf(0.95, 4) * se
    assert found.lower == pytest.approx(d.mean() - reach)
    assert found.upper == pytest.approx(d.mean() + reach)
    plain = stats.ttest_1samp(d, 0.0).pvalue
    assert found.p_value > plain
    # with hardly any test rows it is the plain test
    few = corrected_resampled_ttest(d, 1e9, 1e-3)
    assert few.p_value == pytest.approx(plain)


def test_the_same_difference_each_time_has_no_variance() -> None:
    assert corrected_resampled_ttest([0.0, 0.0], 8, 2).p_value == 1.0
    same = corrected_resampled_ttest([0.5, 0.5], 8, 2)
    assert (same.p_value, same.statistic, same.lower) == (0.0, np.inf, 0.5)


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (([0.1], 8, 2), "two finite differences"),
        (([0.1, np.nan], 8, 2), "two finite differences"),
        (([0.1, 0.2], 0, 2), "n_train"),
        (([0.1, 0.2], 8, -2), "n_test"),
        (([0.1, 0.2], 8, 2, 1.5), "level"),
    ],
)
def test_what_the_corrected_test_cannot_take(args, words) -> None:
    with pytest.raises((DataError, ParameterError), match=words):
        corrected_resampled_ttest(*args)
