"""Robust and cluster-robust covariance of coefficients.

Letters: n rows, K linear predictors, p coefficients of all of them, G clusters.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from semistruct._core.validation import check_choice
from semistruct.exceptions import DataError

FloatArray = NDArray[np.float64]


def score_rows(designs: Sequence[ArrayLike], gradient_eta: ArrayLike) -> FloatArray:
    """Contribution of each row to the score, ∂ℓ_i/∂β = (X_ik ∂ℓ_i/∂η_ik)_k.

    Parameters
    ----------
    designs : sequence of K arrays of shape (n, p_k)
        Design matrices of the linear predictors.
    gradient_eta : array-like of shape (n, K)
        ∂ℓ_i/∂η_ik, times the weight of the row where there are weights.

    Returns
    -------
    ndarray of shape (n, p)
        p = Σ p_k, in the order of the coefficients of a fit.

    Examples
    --------
    >>> from semistruct.inference import score_rows
    >>> score_rows([[[1.0, 2.0]], [[1.0]]], [[3.0, 5.0]])
    array([[3., 6., 5.]])
    """
    gradient = np.asarray(gradient_eta, dtype=np.float64)
    matrices = [np.asarray(x, dtype=np.float64) for x in designs]
    if gradient.ndim != 2 or gradient.shape[1] != len(matrices):
        raise DataError(
            f"score_rows: gradient_eta has shape {gradient.shape}, but there are "
            f"{len(matrices)} designs; give one column for each."
        )
    return np.hstack([x * gradient[:, [k]] for k, x in enumerate(matrices)])


def sandwich(
    scores: ArrayLike,
    bread: ArrayLike,
    clusters: ArrayLike | None = None,
    hc: str = "HC1",
    n_parameters: float | None = None,
) -> FloatArray:
    """Covariance that does not trust the model for the variance of the response.

    V M V with M = Σ_i s_i s_i', or M = Σ_g (Σ_{i∈g} s_i)(Σ_{i∈g} s_i)' over clusters
    (White 1982, doi:10.2307/1912526; Liang and Zeger 1986, doi:10.1093/biomet/73.1.13).
    HC1 multiplies by n / (n − p), with clusters by G/(G − 1) · (n − 1)/(n − p). Of a
    penalised fit it is a covariance of the estimator around its own expectation, as Ve
    is: the smoothing bias is not in it.

    Parameters
    ----------
    scores : array-like of shape (n, p)
        Score contributions of the rows, see :func:`score_rows`.
    bread : array-like of shape (p, p)
        V, the inverse of the negative Hessian of the (penalised) log-likelihood, on the
        same scale as the scores: both free of the dispersion, or both with it.
    clusters : array-like of shape (n,), optional
        Label of the cluster of each row.
    hc : {"HC0", "HC1"}, default "HC1"
        Without and with the factor for small samples.
    n_parameters : float, optional
        The p of that factor, for a penalised fit Σ edf; the number of columns when not
        given.

    Returns
    -------
    ndarray of shape (p, p)

    Examples
    --------
    >>> from semistruct.inference import sandwich
    >>> sandwich([[1.0], [-1.0], [2.0]], [[0.5]], hc="HC0")
    array([[1.5]])
    >>> sandwich([[1.0], [-1.0], [2.0]], [[0.5]], clusters=["a", "a", "b"], hc="HC0")
    array([[1.]])
    """
    rows = np.asarray(scores, dtype=np.float64)
    meat = _Meat(rows.shape[1])
    meat.add(rows, clusters)
    return meat.between(bread, hc, n_parameters, "sandwich")


def sandwich_chunked(
    chunks: Iterable[tuple[Sequence[ArrayLike], ArrayLike, ArrayLike | None]],
    bread: ArrayLike,
    hc: str = "HC1",
    n_parameters: float | None = None,
) -> FloatArray:
    """Sandwich covariance of rows that come by chunks and are not kept.

    Holds p × p numbers, and G × p with clusters, beside one chunk.

    Parameters
    ----------
    chunks : iterable of (designs, gradient_eta, clusters or None)
        As for :func:`score_rows` and :func:`sandwich`, for some rows at a time; a
        cluster may go on in a later chunk.
    bread, hc, n_parameters
        As for :func:`sandwich`.

    Returns
    -------
    ndarray of shape (p, p)

    Examples
    --------
    >>> from semistruct.inference import sandwich_chunked
    >>> rows = [([[[1.0], [1.0]]], [[1.0], [-1.0]], None), ([[[1.0]]], [[2.0]], None)]
    >>> sandwich_chunked(rows, [[0.5]], hc="HC0")
    array([[1.5]])
    """
    meat = _Meat(np.asarray(bread).shape[0])
    for designs, gradient_eta, clusters in chunks:
        meat.add(score_rows(designs, gradient_eta), clusters)
    return meat.between(bread, hc, n_parameters, "sandwich_chunked")


class _Meat:
    """Accumulates Σ s s', or the sums of the scores by cluster."""

    def __init__(self, p: int) -> None:
        self.product = np.zeros((p, p))
        self.sums: dict[Any, FloatArray] = {}
        self.n = 0
        self.n_unclustered = 0

    def add(self, scores: FloatArray, clusters: ArrayLike | None) -> None:
        self.n += len(scores)
        if clusters is None:
            self.n_unclustered += len(scores)
            self.product += scores.T @ scores
            return
        labels = np.asarray(clusters)
        if labels.shape != (len(scores),):
            raise DataError(
                f"sandwich: clusters has shape {labels.shape}, but there are "
                f"{len(scores)} rows; give one label for each."
            )
        if not len(labels):
            return
        unique, inverse = np.unique(labels, return_inverse=True)
        order = np.argsort(inverse, kind="stable")
        starts = np.searchsorted(inverse[order], np.arange(len(unique)))
        sums = np.add.reduceat(scores[order], starts, axis=0)  # (groups, p)
        for label, row in zip(unique.tolist(), sums, strict=True):
            known = self.sums.get(label)
            self.sums[label] = row if known is None else known + row

    def between(
        self, bread: ArrayLike, hc: str, n_parameters: float | None, owner: str
    ) -> FloatArray:
        check_choice(hc, ("HC0", "HC1"), parameter="hc", owner=owner)
        v = np.asarray(bread, dtype=np.float64)
        meat, factor = self.product, 1.0
        if self.sums:
            if self.n_unclustered:
                raise DataError(f"{owner}: some chunks have clusters and some do not.")
            if len(self.sums) < 2:
                raise DataError(f"{owner}: there is only one cluster; two are needed.")
            rows = np.stack(list(self.sums.values()))
            meat = rows.T @ rows
        if hc == "HC1":
            p = float(len(v)) if n_parameters is None else float(n_parameters)
            if self.n <= p:
                raise DataError(
                    f"{owner}: HC1 needs more rows than parameters, got {self.n} rows "
                    f"and {p:g} parameters. Use hc='HC0'."
                )
            factor = self.n / (self.n - p)
            if self.sums:
                g = len(self.sums)
                factor = g / (g - 1.0) * (self.n - 1.0) / (self.n - p)
        product = v @ meat @ v.T * factor
        return 0.5 * (product + product.T)
