"""Scores of several models beside each other."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from ._style import COLORS, make_axes, tidy

__all__ = ["scores"]


def scores(
    values: pd.Series, *, label: str, baseline: float | None = None, axes: Any = None
) -> Axes:
    """Draw held-out scores as points, one below the other.

    Parameters
    ----------
    values : Series
        Score by name of the model.
    label : str
        Name of the score.
    baseline : float, optional
        Score of a constant prediction, drawn as a line.
    axes : Axes, optional
        Where to draw.

    Returns
    -------
    Axes

    Examples
    --------
    >>> import pandas as pd, semistruct as ss
    >>> values = pd.Series({"table": 0.61, "table + image": 0.72})
    >>> axes = ss.plots.scores(values, label="C-index", baseline=0.5)
    >>> axes.get_xlabel()
    'C-index'
    """
    (axis,) = make_axes(axes, 1, height=0.9 + 0.42 * len(values))
    at = np.arange(len(values))[::-1]
    if baseline is not None:
        axis.axvline(baseline, color="#7F7F7F", linewidth=1, linestyle="--")
    axis.hlines(
        at, values.min() if baseline is None else baseline, values, color=COLORS[6]
    )
    axis.plot(values, at, "o", color=COLORS[0], markersize=8)
    for x, y in zip(values, at, strict=True):
        place = {"textcoords": "offset points", "ha": "center"}
        axis.annotate(f"{x:.3f}", (x, y), (0, 8), **place)
    axis.set_yticks(at, [str(name) for name in values.index])
    axis.set(xlabel=label, ylim=(-0.7, len(values) - 0.2))
    axis.margins(x=0.24)
    tidy(axis)
    return axis
