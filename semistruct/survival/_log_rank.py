"""The log-rank test and its weighted kin."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

from semistruct._core.surv import Surv
from semistruct._core.validation import check_choice
from semistruct.exceptions import DataError, TargetError

from ._counts import at_risk, groups_of, row_weights

FloatArray = NDArray[np.float64]
WEIGHTINGS = ("logrank", "wilcoxon", "tarone-ware", "peto")


class LogRankTest(NamedTuple):
    """A test of equal hazards.

    Attributes
    ----------
    statistic : float
        χ².
    df : int
        Number of groups minus one.
    p_value : float
    table : DataFrame
        For each group "n", "observed" and "expected" (weighted) events.
    """

    statistic: float
    df: int
    p_value: float
    table: pd.DataFrame


def log_rank(y: Any, groups: Any, *, weighting: str = "logrank") -> LogRankTest:
    """Test that groups have the same hazard.

    U_g = Σ_j u_j (d_gj − d_j n_gj/n_j), with the hypergeometric variance
    Σ_j u_j² d_j (n_j − d_j)/(n_j − 1) [diag(π) − ππ'], π_g = n_gj/n_j; both summed over
    the strata of ``y``.

    Parameters
    ----------
    y : Surv, or what ``Surv.coerce`` takes
        Late entry is left truncation; weights are case weights.
    groups : array-like of shape (n,)
        Labels, two or more.
    weighting : {"logrank", "wilcoxon", "tarone-ware", "peto"}, default "logrank"
        u: 1, n_j (Gehan and Breslow), √n_j, or Kaplan-Meier's curve of the stratum just
        before t_j (Peto and Prentice, Harrington and Fleming's ρ = 1).

    Returns
    -------
    LogRankTest

    Raises
    ------
    DataError
        If there are fewer than two groups.
    TargetError
        If nobody has an event.

    References
    ----------
    Mantel (1966), Cancer Chemotherapy Reports 50, 163-170; Harrington & Fleming (1982),
    Biometrika 69, 553-566, doi:10.1093/biomet/69.3.553

    Examples
    --------
    >>> import semistruct as ss
    >>> from semistruct.survival import log_rank
    >>> y = ss.Surv([1.0, 2.0, 3.0, 4.0], [1, 1, 1, 1])
    >>> log_rank(y, ["a", "a", "b", "b"]).p_value.__round__(4)
    0.0896
    """
    owner = "log_rank"
    check_choice(weighting, WEIGHTINGS, parameter="weighting", owner=owner)
    y = Surv.coerce(y)
    labels, code = groups_of(y, groups, owner)
    if groups is None or len(labels) < 2:
        raise DataError(f"{owner}: two groups are needed; got {labels}.")
    weight = row_weights(y)
    if not (y.event & (weight > 0)).any():
        raise TargetError(f"{owner}: y has no event.")
    k = len(labels)
    observed, expected, variance = np.zeros(k), np.zeros(k), np.zeros((k, k))
    parts = [np.ones(len(y), bool)]
    if y.strata is not None:
        parts = [y.strata == s for s in np.unique(y.strata)]
    for part in parts:
        seen = part & y.event & (weight > 0)
        times, at = np.unique(y.time[seen], return_inverse=True)
        if not len(times):
            continue
        d = np.zeros((len(times), k))
        np.add.at(d, (at, code[seen]), weight[seen])
        n = np.column_stack([at_risk(y[part & (code == g)], times) for g in range(k)])
        dead, everyone = d.sum(axis=1), n.sum(axis=1)
        u = _weights(weighting, dead, everyone)
        share = n / everyone[:, None]
        observed += u @ d
        expected += (u * dead) @ share
        spare = np.where(everyone > 1, everyone - 1.0, np.inf)
        factor = u**2 * dead * np.maximum(everyone - dead, 0.0) / spare
        variance += np.diag(factor @ share) - (share * factor[:, None]).T @ share
    score = (observed - expected)[:-1]
    statistic = float(
        score @ np.linalg.pinv(variance[:-1, :-1], hermitian=True) @ score
    )
    sizes = np.bincount(code, weight, k)
    table = pd.DataFrame(
        {"n": sizes, "observed": observed, "expected": expected}, index=pd.Index(labels)
    )
    return LogRankTest(statistic, k - 1, float(stats.chi2.sf(statistic, k - 1)), table)


def _weights(weighting: str, dead: FloatArray, everyone: FloatArray) -> FloatArray:
    if weighting == "logrank":
        return np.ones(len(dead))
    if weighting == "wilcoxon":
        return everyone
    if weighting == "tarone-ware":
        return np.sqrt(everyone)
    return np.concatenate([[1.0], np.cumprod(1.0 - dead / everyone)[:-1]])
