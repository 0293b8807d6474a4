"""The fitted additive predictor: structured terms plus orthogonalised deep terms.

Letters: n rows, K linear predictors, p columns of the structured design, q latents.
"""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import nn

from semistruct._core.terms import DeepTerm, Offset
from semistruct.design import StructuredDesign
from semistruct.engine import predict
from semistruct.networks import SemiStructuredNetwork

from ._modalities import Modality, make_source

__all__ = [
    "AdditivePredictor",
    "DeepPart",
    "Predictor",
    "augmented_latents",
    "evaluate",
    "offsets",
    "projected",
]


@dataclass(frozen=True)
class Predictor:
    """One linear predictor: its name, its design, its coefficients (p,)."""

    name: Any
    design: StructuredDesign
    coef: np.ndarray


@dataclass(frozen=True)
class DeepPart:
    """One fitted deep term, which adds to T of the K linear predictors.

    ``targets`` says which. ``encoder`` is the specification or the user's untrained
    module. ``weight`` (q + 1, T) is the last layer with its bias; for each target
    ``projections`` (p*, q + 1) and ``shifts`` (q + 1,) take the structured columns and
    the constant out of the latents; empty without orthogonalisation.
    """

    term: DeepTerm
    modality: Modality
    encoder: Any
    targets: tuple[int, ...]
    weight: np.ndarray
    projections: tuple[np.ndarray, ...] = ()
    shifts: tuple[np.ndarray, ...] = ()

    def contribution(
        self, latents: np.ndarray, present: np.ndarray, columns: Sequence[np.ndarray]
    ) -> np.ndarray:
        """Give d (n, T) from augmented latents (n, q + 1).

        ``columns`` (n, p*) are those of each of the K predictors.
        """
        d = latents @ self.weight
        for t, (slopes, shift) in enumerate(
            zip(self.projections, self.shifts, strict=True)
        ):
            weight = self.weight[:, t]
            fitted = columns[self.targets[t]] @ (slopes @ weight) + shift @ weight
            d[:, t] -= present * fitted
        return d


def augmented_latents(
    latent: torch.Tensor, mask: torch.Tensor | None, by: torch.Tensor | None
) -> tuple[np.ndarray, np.ndarray]:
    """Give by·mask·[U, 1] as float64 (n, q + 1), and the mask as 0/1 (n,)."""
    u = latent.double().cpu().numpy()
    present = np.ones(len(u)) if mask is None else mask.double().cpu().numpy()
    factor = present if by is None else present * by.double().cpu().numpy()
    # where(): a masked row may hold anything
    u = np.where(present[:, None] > 0, u, 0.0)
    return np.column_stack([u, np.ones(len(u))]) * factor[:, None], present


