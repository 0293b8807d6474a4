"""Diagnostics of fitted models, on rows that the user gives."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from sklearn.utils.validation import check_is_fitted

from semistruct import inference
from semistruct._core.randomness import RandomState, generator, spawn
from semistruct._core.validation import check_number
from semistruct.exceptions import DataError

from . import _input

__all__ = ["concurvity", "k_check", "pit_histogram", "quantile_residuals", "worm"]


def quantile_residuals(
    model: Any,
    X: Any,
    y: Any,
    random_state: RandomState = 0,
    var_weights: Any = None,
) -> np.ndarray:
    """Give residuals that are standard normal if the model is true.

    r = Φ⁻¹(F(y)); a discrete family draws uniformly between F(y−) and F(y).

    Parameters
    ----------
    model : estimator
        Fitted regressor.
    X : DataFrame of n rows
        The table.
    y : array-like of shape (n,)
        Responses.
    random_state : int, Generator, RandomState or None, default=0
        Source of the draws of discrete families.
    var_weights : array-like of shape (n,), optional
        Precision weights of the rows, as in fit: their dispersion is φ/v. Refused where
        the family has no dispersion.

    Returns
    -------
    ndarray of shape (n,)

    References
    ----------
    Dunn & Smyth (1996), JCGS 5, 236-244, doi:10.1080/10618600.1996.10474708

    Examples
    --------
    >>> import semistruct as ss
    >>> X, y = ss.datasets.load_mcycle()
    >>> model = ss.GAM("s(times, k=20)").fit(X, y)
    >>> ss.analysis.quantile_residuals(model, X, y).shape
    (133,)
    """
    below, at = _distribution(model, X, y, var_weights)
    return inference.quantile_residuals(at, below, generator(random_state))


def worm(
    model: Any,
    X: Any,
    y: Any,
    *,
    level: float = 0.95,
    random_state: RandomState = 0,
    var_weights: Any = None,
) -> inference.WormPlot:
    """Give the data of a worm plot: the detrended normal plot of the residuals.

    Parameters
    ----------
    model, X, y, random_state, var_weights
        As in `quantile_residuals`.
    level : float in (0, 1), default=0.95
        Level of the pointwise band.

    Returns
    -------
    WormPlot
        ``theoretical``, ``deviation``, ``lower``, ``upper``.
    """
    residuals = quantile_residuals(model, X, y, random_state, var_weights)
    return inference.worm(residuals, level)


def pit_histogram(
    model: Any, X: Any, y: Any, bins: int = 10, var_weights: Any = None
) -> inference.PitHistogram:
    """Give the histogram of F(y), flat if the predicted distributions are right.

    Parameters
    ----------
    model, X, y, var_weights
        As in `quantile_residuals`.
    bins : int, default=10
        How many.

    Returns
    -------
    PitHistogram
        ``edges``, ``density``.
    """
    below, at = _distribution(model, X, y, var_weights)
    return inference.pit_histogram(at, below, bins)


def k_check(
    model: Any,
    X: pd.DataFrame,
    y: Any,
    *,
    n_permutations: int = 400,
    random_state: RandomState = 0,
    var_weights: Any = None,
) -> pd.DataFrame:
    """Ask of each smooth whether its basis is large enough.

    Parameters
    ----------
    model, X, y, random_state, var_weights
        As in `quantile_residuals`.
    n_permutations : int, default=400
        Permutations of the residuals.

    Returns
    -------
    DataFrame
        For each smooth of one column ``k`` (coefficients), ``edf``, ``k-index`` (mean
        squared difference of neighbouring residuals, over twice their variance; below 1
        if a pattern is left) and ``p-value``. A small p with an edf near k says: try a
        larger ``k=``.
    """
    residuals = quantile_residuals(model, X, y, random_state, var_weights)
    frame = model._frame(X)
    (seed,) = spawn(random_state, 1)
    rows, labels = [], []
    for k, design in enumerate(model.predictor_.designs):
        for block in design.blocks:
            if block.kind != "smooth" or block.columns[0] not in model.profile_:
                continue
            if "range" not in model.profile_[block.columns[0]]:
                continue
            start = model.exact_.slices[k].start + block.start
            span = slice(start, start + block.stop - block.start)
            edf = float(model.exact_.edf[span].sum())
            values = frame[block.columns[0]].to_numpy(dtype=np.float64)
            size = block.stop - block.start
            check = inference.k_check(
                residuals, values, size, edf, n_permutations, seed
            )
            rows.append(check)
            labels.append(block.label)
    if not rows:
        raise DataError("k_check: the model has no smooth of one column.")
    columns = ["k", "edf", "k-index", "p-value"]
    return pd.DataFrame(rows, index=labels).set_axis(columns, axis=1)


def concurvity(model: Any, X: pd.DataFrame, predictor: int = 0) -> pd.DataFrame:
    """Say how much of each structured term the other terms could write.

    Parameters
    ----------
    model : estimator
        Fitted.
    X : DataFrame of n rows
        The table.
    predictor : int, default=0
        Which linear predictor.

    Returns
    -------
    DataFrame
        A row for each term: ``worst``, ``observed`` and ``estimate`` in [0, 1]; near 1
        the term cannot be told from the others.
    """
    check_is_fitted(model, "predictor_")
    check_number(
        predictor,
        parameter="predictor",
        owner="concurvity",
        low=0,
        high=len(model.predictor_.predictors) - 1,
        integer=True,
    )
    part = model.predictor_.predictors[predictor]
    matrix = part.design.matrix(model._frame(X))
    blocks = part.design.blocks
    fixed = [b.stop for b in blocks if b.kind in ("intercept", "parametric")]
    spans = {"parametric": slice(0, max(fixed))} if fixed else {}
    spans |= {
        b.label: slice(b.start, b.stop)
        for b in blocks
        if b.kind not in ("intercept", "parametric")
    }
    return inference.concurvity(matrix, spans, part.coef)


def _distribution(
    model: Any, X: Any, y: Any, var_weights: Any
) -> tuple[np.ndarray, np.ndarray]:
    """Give F(y−) and F(y) of each row."""
    check_is_fitted(model, "predictor_")
    family = getattr(model, "family_", None)
    if family is None or hasattr(model, "classes_"):
        raise DataError(
            f"{type(model).__name__} predicts no distribution of a number; these "
            "diagnostics are there for regressors."
        )
    target = family.check_target(y, "y")
    eta = model._linear_predictor(X)
    if len(target) != len(eta):
        raise DataError(f"X has {len(eta)} rows, but y has {len(target)}.")
    phi = _input.dispersions(model, len(eta), var_weights)
    return family.cdf_left(target, eta, phi), family.cdf(target, eta, phi)
