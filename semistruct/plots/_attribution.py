"""Attributions: heat over an image, bars of columns, waterfalls, Shapley values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap, Normalize, to_rgba

from semistruct._core.validation import check_number
from semistruct.attribution import Attribution, ModalityShapley, Waterfall
from semistruct.exceptions import ParameterError

from ._style import COLORS, make_axes, tidy

__all__ = ["attribution_map", "modality_shapley", "top_features", "waterfall"]

_GREY = "#7F7F7F"
_RAISES, _LOWERS = COLORS[1], COLORS[0]


def attribution_map(
    attribution: Attribution, row: int = 0, *, axes: Any = None
) -> Axes:
    """Draw the attributions of one image over the image.

    The image is in pale grey, so that colour is attribution: vermilion where it raises
    what is explained, blue where it lowers it, more opaque where it is larger.

    Parameters
    ----------
    attribution : Attribution
        Of an image term.
    row : int, default=0
        Which of its rows, by position; negative ones count from the end.
    axes : Axes, optional
        Where to draw.

    Returns
    -------
    Axes

    Examples
    --------
    >>> import semistruct as ss
    >>> X, y = ss.datasets.make_regression_digits(80, random_state=0)
    >>> model = ss.SemiStructuredRegressor(
    ...     "age + image(scan)", training=ss.Training(max_epochs=2), random_state=0
    ... ).fit(X, y)
    >>> axes = ss.plots.attribution_map(ss.attribution.explain(model, X[:4]), row=2)
    >>> len(axes.images)
    2
    """
    owner, n = "plots.attribution_map", len(attribution.index)
    check_number(row, parameter="row", owner=owner, low=-n, high=n - 1, integer=True)
    heat = attribution.maps()[row]
    (axis,) = make_axes(axes, 1, width=3.6, height=3.2)
    grey = attribution.inputs[row].mean(axis=0)
    low, span = grey.min(), np.ptp(grey) or 1.0
    pale = 0.4 + 0.6 * (grey - low) / span  # colour would not be seen on black
    axis.imshow(pale, cmap="gray", vmin=0, vmax=1, interpolation="nearest")
    limit = float(np.abs(heat).max()) or 1.0
    image = axis.imshow(
        heat,
        cmap=_diverging(),
        norm=Normalize(-limit, limit),
        interpolation="nearest",
        extent=(-0.5, grey.shape[1] - 0.5, grey.shape[0] - 0.5, -0.5),
    )
    bar = axis.figure.colorbar(image, ax=axis, fraction=0.046, pad=0.03)
    bar.outline.set_visible(False)
    relative = attribution.method == "grad_cam"
    bar.set_label("relative" if relative else f"to the {attribution.explained}")
    axis.set_xticks([])
    axis.set_yticks([])
    axis.spines[:].set_visible(False)
    total = attribution.outcome[row]
    label = attribution.index[row]
    axis.set_title(f"{attribution.term}, row {label}: {_signed(total)}", fontsize=10)
    return axis


def top_features(
    attribution: Attribution,
    n: int = 15,
    *,
    groups: Mapping[str, Sequence[str]] | None = None,
    axes: Any = None,
) -> Axes:
    """Draw the columns, or groups of them, with the largest mean attributions.

    Columns are vermilion where higher values raise what is explained, blue where they
    lower it: by the sign of Σ attribution · (standardised value), over the rows.

    Parameters
    ----------
    attribution : Attribution
        Of a term of columns.
    n : int, default=15
        How many, at most; at least 1.
    groups : dict of str to sequence of str, optional
        Columns of each group, such as the genes of pathways.
    axes : Axes, optional
        Where to draw.

    Returns
    -------
    Axes

    Examples
    --------
    >>> import numpy as np, pandas as pd, semistruct as ss
    >>> values = np.array([[1.0, -0.5], [-2.0, 0.25]])
    >>> found = ss.attribution.Attribution(values, values, values.sum(axis=1),
    ...     np.zeros(2), pd.RangeIndex(2), ("g1", "g2"), "omics(g*)",
    ...     "integrated_gradients", "log hazard")
    >>> [text.get_text() for text in ss.plots.top_features(found).get_yticklabels()]
    ['g1', 'g2']
    """
    check_number(n, parameter="n", owner="plots.top_features", low=1, integer=True)
    mean = attribution.mean_abs(groups)[:n]
    (axis,) = make_axes(axes, 1, height=1.0 + 0.26 * len(mean))
    at = np.arange(len(mean))[::-1]
    if groups is None:
        sign = (attribution.to_frame() * attribution.inputs).sum(axis=0)[mean.index]
        for raises, color, label in (
            (True, _RAISES, "higher values raise it"),
            (False, _LOWERS, "higher values lower it"),
        ):
            own = (sign.to_numpy() >= 0) == raises
            if own.any():
                axis.barh(at[own], mean[own], color=color, label=label, height=0.7)
        axis.legend(frameon=False, fontsize="small", loc="lower right")
    else:
        axis.barh(at, mean, color=COLORS[2], height=0.7)
    axis.set_yticks(at, [str(name) for name in mean.index])
    axis.set(
        xlabel=f"mean |attribution| to the {attribution.explained}",
    )
    axis.set_title(attribution.term, fontsize=10)
    tidy(axis)
    axis.grid(False, axis="y")
    return axis


def waterfall(found: Waterfall, *, axes: Any = None) -> Axes:
    """Draw how the terms of one row add up.

    Parameters
    ----------
    found : Waterfall
        Of `semistruct.attribution.waterfall`.
    axes : Axes, optional
        Where to draw.

    Returns
    -------
    Axes

    Examples
    --------
    >>> import semistruct as ss
    >>> X, y = ss.datasets.load_rossi()
    >>> model = ss.SemiStructuredSurvival("fin + age + prio").fit(X, y)
    >>> axes = ss.plots.waterfall(ss.attribution.waterfall(model, X.iloc[[0]]))
    >>> axes.get_title()
    'row 0'
    """
    names = [str(name) for name in found.table.index]
    steps = found.table["contribution"].to_numpy()
    (axis,) = make_axes(axes, 1, width=5.2, height=1.2 + 0.42 * (len(names) + 1))
    _steps(axis, names, steps, found.start, found.explained)
    axis.set_title(f"row {found.label}", fontsize=10)
    return axis


def modality_shapley(found: ModalityShapley, *, axes: Any = None) -> Axes:
    """Draw Shapley values of modalities.

    One row, or a score, is drawn as steps from the value without any modality to that
    with all; several rows as points, with their mean as a diamond.

    Parameters
    ----------
    found : ModalityShapley
        Of `semistruct.attribution.modality_shapley`, or of a score.
    axes : Axes, optional
        Where to draw.

    Returns
    -------
    Axes

    Examples
    --------
    >>> import pandas as pd, semistruct as ss
    >>> values = pd.DataFrame({"structured": [0.1, -0.2], "image(scan)": [0.3, 0.1]})
    >>> empty = pd.Series([0.5, 0.5])
    >>> found = ss.attribution.ModalityShapley(
    ...     values, empty, empty + values.sum(axis=1), "probability of ill")
    >>> ss.plots.modality_shapley(found).get_xlabel()
    'Shapley value of the probability of ill'
    """
    names = [str(name) for name in found.values.columns]
    if found.values.empty:
        raise ParameterError(
            parameter="found",
            owner="plots.modality_shapley",
            allowed="Shapley values of at least one row",
            given="none",
        )
    (axis,) = make_axes(axes, 1, width=5.2, height=1.2 + 0.5 * (len(names) + 1))
    if len(found.values) == 1:
        start = float(found.empty.iloc[0])
        _steps(axis, names, found.values.to_numpy()[0], start, found.explained)
        axis.set_title(f"{found.values.index[0]}", fontsize=10)
        return axis
    at = np.arange(len(names))[::-1]
    axis.axvline(0, color=_GREY, linewidth=1, linestyle="--")
    for j, name in enumerate(found.values.columns):
        values = found.values[name].to_numpy()
        color = COLORS[j % 6]
        dots: dict[str, Any] = {"color": color, "alpha": 0.6, "markersize": 4}
        axis.plot(values, at[j] + _spread(values), "o", markeredgewidth=0, **dots)
        face = {"markeredgecolor": _GREY, "markersize": 9, "zorder": 3}
        axis.plot(values.mean(), at[j], "D", color=color, **face)
    axis.set_yticks(at, names)
    axis.set(
        xlabel=f"Shapley value of the {found.explained}", ylim=(-0.6, len(names) - 0.4)
    )
    tidy(axis)
    axis.grid(False, axis="y")
    return axis


def _steps(
    axis: Axes, names: list[str], steps: np.ndarray, start: float, label: str
) -> None:
    """Draw steps from a start to their total, one below the other."""
    ends = start + np.cumsum(steps)
    begins = ends - steps
    at = np.arange(len(steps), 0, -1)
    colors = [_RAISES if step >= 0 else _LOWERS for step in steps]
    axis.barh(at, steps, left=begins, color=colors, height=0.62)
    axis.plot(ends[-1:], [0], "D", color=_GREY, markersize=8)
    axis.vlines(ends, at - 1, at, color=_GREY, linewidth=0.9, linestyle=":")
    axis.axvline(start, color=_GREY, linewidth=1, linestyle="--")
    place: dict[str, Any] = {"textcoords": "offset points", "va": "center"}
    for y, end, step in zip(at, ends, steps, strict=True):
        side = 1 if step >= 0 else -1
        align = "left" if side > 0 else "right"
        axis.annotate(_signed(step), (end, y), (4 * side, 0), ha=align, **place)
    total = f"{ends[-1]:.3g}" if len(ends) else f"{start:.3g}"
    axis.annotate(total, (ends[-1], 0), (8, 0), ha="left", **place)
    axis.set_yticks([*at, 0], [*names, "total"])
    reached = np.append(ends, start)
    low, high = reached.min(), reached.max()
    room = 0.2 * ((high - low) or 1.0)  # for the numbers
    limits = {"xlim": (low - room, high + room), "ylim": (-0.6, len(steps) + 0.6)}
    axis.set(xlabel=label, **limits)
    tidy(axis)
    axis.grid(False, axis="y")


def _spread(values: np.ndarray) -> np.ndarray:
    """Move points of similar values apart, up and down in turn, by at most .28."""
    low, high = values.min(), values.max()
    bins = np.floor((values - low) / ((high - low) or 1.0) * 24).astype(int)
    out = np.zeros(len(values))
    for number in np.unique(bins):
        own = np.flatnonzero(bins == number)
        rank = np.arange(len(own))
        out[own] = (rank + 1) // 2 * np.where(rank % 2, 1.0, -1.0)
    widest = np.abs(out).max()
    return out * min(0.06, 0.28 / widest) if widest else out


def _signed(value: float) -> str:
    """Write a number with its sign, a minus as a minus."""
    return f"{value:+.2g}".replace("-", "−")


def _diverging() -> LinearSegmentedColormap:
    """Blue over transparent to vermilion; both are told apart by all readers."""
    blue, red = to_rgba(_LOWERS), to_rgba(_RAISES)
    stops = [
        (*blue[:3], 1.0),
        (*blue[:3], 0.6),
        (*blue[:3], 0.0),
        (*red[:3], 0.0),
        (*red[:3], 0.6),
        (*red[:3], 1.0),
    ]
    places = [0.0, 0.3, 0.5, 0.5, 0.7, 1.0]
    return LinearSegmentedColormap.from_list(
        "attribution", list(zip(places, stops, strict=True))
    )
