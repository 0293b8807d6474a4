"""Post hoc orthogonalisation: what a network says linearly goes to the coefficients.

Letters: n rows, p structured columns, q latent features, S = Σ λ_j S_j the penalty.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from semistruct.exceptions import DataError
from semistruct.families import Gaussian
from semistruct.fusion._orthogonalize import fit_projection
from semistruct.solvers import fit_glm

FloatArray = NDArray[np.float64]


class PostHoc(NamedTuple):
    """What moves from a deep contribution into structured coefficients.

    Attributes
    ----------
    coef : ndarray of shape (p,)
        δ, to be added to the structured coefficients.
    remainder : ndarray of shape (n,)
        ζ − Xδ, what is left of the deep contribution.
    sp : ndarray
        λ of the penalties, in their order.
    """

    coef: FloatArray
    remainder: FloatArray
    sp: FloatArray


def post_hoc(
    X: ArrayLike,
    contribution: ArrayLike,
    weight: ArrayLike | None = None,
    penalties: Sequence[Any] = (),
) -> PostHoc:
    """Move the structured part of a deep contribution ζ into the coefficients.

    δ = (X'WX + S)⁻X'Wζ, β̃ = β + δ, ζ̃ = ζ − Xδ: Xβ + ζ = Xβ̃ + ζ̃ for all rows, so
    predictions do not change (Rügamer 2023,
    https://proceedings.mlr.press/v202/rugamer23a.html). With penalties a smooth effect
    that the network has learned goes into the columns of the smooth.

    Parameters
    ----------
    X : array-like of shape (n, p)
        Structured columns, the intercept among them; they may depend on one another,
        and p may be n or more.
    contribution : array-like of shape (n,)
        ζ, the deep contribution to the linear predictor.
    weight : array-like of shape (n,), optional
        Diagonal of the metric W, ≥ 0; 1 when not given.
    penalties : sequence of Penalty
        Penalties in the columns of X. λ is ``sp`` where it is given, otherwise by REML
        of ζ on X.

    Returns
    -------
    PostHoc

    Raises
    ------
    DataError
        When lengths differ, values are not finite, or weights negative.

    Examples
    --------
    >>> import numpy as np
    >>> from semistruct.fusion import post_hoc
    >>> X = np.column_stack([np.ones(4), [0.0, 1.0, 2.0, 3.0]])
    >>> moved = post_hoc(X, [1.0, 3.0, 2.0, 4.0])
    >>> moved.coef.round(6), moved.remainder.round(6)
    (array([1.3, 0.8]), array([-0.3,  0.9, -0.9,  0.3]))
    """
    zeta = np.asarray(contribution, dtype=np.float64)
    if zeta.ndim != 1:
        raise DataError(
            f"post_hoc: contribution must be one-dimensional, got shape {zeta.shape}."
        )
    design = np.asarray(X, dtype=np.float64)
    # checks of shapes and values are its own
    plain = fit_projection(design, zeta[:, None], weight)
    if len(penalties) == 0:
        coef, sp = plain[:, 0], np.zeros(0)
    else:
        sp = smoothing_of(design, zeta, weight, penalties)
        known = _at(penalties, sp)
        coef = penalised_projection(design, zeta[:, None], weight, known)[:, 0]
    return PostHoc(coef, zeta - design @ coef, sp)


def smoothing_of(
    X: ArrayLike,
    contribution: ArrayLike,
    weight: ArrayLike | None,
    penalties: Sequence[Any],
) -> FloatArray:
    """Estimate the smoothing parameters of a contribution on structured columns.

    REML of a gaussian model of ζ on X with precisions W. Unpenalised columns that
    depend on others are left out, as are rows without weight.

    Parameters
    ----------
    X : array-like of shape (n, p)
        Structured columns.
    contribution : array-like of shape (n,)
        ζ.
    weight : array-like of shape (n,) or None
        W, ≥ 0.
    penalties : sequence of Penalty
        ``sp`` that is given is kept.

    Returns
    -------
    ndarray
        λ, one for each penalty.

    Examples
    --------
    >>> import numpy as np
    >>> from semistruct.design import Penalty
    >>> from semistruct.fusion import smoothing_of
    >>> given = Penalty("s(x)", 0, 1, np.eye(1), 2.0, 1)
    >>> smoothing_of([[1.0], [2.0], [4.0]], [1.0, 0.0, 1.0], None, [given])
    array([2.])
    """
    given = [penalty.sp for penalty in penalties]
    if all(sp is not None for sp in given):
        return np.array(given, dtype=np.float64)
    design = np.asarray(X, dtype=np.float64)
    zeta = np.asarray(contribution, dtype=np.float64)
    metric = np.ones(len(zeta)) if weight is None else np.asarray(weight, dtype=float)
    counted = metric > 0
    if not counted.any() or not np.ptp(zeta[counted]) > 0:
        return np.array([1.0 if sp is None else sp for sp in given])
    columns = _independent(design[counted], metric[counted], penalties)
    places = np.full(design.shape[1] + 1, 0)
    places[1:] = np.cumsum(columns)
    moved = [
        replace(p, start=int(places[p.start]), stop=int(places[p.stop]))
        for p in penalties
    ]
    unit = float(np.std(zeta[counted]))
    fit = fit_glm(
        [design[np.ix_(counted, columns)]],
        zeta[counted] / unit,
        Gaussian(),
        penalties=[moved],
        var_weights=metric[counted] / metric.max(),
        corrected=False,
    )
    # λ of the metric W, not of W over its maximum
    scale = np.array([1.0 if sp is not None else metric.max() for sp in given])
    return np.asarray(fit.sp) * scale


def penalised_projection(
    X: ArrayLike,
    latent: ArrayLike,
    weight: ArrayLike | None,
    penalties: Sequence[Any],
) -> FloatArray:
    """Regress latent features on structured columns: A = (X'WX + S)⁻X'W U.

    Parameters
    ----------
    X : array-like of shape (n, p)
        Structured columns; they may depend on one another.
    latent : array-like of shape (n, q)
        U.
    weight : array-like of shape (n,) or None
        W, ≥ 0.
    penalties : sequence of Penalty
        With ``sp`` given, in the units of W.

    Returns
    -------
    ndarray of shape (p, q)
        By pivoted QR of √W X over a root of S.

    Examples
    --------
    >>> import numpy as np
    >>> from semistruct.design import Penalty
    >>> from semistruct.fusion import penalised_projection
    >>> ridge = Penalty("x", 0, 1, np.eye(1), 1.0, 1)
    >>> penalised_projection([[1.0], [1.0]], [[3.0], [3.0]], None, [ridge])
    array([[2.]])
    """
    design = np.asarray(X, dtype=np.float64)
    features = np.asarray(latent, dtype=np.float64)
    n, p = design.shape
    metric = np.ones(n) if weight is None else np.asarray(weight, dtype=np.float64)
    roots = [np.zeros((0, p))]
    for penalty in penalties:
        values, vectors = np.linalg.eigh(np.asarray(penalty.matrix, dtype=np.float64))
        values = values.clip(min=0.0)
        values[: len(values) - penalty.rank] = 0.0
        root = np.zeros((len(values), p))
        root[:, penalty.start : penalty.stop] = np.sqrt(values * penalty.sp)[
            :, None
        ] * (vectors.T)
        roots.append(root[values > 0])
    root = np.vstack(roots)
    blank = np.zeros((len(root), features.shape[1]))
    return fit_projection(
        np.vstack([design, root]),
        np.vstack([features, blank]),
        np.concatenate([metric, np.ones(len(root))]),
    )


def _at(penalties: Sequence[Any], sp: FloatArray) -> list[Any]:
    """Give the penalties with their smoothing parameters."""
    pairs = zip(penalties, sp, strict=True)
    return [replace(penalty, sp=float(value)) for penalty, value in pairs]


def _independent(
    design: FloatArray, metric: FloatArray, penalties: Sequence[Any]
) -> NDArray[np.bool_]:
    """Mark the columns that do not depend on columns to their left.

    Penalised columns are kept: their penalties determine them, but for what they share
    with the others, which then leave instead.
    """
    penalised = np.zeros(design.shape[1], dtype=bool)
    for penalty in penalties:
        penalised[penalty.start : penalty.stop] = True
    order = [*np.flatnonzero(penalised), *np.flatnonzero(~penalised)]
    kept = np.ones(design.shape[1], dtype=bool)
    size = np.sqrt(metric)[:, None]
    basis = np.zeros((len(design), 0))
    for j in order:
        column = (size * design[:, [j]])[:, 0]
        length = float(np.linalg.norm(column))
        rest = column - basis @ (basis.T @ column)
        rest = rest - basis @ (basis.T @ rest)
        left = float(np.linalg.norm(rest))
        if left > 1e-10 * max(length, 1e-300):
            basis = np.column_stack([basis, rest / left])
        elif not penalised[j]:
            kept[j] = False
    return kept
