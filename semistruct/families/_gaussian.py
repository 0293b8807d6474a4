"""The gaussian family."""

from __future__ import annotations

import math

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor

from semistruct.families._base import Family, FloatArray, numeric_target


class Gaussian(Family):
    """Normal response with identity link and constant dispersion φ = σ².

    ℓ = −½ log(2πφ) − (y − η)² / 2φ.

    Examples
    --------
    >>> import torch
    >>> from semistruct.families import Gaussian
    >>> Gaussian().log_density(torch.tensor([1.0]), torch.tensor([[1.0]]))
    tensor([-0.9189])
    """

    name = "gaussian"
    has_dispersion = True

    @property
    def parameters(self) -> tuple[str, ...]:
        """One parameter: the mean."""
        return ("mean",)

    def log_density(self, y: Tensor, eta: Tensor, dispersion: float = 1.0) -> Tensor:
        """Return the normal log-density; see :meth:`Family.log_density`."""
        residual = y - eta[:, 0]
        constant = -0.5 * math.log(2.0 * math.pi * dispersion)
        return constant - residual * residual / (2.0 * dispersion)

    def derivatives(
        self, y: Tensor, eta: Tensor, dispersion: float = 1.0
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Return the closed form; see :meth:`Family.derivatives`."""
        residual = (y - eta[:, 0]) / dispersion
        hessian = torch.full_like(eta, -1.0 / dispersion)[:, :, None]  # (n, 1, 1)
        return self.log_density(y, eta, dispersion), residual[:, None], hessian

    def third(
        self, y: Tensor, eta: Tensor, direction: Tensor, dispersion: float = 1.0
    ) -> Tensor:
        """Zero: the log-density is quadratic."""
        return torch.zeros_like(eta)

    def mean(self, eta: Tensor) -> Tensor:
        """Mean η, (n,)."""
        return eta[:, 0]

    def check_target(self, y: ArrayLike, owner: str) -> FloatArray:
        """Any finite numbers."""
        return numeric_target(y, owner, self.name)

    def initial(self, y: FloatArray, weight: FloatArray) -> FloatArray:
        """Weighted mean."""
        return np.array([np.average(y, weights=weight)])

    def saturated(self, y: Tensor) -> Tensor:
        """−½ log 2π in each row."""
        return torch.full_like(y, -0.5 * math.log(2.0 * math.pi))
