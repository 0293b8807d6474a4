"""Shapley values of modalities, and the waterfall of a row."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pandas as pd
import pytest

import semistruct as ss
from semistruct.attribution import modality_shapley, modality_shapley_score, waterfall
from semistruct.attribution._shapley import shapley
from semistruct.exceptions import DataError, ParameterError

QUICK = ss.Training(max_epochs=4, learning_rate=5e-3)
TERMS = "age + s(bmi, k=6) + image(scan) + omics('g*')"


def table(n=160):
    X, y, truth = ss.datasets.make_regression_digits(
        n, random_state=7, return_truth=True
    )
    rng = np.random.default_rng(0)
    genes = rng.normal(size=(n, 4))
    X = X.assign(**{f"g{j}": genes[:, j] for j in range(4)})
    return X, y + genes[:, 0], truth["linear_predictor"] + genes[:, 0]


@pytest.fixture(scope="module")
def regression():
    X, y, _ = table()
    model = ss.SemiStructuredRegressor(TERMS, training=QUICK, random_state=0).fit(X, y)
    return model, X, y


@pytest.fixture(scope="module")
def classification():
    X, _, eta = table()
    y = np.where(eta > np.median(eta), "ill", "well")
    noise = np.random.default_rng(1).random(len(y)) < 0.2
    y = np.where(noise, y[::-1], y)
    return (
        ss.SemiStructuredClassifier(TERMS, training=QUICK, random_state=0).fit(X, y),
        X,
        y,
    )


def literal(worth, players):
    """Mean marginal worth over all orders in which the players can come."""
    out = np.zeros(players)
    for order in itertools.permutations(range(players)):
        present = 0
        for player in order:
            out[player] += worth[present | (1 << player)] - worth[present]
            present |= 1 << player
    return out / math.factorial(players)


@pytest.mark.parametrize("players", [1, 2, 3, 5])
def test_the_values_are_those_over_all_orders(players):
    worth = np.random.default_rng(players).normal(size=(2**players, 3))
    expected = [literal(column, players) for column in worth.T]
    np.testing.assert_allclose(shapley(worth), expected, atol=1e-12)


def test_in_a_linear_predictor_they_are_the_terms(regression):
    model, X, _ = regression
    found = modality_shapley(model, X[:7])
    terms = model.predict_terms(X[:7])
    for label in ("image(scan)", "omics(g*)"):
        assert label in found.values
        np.testing.assert_allclose(found.values[label], terms[label], atol=1e-6)
    np.testing.assert_allclose(found.full, model.predict(X[:7]), atol=1e-6)
    total = found.empty + found.values.sum(axis=1)
    np.testing.assert_allclose(total, found.full, atol=1e-9)


def coalition(model, X, structured, scan, genes):
    """A probability from the definition: typical columns, terms left out."""
    profile = model.profile_
    own = X.copy()
    typical = {c: profile[c]["typical"] for c in ("age", "bmi")}
    terms = model.predict_terms(own)
    fixed = model.predict_terms(own.assign(**typical))
    names = [n for n in terms if not n.startswith(("image", "omics"))]
    eta = (terms if structured else fixed)[names].sum(axis=1)
    eta = eta + scan * terms["image(scan)"] + genes * terms["omics(g*)"]
    return 1.0 / (1.0 + np.exp(-eta.to_numpy()))


def test_in_a_probability_they_are_those_of_every_coalition(classification):
    model, X, _ = classification
    rows = X[:6]
    found = modality_shapley(model, rows)
    worth = np.stack(
        [coalition(model, rows, s & 1, (s >> 1) & 1, (s >> 2) & 1) for s in range(8)]
    )
    expected = [literal(column, 3) for column in worth.T]
    np.testing.assert_allclose(found.values, expected, atol=1e-6)
    np.testing.assert_allclose(found.full, model.predict_proba(rows)[:, 1], atol=1e-7)
    assert found.explained == "probability of well"
    np.testing.assert_allclose(found.mean_abs(), np.abs(expected).mean(axis=0))


@pytest.mark.parametrize(
    "head", ["cox", "weibull", ss.heads.PAMM(cuts=6), ss.heads.Discrete(cuts=4)]
)
def test_curves_can_be_shared_out(head):
    X, y = ss.datasets.make_survival_digits(150, random_state=3)
    model = ss.SemiStructuredSurvival(
        "age + image(scan)", head=head, training=QUICK, random_state=0
    ).fit(X, y)

    def value(own, rows):
        return own.predict_survival_function(rows, times=[2.0]).values[:, 0]

    found = modality_shapley(model, X[:5], value=value)
    np.testing.assert_allclose(found.full, value(model, X[:5]), atol=1e-6)
    total = found.empty + found.values.sum(axis=1)
    np.testing.assert_allclose(total, found.full, atol=1e-12)
    assert np.ptp(found.empty) < 1e-12  # a typical row without an image


def test_a_missing_modality_has_no_share(regression):
    model, X, _ = regression
    rows = X[:3].copy()
    rows.loc[rows.index[1], ["g0", "g1", "g2", "g3"]] = np.nan
    found = modality_shapley(model, rows)
    assert found.values["omics(g*)"].iloc[1] == 0.0
    assert found.values["omics(g*)"].iloc[0] != 0.0


def test_a_score_is_shared_out(classification, regression):
    for model, X, y in (classification, regression):
        found = modality_shapley_score(model, X, y)
        assert found.full["score"] == pytest.approx(model.score(X, y))
        shares = found.values.loc["score"]
        assert found.empty["score"] + shares.sum() == pytest.approx(found.full["score"])
        assert shares["structured"] == shares.max()
    X, y = ss.datasets.make_survival_digits(150, random_state=3)
    model = ss.SemiStructuredSurvival(
        "age + image(scan)", training=QUICK, random_state=0
    ).fit(X, y)
    found = modality_shapley_score(model, X, y, scoring=ss.metrics.scorer("uno"))
    assert found.empty["score"] == pytest.approx(0.5)
    assert found.full["score"] == pytest.approx(ss.metrics.scorer("uno")(model, X, y))


def test_the_model_is_as_before(regression):
    model, X, _ = regression
    before, predictor = model.predict(X[:5]), model.predictor_
    modality_shapley(model, X[:5])
    assert model.predictor_ is predictor
    np.testing.assert_array_equal(model.predict(X[:5]), before)


def test_columns_that_a_model_computes_are_structured():
    X, y, _ = table()
    X.loc[[0, 3], "age"] = np.nan
    model = ss.SemiStructuredRegressor(
        "age + pca(omics('g*'), 2) + image(scan)",
        missing="indicator",
        training=QUICK,
        random_state=0,
    ).fit(X, y)
    found = modality_shapley(model, X[:6])
    np.testing.assert_allclose(found.full, model.predict(X[:6]), atol=1e-6)
    assert list(found.values) == ["structured", "image(scan)"]
    assert np.ptp(found.empty) < 1e-12


def test_wrong_values_are_named(regression, classification):
    model, X, _ = regression
    with pytest.raises(ParameterError, match=r"value.*\(3,\)"):
        modality_shapley(model, X[:3], value=lambda own, rows: np.ones(2))
    with pytest.raises(DataError, match="not finite"):
        modality_shapley(model, X[:3], value=lambda own, rows: np.full(3, np.nan))
    _, table, _ = classification
    three = np.array(["a", "b", "c"])[np.arange(len(table)) % 3]
    classes = ss.SemiStructuredClassifier("age").fit(table, three)
    with pytest.raises(ParameterError, match="predict_proba"):
        modality_shapley(classes, table[:3])
    late = ss.LateFusion([("one", ss.SemiStructuredRegressor("age"))]).fit(X, X["bmi"])
    with pytest.raises(ParameterError, match="late fusion"):
        modality_shapley(late, X[:3])


def test_more_than_eight_players_are_too_many():
    X, y, _ = table(100)
    X = X.assign(**{f"h{j}": X["g0"] * j + X["g1"] for j in range(8)})
    terms = "age + " + " + ".join(f"tabular(h{j})" for j in range(8))
    model = ss.SemiStructuredRegressor(
        terms, training=ss.Training(max_epochs=1), random_state=0
    ).fit(X, y)
    with pytest.raises(ParameterError, match=r"at most 7 deep terms.*8 deep terms"):
        modality_shapley(model, X[:2])


# -- the waterfall --------------------------------------------------------------------


def test_a_waterfall_adds_up(regression):
    model, X, _ = regression
    found = waterfall(model, X.iloc[[4]])
    terms = model.predict_terms(X.iloc[[4]]).iloc[0]
    pd.testing.assert_series_equal(
        found.table["contribution"], terms, check_names=False, atol=1e-12
    )
    np.testing.assert_allclose(found.table["cumulative"], terms.cumsum())
    assert found.total == pytest.approx(model.predict(X.iloc[[4]])[0])
    assert found.start == 0.0
    assert found.label == 4


def test_a_waterfall_against_a_reference(regression):
    model, X, _ = regression
    found = waterfall(model, X.iloc[[4]], reference=X)
    assert found.start == pytest.approx(model.predict(X).mean())
    assert found.total == pytest.approx(model.predict(X.iloc[[4]])[0])
    assert found.table.loc["Intercept", "contribution"] == pytest.approx(0.0)
    assert "mean of the reference" in str(found)


def test_the_sentence_says_what_the_table_says():
    rows, _ = ss.datasets.load_rossi()
    model = ss.SemiStructuredSurvival("fin + age").fit(*ss.datasets.load_rossi())
    found = waterfall(model, rows.iloc[[0]])
    fin, age = found.table["contribution"]
    assert fin == 0.0
    assert age < 0
    assert str(found) == (
        f"The log hazard of row 0, −{-found.total:.2f} = fin 0.00 − age {-age:.2f}."
    )


def test_each_predictor_has_a_waterfall():
    X, y, _ = table()
    model = ss.SemiStructuredRegressor({"loc": "age", "scale": "bmi"}).fit(X, y)
    found = waterfall(model, X.iloc[[0]], parameter="scale")
    assert list(found.table.index) == ["Intercept", "bmi"]
    assert "of scale" in str(found)
    with pytest.raises(ParameterError, match=r"\['loc', 'scale'\]"):
        waterfall(model, X.iloc[[0]])
    with pytest.raises(DataError, match=r"X\.iloc\[\[0\]\]"):
        waterfall(model, X[:2], parameter="loc")


def test_long_rows_have_a_waterfall():
    X, y = ss.datasets.make_survival_digits(150, random_state=3)
    model = ss.SemiStructuredSurvival("age", head=ss.heads.PAMM(cuts=6)).fit(X, y)
    found = waterfall(model, X.iloc[[2]])
    assert "age" in found.table.index
    assert np.isfinite(found.total)
