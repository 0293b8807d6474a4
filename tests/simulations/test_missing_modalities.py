"""What is lost where modalities are missing, with and without multimodal dropout.

Scans are real digits, genes a noisy second view of the same digit beside a factor of
their own: what one of them says is in part known from the other. Each is missing with
the same probability, completely at random, and a row always keeps one of the two. The
tests print the numbers that docs/fusion.md shows.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

import semistruct as ss
from semistruct.fusion import drop_modalities

SHARES = (0.0, 0.25, 0.5, 0.75)
REPLICATES = 6
TRAIN, TEST, GENES = 1000, 1500, 12
P = 0.5
FUSED = "age + C(stage) + s(bmi) + fuse(image(scan), omics('rna_*'), head='mlp'{})"
ADDED = "age + C(stage) + s(bmi) + image(scan) + omics('rna_*')"
MODELS = {
    "fuse()": (FUSED.format(""), {}),
    "fuse(), dropped out": (FUSED.format(f", modality_dropout={P}"), {}),
    "image + omics": (ADDED, {}),
    "image + omics, dropped out": (ADDED, {"modality_dropout": P}),
}


def data(kind: str, n: int, seed: int) -> tuple[pd.DataFrame, Any]:
    make = getattr(ss.datasets, f"make_{kind}_digits")
    X, y, truth = make(n, random_state=seed, return_truth=True)
    rng = np.random.default_rng(seed + 1000)
    digit = (truth["digit"] - 4.5) / np.sqrt(8.25)
    loadings = np.random.default_rng(7).normal(size=(2, GENES))
    factors = np.column_stack([digit + 0.5 * rng.normal(size=n), rng.normal(size=n)])
    genes = factors @ loadings + rng.normal(size=(n, GENES))
    return X.join(pd.DataFrame(genes, columns=[f"rna_{j}" for j in range(GENES)])), y


def hide(X: pd.DataFrame, share: float, seed: int) -> pd.DataFrame:
    """Take each modality away with a probability; no row loses both."""
    there = torch.ones(len(X), 2, dtype=torch.bool)
    draw = torch.Generator().manual_seed(seed)
    scan, genes = drop_modalities(there, share, draw).numpy().T
    X = X.assign(scan=X["scan"].where(scan))
    names = [c for c in X.columns if c.startswith("rna_")]
    return X.assign(**{c: X[c].where(genes) for c in names})


def fit(kind: str, model: str, X: pd.DataFrame, y: Any, seed: int) -> Any:
    terms, options = MODELS[model]
    training = ss.Training(max_epochs=40, learning_rate=3e-3, patience=8)
    name = {"regression": "Regressor", "survival": "Survival"}[kind]
    estimator = getattr(ss, f"SemiStructured{name}")
    options = {"training": training, "random_state": seed, **options}
    return estimator(terms, **options).fit(X, y)


def scores(kind: str, hidden_in_training: bool) -> pd.DataFrame:
    """R² or concordance of new rows, by model and share of missing modalities."""
    found = []
    for seed in range(REPLICATES):
        X, y = data(kind, TRAIN, seed)
        X_test, y_test = data(kind, TEST, seed + 100)
        tests = {m: hide(X_test, m, seed + 200) for m in SHARES}
        for model in MODELS:
            whole = None if hidden_in_training else fit(kind, model, X, y, seed)
            for m, table in tests.items():
                own = whole or fit(kind, model, hide(X, m, seed + 300), y, seed)
                found.append((model, m, own.score(table, y_test)))
    frame = pd.DataFrame(found, columns=["model", "missing", "score"])
    return frame.groupby(["model", "missing"], sort=False)["score"].mean().unstack()


def show(kind: str, table: pd.DataFrame, where: str) -> None:
    score = {"regression": "R²", "survival": "C-index"}[kind]
    print(f"\n{score}, {where}; in brackets what is lost against 0 %\n")
    print("| model | " + " | ".join(f"{m:.0%}" for m in SHARES) + " |")
    print("|---" * (len(SHARES) + 1) + "|")
    for model, row in table.iterrows():
        cells = [f"{row[m]:.3f} ({row[0.0] - row[m]:.3f})" for m in SHARES]
        print(f"| {model} | " + " | ".join(cells) + " |")


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["regression", "survival"])
def test_complete_training_rows(kind):
    table = scores(kind, hidden_in_training=False)
    show(kind, table, "all modalities there in training")
    lost = -table.sub(table[0.0], axis=0)
    assert (lost.loc["fuse()"].diff().dropna() > 0).all()  # so there is a loss at all
    shares = list(SHARES[1:])
    ratio = lost.loc["fuse(), dropped out", shares] / lost.loc["fuse()", shares]
    assert ratio.max() < 0.8
    found = table.loc["fuse(), dropped out"]
    assert (found > table.drop("fuse(), dropped out")).all(axis=None)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["regression", "survival"])
def test_modalities_missing_in_training_too(kind):
    table = scores(kind, hidden_in_training=True)
    show(kind, table, "missing in training as in the test rows")
    lost = -table.sub(table[0.0], axis=0)
    assert lost.max(axis=None) < {"regression": 0.08, "survival": 0.03}[kind]
