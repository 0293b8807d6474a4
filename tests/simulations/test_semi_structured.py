"""What table and image get credit for, where the truth is known.

Scans are real digits; covariates and outcomes are simulated (`ss.datasets`). The slow
tests print the numbers that they check.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

import semistruct as ss
from semistruct.design import StructuredDesign, parse_formula
from semistruct.fusion import apply_projection, fit_projection

TABLE = "age + C(stage) + s(bmi)"
SCAN = TABLE + " + image(scan)"
KINDS = ("Regressor", "Classifier", "Survival")
NAMES = ["age", "C(stage)[T.II]", "C(stage)[T.III]"]


def data(kind: str, n: int, seed: int, signal: str) -> tuple[pd.DataFrame, Any, dict]:
    options = {"signal": signal, "random_state": seed, "return_truth": True}
    if kind == "Survival":
        return ss.datasets.make_survival_digits(n, **options)
    X, y, truth = ss.datasets.make_regression_digits(n, **options)
    if kind == "Classifier":
        eta = truth["linear_predictor"] - 5.0  # about as many of each class
        draw = np.random.default_rng(seed + 10_000).logistic(size=n)
        y = np.where(draw < eta, "yes", "no")
    return X, y, truth


def fit(kind: str, terms: str, X: pd.DataFrame, y: Any, seed: int = 0, **params) -> Any:
    options = {"max_epochs": 10, "learning_rate": 3e-3, "patience": 3}
    training = params.pop("training", ss.Training(**options))
    estimator = getattr(ss, f"SemiStructured{kind}")
    return estimator(terms, training=training, random_state=seed, **params).fit(X, y)


def estimates(model: Any) -> tuple[np.ndarray, np.ndarray]:
    """Coefficients of age and the stages, and their standard errors."""
    variance = pd.Series(np.diag(model.cov_params_), index=model.params_.index)
    return model.params_[NAMES].to_numpy(), np.sqrt(variance[NAMES].to_numpy())


def shift(model: Any, table: Any) -> np.ndarray:
    """How far coefficients are from the table's own, in its standard errors."""
    (coef, _), (expected, se) = estimates(model), estimates(table)
    return np.abs(coef - expected) / se


# -- an image that is noise --------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_a_noise_image_moves_no_coefficient(kind):
    """Also where early stopping happens to keep some of the noise."""
    kept = 0
    for seed in range(4):
        X, y, _ = data(kind, 500, seed, "none")
        model = fit(kind, SCAN, X, y, seed, training=ss.Training(max_epochs=15))
        table = fit(kind, TABLE, X, y)
        assert shift(model, table).max() < 1
        kept += model.history_["validation_loss"].idxmin() > 0
    assert kept > 0  # the test saw a deep term that is not zero


@pytest.mark.parametrize("kind", ["Regressor"])
def test_a_noise_image_that_was_learned_by_heart(kind):
    """Gaussian: not even a network that overfits without a brake moves them."""
    X, y, _ = data(kind, 300, 1, "none")
    training = ss.Training(max_epochs=15, learning_rate=5e-3, validation_fraction=0)
    with pytest.warns(ss.exceptions.InferenceWarning):
        model = fit(kind, "age + C(stage) + image(scan)", X, y, training=training)
    table = fit(kind, "age + C(stage)", X, y)
    d = model.predict_terms(X)["image(scan)"]
    assert d.std() > 0.5
    np.testing.assert_allclose(model.coef_, table.coef_, rtol=1e-8, atol=1e-8)


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_a_noise_image_over_many_data_sets(kind):
    largest = []
    for seed in range(40):
        X, y, _ = data(kind, 800, seed, "none")
        model = fit(kind, SCAN, X, y, seed, training=ss.Training())
        largest.append(shift(model, fit(kind, TABLE, X, y)).max())
    print(f"\n{kind}: noise image, 40 data sets of 800 rows, default training")
    print(f"  largest shift of a coefficient {max(largest):.3f} SE")
    assert np.mean(np.array(largest) < 1) >= 0.95
    assert np.median(largest) < 0.1


# -- an image with a signal of its own ---------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_an_independent_signal_raises_the_score(kind):
    """On rows that were not seen, by a margin, and towards what truth reaches."""
    X, y, _ = data(kind, 900, 1, "independent")
    X_test, y_test, truth = data(kind, 900, 100, "independent")
    model, table = fit(kind, SCAN, X, y), fit(kind, TABLE, X, y)
    image = fit(kind, "image(scan)", X, y)
    gain = model.score(X_test, y_test) - table.score(X_test, y_test)
    assert gain > {"Regressor": 0.2, "Classifier": 0.05, "Survival": 0.03}[kind]
    assert model.score(X_test, y_test) > image.score(X_test, y_test)
    d = model.predict_terms(X_test)["image(scan)"]
    assert np.corrcoef(d, truth["digit"])[0, 1] > 0.6
    assert model.deep_share_["image(scan)"][0] > 0.1


def test_gaussian_coefficients_are_unbiased_and_those_of_the_table():
    """Mean over 20 data sets within 2 Monte-Carlo SE of the truth."""
    found, own = [], []
    for seed in range(20):
        X, y, truth = data("Regressor", 500, seed, "independent")
        model = fit("Regressor", SCAN, X, y, seed)
        found.append(estimates(model)[0])
        own.append(model.history_["validation_loss"].idxmin() > 0)
    assert sum(own) >= 18  # the image was used
    mean = np.mean(found, axis=0)
    error = np.std(found, axis=0, ddof=1) / np.sqrt(20)
    expected = [truth["coefficients"][name] for name in NAMES]
    z = (mean - expected) / error
    print(f"\ngaussian, 20 data sets of 500: mean {mean.round(4)}, z {z.round(2)}")
    assert np.abs(z).max() < 2


