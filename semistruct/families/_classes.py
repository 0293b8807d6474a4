"""Families of more than two classes: unordered and ordered.

Letters: n rows, C classes coded 0 … C−1.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import ArrayLike
from torch import Tensor

from semistruct.exceptions import ParameterError
from semistruct.families._base import Family, FloatArray
from semistruct.families._parameters import Parameter, Theta
from semistruct.families._special import log1mexp, softplus
from semistruct.families._targets import legal_codes


class _Classes(Family, ABC):
    """Class codes: ``mean`` gives the probabilities of all classes (n, C)."""

    discrete: ClassVar[bool] = True

    def __init__(self, n_classes: int, *args: Any, **options: Any) -> None:
        whole = isinstance(n_classes, int | np.integer)
        if not whole or isinstance(n_classes, bool) or n_classes < 2:
            raise ParameterError(
                parameter="n_classes",
                owner=type(self).__name__,
                allowed="an integer of at least 2",
                given=n_classes,
            )
        self.n_classes = int(n_classes)
        self.declared = self._declare()
        super().__init__(*args, **options)

    @abstractmethod
    def _declare(self) -> tuple[Parameter, ...]:
        """Return the parameters of C classes."""

    def _constructor_state(self) -> dict[str, Any]:
        return {"n_classes": self.n_classes}

    def check_target(self, y: ArrayLike, owner: str) -> FloatArray:
        """Class codes 0 … C−1."""
        return legal_codes(y, owner, self.name, self.n_classes)

    def _variance(self, *theta: Tensor) -> Tensor:
        p = self._mean(*theta)
        return p * (1.0 - p)

    def _shares(self, y: FloatArray, weight: FloatArray) -> FloatArray:
        """Shares of the classes, with half an observation added to each."""
        counts = np.bincount(y.astype(int), weights=weight, minlength=self.n_classes)
        shares: FloatArray = (counts + 0.5) / (counts + 0.5).sum()
        return shares

    def _cumulative(self, *theta: FloatArray) -> FloatArray:
        """P(Y ≤ k), (n, C)."""
        p = self._mean(*(torch.as_tensor(t) for t in theta)).numpy()
        total: FloatArray = np.cumsum(p, axis=1)
        total[:, -1] = 1.0
        return total

    def _cdf(self, y: FloatArray, *theta: FloatArray) -> FloatArray:
        total = np.pad(self._cumulative(*theta), ((0, 0), (1, 0)))
        codes = np.clip(np.floor(y).astype(int) + 1, 0, self.n_classes)
        return total[np.arange(len(total)), codes]

    def _quantile(self, p: FloatArray, *theta: FloatArray) -> FloatArray:
        below = self._cumulative(*theta) < p[..., None]
        return np.minimum(below.sum(axis=-1), self.n_classes - 1).astype(float)

    def _draw(self, generator: np.random.Generator, *theta: FloatArray) -> FloatArray:
        return self._quantile(generator.uniform(size=len(theta[0])), *theta)


class Categorical(_Classes):
    """C classes coded 0 … C−1; C−1 log-odds ``logit_k`` against class 0.

    ℓ = η_y − log(1 + Σ_k e^{η_k}), with η = 0 for class 0. All log-odds have a formula
    by default. ``cdf`` and ``quantile`` follow the order of the codes.

    Parameters
    ----------
    n_classes : int
        C ≥ 2.
    link, links, fixed, formulas, shapes
        See :class:`Family`.

    References
    ----------
    Agresti (2013), Categorical Data Analysis, chapter 8; ISBN 978-0-470-46363-5.

    Examples
    --------
    >>> import torch
    >>> from semistruct.families import Categorical
    >>> Categorical(3).mean(torch.zeros(1, 2))
    tensor([[0.3333, 0.3333, 0.3333]])
    """

    name = "categorical"

    def _declare(self) -> tuple[Parameter, ...]:
        codes = range(1, self.n_classes)
        return tuple(Parameter(f"logit_{k}", "real", "identity", 0.0) for k in codes)

    def _default_formulas(self) -> tuple[str, ...]:
        return self.all_parameters

    @staticmethod
    def _logits(eta: Tensor) -> Tensor:
        """Log-odds with the reference class in front, (n, C)."""
        return F.pad(eta, (1, 0))

    def _log_prob(self, y: Tensor, *theta: Theta) -> Tensor:
        odds = torch.broadcast_tensors(y, *(t.value for t in theta))[1:]
        logits = self._logits(torch.stack(odds, dim=-1))
        chosen = logits.gather(-1, y.long()[..., None])[..., 0]
        return chosen - torch.logsumexp(logits, dim=-1)

    def derivatives(
        self, y: Tensor, eta: Tensor, dispersion: float | Tensor = 1.0
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Return the closed form; see :meth:`Family.derivatives`."""
        if not self._has_closed_form():
            return super().derivatives(y, eta, dispersion)
        p = torch.softmax(self._logits(eta), dim=1)[:, 1:]  # (n, K)
        hit = F.one_hot(y.long(), self.n_classes)[:, 1:].to(eta.dtype)
        hessian = p[:, :, None] * p[:, None, :] - torch.diag_embed(p)
        return self.log_density(y, eta), hit - p, hessian

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
        p = torch.softmax(self._logits(eta), dim=1)[:, 1:]
        # tr(H ∇²ℓ) = p'Hp − Σ_a H_aa p_a and ∂p_a/∂η_k = p_a (δ_ak − p_k)
        slope = 2.0 * (direction @ p[:, :, None])[:, :, 0]
        slope = slope - torch.diagonal(direction, dim1=1, dim2=2)  # (n, K)
        return p * (slope - (p * slope).sum(dim=1, keepdim=True))

    def recession(self, y: Tensor, direction: Tensor) -> Tensor | None:
        """Return the change of the margin; see :meth:`Family.recession`."""
        if not self._has_closed_form():
            return None
        logits = self._logits(direction)
        chosen = logits.gather(1, y.long()[:, None])[:, 0]
        return chosen - logits.amax(dim=1)

    def saturated(self, y: Tensor) -> Tensor:
        """Zero in each row."""
        return torch.zeros_like(y)

    def _has_closed_form(self) -> bool:
        return self.parameters == self.all_parameters and all(
            link.name == "identity" for link in self._links
        )

    def _mean(self, *theta: Tensor) -> Tensor:
        return torch.softmax(self._logits(torch.stack(theta, dim=-1)), dim=-1)

    def _start(self, y: FloatArray, weight: FloatArray) -> list[float]:
        log_shares = np.log(self._shares(y, weight))
        return [float(v) for v in log_shares[1:] - log_shares[0]]


