"""Wide & Deep: crossed columns beside a network."""

from __future__ import annotations

import pickle

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV

import semistruct as ss
from semistruct.estimators._crosses import Cross
from semistruct.exceptions import ColumnError, DataError, ParameterError

from .conftest import quick


def crossed(n: int = 600, levels: int = 6, seed: int = 0):
    """A response of combinations that have nothing in common with their parts."""
    rng = np.random.default_rng(seed)
    X = pd.DataFrame(
        {
            "c": rng.choice(list("pqrstu")[:levels], size=n),
            "d": rng.integers(0, levels, size=n),
            "x": rng.normal(size=n),
            "z": rng.normal(size=n),
        }
    )
    effect = rng.normal(scale=2.0, size=(levels, levels))
    effect -= effect.mean(axis=0)
    effect -= effect.mean(axis=1, keepdims=True)
    codes = np.unique(X["c"], return_inverse=True)[1]
    eta = effect[codes, X["d"]] + X["x"].to_numpy()
    return X, eta + 0.3 * rng.normal(size=n), eta


OPTIONS = {
    "wide": "x",
    "crossed": [("c", "d")],
    "deep": "tabular(x, z)",
    "random_state": 0,
}


def regressor(**options):
    return ss.WideDeepRegressor(**{**OPTIONS, "training": quick(), **options})


def classifier(**options):
    return ss.WideDeepClassifier(**{**OPTIONS, "training": quick(), **options})


# -- memorisation --------------------------------------------------------------------


def test_only_the_cross_can_memorise():
    X, y, eta = crossed(900)
    train, test = slice(0, 600), slice(600, None)
    scores = {
        name: regressor(**options).fit(X[train], y[train]).score(X[test], eta[test])
        for name, options in {
            "crossed": {},
            "main effects": {"wide": "x + C(c) + C(d)", "crossed": []},
            "tabular": {"crossed": [], "deep": None},
        }.items()
    }
    assert scores["crossed"] > 0.95
    assert scores["main effects"] < 0.5
    assert scores["tabular"] < 0.5


def test_classes_are_memorised():
    X, _, eta = crossed(900, 4)
    rng = np.random.default_rng(0)
    y = np.where(eta + rng.logistic(size=900) > 0, "yes", "no")
    model = classifier().fit(X[:600], y[:600])
    plain = classifier(crossed=[]).fit(X[:600], y[:600])
    assert model.score(X[600:], y[600:]) > plain.score(X[600:], y[600:]) + 0.05
    three = np.digitize(eta + rng.logistic(size=900), [-1, 1])
    parts = classifier().fit(X, three).contributions(X)
    assert parts.columns.tolist() == [
        (1, "memorisation"),
        (1, "generalisation"),
        (2, "memorisation"),
        (2, "generalisation"),
    ]


def test_memorisation_and_generalisation_add_up():
    X, y, _ = crossed()
    training = quick(max_epochs=15, learning_rate=2e-2)
    model = regressor(orthogonalize="none", training=training)
    model.fit(X, y + X["z"] ** 2)
    parts = model.contributions(X)
    terms = model.predict_terms(X)
    assert list(terms) == ["Intercept", "x", "re(c × d)", "tabular(x, z)"]
    np.testing.assert_allclose(parts.sum(axis=1), model.predict(X))
    np.testing.assert_allclose(parts["generalisation"], terms["tabular(x, z)"])
    assert np.corrcoef(parts["generalisation"], X["z"] ** 2)[0, 1] > 0.8


def test_a_combination_that_was_not_seen_has_no_effect():
    X, y, _ = crossed()
    seen = ~((X["c"] == "p") & (X["d"] == 0)).to_numpy()
    model = regressor().fit(X[seen], y[seen])
    row = X[~seen].iloc[[0]]
    assert model.predict_terms(row)["re(c × d)"].item() == 0
    other = row.assign(c="never")
    assert model.predict(other).item() == pytest.approx(model.predict(row).item())


def test_crosses_without_ridge_are_an_interaction():
    X, y, _ = crossed(400, 3)
    model = regressor(wide="x + C(c) + C(d)", ridge=False, training=quick()).fit(X, y)
    oracle = ss.SemiStructuredRegressor(
        "x + C(c) + C(d) + C(c):C(d) + tabular(x, z)",
        training=quick(),
        random_state=0,
    ).fit(X, y)
    np.testing.assert_allclose(model.coef_, oracle.coef_)
    np.testing.assert_allclose(model.predict(X), oracle.predict(X))
    assert not model.features_.parts


def test_the_shrunk_cross_is_a_random_effect():
    X, y, _ = crossed()
    joined = X.assign(pair=X["c"] + X["d"].astype(str))
    model = regressor().fit(X, y)
    oracle = ss.SemiStructuredRegressor(
        "x + re(pair) + tabular(x, z)", training=quick(), random_state=0
    ).fit(joined, y)
    np.testing.assert_allclose(model.predict(X), oracle.predict(joined), atol=1e-8)