class _Latents(nn.Module):
    """Give the latents of a batch beside its masks and multipliers."""

    def __init__(self, network: SemiStructuredNetwork) -> None:
        super().__init__()
        self.network = network

    def forward(self, batch: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        output = self.network(batch)
        kept = {k: v for k, v in batch.items() if k.endswith((":mask", ":by"))}
        fused = {f"{k}:mask": part.mask for k, part in output.fused.items()}
        return output.latents | kept | fused


class AdditivePredictor:
    """η_k = X_k β_k + offset + Σ d_m, for any rows; none depends on those beside it."""

    def __init__(
        self,
        predictors: Sequence[Predictor],
        parts: dict[str, DeepPart],
        network: SemiStructuredNetwork | None,
        device: str = "auto",
        provided: Mapping[str, float] | None = None,
        on_unreadable: str = "raise",
    ) -> None:
        self.predictors = tuple(predictors)
        # columns that a head adds to the table, with a value for where it does not
        self.provided = dict(provided or {})
        self.parts = parts
        self.network = network
        self.device = device  # where the network predicts
        self.on_unreadable = on_unreadable

    @property
    def designs(self) -> tuple[StructuredDesign, ...]:
        """The design of each predictor; one object where they share it."""
        return tuple(p.design for p in self.predictors)

    @property
    def columns(self) -> tuple[str, ...]:
        """Columns of the table that structured terms and ``by=`` read."""
        by = [b for p in self.parts.values() if (b := getattr(p.term, "by", None))]
        structured = [c for design in self.designs for c in design.columns]
        found = dict.fromkeys([*structured, *by])
        return tuple(c for c in found if c not in self.provided)

    def matrices(self, frame: pd.DataFrame) -> list[np.ndarray]:
        """Evaluate the design (n, p) of each predictor."""
        return evaluate(self.designs, frame)

    def terms(self, frame: pd.DataFrame) -> list[dict[str, np.ndarray]]:
        """Give the contribution (n,) of every term to each predictor, by label."""
        matrices = self.matrices(frame)
        out: list[dict[str, np.ndarray]] = []
        for predictor, matrix in zip(self.predictors, matrices, strict=True):
            design = predictor.design
            terms = {
                block.label: matrix[:, block.start : block.stop]
                @ predictor.coef[block.start : block.stop]
                for block in design.blocks
            }
            if any(isinstance(term, Offset) for term in design.terms):
                terms["offset"] = design.offset(frame)
            out.append(terms)
        for part, d in self._deep(frame, matrices):
            for t, k in enumerate(part.targets):
                out[k][part.term.label] = d[:, t]
        return out

    def linear_predictor(self, frame: pd.DataFrame) -> np.ndarray:
        """Give η (n, K)."""
        matrices = self.matrices(frame)
        total = offsets(self.designs, frame)
        for k, predictor in enumerate(self.predictors):
            total[:, k] += matrices[k] @ predictor.coef
        for part, d in self._deep(frame, matrices):
            total[:, part.targets] += d
        return total

    def deep(self, frame: pd.DataFrame) -> np.ndarray:
        """Give the sum of the deep terms, (n, K)."""
        total = np.zeros((len(frame), len(self.predictors)))
        if self.parts:
            for part, d in self._deep(frame, self.matrices(self.completed(frame))):
                total[:, part.targets] += d
        return total

    def completed(self, frame: pd.DataFrame) -> pd.DataFrame:
        """Give the table with the columns that a head provides and it lacks."""
        lacking = {k: v for k, v in self.provided.items() if k not in frame.columns}
        return frame.assign(**lacking) if lacking else frame

    def _deep(
        self, frame: pd.DataFrame, matrices: Sequence[np.ndarray]
    ) -> Iterator[tuple[DeepPart, np.ndarray]]:
        """Give each deep term with its contribution (n, T)."""
        columns = projected(self.designs, matrices, self.provided) if self.parts else []
        for name, (latents, present) in self.latents(frame).items():
            part = self.parts[name]
            yield part, part.contribution(latents, present, columns)

    def latents(
        self, frame: pd.DataFrame, *, batch_size: int = 256, num_workers: int = 0
    ) -> dict[str, tuple[np.ndarray, np.ndarray]]:
        """Give by·mask·[U, 1] (n, q + 1) and the mask (n,) of each deep term."""
        if self.network is None:
            return {}
        modalities = {name: part.modality for name, part in self.parts.items()}
        by = {n: b for n, p in self.parts.items() if (b := getattr(p.term, "by", None))}
        source = make_source(modalities, by, frame, {}, num_workers, self.on_unreadable)
        rows = predict(_Latents(self.network), source, batch_size, self.device)
        return {
            name: augmented_latents(
                rows[name], rows.get(f"{name}:mask"), rows.get(f"{name}:by")
            )
            for name in self.parts
        }


def evaluate(
    designs: Sequence[StructuredDesign], frame: pd.DataFrame
) -> list[np.ndarray]:
    """Evaluate designs (n, p) on a table; a shared design once."""
    done: dict[int, np.ndarray] = {}
    for design in designs:
        if id(design) not in done:
            done[id(design)] = design.matrix(frame)
    return [done[id(design)] for design in designs]


def offsets(designs: Sequence[StructuredDesign], frame: pd.DataFrame) -> np.ndarray:
    """Evaluate the offsets (n, K) of designs on a table."""
    return np.stack([design.offset(frame) for design in designs], axis=1)


def projected(
    designs: Sequence[StructuredDesign],
    matrices: Sequence[np.ndarray],
    without: Container[str] = (),
) -> list[np.ndarray]:
    """Give the columns that deep terms are orthogonal to.

    These are all but random effects, and but those that read a column ``without``,
    such as the time, which a deep term of the subject does not know.
    """
    out = []
    for design, matrix in zip(designs, matrices, strict=True):
        keep = np.ones(design.n_coefficients, dtype=bool)
        for block in design.blocks:
            if block.kind == "random" or any(c in without for c in block.columns):
                keep[block.start : block.stop] = False
        out.append(matrix[:, keep])
    return out
