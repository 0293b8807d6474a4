"""What is planted in genes and images is found, by every method."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import semistruct as ss
from semistruct.attribution import explain

GENES = [f"g{j}" for j in range(12)]


def genes(n=300, seed=0):
    """Two genes of twelve say something; ``half`` multiplies, ``age`` is g0."""
    rng = np.random.default_rng(seed)
    X = pd.DataFrame(rng.normal(5.0, 2.0, size=(n, 12)), columns=GENES)
    X["age"] = X["g0"] + rng.normal(size=n)
    X["half"] = rng.uniform(0.5, 1.5, n)
    y = 0.5 * X["age"] + 1.5 * (X["g3"] - 5) - (X["g7"] - 5) + rng.normal(size=n) * 0.3
    return X, y.to_numpy()


def test_planted_genes_are_found():
    X, y = genes()
    model = ss.SemiStructuredRegressor(
        "age + omics('g*')",
        training=ss.Training(max_epochs=30, learning_rate=0.01),
        random_state=0,
    ).fit(X, y)
    for method in ("integrated_gradients", "gradient_shap", "occlusion"):
        found = explain(model, X[:60], method=method, baseline=X[60:160])
        ranked = found.mean_abs()
        assert list(ranked.index[:2]) == ["g3", "g7"]
        assert ranked["g7"] > 3 * ranked.iloc[2]
        signs = found.to_frame()[["g3", "g7"]].corrwith(X[:60][["g3", "g7"]])
        assert signs["g3"] > 0.9
        assert signs["g7"] < -0.9


@pytest.fixture(scope="module")
def planted():
    """A square of a quarter of the image is bright or not, among noise."""
    rng = np.random.default_rng(1)
    images = rng.normal(scale=0.2, size=(250, 1, 12, 12)).astype(np.float32)
    bright = rng.integers(0, 2, 250)
    images[:, 0, 2:5, 7:10] += 1.5 * bright[:, None, None].astype(np.float32)
    X = pd.DataFrame({"age": rng.normal(size=250)})
    X["scan"] = ss.TensorArray(images)
    y = 3.0 * bright + X["age"] + rng.normal(size=250) * 0.2
    model = ss.SemiStructuredRegressor(
        "age + image(scan)",
        encoders={"scan": ss.CNN(width=4, depth=1, output_dim=4)},
        training=ss.Training(max_epochs=25, learning_rate=0.02),
        random_state=0,
    ).fit(X, y)
    assert model.score(X, y) > 0.9
    return model, X[bright == 1], X[bright == 0]


@pytest.mark.parametrize(
    ("method", "least"),
    [
        ("integrated_gradients", 0.6),
        ("gradient_shap", 0.5),
        ("occlusion", 0.6),
        ("grad_cam", 0.25),
    ],
)
def test_planted_pixels_are_found(planted, method, least):
    """The square has 6% of the pixels; the share of what is attributed is more."""
    model, bright, dark = planted
    baseline = None if method == "grad_cam" else dark
    found = explain(
        model, bright[:20], method=method, baseline=baseline, window=1
    ).maps()
    positive = found.clip(min=0).mean(axis=0)
    assert positive[2:5, 7:10].sum() / positive.sum() > least
