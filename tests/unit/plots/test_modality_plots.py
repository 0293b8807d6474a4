"""The picture of what modalities add shows the numbers of the comparison."""

from __future__ import annotations

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest

import semistruct as ss
from semistruct.exceptions import ParameterError

mpl.use("Agg")


@pytest.fixture(scope="module")
def found():
    rng = np.random.default_rng(0)
    X = pd.DataFrame(rng.normal(size=(200, 2)), columns=["x", "u"])
    y = X["x"] + X["u"] + rng.normal(size=200)
    return ss.compare_modalities(
        ss.SemiStructuredRegressor("x + u"),
        X,
        y,
        {"clinic": "x", "photo": "u"},
        metrics=["r2", "neg_mean_absolute_error"],
        cv=3,
        n_boot=30,
        random_state=0,
    )


@pytest.mark.parametrize("metric", ["r2", "neg_mean_absolute_error"])
def test_points_and_lines_are_scores_and_intervals(found, metric) -> None:
    import matplotlib.pyplot as plt

    left, right = ss.plots.modality_gains(found, metric=metric)
    names = [label.get_text() for label in left.get_yticklabels()]
    assert names == ["clinic", "photo", "clinic + photo"]
    np.testing.assert_allclose(left.lines[-1].get_xdata(), found.scores[metric])
    assert [len(line.get_xdata()) for line in left.lines[:3]] == [3, 3, 3]
    gains = found.gains[found.gains["metric"] == metric]
    np.testing.assert_allclose(right.lines[-1].get_xdata(), gains["gain"])
    thin, thick = right.collections
    for lines, ends in (
        (thin, ("lower", "upper")),
        (thick, ("boot_lower", "boot_upper")),
    ):
        shown = np.array([segment[:, 0] for segment in lines.get_segments()])
        np.testing.assert_allclose(shown, gains[list(ends)].to_numpy())
    assert thick.get_linewidth()[0] > thin.get_linewidth()[0]
    plt.close("all")


def test_an_unknown_metric_is_named(found) -> None:
    with pytest.raises(ParameterError, match="'r2'"):
        ss.plots.modality_gains(found, metric="r3")