def test_parametric_coefficients_do_not_move_at_all():
    """Gaussian, X'W d = 0: those of the structured-only fit to 1e-8."""
    X, y, _ = data("Regressor", 400, 0, "independent")
    rng = np.random.default_rng(0)
    weight = rng.uniform(0.5, 2.0, size=400)
    X["scan"] = X["scan"].where(rng.random(400) < 0.8)  # and with missing scans
    terms = "age * C(stage) + np.log(bmi)"
    model = ss.SemiStructuredRegressor(
        terms + " + image(scan)",
        training=ss.Training(max_epochs=8, learning_rate=3e-3),
        random_state=0,
    ).fit(X, y, sample_weight=weight)
    table = ss.SemiStructuredRegressor(terms).fit(X, y, sample_weight=weight)
    assert model.predict_terms(X)["image(scan)"].std() > 0.1
    np.testing.assert_allclose(model.params_, table.params_, rtol=1e-8, atol=1e-8)
    d = model.predict_terms(X)["image(scan)"].to_numpy()
    design = StructuredDesign.fit(parse_formula(terms), X).matrix(X)
    size = np.sqrt(weight @ design**2 * (weight @ d**2))
    assert (np.abs(design.T @ (weight * d)) < 1e-6 * size).all()
    free = ss.SemiStructuredRegressor(
        terms + " + image(scan)",
        orthogonalize="none",
        training=ss.Training(max_epochs=8, learning_rate=3e-3),
        random_state=0,
    ).fit(X, y, sample_weight=weight)
    assert np.abs(free.coef_ / table.coef_ - 1).max() > 1e-3  # so the test can fail


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["Classifier", "Survival"])
def test_logistic_and_cox_coefficients_over_many_data_sets(kind):
    """The deep term brings them towards the truth; alone they are attenuated.

    Logit and hazard ratio are not collapsible: without the scan's effect the table's
    own coefficients are too small. Beside the scan they are near the truth and not at
    it: the deep term is not learned whole, overfits in sample, and is orthogonal in the
    metric of the warm start, in which table and scan are not independent.
    """
    found, alone = [], []
    for seed in range(30):
        X, y, truth = data(kind, 1000, seed, "independent")
        found.append(estimates(fit(kind, SCAN, X, y, seed))[0])
        alone.append(estimates(fit(kind, TABLE, X, y))[0])
    expected = np.array([truth["coefficients"][name] for name in NAMES])
    ratio = np.mean(found, axis=0) / expected
    attenuated = np.mean(alone, axis=0) / expected
    print(f"\n{kind}: estimate over truth {ratio.round(3)}")
    print(f"  without the scan {attenuated.round(3)}")
    assert (attenuated < 0.97).all()
    assert abs(ratio.mean() - 1) < 0.6 * abs(attenuated.mean() - 1)
    assert (np.abs(ratio - 1) < 0.2).all()


# -- an image that encodes a covariate ---------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_the_effect_of_an_encoded_covariate_stays_with_it(kind):
    """The scan's brightness is age; d(scan) = 0 in truth."""
    kept, found = 0, []
    for seed in range(4):
        X, y, truth = data(kind, 600, seed, "encodes")
        model = fit(kind, SCAN, X, y, seed, training=ss.Training(max_epochs=15))
        table = fit(kind, TABLE, X, y)
        assert shift(model, table).max() < 1
        coef, se = estimates(model)
        expected = np.array([truth["coefficients"][name] for name in NAMES])
        found.append((coef - expected) / se)
        kept += model.history_["validation_loss"].idxmin() > 0
    assert kept > 0  # the test saw a deep term that is not zero
    assert np.abs(np.mean(found, axis=0)).max() < 2


def test_trained_first_the_image_takes_the_covariates_effect():
    """What orthogonalisation is for; the warm start alone keeps the effect too.

    An image model that is trained before the table takes over most of age's effect,
    since brightness encodes it: age beside it as an offset is a rest. The same image
    part, projected, leaves age its whole effect. In the estimators the table comes
    first, so with ``orthogonalize="none"`` there is little left to take here.
    """
    drift, projected, unprojected = [], [], []
    for seed in range(1, 4):
        X, y, _ = data("Regressor", 800, seed, "encodes")
        table = fit("Regressor", TABLE, X, y)
        training = ss.Training(max_epochs=20, learning_rate=3e-3)
        first = fit(
            "Regressor", "image(scan)", X, y, training=training, orthogonalize="none"
        )
        d = first.predict_terms(X)[["image(scan)"]].to_numpy()
        assert np.corrcoef(d[:, 0], X["age"])[0, 1] > 0.4
        beside = fit("Regressor", TABLE + " + offset(d)", X.assign(d=d[:, 0]), y)
        drift.append(shift(beside, table)[0])
        design = StructuredDesign.fit(parse_formula(TABLE), X).matrix(X)
        rest = apply_projection(d, design, fit_projection(design, d))[:, 0]
        beside = fit("Regressor", TABLE + " + offset(d)", X.assign(d=rest), y)
        projected.append(shift(beside, table)[0])
        free = fit("Regressor", SCAN, X, y, training=training, orthogonalize="none")
        unprojected.append(shift(free, table)[0])
    print(f"\nshift of age in SE: image first {np.round(drift, 2)},")
    print(
        f"  projected {np.round(projected, 4)}, warm start {np.round(unprojected, 3)}"
    )
    assert min(drift) > 2
    assert max(projected) < 0.05
    assert max(unprojected) < 1
