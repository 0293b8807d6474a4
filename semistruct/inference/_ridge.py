"""Learners of conditional means given latent features.

Letters: n rows that are learned from, m new rows, q latent features, c targets.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]

RIDGES = np.logspace(-4, 6, 21)  # penalties that are tried, times the number of rows


def ridge_predict(
    u: FloatArray, targets: FloatArray, weight: FloatArray, new: FloatArray
) -> FloatArray:
    """Predict targets (m, c) by ridge regression, the penalty of each by GCV."""
    share = weight / weight.sum()
    center, level = share @ u, share @ targets
    spread = np.sqrt(share @ (u - center) ** 2)
    kept = spread > 1e-12 * np.abs(center).clip(min=1e-300)
    root = np.sqrt(weight / weight.mean())[:, None]
    design = root * (u - center)[:, kept] / spread[kept]
    right = root * (targets - level)
    # of the cross-products: n q² once, whatever the number of penalties
    values, axes = np.linalg.eigh(design.T @ design)
    values = values.clip(min=0.0)
    inner = axes.T @ (design.T @ right)  # (r, c)
    total = (right**2).sum(axis=0)
    n = len(u)
    best = np.full(targets.shape[1], np.inf)
    coef = np.zeros((int(kept.sum()), targets.shape[1]))
    for penalty in RIDGES * n:
        inverse = 1.0 / (values + penalty)
        rss = total - (2.0 * inverse - values * inverse**2) @ inner**2
        score = rss.clip(min=0.0) / max(n - 1.0 - values @ inverse, 1e-8) ** 2
        better = score < best
        best = np.where(better, score, best)
        coef = np.where(better, axes @ (inverse[:, None] * inner), coef)
    fitted: FloatArray = (new - center)[:, kept] / spread[kept] @ coef + level
    return fitted


def predict_by(
    learner: Any,
    u: FloatArray,
    targets: FloatArray,
    weight: FloatArray,
    new: FloatArray,
) -> FloatArray:
    """Predict targets (m, c) by a given regressor, column by column."""
    from sklearn.base import clone

    plain = bool((weight == weight[0]).all())
    fitted = []
    for column in targets.T:
        copy = clone(learner)
        model = copy.fit(u, column) if plain else copy.fit(u, column, weight)
        fitted.append(np.asarray(model.predict(new), dtype=np.float64))
    return np.column_stack(fitted)
