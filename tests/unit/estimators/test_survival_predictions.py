"""Summaries of predicted survival curves, and the censoring that scorers need."""

from __future__ import annotations

import lifelines
import numpy as np
import pandas as pd
import pytest
from sklearn.model_selection import cross_val_score

import semistruct as ss

FORMULA = "fin + age + prio"


@pytest.fixture(scope="module")
def rossi():
    X, y = ss.datasets.load_rossi()
    return X, y, ss.SemiStructuredSurvival(FORMULA).fit(X, y)


def test_quantiles_are_where_the_curves_fall(rossi):
    X, _, model = rossi
    rows = X.iloc[:40]
    curves = model.predict_survival_function(rows)
    times = model.predict_quantile(rows, [0.1, 0.3])
    for j, p in enumerate((0.1, 0.3)):
        for i, time in enumerate(times.iloc[:, j]):
            fallen = curves.times[curves.values[i] <= 1 - p + 1e-9]
            assert time == (fallen[0] if len(fallen) else np.inf)
    assert times.index.equals(rows.index)


def test_quantiles_against_lifelines(rossi):
    X, y, model = rossi
    table = X[["fin", "age", "prio"]].assign(t=y.time, d=y.event)
    other = lifelines.CoxPHFitter().fit(table, "t", "d")
    expected = other.predict_percentile(X.iloc[:40], p=0.8).to_numpy()
    ours = model.predict_quantile(X.iloc[:40], 0.2).to_numpy()[:, 0]
    # lifelines' baseline is Breslow's: a time may be one step away
    assert np.mean(expected == ours) > 0.9


def test_restricted_mean_is_the_area_under_the_curve(rossi):
    X, _, model = rossi
    curves = model.predict_survival_function(X.iloc[:5])
    grid = np.linspace(0, 40, 400_001)[:-1]
    area = curves(grid).mean(axis=1) * 40
    means = model.predict_restricted_mean(X.iloc[:5], 40.0)
    assert means.to_numpy() == pytest.approx(area, abs=1e-3)


def test_scorers_use_the_censoring_of_the_training_rows(rossi, tmp_path):
    X, y, model = rossi
    expected = ss.metrics.CensoringDistribution.fit(y)
    at = np.array([10.0, 40.0, 51.0])
    np.testing.assert_array_equal(model.censoring_(at), expected(at))
    model.save(tmp_path / "model")
    again = ss.load(tmp_path / "model")
    np.testing.assert_array_equal(again.censoring_(at), expected(at))
    score = ss.metrics.scorer("uno")
    assert score(again, X, y) == score(model, X, y)


@pytest.mark.parametrize("name", ["harrell", "uno", "ibs"])
def test_scorers_in_cross_validation(rossi, name):
    X, y, _ = rossi
    scores = cross_val_score(
        ss.SemiStructuredSurvival(FORMULA), X, y, scoring=ss.metrics.scorer(name), cv=3
    )
    constant = {"harrell": 0.5, "uno": 0.5, "ibs": -0.25}[name]
    assert np.all(np.isfinite(scores))
    assert scores.mean() > constant


def test_weights_of_the_score_are_repetition(rossi):
    X, y, model = rossi
    weight = np.arange(len(X)) % 3
    rows = np.repeat(np.arange(len(X)), weight)
    repeated = model.score(X.iloc[rows], y[rows])
    assert model.score(X, y, sample_weight=weight) == pytest.approx(repeated, abs=1e-2)
    assert isinstance(model.predict_quantile(X.iloc[:2]), pd.DataFrame)
