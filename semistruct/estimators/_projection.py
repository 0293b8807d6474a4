"""Deep terms without what the structured columns say: globally, or post hoc.

Letters: n rows, K linear predictors, p* structured columns, q latent features.
"""

from __future__ import annotations

from collections.abc import Container, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from semistruct.design import StructuredDesign
from semistruct.exceptions import DataError
from semistruct.fusion import fit_projection, penalised_projection, smoothing_of

from ._additive import DeepPart

__all__ = ["move", "project", "projected_places"]


def project(
    part: DeepPart,
    latents: np.ndarray,
    present: np.ndarray,
    columns: Sequence[np.ndarray],
    extra: np.ndarray,
    weights: np.ndarray,
) -> DeepPart:
    """Take the structured columns out of a deep term, in the metric of each η_k."""
    slopes, shifts = [], []
    for k in part.targets:
        basis = np.hstack([columns[k], extra])
        p = columns[k].shape[1]
        # observed weights may be negative (student_t, zero-inflated): not a metric
        weight = weights[:, k].clip(min=0.0)
        a = fit_projection(basis, latents, weight, present.astype(bool))
        slopes.append(a[:p])
        # dummies of strata: a constant per stratum does not touch a partial likelihood
        share = (weight * present) @ extra
        total = share.sum()
        shifts.append(share @ a[p:] / total if total > 0 else np.zeros(a.shape[1]))
    return replace(part, projections=tuple(slopes), shifts=tuple(shifts))


def move(
    part: DeepPart,
    latents: np.ndarray,
    present: np.ndarray,
    columns: Sequence[np.ndarray],
    designs: Sequence[StructuredDesign],
    weights: np.ndarray,
    without: Container[str],
    owner: str,
) -> tuple[DeepPart, dict[int, np.ndarray]]:
    """Move the structured part of a deep term into coefficients, post hoc.

    Gives the term without it, and for each of its linear predictors what is added to
    the coefficients of ``columns``. Predictions do not change.
    """
    if not present.all():
        row = int(np.flatnonzero(present == 0)[0])
        raise DataError(
            f"{owner}: orthogonalize='post_hoc' moves what {part.term.label} says into "
            f"the coefficients of every row, but row {row} lacks it. Use "
            "orthogonalize='global', or take the rows without it out."
        )
    slopes, shifts, moved = [], [], {}
    contribution = latents @ part.weight
    for t, k in enumerate(part.targets):
        weight = weights[:, k].clip(min=0.0)
        own = _penalties(designs[k], without)
        sp = smoothing_of(columns[k], contribution[:, t], weight, own)
        known = [replace(p, sp=float(s)) for p, s in zip(own, sp, strict=True)]
        a = penalised_projection(columns[k], latents, weight, known)
        slopes.append(a)
        shifts.append(np.zeros(a.shape[1]))
        moved[k] = a @ part.weight[:, t]
    return replace(part, projections=tuple(slopes), shifts=tuple(shifts)), moved


def projected_places(design: StructuredDesign, without: Container[str]) -> np.ndarray:
    """Mark the coefficients (p,) whose columns deep terms lose; see `projected`."""
    keep = np.ones(design.n_coefficients, dtype=bool)
    for block in design.blocks:
        if block.kind == "random" or any(c in without for c in block.columns):
            keep[block.start : block.stop] = False
    return keep


def _penalties(design: StructuredDesign, without: Container[str]) -> list[Any]:
    """Give the penalties of the columns that are projected, in their places."""
    keep = projected_places(design, without)
    place = np.concatenate([[0], np.cumsum(keep)])
    return [
        replace(p, start=int(place[p.start]), stop=int(place[p.stop]))
        for p in design.penalties
        if keep[p.start : p.stop].all()
    ]
