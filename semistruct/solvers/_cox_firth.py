"""Firth's penalised partial likelihood: finite estimates where it is monotone."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from semistruct.solvers._cox_likelihood import CoxLikelihood
from semistruct.solvers._linalg import Factor
from semistruct.solvers._risk_sets import RiskSets

FloatArray = NDArray[np.float64]


class FirthCoxLikelihood(CoxLikelihood):
    """ℓ(β) + ½ log|I(β)|, I the information of the partial likelihood.

    Heinze and Schemper (2001), doi:10.1111/j.0006-341X.2001.00114.x. The gradient is
    exact, ∂ log|I| = tr(I⁻¹ ∂I), in O((n + m) p²).

    Parameters
    ----------
    design, sets, offset
        As for ``CoxLikelihood``.
    """

    def __init__(self, design: FloatArray, sets: RiskSets, offset: FloatArray) -> None:
        super().__init__(design, sets, offset)
        self._known: tuple[FloatArray, FloatArray, FloatArray] | None = None

    def value(self, beta: FloatArray) -> float:
        """ℓ + ½ log|I|; −∞ where the information is singular."""
        plain = self.log_likelihood(beta)
        if not np.isfinite(plain):
            return plain
        factor = Factor(self._plain(beta)[1])
        return -np.inf if factor.repaired else plain + 0.5 * factor.log_det

    def derivatives(self, beta: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Exact gradient, with ½ ∂ log|I|; I for the negative Hessian."""
        gradient, information = self._plain(beta)
        inverse = Factor(information).inverse()
        return gradient + 0.5 * self.trace_gradient(beta, inverse), information

    def recedes(self, beta: FloatArray, direction: FloatArray) -> bool:
        """Never: the prior falls towards infinity."""
        return False

    def _plain(self, beta: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Give derivatives without the prior; the last ones are remembered."""
        if self._known is None or not np.array_equal(self._known[0], beta):
            self._known = (beta.copy(), *super().derivatives(beta))
        return self._known[1], self._known[2]
