"""Pictures: what they draw is what the model says."""

from __future__ import annotations

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

import semistruct as ss
from semistruct.exceptions import DataError, ParameterError

mpl.use("Agg")


@pytest.fixture
def axes():
    return Figure().subplots(1, 2)


@pytest.fixture(scope="module")
def mcycle():
    X, y = ss.datasets.load_mcycle()
    return ss.SemiStructuredRegressor("s(times, k=20)").fit(X, y), X


def test_smooth_and_band_are_those_of_the_model(mcycle, axes):
    model, X = mcycle
    (axis,) = ss.plots.terms(model, X, axes=axes[0])
    line = axis.lines[0]
    at, drawn = line.get_xdata(), line.get_ydata()
    assert at[[0, -1]] == pytest.approx([X["times"].min(), X["times"].max()])
    grid = pd.DataFrame({"times": at})
    assert drawn == pytest.approx(model.predict_terms(grid)["s(times)"].to_numpy())
    part = model.predictor_.designs[0].matrix(grid)[:, 1:]
    se = np.sqrt(np.diag(part @ model.exact_.cov[1:, 1:] @ part.T))
    band = axis.collections[0].get_paths()[0].vertices[:, 1]
    assert band.max() == pytest.approx((drawn + 1.959964 * se).max())
    assert band.min() == pytest.approx((drawn - 1.959964 * se).min())


def test_smooths_by_level_and_by_number(axes):
    rng = np.random.default_rng(0)
    X = pd.DataFrame({"x": rng.uniform(0, 1, 200), "z": rng.normal(size=200)})
    X["g"] = pd.Categorical(rng.choice(["a", "b"], 200))
    y = np.where(X["g"] == "a", np.sin(6 * X["x"]), X["x"]) + 0.1 * X["z"]
    model = ss.SemiStructuredRegressor("C(g) + s(x, by=g)").fit(X, y)
    grid = ss.plots.terms(model, axes=axes)
    at = grid[0].lines[0].get_xdata()
    for axis, level in zip(grid, "ab", strict=True):
        rows = pd.DataFrame({"x": at, "g": level, "z": 0.0})
        expected = model.predict_terms(rows)[f"s(x):g[{level}]"]
        assert axis.lines[0].get_ydata() == pytest.approx(expected.to_numpy())


def test_partial_residuals_are_fit_and_residual(mcycle, axes):
    model, X = mcycle
    _, y = ss.datasets.load_mcycle()
    (axis,) = ss.plots.terms(model, X, y, axes=axes[0])
    dots = axis.lines[0]
    assert dots.get_xdata() == pytest.approx(X["times"].to_numpy())
    expected = y - model.predict(X) + model.predict_terms(X)["s(times)"]
    assert dots.get_ydata() == pytest.approx(expected.to_numpy())
    with pytest.raises(ParameterError, match="X is not given"):
        ss.plots.terms(model, y=y)


def test_partial_residuals_on_the_scale_of_the_link(axes):
    rng = np.random.default_rng(1)
    X = pd.DataFrame({"x": rng.uniform(0, 1, 300), "z": rng.normal(size=300)})
    mean = np.exp(1 + np.sin(6 * X["x"]))
    counts = rng.poisson(mean)
    model = ss.GAM("s(x) + z", family="poisson").fit(X, counts)
    (axis,) = ss.plots.terms(model, X, counts, axes=axes[0])
    mu = model.predict(X)  # working residual (y - μ)/μ, weight μ
    expected = model.predict_terms(X)["s(x)"] + (counts - mu) / np.sqrt(mu * mu.mean())
    assert axis.lines[0].get_ydata() == pytest.approx(expected.to_numpy())
    labels = np.where(counts > 3, "many", "few")
    classifier = ss.SemiStructuredClassifier("s(x) + z").fit(X, labels)
    (axis,) = ss.plots.terms(classifier, X, labels, axes=axes[1])
    assert len(axis.lines[0].get_ydata()) == 300
    times = rng.exponential(mean)
    survival = ss.SemiStructuredSurvival("s(x)").fit(X, times)
    with pytest.raises(DataError, match="no partial residuals"):
        ss.plots.terms(survival, X, times)


