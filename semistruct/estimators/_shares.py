"""Shares: of the linear predictor that is deep, of covariates that deep features leave.

Letters: n rows, K linear predictors.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from semistruct.design import StructuredDesign
from semistruct.inference import cross_folds, cross_residuals, residual_share
from semistruct.solvers import ExactFit

__all__ = ["deep_share", "left_by_deep"]

FOLDS = 5


def deep_share(d: np.ndarray, eta: np.ndarray) -> np.ndarray:
    """Give Cov(d, η) / Var(η) for each predictor; 0 where η is constant."""
    eta = eta - eta.mean(axis=0)
    variance = (eta**2).mean(axis=0)
    covariance = ((d - d.mean(axis=0)) * eta).mean(axis=0)
    return np.divide(
        covariance, variance, out=np.zeros_like(variance), where=variance > 0
    )


def left_by_deep(
    designs: Sequence[StructuredDesign],
    matrices: Sequence[Any],
    latents: dict[str, tuple[np.ndarray, np.ndarray]],
    warm: ExactFit,
) -> dict[str, float]:
    """Give 1 − R² of each parametric column on the deep features, out of fold.

    By ridge regression; empty for designs of long rows, and where there are too few
    rows to hold some out.
    """
    features = np.hstack([u for u, _ in latents.values()])
    if len(features) < 2 * FOLDS or not (np.ptp(features, axis=0) > 0).any():
        return {}
    columns: dict[str, np.ndarray] = {}
    for design, matrix in zip(designs, matrices, strict=True):
        if not isinstance(matrix, np.ndarray):
            continue
        for block in design.blocks:
            if block.kind == "parametric":
                for j in range(block.start, block.stop):
                    columns.setdefault(design.names[j], matrix[:, j])
    if not columns:
        return {}
    values = np.column_stack(list(columns.values()))
    folds = cross_folds(len(values), FOLDS, 0)
    share = residual_share(values, cross_residuals(values, features, folds))
    return dict(zip(columns, share.tolist(), strict=True))
