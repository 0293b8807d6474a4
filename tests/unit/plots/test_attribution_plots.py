"""Pictures of attributions: what is drawn is what was found."""

from __future__ import annotations

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

import semistruct as ss
from semistruct.attribution import Attribution, ModalityShapley, Waterfall
from semistruct.exceptions import DataError, ParameterError

mpl.use("Agg")


@pytest.fixture
def axis():
    return Figure().subplots()


@pytest.fixture(scope="module")
def scans():
    rng = np.random.default_rng(0)
    values = rng.normal(size=(3, 2, 5, 4))
    inputs = rng.normal(size=(3, 2, 5, 4))
    total = values.sum(axis=(1, 2, 3))
    index = pd.Index(["p1", "p2", "p3"])
    kind = ("image(scan)", "occlusion", "log hazard")
    return Attribution(values, inputs, total, np.zeros(3), index, (), *kind)


@pytest.fixture(scope="module")
def genes():
    values = np.array([[1.0, -0.5, 0.1, 0.0], [-2.0, 0.25, 0.1, 0.0]])
    inputs = np.array([[-1.0, -1.0, 1.0, 1.0], [2.0, 1.0, 1.0, 1.0]])
    kind = ("omics(g*)", "integrated_gradients", "log odds")
    names = ("a", "b", "c", "d")
    total = values.sum(axis=1)
    return Attribution(
        values, inputs, total, np.zeros(2), pd.RangeIndex(2), names, *kind
    )


def bars(axis):
    """Left, width and height of the middle of each bar, from the top."""
    found = [(p.get_x(), p.get_width(), p.get_y()) for p in axis.patches]
    return sorted(found, key=lambda bar: -bar[2])


def labels(axis):
    return [text.get_text() for text in axis.get_yticklabels()]


def test_a_map_is_the_sum_over_channels_on_a_scale_that_is_even(scans, axis):
    drawn = ss.plots.attribution_map(scans, row=1, axes=axis)
    assert drawn is axis
    grey, heat = axis.images
    np.testing.assert_allclose(heat.get_array(), scans.values[1].sum(axis=0))
    low, high = heat.get_clim()
    assert -low == high == pytest.approx(np.abs(scans.maps()[1]).max())
    assert np.corrcoef(grey.get_array().ravel(), scans.inputs[1].mean(0).ravel())[
        0, 1
    ] == pytest.approx(1.0)
    assert "row p2" in axis.get_title()
    none, more, less = heat.cmap([0.5, 1.0, 0.0])
    assert none[3] < 0.05  # nothing is transparent
    assert more[0] > more[2]
    assert less[2] > less[0]


def test_a_map_needs_a_row_of_images(scans, genes):
    with pytest.raises(ParameterError, match="row"):
        ss.plots.attribution_map(scans, row=3)
    with pytest.raises(DataError, match="maps"):
        ss.plots.attribution_map(genes)


def test_the_largest_features_are_drawn_with_their_direction(genes, axis):
    ss.plots.top_features(genes, 3, axes=axis)
    assert labels(axis) == ["a", "b", "c"]
    lengths = {y: width for _, width, y in bars(axis)}
    np.testing.assert_allclose(
        [lengths[y] for y in sorted(lengths, reverse=True)], [1.5, 0.375, 0.1]
    )
    colors = {p.get_width(): p.get_facecolor() for p in axis.patches}
    lowers, raises = mpl.colors.to_rgba_array(ss.plots.COLORS[:2])
    np.testing.assert_allclose(colors[1.5], lowers)
    np.testing.assert_allclose(colors[0.375], raises)


def test_groups_of_features_are_drawn(genes, axis):
    ss.plots.top_features(genes, groups={"one": ["c"], "two": ["a", "b"]}, axes=axis)
    assert labels(axis) == ["two", "one"]
    np.testing.assert_allclose([w for _, w, _ in bars(axis)], [1.125, 0.1])
    with pytest.raises(ParameterError, match="n"):
        ss.plots.top_features(genes, 0)


def test_a_waterfall_goes_from_its_start_to_its_total(axis):
    steps = [0.5, -0.75, 0.25]
    table = pd.DataFrame(
        {"contribution": steps, "cumulative": 1.0 + np.cumsum(steps)},
        index=["age", "stage", "image(scan)"],
    )
    found = Waterfall(table, 1.0, 1.0, "p7", "log hazard")
    ss.plots.waterfall(found, axes=axis)
    assert labels(axis) == ["age", "stage", "image(scan)", "total"]
    drawn = [(x, width) for x, width, _ in bars(axis)]
    np.testing.assert_allclose(drawn, [(1.0, 0.5), (1.5, -0.75), (0.75, 0.25)])
    written = [text.get_text() for text in axis.texts]
    assert written == ["+0.5", "−0.75", "+0.25", "1"]
    assert axis.get_title() == "row p7"
    assert axis.get_xlabel() == "log hazard"


def shares(n):
    values = pd.DataFrame(
        np.random.default_rng(0).normal(size=(n, 2)), columns=["structured", "scan"]
    )
    empty = pd.Series(np.full(n, 0.5))
    return ModalityShapley(values, empty, empty + values.sum(axis=1), "risk")


def test_shapley_values_of_rows_are_points(axis):
    found = shares(40)
    ss.plots.modality_shapley(found, axes=axis)
    assert labels(axis) == ["structured", "scan"]
    clouds = [line for line in axis.lines if line.get_marker() == "o"]
    means = [line for line in axis.lines if line.get_marker() == "D"]
    for j, name in enumerate(found.values):
        np.testing.assert_allclose(clouds[j].get_xdata(), found.values[name])
        assert np.abs(clouds[j].get_ydata() - (1 - j)).max() <= 0.28 + 1e-12
        assert means[j].get_xdata()[0] == pytest.approx(found.values[name].mean())
    with pytest.raises(ParameterError, match="at least one row"):
        ss.plots.modality_shapley(shares(0))


def test_shapley_values_of_a_score_are_steps(axis):
    found = shares(1)
    ss.plots.modality_shapley(found, axes=axis)
    assert labels(axis) == ["structured", "scan", "total"]
    (first, one, _), (second, two, _) = bars(axis)
    assert first == pytest.approx(0.5)
    assert second + two == pytest.approx(found.full.iloc[0])
    assert first + one == pytest.approx(second)


def test_axes_are_made_where_none_are_given(scans, genes):
    import matplotlib.pyplot as plt

    for drawn in (ss.plots.attribution_map(scans), ss.plots.top_features(genes)):
        drawn.figure.canvas.draw()
        plt.close(drawn.figure)