def test_the_deep_part_has_all_columns_by_default():
    X, y, _ = crossed(200, 3)
    model = regressor(wide="x + C(d)", deep=None).fit(X, y)
    assert list(model.predictor_.parts) == ["x_d_c"]
    assert set(model.feature_names_in_) == {"x", "c", "d"}


# -- hashing -------------------------------------------------------------------------


def test_many_combinations_are_hashed():
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(rng.integers(0, 40, size=(900, 2)), columns=["a", "b"])
    exact = Cross.fit(("a", "b"), frame, 2000).make(frame)["a × b"]
    cross = Cross.fit(("a", "b"), frame, 50)
    made = cross.make(frame)["a × b"]
    assert exact.nunique() > 600
    assert made.nunique() <= 50
    # a function of the combination, whatever the rows beside it
    assert pd.DataFrame({"e": exact, "h": made}).groupby("e")["h"].nunique().max() == 1
    alone = cross.make(frame.iloc[[17]])["a × b"]
    assert alone.item() == made[17]
    again = Cross.from_state(cross.to_state(), {})
    assert (again.make(frame)["a × b"] == made).all()
    counts = made.value_counts()
    assert counts.min() > 2  # none is left out


def test_kinds_of_columns_are_crossed():
    frame = pd.DataFrame(
        {
            "text": ["u", "v"],
            "kind": pd.Categorical(["k", "l"]),
            "flag": [True, False],
            "whole": [1.0, 2.0],
        }
    )
    made = Cross(("text", "kind", "flag", "whole")).make(frame)
    assert made.iloc[:, 0].tolist() == ["u & k & True & 1", "v & l & False & 2"]


# -- life ----------------------------------------------------------------------------


@pytest.mark.parametrize("make", [regressor, classifier])
def test_saved_pickled_and_cloned(make, tmp_path):
    X, y, eta = crossed(300, 3)
    target = y if make is regressor else eta > 0
    model = make(max_levels=5).fit(X, target)
    expected = model.predict(X)
    model.save(tmp_path / "model")
    again = ss.load(tmp_path / "model")
    np.testing.assert_array_equal(again.predict(X), expected)
    pd.testing.assert_frame_equal(again.contributions(X), model.contributions(X))
    np.testing.assert_array_equal(
        pickle.loads(pickle.dumps(model)).predict(X), expected
    )
    np.testing.assert_array_equal(clone(model).fit(X, target).predict(X), expected)
    assert "terms" not in model.get_params()
    assert model.get_params()["x_z__hidden"] is not None
    assert "re('c × d')" in str(model.summary())


def test_crosses_are_searched():
    X, y, _ = crossed(300, 3)
    grid = {"crossed": [[], [("c", "d")]]}
    search = GridSearchCV(regressor(), grid, cv=3).fit(X, y)
    assert search.best_params_["crossed"] == [("c", "d")]


def test_rows_that_lack_a_crossed_column():
    X, y, _ = crossed(300, 3)
    gaps = X.copy()
    gaps.loc[[3, 9], "c"] = None
    with pytest.raises(DataError, match=r"'c' is missing in 2 row\(s\), the first 3"):
        regressor().fit(gaps, y)
    with pytest.warns(UserWarning, match="dropped 2 of 300"):
        model = regressor(missing="drop").fit(gaps, y)
    assert model.n_rows_ == 298


# -- errors --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"crossed": [("c",)]}, "parameter 'crossed' of WideDeepRegressor"),
        ({"crossed": ["cd"]}, "parameter 'crossed'"),
        ({"crossed": None}, "parameter 'crossed'"),
        ({"crossed": [("c", "c")]}, "parameter 'crossed'"),
        ({"crossed": [("c", 3)]}, "parameter 'crossed'"),
        ({"ridge": 1}, "parameter 'ridge'"),
        ({"max_levels": 1}, "parameter 'max_levels'"),
        ({"wide": "x + tabular(z)"}, "parameter 'wide'"),
        ({"deep": "tabular(z) + x"}, "parameter 'deep'"),
        ({"wide": None, "crossed": []}, "unless there are crossed columns"),
    ],
)
def test_parameters_are_checked(options, words):
    X, y, _ = crossed(60, 2)
    with pytest.raises(ParameterError, match=words):
        regressor(**options).fit(X, y)


def test_columns_that_cannot_be_crossed_are_named():
    X, y, _ = crossed(60, 2)
    with pytest.raises(DataError, match="'z' must hold categories or whole numbers"):
        regressor(crossed=[("c", "z")]).fit(X, y)
    with pytest.raises(ColumnError, match="no column 'e'"):
        regressor(crossed=[("c", "e")]).fit(X, y)
    with pytest.raises(ColumnError, match="make a column 'c × d', which the table"):
        regressor().fit(X.assign(**{"c × d": 1}), y)
    model = regressor().fit(X, y)
    with pytest.raises(ColumnError, match="reads 'c', which is not in the table"):
        model.predict(X.drop(columns="c"))
