"""Pictures of cumulative incidence and of effects that change with time."""

import matplotlib as mpl

mpl.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
import pytest

from semistruct import StepFunction, plots
from semistruct.exceptions import DataError
from semistruct.survival import CurveBand

RELAPSE = StepFunction([1.0, 2.0], [[0.1, 0.3], [0.2, 0.4]], before=0.0)
DEATH = StepFunction([1.5], [[0.2], [0.1]], before=0.0)
CURVES = {"relapse": RELAPSE, "death": DEATH}


@pytest.fixture(autouse=True)
def close():
    yield
    plt.close("all")


def moved(curve, by):
    return StepFunction(curve.times, curve.values + by, before=0.0)


BAND = CurveBand(RELAPSE, RELAPSE, moved(RELAPSE, -0.05), moved(RELAPSE, 0.05))


def test_a_panel_for_each_cause_and_a_line_for_each_row():
    axes = plots.incidence(CURVES, bands={"relapse": BAND}, labels=["a", "b"])
    assert [axis.get_title() for axis in axes] == ["relapse", "death"]
    for axis, end in zip(axes, ([0.3, 0.4], [0.2, 0.1]), strict=True):
        lines = axis.get_lines()
        assert [line.get_ydata()[-1] for line in lines] == end
        assert [line.get_xdata()[-1] for line in lines] == [2.0, 2.0]
        assert [text.get_text() for text in axis.get_legend().get_texts()] == ["a", "b"]
        assert axis.get_xlim() == (0.0, 2.0)
    assert axes[0].get_ylim() == axes[1].get_ylim() == (0.0, pytest.approx(1.05 * 0.45))
    assert (len(axes[0].collections), len(axes[1].collections)) == (2, 0)


def test_the_areas_of_all_causes_share_the_rows():
    axes = plots.stacked_incidence(CURVES, labels=["first", "second"])
    assert [axis.get_title() for axis in axes] == ["first", "second"]
    tops = [area.get_paths()[0].get_extents().y1 for area in axes[0].collections]
    assert tops == pytest.approx([0.3, 0.5, 1.0])
    bottoms = [area.get_paths()[0].vertices[:, 1] for area in axes[1].collections]
    assert bottoms[2].min() == 0.0  # nobody has an event at 0
    assert axes[1].get_legend() is None


def test_effects_that_change_with_time():
    axis = plots.time_varying(
        [0, 1, 2], [2, 1, 1], [1, 0.5, 0.5], [3, 2, 2], null=1.0, rug=[0.5], label="HR"
    )
    null, curve, rug = axis.get_lines()
    assert null.get_ydata()[0] == 1.0
    np.testing.assert_array_equal(curve.get_ydata(), [2, 1, 1])
    np.testing.assert_array_equal(rug.get_xdata(), [0.5])
    assert axis.get_ylabel() == "HR"
    assert len(axis.collections) == 1
    assert len(plots.time_varying([1.0], [2.0]).collections) == 0


@pytest.mark.parametrize("draw", [plots.incidence, plots.stacked_incidence])
def test_curves_that_cannot_be_drawn(draw):
    with pytest.raises(DataError, match="no curves are given"):
        draw({})
    with pytest.raises(DataError, match="other numbers of rows"):
        draw({"a": RELAPSE, "b": DEATH[:1]})
    with pytest.raises(DataError, match="starts at 0, but that of 'a' at 1"):
        draw({"a": StepFunction([1.0], [[0.5]])})
    with pytest.raises(DataError, match=r"row 1 is 1\.2 at time 2"):
        draw({"a": StepFunction([1.0, 2.0], [[0, 0.1], [0, 1.2]], before=0.0)})
    with pytest.raises(DataError, match="1 labels are given for 2 curves"):
        draw(CURVES, labels=["a"])


def test_causes_that_sum_up_to_too_much():
    with pytest.raises(DataError, match=r"causes of row 0 sum up to 1\.2 at time 1"):
        plots.stacked_incidence(
            {k: StepFunction([1.0], [[0.6]], before=0.0) for k in "ab"}
        )
    with pytest.raises(DataError, match="at most 9 rows and 7 causes"):
        plots.stacked_incidence({"a": StepFunction([1.0], np.zeros((10, 1)), 0.0)})


def test_bands_of_something_else():
    with pytest.raises(DataError, match="bands hold the cause 'cure'"):
        plots.incidence(CURVES, bands={"cure": BAND})
    with pytest.raises(DataError, match="band does not hold the curve of row 0"):
        plots.incidence(CURVES, bands={"death": BAND})


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([0, 1], [1]), "estimate has shape"),
        (([0, 1], [1, np.nan]), "estimate is nan at number 1"),
        (([1, 1], [1, 1]), "times must increase"),
        (([0, 1], [1, 1], [0, 2], [2, 2]), "limits do not hold the estimate at time 1"),
        (([0, 1], [1, 1], [0, 0]), "give both lower and upper"),
        (([], []), "estimate has shape|times has shape"),
    ],
)
def test_effects_that_cannot_be_drawn(arguments, message):
    with pytest.raises(DataError, match=message):
        plots.time_varying(*arguments)
