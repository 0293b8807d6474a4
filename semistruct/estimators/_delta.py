"""Standard errors of any prediction of the coefficients, by the delta method.

Letters: p coefficients.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from semistruct.solvers import ExactFit

from ._additive import AdditivePredictor

__all__ = ["delta_error"]

_STEP = 1e-3  # of a standard error


def delta_error(
    predictor: AdditivePredictor,
    fit: ExactFit,
    function: Callable[[AdditivePredictor], np.ndarray],
) -> np.ndarray:
    """Give √(g'Vg) of a prediction, g its gradient by central differences.

    ``function`` maps a predictor to an array of any shape, which is that of what comes
    back. V is the covariance of the fit; deep terms and baselines are known.
    """
    gradient = []
    spread = np.sqrt(np.maximum(np.diag(fit.cov), 0.0))
    for k, (own, at) in enumerate(zip(predictor.predictors, fit.slices, strict=True)):
        for j in range(len(own.coef)):
            step = _STEP * spread[at.start + j]
            if step == 0.0:
                gradient.append(np.zeros_like(function(predictor)))
                continue
            sides = []
            for sign in (1.0, -1.0):
                coef = own.coef.copy()
                coef[j] += sign * step
                sides.append(function(_with(predictor, k, coef)))
            gradient.append((sides[0] - sides[1]) / (2.0 * step))
    g = np.stack(gradient)  # (p, …)
    flat = g.reshape(len(g), -1)
    variance = np.einsum("ij,ij->j", fit.cov @ flat, flat)
    return np.sqrt(np.maximum(variance, 0.0)).reshape(g.shape[1:])


def _with(predictor: AdditivePredictor, k: int, coef: np.ndarray) -> AdditivePredictor:
    """Copy a predictor with other coefficients."""
    other = copy.copy(predictor)
    own = list(predictor.predictors)
    own[k] = replace(own[k], coef=coef)
    other.predictors = tuple(own)
    return other
