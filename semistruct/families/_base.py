"""The contract of a response distribution.

Letters: n rows, K linear predictors (one for each parameter with a formula), S shapes
(parameters that are one constant each).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from semistruct.families._autograd import row_derivatives, row_third
from semistruct.families._distribution import Distribution
from semistruct.families._options import Options
from semistruct.families._parameters import (
    DOMAINS,
    Theta,
    is_inside,
    may_leave,
    theta_at,
    theta_of,
)
from semistruct.families._targets import legal_target

FloatArray = NDArray[np.float64]


class Family(Options, Distribution, ABC):
    """A response distribution whose parameters have formulas or are constants.

    A family states its log-density once, in torch, as a function of its parameters;
    gradient, Hessian and third derivatives come from autograd unless a family writes
    them in closed form. Objects do not change; ``with_formulas`` and ``with_shapes``
    return copies.

    Parameters
    ----------
    link : str or Link, optional
        Link of the first parameter.
    links : dict of str to str or Link, optional
        Links by parameter; the defaults stand in the table of docs/families.md.
    fixed : dict of str to float, optional
        Parameters that are known, on their natural scale; they are not estimated.
    formulas : sequence of str, optional
        Parameters that have a linear predictor; only the first one by default.
    shapes : dict of str to float, optional
        Values of the constant parameters on their link scale.

    Attributes
    ----------
    name : str
        The name under which :func:`semistruct.families.get_family` knows it.
    discrete : bool
        Whether the response has probability masses instead of a density.
    needs_intercept : bool
        Whether the first linear predictor carries an intercept.
    twice_differentiable : bool
        Whether the log-density has a second derivative in its linear predictors that
        is not zero almost everywhere.
    """

    support: ClassVar[str] = "real"
    needs_intercept: ClassVar[bool] = True
    twice_differentiable: ClassVar[bool] = True
    mean_variance: ClassVar[bool] = False

    # what a family states

    @abstractmethod
    def _log_prob(self, y: Tensor, *theta: Theta) -> Tensor:
        """Normalised log-density of each row, given all parameters."""

    @abstractmethod
    def _mean(self, *theta: Tensor) -> Tensor:
        """Return the expected response."""

    @abstractmethod
    def _variance(self, *theta: Tensor) -> Tensor:
        """Return the variance of the response."""

    @abstractmethod
    def _start(self, y: FloatArray, weight: FloatArray) -> Sequence[float]:
        """Return rough estimates of all parameters, on their natural scale."""

    def check_target(self, y: ArrayLike, owner: str) -> FloatArray:
        """Return ``y`` as float64 (n,), or raise ``TargetError`` naming the row."""
        return legal_target(y, owner, self.name, self.support)

    # densities

    def log_prob(self, y: Tensor, *theta: Tensor | float) -> Tensor:
        """Log-density given all distribution parameters on their natural scale.

        Parameters
        ----------
        y : Tensor of shape (n,)
        *theta : Tensor of shape (n,) or (), or float
            One for each of ``all_parameters``, inside its domain.

        Returns
        -------
        Tensor of shape (n,)
            Normalised log-density (or log-mass).
        """
        values = (torch.as_tensor(t, dtype=y.dtype, device=y.device) for t in theta)
        pairs = zip(self.declared, values, strict=True)
        return self._log_prob(y, *(theta_at(p, value) for p, value in pairs))

    def log_density(
        self, y: Tensor, eta: Tensor, dispersion: float | Tensor = 1.0
    ) -> Tensor:
        """Log-density of each row, at the stored shapes.

        Parameters
        ----------
        y : Tensor of shape (n,)
            Legal targets of the family.
        eta : Tensor of shape (n, K)
            Linear predictors, any finite values.
        dispersion : float or Tensor, default 1.0
            φ > 0; ignored by families without a dispersion.

        Returns
        -------
        Tensor of shape (n,)
            Normalised log-density (or log-mass), differentiable in ``eta``; −∞ where a
            link leads outside of a parameter's domain.
        """
        return self.log_density_shapes(y, eta, self._shapes_like(eta), dispersion)

    def log_density_shapes(
        self,
        y: Tensor,
        eta: Tensor,
        shapes: Tensor,
        dispersion: float | Tensor = 1.0,
    ) -> Tensor:
        """Log-density of each row, at given shapes on their link scale (S,).

        Differentiable in ``eta``, ``shapes`` and ``dispersion``; otherwise like
        :meth:`log_density`.
        """
        theta = self._theta(eta, shapes, dispersion)
        legal = None
        for k, (parameter, link) in enumerate(
            zip(self.declared, self._links, strict=True)
        ):
            if self._roles[k][0] == "given" or not may_leave(parameter, link):
                continue
            inside = is_inside(parameter, theta[k].value)
            legal = inside if legal is None else legal & inside
            safe = torch.where(inside, theta[k].value, parameter.default)
            theta[k] = theta_at(parameter, safe)
        value = self._log_prob(y, *theta)
        return value if legal is None else torch.where(legal, value, -torch.inf)

    def derivatives(
        self, y: Tensor, eta: Tensor, dispersion: float | Tensor = 1.0
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Log-density with its first two derivatives in ``eta``, row by row.

        Returns
        -------
        value : Tensor of shape (n,)
        gradient : Tensor of shape (n, K)
        hessian : Tensor of shape (n, K, K)
        """
        return row_derivatives(lambda e: self.log_density(y, e, dispersion), eta)

    def third(
        self,
        y: Tensor,
        eta: Tensor,
        direction: Tensor,
        dispersion: float | Tensor = 1.0,
    ) -> Tensor:
        """Third derivatives of the log-density, contracted with a matrix per row.

        Parameters
        ----------
        direction : Tensor of shape (n, K, K)
            Symmetric matrices H_i.

        Returns
        -------
        Tensor of shape (n, K)
            Σ_ab H_i,ab ∂³ℓ_i / ∂η_a ∂η_b ∂η_k.
        """
        return row_third(lambda e: self.log_density(y, e, dispersion), eta, direction)

    def recession(self, y: Tensor, direction: Tensor) -> Tensor | None:
        """Return the slope of each row's log-density far out along a direction.

        Parameters
        ----------
        y : Tensor of shape (n,)
        direction : Tensor of shape (n, K)
            A change of the linear predictors.

        Returns
        -------
        Tensor of shape (n,) or None
            Negative where the log-density falls without bound along the direction, 0
            or more where it approaches a finite limit or does not change. When no
            row is negative the maximum lies at infinity (separation). None when no
            direction leads there.
        """
        return None

    def fisher_weight(self, eta: Tensor) -> Tensor | None:
        """Return the expected −φ ∂²ℓ/∂η_k², free of φ.

        Returns
        -------
        Tensor of shape (n, K) or None
            (dμ/dη)² / V(μ), for a model of the mean alone; None for families and
            models that state none.
        """
        if not self.mean_variance or self.parameters != self.all_parameters[:1]:
            return None
        slope = self._links[0].derivative(eta[:, 0])
        variance = self._variance(*self._natural(eta, 1.0))
        return (slope * slope / variance)[:, None]

    # deviance and starts

    def saturated(self, y: Tensor) -> Tensor:
        """Largest attainable log-density (n,) at φ = 1.

        0 when other parameters than the first have a formula: the deviance is then
        −2 Σ w ℓ (the global deviance).
        """
        zeros = torch.zeros(y.shape[0], dtype=y.dtype, device=y.device)
        if self.parameters != self.all_parameters[:1]:
            return zeros
        rest = self._theta(zeros[:, None], self._shapes_like(zeros), 1.0)[1:]
        return self._saturated(y, *rest) + zeros

    def _saturated(self, y: Tensor, *rest: Theta) -> Tensor:
        """Log-density at the best first parameter: y itself unless overridden."""
        best = theta_at(self.declared[0], self._reachable(y))
        return self._log_prob(y, best, *rest)

    def _reachable(self, y: Tensor) -> Tensor:
        """Nearest value of the first parameter that domain and link allow."""
        low = max(DOMAINS[self.declared[0].domain][0], self._links[0].image[0])
        return y.clamp(min=1e-30) if low == 0.0 else y

    def deviance(
        self, y: FloatArray, eta: FloatArray, weight: FloatArray | None = None
    ) -> float:
        """Deviance 2 Σ w (saturated − log-density), at φ = 1.

        Parameters
        ----------
        y : ndarray of shape (n,)
        eta : ndarray of shape (n, K)
        weight : ndarray of shape (n,), optional
            Frequency weights, 1 when not given.
        """
        target = torch.as_tensor(y, dtype=torch.float64)
        predictor = torch.as_tensor(eta, dtype=torch.float64)
        rows = 2.0 * (self.saturated(target) - self.log_density(target, predictor))
        if weight is not None:
            rows = rows * torch.as_tensor(weight, dtype=torch.float64)
        return float(rows.sum())

    def initial(self, y: FloatArray, weight: FloatArray) -> FloatArray:
        """Return finite intercepts (K,) of the model without covariates."""
        return self._linked(self._start(y, weight), "formula")

    def initial_shapes(self, y: FloatArray, weight: FloatArray) -> FloatArray:
        """Return rough estimates (S,) of the shapes, on their link scale."""
        return self._linked(self._start(y, weight), "shape")

    def initial_dispersion(self, y: FloatArray, weight: FloatArray) -> float:
        """Return a rough estimate of φ; 1 for families without a dispersion."""
        if not self.has_dispersion:
            return 1.0
        start = self._start(y, weight)
        index = self.all_parameters.index(str(self.dispersion_parameter))
        return float(start[index]) ** 2

    def _linked(self, start: Sequence[float], role: str) -> FloatArray:
        """Link-scale values of the parameters of one role, inside their links."""
        values = [0.0] * sum(kind == role for kind, _ in self._roles)
        for k, (kind, place) in enumerate(self._roles):
            if kind != role:
                continue
            low, high = self._links[k].domain
            tiny = 1e-100 if self.declared[k].domain == "positive" else 1e-6
            floor, ceiling = low + tiny, high - 1e-6
            inside = torch.tensor(start[k], dtype=torch.float64).clamp(floor, ceiling)
            values[int(place)] = float(self._links[k].link(inside))
        return np.array(values)

    # parameters

    def mean(self, eta: Tensor, dispersion: float | Tensor = 1.0) -> Tensor:
        """Return the expected response (n,), or class probabilities (n, C)."""
        return self._mean(*self._natural(eta, dispersion))

    def variance(self, eta: Tensor, dispersion: float | Tensor = 1.0) -> Tensor:
        """Return the variance of the response (n,), or of class indicators (n, C)."""
        return self._variance(*self._natural(eta, dispersion))

    def theta(self, eta: Tensor, dispersion: float | Tensor = 1.0) -> dict[str, Tensor]:
        """Return all distribution parameters on their natural scale, each (n,)."""
        values = self._natural(eta, dispersion)
        return dict(zip(self.all_parameters, values, strict=True))

    def _natural(self, eta: Tensor, dispersion: float | Tensor) -> list[Tensor]:
        """All parameters on their natural scale, each (n,)."""
        theta = self._theta(eta, self._shapes_like(eta), dispersion)
        return [t.value.expand(eta.shape[0]) for t in theta]

    def _theta(
        self, eta: Tensor, shapes: Tensor, dispersion: float | Tensor
    ) -> list[Theta]:
        """All parameters: (n,) with a formula, () as a constant."""
        found = []
        for parameter, link, (kind, place) in zip(
            self.declared, self._links, self._roles, strict=True
        ):
            if kind == "formula":
                found.append(theta_of(parameter, link, eta[:, int(place)]))
            elif kind == "shape":
                found.append(theta_of(parameter, link, shapes[int(place)]))
            else:
                given = dispersion if kind == "dispersion" else place
                value = torch.as_tensor(given, dtype=eta.dtype, device=eta.device)
                root = torch.sqrt(value) if kind == "dispersion" else value
                found.append(theta_at(parameter, root))
        return found

    def _shapes_like(self, like: Tensor) -> Tensor:
        return torch.tensor(self.shapes, dtype=like.dtype, device=like.device)

    def __repr__(self) -> str:
        options: dict[str, Any] = {**self.to_state()}
        options.pop("name")
        inner = ", ".join(f"{key}={value!r}" for key, value in options.items())
        return f"{type(self).__name__}({inner})"
