"""What holds for any data: scale, order, repetition, orthogonality, monotone time."""

from __future__ import annotations

import numpy as np
import pandas as pd
from hypothesis import given, settings
from hypothesis import strategies as st

import semistruct as ss
from semistruct.design import StructuredDesign, parse_formula

seeds = st.integers(0, 2**32 - 1)


def table(seed: int, n: int) -> tuple[pd.DataFrame, np.ndarray]:
    rng = np.random.default_rng(seed)
    group = np.arange(n) % 3
    X = pd.DataFrame(
        {
            "x": rng.normal(size=n),
            "z": rng.gamma(2.0, size=n),
            "g": rng.permutation(np.array(list("abc"))[group]),
            "scan": ss.TensorArray(rng.normal(size=(n, 4, 4))),
        }
    )
    return X, X["x"].to_numpy() + (X["g"] == "b") + rng.normal(size=n)


def make(terms: str, **params) -> ss.SemiStructuredRegressor:
    training = ss.Training(max_epochs=2, learning_rate=2e-2, validation_fraction=0.3)
    small = ss.CNN(width=2, depth=1, output_dim=3)
    encoders = {"scan": small} if "scan" in terms else {}
    return ss.SemiStructuredRegressor(
        terms, training=training, encoders=encoders, random_state=0, **params
    )


@given(seed=seeds, n=st.integers(20, 60), scale=st.floats(1e-3, 1e3))
@settings(max_examples=12)
def test_units_of_the_target_and_of_columns(seed, n, scale):
    """A change of units changes no fit, deep terms included."""
    X, y = table(seed, n)
    one = make("x + C(g) + image(scan)").fit(X, y)
    two = make("x + C(g) + image(scan)").fit(X.assign(x=X["x"] * scale + 3), scale * y)
    expected = scale * one.predict(X)
    found = two.predict(X.assign(x=X["x"] * scale + 3))
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-3 * scale)
    np.testing.assert_allclose(two.params_["x"], one.params_["x"], rtol=1e-3, atol=1e-4)


@given(seed=seeds, n=st.integers(20, 60))
@settings(max_examples=30)
def test_deep_terms_are_orthogonal_and_coefficients_those_of_the_table(seed, n):
    """Gaussian: X'W d = 0, so the parametric coefficients do not move at all."""
    X, y = table(seed, n)
    weight = np.random.default_rng(seed).uniform(0.2, 3.0, size=n)
    model = make("x + z + C(g) + image(scan)").fit(X, y, sample_weight=weight)
    alone = make("x + z + C(g)").fit(X, y, sample_weight=weight)
    np.testing.assert_allclose(model.params_, alone.params_, rtol=1e-8, atol=1e-8)
    d = model.predict_terms(X)["image(scan)"].to_numpy()
    design = StructuredDesign.fit(parse_formula("x + z + C(g)"), X).matrix(X)
    size = np.sqrt(weight @ design**2 * (weight @ d**2))
    assert (np.abs(design.T @ (weight * d)) <= 1e-6 * size).all()


@given(seed=seeds, n=st.integers(20, 60), row=st.integers(0, 19))
@settings(max_examples=20)
def test_rows_stand_alone_and_terms_add_up(seed, n, row):
    X, y = table(seed, n)
    model = make("x + C(g) + image(scan, by=z)").fit(X, y)
    whole = model.predict(X)
    np.testing.assert_allclose(model.predict(X.iloc[[row]]), whole[[row]], atol=1e-5)
    np.testing.assert_allclose(model.predict_terms(X).sum(axis=1), whole, atol=1e-6)


@given(seed=seeds, n=st.integers(20, 60))
@settings(max_examples=30)
def test_the_order_of_rows_does_not_matter_to_an_exact_fit(seed, n):
    X, y = table(seed, n)
    order = np.random.default_rng(seed).permutation(n)
    one = make("x + C(g) + s(z, k=5)").fit(X, y)
    two = make("x + C(g) + s(z, k=5)").fit(X.iloc[order], y[order])
    np.testing.assert_allclose(two.predict(X), one.predict(X), rtol=1e-4, atol=1e-4)


@given(seed=seeds, n=st.integers(20, 60))
@settings(max_examples=30)
def test_whole_weights_are_repetition(seed, n):
    X, y = table(seed, n)
    counts = np.random.default_rng(seed).poisson(2.0, size=n)
    counts[:12] += 1
    rows = np.repeat(np.arange(n), counts)
    one = make("x + C(g)").fit(X, y, sample_weight=counts)
    two = make("x + C(g)").fit(X.iloc[rows], y[rows])
    np.testing.assert_allclose(one.coef_, two.coef_, rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose(one.cov_params_, two.cov_params_, rtol=1e-6, atol=1e-12)
    assert one.exact_.n_effective == two.exact_.n_effective == counts.sum()


@given(seed=seeds, n=st.integers(25, 80), power=st.floats(0.3, 3.0))
@settings(max_examples=30)
def test_cox_knows_only_the_order_of_times(seed, n, power):
    X, y = table(seed, n)
    event = np.random.default_rng(seed).random(n) < 0.8
    event[0] = True
    time = np.exp(-y / 4)
    one = ss.SemiStructuredSurvival("x").fit(X, ss.Surv(time, event))
    two = ss.SemiStructuredSurvival("x").fit(X, ss.Surv(5 * time**power, event))
    np.testing.assert_allclose(two.coef_, one.coef_, rtol=1e-7, atol=1e-9)
    curves = one.predict_survival_function(X)
    mapped = two.predict_survival_function(X)
    np.testing.assert_allclose(mapped.values, curves.values, atol=1e-8)
    assert (np.diff(curves.values, axis=1) <= 0).all()
    assert ((curves.values >= 0) & (curves.values <= 1)).all()


@given(seed=seeds, n=st.integers(30, 80), shift=st.floats(-3, 3))
@settings(max_examples=30)
def test_the_reference_class_may_be_any(seed, n, shift):
    """Other names of the classes, in another order, give the same probabilities."""
    X, y = table(seed, n)
    noise = np.random.default_rng(seed).logistic(size=n)
    codes = np.digitize(y + 2 * noise, np.quantile(y + 2 * noise, [0.3, 0.7]))
    X = X.assign(x=X["x"] + shift)
    one = ss.SemiStructuredClassifier("x").fit(X, np.array(list("abc"))[codes])
    two = ss.SemiStructuredClassifier("x").fit(X, np.array(list("zyx"))[codes])
    np.testing.assert_allclose(
        two.predict_proba(X)[:, ::-1], one.predict_proba(X), rtol=1e-6, atol=1e-9
    )
    assert np.array_equal(
        one.predict(X), np.array(list("abc"))[one.predict_proba(X).argmax(axis=1)]
    )
