"""Principal components of rows.

Letters: n rows, p numbers of a row, k components.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from sklearn.utils.extmath import randomized_svd

from semistruct.exceptions import ParameterError

__all__ = ["Components", "components"]

_EXACT = 1000  # least side of a matrix up to which its decomposition is exact


class Components(NamedTuple):
    """Principal components: scores are ((x − mean)/scale) @ rotation.

    ``share`` (k,) is the share of the total variance of each.
    """

    mean: np.ndarray
    scale: np.ndarray
    rotation: np.ndarray
    share: np.ndarray


def components(
    values: np.ndarray, k: int, weight: np.ndarray | None, *, scaled: bool, label: str
) -> Components:
    """Find the first k principal components of rows.

    Exact (of the smaller cross-product) where n or p is at most 1000; else by a
    randomised decomposition with a fixed seed (Halko, Martinsson & Tropp 2011,
    doi:10.1137/090771806).

    Parameters
    ----------
    values : ndarray of shape (n, p)
        Rows.
    k : int
        How many components.
    weight : ndarray of shape (n,), optional
        How often each row counts.
    scaled : bool
        Whether each of the p numbers is divided by its standard deviation.
    label : str
        Term, for messages.

    Returns
    -------
    Components
        The greatest loading of each is positive.

    Raises
    ------
    ParameterError
        If the rows vary in fewer than k directions.
    """
    w = np.ones(len(values)) if weight is None else weight
    values, w = values[w > 0], w[w > 0] / w.sum()
    n, p = values.shape
    mean = w @ values
    centred = values - mean
    scale = np.ones(p)
    if scaled:
        sd = np.sqrt(w @ centred**2)
        scale = np.where(sd > 0, sd, 1.0)
    centred *= np.sqrt(w)[:, None]
    centred /= scale
    total = float(np.einsum("ij,ij->", centred, centred))
    most = min(n - 1, p)
    if k <= most:
        rotation, variance = _decompose(centred, k)
        most = int(np.sum(variance > 1e-12 * total))
    if k > most:
        raise ParameterError(
            parameter="n_components",
            owner=label,
            allowed=f"at most {most}: the {n} rows of fit, of {p} numbers each, vary "
            "in no more directions",
            given=k,
        )
    sign = np.sign(rotation[np.abs(rotation).argmax(axis=0), np.arange(k)])
    return Components(mean, scale, rotation * sign, variance / total)


def _decompose(rows: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """Give k right singular vectors (p, k) and squared singular values, descending."""
    n, p = rows.shape
    if min(n, p) > _EXACT:
        _, values, vectors = randomized_svd(rows, k, random_state=0)
        return vectors.T, values**2
    small = rows.T @ rows if p <= n else rows @ rows.T
    values, vectors = np.linalg.eigh(small)
    values, vectors = values[::-1][:k].clip(min=0.0), vectors[:, ::-1][:, :k]
    if p <= n:
        return vectors, values
    norm = np.sqrt(np.where(values > 0, values, 1.0))
    return rows.T @ vectors / norm, values
