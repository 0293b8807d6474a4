"""The gaussian family."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from semistruct.families._base import Family, FloatArray
from semistruct.families._parameters import Parameter, Theta
from semistruct.families._special import HALF_LOG_2PI


def mean_and_spread(y: FloatArray, weight: FloatArray) -> tuple[float, float]:
    """Weighted mean and standard deviation, the latter above 0."""
    centre = float(np.average(y, weights=weight))
    spread = float(np.sqrt(np.average((y - centre) ** 2, weights=weight)))
    return centre, spread or max(1e-3 * abs(centre), 1e-3)


class Gaussian(Family):
    """Normal response: mean ``loc`` and standard deviation ``scale``.

    ℓ = −½ log 2π − log σ − (y − μ)² / 2σ². A constant scale is the dispersion φ = σ²,
    and with the identity link the model is least squares.

    Examples
    --------
    >>> import torch
    >>> from semistruct.families import Gaussian
    >>> Gaussian().log_density(torch.tensor([1.0]), torch.tensor([[1.0]]))
    tensor([-0.9189])
    >>> Gaussian().with_formulas(("loc", "scale")).n_predictors
    2
    """

    name = "gaussian"
    declared = (
        Parameter("loc", "real", "identity", 0.0),
        Parameter("scale", "positive", "log", 1.0),
    )
    dispersion_parameter = "scale"
    mean_variance = True

    @property
    def is_least_squares(self) -> bool:
        """Whether the only linear predictor is the mean itself and φ is profiled."""
        return (
            self.parameters == ("loc",)
            and self._links[0].name == "identity"
            and self.has_dispersion
        )

    def _log_prob(self, y: Tensor, *theta: Theta) -> Tensor:
        loc, scale = theta
        z = (y - loc.value) / scale.value
        return -HALF_LOG_2PI - scale.log - 0.5 * z * z

    def derivatives(
        self, y: Tensor, eta: Tensor, dispersion: float | Tensor = 1.0
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Return the closed form; see :meth:`Family.derivatives`."""
        if not self._has_closed_form():
            return super().derivatives(y, eta, dispersion)
        value = self.log_density(y, eta, dispersion).detach()
        z, precision = self._standardised(y, eta, dispersion)
        slope = z * precision
        curvature = -precision * precision
        if self.n_predictors == 1:
            return value, slope[:, None], curvature.expand_as(z)[:, None, None]
        cross = -2.0 * slope
        gradient = torch.stack([slope, z * z - 1.0], dim=1)
        rows = [curvature, cross, cross, -2.0 * z * z]
        return value, gradient, torch.stack(rows, dim=1).view(-1, 2, 2)

    def third(
        self,
        y: Tensor,
        eta: Tensor,
        direction: Tensor,
        dispersion: float | Tensor = 1.0,
    ) -> Tensor:
        """Return the closed form; see :meth:`Family.third`."""
        if not self._has_closed_form():
            return super().third(y, eta, direction, dispersion)
        if self.n_predictors == 1:
            return torch.zeros_like(eta)
        z, precision = self._standardised(y, eta, dispersion)
        square, mixed = 2.0 * precision * precision, 4.0 * z * precision
        loc, cross, scale = direction[:, 0, 0], direction[:, 0, 1], direction[:, 1, 1]
        first = 2.0 * cross * square + scale * mixed
        second = loc * square + 2.0 * cross * mixed + scale * 4.0 * z * z
        return torch.stack([first, second], dim=1)

    def fisher_weight(self, eta: Tensor) -> Tensor | None:
        """(dμ/dη)² / σ², and 2 (d log σ/dη)² where the scale has a formula."""
        if self.parameters != self.all_parameters:
            return super().fisher_weight(eta)
        _, scale = self._natural(eta, 1.0)
        pairs = zip(self._links, eta.unbind(dim=1), (1.0, 2.0), strict=True)
        columns = [k * (link.derivative(e) / scale) ** 2 for link, e, k in pairs]
        return torch.stack(columns, dim=1)

    def _has_closed_form(self) -> bool:
        names = tuple(link.name for link in self._links)
        if self.parameters == ("loc",):
            return names[0] == "identity"
        return self.n_predictors == 2 and names == ("identity", "log")

    def _standardised(
        self, y: Tensor, eta: Tensor, dispersion: float | Tensor
    ) -> tuple[Tensor, Tensor]:
        """Z-scores (n,) and 1/σ."""
        loc, scale = self._theta(eta, self._shapes_like(eta), dispersion)
        precision = torch.exp(-scale.log).detach()
        return (y - loc.value.detach()) * precision, precision

    def _mean(self, *theta: Tensor) -> Tensor:
        return theta[0]

    def _variance(self, *theta: Tensor) -> Tensor:
        return theta[1] * theta[1]

    def _start(self, y: FloatArray, weight: FloatArray) -> tuple[float, float]:
        return mean_and_spread(y, weight)

    def _frozen(self, *theta: FloatArray) -> Any:
        from scipy import stats

        return stats.norm(*theta)
