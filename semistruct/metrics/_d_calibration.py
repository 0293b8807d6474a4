"""D-calibration: whether the predicted survival at the own times is uniform."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.stats import chi2

from semistruct._core.step import StepFunction
from semistruct._core.surv import Surv
from semistruct._core.validation import check_number
from semistruct.exceptions import DataError

from ._checks import at_own_times, no_weights, one_cause, survival_function

__all__ = ["DCalibration", "d_calibration"]


@dataclass(frozen=True, eq=False)
class DCalibration:
    """Result of `d_calibration`.

    Parameters
    ----------
    statistic : float
        Σ (N_b − n/B)² / (n/B) over the B bins.
    df : int
        Degrees of freedom, B − 1.
    p_value : float
        Small where the model is not calibrated.
    counts : ndarray of shape (B,)
        Rows in each bin of predicted survival, from [0, 1/B) up; not whole numbers
        under censoring.
    """

    statistic: float
    df: int
    p_value: float
    counts: np.ndarray


def d_calibration(y: Any, survival: StepFunction, bins: int = 10) -> DCalibration:
    """Test whether S_i(t_i) is uniform, as it is for a calibrated model.

    An event counts in the bin of its S_i(t_i). A row censored with s = S_i(t_i) would
    have its event at a survival below s, uniformly: its bin [l, u) gets (s − l)/s,
    each lower bin 1/(B s).

    Parameters
    ----------
    y : Surv, or what ``Surv.coerce`` takes
        Times and events of n rows.
    survival : StepFunction of n rows
        Predicted survival.
    bins : int, default=10
        Number B of bins of equal width.

    Returns
    -------
    DCalibration
        With χ² and p-value.

    Raises
    ------
    DataError
        If the lengths differ, or survival is not in [0, 1].

    References
    ----------
    Haider, Hoehn, Davis & Greiner (2020), JMLR 21(85), 1-63

    Examples
    --------
    >>> import numpy as np, semistruct as ss
    >>> times = np.linspace(0.01, 1, 100)
    >>> curves = ss.StepFunction(times, np.tile(1 - times, (100, 1)))
    >>> y = ss.Surv(np.linspace(0.005, 0.995, 100))
    >>> ss.metrics.d_calibration(y, curves, bins=5).counts.tolist()
    [20.0, 19.0, 20.0, 20.0, 21.0]
    """
    y, owner = Surv.coerce(y), "d_calibration()"
    check_number(bins, parameter="bins", owner=owner, low=2, high=1000, integer=True)
    no_weights(y, owner)
    one_cause(y, owner)
    survival = survival_function(survival, y, owner)
    if len(y) == 0:
        raise DataError(f"{owner}: y has no rows.")
    s = np.clip(at_own_times(survival, y.time), 0.0, 1.0)
    bin_of = np.minimum((s * bins).astype(int), bins - 1)
    whole = y.event | (s == 0)
    counts = np.bincount(bin_of[whole], minlength=bins).astype(np.float64)
    s, bin_of = s[~whole], bin_of[~whole]
    counts += np.bincount(bin_of, (s - bin_of / bins) / s, bins)
    below = np.bincount(bin_of, 1 / (bins * s), bins)
    counts[:-1] += np.cumsum(below[::-1])[::-1][1:]
    expected = len(y) / bins
    statistic = float(np.sum((counts - expected) ** 2) / expected)
    return DCalibration(
        statistic, bins - 1, float(chi2.sf(statistic, bins - 1)), counts
    )
