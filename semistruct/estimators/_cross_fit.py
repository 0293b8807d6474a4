"""Cross-fitted coefficients beside an out-of-fold deep part: the projection estimand.

Letters: n rows, K linear predictors, p coefficients, F folds, R repeated splits.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from semistruct._core.randomness import spawn
from semistruct.exceptions import DataError
from semistruct.fusion import fit_projection
from semistruct.inference import (
    check_clusters,
    cross_folds,
    median_of_splits,
    projected_sandwich,
)
from semistruct.solvers import ExactFit

from ._deep_stage import DeepStage
from ._projection import project, projected_places
from ._strategies import Structured, train_beside

__all__ = ["CrossFitted", "cross_fit_projection", "fold_split", "units_of"]


@dataclass(frozen=True)
class CrossFitted:
    """Coefficients with cross-fitted standard errors.

    ``contributions`` (n, T) are those of the deep terms out of fold, by label;
    ``spread`` (p,) is the standard deviation of the coefficients over repeated splits.
    """

    exact: ExactFit
    contributions: dict[str, np.ndarray]
    spread: np.ndarray
    n_networks: int


def cross_fit_projection(
    structured: Structured, stage: DeepStage, option: Any, seed: int
) -> CrossFitted:
    """Refit the structured part beside deep terms of networks that saw other rows."""
    head = structured.head
    units = units_of(head, stage.settings.groups)
    check_clusters(units, head.n_rows, stage.settings.owner)
    seeds = spawn(seed, option.repeats)
    coefs, covs = [], []
    for own in seeds:
        contributions, deep = _out_of_fold(structured, stage, option.folds, units, own)
        exact = head.fit_exact(
            structured.matrices, structured.designs, structured.offset + deep
        )
        coefs.append(exact.coef)
        covs.append(_covariance(structured, exact, deep, units))
    pooled = median_of_splits(coefs, covs)
    exact = replace(exact, coef=pooled.coef, cov=pooled.cov, cov_frequentist=pooled.cov)
    return CrossFitted(
        exact, contributions, pooled.spread, option.folds * option.repeats
    )


def units_of(head: Any, groups: np.ndarray | None) -> np.ndarray | None:
    """Give the labels of rows that belong together: groups, or the ids of y."""
    if groups is not None:
        return groups
    ids = getattr(getattr(head, "surv", None), "id", None)
    return None if ids is None else pd.factorize(ids)[0]


def fold_split(
    rows: np.ndarray,
    fraction: float,
    units: np.ndarray | None,
    strata: np.ndarray | None,
    seed: int,
) -> tuple[np.ndarray, np.ndarray]:
    """Split the rows of the other folds into training and early stopping."""
    if fraction == 0:
        return rows, np.empty(0, dtype=np.int64)
    parts = max(2, round(1 / fraction))
    if units is not None:
        parts = min(parts, len(np.unique(units[rows])))
    labels = cross_folds(
        len(rows),
        parts,
        seed,
        groups=None if units is None else units[rows],
        strata=None if strata is None else strata[rows],
    )
    return rows[labels > 0], rows[labels == 0]


def _out_of_fold(
    structured: Structured,
    stage: DeepStage,
    folds: int,
    units: np.ndarray | None,
    seed: int,
) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Give the deep terms of each row by a network that did not see its fold.

    Each network's structured part is taken out as it is on the rows that trained it,
    then that of all together: X'Wd = 0 over all rows.
    """
    head, settings = structured.head, stage.settings
    n, strata = head.n_rows, head.strata()
    labels = cross_folds(n, folds, seed, groups=units, strata=strata)
    extra, weights = head.projection_columns(), structured.warm.working_weight
    found = {key: np.zeros((n, len(targets))) for key, targets in stage.targets.items()}
    masks: dict[str, np.ndarray] = {}
    for k, own_seed in enumerate(spawn(seed, folds)):
        init_seed, split_seed, order_seed = spawn(own_seed, 3)
        other, inside = np.flatnonzero(labels != k), labels == k
        fold_head = head.take(other)
        matrices = [matrix[other] for matrix in structured.matrices]
        offset = structured.offset[other]
        warm = fold_head.fit_exact(matrices, structured.designs, offset)
        part = replace(stage, frame=stage.frame.iloc[other])
        network = part.network(
            head.n_predictors, fold_head.units(warm).tolist(), init_seed
        )
        rows, held_out = fold_split(
            np.arange(len(other)),
            settings.training.validation_fraction,
            None if units is None else units[other],
            None if strata is None else strata[other],
            split_seed,
        )
        own = Structured(
            fold_head,
            structured.designs,
            matrices,
            offset,
            [columns[other] for columns in structured.columns],
            warm,
        )
        train_beside(own, part, network, warm, offset, rows, held_out, order_seed)
        seen = np.where(inside[:, None], 0.0, weights)
        bare = stage.parts(network)
        for key, (u, present) in stage.latents(network).items():
            whole = project(bare[key], u, present, structured.columns, extra, seen)
            d = whole.contribution(u, present, structured.columns)
            found[key][inside] = d[inside]
            masks[key] = present
    contributions = {}
    total = np.zeros_like(structured.offset)
    for key, d in found.items():
        at = stage.targets[key]
        for t, k in enumerate(at):
            basis = np.hstack([structured.columns[k], extra])
            weight = weights[:, k].clip(min=0.0)
            present = masks[key].astype(bool)
            a = fit_projection(basis, d[:, [t]], weight, present)
            d[:, t] -= masks[key] * (basis @ a)[:, 0]
        contributions[stage.terms[key].label] = d
        total[:, at] += d
    return contributions, total


def _covariance(
    structured: Structured,
    exact: ExactFit,
    deep: np.ndarray,
    units: np.ndarray | None,
) -> np.ndarray:
    """Give the sandwich that knows that the deep part was projected by estimation."""
    head, weights = structured.head, structured.warm.working_weight
    scores = head.scores(structured.matrices, exact)
    information = exact.information / exact.dispersion
    shift = np.zeros_like(scores)
    extra = head.projection_columns()
    for k, at in enumerate(exact.slices):
        columns = structured.columns[k]
        basis = np.hstack([columns, extra])
        weight = weights[:, k].clip(min=0.0)
        gram = np.linalg.pinv(basis.T @ (weight[:, None] * basis), hermitian=True)
        moved = basis * (weight * deep[:, k])[:, None] @ gram  # influence on a
        keep = projected_places(structured.designs[k], head.provided)
        places = at.start + np.flatnonzero(keep)
        if len(places) != columns.shape[1]:
            raise DataError(
                f"{type(head).__name__}: the projected columns of a linear predictor "
                "are not those of its design."
            )
        shift += moved[:, : columns.shape[1]] @ information[:, places].T
    return projected_sandwich(
        scores, shift, exact.cov, units, n_parameters=float(exact.edf.sum())
    )
