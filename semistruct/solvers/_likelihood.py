"""What the penalised Newton machine asks of a likelihood.

Letters: n rows, p coefficients of all predictors together, S shapes (constants that are
estimated beside the smoothing parameters), φ the dispersion.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]


class Profile(NamedTuple):
    """The dispersion that minimises a criterion at given coefficients.

    Attributes
    ----------
    dispersion : float
        φ.
    objective : float
        −ℓ(β, φ) + β'S_λβ/2φ − ½ M log 2πφ.
    curvature : float
        Its second derivative in log φ; infinite where φ is known.
    """

    dispersion: float
    objective: float
    curvature: float


class ShapeDerivatives(NamedTuple):
    """Derivatives in the shapes s at fixed coefficients.

    Attributes
    ----------
    first : ndarray of shape (S,)
        ∂ℓ/∂s at φ.
    second : ndarray of shape (S, S)
        ∂²ℓ/∂s∂s' at φ.
    tilt : ndarray of shape (S,)
        ∂²ℓ/∂s ∂log φ; zero where φ is known.
    mixed : ndarray of shape (p, S)
        ∂²ℓ/∂β∂s at φ = 1.
    trace : ndarray of shape (S,)
        ∂/∂s tr{M I}, I the negative Hessian at φ = 1.
    """

    first: FloatArray
    second: FloatArray
    tilt: FloatArray
    mixed: FloatArray
    trace: FloatArray


class Likelihood(ABC):
    """A log-likelihood of p coefficients, at dispersion 1.

    Attributes
    ----------
    n_coefficients : int
        p.
    n_effective : float
        Σ sample_weight.
    profiled : bool
        The log-likelihood is −RSS/2: its information is constant.
    has_dispersion : bool
        A dispersion is estimated; it does not move the coefficients.
    shapes : ndarray of shape (S,)
        On their link scales.
    """

    n_coefficients: int
    n_effective: float
    profiled: bool = False
    has_dispersion: bool = False
    shapes: FloatArray = np.zeros(0)
    shape_names: tuple[str, ...] = ()

    @abstractmethod
    def start(self) -> FloatArray:
        """Return finite coefficients to start from."""

    @abstractmethod
    def value(self, beta: FloatArray) -> float:
        """Return the log-likelihood."""

    @abstractmethod
    def derivatives(self, beta: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return the gradient (p,) and the negative Hessian (p, p)."""

    @abstractmethod
    def trace_gradient(self, beta: FloatArray, inner: FloatArray) -> FloatArray:
        """Return ∂/∂β tr{M I(β)} for a fixed symmetric M, I the negative Hessian."""

    @abstractmethod
    def reach(self, direction: FloatArray) -> float:
        """Return the largest change of a linear predictor along a direction."""

    @abstractmethod
    def recedes(self, beta: FloatArray, direction: FloatArray) -> bool:
        """Whether the log-likelihood never falls however far one goes from β."""

    def unit(self, value: float) -> float:
        """Return the scale of the gradient: √φ where φ is estimated, else 1."""
        return 1.0

    def deviance(self, value: float) -> float:
        """Return the deviance that belongs to a log-likelihood."""
        return -2.0 * value

    def profile(
        self, beta: FloatArray, value: float, energy: float, nullity: int
    ) -> Profile:
        """Return the best dispersion, given ℓ, β'S_λβ and the M of the criterion."""
        constant = 0.5 * nullity * float(np.log(2.0 * np.pi))
        return Profile(1.0, 0.5 * energy - value - constant, np.inf)

    # shapes: a likelihood has none unless it says so

    def with_shapes(self, values: FloatArray) -> Self:
        """Return the likelihood at other shapes (S,)."""
        return self

    def shape_limits(self) -> FloatArray:
        """Return the range in which shapes are sought, (2, S)."""
        return np.zeros((2, 0))

    def shape_derivatives(
        self, beta: FloatArray, dispersion: float, inner: FloatArray
    ) -> ShapeDerivatives:
        """Return what the criterion needs to know of the shapes, M = ``inner``."""
        none = np.zeros(0)
        square = np.zeros((0, 0))
        mixed = np.zeros((self.n_coefficients, 0))
        return ShapeDerivatives(none, square, none, mixed, none)
