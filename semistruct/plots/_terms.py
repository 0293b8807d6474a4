"""Smooth terms with bands, and coefficients with intervals."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import torch
from matplotlib.axes import Axes
from scipy.stats import norm
from sklearn.utils.validation import check_is_fitted

from semistruct._core.terms import Smooth, Tensor
from semistruct._core.validation import check_bool, check_number
from semistruct.design import Block
from semistruct.exceptions import DataError, ParameterError
from semistruct.inference import simultaneous_band

from ._style import COLORS, make_axes, tidy

__all__ = ["coefficients", "terms"]

_GREY = "#7F7F7F"
_POINTS = 200  # of a curve
_SIDE = 60  # of a surface, in each direction


def terms(
    model: Any,
    X: pd.DataFrame | None = None,
    y: Any = None,
    *,
    level: float = 0.95,
    simultaneous: bool = False,
    axes: Any = None,
) -> np.ndarray:
    """Draw each smooth: curves with bands, levels with intervals, surfaces.

    A smooth of one column is drawn over the range of the column in fit, with the band
    estimate ± z·SE, the standard errors Bayesian (Vb); a Markov random field by the
    intervals of its levels; a smooth of two columns by contours of the estimate, other
    columns of `te()` being at their typical value. Smooths of more columns are left
    out.

    Parameters
    ----------
    model : estimator
        Fitted, with at least one ``s()``, ``te()`` or ``ti()``.
    X : DataFrame, optional
        Rows whose values are shown: as a rug, or with ``y`` as partial residuals.
    y : array-like of shape (n,), optional
        Responses of the rows of ``X``: partial residuals are drawn.
    level : float, default=0.95
        Level of the band, in (0, 1).
    simultaneous : bool, default=False
        Whether the band holds for the whole curve at once, and not for each point.
    axes : Axes or sequence of Axes, optional
        Where to draw, one for each smooth (and linear predictor).

    Returns
    -------
    ndarray of Axes

    Notes
    -----
    The partial residual of row i is f̂(x_i) + u_i / √(w_i w̄) with u the derivative of
    the log-likelihood in the linear predictor and w its Fisher information (where the
    family states none, w̄, the mean of the observed one): y − η̂ + f̂(x_i) for the
    gaussian family. Those of a smooth by a factor are of the rows of its level; a
    smooth that is multiplied by a number has none.

    References
    ----------
    Wood (2017), Generalized Additive Models, 7.2, doi:10.1201/9781315370279; Ruppert,
    Wand & Carroll (2003), 6.5, doi:10.1017/CBO9780511755453

    Examples
    --------
    >>> import semistruct as ss
    >>> X, y = ss.datasets.load_mcycle()
    >>> model = ss.GAM("s(times, k=20)").fit(X, y)
    >>> len(ss.plots.terms(model, X, y, simultaneous=True))
    1
    """
    number: dict[str, Any] = {"low": 0, "high": 1, "closed": "neither"}
    check_number(level, parameter="level", owner="plots.terms", **number)
    check_bool(simultaneous, parameter="simultaneous", owner="plots.terms")
    if y is not None and X is None:
        allowed = "None where X is not given"
        raise ParameterError(
            parameter="y", owner="plots.terms", allowed=allowed, given=y
        )
    check_is_fitted(model, "predictor_")
    panels = _panels(model)
    if not panels:
        raise DataError("terms: the model has no smooth of one column to draw.")
    grid = make_axes(axes, len(panels))
    residuals = None if y is None else _residuals(model, X, y)
    names = model._predictor_names()
    for axis, panel in zip(grid, panels, strict=True):
        k, block = panel.predictor, panel.block
        label = block.label if len(names) == 1 else f"{block.label}, {names[k]}"
        if len(panel.columns) == 2:
            _draw_surface(axis, model, panel, X)
            axis.set(xlabel=panel.columns[0], ylabel=panel.columns[1], title=label)
            continue
        if X is not None and residuals is not None:
            _draw_residuals(axis, model, panel, X, residuals[:, k])
        at, rows = _places(model, panel)
        estimate, half = _band(model, panel, rows, level, simultaneous)
        color = COLORS[k % len(COLORS)]
        if panel.levels:
            axis.errorbar(at, estimate, half, fmt="o", color=color, linewidth=2)
            axis.set_xticks(at, [str(level) for level in panel.levels])
        else:
            band = {"color": color, "alpha": 0.22, "linewidth": 0}
            axis.fill_between(at, estimate - half, estimate + half, **band)
            axis.plot(at, estimate, color=color, linewidth=2)
        # the time of a piecewise model is no column of the table
        known = X is not None and panel.columns[0] in X.columns
        if X is not None and known and residuals is None and not panel.levels:
            ground = axis.get_xaxis_transform()
            rug = {"color": _GREY, "alpha": 0.5, "markersize": 5}
            values = X[panel.columns[0]]
            axis.plot(values, np.zeros(len(X)), "|", transform=ground, **rug)
        axis.set(xlabel=panel.columns[0], ylabel=label)
        tidy(axis)
    return grid


@dataclass(frozen=True)
class _Panel:
    """One smooth of one linear predictor, and the columns it is a function of."""

    predictor: int
    block: Block
    columns: tuple[str, ...]
    by: str | None
    levels: tuple[Any, ...] = ()  # of a Markov random field


def _panels(model: Any) -> list[_Panel]:
    """Find what can be drawn, in the order of the summary."""
    out = []
    for k, design in enumerate(model.predictor_.designs):
        smooths = [t for t in design.terms if isinstance(t, Smooth | Tensor)]
        known = {term.label: term for term in smooths}
        for block in design.blocks:
            if block.kind not in ("smooth", "tensor"):
                continue
            label = block.label  # of one level: s(x):g[a]
            term = known.get(label, known.get(label[: label.rfind("[")]))
            if term is None or len(term.names) > 2:
                continue
            levels: tuple[Any, ...] = ()
            if isinstance(term, Smooth) and term.bs == "mrf":
                regions = [region for region, _ in term.neighbours]
                seen = model.profile_[term.names[0]].get("levels", regions)
                levels = tuple(sorted(seen, key=str))
            out.append(_Panel(k, block, tuple(term.names), term.by, levels))
    return out


def _typical(model: Any, panel: _Panel, values: dict[str, Any]) -> pd.DataFrame:
    """Make rows at these values, the other columns typical, ``by`` 1 or its level."""
    n = len(next(iter(values.values())))
    profile = model.profile_
    other = {name: [entry["typical"]] * n for name, entry in profile.items()}
    frame = pd.DataFrame(other | values)
    if panel.by is None:
        return frame
    if "levels" not in profile[panel.by]:
        return frame.assign(**{panel.by: 1.0})
    for value in profile[panel.by]["levels"]:  # the level whose columns these are
        frame[panel.by] = value
        if _columns(model, panel, frame).any():
            break
    return frame


def _columns(model: Any, panel: _Panel, frame: pd.DataFrame) -> np.ndarray:
    """Give the smooth's columns of the design, (n, m)."""
    block = panel.block
    design = model.predictor_.designs[panel.predictor]
    return design.matrix(frame)[:, block.start : block.stop]


