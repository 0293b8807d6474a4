"""The digits design with which PySDDR checks itself: medians must rise with the digit.

y = sin x1 − 3 x2 + x3⁴ + 3 · digit + ε with x1 uniform on (−π, π) and x2, x3, ε
standard normal; the model is s(x1) + x2 + s(x3) + image(scan), and what the image term
says of new scans has, digit by digit, a median that rises, by about 3 each. PySDDR
(Rügamer et al., integration test "mnist") takes 1000 scans of MNIST; here they are
scikit-learn's 8×8 digits. The tests print the numbers that docs/simulations.md shows.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.datasets import load_digits

import semistruct as ss

TERMS = "s(x1, k=12) + x2 + s(x3, k=12) + image(scan)"
TRAIN, DATA_SETS = 1200, 4


def design(seed: int) -> tuple[pd.DataFrame, np.ndarray, np.ndarray]:
    """All 1797 scans, each once, in a random order."""
    rng = np.random.default_rng(seed)
    digits = load_digits()
    order = rng.permutation(len(digits.target))
    digit = digits.target[order]
    n = len(digit)
    X = pd.DataFrame(
        {
            "x1": rng.uniform(-np.pi, np.pi, size=n),
            "x2": rng.normal(size=n),
            "x3": rng.normal(size=n),
            "scan": ss.TensorArray(digits.images[order] / 16.0),
        }
    )
    structured = np.sin(X["x1"]) - 3 * X["x2"] + X["x3"] ** 4
    y = structured.to_numpy() + 3 * digit + rng.normal(size=n)
    return X, y, digit


def fit(X: pd.DataFrame, y: np.ndarray, seed: int, **options: Any) -> Any:
    training = ss.Training(max_epochs=80, learning_rate=3e-3, patience=10)
    options = {"training": training, "random_state": seed, **options}
    model = ss.SemiStructuredRegressor(TERMS, **options)
    return model.fit(X[:TRAIN], y[:TRAIN])


def inside(X: pd.DataFrame) -> np.ndarray:
    """New rows between the .01 and .99 quantiles of x3 in training.

    Beyond, x3⁴ leaps, and where training rows leave a gap the image term is unsafe: it
    has had an unpenalised s(x3) taken out.
    """
    low, high = X["x3"][:TRAIN].quantile([0.01, 0.99])
    new = X["x3"][TRAIN:]
    return TRAIN + np.flatnonzero((new > low) & (new < high))


@pytest.mark.slow
def test_medians_of_the_image_term_rise_with_the_digit():
    found = []
    for seed in range(DATA_SETS):
        X, y, digit = design(seed)
        rows = inside(X)
        terms = fit(X, y, seed).predict_terms(X.iloc[rows])
        found.append(terms["image(scan)"].groupby(digit[rows]).median())
    medians = pd.concat(found, axis=1)
    steps = medians.diff().dropna()
    print(f"\n{DATA_SETS} data sets; medians over new scans of a digit\n")
    print("| digit | median of image(scan) | 3 · (digit − 4.5) | least step to it |")
    print("|---|---|---|---|")
    for k, row in medians.iterrows():
        least = f"{steps.loc[k].min():.2f}" if k in steps.index else "–"
        print(f"| {k} | {row.mean():.2f} | {3 * (k - 4.5):.1f} | {least} |")
    assert medians.shape == (10, DATA_SETS)
    assert (steps > 0).all(axis=None)  # what PySDDR asks for
    assert np.abs(steps.mean(axis=1) / 3 - 1).max() < 0.5
    slope = np.polyfit(medians.index, medians.mean(axis=1), 1)[0]
    assert abs(slope - 3) < 0.15


@pytest.mark.slow
def test_the_structured_part_is_found_beside_the_image():
    """And standard errors hold that know of the image (``inference="cross_fit"``)."""
    found = []
    for seed in range(DATA_SETS):
        X, y, _ = design(seed)
        rows = inside(X)
        new = X.iloc[rows]
        model = fit(X, y, seed)
        terms = model.predict_terms(new)
        errors = []
        for name, truth in (("s(x1)", np.sin(new["x1"])), ("s(x3)", new["x3"] ** 4)):
            errors.append(np.std(terms[name] - truth))
        crossed = fit(X, y, seed, inference="cross_fit")
        se = np.sqrt(crossed.cov_params_.loc["x2", "x2"])
        adjusted = fit(X, y, seed, inference="cross_fit", estimand="adjusted")
        found.append(
            {
                "R²": model.score(new, y[rows]),
                "SD of error, s(x1)": errors[0],
                "SD of error, s(x3)": errors[1],
                "x2": model.params_["x2"],
                "its z, conditional": (model.params_["x2"] + 3)
                / np.sqrt(model.cov_params_.loc["x2", "x2"]),
                "its z, cross-fit": (crossed.params_["x2"] + 3) / se,
                "x2, adjusted": adjusted.params_["x2"],
            }
        )
    frame = pd.DataFrame(found)
    print("\n| | " + " | ".join(frame) + " |")
    print("|---" * (frame.shape[1] + 1) + "|")
    for seed, row in frame.iterrows():
        print(f"| {seed} | " + " | ".join(f"{v:.2f}" for v in row) + " |")
    assert (frame["R²"] > 0.9).all()
    assert (frame["SD of error, s(x1)"] < 1.2).all()
    assert (frame["SD of error, s(x3)"] < 1.5).all()
    assert (frame["its z, cross-fit"].abs() < 3).all()
    assert (frame["x2, adjusted"] + 3).abs().max() < 0.2
