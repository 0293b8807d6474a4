"""Firth's penalised likelihood: finite estimates under separation."""

from __future__ import annotations

import copy
from typing import Self

import numpy as np
from numpy.typing import NDArray

from semistruct.solvers._linalg import Factor
from semistruct.solvers._rows import RowLikelihood

FloatArray = NDArray[np.float64]


class FirthLikelihood(RowLikelihood):
    """ℓ(β) + ½ log|I(β)|, I = X'WX: Jeffreys' prior on the coefficients.

    Its mode takes the first-order bias out of maximum likelihood, for models whose
    observed and expected information agree (logit, log). Firth (1993),
    doi:10.1093/biomet/80.1.27; Heinze and Schemper (2002), doi:10.1002/sim.1047.
    """

    @classmethod
    def around(cls, rows: RowLikelihood) -> Self:
        """Return the penalised likelihood of the same rows."""
        other = cls.__new__(cls)
        other.__dict__.update(copy.copy(rows).__dict__)
        return other

    def value(self, beta: FloatArray) -> float:
        """ℓ + ½ log|I|; −∞ where the information is singular."""
        plain = super().value(beta)
        if not np.isfinite(plain):
            return plain
        factor = Factor(super().derivatives(beta)[1])
        return -np.inf if factor.repaired else plain + 0.5 * factor.log_det

    def derivatives(self, beta: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Exact gradient, with ½ ∂ log|I|; I for the negative Hessian."""
        gradient, information = super().derivatives(beta)
        inverse = Factor(information).inverse()
        return gradient + 0.5 * self.trace_gradient(beta, inverse), information

    def best_log_likelihood(self, beta: FloatArray) -> float:
        """ℓ without the prior."""
        return super().value(beta)

    def recedes(self, beta: FloatArray, direction: FloatArray) -> bool:
        """Never: the prior falls towards infinity."""
        return False