class Ordinal(_Classes):
    """C ordered classes: the cumulative logit (proportional odds) model.

    P(Y ≤ k) = 1 / (1 + exp(η − θ_k)), θ_0 < … < θ_{C−2}. The linear predictor ``loc``
    has no intercept. The thresholds are constants: ``threshold`` = θ_0 and the gaps
    ``gap_k`` = θ_k − θ_{k−1}, these on the log scale.

    Parameters
    ----------
    n_classes : int
        C ≥ 2.
    link, links, fixed, formulas, shapes
        See :class:`Family`; only ``loc`` can have a formula.

    References
    ----------
    McCullagh (1980), doi:10.1111/j.2517-6161.1980.tb01109.x.

    Examples
    --------
    >>> import torch
    >>> from semistruct.families import Ordinal
    >>> Ordinal(3).shape_names
    ('threshold', 'gap_1')
    >>> Ordinal(3).thresholds
    array([-1.,  0.])
    """

    name = "ordinal"
    needs_intercept = False

    def _declare(self) -> tuple[Parameter, ...]:
        first = Parameter("threshold", "real", "identity", -0.5 * (self.n_classes - 1))
        codes = range(1, self.n_classes - 1)
        gaps = (Parameter(f"gap_{k}", "positive", "log", 1.0) for k in codes)
        return (Parameter("loc", "real", "identity", 0.0), first, *gaps)

    def _formula_choices(self) -> tuple[str, ...]:
        return ("loc",)

    @property
    def thresholds(self) -> FloatArray:
        """Current thresholds θ_0 < … < θ_{C−2}, (C−1,)."""
        known = self.shape_values | self.fixed
        return np.cumsum([known[name] for name in self.all_parameters[1:]])

    def _log_prob(self, y: Tensor, *theta: Theta) -> Tensor:
        """Return log-masses of codes (n,); the constants are scalars, loc is (n,)."""
        loc, *rest = theta
        steps = torch.stack([t.value for t in rest])  # (C−1,)
        edges = torch.cumsum(steps, dim=0)
        code, last = y.long(), self.n_classes - 1
        upper = -softplus(loc.value - edges[code.clamp(max=last - 1)])  # log P(Y ≤ k)
        lower = -softplus(edges[(code - 1).clamp(min=0)] - loc.value)  # log P(Y ≥ k)
        # σ(a) − σ(b) = σ(a) σ(−b) (1 − e^{b−a})
        inner = (code > 0) & (code < last)
        gap = torch.where(inner, steps[code.clamp(max=last - 1)], 1.0)
        middle = upper + lower + log1mexp(gap)
        return torch.where(code == 0, upper, torch.where(code == last, lower, middle))

    def _saturated(self, y: Tensor, *rest: Theta) -> Tensor:
        """Log tanh(gap/4) between two thresholds, 0 at the ends."""
        steps = torch.stack([t.value for t in rest])
        inner = (y > 0) & (y < self.n_classes - 1)
        gap = steps[torch.where(inner, y, 0).long()]
        best = torch.log(torch.tanh(0.25 * torch.where(inner, gap, 1.0)))
        return torch.where(inner, best, torch.zeros_like(best))

    def recession(self, y: Tensor, direction: Tensor) -> Tensor:
        """Return the change towards y; see :meth:`Family.recession`."""
        change = direction[:, 0]
        ends = torch.where(y > 0, change, -change)
        return torch.where((y > 0) & (y < self.n_classes - 1), -change.abs(), ends)

    def _mean(self, *theta: Tensor) -> Tensor:
        loc = theta[0]
        rest = [Theta(t[..., 0] if t.dim() else t) for t in theta[1:]]
        codes = (torch.full_like(loc, float(k)) for k in range(self.n_classes))
        log_p = [self._log_prob(code, Theta(loc), *rest) for code in codes]
        return torch.stack([v.exp() for v in log_p], dim=-1)

    def _start(self, y: FloatArray, weight: FloatArray) -> list[float]:
        below = np.cumsum(self._shares(y, weight))[:-1]
        edges = np.log(below) - np.log1p(-below)
        return [0.0, float(edges[0]), *(float(v) for v in np.diff(edges))]
