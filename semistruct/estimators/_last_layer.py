"""The structured part and the last layers of deep terms in one exact fit.

Letters: n rows, K linear predictors, q latent features.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from semistruct.design import StructuredDesign
from semistruct.exceptions import ParameterError
from semistruct.inference import RidgeBlock, ridge_block, split_last_layer
from semistruct.solvers import ExactFit

from ._additive import DeepPart
from ._heads import Head

__all__ = ["refit_last_layer"]


@dataclass(frozen=True)
class _Beside:
    """What a head reads of a design, of structured columns and ridge blocks."""

    penalties: tuple[Any, ...]
    constraints: tuple[Any, ...]


def refit_last_layer(
    head: Head,
    designs: Sequence[StructuredDesign],
    matrices: Sequence[Any],
    offset: np.ndarray,
    columns: Sequence[np.ndarray],
    parts: dict[str, DeepPart],
    latents: dict[str, tuple[np.ndarray, np.ndarray]],
    held_out: np.ndarray,
    owner: str,
) -> tuple[dict[str, DeepPart], ExactFit, dict[str, list[float]]]:
    """Fit η_k = X_kβ_k + Ũ_kω_k with a ridge penalty on each ω, λ by the same REML.

    Ũ are the latents without the structured columns where ``parts`` project. Gives the
    parts with these ω, the structured part of the fit, and the effective degrees of
    freedom of each ω by label.
    """
    if not all(isinstance(matrix, np.ndarray) for matrix in matrices):
        raise ParameterError(
            parameter="inference",
            owner=owner,
            allowed="'conditional' for a head that is fitted on long rows",
            given="last_layer",
            hint="Their last layer has no matrix of one row for each subject.",
        )
    blocks: list[list[tuple[str, int, RidgeBlock]]] = [[] for _ in designs]
    beside: list[Any] = []
    wide = []
    for k, (design, matrix) in enumerate(zip(designs, matrices, strict=True)):
        start = matrix.shape[1]
        pieces, penalties = [matrix], list(design.penalties)
        for name, part in parts.items():
            if k not in part.targets:
                continue
            t = part.targets.index(k)
            features = _features(part, t, *latents[name], columns[k])
            block = ridge_block(
                features, part.term.label, start, reference=latents[name][0]
            )
            blocks[k].append((name, t, block))
            start += block.columns.shape[1]
            pieces.append(block.columns)
            if block.columns.shape[1]:
                penalties.append(block.penalty)
        wide.append(np.hstack(pieces))
        beside.append(_Beside(tuple(penalties), tuple(design.constraints)))
    joint = head.fit_exact(wide, beside, offset)
    joint = head.held_out_dispersion(joint, held_out)
    found = split_last_layer(
        joint,
        [matrix.shape[1] for matrix in matrices],
        [[b.columns.shape[1] for _, _, b in own] for own in blocks],
    )
    weights = {name: np.zeros_like(part.weight) for name, part in parts.items()}
    edf = {part.term.label: [0.0] * len(part.targets) for part in parts.values()}
    flat = [each for own in blocks for each in own]
    for (name, t, block), w, df in zip(flat, found.weights, found.edf, strict=True):
        weights[name][:, t] = block.weights(w)
        edf[parts[name].term.label][t] = float(df)
    fitted = {n: replace(part, weight=weights[n]) for n, part in parts.items()}
    return fitted, found.structured, edf


def _features(
    part: DeepPart,
    t: int,
    latents: np.ndarray,
    present: np.ndarray,
    columns: np.ndarray,
) -> np.ndarray:
    """Give the latents (n, q + 1), without the structured columns if they are so."""
    if not part.projections:
        return latents
    fitted = columns @ part.projections[t] + part.shifts[t]
    return np.asarray(latents - present[:, None] * fitted)
