"""scikit-learn's own estimator checks; each expected failure carries its reason."""

from __future__ import annotations

import pytest
from sklearn.utils.estimator_checks import parametrize_with_checks

import semistruct as ss

EXPECTED_FAILURES = {
    "check_sample_weight_equivalence_on_dense_data": (
        "The check fits 30 columns to 15 rows. Without a penalty their coefficients "
        "are not determined, so fewer rows than columns is a named error; that weights "
        "are repetition is tested in tests/unit/estimators/test_exact.py."
    ),
}


@parametrize_with_checks(
    [
        ss.GAM(),
        ss.SemiStructuredRegressor(),
        ss.SemiStructuredClassifier(),
        ss.SemiStructuredSurvival(),
    ],
    expected_failed_checks=lambda estimator: EXPECTED_FAILURES,
)
@pytest.mark.filterwarnings("ignore:.*separation:sklearn.exceptions.ConvergenceWarning")
@pytest.mark.filterwarnings("ignore:.*monotone:sklearn.exceptions.ConvergenceWarning")
def test_estimator_checks(estimator, check):
    check(estimator)
