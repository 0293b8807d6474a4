"""Monotone P-splines."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np

from semistruct.design._basis import Basis, Neighbours
from semistruct.design._p_spline import PSpline

__all__ = ["MonotoneDecreasing", "MonotoneIncreasing"]


class _Monotone(Basis):
    """P-splines with coefficients in order; abstract."""

    least_k = 4
    marginal = False
    sign: ClassVar[float]

    def __init__(self, spline: PSpline) -> None:
        self.spline = spline
        self.k = spline.k

    @classmethod
    def fit(
        cls, x: np.ndarray, k: int, *, neighbours: Neighbours | None = None
    ) -> _Monotone:
        return cls(PSpline.fit(x, k))

    def evaluate(self, x: np.ndarray) -> np.ndarray:
        return self.spline.evaluate(x)

    @property
    def penalty(self) -> np.ndarray:
        return self.spline.penalty

    @property
    def rank(self) -> int:
        return self.spline.rank

    @property
    def inequality(self) -> np.ndarray:
        """First differences of the coefficients, (k - 1, k), signed."""
        return self.sign * np.diff(np.eye(self.k), axis=0)

    def to_state(self) -> dict[str, Any]:
        return self.spline.to_state() | {"name": self.name}

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> _Monotone:
        return cls(PSpline.from_state(state))


class MonotoneIncreasing(_Monotone):
    """P-splines that never fall: β_1 <= β_2 <= … <= β_k.

    Basis and penalty are those of `PSpline`. The derivative of Σ β_j B_j is a sum of
    quadratic B-splines, which are >= 0, times β_{j+1} - β_j, so that coefficients in
    order are enough for it to be >= 0, beyond the range too (de Boor 2001, A Practical
    Guide to Splines; Pya & Wood 2015, doi:10.1007/s11222-013-9448-7). It is the
    solver that keeps the constraint.

    Parameters
    ----------
    spline : PSpline
        The splines.

    Examples
    --------
    >>> import numpy as np
    >>> from semistruct.design import MonotoneIncreasing
    >>> basis = MonotoneIncreasing.fit(np.linspace(0.0, 1.0, 50), k=6)
    >>> basis.inequality.shape
    (5, 6)
    """

    name = "mpi"
    sign = 1.0


class MonotoneDecreasing(_Monotone):
    """P-splines that never rise: β_1 >= β_2 >= … >= β_k; see `MonotoneIncreasing`.

    Parameters
    ----------
    spline : PSpline
        The splines.
    """

    name = "mpd"
    sign = -1.0
