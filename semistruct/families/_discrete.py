"""Families of discrete responses: Bernoulli, categorical, Poisson."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import ArrayLike
from torch import Tensor

from semistruct.exceptions import ParameterError
from semistruct.families._base import (
    Family,
    FloatArray,
    numeric_target,
    refuse_rows,
)


class Bernoulli(Family):
    """Two classes coded 0 and 1, logit link.

    ℓ = yη − log(1 + e^η).

    Examples
    --------
    >>> import torch
    >>> from semistruct.families import Bernoulli
    >>> Bernoulli().mean(torch.tensor([[0.0]]))
    tensor([0.5000])
    """

    name = "bernoulli"

    @property
    def parameters(self) -> tuple[str, ...]:
        """One parameter: the log-odds of class 1."""
        return ("logit",)

    def log_density(self, y: Tensor, eta: Tensor, dispersion: float = 1.0) -> Tensor:
        """Bernoulli log-mass; see :meth:`Family.log_density`."""
        return y * eta[:, 0] - F.softplus(eta[:, 0])

    def derivatives(
        self, y: Tensor, eta: Tensor, dispersion: float = 1.0
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Return the closed form; see :meth:`Family.derivatives`."""
        p = torch.sigmoid(eta)
        variance = p * torch.sigmoid(-eta)
        return self.log_density(y, eta), y[:, None] - p, -variance[:, :, None]

    def third(
        self, y: Tensor, eta: Tensor, direction: Tensor, dispersion: float = 1.0
    ) -> Tensor:
        """Return the closed form; see :meth:`Family.third`."""
        p, q = torch.sigmoid(eta), torch.sigmoid(-eta)
        return -p * q * (q - p) * direction[:, 0]

    def mean(self, eta: Tensor) -> Tensor:
        """Probability of class 1, (n,)."""
        return torch.sigmoid(eta[:, 0])

    def check_target(self, y: ArrayLike, owner: str) -> FloatArray:
        """Zeros and ones (or booleans)."""
        target = numeric_target(y, owner, self.name)
        refuse_rows((target != 0) & (target != 1), target, owner, "0 or 1")
        return target

    def initial(self, y: FloatArray, weight: FloatArray) -> FloatArray:
        """Log-odds of the weighted mean, with half an observation in each class."""
        ones, total = float(weight @ y), float(weight.sum())
        return np.array([np.log((ones + 0.5) / (total - ones + 0.5))])

    def saturated(self, y: Tensor) -> Tensor:
        """Zero in each row."""
        return torch.zeros_like(y)


