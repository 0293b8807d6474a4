"""Small data on real scans, and the three estimators side by side."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import pytest

import semistruct as ss

TABLE = "age + C(stage) + s(bmi, k=6)"
SCAN = TABLE + " + image(scan)"


@dataclass(frozen=True)
class Case:
    """One estimator with a target that suits it."""

    name: str
    X: pd.DataFrame
    y: Any

    def make(self, terms: Any = SCAN, **params: Any) -> Any:
        params = {"training": quick(), "random_state": 0, **params}
        return getattr(ss, self.name)(terms, **params)


def quick(**options: Any) -> ss.Training:
    return ss.Training(**{"max_epochs": 3, "learning_rate": 5e-3, **options})


def classes(n_classes: int, truth: dict[str, Any], seed: int = 0) -> np.ndarray:
    """Labels whose log-odds are those of the regression's predictor, centred."""
    eta = truth["linear_predictor"] - truth["linear_predictor"].mean()
    noisy = eta + np.random.default_rng(seed).logistic(size=len(eta))
    cuts = np.quantile(noisy, np.arange(1, n_classes) / n_classes)
    return np.array(list("abcdef"))[np.searchsorted(cuts, noisy)]


def make_case(name: str, n: int = 240, **options: Any) -> Case:
    options = {"random_state": 7, "return_truth": True, **options}
    if name == "SemiStructuredSurvival":
        X, y, _ = ss.datasets.make_survival_digits(n, **options)
        return Case(name, X, y)
    X, y, truth = ss.datasets.make_regression_digits(n, **options)
    if name == "SemiStructuredClassifier":
        y = classes(2, truth)
    return Case(name, X, y)


NAMES = (
    "SemiStructuredRegressor",
    "SemiStructuredClassifier",
    "SemiStructuredSurvival",
)


@pytest.fixture(params=NAMES)
def case(request: pytest.FixtureRequest) -> Case:
    return make_case(request.param)


@pytest.fixture
def regression() -> Case:
    return make_case("SemiStructuredRegressor")


@pytest.fixture
def classification() -> Case:
    return make_case("SemiStructuredClassifier")


@pytest.fixture
def survival() -> Case:
    return make_case("SemiStructuredSurvival")
