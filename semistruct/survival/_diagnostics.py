"""Diagnostics of a fitted Cox model: the estimator's face of ``inference``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from semistruct._core.surv import Surv
from semistruct._core.validation import check_choice
from semistruct.exceptions import DataError
from semistruct.inference._cox_curves import CoxBaseline, CurveBand, cox_survival_band
from semistruct.inference._cox_ph import cox_ph_test
from semistruct.inference._cox_residuals import (
    deviance_residuals,
    dfbeta,
    dfbetas,
    martingale_residuals,
    scaled_schoenfeld_residuals,
    schoenfeld_residuals,
    score_residuals,
    sum_by_cluster,
)

from ._rows import design_of, matrix_of, read

FloatArray = NDArray[np.float64]
KINDS = (
    "martingale",
    "deviance",
    "score",
    "schoenfeld",
    "scaled_schoenfeld",
    "dfbeta",
    "dfbetas",
)


class Influence(NamedTuple):
    """What taking out a row, or a cluster of rows, would change.

    Attributes
    ----------
    dfbeta : DataFrame
        Change of each coefficient to first order, β̂ − β̂₍ᵢ₎.
    dfbetas : DataFrame
        The same in standard errors.
    displacement : Series
        d_i'V⁻¹d_i of the row's dfbeta d: twice the fall of the log-likelihood.
    """

    dfbeta: pd.DataFrame
    dfbetas: pd.DataFrame
    displacement: pd.Series


def ph_test(
    model: Any,
    X: Any,
    y: Any,
    transform: str | Callable[[FloatArray], FloatArray] = "km",
    *,
    sample_weight: ArrayLike | None = None,
) -> pd.DataFrame:
    """Test each term of a fitted Cox model, and all together, for proportional hazards.

    The score test of a coefficient that is linear in a transform g of time, see
    :func:`semistruct.inference.cox_ph_test`. Deep terms count as known. Smooths are
    tested with their penalty, χ² having their effective degrees of freedom.

    Parameters
    ----------
    model : SemiStructuredSurvival
        Fitted with ``head="cox"``.
    X, y
        The rows of the fit.
    transform : {"km", "rank", "identity", "log"} or callable, default "km"
        g.
    sample_weight : array-like of shape (n,), optional
        The weights of the fit, unless ``y`` holds them.

    Returns
    -------
    DataFrame
        A row for each term and "GLOBAL"; columns "chi2", "df", "p".

    References
    ----------
    Grambsch & Therneau (1994), Biometrika 81, 515-526, doi:10.1093/biomet/81.3.515

    Examples
    --------
    >>> import semistruct as ss
    >>> from semistruct.survival import ph_test
    >>> X, y = ss.datasets.load_rossi()
    >>> model = ss.SemiStructuredSurvival("fin + age + prio").fit(X, y)
    >>> ph_test(model, X, y)["p"].round(3).tolist()
    [0.801, 0.012, 0.471, 0.068]
    """
    fitted = read(model, X, y, sample_weight, "ph_test", same=True)
    blocks = design_of(model.predictor_).blocks
    terms = {b.label: range(b.start, b.stop) for b in blocks if b.kind != "intercept"}
    if not terms:
        raise DataError("ph_test: the model has no structured term to test.")
    cov = np.asarray(model.exact_.cov)
    edf = np.asarray(model.exact_.edf)
    penalised = not np.allclose(edf, 1.0, rtol=0, atol=1e-8)
    return cox_ph_test(
        fitted.rows,
        terms,
        transform=transform,
        penalty=_penalty(cov, fitted.rows.information()) if penalised else None,
        edf=edf if penalised else None,
    )


def residuals(
    model: Any,
    X: Any,
    y: Any,
    kind: str = "martingale",
    *,
    sample_weight: ArrayLike | None = None,
) -> pd.Series | pd.DataFrame:
    """Give residuals of a fitted Cox model.

    Parameters
    ----------
    model : SemiStructuredSurvival
        Fitted with ``head="cox"``.
    X, y
        The rows of the fit; for "martingale" and "deviance" they may be others, whose
        own baseline hazard is then used.
    kind : str, default "martingale"
        "martingale" (observed minus expected events), "deviance", "score", "dfbeta",
        "dfbetas": a value for each row. "schoenfeld", "scaled_schoenfeld": a row for
        each event.
    sample_weight : array-like of shape (n,), optional
        The weights of the fit, unless ``y`` holds them. Only "dfbeta" and "dfbetas" are
        multiplied by them.

    Returns
    -------
    Series or DataFrame
        Named as the rows of X, the columns as the coefficients. Schoenfeld's have the
        levels (time, row), sorted by stratum and time.

    References
    ----------
    Therneau, Grambsch & Fleming (1990), Biometrika 77, 147-160,
    doi:10.1093/biomet/77.1.147

    Examples
    --------
    >>> import semistruct as ss
    >>> from semistruct.survival import residuals
    >>> X, y = ss.datasets.load_rossi()
    >>> model = ss.SemiStructuredSurvival("fin + age + prio").fit(X, y)
    >>> residuals(model, X, y).head(2).round(3).tolist()
    [0.918, 0.818]
    """
    check_choice(kind, KINDS, parameter="kind", owner="residuals")
    same = kind not in ("martingale", "deviance")
    fitted = read(model, X, y, sample_weight, "residuals", same=same)
    rows, index = fitted.rows, fitted.frame.index
    if kind == "martingale":
        return pd.Series(martingale_residuals(rows), index, name=kind)
    if kind == "deviance":
        return pd.Series(deviance_residuals(rows), index, name=kind)
    coef, cov = _coef(model), np.asarray(model.exact_.cov)
    if kind in ("schoenfeld", "scaled_schoenfeld"):
        found = (
            schoenfeld_residuals(rows)
            if kind == "schoenfeld"
            else scaled_schoenfeld_residuals(rows, coef, cov)
        )
        levels = pd.MultiIndex.from_arrays(
            [found.time, index[found.rows]], names=["time", "row"]
        )
        return pd.DataFrame(found.values, levels, fitted.names)
    if kind == "score":
        return pd.DataFrame(score_residuals(rows), index, fitted.names)
    change = dfbeta(rows, cov) if kind == "dfbeta" else dfbetas(rows, cov)
    return pd.DataFrame(change, index, fitted.names)


def influence(
    model: Any,
    X: Any,
    y: Any,
    clusters: ArrayLike | None = None,
    *,
    sample_weight: ArrayLike | None = None,
) -> Influence:
    """Tell which rows, or clusters of them, move the coefficients of a Cox model.

    Parameters
    ----------
    model : SemiStructuredSurvival
        Fitted with ``head="cox"``.
    X, y
        The rows of the fit.
    clusters : array-like of shape (n,), optional
        Labels of what is taken out together; the ``id`` of ``y`` when not given.
    sample_weight : array-like of shape (n,), optional
        The weights of the fit, unless ``y`` holds them.

    Returns
    -------
    Influence
        Indexed as X, or by the labels of the clusters.

    References
    ----------
    Pettitt & Bin Daud (1989), Applied Statistics 38, 51-67; Reid & Crépeau (1985),
    Biometrika 72, 1-9, doi:10.1093/biomet/72.1.1

    Examples
    --------
    >>> import semistruct as ss
    >>> from semistruct.survival import influence
    >>> X, y = ss.datasets.load_rossi()
    >>> model = ss.SemiStructuredSurvival("fin + age + prio").fit(X, y)
    >>> influence(model, X, y).displacement.nlargest(2).round(3).tolist()
    [0.21, 0.144]
    """
    fitted = read(model, X, y, sample_weight, "influence", same=True)
    cov = np.asarray(model.exact_.cov)
    change: FloatArray = dfbeta(fitted.rows, cov)
    index: Any = fitted.frame.index
    labels = Surv.coerce(y).id if clusters is None else clusters
    if labels is not None:
        index, change = sum_by_cluster(change, labels)
    relative = change / np.sqrt(np.diag(cov))
    displacement = np.einsum("ij,ij->i", change @ np.linalg.pinv(cov), change)
    return Influence(
        pd.DataFrame(change, index, fitted.names),
        pd.DataFrame(relative, index, fitted.names),
        pd.Series(displacement, index, name="displacement"),
    )


def survival_band(
    model: Any,
    X: Any,
    y: Any,
    X_new: Any,
    *,
    strata: Any = None,
    level: float = 0.95,
    transform: str = "log-log",
    cov: ArrayLike | None = None,
    sample_weight: ArrayLike | None = None,
) -> CurveBand:
    """Predict survival curves with pointwise confidence limits.

    They carry the uncertainty of the baseline hazard and of the structured
    coefficients, see :func:`semistruct.inference.cox_survival_band`; deep terms count
    as known.

    Parameters
    ----------
    model : SemiStructuredSurvival
        Fitted with ``head="cox"``.
    X, y
        The rows of the fit.
    X_new : DataFrame or array-like
        The rows to predict.
    strata : array-like, optional
        Their strata; needed where the fit had strata.
    level : float in (0, 1), default 0.95
        Coverage.
    transform : {"log-log", "log", "plain"}, default "log-log"
        Scale on which the limits are symmetric.
    cov : array-like of shape (p, p), optional
        Covariance of the coefficients, for instance a robust one; the model's own when
        not given.
    sample_weight : array-like of shape (n,), optional
        The weights of the fit, unless ``y`` holds them.

    Returns
    -------
    CurveBand

    References
    ----------
    Tsiatis (1981), Annals of Statistics 9, 93-108, doi:10.1214/aos/1176345335

    Examples
    --------
    >>> import semistruct as ss
    >>> from semistruct.survival import survival_band
    >>> X, y = ss.datasets.load_rossi()
    >>> model = ss.SemiStructuredSurvival("fin + age + prio").fit(X, y)
    >>> band = survival_band(model, X, y, X[:1])
    >>> [curve([52.0]).round(3).item() for curve in (band.lower, band.upper)]
    [0.683, 0.812]
    """
    fitted = read(model, X, y, sample_weight, "survival_band", same=True)
    frame = model._frame(X_new)
    return cox_survival_band(
        CoxBaseline.from_rows(fitted.rows),
        matrix_of(model.predictor_, frame),
        model.predictor_.linear_predictor(frame)[:, 0],
        model.exact_.cov if cov is None else cov,
        strata=strata,
        level=level,
        transform=transform,
        index=frame.index,
    )


def _coef(model: Any) -> FloatArray:
    return np.asarray(model.exact_.coef, dtype=np.float64).reshape(-1)


def _penalty(cov: FloatArray, information: FloatArray) -> FloatArray:
    """Σ λ_j S_j = V⁻¹ − I, without the rounding below 0."""
    penalty = np.linalg.pinv(cov, hermitian=True) - information
    values, vectors = np.linalg.eigh(0.5 * (penalty + penalty.T))
    return (vectors * np.maximum(values, 0.0)) @ vectors.T
