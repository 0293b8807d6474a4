"""What all estimators keep to: rows stand alone, terms add up, missing is no zero."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

import semistruct as ss
from semistruct._core.randomness import generator
from semistruct.design import StructuredDesign, parse_formula

TERMS = "age + C(stage) + s(bmi, k=6) + re(site) + image(scan) + omics('rna_*')"
KINDS = ("regressor", "poisson", "binary", "multinomial", "efron", "strata")
TRAINING = ss.Training(max_epochs=4, learning_rate=1e-2, patience=None)


def data(kind: str, n: int = 260) -> tuple[pd.DataFrame, Any]:
    """A table with scans, genes and sites, a tenth of the scans missing."""
    if kind in ("efron", "strata"):
        X, y = ss.datasets.make_survival_digits(n, missing=0.1, random_state=1)
    else:
        X, y = ss.datasets.make_regression_digits(n, missing=0.1, random_state=1)
    rng = generator(5)
    genes = rng.normal(size=(n, 3))
    genes[:7] = np.nan  # seven rows without this modality
    X = X.assign(**{f"rna_{j}": genes[:, j] for j in range(3)})
    X["site"] = rng.choice(list("pqrs"), size=n)
    if kind == "poisson":
        y = rng.poisson(np.exp(0.25 * y - 0.8))
    elif kind == "binary":
        y = y > y.median()
    elif kind == "multinomial":
        y = pd.cut(y, 3, labels=["low", "mid", "high"]).astype(str)
    elif kind == "strata":
        y = ss.Surv(y.time, y.event, strata=rng.choice(["a", "b"], size=n))
    return X, y


def make(kind: str, terms: Any = TERMS, **params: Any) -> Any:
    params = {"training": TRAINING, "random_state": 0, **params}
    if kind in ("binary", "multinomial"):
        return ss.SemiStructuredClassifier(terms, **params)
    if kind in ("efron", "strata"):
        return ss.SemiStructuredSurvival(terms, **params)
    if kind == "poisson":
        params["family"] = "poisson"
    return ss.SemiStructuredRegressor(terms, **params)


def predictions(kind: str, model: Any, X: pd.DataFrame) -> dict[str, np.ndarray]:
    """All that a model says of each row."""
    found = {
        "predict": model.predict(X),
        "terms": model.predict_terms(X).to_numpy(),
    }
    if kind in ("binary", "multinomial"):
        found["predict"] = model.decision_function(X)  # labels may flip at a tie
        found["proba"] = model.predict_proba(X)
    if kind in ("efron", "strata"):
        strata = None if kind == "efron" else np.full(len(X), "b")
        curves = model.predict_survival_function(X, strata=strata)
        found["survival"] = curves([1.0, 5.0])
    return found


@pytest.fixture(scope="module", params=KINDS)
def fitted(request):
    X, y = data(request.param)
    model = make(request.param).fit(X, y)
    assert model.history_["validation_loss"].idxmin() > 0  # the deep part learned
    return request.param, model, X, y


def assert_same(found, expected, rows=slice(None), atol=1e-5):
    assert found.keys() == expected.keys()
    for name, values in found.items():
        np.testing.assert_allclose(values, expected[name][rows], atol=atol, rtol=1e-5)


def test_a_row_is_predicted_by_itself(fitted):
    kind, model, X, _ = fitted
    whole = predictions(kind, model, X)
    deep = model.predict_terms(X).filter(like="(").to_numpy()
    assert np.abs(deep).max() > 0.01
    for row in (0, 3, 100, len(X) - 1):
        alone = predictions(kind, model, X.iloc[[row]])
        assert_same(alone, whole, [row])


def test_rows_may_come_in_any_order(fitted):
    kind, model, X, _ = fitted
    whole = predictions(kind, model, X)
    order = generator(0).permutation(len(X))
    assert_same(predictions(kind, model, X.iloc[order]), whole, order)
    twice = pd.concat([X, X.head(9)])
    again = predictions(kind, model, twice)
    assert_same({k: v[: len(X)] for k, v in again.items()}, whole)
    assert_same({k: v[len(X) :] for k, v in again.items()}, whole, slice(9))


def test_columns_are_found_by_name(fitted):
    kind, model, X, _ = fitted
    whole = predictions(kind, model, X)
    other = X[X.columns[::-1]].assign(extra="text", more=np.nan)
    assert_same(predictions(kind, model, other), whole, atol=0)
    used = ["age", "stage", "bmi", "scan", "rna_0", "rna_1", "rna_2", "site"]
    assert sorted(model.feature_names_in_) == sorted(used)
    assert model.n_features_in_ == len(used)


def test_terms_add_up_to_the_linear_predictor(fitted):
    kind, model, X, _ = fitted
    terms = model.predict_terms(X)
    eta = model.predictor_.linear_predictor(X)
    labels = {"age", "C(stage)", "s(bmi)", "re(site)", "image(scan)", "omics(rna_*)"}
    if kind not in ("efron", "strata"):
        labels.add("Intercept")
    if kind == "multinomial":
        assert set(terms.columns.get_level_values(1)) == labels
        for k, name in enumerate(model.classes_[1:]):
            np.testing.assert_allclose(terms[name].sum(axis=1), eta[:, k], atol=1e-6)
        np.testing.assert_allclose(model.decision_function(X)[:, 1:], eta, atol=1e-6)
    else:
        assert set(terms.columns) == labels
        np.testing.assert_allclose(terms.sum(axis=1), eta[:, 0], atol=1e-6)
    if kind in ("regressor", "efron"):
        np.testing.assert_allclose(model.predict(X), eta[:, 0], atol=1e-6)
    if kind == "poisson":
        np.testing.assert_allclose(model.predict(X), np.exp(eta[:, 0]), rtol=1e-6)
    assert terms.index.equals(X.index)


def test_a_missing_modality_contributes_exactly_zero(fitted):
    _, model, X, _ = fitted
    scans = deep_columns(model, X, "image(scan)")
    absent = X["scan"].isna().to_numpy()
    assert absent.any()
    assert (scans[absent] == 0).all()
    assert (scans[~absent] != 0).all()
    genes = deep_columns(model, X, "omics(rna_*)")
    assert (genes[:7] == 0).all()
    assert (genes[7:] != 0).any(axis=1).all()


def deep_columns(model: Any, X: pd.DataFrame, label: str) -> np.ndarray:
    terms = model.predict_terms(X)
    if terms.columns.nlevels == 2:
        return terms.xs(label, axis=1, level=1).to_numpy()
    return terms[[label]].to_numpy()


def test_a_table_without_the_modality_is_predicted(fitted):
    kind, model, X, _ = fitted
    table = X.drop(columns=["scan", "rna_0", "rna_1", "rna_2"])
    blank = X.assign(rna_0=np.nan, rna_1=np.nan, rna_2=np.nan)
    blank["scan"] = ss.TensorArray(np.zeros((len(X), 8, 8), "uint8"), np.zeros(260) > 0)
    assert_same(
        predictions(kind, model, table), predictions(kind, model, blank), atol=0
    )
    assert (deep_columns(model, table, "image(scan)") == 0).all()
    found = deep_columns(model, X, "image(scan)")[X["scan"].isna()]
    assert (found == 0).all()
    with pytest.raises(ss.exceptions.ColumnError, match="lacks the column 'rna_1'"):
        model.predict(X.drop(columns="rna_1"))


def test_zeros_do_not_mean_missing(fitted):
    _, model, X, _ = fitted
    black = X.head(5).assign(scan=ss.TensorArray(np.zeros((5, 8, 8), dtype="uint8")))
    assert (deep_columns(model, black, "image(scan)") != 0).all()


def test_a_gradient_reaches_every_weight(fitted):
    kind, model, X, y = fitted
    before = torch.get_rng_state()
    untrained = make(kind, training=ss.Training(max_epochs=1, learning_rate=1e-12))
    fresh = untrained.fit(X, y).predictor_.network.state_dict()
    trained = model.predictor_.network.state_dict()
    named = dict(model.predictor_.network.named_parameters())
    assert named
    for name in named:
        assert not torch.equal(trained[name], fresh[name]), name
    assert torch.equal(before, torch.get_rng_state())


def test_it_is_saved_and_pickled_whole(fitted, tmp_path):
    kind, model, X, y = fitted
    model.save(tmp_path / "model")
    for again in (ss.load(tmp_path / "model"), pickle.loads(pickle.dumps(model))):
        whole = predictions(kind, model, X)
        assert_same(predictions(kind, again, X), whole, atol=0)
        assert type(again) is type(model)
        assert str(again.summary()) == str(model.summary())
        pd.testing.assert_frame_equal(again.history_, model.history_)
        pd.testing.assert_frame_equal(again.cov_params_, model.cov_params_)
        assert again.terms_ == model.terms_
        assert list(again.feature_names_in_) == list(model.feature_names_in_)
        assert again.score(X, y) == model.score(X, y)
        assert again.profile_ == model.profile_


def working_weights(kind: str, X: pd.DataFrame, y: Any) -> np.ndarray:
    """W_kk of the structured-only model, written out from what it predicts, (n, K)."""
    model = make(kind, "age + C(stage) + s(bmi, k=6) + re(site)").fit(X, y)
    if kind == "regressor":
        return np.ones((len(X), 1))
    if kind == "poisson":
        return model.predict(X)[:, None]
    if kind in ("binary", "multinomial"):
        p = model.predict_proba(X)[:, 1:]
        return p * (1 - p)
    strata = y.strata
    hazard = model.predict_cumulative_hazard_function(X, strata=strata)(y.time)
    return np.diag(hazard)[:, None]  # expected events; times are not tied


def test_deep_terms_are_orthogonal_to_the_structured_columns(fitted):
    """X'W d = 0 over the rows of fit, in the metric of the warm start."""
    kind, model, X, y = fitted
    weights = working_weights(kind, X, y)
    terms = parse_formula("age + C(stage) + s(bmi, k=6)")  # all but re()
    columns = StructuredDesign.fit(terms, X).matrix(X)  # with the constant
    for label in ("image(scan)", "omics(rna_*)"):
        d = deep_columns(model, X, label)
        assert d.shape == weights.shape
        if kind == "strata":  # but for a constant in each, which prediction cannot know
            for stratum in ("a", "b"):
                rows = (y.strata == stratum) & (d[:, 0] != 0)
                w = weights[rows, 0]
                d[rows] -= (w @ d[rows]) / w.sum()
        for k, w in enumerate(weights.T):
            product = columns.T @ (w * d[:, k])
            size = np.sqrt((columns**2).T @ w * (w @ d[:, k] ** 2))
            assert size.min() > 0
            assert np.abs(product / size).max() < 1e-6


