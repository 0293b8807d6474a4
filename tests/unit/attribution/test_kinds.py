"""Attribution of other kinds of terms: fused, texts, categories, bags."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

import semistruct as ss
from semistruct.attribution import explain
from semistruct.exceptions import DataError, ParameterError

QUICK = ss.Training(max_epochs=3, learning_rate=5e-3)


def digits(n=120):
    X, y = ss.datasets.make_regression_digits(n, random_state=7)
    rng = np.random.default_rng(0)
    genes = pd.DataFrame(
        rng.normal(size=(n, 5)), columns=[f"g{j}" for j in range(5)], index=X.index
    )
    return pd.concat([X, genes], axis=1), y + genes["g0"]


# -- fused terms ----------------------------------------------------------------------


@pytest.mark.parametrize("how", ["concat", "gated"])
def test_one_modality_of_a_fused_term_is_explained_beside_the_others(how):
    X, y = digits()
    X.loc[3, [f"g{j}" for j in range(5)]] = np.nan
    label = f"fuse(image(scan), omics('g*'), how='{how}')"
    model = ss.SemiStructuredRegressor(
        f"age + {label}", training=QUICK, random_state=0
    ).fit(X, y)
    rows = X[:5]
    terms = model.predict_terms(rows)
    (name,) = [n for n in terms if n.startswith("fuse")]
    for term, columns in (("scan", 64), ("omics(g*)", 5)):
        found = explain(model, rows, term)
        np.testing.assert_allclose(found.outcome, terms[name], atol=1e-5)
        assert found.values[0].size == columns
        scale = np.abs(found.outcome - found.baseline).max()
        assert np.abs(found.delta).max() < 0.03 * scale
    assert not found.values[3].any()  # the row lacks it
    assert found.outcome[3] == pytest.approx(found.baseline[3])
    # at another baseline, what the model predicts for rows that have it
    mean = X[[f"g{j}" for j in range(5)]].mean()
    other = model.predict_terms(rows.drop(index=3).assign(**mean.to_dict()))[name]
    np.testing.assert_allclose(np.delete(found.baseline, 3), other, atol=1e-5)
    with pytest.raises(ParameterError, match=r"image\(scan\).*omics"):
        explain(model, rows)


# -- categories -----------------------------------------------------------------------


def test_categories_are_left_out_and_have_no_gradient():
    rng = np.random.default_rng(0)
    n = 200
    X = pd.DataFrame(
        {
            "age": rng.normal(size=n),
            "site": rng.choice(["a", "b", "c"], n),
            "dose": rng.normal(size=n),
        }
    )
    y = 2.0 * (X["site"] == "a") + X["dose"] + X["age"] + rng.normal(size=n) * 0.1
    model = ss.SemiStructuredRegressor(
        "age + tabular(site, dose)",
        training=ss.Training(max_epochs=30, learning_rate=0.02),
        random_state=0,
    ).fit(X, y)
    found = explain(model, X, method="occlusion", baseline=X)
    assert found.features == ("dose", "site")
    table = found.to_frame()
    sites = table["site"].groupby(X["site"]).mean()
    assert sites.idxmax() == "a"
    assert sites["a"] - sites.drop("a").max() > 1.0
    assert np.corrcoef(table["dose"], X["dose"])[0, 1] > 0.9
    with pytest.raises(ParameterError, match=r"'occlusion'.*categories"):
        explain(model, X[:2])


# -- texts ----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def notes():
    """The word "tumour" raises y; other words say nothing."""
    rng = np.random.default_rng(0)
    words = ["lung", "scan", "old", "left", "right", "clear"]
    ill = rng.random(220) < 0.5
    texts = []
    for one in ill:
        chosen = rng.choice(words, 5).tolist()
        if one:
            chosen[int(rng.integers(5))] = "tumour"
        texts.append(" ".join(chosen))
    X = pd.DataFrame({"age": rng.normal(size=220), "note": texts})
    y = 2.0 * ill + X["age"] + rng.normal(size=220) * 0.1
    from semistruct.encoders import TextTransformer

    model = ss.SemiStructuredRegressor(
        "age + text(note)",
        encoders={"note": TextTransformer(dim=16, depth=1, heads=2, output_dim=4)},
        training=ss.Training(max_epochs=30, learning_rate=0.01),
        random_state=0,
    ).fit(X, y)
    return model, X, ill


@pytest.mark.parametrize(
    "method", ["integrated_gradients", "gradient_shap", "occlusion"]
)
def test_the_word_that_matters_is_found(notes, method):
    model, X, _ = notes
    found = explain(model, X[:40], method=method)
    np.testing.assert_allclose(
        found.outcome, model.predict_terms(X[:40])["text(note)"], atol=1e-5
    )
    table = found.word_sums()
    special = [name for name in table.index if name.startswith("[")]
    top = table.drop(index=special).index[0]
    assert "tumour" in top
    assert table["sum"][top] > 0
    assert table["count"].sum() == found.values.size
    if method == "integrated_gradients":
        scale = np.abs(found.outcome - found.baseline).max()
        assert np.abs(found.delta).max() < 0.03 * scale


def test_texts_have_no_columns_and_no_mean(notes):
    model, X, _ = notes
    found = explain(model, X[:2], method="occlusion")
    assert len(found.words) == 2
    for read in (found.to_frame, found.maps):
        with pytest.raises(DataError):
            read()
    with pytest.raises(ParameterError, match="no mean"):
        explain(model, X[:2], baseline=X)
    with pytest.raises(ParameterError, match="one image"):
        explain(model, X[:2], method="grad_cam")


def test_a_bag_of_words_is_explained_by_occlusion(notes):
    _, X, ill = notes
    y = 2.0 * ill + X["age"]
    model = ss.SemiStructuredRegressor(
        "age + text(note)",
        encoders={"note": "text_bag"},
        training=ss.Training(max_epochs=20, learning_rate=0.01),
        random_state=0,
    ).fit(X, y)
    table = explain(model, X[:40], method="occlusion").word_sums()
    words = [name for name in table.index if not name.startswith("[")]
    assert "tumour" in words[0]
    with pytest.raises(ParameterError, match="'occlusion'"):
        explain(model, X[:2])


# -- bags of images -------------------------------------------------------------------


def test_bags_are_explained_tile_by_tile():
    rng = np.random.default_rng(0)
    images = [rng.normal(size=(int(k), 1, 8, 8)) for k in rng.integers(1, 4, 60)]
    X = pd.DataFrame({"age": rng.normal(size=60)})
    cells = np.empty(60, dtype=object)
    cells[:] = [[tile[0] for tile in bag] for bag in images]
    X["slides"] = cells
    y = X["age"] + [bag.mean() for bag in images] + rng.normal(size=60) * 0.1
    model = ss.SemiStructuredRegressor(
        "age + image(slides, encoder='bag')", training=QUICK, random_state=0
    ).fit(X, y)
    found = explain(model, X[:4])
    label = next(n for n in model.predict_terms(X[:4]) if n.startswith("image"))
    np.testing.assert_allclose(
        found.outcome, model.predict_terms(X[:4])[label], atol=1e-5
    )
    assert found.values.ndim == 5
    with pytest.raises(DataError, match="one image"):
        found.maps()


def test_a_module_of_ones_own_is_explained():
    X, y = digits()
    own = nn.Sequential(nn.Flatten(), nn.Linear(64, 4), nn.Tanh())
    torch.manual_seed(0)
    model = ss.SemiStructuredRegressor(
        "age + image(scan)", encoders={"scan": own}, training=QUICK, random_state=0
    ).fit(X, y)
    found = explain(model, X[:5])
    np.testing.assert_allclose(found.delta, 0.0, atol=1e-5)
