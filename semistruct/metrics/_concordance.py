"""Harrell's concordance index."""

from __future__ import annotations

import numpy as np

from semistruct._core.surv import Surv
from semistruct.exceptions import DataError

__all__ = ["concordance_index"]


def concordance_index(y: Surv, risk: np.ndarray) -> float:
    """Share of comparable pairs that the risk orders rightly; ties count one half.

    A pair is comparable if the row with the shorter time had the event. The counting
    is that of lifelines, in O(n log n).

    Parameters
    ----------
    y : Surv
        Times and events of n rows.
    risk : ndarray of shape (n,)
        Predicted risk, higher for an earlier event; any unit.

    Returns
    -------
    float
        In [0, 1]; 0.5 for a constant risk.

    Raises
    ------
    DataError
        If no pair is comparable, or a risk is not finite.

    References
    ----------
    Harrell, Lee & Mark (1996), Statistics in Medicine 15, 361-387,
    doi:10.1002/(SICI)1097-0258(19960229)15:4<361::AID-SIM168>3.0.CO;2-4

    Examples
    --------
    >>> import semistruct as ss
    >>> y = ss.Surv([1.0, 2.0, 3.0], [1, 1, 0])
    >>> ss.metrics.concordance_index(y, [3.0, 2.0, 1.0])
    1.0
    """
    from lifelines.utils import concordance_index as harrell

    risk = np.asarray(risk, dtype=np.float64)
    if not np.all(np.isfinite(risk)):
        row = int(np.flatnonzero(~np.isfinite(risk))[0])
        raise DataError(f"The predicted risk of row {row} is {risk[row]}, not finite.")
    try:
        return float(harrell(y.time, -risk, y.event))
    except ZeroDivisionError as error:
        raise DataError(
            "No pair of rows is comparable, so a concordance index is not defined: "
            f"{y!r} has no event before another row's time."
        ) from error
