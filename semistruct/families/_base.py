"""The contract of a response distribution.

Letters: n rows, K linear predictors (one for each distribution parameter).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from semistruct.exceptions import TargetError

FloatArray = NDArray[np.float64]


class Family(ABC):
    """A response distribution with K linear predictors.

    A family states its log-density once, in torch; gradient, Hessian and third
    derivatives come from autograd unless a family writes them in closed form.

    Attributes
    ----------
    name : str
        The name under which :func:`semistruct.families.get_family` knows it.
    parameters : tuple of str
        Names of the distribution parameters that have a linear predictor.
    has_dispersion : bool
        Whether a dispersion φ > 0 is estimated beside the linear predictors.
    """

    name: ClassVar[str]
    has_dispersion: ClassVar[bool] = False

    @property
    @abstractmethod
    def parameters(self) -> tuple[str, ...]:
        """Names of the distribution parameters, one linear predictor each."""

    @property
    def n_predictors(self) -> int:
        """Number K of linear predictors."""
        return len(self.parameters)

    @abstractmethod
    def log_density(self, y: Tensor, eta: Tensor, dispersion: float = 1.0) -> Tensor:
        """Log-density of each row.

        Parameters
        ----------
        y : Tensor of shape (n,)
            Legal targets of the family.
        eta : Tensor of shape (n, K)
            Linear predictors, any finite values.
        dispersion : float, default 1.0
            φ > 0; ignored by families without a dispersion.

        Returns
        -------
        Tensor of shape (n,)
            Normalised log-density (or log-mass), differentiable in ``eta``.
        """

    @abstractmethod
    def mean(self, eta: Tensor) -> Tensor:
        """Return the expected response (n,), or class probabilities (n, C)."""

    @abstractmethod
    def check_target(self, y: ArrayLike, owner: str) -> FloatArray:
        """Return ``y`` as float64 (n,), or raise ``TargetError`` naming the row."""

    @abstractmethod
    def initial(self, y: FloatArray, weight: FloatArray) -> FloatArray:
        """Return finite intercepts (K,) of the model without covariates."""

    @abstractmethod
    def saturated(self, y: Tensor) -> Tensor:
        """Largest attainable log-density (n,) at φ = 1."""

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

    def derivatives(
        self, y: Tensor, eta: Tensor, dispersion: float = 1.0
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Log-density with its first two derivatives in ``eta``, row by row.

        Returns
        -------
        value : Tensor of shape (n,)
        gradient : Tensor of shape (n, K)
        hessian : Tensor of shape (n, K, K)
        """
        point = eta.detach().requires_grad_(True)
        with torch.enable_grad():
            value = self.log_density(y, point, dispersion)
            (gradient,) = torch.autograd.grad(value.sum(), point, create_graph=True)
            hessian = self._rows_of_jacobian(gradient, point, create_graph=False)
        return value.detach(), gradient.detach(), hessian.detach()

    def third(
        self, y: Tensor, eta: Tensor, direction: Tensor, dispersion: float = 1.0
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
        point = eta.detach().requires_grad_(True)
        with torch.enable_grad():
            value = self.log_density(y, point, dispersion)
            (gradient,) = torch.autograd.grad(value.sum(), point, create_graph=True)
            hessian = self._rows_of_jacobian(gradient, point, create_graph=True)
            total = (hessian * direction).sum()
            if not total.requires_grad:
                return torch.zeros_like(eta)
            (third,) = torch.autograd.grad(total, point, allow_unused=True)
        return torch.zeros_like(eta) if third is None else third

    def to_state(self) -> dict[str, Any]:
        """JSON description; ``get_family(**state)`` rebuilds the family."""
        return {"name": self.name}

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Family) and self.to_state() == other.to_state()

    def __hash__(self) -> int:
        return hash(tuple(sorted(self.to_state().items())))

    def __repr__(self) -> str:
        options = {k: v for k, v in self.to_state().items() if k != "name"}
        inner = ", ".join(f"{key}={value!r}" for key, value in options.items())
        return f"{type(self).__name__}({inner})"

    @staticmethod
    def _rows_of_jacobian(
        gradient: Tensor, point: Tensor, *, create_graph: bool
    ) -> Tensor:
        """Row-wise Jacobian (n, K, K) of a row-wise gradient (n, K)."""
        columns = []
        for k in range(point.shape[1]):
            total = gradient[:, k].sum()
            row = None
            if total.requires_grad:
                (row,) = torch.autograd.grad(
                    total,
                    point,
                    create_graph=create_graph,
                    retain_graph=True,
                    allow_unused=True,
                )
            columns.append(torch.zeros_like(point) if row is None else row)
        return torch.stack(columns, dim=1)  # (n, K, K)


def numeric_target(y: ArrayLike, owner: str, family: str) -> FloatArray:
    """Return a finite one-dimensional float64 target.

    Raises
    ------
    TargetError
        When y is not numeric, not one-dimensional or not finite (with the row).
    """
    raw = np.asarray(y)
    if raw.ndim != 1:
        raise TargetError(
            f"{owner}: y must be one-dimensional for the {family} family, "
            f"got shape {raw.shape}."
        )
    try:
        target = raw.astype(np.float64)
    except (TypeError, ValueError) as error:
        raise TargetError(
            f"{owner}: y must be numeric for the {family} family, "
            f"got dtype {raw.dtype}."
        ) from error
    bad = np.flatnonzero(~np.isfinite(target))
    if bad.size:
        raise TargetError(
            f"{owner}: y contains NaN or infinity in {bad.size} row(s), "
            f"first at row {bad[0]}."
        )
    return target


def refuse_rows(bad: NDArray[np.bool_], y: FloatArray, owner: str, need: str) -> None:
    """Raise ``TargetError`` naming the first row where ``bad`` is True."""
    rows = np.flatnonzero(bad)
    if rows.size:
        raise TargetError(
            f"{owner}: y must be {need}; row {rows[0]} holds {y[rows[0]]:g} "
            f"({rows.size} such row(s))."
        )
