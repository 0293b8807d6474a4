"""Whether predicted risks are right, and whether acting on them is worth it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from semistruct.exceptions import DataError
from semistruct.metrics import IntegratedCalibration

from ._style import COLORS, make_axes, tidy

__all__ = ["calibration", "decision_curve"]

_GREY = "#7F7F7F"


def calibration(
    table: pd.DataFrame,
    *,
    smooth: IntegratedCalibration | None = None,
    axes: Any = None,
) -> Axes:
    """Draw observed on predicted risk: points with intervals beside the diagonal.

    Parameters
    ----------
    table : DataFrame
        Of `semistruct.metrics.calibration_curve`. Groups whose observed risk is NaN are
        left out.
    smooth : IntegratedCalibration, optional
        Of `semistruct.metrics.ici` at the same time; drawn as a line.
    axes : Axes, optional
        Where to draw.

    Returns
    -------
    Axes
        Both axes have the same range.

    Raises
    ------
    DataError
        If a column is missing, or nothing was observed.

    Examples
    --------
    >>> import semistruct as ss
    >>> X, y = ss.datasets.load_rossi()
    >>> model = ss.SemiStructuredSurvival("fin + age + prio").fit(X, y)
    >>> curves = model.predict_survival_function(X)
    >>> table = ss.metrics.calibration_curve(y, curves, 50, bins=5)
    >>> axes = ss.plots.calibration(table, smooth=ss.metrics.ici(y, curves, 50))
    >>> axes.get_xlabel()
    'predicted risk'
    """
    owner = "plots.calibration"
    names = ["predicted", "observed", "lower", "upper"]
    _check_columns(table, names, "calibration_curve", owner)
    shown = table.dropna(subset=["observed"])
    if shown.empty:
        raise DataError(f"{owner}: the observed risk of every group is NaN.")
    predicted, observed, lower, upper = shown[names].to_numpy().T
    (axis,) = make_axes(axes, 1, width=3.8, height=3.8)
    top = float(np.nanmax([predicted, observed, upper]))
    if smooth is not None:
        order = np.argsort(smooth.predicted)
        line = smooth.predicted[order], smooth.observed[order]
        top = max(top, *(float(values.max()) for values in line))
        axis.plot(*line, color=COLORS[1], linewidth=1.8, label="smooth")
    top = min(1.05 * top, 1.0) if top > 0 else 1.0
    around = np.array([observed - lower, upper - observed]).clip(min=0)
    look = {"fmt": "o", "color": COLORS[0], "markersize": 5, "linewidth": 1.5}
    axis.errorbar(predicted, observed, around, label="groups, interval", **look)
    diagonal = {"color": _GREY, "linewidth": 1, "linestyle": "--", "zorder": 1}
    axis.plot([0, top], [0, top], label="ideal", **diagonal)
    edge = -0.02 * top, 1.02 * top
    axis.set(xlabel="predicted risk", ylabel="observed risk", xlim=edge, ylim=edge)
    axis.set_aspect("equal")
    axis.legend(frameon=False, fontsize="small", loc="upper left")
    tidy(axis)
    return axis


def decision_curve(
    tables: pd.DataFrame | Mapping[str, pd.DataFrame], *, axes: Any = None
) -> Axes:
    """Draw the net benefit of models by the threshold of risk.

    Parameters
    ----------
    tables : DataFrame or dict of str to DataFrame
        Of `semistruct.metrics.decision_curve`: one, or one for each model, by its name,
        on the same rows at the same time and thresholds; at most 7.
    axes : Axes, optional
        Where to draw.

    Returns
    -------
    Axes
        The part where treating all does harm is cut off.

    Raises
    ------
    DataError
        If a column is missing, there are too many tables, or the tables do not belong
        together.

    Examples
    --------
    >>> import semistruct as ss
    >>> X, y = ss.datasets.load_rossi()
    >>> model = ss.SemiStructuredSurvival("fin + age + prio").fit(X, y)
    >>> curves = model.predict_survival_function(X)
    >>> axes = ss.plots.decision_curve(ss.metrics.decision_curve(y, curves, 50))
    >>> [text.get_text() for text in axes.get_legend().get_texts()]
    ['model', 'treat all', 'treat none']
    """
    owner = "plots.decision_curve"
    models = {"model": tables} if isinstance(tables, pd.DataFrame) else dict(tables)
    if not 0 < len(models) <= len(COLORS):
        raise DataError(
            f"{owner}: 1 to {len(COLORS)} tables can be told apart; got {len(models)}."
        )
    for table in models.values():
        _check_columns(table, ["threshold", "model", "all"], "decision_curve", owner)
    first_name, first = next(iter(models.items()))
    common = first[["threshold", "all"]].to_numpy()
    for name, table in models.items():
        other = table[["threshold", "all"]].to_numpy()
        if other.shape != common.shape or not np.allclose(
            other, common, equal_nan=True
        ):
            raise DataError(
                f"{owner}: the tables of {first_name!r} and {name!r} are not of the "
                "same rows, time and thresholds."
            )
    (axis,) = make_axes(axes, 1, width=5.0, height=3.4)
    at = common[:, 0]
    ground: dict[str, Any] = {"color": "black", "linewidth": 1.2}
    for color, (name, table) in zip(COLORS, models.items(), strict=False):
        axis.plot(at, table["model"], color=color, linewidth=1.8, label=str(name))
    axis.plot(at, common[:, 1], linestyle="--", label="treat all", **ground)
    axis.plot(at, np.zeros(len(at)), linestyle=":", label="treat none", **ground)
    drawn = np.concatenate([table["model"].to_numpy() for table in models.values()])
    top = float(np.nanmax(np.r_[drawn, common[:, 1], 0.0]))
    top = top if top > 0 else 0.01
    low = float(np.nanmin(np.r_[drawn, 0.0]))
    axis.set_ylim(max(min(1.1 * low, -0.15 * top), -top), 1.08 * top)
    axis.set(xlabel="threshold of risk", ylabel="net benefit")
    axis.legend(frameon=False, fontsize="small")
    tidy(axis)
    return axis


def _check_columns(
    table: pd.DataFrame, names: list[str], source: str, owner: str
) -> None:
    """Raise unless the table has these columns."""
    missing = [name for name in names if name not in getattr(table, "columns", ())]
    if missing:
        raise DataError(
            f"{owner}: the table has no column {missing[0]!r}; give what "
            f"metrics.{source}() returns."
        )