def test_a_column_multiplies_a_deep_term():
    X, y = data("regressor")
    terms = "age + image(scan, by=bmi)"
    model = make("regressor", terms, orthogonalize="none").fit(X, y)
    one, two = X.head(8), X.head(8).assign(bmi=2 * X["bmi"].head(8))
    label = "image(scan):bmi"
    first, second = model.predict_terms(one)[label], model.predict_terms(two)[label]
    present = one["scan"].notna()
    assert (first[present] != 0).all()
    np.testing.assert_allclose(second, 2 * first, rtol=1e-5)
    none = model.predict_terms(one.assign(bmi=0.0))[label]
    assert (none == 0).all()
    # the projection of bmi·u on the table is taken out too, so only the sum is linear
    global_ = make("regressor", terms).fit(X, y)
    d = global_.predict_terms(X)[label].to_numpy()
    design = np.column_stack([np.ones(len(X)), X["age"]])
    assert np.abs(design.T @ d).max() < 1e-6 * np.abs(design).sum() * np.abs(d).max()
    with pytest.raises(ss.exceptions.ColumnError, match="no column 'bmi'"):
        model.predict(X.drop(columns="bmi"))
    message = "'bmi' has 1 missing value, the first in row 3"
    with pytest.raises(ss.exceptions.DataError, match=message):
        model.predict(one.assign(bmi=one["bmi"].where(one.index != 3)))


@pytest.mark.parametrize("kind", KINDS)
def test_a_model_may_have_deep_terms_only(kind):
    X, y = data(kind)
    model = make(kind, "image(scan)").fit(X, y)
    assert np.isfinite(model.predictor_.linear_predictor(X)).all()
    assert "image(scan)" in str(model.summary())
    np.testing.assert_allclose(
        deep_columns(model, X, "image(scan)").sum(axis=1),
        (model.predictor_.linear_predictor(X) - model.intercept_).sum(axis=1),
        atol=1e-6,
    )
