"""Intervals by the profile of a likelihood."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from scipy import optimize

from semistruct._core.validation import check_number
from semistruct.inference._linear import critical_value

# of the first step, that of Wald's limit
_SHORTEST = 1e-3
_FARTHEST = 1e4


class ProfileInterval(NamedTuple):
    """Limits of one coefficient.

    Attributes
    ----------
    lower, upper : float
        Infinite where the profile stays high, as that of a monotone likelihood does.
    """

    lower: float
    upper: float


def profile_interval(
    profile: Callable[[float], float],
    estimate: float,
    std_error: float,
    *,
    level: float = 0.95,
) -> ProfileInterval:
    """Confidence limits where a profile log-likelihood has fallen by χ²₁/2.

    {b : 2 [ℓ_p(β̂) − ℓ_p(b)] ≤ χ²₁(level)}, for likelihoods that are skew, as penalised
    ones are under separation; Wald's limits are poor there.

    Parameters
    ----------
    profile : callable
        ℓ_p: from a value of the coefficient to the log-likelihood maximised over the
        others, see :func:`semistruct.solvers.cox_profile`; −∞ where it cannot be
        computed.
    estimate : float
        β̂, the maximum of the profile.
    std_error : float
        Length of the first steps, > 0.
    level : float in (0, 1), default 0.95
        Coverage.

    Returns
    -------
    ProfileInterval

    References
    ----------
    Venzon and Moolgavkar (1988), Applied Statistics 37, 87-94, doi:10.2307/2347496;
    Heinze and Schemper (2001), Biometrics 57, 114-119,
    doi:10.1111/j.0006-341X.2001.00114.x

    Examples
    --------
    >>> from semistruct.inference import profile_interval
    >>> found = profile_interval(lambda b: -0.5 * (b - 1) ** 2, 1.0, 1.0)
    >>> round(found.lower, 3), round(found.upper, 3)
    (-0.96, 2.96)
    """
    owner = "profile_interval"
    z = float(critical_value(level, None, owner))
    check_number(
        std_error, parameter="std_error", owner=owner, low=0.0, closed="neither"
    )
    floor = profile(estimate) - 0.5 * z**2

    def above(value: float) -> float:
        return profile(value) - floor

    first = z * std_error
    return ProfileInterval(
        _crossing(above, estimate, -first), _crossing(above, estimate, first)
    )


def _crossing(above: Callable[[float], float], start: float, first: float) -> float:
    """Find where a function that is positive at ``start`` crosses 0, or infinity."""
    inside, step, stretch = start, first, 2.0
    while abs(inside - start) < _FARTHEST * abs(first):
        value = above(inside + step)
        if not np.isfinite(value):  # too far to be computed
            step, stretch = 0.5 * step, 1.0
            if abs(step) < _SHORTEST * abs(first):
                break
        elif value <= 0:
            return float(optimize.brentq(above, inside, inside + step, xtol=1e-10))
        else:
            inside, step = inside + step, stretch * step
    return float(np.copysign(np.inf, first))
