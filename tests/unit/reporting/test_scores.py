"""Scores of reports against scikit-learn, statsmodels and literal loops."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn import metrics as reference
from statsmodels.stats.proportion import proportion_confint

import semistruct as ss
from semistruct.reporting._scores import (
    binned_risk,
    horizon,
    proportions,
    resampled,
    score_classes,
    score_numbers,
    score_survival,
)

OPTIONS = {"n_boot": 20, "level": 0.95, "random_state": 0}


def test_numbers_are_those_of_scikit_learn():
    rng = np.random.default_rng(0)
    y, weight = rng.normal(size=50), rng.uniform(0.5, 2, 50)
    mean = y + rng.normal(size=50)
    table = score_numbers(y, mean, weight, **OPTIONS)["estimate"]
    given = {"sample_weight": weight}
    assert table["R²"] == pytest.approx(reference.r2_score(y, mean, **given))
    assert table["root mean squared error"] == pytest.approx(
        reference.root_mean_squared_error(y, mean, **given)
    )
    assert table["mean absolute error"] == pytest.approx(
        reference.mean_absolute_error(y, mean, **given)
    )


def test_two_classes_are_those_of_scikit_learn():
    rng = np.random.default_rng(1)
    p = rng.uniform(size=80).round(1)  # with ties
    code = (rng.uniform(size=80) < p).astype(int)
    table = score_classes(code, np.column_stack([1 - p, p]), **OPTIONS)["estimate"]
    assert table["area under the ROC curve"] == pytest.approx(
        reference.roc_auc_score(code, p)
    )
    assert table["Brier score"] == pytest.approx(reference.brier_score_loss(code, p))
    assert table["accuracy"] == pytest.approx(np.mean((p > 0.5) == code))


def test_three_classes_are_those_of_scikit_learn():
    rng = np.random.default_rng(2)
    p = rng.dirichlet([1, 1, 1], size=60)
    code = np.array([rng.choice(3, p=row) for row in p])
    table = score_classes(code, p, **OPTIONS)["estimate"]
    assert table["log loss"] == pytest.approx(reference.log_loss(code, p))
    assert table["Brier score"] == pytest.approx(
        np.mean(
            [
                (row - np.eye(3)[c]) @ (row - np.eye(3)[c])
                for row, c in zip(p, code, strict=True)
            ]
        )
    )
    assert "area under the ROC curve" not in table


def test_bootstrap_interval_of_a_mean_has_its_theoretical_width():
    y = np.random.default_rng(3).normal(size=400)
    table = resampled({"mean": np.mean}, (y,), 2000, 0.9, 0)
    width = table.loc["mean", "upper"] - table.loc["mean", "lower"]
    assert width == pytest.approx(2 * 1.645 * y.std() / 20, rel=0.08)
    assert table.loc["mean", "lower"] < y.mean() < table.loc["mean", "upper"]


def test_resamples_without_a_value_are_left_out():
    code = np.array([0] * 6 + [1])  # a third of the resamples has no case
    p = np.linspace(0.1, 0.9, 7)
    table = score_classes(code, np.column_stack([1 - p, p]), **OPTIONS)
    limits = table.loc["area under the ROC curve", ["lower", "upper"]]
    assert np.isfinite(limits.astype(float)).all()


def test_proportions_are_wilsons():
    count, n = np.array([0, 3, 10]), np.array([10, 10, 10])
    lower, upper = proportions(count, n, 1.959963984540054)
    low, high = proportion_confint(count, n, method="wilson")
    np.testing.assert_allclose(lower, low, atol=1e-12)
    np.testing.assert_allclose(upper, high, atol=1e-12)


def test_groups_of_risk_against_a_literal_loop():
    rng = np.random.default_rng(4)
    risk = rng.uniform(size=100).round(1)
    event = rng.uniform(size=100) < risk
    table = binned_risk(event, risk, 1.96, bins=5)
    cuts = np.unique(np.quantile(risk, [0.2, 0.4, 0.6, 0.8]))
    edges = [-np.inf, *cuts, np.inf]
    for row, low, high in zip(table.itertuples(), edges[:-1], edges[1:], strict=True):
        own = [i for i in range(100) if low < risk[i] <= high]
        assert row.n == len(own)
        assert row.predicted == pytest.approx(np.mean(risk[own]))
        assert row.observed == pytest.approx(np.mean(event[own]))


def test_survival_scores_are_those_of_the_metrics():
    X, y = ss.datasets.load_rossi()
    model = ss.SemiStructuredSurvival("fin + age + prio").fit(X[:300], y[:300])
    new, target = X[300:], y[300:]
    curves = model.predict_survival_function(new)
    table = score_survival(
        target, model.predict(new), curves, model.censoring_, level=0.95
    )
    assert table.loc["Harrell's C", "estimate"] == model.score(new, target)
    names = " ".join(table.index)
    assert "Uno" in names
    assert "Brier" in names
    assert (table["lower"] < table["estimate"]).all()
    assert (table["estimate"] < table["upper"]).all()


def test_horizon_is_an_event_time_that_leaves_rows_at_risk():
    rng = np.random.default_rng(5)
    y = ss.Surv(rng.exponential(size=200), rng.uniform(size=200) < 0.5)
    time = horizon(y)
    assert time in y.time[y.event]
    assert np.mean(y.time >= time) >= 0.1
    assert horizon(ss.Surv([1.0, 2.0, 3.0], [1, 0, 0])) is None