def _coef(model: Any, panel: _Panel) -> np.ndarray:
    block = panel.block
    return model.predictor_.predictors[panel.predictor].coef[block.start : block.stop]


def _places(model: Any, panel: _Panel) -> tuple[np.ndarray, pd.DataFrame]:
    """Give where a smooth of one column is drawn, and rows to evaluate it at."""
    column = panel.columns[0]
    if panel.levels:
        at = np.arange(len(panel.levels), dtype=np.float64)
        return at, _typical(model, panel, {column: list(panel.levels)})
    low, high = model.profile_[column]["range"]
    at = np.linspace(low, high, _POINTS)
    return at, _typical(model, panel, {column: at})


def _band(
    model: Any, panel: _Panel, rows: pd.DataFrame, level: float, simultaneous: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Give the smooth (m,) and half the width of its band."""
    matrix, coef = _columns(model, panel, rows), _coef(model, panel)
    start = model.exact_.slices[panel.predictor].start
    part = slice(start + panel.block.start, start + panel.block.stop)
    cov = model.exact_.cov[part, part]
    if simultaneous:
        band = simultaneous_band(matrix, coef, cov, level)
        return band.estimate, band.critical_value * band.std_error
    se = np.sqrt(np.einsum("ij,jk,ik->i", matrix, cov, matrix).clip(min=0))
    return matrix @ coef, norm.ppf(0.5 + level / 2) * se


def _draw_surface(
    axis: Axes, model: Any, panel: _Panel, X: pd.DataFrame | None
) -> None:
    """Draw contours over the ranges of two columns."""
    one, two = panel.columns
    ranges = [model.profile_[column]["range"] for column in (one, two)]
    a, b = np.meshgrid(*(np.linspace(low, high, _SIDE) for low, high in ranges))
    frame = _typical(model, panel, {one: a.ravel(), two: b.ravel()})
    height = (_columns(model, panel, frame) @ _coef(model, panel)).reshape(a.shape)
    axis.contourf(a, b, height, levels=12, cmap="cividis", alpha=0.85)
    lines = axis.contour(a, b, height, levels=12, colors="black", linewidths=0.5)
    axis.clabel(lines, fontsize="x-small")
    if X is not None:
        axis.plot(X[one], X[two], ".", color=_GREY, markersize=2, alpha=0.5)


def _residuals(model: Any, X: Any, y: Any) -> np.ndarray:
    """Give u / √(w w̄) of each row and linear predictor, (n, K)."""
    family = getattr(model, "family_", None)
    if family is None:
        raise DataError(
            f"plots.terms: there are no partial residuals of {type(model).__name__}; "
            "leave y out. See ss.survival for residuals of survival models."
        )
    frame = model._frame(X)
    target = torch.as_tensor(model._coded(model._check_y(y, len(frame))))
    eta = torch.as_tensor(model.predictor_.linear_predictor(frame))
    _, score, hessian = family.derivatives(target, eta)
    weight = family.fisher_weight(eta)
    if weight is None:
        mean = -hessian.diagonal(dim1=1, dim2=2).mean(dim=0)
        return (score / mean).numpy()
    return (score / (weight * weight.mean(dim=0)).sqrt()).numpy()


def _draw_residuals(
    axis: Axes, model: Any, panel: _Panel, X: pd.DataFrame, residuals: np.ndarray
) -> None:
    """Draw partial residuals of the rows that have a part in the smooth."""
    if panel.by is not None and "levels" not in model.profile_[panel.by]:
        return
    matrix = _columns(model, panel, model._frame(X))
    rows = matrix.any(axis=1)
    values = (matrix @ _coef(model, panel) + residuals)[rows]
    at = X[panel.columns[0]].to_numpy()[rows]
    if panel.levels:
        at = np.array([panel.levels.index(value) for value in at])
    dots: dict[str, Any] = {"color": _GREY, "alpha": 0.5, "markersize": 3, "zorder": 1}
    axis.plot(at, values, ".", **dots)


def coefficients(
    table: pd.DataFrame, *, truth: dict[str, float] | None = None, axes: Any = None
) -> Axes:
    """Draw coefficients with their intervals, one below the other.

    Parameters
    ----------
    table : DataFrame
        As ``model.summary().coefficients``: a row for each coefficient.
    truth : dict of str to float, optional
        True values, by name; drawn as open diamonds.
    axes : Axes, optional
        Where to draw.

    Returns
    -------
    Axes
    """
    (axis,) = make_axes(axes, 1, height=0.9 + 0.42 * len(table))
    at = np.arange(len(table))[::-1]
    low, high = table.columns[-2:]
    axis.axvline(0, color="#7F7F7F", linewidth=1, linestyle="--")
    axis.hlines(at, table[low], table[high], color=COLORS[0], linewidth=2)
    axis.plot(table["coef"], at, "o", color=COLORS[0], label="estimate, interval")
    if truth is not None:
        known = [
            (truth[n], i) for n, i in zip(table.index, at, strict=True) if n in truth
        ]
        values, rows = zip(*known, strict=True)
        face = {"markerfacecolor": "none", "markersize": 9, "markeredgewidth": 1.8}
        axis.plot(values, rows, "D", color=COLORS[1], label="truth", **face)
        axis.legend(frameon=False, fontsize="small")
    axis.set_yticks(at, [str(name) for name in table.index])
    axis.set(xlabel="coefficient", ylim=(-0.7, len(table) - 0.3))
    tidy(axis)
    return axis
