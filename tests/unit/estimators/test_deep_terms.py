"""Kinds of deep terms: fused ones, texts, bags of images, categories."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from PIL import Image as Pictures
from sklearn.base import clone
from torch import nn

import semistruct as ss
from semistruct.encoders import MLP, PatchBag, TextBag
from semistruct.exceptions import (
    DataError,
    FormulaError,
    ParameterError,
    PersistenceError,
)
from semistruct.fusion import GatedFusion

TRAINING = ss.Training(max_epochs=12, learning_rate=1e-2, patience=None)


def fit(terms, X, y, kind="Regressor", **options):
    options = {"training": TRAINING, "random_state": 0} | options
    return getattr(ss, f"SemiStructured{kind}")(terms, **options).fit(X, y)


def check_rows(model, X, tmp_path, encoders=None):
    """Rows do not depend on those beside them; saving loses nothing."""
    whole = model.predict(X)
    np.testing.assert_allclose(model.predict(X[3:4])[0], whole[3], rtol=1e-5, atol=1e-6)
    order = np.random.default_rng(0).permutation(len(X))
    shuffled = model.predict(X.iloc[order])
    np.testing.assert_allclose(shuffled, whole[order], rtol=1e-5, atol=1e-6)
    model.save(tmp_path / "model")
    again = ss.load(tmp_path / "model", encoders=encoders)
    np.testing.assert_array_equal(again.predict(X), whole)
    return again


@pytest.fixture
def both():
    """A product of two columns, which a sum of contributions cannot give."""
    rng = np.random.default_rng(1)
    X = pd.DataFrame(rng.normal(size=(600, 3)), columns=["a", "b", "c"])
    y = 2 * X["a"] * X["b"] + X["c"] + 0.1 * rng.normal(size=600)
    return X, y


# -- fused terms ---------------------------------------------------------------------


@pytest.mark.parametrize(
    "how",
    [
        *("concat", "sum", "mean", "max", "prod", "gated", "attention"),
        *("cross_attention", "tensor", "embrace"),
    ],
)
def test_every_fusion(both, tmp_path, how):
    X, y = both
    X = X[:120].copy()
    X.loc[::5, "a"] = np.nan  # no a in these rows
    training = ss.Training(max_epochs=2)
    terms = f"c + fuse(omics(a), omics(b), how='{how}')"
    model = fit(terms, X, y[:120], training=training)
    check_rows(model, X, tmp_path)
    parts = model.predict_terms(X)
    np.testing.assert_allclose(parts.sum(axis=1), model.predict(X), rtol=1e-6)
    # without a modality, and without both
    one = model.predict(X.drop(columns="a"))
    blank = model.predict(X.assign(a=np.nan))
    np.testing.assert_allclose(one, blank, rtol=1e-6)
    none = model.predict_terms(X[["c"]])["fuse(omics(a), omics(b))"]
    assert (none == 0).all()


def test_the_head_says_whether_modalities_interact(both):
    X, y = both
    joint = "c + fuse(tabular(a), tabular(b), head='{}')"
    training = ss.Training(max_epochs=60, learning_rate=1e-2, patience=None)
    sums = fit(joint.format("linear"), X, y, training=training)
    products = fit(joint.format("mlp"), X, y, training=training)
    assert sums.score(X, y) < 0.4
    assert products.score(X, y) > 0.8


def test_fused_terms_are_orthogonal_to_the_table(both):
    X, y = both
    model = fit("a + c + fuse(tabular(a), tabular(b), head='mlp')", X, y)
    d = model.predict_terms(X)["fuse(tabular(a), tabular(b))"].to_numpy()
    design = np.column_stack([np.ones(len(X)), X["a"], X["c"]])
    assert np.abs(design.T @ d).max() / len(X) < 1e-6
    plain = ss.SemiStructuredRegressor("a + c").fit(X, y)
    np.testing.assert_allclose(model.coef_, plain.coef_, rtol=1e-6)


def test_options_of_fusions_and_of_what_is_fused(both):
    X, y = both
    model = ss.SemiStructuredRegressor(
        "fuse(tabular(a), tabular(b), how='gated')",
        encoders={"a": MLP(hidden=(8,)), "fuse_a_b": GatedFusion(gate="softmax")},
    )
    params = model.get_params()
    assert params["a__hidden"] == (8,)
    assert params["fuse_a_b__gate"] == "softmax"
    model.set_params(b__hidden=(4,), fuse_a_b__gate="sigmoid")
    assert clone(model).get_params()["b__hidden"] == (4,)
    with pytest.raises(ParameterError, match=r"encoders.*a dict with keys among"):
        fit("fuse(tabular(a), tabular(b))", X, y, encoders={"c": MLP()})


def test_modalities_are_dropped_in_training_only(both):
    X, y = both
    dropped = "c + fuse(tabular(a), tabular(b), modality_dropout=0.4)"
    models = [fit(terms, X, y) for terms in (dropped, dropped.replace("0.4", "0.0"))]
    a, b = (model.predict(X) for model in models)
    assert np.abs(a - b).max() > 1e-3
    np.testing.assert_array_equal(a, models[0].predict(X))
    apart = fit("tabular(a) + tabular(b)", X, y, modality_dropout={"a": 0.5})
    assert np.isfinite(apart.predict(X)).all()
    with pytest.raises(ParameterError, match="modality_dropout"):
        fit("tabular(a) + tabular(b)", X, y, modality_dropout=1.5)


def test_a_module_of_the_users_own_in_a_fused_term(both, tmp_path):
    X, y = both
    own = nn.Sequential(nn.Linear(1, 8), nn.Tanh())
    model = fit("fuse(tabular(a), tabular(b))", X, y, encoders={"a": own})
    check_rows(model, X, tmp_path, encoders={"a": own})
    with pytest.raises(PersistenceError, match=r"load\(folder, encoders=.*'a'"):
        ss.load(tmp_path / "model")


@pytest.mark.parametrize(
    ("terms", "message"),
    [
        ("fuse(tabular(a), tabular(a))", "two of its terms read the same column"),
        ("fuse(tabular(a, by=c), tabular(b))", "cannot stand in it"),
        ("fuse(tabular(a), fuse(tabular(b), tabular(c)))", "cannot stand in it"),
    ],
)
def test_what_cannot_be_fused(both, terms, message):
    with pytest.raises(FormulaError, match=message):
        fit(terms, *both)


@pytest.mark.parametrize(
    "argument", ["how='concatt'", "head='deep'", "dropout=1.0", "modality_dropout=-0.1"]
)
def test_wrong_arguments_of_fuse(both, argument):
    with pytest.raises(FormulaError, match=r"fuse\(\)"):
        fit(f"fuse(tabular(a), tabular(b), {argument})", *both)


def test_a_fused_survival_model(both):
    X, y = both
    times = ss.Surv(np.exp(-y.to_numpy()), np.arange(len(X)) % 4 > 0)
    terms = "c + fuse(tabular(a), tabular(b), head='mlp')"
    training = ss.Training(max_epochs=40, learning_rate=1e-2)
    model = fit(terms, X, times, "Survival", training=training)
    plain = ss.SemiStructuredSurvival("c").fit(X, times)
    assert model.score(X, times) > plain.score(X, times) + 0.1


# -- texts ---------------------------------------------------------------------------


@pytest.fixture
def notes():
    rng = np.random.default_rng(2)
    good, bad = ["sunny garden", "quiet street"], ["damp cellar", "noisy road"]
    sign = rng.random(300) < 0.5
    words = [rng.choice(good if s else bad) for s in sign]
    filler = rng.choice(["house with", "flat and", "home near a"], 300)
    X = pd.DataFrame({"area": rng.normal(size=300)})
    X["note"] = [f"{f} {w}" for f, w in zip(filler, words, strict=True)]
    y = X["area"] + 2.0 * sign + 0.1 * rng.normal(size=300)
    X.loc[::10, "note"] = None
    return X, y


def test_texts(notes, tmp_path):
    X, y = notes
    training = ss.Training(max_epochs=25, learning_rate=5e-3)
    model = fit("area + text(note)", X, y, training=training)
    assert model.score(X, y) > 0.9
    check_rows(model, X, tmp_path)
    assert np.isfinite(model.predict(X[["area"]])).all()
    small = fit("area + text(note, vocabulary=60, max_length=8)", X, y)
    assert small.predictor_.parts["note"].modality.input_shape == (8,)
    bag = fit("area + text(note)", X, y, encoders={"note": TextBag()})
    assert bag.score(X, y) > 0.8


def test_texts_that_are_no_texts(notes):
    X, y = notes
    with pytest.raises(DataError, match="note"):
        fit("text(note)", X.assign(note=3.0), y)


# -- bags of images ------------------------------------------------------------------


def test_bags_of_images(tmp_path):
    rng = np.random.default_rng(3)
    counts = rng.integers(1, 4, 120)
    bright = rng.random(120) < 0.5
    cells = []
    for count, light in zip(counts, bright, strict=True):
        tiles = rng.integers(0, 100, (count, 8, 8), dtype=np.uint8)
        tiles[0] += 120 * np.uint8(light)
        cells.append(list(tiles))
    cells[5] = None
    X = pd.DataFrame({"slide": pd.Series(cells, dtype=object)})
    y = bright + 0.05 * rng.normal(size=120)
    bag = PatchBag(encoder=ss.CNN(width=4, depth=1, output_dim=4), output_dim=4)
    model = fit("image(slide)", X, y, encoders={"slide": bag})
    assert model.score(X, y) > 0.5
    check_rows(model, X, tmp_path)


# -- categories ----------------------------------------------------------------------


@pytest.mark.parametrize("encoder", ["mlp", "resnet_mlp", "ft_transformer"])
def test_categories_of_a_table(encoder, tmp_path):
    rng = np.random.default_rng(4)
    X = pd.DataFrame({"g": rng.choice(list("abcd"), 400), "x": rng.normal(size=400)})
    y = X["g"].map({"a": 2.0, "b": -2.0, "c": 0.0, "d": 1.0}) * X["x"]
    if encoder == "mlp":
        encoder = MLP(embedding_dim=4)
    training = ss.Training(max_epochs=40, learning_rate=1e-2)
    encoders = {"g_x": encoder}
    model = fit("x + tabular(g, x)", X, y, encoders=encoders, training=training)
    assert model.score(X, y) > 0.8
    check_rows(model, X, tmp_path)
    assert np.isfinite(model.predict(X.assign(g="never seen"))).all()


# -- files that cannot be read -------------------------------------------------------


def test_images_that_cannot_be_read(tmp_path):
    rng = np.random.default_rng(5)
    paths = []
    for i in range(40):
        path = tmp_path / f"{i}.png"
        Pictures.fromarray(rng.integers(0, 255, (8, 8), dtype=np.uint8)).save(path)
        paths.append(str(path))
    X = pd.DataFrame({"scan": paths, "x": rng.normal(size=40)})
    (tmp_path / "7.png").write_bytes(b"no image")
    raising = ss.Training(max_epochs=1)
    with pytest.raises(DataError, match=r"7\.png"):
        fit("x + image(scan, size=8)", X, X["x"], training=raising)
    masking = ss.Training(max_epochs=1, on_unreadable="mask")
    with pytest.warns(UserWarning, match=r"could not be read.*7\.png"):
        model = fit("x + image(scan, size=8)", X, X["x"], training=masking)
    with pytest.warns(UserWarning, match="could not be read"):
        parts = model.predict_terms(X)
    assert parts["image(scan)"][7] == 0
