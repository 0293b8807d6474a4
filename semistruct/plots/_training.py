"""How the training of deep terms went."""

from __future__ import annotations

from typing import Any

from matplotlib.axes import Axes
from sklearn.utils.validation import check_is_fitted

from semistruct.exceptions import DataError

from ._style import COLORS, make_axes, tidy

__all__ = ["history"]


def history(model: Any, *, axes: Any = None) -> Axes:
    """Draw training and validation loss by epoch; the epoch that was kept is marked.

    Parameters
    ----------
    model : estimator
        Fitted, with a deep term.
    axes : Axes, optional
        Where to draw.

    Returns
    -------
    Axes
    """
    check_is_fitted(model, "history_")
    rows = model.history_
    if rows.empty:
        raise DataError("history: the model has no deep term, so nothing was trained.")
    (axis,) = make_axes(axes, 1)
    names = (("train_loss", "training"), ("validation_loss", "validation"))
    for color, (column, label) in zip(COLORS, names, strict=False):
        if column in rows:
            axis.plot(rows["epoch"], rows[column], color=color, label=label)
    if "validation_loss" in rows:
        best = rows.loc[rows["validation_loss"].idxmin()]
        axis.plot(best["epoch"], best["validation_loss"], "o", color=COLORS[1])
    axis.set(xlabel="epoch", ylabel="loss per row")
    axis.legend(frameon=False)
    tidy(axis)
    return axis
