"""Which covariance of the coefficients of a Cox model."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from semistruct._core.validation import check_choice
from semistruct.exceptions import DataError
from semistruct.inference._cox_residuals import cox_sandwich
from semistruct.inference._cox_rows import RiskRows

FloatArray = NDArray[np.float64]
KINDS = ("model", "robust", "cluster")


def cox_covariance(
    kind: str, rows: RiskRows, cov: ArrayLike, clusters: ArrayLike | None = None
) -> FloatArray:
    """Give the covariance of the coefficients that is asked for.

    Parameters
    ----------
    kind : {"model", "robust", "cluster"}
        The inverse of the (penalised) information; Lin and Wei's sandwich D'D, D the
        ``dfbeta`` of the rows; or the same with the sums of D over clusters.
    rows : RiskRows or CoxRows
        At the estimate.
    cov : array-like of shape (p, p)
        V, model-based: that of the fit.
    clusters : array-like of shape (n,), optional
        Labels of the clusters, such as the ids of subjects with several rows; needed
        for "cluster" only.

    Returns
    -------
    ndarray of shape (p, p)
        Without a factor for small samples. Of a penalised fit a sandwich is around the
        estimator's own expectation: the smoothing bias is not in it.

    Raises
    ------
    DataError
        If clusters are missing, of another length, or only one.

    References
    ----------
    Lin & Wei (1989), Journal of the American Statistical Association 84, 1074-1078,
    doi:10.1080/01621459.1989.10478874

    Examples
    --------
    >>> from semistruct.inference import RiskRows, cox_covariance
    >>> from semistruct.solvers import fit_cox_on, risk_sets
    >>> sets = risk_sets([1.0, 2.0, 3.0, 4.0], [1, 1, 1, 0])
    >>> x = [[0.0], [2.0], [1.0], [1.0]]
    >>> fit = fit_cox_on(sets, x)
    >>> rows = RiskRows(sets, x, fit.linear_predictor)
    >>> cox_covariance("cluster", rows, fit.cov, ["a", "a", "b", "b"]).shape
    (1, 1)
    """
    owner = "cox_covariance"
    check_choice(kind, KINDS, parameter="kind", owner=owner)
    if kind == "model":
        return np.array(cov, dtype=np.float64)
    if kind == "robust":
        return cox_sandwich(rows, cov)
    if clusters is None:
        raise DataError(f"{owner}: kind='cluster' needs clusters, a label of each row.")
    if len(np.unique(np.asarray(clusters))) < 2:
        raise DataError(f"{owner}: there is only one cluster; two are needed.")
    return cox_sandwich(rows, cov, clusters)