def test_partial_residuals_of_both_parameters_and_of_levels():
    rng = np.random.default_rng(2)
    X = pd.DataFrame({"x": rng.uniform(0, 1, 300), "g": rng.choice(["a", "b"], 300)})
    y = np.sin(6 * X["x"]) + np.exp(X["x"] - 1) * rng.normal(size=300)
    terms = {"loc": "C(g) + s(x, by=g)", "scale": "s(x)"}
    model = ss.GAM(terms).fit(X, y)
    grid = ss.plots.terms(model, X, y, axes=Figure().subplots(1, 3))
    titles = [axis.get_ylabel() for axis in grid]
    assert titles == ["s(x):g[a], loc", "s(x):g[b], loc", "s(x), scale"]
    loc, scale = model.predict_parameters(X).to_numpy().T
    for axis, level in zip(grid, "ab", strict=False):
        rows = (X["g"] == level).to_numpy()
        part = model.predict_terms(X)["loc", f"s(x):g[{level}]"].to_numpy()
        expected = part + (y - loc) / scale / np.sqrt((1 / scale**2).mean())
        assert axis.lines[0].get_ydata() == pytest.approx(expected[rows])
    # of the scale: u = z² − 1, w = 2
    part = model.predict_terms(X)["scale", "s(x)"]
    expected = part + (((y - loc) / scale) ** 2 - 1) / 2
    assert grid[2].lines[0].get_ydata() == pytest.approx(expected.to_numpy())


def test_simultaneous_band_is_wider(mcycle, axes):
    model, _ = mcycle
    widths = []
    for axis, simultaneous in zip(axes, (False, True), strict=True):
        ss.plots.terms(model, simultaneous=simultaneous, axes=axis)
        at, outline = axis.collections[0].get_paths()[0].vertices.T
        widths.append(np.abs(outline - np.interp(at, *axis.lines[0].get_data())))
    ratio = widths[1][widths[0] > 0] / widths[0][widths[0] > 0]
    assert ratio == pytest.approx(ratio[0])
    assert 2.6 / 1.96 < ratio[0] < 3.6 / 1.96
    for name, value in (("level", 1.0), ("simultaneous", "yes")):
        with pytest.raises(ParameterError, match=name):
            ss.plots.terms(model, **{name: value})


def test_surfaces_and_regions():
    rng = np.random.default_rng(3)
    X = pd.DataFrame(rng.uniform(size=(300, 3)), columns=["x", "z", "w"])
    X["g"] = rng.choice(list("abc"), 300)
    y = X["x"] * X["z"] + (X["g"] == "b") + rng.normal(0, 0.2, 300)
    line = {"a": ["b"], "b": ["a", "c"], "c": ["b"]}
    surfaces = [
        ss.terms.Tensor(("x", "z"), k=4),
        ss.terms.Smooth(("x", "w"), bs="tp", k=12),
        ss.terms.Smooth("g", bs="mrf", neighbours=line),
    ]
    for term in surfaces:
        model = ss.GAM([term]).fit(X, y)
        (axis,) = ss.plots.terms(model, X, y, axes=Figure().subplots())
        if len(term.names) == 2:
            assert [axis.get_xlabel(), axis.get_ylabel()] == list(term.names)
            continue
        (bars,) = axis.containers
        rows = pd.DataFrame({"g": list("abc")})
        expected = model.predict_terms(rows)["s(g)"].to_numpy()
        assert bars.lines[0].get_ydata() == pytest.approx(expected)
        assert [t.get_text() for t in axis.get_xticklabels()] == list("abc")
        assert len(axis.lines[0].get_ydata()) == 300


def test_wrong_number_of_axes_and_nothing_to_draw(mcycle, axes):
    model, X = mcycle
    with pytest.raises(ValueError, match="1 axes are needed; got 2"):
        ss.plots.terms(model, axes=axes)
    line = ss.SemiStructuredRegressor("times").fit(X, X["times"] ** 2)
    with pytest.raises(ValueError, match="no smooth"):
        ss.plots.terms(line)
    with pytest.raises(ValueError, match="nothing was trained"):
        ss.plots.history(line)


def test_coefficients_scores_and_history(axes):
    X, y = ss.datasets.make_regression_digits(200)
    training = ss.Training(max_epochs=2)
    model = ss.SemiStructuredRegressor(
        "age + image(scan)", training=training, random_state=0
    ).fit(X, y)
    table = model.summary().coefficients
    axis = ss.plots.coefficients(table, truth={"age": 0.05}, axes=axes[0])
    assert [t.get_text() for t in axis.get_yticklabels()] == ["Intercept", "age"]
    axis = ss.plots.history(model, axes=axes[1])
    drawn = axis.lines[1].get_ydata()
    assert drawn == pytest.approx(model.history_["validation_loss"].to_numpy())
    values = pd.Series({"a": 0.6, "b": 0.7})
    axis = ss.plots.scores(values, label="C-index", baseline=0.5)
    assert axis.get_xlabel() == "C-index"
    assert [t.get_text() for t in axis.texts] == ["0.600", "0.700"]