class Categorical(Family):
    """C classes coded 0 … C−1; K = C−1 log-odds against class 0.

    ℓ = η_y − log(1 + Σ_k e^{η_k}), with η = 0 for class 0.

    Parameters
    ----------
    n_classes : int
        C ≥ 2.

    Examples
    --------
    >>> import torch
    >>> from semistruct.families import Categorical
    >>> Categorical(3).mean(torch.zeros(1, 2))
    tensor([[0.3333, 0.3333, 0.3333]])
    """

    name = "categorical"

    def __init__(self, n_classes: int) -> None:
        if isinstance(n_classes, bool) or not isinstance(n_classes, int | np.integer):
            raise self._refusal(n_classes)
        if n_classes < 2:
            raise self._refusal(n_classes)
        self.n_classes = int(n_classes)

    @staticmethod
    def _refusal(given: object) -> ParameterError:
        return ParameterError(
            parameter="n_classes",
            owner="Categorical",
            allowed="an integer of at least 2",
            given=given,
        )

    @property
    def parameters(self) -> tuple[str, ...]:
        """Log-odds of each class but the first."""
        return tuple(f"logit_{k}" for k in range(1, self.n_classes))

    @staticmethod
    def _logits(eta: Tensor) -> Tensor:
        """Log-odds with the reference class in front, (n, C)."""
        return F.pad(eta, (1, 0))

    def log_density(self, y: Tensor, eta: Tensor, dispersion: float = 1.0) -> Tensor:
        """Categorical log-mass; see :meth:`Family.log_density`."""
        logits = self._logits(eta)
        chosen = logits.gather(1, y.long()[:, None])[:, 0]
        return chosen - torch.logsumexp(logits, dim=1)

    def derivatives(
        self, y: Tensor, eta: Tensor, dispersion: float = 1.0
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Return the closed form; see :meth:`Family.derivatives`."""
        p = torch.softmax(self._logits(eta), dim=1)[:, 1:]  # (n, K)
        hit = F.one_hot(y.long(), self.n_classes)[:, 1:].to(eta.dtype)
        hessian = p[:, :, None] * p[:, None, :] - torch.diag_embed(p)
        return self.log_density(y, eta), hit - p, hessian

    def third(
        self, y: Tensor, eta: Tensor, direction: Tensor, dispersion: float = 1.0
    ) -> Tensor:
        """Return the closed form; see :meth:`Family.third`."""
        p = torch.softmax(self._logits(eta), dim=1)[:, 1:]
        # tr(H ∇²ℓ) = p'Hp − Σ_a H_aa p_a and ∂p_a/∂η_k = p_a (δ_ak − p_k)
        slope = 2.0 * (direction @ p[:, :, None])[:, :, 0]
        slope = slope - torch.diagonal(direction, dim1=1, dim2=2)  # (n, K)
        return p * (slope - (p * slope).sum(dim=1, keepdim=True))

    def mean(self, eta: Tensor) -> Tensor:
        """Probabilities of all classes, (n, C)."""
        return torch.softmax(self._logits(eta), dim=1)

    def check_target(self, y: ArrayLike, owner: str) -> FloatArray:
        """Class codes 0 … C−1."""
        target = numeric_target(y, owner, self.name)
        bad = (target != np.round(target)) | (target < 0)
        bad |= target >= self.n_classes
        refuse_rows(bad, target, owner, f"a class code 0 to {self.n_classes - 1}")
        return target

    def initial(self, y: FloatArray, weight: FloatArray) -> FloatArray:
        """Log-odds of the class shares, with half an observation in each class."""
        counts = np.bincount(y.astype(int), weights=weight, minlength=self.n_classes)
        log_counts = np.log(counts + 0.5)
        odds: FloatArray = log_counts[1:] - log_counts[0]
        return odds

    def saturated(self, y: Tensor) -> Tensor:
        """Zero in each row."""
        return torch.zeros_like(y)

    def to_state(self) -> dict[str, Any]:
        """Name and number of classes."""
        return {"name": self.name, "n_classes": self.n_classes}


class Poisson(Family):
    """Counts with log link.

    ℓ = yη − e^η − log y!.

    Examples
    --------
    >>> import torch
    >>> from semistruct.families import Poisson
    >>> Poisson().log_density(torch.tensor([0.0]), torch.tensor([[0.0]]))
    tensor([-1.])
    """

    name = "poisson"

    @property
    def parameters(self) -> tuple[str, ...]:
        """One parameter: the log of the expected count."""
        return ("log_mean",)

    def log_density(self, y: Tensor, eta: Tensor, dispersion: float = 1.0) -> Tensor:
        """Poisson log-mass; see :meth:`Family.log_density`."""
        return y * eta[:, 0] - torch.exp(eta[:, 0]) - torch.lgamma(y + 1.0)

    def derivatives(
        self, y: Tensor, eta: Tensor, dispersion: float = 1.0
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Return the closed form; see :meth:`Family.derivatives`."""
        mean = torch.exp(eta)
        return self.log_density(y, eta), y[:, None] - mean, -mean[:, :, None]

    def third(
        self, y: Tensor, eta: Tensor, direction: Tensor, dispersion: float = 1.0
    ) -> Tensor:
        """Return the closed form; see :meth:`Family.third`."""
        return -torch.exp(eta) * direction[:, 0]

    def mean(self, eta: Tensor) -> Tensor:
        """Return the expected count, (n,)."""
        return torch.exp(eta[:, 0])

    def check_target(self, y: ArrayLike, owner: str) -> FloatArray:
        """Whole numbers of at least 0."""
        target = numeric_target(y, owner, self.name)
        bad = (target < 0) | (target != np.round(target))
        refuse_rows(bad, target, owner, "a count (0, 1, 2, …)")
        return target

    def initial(self, y: FloatArray, weight: FloatArray) -> FloatArray:
        """Log of the weighted mean, with half an event added."""
        return np.array([np.log((weight @ y + 0.5) / weight.sum())])

    def saturated(self, y: Tensor) -> Tensor:
        """Log-mass at a mean equal to y."""
        return torch.xlogy(y, y) - y - torch.lgamma(y + 1.0)
