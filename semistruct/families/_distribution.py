"""Distribution functions, quantiles and samples: float64 NumPy in and out.

Letters: n rows, K linear predictors.
"""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

FloatArray = NDArray[np.float64]


class Distribution:
    """What can be asked of a fitted distribution beside its density.

    Arrays broadcast against the n rows: a ``p`` of shape (q, 1) gives (q, n).
    """

    discrete: ClassVar[bool] = False

    def cdf(
        self,
        y: ArrayLike,
        eta: ArrayLike | Tensor,
        dispersion: float | FloatArray = 1.0,
    ) -> FloatArray:
        """Return P(Y ≤ y), (n,).

        Parameters
        ----------
        y : array-like of shape (n,)
        eta : array-like or Tensor of shape (n, K)
            Linear predictors.
        dispersion : float or ndarray of shape (n,), default 1.0
            φ > 0; ignored by families without a dispersion.
        """
        return self._cdf(np.asarray(y, float), *self._arrays(eta, dispersion))

    def cdf_left(
        self,
        y: ArrayLike,
        eta: ArrayLike | Tensor,
        dispersion: float | FloatArray = 1.0,
    ) -> FloatArray:
        """Return P(Y < y), (n,); equal to ``cdf`` for continuous families."""
        below = np.asarray(y, float)
        if self.discrete:
            below = np.ceil(below) - 1.0
        return self._cdf(below, *self._arrays(eta, dispersion))

    def quantile(
        self,
        p: ArrayLike,
        eta: ArrayLike | Tensor,
        dispersion: float | FloatArray = 1.0,
    ) -> FloatArray:
        """Return the smallest y with P(Y ≤ y) ≥ p, (n,).

        Parameters
        ----------
        p : array-like
            Probabilities strictly between 0 and 1; broadcasts against the rows.
        eta : array-like or Tensor of shape (n, K)
        dispersion : float or ndarray of shape (n,), default 1.0
        """
        return self._quantile(np.asarray(p, float), *self._arrays(eta, dispersion))

    def sample(
        self,
        eta: ArrayLike | Tensor,
        generator: np.random.Generator,
        dispersion: float | FloatArray = 1.0,
    ) -> FloatArray:
        """Draw one response for each row, (n,)."""
        return self._draw(generator, *self._arrays(eta, dispersion))

    def _frozen(self, *theta: FloatArray) -> Any:
        """SciPy's distribution here; a family states it, or all three below."""
        raise NotImplementedError(f"{type(self).__name__} states no distribution.")

    def _cdf(self, y: FloatArray, *theta: FloatArray) -> FloatArray:
        return np.asarray(self._frozen(*theta).cdf(y), dtype=float)

    def _quantile(self, p: FloatArray, *theta: FloatArray) -> FloatArray:
        return np.asarray(self._frozen(*theta).ppf(p), dtype=float)

    def _draw(self, generator: np.random.Generator, *theta: FloatArray) -> FloatArray:
        draws = self._frozen(*theta).rvs(size=len(theta[0]), random_state=generator)
        return np.asarray(draws, dtype=float)

    def _natural(self, eta: Tensor, dispersion: float | Tensor) -> list[Tensor]:
        """All parameters on their natural scale; every family states them."""
        raise NotImplementedError(f"{type(self).__name__} states no parameters.")

    def _arrays(
        self, eta: ArrayLike | Tensor, dispersion: float | FloatArray
    ) -> tuple[FloatArray, ...]:
        """All parameters on their natural scale, each (n,)."""
        given = eta.detach().cpu() if isinstance(eta, Tensor) else np.asarray(eta)
        point = torch.as_tensor(given, dtype=torch.float64)
        with torch.no_grad():
            phi = torch.as_tensor(dispersion, dtype=torch.float64)
            return tuple(t.numpy() for t in self._natural(point, phi))
