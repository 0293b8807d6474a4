"""Standard errors by refits of everything on rows that are drawn with replacement."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from semistruct._core.randomness import generator, spawn
from semistruct.exceptions import (
    ConvergenceWarning,
    DataError,
    InferenceWarning,
    TrainingError,
)

from ._cross_fit import units_of
from ._deep_stage import DeepStage
from ._strategies import Structured, run

__all__ = ["Bootstrapped", "bootstrap"]


@dataclass(frozen=True)
class Bootstrapped:
    """Covariance (p, p) of the coefficients over B refits."""

    cov: np.ndarray
    n_refits: int


def bootstrap(
    structured: Structured, stage: DeepStage, option: Any, seed: int
) -> Bootstrapped:
    """Refit on resampled rows; groups, or ids of y, are drawn whole.

    Levels, knots and constraints stay those of the fit, so that coefficients mean the
    same in each replicate; smoothing parameters and networks are learned anew. Copies
    of a row are one group: early stopping does not tear them.
    """
    from sklearn.utils.parallel import Parallel, delayed

    seeds = spawn(seed, option.n_replicates)
    found = Parallel(n_jobs=option.n_jobs)(
        delayed(_replicate)(structured, stage, own) for own in seeds
    )
    coefs = np.array([coef for coef in found if coef is not None])
    lost = len(found) - len(coefs)
    owner = stage.settings.owner
    if len(coefs) < 2:
        raise DataError(
            f"{owner}: {lost} of {len(found)} bootstrap replicates could not be "
            "fitted: a level, or every event, is missing from them. Use "
            "inference='conditional', or join rare levels."
        )
    if lost:
        warnings.warn(
            f"{owner}: {lost} of {len(found)} bootstrap replicates could not be "
            "fitted, as a level or every event is missing from them; standard errors "
            "are those of the others.",
            InferenceWarning,
            stacklevel=5,
        )
    return Bootstrapped(np.atleast_2d(np.cov(coefs, rowvar=False)), len(coefs))


def _replicate(
    structured: Structured, stage: DeepStage, seed: int
) -> np.ndarray | None:
    """Give the coefficients of one replicate, None where it cannot be fitted."""
    draw_seed, fit_seed = spawn(seed, 2)
    head, settings = structured.head, stage.settings
    n = head.n_rows
    units = units_of(head, settings.groups)
    labels = np.arange(n) if units is None else np.unique(units, return_inverse=True)[1]
    draw = generator(draw_seed).integers(0, labels.max() + 1, labels.max() + 1)
    order = np.argsort(labels, kind="stable")
    starts = np.searchsorted(labels[order], np.arange(labels.max() + 2))
    rows = np.concatenate([order[starts[g] : starts[g + 1]] for g in draw])
    own = replace(settings, groups=labels[rows], inference="conditional", callbacks=[])
    part = replace(stage, frame=stage.frame.iloc[rows], settings=own)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            warnings.simplefilter("ignore", InferenceWarning)
            drawn = head.take(rows)
            matrices = [matrix[rows] for matrix in structured.matrices]
            offset = structured.offset[rows]
            warm = drawn.fit_exact(matrices, structured.designs, offset)
            columns = [c[rows] for c in structured.columns]
            again = Structured(
                drawn, structured.designs, matrices, offset, columns, warm
            )
            return run(again, part, fit_seed).exact.coef
    except (DataError, TrainingError, np.linalg.LinAlgError):
        return None
