"""Diagnostics of a fitted model: residuals, calibration, basis size, concurvity."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy import linalg, spatial, special, stats

from semistruct._core.validation import check_number
from semistruct.exceptions import DataError

FloatArray = NDArray[np.float64]

_NEIGHBOURS = 3
_MOST_ROWS = 5000  # of a k-check


class WormPlot(NamedTuple):
    """Detrended normal quantile plot of n residuals, each of shape (n,), in order.

    ``theoretical`` are normal quantiles z, ``deviation`` the sorted residuals − z, and
    ``lower`` and ``upper`` the pointwise limits of the deviation.
    """

    theoretical: FloatArray
    deviation: FloatArray
    lower: FloatArray
    upper: FloatArray


class PitHistogram(NamedTuple):
    """Edges (b + 1,) of bins of [0, 1], and the density (b,) in them, 1 on average."""

    edges: FloatArray
    density: FloatArray


class KCheck(NamedTuple):
    """Whether the basis of a smooth is large enough.

    ``k_index`` is near 1 when neighbouring residuals are unrelated; below 1, with a
    small ``p_value`` and ``edf`` close to ``k``, there is pattern left: raise k.
    """

    k: int
    edf: float
    k_index: float
    p_value: float


def quantile_residuals(
    cdf: ArrayLike,
    cdf_left: ArrayLike | None = None,
    rng: np.random.Generator | None = None,
) -> FloatArray:
    """Residuals Φ⁻¹(u) that are standard normal when the model is right.

    u = F(y) for a continuous response; for a discrete one u is uniform on
    (F(y−), F(y)], drawn anew for each row.

    Parameters
    ----------
    cdf : array-like of shape (n,)
        Fitted distribution functions at the responses, F_i(y_i), in [0, 1].
    cdf_left : array-like of shape (n,), optional
        P(Y_i < y_i); equal to ``cdf`` where the distribution has no mass at y_i.
    rng : numpy Generator, optional
        Required with ``cdf_left``.

    Returns
    -------
    ndarray of shape (n,)
        Finite: probabilities of 0 and 1 are taken to the next number inside.

    References
    ----------
    Dunn and Smyth (1996), doi:10.1080/10618600.1996.10474708.

    Examples
    --------
    >>> from semistruct.inference import quantile_residuals
    >>> quantile_residuals([0.5, 0.975]).round(2)
    array([0.  , 1.96])
    """
    u = _probabilities(cdf, "cdf", "quantile_residuals")
    if cdf_left is not None:
        left = _probabilities(cdf_left, "cdf_left", "quantile_residuals")
        if rng is None:
            raise DataError(
                "quantile_residuals: residuals of a discrete response are drawn at "
                "random; give rng=numpy.random.default_rng(seed)."
            )
        u = u - (u - left) * rng.random(u.shape)
    low, high = np.finfo(float).tiny, 1.0 - np.finfo(float).epsneg
    return np.asarray(special.ndtri(np.clip(u, low, high)))


def worm(residuals: ArrayLike, level: float = 0.95) -> WormPlot:
    """Compute a worm plot: deviations of sorted residuals from normal quantiles.

    A flat worm inside the limits is a good fit; its level, slope, bend and S-shape show
    a wrong mean, variance, skewness and kurtosis. With p_i = (i − ½)/n and z_i =
    Φ⁻¹(p_i) the limits are ± q √(p_i (1 − p_i)/n) / φ(z_i).

    Parameters
    ----------
    residuals : array-like of shape (n,)
        Quantile residuals.
    level : float in (0, 1), default 0.95
        Coverage of the limits at each point.

    Returns
    -------
    WormPlot

    References
    ----------
    van Buuren and Fredriks (2001), doi:10.1002/sim.746.

    Examples
    --------
    >>> from semistruct.inference import worm
    >>> plot = worm([0.3, -0.7, 1.0])
    >>> plot.theoretical.round(2), plot.deviation.round(2)
    (array([-0.97,  0.  ,  0.97]), array([0.27, 0.3 , 0.03]))
    """
    check_number(
        level, parameter="level", owner="worm", low=0.0, high=1.0, closed="neither"
    )
    r = np.sort(np.asarray(residuals, dtype=np.float64))
    n = len(r)
    p = (np.arange(1, n + 1) - 0.5) / n
    z = special.ndtri(p)
    error = np.sqrt(p * (1.0 - p) / n) / stats.norm.pdf(z)
    half = special.ndtri(0.5 + level / 2.0) * error
    return WormPlot(z, r - z, -half, half)


def pit_histogram(
    cdf: ArrayLike, cdf_left: ArrayLike | None = None, bins: int = 10
) -> PitHistogram:
    """Histogram of the probability integral transform, uniform for a right model.

    For a discrete response the mass of a row is spread evenly over (F(y−), F(y)],
    without randomness: the mean over rows of the distribution functions
    min(1, max(0, (u − F(y−)) / (F(y) − F(y−)))), differenced at the edges.

    Parameters
    ----------
    cdf : array-like of shape (n,)
        F_i(y_i) in [0, 1].
    cdf_left : array-like of shape (n,), optional
        P(Y_i < y_i), for a discrete response.
    bins : int >= 1, default 10

    Returns
    -------
    PitHistogram

    References
    ----------
    Czado, Gneiting and Held (2009), doi:10.1111/j.1541-0420.2009.01191.x.

    Examples
    --------
    >>> from semistruct.inference import pit_histogram
    >>> pit_histogram([0.1, 0.3, 0.6, 0.9], bins=2).density
    array([1., 1.])
    >>> pit_histogram([1.0], [0.5], bins=2).density
    array([0., 2.])
    """
    check_number(bins, parameter="bins", owner="pit_histogram", low=1, integer=True)
    right = _probabilities(cdf, "cdf", "pit_histogram")
    left = right
    if cdf_left is not None:
        left = _probabilities(cdf_left, "cdf_left", "pit_histogram")
    edges = np.linspace(0.0, 1.0, bins + 1)
    total = np.zeros(bins + 1)
    point = right <= left
    total += (right[point, None] <= edges).sum(axis=0)
    width = (right - left)[~point, None]
    total += np.clip((edges - left[~point, None]) / width, 0.0, 1.0).sum(axis=0)
    total[0] = 0.0  # a transform of exactly 0 belongs to the first bin
    return PitHistogram(edges, np.diff(total) * bins / len(right))


def k_check(
    residuals: ArrayLike,
    covariate: ArrayLike,
    k: int,
    edf: float,
    n_permutations: int = 400,
    seed: int = 0,
) -> KCheck:
    """Look for pattern that a smooth left in the residuals.

    Half the mean squared difference of residuals that are neighbours in the covariate
    (in order for one covariate, the 3 nearest for several, each scaled to its range)
    over their mean square; permuted residuals say how small it is by chance. Above
    5,000 rows a random part of them is used.

    Parameters
    ----------
    residuals : array-like of shape (n,)
        Deviance or quantile residuals.
    covariate : array-like of shape (n,) or (n, d)
        Columns of the smooth.
    k : int
        Its number of coefficients, passed on.
    edf : float
        Its effective degrees of freedom, passed on.
    n_permutations : int >= 1, default 400
    seed : int >= 0, default 0

    Returns
    -------
    KCheck
        The p-value is the share of permutations with a smaller statistic.

    References
    ----------
    Wood (2017), Generalized Additive Models, section 5.9,
    doi:10.1201/9781315370279.

    Examples
    --------
    >>> import numpy as np
    >>> from semistruct.inference import k_check
    >>> x = np.linspace(0, 1, 100)
    >>> found = k_check(np.sin(20 * x), x, k=5, edf=4.8)
    >>> found.k_index < 0.1, found.p_value
    (True, 0.0)
    """
    owner = "k_check"
    check_number(
        n_permutations, parameter="n_permutations", owner=owner, low=1, integer=True
    )
    r = np.asarray(residuals, dtype=np.float64)
    x = np.asarray(covariate, dtype=np.float64)
    x = x[:, None] if x.ndim == 1 else x
    if len(x) != len(r) or len(r) < 5:
        raise DataError(
            f"{owner}: {len(r)} residuals and {len(x)} rows of covariates; both must "
            "be equal and at least 5."
        )
    generator = np.random.default_rng(seed)
    if len(r) > _MOST_ROWS:
        rows = generator.choice(len(r), _MOST_ROWS, replace=False)
        r, x = r[rows], x[rows]
    first, second = _neighbours(x)
    observed = np.mean((r[first] - r[second]) ** 2)
    below = 0
    for _ in range(n_permutations):
        mixed = generator.permutation(r)
        below += bool(np.mean((mixed[first] - mixed[second]) ** 2) < observed)
    index = float(observed / 2.0 / np.mean(r**2))
    return KCheck(int(k), float(edf), index, below / n_permutations)


def concurvity(
    matrix: ArrayLike, blocks: Mapping[str, slice], coef: ArrayLike
) -> pd.DataFrame:
    """How much of each term can be written by the other terms.

    With X_j the columns of the term, and P the projection onto the columns of all other
    terms, the squared share inside their space: "worst" max_b ‖P X_j b‖² / ‖X_j b‖²,
    "observed" the same at the estimate, "estimate" ‖P X_j‖²_F / ‖X_j‖²_F. 0 is no
    problem, 1 is no identifiability. The worst case is often too pessimistic, the
    observed one too optimistic.

    Parameters
    ----------
    matrix : array-like of shape (n, p)
        Design matrix, or a triangular factor of it.
    blocks : mapping from label to slice
        Columns of the terms; the parametric ones together are one term. Columns in no
        block do not take part.
    coef : array-like of shape (p,)

    Returns
    -------
    DataFrame
        A row for each term with "worst", "observed" and "estimate" in [0, 1];
        "observed" is NaN for a term that is estimated as zero.

    References
    ----------
    Wood (2017), Generalized Additive Models, doi:10.1201/9781315370279; the three
    measures are those of mgcv.

    Examples
    --------
    >>> from semistruct.inference import concurvity
    >>> matrix = [[1, 1, 1], [1, -1, 0], [1, 0, -1], [1, 0, 0]]
    >>> blocks = {"one": slice(0, 1), "a": slice(1, 2), "b": slice(2, 3)}
    >>> concurvity(matrix, blocks, [1.0, 1.0, 1.0]).round(3)
         worst  observed  estimate
    one   0.00      0.00      0.00
    a     0.25      0.25      0.25
    b     0.25      0.25      0.25
    """
    x = np.asarray(matrix, dtype=np.float64)
    beta = np.asarray(coef, dtype=np.float64)
    if len(blocks) < 2:
        raise DataError("concurvity: at least two terms are needed.")
    if len(x) > x.shape[1]:
        x = linalg.qr(x, mode="r", check_finite=False)[0][: x.shape[1]]
    rows = []
    for label, span in blocks.items():
        own = x[:, span]
        others = np.hstack([x[:, s] for name, s in blocks.items() if name != label])
        basis = _basis(others)
        inside = basis.T @ own  # ‖P X b‖ = ‖inside b‖
        angles = linalg.svdvals(basis.T @ _basis(own))
        worst = min(float(angles.max(initial=0.0)) ** 2, 1.0)
        fitted = float(((own @ beta[span]) ** 2).sum())
        observed = float(((inside @ beta[span]) ** 2).sum())
        observed = observed / fitted if fitted > 0 else float("nan")
        rows.append((worst, observed, float((inside**2).sum() / (own**2).sum())))
    columns = ["worst", "observed", "estimate"]
    return pd.DataFrame(rows, columns=columns, index=pd.Index(list(blocks)))


def _probabilities(values: ArrayLike, name: str, owner: str) -> FloatArray:
    """Return probabilities as an array, or raise ``DataError``."""
    p = np.asarray(values, dtype=np.float64)
    bad = np.flatnonzero(~((p >= 0.0) & (p <= 1.0)))
    if p.ndim != 1 or bad.size:
        where = f"row {bad[0]} holds {p.ravel()[bad[0]]:g}" if bad.size else ""
        raise DataError(
            f"{owner}: {name} must be one-dimensional, with probabilities in [0, 1]; "
            f"got shape {p.shape}. {where}".strip()
        )
    return p


def _neighbours(x: FloatArray) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Pairs of rows that are neighbours."""
    if x.shape[1] == 1:
        order = np.argsort(x[:, 0], kind="stable")
        return order[1:], order[:-1]
    reach = np.ptp(x, axis=0)
    scaled = (x - x.min(axis=0)) / np.where(reach > 0, reach, 1.0)
    found = spatial.cKDTree(scaled).query(scaled, _NEIGHBOURS + 1)[1]  # itself too
    own = np.arange(len(x))
    found = np.where(found == own[:, None], -1, found)
    first, second = [], []
    for column in range(_NEIGHBOURS + 1):
        good = found[:, column] >= 0
        first.append(own[good])
        second.append(found[good, column])
    return np.concatenate(first), np.concatenate(second)


def _basis(x: FloatArray) -> FloatArray:
    """Orthonormal basis of the column space."""
    length = np.linalg.norm(x, axis=0)
    u, s, _ = linalg.svd(x / np.where(length > 0, length, 1.0), full_matrices=False)
    return np.asarray(u[:, s > 1e-12 * s.max(initial=0.0)])
