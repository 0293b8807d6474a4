"""Colours and axes that all pictures share; safe for colour-blind readers."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.axes import Axes

__all__ = ["COLORS", "make_axes"]

# Okabe & Ito's palette: blue, vermilion, green, amber, purple, sky, grey
COLORS = ("#0072B2", "#D55E00", "#009E73", "#E69F00", "#CC79A7", "#56B4E9", "#7F7F7F")


def make_axes(axes: Any, n: int, *, width: float = 4.2, height: float = 3.2) -> Any:
    """Give ``n`` axes: those that were passed in, or those of a new figure.

    Parameters
    ----------
    axes : Axes, sequence of Axes or None
        What the user passed.
    n : int
        How many are needed.
    width, height : float
        Size of each new one, in inches.

    Returns
    -------
    ndarray of n Axes
    """
    if axes is None:
        import matplotlib.pyplot as plt

        columns = min(n, 3)
        rows = -(-n // columns)
        _, grid = plt.subplots(
            rows,
            columns,
            figsize=(width * columns, height * rows),
            squeeze=False,
            layout="constrained",
        )
        for spare in grid.ravel()[n:]:
            spare.set_axis_off()
        return grid.ravel()[:n]
    given = np.asarray([axes] if isinstance(axes, Axes) else list(axes), dtype=object)
    if len(given) != n:
        raise ValueError(f"axes: {n} axes are needed; got {len(given)}.")
    return given


def tidy(axis: Axes) -> None:
    """Take away what carries no information."""
    axis.spines[["top", "right"]].set_visible(False)
    axis.grid(True, color="#7F7F7F", alpha=0.18, linewidth=0.8)
    axis.set_axisbelow(True)
