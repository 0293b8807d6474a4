"""Curves of time: survival, Kaplan-Meier, risk groups, cumulative incidence."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.font_manager import FontProperties
from matplotlib.ticker import MaxNLocator

from semistruct._core.step import StepFunction
from semistruct._core.surv import Surv
from semistruct._core.validation import check_bool
from semistruct.exceptions import DataError
from semistruct.metrics import RiskStrata
from semistruct.survival import CurveBand, aalen_johansen, numbers_at_risk
from semistruct.survival import kaplan_meier as estimate_survival

from ._style import COLORS, make_axes, tidy

__all__ = ["cumulative_incidence", "kaplan_meier", "risk_strata", "survival"]

_LINES = ("-", "--", ":")
STYLES = [(color, line) for line in _LINES for color in COLORS]
_ROUNDING = 1e-6
_MARKS = 200  # of censoring; more would hide the curve


def survival(
    curves: StepFunction,
    *,
    band: CurveBand | None = None,
    labels: Sequence[Any] | None = None,
    axes: Any = None,
) -> Axes:
    """Draw predicted survival curves of some rows.

    Parameters
    ----------
    curves : StepFunction of n rows
        S(t) in [0, 1], as ``model.predict_survival_function(X)[:3]``; at most 21 rows.
    band : CurveBand of n rows, optional
        Limits of the same rows, as `semistruct.survival.survival_band` gives them.
    labels : sequence of n, optional
        Names of the curves. Default: the index of ``curves``.
    axes : Axes, optional
        Where to draw.

    Returns
    -------
    Axes

    Raises
    ------
    DataError
        If the curves do not start at 1, are too many to be told apart, or the band or
        the labels are not of these rows.

    Examples
    --------
    >>> import semistruct as ss
    >>> X, y = ss.datasets.load_rossi()
    >>> model = ss.SemiStructuredSurvival("fin + age + prio").fit(X, y)
    >>> curves = model.predict_survival_function(X.iloc[:2])
    >>> band = ss.survival.survival_band(model, X, y, X.iloc[:2])
    >>> axes = ss.plots.survival(curves, band=band, labels=["first", "second"])
    >>> axes.get_ylabel()
    'survival'
    """
    owner = "plots.survival"
    if curves.before != 1.0:
        raise DataError(
            f"{owner}: survival curves start at 1, but these at {curves.before:g}."
        )
    names = curve_names(curves.index if labels is None else labels, len(curves), owner)
    if band is not None:
        check_band(curves, band, owner)
    (axis,) = make_axes(axes, 1, width=5.0, height=3.4)
    for i, style in zip(range(len(curves)), STYLES, strict=False):
        if band is not None:
            low, high = band.lower[i], band.upper[i]
            draw_band(axis, low.times, low.values[0], high.values[0], style[0], 1.0)
        name = names[i] if len(names) > 1 or labels is not None else None
        corners = corner_at(curves.times, curves.values[i], 1.0)
        axis.plot(*corners, **line_look(style, name))
    finish(axis, "survival", top=1.03)
    return axis


def kaplan_meier(
    y: Any,
    groups: Any = None,
    *,
    level: float = 0.95,
    censoring: bool | None = None,
    axes: Any = None,
) -> Axes:
    """Draw Kaplan-Meier curves with limits, and numbers at risk below the axis.

    Parameters
    ----------
    y : Surv, or what ``Surv.coerce`` takes
        Weights are case weights; late entry is left truncation.
    groups : array-like of shape (n,), optional
        A curve for each; the strata of ``y`` when not given, or all rows together.
    level : float in (0, 1), default=0.95
        Coverage of the pointwise log-log limits.
    censoring : bool, optional
        Whether ticks on a curve mark the times of censoring. Default: if at most 200.
    axes : Axes, optional
        Where to draw.

    Returns
    -------
    Axes
        Each curve ends at the last time of its group. At risk are the rows with
        entry < t <= time; at t = 0, those with entry 0.

    Examples
    --------
    >>> import semistruct as ss
    >>> X, y = ss.datasets.load_rossi()
    >>> axes = ss.plots.kaplan_meier(y, X["fin"])
    >>> [text.get_text() for text in axes.get_legend().get_texts()]
    ['0', '1']
    """
    owner = "plots.kaplan_meier"
    if censoring is not None:
        check_bool(censoring, parameter="censoring", owner=owner)
    target = Surv.coerce(y)
    parts = _parts(estimate_survival(target, groups, level=level).table)
    names = curve_names(parts, len(parts), owner)
    (axis,) = make_axes(axes, 1, width=5.6, height=3.6 + 0.18 * len(names))
    for part, name, style in zip(parts.values(), names, STYLES, strict=False):
        shown = name if len(names) > 1 else None
        _draw_group(axis, part, style, shown, 1.0, censoring)
    finish(axis, "survival", top=1.03)
    _at_risk_below(axis, _counts(target, groups), names)
    return axis


def risk_strata(
    strata: RiskStrata, *, labels: Sequence[Any] | None = None, axes: Any = None
) -> Axes:
    """Draw Kaplan-Meier curves of groups of predicted risk, with numbers at risk.

    Parameters
    ----------
    strata : RiskStrata
        Of `semistruct.metrics.km_strata`; its times are the ticks.
    labels : sequence, optional
        Names of the groups, the lowest risk first. Default: their numbers from 1.
    axes : Axes, optional
        Where to draw.

    Returns
    -------
    Axes

    Examples
    --------
    >>> import semistruct as ss
    >>> X, y = ss.datasets.load_rossi()
    >>> strata = ss.metrics.km_strata(y, X["prio"], 2, times=[0, 26, 52])
    >>> axes = ss.plots.risk_strata(strata)
    >>> [text.get_text() for text in axes.get_legend().get_texts()]
    ['1 (lowest risk)', '2 (highest risk)']
    """
    codes = list(strata.at_risk.index)
    if labels is None:
        labels = [str(code + 1) for code in codes]
        if len(codes) > 1:
            labels[0] += " (lowest risk)"
            labels[-1] += " (highest risk)"
    names = curve_names(labels, len(codes), "plots.risk_strata")
    (axis,) = make_axes(axes, 1, width=5.6, height=3.6 + 0.18 * len(codes))
    for code, name, style in zip(codes, names, STYLES, strict=False):
        part = strata.curves[strata.curves["group"] == code].set_index("time")
        next_at_risk = part["at_risk"].shift(-1, fill_value=0)
        gone = part["at_risk"] - part["events"] - next_at_risk
        part = part.assign(estimate=part["survival"], censored=gone)
        shown = name if len(names) > 1 else None
        _draw_group(axis, part, style, shown, 1.0, None)
    finish(axis, "survival", top=1.03)
    _at_risk_below(axis, strata.at_risk, names)
    return axis


def cumulative_incidence(
    y: Any,
    causes: Sequence[Any] | None = None,
    groups: Any = None,
    *,
    level: float = 0.95,
    axes: Any = None,
) -> Axes:
    """Draw Aalen-Johansen's cumulative incidence of causes, with numbers at risk.

    Colours tell causes and line styles groups apart; colours groups where there is one
    cause.

    Parameters
    ----------
    y : Surv with ``cause``
        Weights are case weights; late entry is left truncation.
    causes : sequence, optional
        Which of ``y.causes``. Default: all.
    groups : array-like of shape (n,), optional
        Curves for each; the strata of ``y`` when not given, or all rows together.
    level : float in (0, 1), default=0.95
        Coverage of the pointwise limits.
    axes : Axes, optional
        Where to draw.

    Returns
    -------
    Axes

    Raises
    ------
    TargetError
        If ``y`` has no causes, or no event of one that is asked for.

    Examples
    --------
    >>> import semistruct as ss
    >>> y = ss.Surv([1.0, 2.0, 3.0, 4.0], [1, 1, 1, 0], cause=["a", "b", "a", "a"])
    >>> axes = ss.plots.cumulative_incidence(y)
    >>> [text.get_text() for text in axes.get_legend().get_texts()]
    ['a', 'b']
    """
    owner = "plots.cumulative_incidence"
    target = Surv.coerce(y)
    if isinstance(causes, str):
        causes = [causes]
    asked = list(target.causes if causes is None else causes)
    asked = asked or [None]  # aalen_johansen says what is missing
    tables = [aalen_johansen(target, c, groups, level=level).table for c in asked]
    found, n = [_parts(table) for table in tables], len(_parts(tables[0]))
    if len(asked) > 1 and (len(asked) > len(COLORS) or n > len(_LINES)):
        raise DataError(
            f"{owner}: {len(asked)} causes in {n} groups cannot be told "
            f"apart; at most {len(COLORS)} causes in {len(_LINES)} groups can, or one "
            "cause in more: give causes=[…]."
        )
    names = curve_names(found[0], n, owner)
    (axis,) = make_axes(axes, 1, width=5.6, height=3.6 + 0.18 * n)
    for (k, parts), (g, name) in product(enumerate(found), enumerate(names)):
        style = STYLES[g] if len(asked) == 1 else (COLORS[k], _LINES[g])
        shown = [] if len(asked) == 1 and n > 1 else [str(asked[k])]
        shown += [name] if n > 1 else []
        part = list(parts.values())[g]
        _draw_group(axis, part, style, ", ".join(shown), 0.0, False)
    finish(axis, "cumulative incidence")
    if len(asked) == 1:
        axis.set_ylabel(f"cumulative incidence of {asked[0]}")
    _at_risk_below(axis, _counts(target, groups), names)
    return axis


def _parts(table: pd.DataFrame) -> dict[Any, pd.DataFrame]:
    """Give the rows of each group, by its label."""
    groups = table.groupby(level="group", sort=False)
    return {label: part.droplevel("group") for label, part in groups}


def curve_names(labels: Any, n: int, owner: str) -> list[str]:
    """Check that there are n names, and n styles."""
    names = [str(label) for label in labels]
    if len(names) != n:
        raise DataError(f"{owner}: {len(names)} labels are given for {n} curves.")
    if not 0 < n <= len(STYLES):
        raise DataError(
            f"{owner}: 1 to {len(STYLES)} curves can be told apart; got {n}. Choose "
            "some, as curves[:5], or make fewer groups."
        )
    return names


def check_band(curves: StepFunction, band: CurveBand, owner: str) -> None:
    """Raise unless the band is of these curves."""
    n, m = len(curves), len(band.lower)
    if n != m:
        raise DataError(f"{owner}: band has {m} rows, but there are {n} curves.")
    low, high = (limit(curves.times) for limit in (band.lower, band.upper))
    out = (curves.values < low - _ROUNDING) | (curves.values > high + _ROUNDING)
    if out.any():  # NaN limits never are
        row = int(np.flatnonzero(out.any(axis=1))[0])
        raise DataError(
            f"{owner}: band does not hold the curve of row {row}; it must be of the "
            "same rows in the same order."
        )


def corner_at(times: Any, values: Any, before: float) -> tuple[np.ndarray, np.ndarray]:
    """Give the corners of a step function from 0 on, (2m + 1,) each."""
    at = np.concatenate([[min(0.0, times[0])] if len(times) else [0.0], times])
    height = np.concatenate([[before], values])
    return np.repeat(at, 2)[1:], np.repeat(height, 2)[:-1]


def line_look(style: tuple[str, str], label: str | None) -> dict[str, Any]:
    color, line = style
    return {"color": color, "linestyle": line, "linewidth": 1.8, "label": label}


def draw_band(
    axis: Axes, times: Any, lower: Any, upper: Any, color: str, before: float
) -> None:
    at, low = corner_at(times, lower, before)
    high = corner_at(times, upper, before)[1]
    axis.fill_between(at, low, high, color=color, alpha=0.16, linewidth=0)


def _draw_group(
    axis: Axes,
    part: pd.DataFrame,
    style: tuple[str, str],
    label: str | None,
    before: float,
    censoring: bool | None,
) -> None:
    """Draw a curve with its band: index time, columns estimate, lower, upper."""
    at, estimate = part.index.to_numpy(), part["estimate"].to_numpy()
    lower, upper = part["lower"].to_numpy(), part["upper"].to_numpy()
    draw_band(axis, at, lower, upper, style[0], before)
    axis.plot(*corner_at(at, estimate, before), **line_look(style, label))
    gone = part["censored"].to_numpy() > 0
    if censoring or (censoring is None and gone.sum() <= _MARKS):
        look: dict[str, Any] = {"color": style[0], "markersize": 5}
        axis.plot(at[gone], estimate[gone], "|", **look)


def finish(axis: Axes, label: str, top: float | None = None) -> None:
    """Let both axes start at 0, and name what is drawn."""
    axis.set_xlim(left=min(0.0, axis.dataLim.x0))
    axis.set_ylim(0.0, top)
    axis.set(xlabel="time", ylabel=label)
    if axis.get_legend_handles_labels()[1]:
        axis.legend(frameon=False, fontsize="small")
    tidy(axis)


def _counts(y: Surv, groups: Any) -> pd.DataFrame:
    """Count who is at risk at round times; at 0, just after it where rows enter."""
    last = float(y.time.max())
    found = MaxNLocator(nbins=6, steps=[1, 2, 2.5, 5, 10]).tick_values(0.0, last)
    rounded = [float(f"{tick:.10g}") for tick in found]  # 0.3, not 0.1 + 0.2
    ticks = np.array([tick for tick in rounded if 0 <= tick <= last])
    asked = np.where(ticks == 0, np.nextafter(0.0, 1.0), ticks)
    table = numbers_at_risk(y, ticks if y.entry is None else asked, groups)
    return table.set_axis(pd.Index(ticks), axis=1)


def _at_risk_below(axis: Axes, table: pd.DataFrame, names: Sequence[str]) -> None:
    """Write numbers at risk below the ticks, a row for each group."""
    times = table.columns.to_numpy(dtype=np.float64)
    axis.set_xticks(times, [_tick(time) for time in times])
    size = FontProperties(size="small").get_size_in_points()
    ticks, label = (
        FontProperties(size=size).get_size_in_points()
        for size in (mpl.rcParams["xtick.labelsize"], axis.xaxis.label.get_fontsize())
    )
    down = -(14.0 + 1.2 * ticks + 1.4 * label)  # below the name of the axis
    values = [[_number(value) for value in row] for row in table.to_numpy()]
    widest = max(len(row[0]) for row in values)
    aside = -(8.0 + 0.3 * size * widest)
    common: dict[str, Any] = {
        "textcoords": "offset points",
        "fontsize": size,
        "va": "top",
        "annotation_clip": False,
    }
    left = {"xycoords": "axes fraction", **common}
    middle = {"xycoords": axis.get_xaxis_transform(), **common}
    if len(names) > 1:
        axis.annotate("at risk", (0, 0), (aside, down), style="italic", **left)
        down -= 1.35 * size
    for name, row in zip(names if len(names) > 1 else ["at risk"], values, strict=True):
        axis.annotate(name, (0, 0), (aside, down), ha="right", **left)
        for time, word in zip(times, row, strict=True):
            axis.annotate(word, (time, 0), (0, down), ha="center", **middle)
        down -= 1.35 * size


def _number(value: float) -> str:
    """Write a number of rows, or a sum of weights."""
    return f"{value:.0f}" if abs(value - round(value)) < _ROUNDING else f"{value:.1f}"


def _tick(time: float) -> str:
    """Write a time, never with an exponent where it is large."""
    return f"{time:.0f}" if time >= 1000 else f"{time:.4g}"
