"""The last layer of deep terms as a ridge block of the exact fit.

Letters: n rows, p structured coefficients, q latent features.
"""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from semistruct.design import Penalty
from semistruct.exceptions import DataError, InferenceWarning
from semistruct.solvers import ExactFit

FloatArray = NDArray[np.float64]


class RidgeBlock(NamedTuple):
    """Latent features made ready for a fit.

    Attributes
    ----------
    columns : ndarray of shape (n, r)
        The features that vary, each divided by its scale.
    penalty : Penalty
        Of these columns, λI, in the places that follow the structured ones; λ by REML.
    kept : ndarray of bool of shape (q,)
        Which features vary.
    scale : ndarray of shape (r,)
        Their standard deviations.
    """

    columns: FloatArray
    penalty: Penalty
    kept: NDArray[np.bool_]
    scale: FloatArray

    def weights(self, coef: FloatArray) -> FloatArray:
        """Give the weights (q,) of the features from coefficients (r,)."""
        out = np.zeros(len(self.kept))
        out[self.kept] = coef / self.scale
        return out


@dataclass(frozen=True)
class LastLayer:
    """A joint fit of structured columns and deep blocks, told apart.

    Attributes
    ----------
    structured : ExactFit
        Coefficients, covariances and edf of the structured part, marginal over the
        last layers; log-likelihood and dispersion are of the joint fit.
    weights : tuple of ndarray
        Coefficients of each block, in its columns.
    edf : ndarray
        Effective degrees of freedom of each block: the trace of its part of
        F = V X'WX.
    """

    structured: ExactFit
    weights: tuple[FloatArray, ...]
    edf: FloatArray


def ridge_block(
    latent: ArrayLike, label: str, start: int, reference: ArrayLike | None = None
) -> RidgeBlock:
    """Make a ridge block of latent features, free of their units.

    Parameters
    ----------
    latent : array-like of shape (n, q)
        U, orthogonalised where coefficients are to be those of the projection.
    label : str
        Name of the deep term.
    start : int
        Place of its first column.
    reference : array-like of shape (n, q), optional
        The features before they were orthogonalised: what is left of one that was
        wholly structured is rounding in its units.

    Returns
    -------
    RidgeBlock

    Raises
    ------
    DataError
        When the latents are no matrix of finite numbers.

    Warns
    -----
    InferenceWarning
        When no feature varies: the block is empty.

    Examples
    --------
    >>> from semistruct.inference import ridge_block
    >>> block = ridge_block([[1.0, 5.0], [3.0, 5.0]], "image(scan)", 2)
    >>> block.columns.tolist(), block.kept.tolist(), block.penalty.start
    ([[1.0], [3.0]], [True, False], 2)
    """
    u = np.asarray(latent, dtype=np.float64)
    if u.ndim != 2 or not np.isfinite(u).all():
        raise DataError(
            f"ridge_block: the latents of {label} must be a matrix of finite numbers."
        )
    spread = u.std(axis=0)
    unit = u if reference is None else np.asarray(reference, dtype=np.float64)
    kept = spread > 1e-8 * np.abs(unit).max(axis=0, initial=0.0).clip(min=1e-300)
    if not kept.any():
        warnings.warn(
            f"The latent features of {label} are constant: the deep term says nothing.",
            InferenceWarning,
            stacklevel=2,
        )
    size = int(kept.sum())
    scale = spread[kept]
    penalty = Penalty(label, start, start + size, np.eye(size), None, size)
    return RidgeBlock(u[:, kept] / scale, penalty, kept, scale)


def split_last_layer(
    fit: ExactFit, structured: Sequence[int], blocks: Sequence[Sequence[int]]
) -> LastLayer:
    """Tell the structured part and the deep blocks of a joint fit apart.

    Parameters
    ----------
    fit : ExactFit
        Of designs [X_k, U_1, …] with the penalties of :func:`ridge_block`.
    structured : sequence of K int
        Number of structured columns of each linear predictor; they come first.
    blocks : sequence of K sequences of int
        Numbers of columns of the deep blocks of each.

    Returns
    -------
    LastLayer
        ``weights`` and ``edf`` block by block, predictor by predictor.

    Notes
    -----
    The structured information is that which, with the marginal covariance, gives the
    structured part of F: tests and edf of smooths are those of the joint fit.

    Examples
    --------
    >>> import numpy as np
    >>> from semistruct.families import Gaussian
    >>> from semistruct.inference import ridge_block, split_last_layer
    >>> from semistruct.solvers import fit_glm
    >>> rng = np.random.default_rng(0)
    >>> X = np.column_stack([np.ones(200), rng.normal(size=200)])
    >>> U = rng.normal(size=(200, 5))
    >>> y = X[:, 1] + U[:, 0] + rng.normal(size=200)
    >>> block = ridge_block(U, "image(scan)", 2)
    >>> joint = fit_glm(
    ...     [np.hstack([X, block.columns])], y, Gaussian(), penalties=[[block.penalty]]
    ... )
    >>> found = split_last_layer(joint, [2], [[5]])
    >>> found.structured.coef.shape, bool(0 < found.edf[0] < 5)
    ((2,), True)
    """
    own: list[FloatArray] = []
    deep: list[NDArray[np.int64]] = []
    slices: list[slice] = []
    start = 0
    for at, p, sizes in zip(fit.slices, structured, blocks, strict=True):
        ends = np.cumsum([p, *sizes])
        if ends[-1] != at.stop - at.start:
            raise DataError(
                f"split_last_layer: {p} structured columns and blocks of {list(sizes)} "
                f"are not the {at.stop - at.start} columns of the fit."
            )
        own.append(np.arange(at.start, at.start + p))
        deep += [
            np.arange(at.start + a, at.start + b)
            for a, b in itertools.pairwise(ends.tolist())
        ]
        slices.append(slice(start, start + p))
        start += p
    kept = np.concatenate(own).astype(np.int64)
    inside = np.ix_(kept, kept)
    influence = (fit.cov @ fit.information / fit.dispersion)[inside]
    cov = fit.cov[inside]
    information = fit.dispersion * np.linalg.solve(cov, influence)
    corrected = fit.cov_corrected
    part = replace(
        fit,
        coef=fit.coef[kept],
        slices=tuple(slices),
        cov=cov,
        cov_frequentist=fit.cov_frequentist[inside],
        cov_corrected=None if corrected is None else corrected[inside],
        information=0.5 * (information + information.T),
        edf=fit.edf[kept],
        diverging=tuple(int(j) for j in np.flatnonzero(np.isin(kept, fit.diverging))),
    )
    return LastLayer(
        part,
        tuple(fit.coef[at] for at in deep),
        np.array([fit.edf[at].sum() for at in deep]),
    )
