"""Predicted cumulative incidence of causes, and effects that change with time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import ArrayLike

from semistruct._core.step import StepFunction
from semistruct.exceptions import DataError
from semistruct.survival import CurveBand

from ._style import COLORS, make_axes, tidy
from ._survival import (
    STYLES,
    check_band,
    corner_at,
    curve_names,
    draw_band,
    finish,
    line_look,
)

__all__ = ["incidence", "stacked_incidence", "time_varying"]

_ROUNDING = 1e-6


def incidence(
    curves: Mapping[Any, StepFunction],
    *,
    bands: Mapping[Any, CurveBand] | None = None,
    labels: Sequence[Any] | None = None,
    axes: Any = None,
) -> np.ndarray:
    """Draw predicted cumulative incidence of some rows, a panel for each cause.

    Parameters
    ----------
    curves : mapping of cause to StepFunction of n rows
        F_k(t) in [0, 1]; at most 21 rows.
    bands : mapping of cause to CurveBand of n rows, optional
        Limits of the same rows, for some causes or all.
    labels : sequence of n, optional
        Names of the rows. Default: the index of the curves.
    axes : sequence of Axes, optional
        Where to draw, one for each cause.

    Returns
    -------
    ndarray of Axes
        All with the same scale.

    Raises
    ------
    DataError
        If the curves do not start at 0, are of different rows, too many to be told
        apart, or a band is not of these rows.

    Examples
    --------
    >>> import semistruct as ss
    >>> relapse = ss.StepFunction([1.0, 2.0], [[0.1, 0.3], [0.2, 0.4]], before=0.0)
    >>> death = ss.StepFunction([1.5], [[0.2], [0.1]], before=0.0)
    >>> axes = ss.plots.incidence({"relapse": relapse, "death": death})
    >>> [axis.get_title() for axis in axes]
    ['relapse', 'death']
    """
    owner = "plots.incidence"
    n = _checked(curves, owner)
    first = next(iter(curves.values()))
    names = curve_names(first.index if labels is None else labels, n, owner)
    for cause in bands or {}:
        if cause not in curves:
            raise DataError(
                f"{owner}: bands hold the cause {cause!r}, but the curves are of "
                f"{list(curves)}."
            )
        check_band(curves[cause], bands[cause], owner)  # type: ignore[index]
    panels = make_axes(axes, len(curves), width=4.4, height=3.4)
    last = max(curve.times.max(initial=0.0) for curve in curves.values())
    top = 0.0
    for axis, (cause, curve) in zip(panels, curves.items(), strict=True):
        for i, style in zip(range(n), STYLES, strict=False):
            band = (bands or {}).get(cause)
            if band is not None:
                low, high = band.lower[i], band.upper[i]
                draw_band(axis, low.times, low.values[0], high.values[0], style[0], 0.0)
                top = max(top, float(np.nanmax(high.values, initial=0.0)))
            name = names[i] if n > 1 or labels is not None else None
            times, values = _until(curve.times, curve.values[i], last)
            axis.plot(*corner_at(times, values, 0.0), **line_look(style, name))
            top = max(top, float(values.max(initial=0.0)))
        axis.set_title(str(cause))
    for axis in panels:
        finish(axis, "cumulative incidence", top=min(1.03, 1.05 * top) or None)
        axis.set_xlim(right=last)
    return panels


def stacked_incidence(
    curves: Mapping[Any, StepFunction],
    *,
    labels: Sequence[Any] | None = None,
    axes: Any = None,
) -> np.ndarray:
    """Draw how the probabilities of all causes share the rows, a panel for each row.

    The areas of the causes lie on each other; what is left above is the probability of
    no event.

    Parameters
    ----------
    curves : mapping of cause to StepFunction of n rows
        F_k(t) in [0, 1]; at most 7 causes and 9 rows. The first is the lowest.
    labels : sequence of n, optional
        Names of the rows, the titles. Default: the index of the curves.
    axes : sequence of Axes, optional
        Where to draw, one for each row.

    Returns
    -------
    ndarray of Axes

    Raises
    ------
    DataError
        If the curves do not start at 0, are of different rows, sum up to more than 1,
        or are too many.

    Examples
    --------
    >>> import semistruct as ss
    >>> relapse = ss.StepFunction([1.0, 2.0], [[0.1, 0.3]], before=0.0)
    >>> death = ss.StepFunction([1.5], [[0.2]], before=0.0)
    >>> (axis,) = ss.plots.stacked_incidence({"relapse": relapse, "death": death})
    >>> [text.get_text() for text in axis.get_legend().get_texts()]
    ['no event', 'death', 'relapse']
    """
    owner = "plots.stacked_incidence"
    n = _checked(curves, owner)
    if n > 9 or len(curves) > len(COLORS):
        raise DataError(
            f"{owner}: at most 9 rows and {len(COLORS)} causes can be shown; got {n} "
            f"and {len(curves)}. Choose some rows."
        )
    first = next(iter(curves.values()))
    names = curve_names(first.index if labels is None else labels, n, owner)
    times = np.unique(np.concatenate([curve.times for curve in curves.values()]))
    values = np.stack([curve(times) for curve in curves.values()])  # (C, n, m)
    heights = np.cumsum(values, axis=0)
    if (heights > 1 + _ROUNDING).any():
        _, row, place = (int(i) for i in np.argwhere(heights > 1 + _ROUNDING)[0])
        raise DataError(
            f"{owner}: the causes of row {row} sum up to "
            f"{heights[-1, row, place]:.4g} at time {times[place]:g}, as those of "
            "separate subdistribution models may: "
            "draw them with plots.incidence."
        )
    panels = make_axes(axes, n, width=4.0, height=3.2)
    for i, (axis, name) in enumerate(zip(panels, names, strict=True)):
        low = np.zeros(len(times))
        for cause, color, height in zip(curves, COLORS, heights[:, i], strict=False):
            at, above = corner_at(times, height, 0.0)
            below = corner_at(times, low, 0.0)[1]
            axis.fill_between(
                at, below, above, color=color, alpha=0.75, linewidth=0, label=str(cause)
            )
            low = height
        at, below = corner_at(times, low, 0.0)
        axis.fill_between(
            at, below, 1.0, color="#EDEDED", linewidth=0, label="no event"
        )
        if n > 1 or labels is not None:
            axis.set_title(name)
        axis.set(xlabel="time", ylabel="probability", ylim=(0.0, 1.0))
        axis.set_xlim(min(0.0, times[0]), times[-1])
        tidy(axis)
    handles, words = panels[0].get_legend_handles_labels()
    panels[0].legend(
        handles[::-1], words[::-1], fontsize="small", framealpha=0.9, loc="upper left"
    )
    return panels


def time_varying(
    times: ArrayLike,
    estimate: ArrayLike,
    lower: ArrayLike | None = None,
    upper: ArrayLike | None = None,
    *,
    label: str = "log hazard ratio",
    null: float = 0.0,
    rug: ArrayLike | None = None,
    axes: Any = None,
) -> Axes:
    """Draw an effect that changes with time, and its limits.

    Parameters
    ----------
    times : array-like of shape (m,)
        Increasing.
    estimate : array-like of shape (m,)
        Effect at each time, on any scale.
    lower, upper : array-like of shape (m,), optional
        Pointwise or simultaneous limits, both or none.
    label : str, default="log hazard ratio"
        Name of the effect and its scale.
    null : float, default=0.0
        Value of no effect, a dashed line; 1 for a ratio.
    rug : array-like of shape (k,), optional
        Times of events, as ticks on the axis.
    axes : Axes, optional
        Where to draw.

    Returns
    -------
    Axes

    Raises
    ------
    DataError
        If shapes differ, a number is not finite, times do not increase, or the limits
        do not hold the estimate.

    Examples
    --------
    >>> import semistruct as ss
    >>> axis = ss.plots.time_varying(
    ...     [0, 1, 2], [0.5, 0.2, 0.1], [0.1, -0.1, -0.3], [0.9, 0.5, 0.5]
    ... )
    >>> axis.get_ylabel()
    'log hazard ratio'
    """
    owner = "plots.time_varying"
    if (lower is None) != (upper is None):
        raise DataError(f"{owner}: give both lower and upper, or none.")
    given = {"times": times, "estimate": estimate, "lower": lower, "upper": upper}
    arrays = {
        name: np.asarray(values, dtype=np.float64)
        for name, values in given.items()
        if values is not None
    }
    at, effect = arrays["times"], arrays["estimate"]
    for name, values in arrays.items():
        if values.ndim != 1 or values.shape != at.shape or not len(values):
            raise DataError(
                f"{owner}: {name} has shape {values.shape}; all must be (m,), and "
                f"times is {at.shape}."
            )
        bad = np.flatnonzero(~np.isfinite(values))
        if bad.size:
            raise DataError(f"{owner}: {name} is {values[bad[0]]} at number {bad[0]}.")
    if (np.diff(at) <= 0).any():
        raise DataError(f"{owner}: times must increase, without ties.")
    (axis,) = make_axes(axes, 1, width=5.0, height=3.4)
    axis.axhline(null, color="#555555", linewidth=1.0, linestyle="--")
    if "lower" in arrays:
        low, high = arrays["lower"], arrays["upper"]
        out = (effect < low - _ROUNDING) | (effect > high + _ROUNDING)
        if out.any():
            raise DataError(
                f"{owner}: the limits do not hold the estimate at time "
                f"{at[np.flatnonzero(out)[0]]:g}."
            )
        axis.fill_between(at, low, high, color=COLORS[0], alpha=0.18, linewidth=0)
    axis.plot(at, effect, color=COLORS[0], linewidth=1.8)
    if rug is not None:
        marks = np.asarray(rug, dtype=np.float64).ravel()
        axis.plot(
            marks,
            np.zeros(len(marks)),
            "|",
            color="#555555",
            alpha=0.5,
            markersize=7,
            transform=axis.get_xaxis_transform(),
        )
    axis.set(xlabel="time", ylabel=label)
    margin = 0.01 * (at[-1] - at[0])
    if margin > 0:
        axis.set_xlim(at[0] - margin, at[-1] + margin)
    tidy(axis)
    return axis


def _checked(curves: Mapping[Any, StepFunction], owner: str) -> int:
    """Check the curves of all causes, and give the number of rows."""
    if not curves:
        raise DataError(f"{owner}: no curves are given.")
    sizes = {cause: len(curve) for cause, curve in curves.items()}
    if len(set(sizes.values())) > 1:
        raise DataError(f"{owner}: causes have other numbers of rows, {sizes}.")
    for cause, curve in curves.items():
        if curve.before != 0.0:
            raise DataError(
                f"{owner}: cumulative incidence starts at 0, but that of {cause!r} at "
                f"{curve.before:g}."
            )
        bad = ~((curve.values >= -_ROUNDING) & (curve.values <= 1 + _ROUNDING))
        if bad.any():
            row, at = (int(i) for i in np.argwhere(bad)[0])
            raise DataError(
                f"{owner}: the incidence of {cause!r} must lie in [0, 1]; row {row} is "
                f"{curve.values[row, at]} at time {curve.times[at]:g}."
            )
    return next(iter(sizes.values()))


def _until(
    times: np.ndarray, values: np.ndarray, last: float
) -> tuple[np.ndarray, np.ndarray]:
    """Go on with the last value up to the end of the axis."""
    if not len(times) or times[-1] >= last:
        return times, values
    return np.append(times, last), np.append(values, values[-1])
