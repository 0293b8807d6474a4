"""What is explained, as torch modules of one modality's rows.

Letters: B rows of a call, n rows of the table, T linear predictors, q latents.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from semistruct.attribution._predictor import (
    GivenDeep,
    Leaf,
    contributions,
    leaves,
    read_modality,
)
from semistruct.exceptions import ParameterError

__all__ = [
    "Contribution",
    "OfEmbeddings",
    "OfTiles",
    "Outcome",
    "curve_of",
    "evaluating",
]

_STEP = 1e-4  # of central differences in a linear predictor, of order 1
Curve = Callable[[np.ndarray, np.ndarray], np.ndarray]


class Contribution(nn.Module):
    """d(u) = by·mask·(W u + b) − projection: a deep term as the model predicts it.

    The projection is linear in the structured columns of a row, which stay as they are:
    it is a constant of the row. So are the other modalities of a fused term.

    Parameters
    ----------
    encoder : torch.nn.Module
        Maps (B, …) to (B, q).
    weight : ndarray of shape (q + 1, T)
        The last layer with its bias.
    factor : ndarray of shape (n,)
        by·mask of each row.
    constant : ndarray of shape (n, T)
        The projection of each row.
    beside : dict of str to Tensor, optional
        For a fused term, whose encoder takes a batch: its entries, of n rows.
    child : str, optional
        The entry of a fused term that is explained.
    """

    weight: Tensor
    factor: Tensor
    constant: Tensor

    def __init__(
        self,
        encoder: nn.Module,
        weight: np.ndarray,
        factor: np.ndarray,
        constant: np.ndarray,
        beside: Mapping[str, Tensor] | None = None,
        child: str | None = None,
    ) -> None:
        super().__init__()
        self.encoder = encoder
        self.beside = dict(beside or {})
        self.child = child
        for name, values in (
            ("weight", weight),
            ("factor", factor),
            ("constant", constant),
        ):
            self.register_buffer(name, torch.as_tensor(values, dtype=torch.float64))

    @classmethod
    def of(cls, model: Any, leaf: Leaf, frame: pd.DataFrame) -> Contribution:
        """Make it for a modality of a fitted model and the rows of a table."""
        predictor = model.predictor_
        part = predictor.parts[leaf.key]
        latents, factor = predictor.latents(frame)[leaf.key]
        by = getattr(part.term, "by", None)
        if by is not None:
            factor = factor * frame[by].to_numpy(dtype=np.float64)
        terms = contributions(model, frame)
        d = np.stack([terms[k][part.term.label] for k in part.targets], axis=1)
        beside: dict[str, Tensor] = {}
        for other in leaves(model) if leaf.child is not None else []:
            if other.key == leaf.key:
                assert other.child is not None
                block, present = _entry(other, frame)
                beside |= {other.child: block, f"{other.child}:mask": present}
        encoder = predictor.network.encoder(leaf.key)
        constant = latents @ part.weight - d
        return cls(encoder, part.weight, factor, constant, beside, leaf.child)

    def forward(self, inputs: Tensor, rows: Tensor) -> Tensor:
        """Map (B, …), beside the row of the table that each is, to (B, T)."""
        if self.child is None:
            latent = self.encoder(inputs)
        else:
            at = rows.cpu()
            batch = {k: v[at].to(inputs.device) for k, v in self.beside.items()}
            latent = self.encoder(batch | {self.child: inputs}).latent
        latent = latent.double()
        raw = latent @ self.weight[:-1] + self.weight[-1]
        return raw * self.factor[rows, None] - self.constant[rows]


def _entry(leaf: Leaf, frame: pd.DataFrame) -> tuple[Tensor, Tensor]:
    """Read a modality, masked in every row where the table lacks it."""
    modality = leaf.modality
    if all(column in frame.columns for column in modality.columns):
        return read_modality(leaf, frame, "attribution.explain")
    blank = torch.zeros((len(frame), *modality.input_shape), dtype=modality.blank)
    return blank, torch.zeros(len(frame), dtype=torch.bool)


class Outcome(nn.Module):
    """One number of each row: a function of a contribution.

    Parameters
    ----------
    contribution : Contribution
        The deep term.
    column : int, optional
        Which of its T linear predictors; None for a curve.
    curve : callable, optional
        Maps d (B, T) and rows (B,) to (B,); its slope in d is taken by differences.
    """

    def __init__(
        self,
        contribution: Contribution,
        column: int | None = None,
        curve: Curve | None = None,
    ) -> None:
        super().__init__()
        self.contribution = contribution
        self.column = column
        self.curve = curve

    def forward(self, inputs: Tensor, rows: Tensor) -> Tensor:
        """Map (B, …), beside the row of the table that each is, to (B,)."""
        d = self.contribution(inputs, rows)
        if self.curve is None:
            return d[:, self.column]
        return _Curve.apply(d, rows, self.curve)


class OfEmbeddings(nn.Module):
    """An outcome of texts as a function of the embeddings of their words.

    Parameters
    ----------
    outcome : Outcome
        Of ids (B, L).
    layer : torch.nn.Embedding
        What the encoder embeds ids with.
    ids : Tensor of shape (n, L)
        The texts.
    """

    def __init__(self, outcome: nn.Module, layer: nn.Embedding, ids: Tensor) -> None:
        super().__init__()
        self.outcome, self.layer, self.ids = outcome, layer, ids

    def forward(self, embeddings: Tensor, rows: Tensor) -> Tensor:
        """Map (B, L, D), beside the row of the table that each is, to (B,)."""
        hook = self.layer.register_forward_hook(lambda *_: embeddings)
        try:
            return self.outcome(self.ids[rows], rows)
        finally:
            hook.remove()


class OfTiles(nn.Module):
    """An outcome of bags of images as a function of the images alone.

    Which tiles a bag has, the last channel, stays as it is.

    Parameters
    ----------
    outcome : Outcome
        Of bags (B, T, C + 1, H, W).
    bags : Tensor of shape (n, T, C + 1, H, W)
        The bags.
    """

    def __init__(self, outcome: nn.Module, bags: Tensor) -> None:
        super().__init__()
        self.outcome, self.bags = outcome, bags

    def forward(self, tiles: Tensor, rows: Tensor) -> Tensor:
        """Map (B, T, C, H, W), beside the row of the table that each is, to (B,)."""
        there = self.bags[rows][:, :, -1:]
        return self.outcome(torch.cat([tiles, there], dim=2), rows)


class _Curve(torch.autograd.Function):
    """A function of NumPy, with slopes by central differences."""

    @staticmethod
    def forward(ctx: Any, d: Tensor, rows: Tensor, curve: Curve) -> Tensor:
        at, index = d.detach().cpu().numpy(), rows.cpu().numpy()
        if d.requires_grad:
            steps = _STEP * np.eye(at.shape[1])
            slopes = [
                (curve(at + step, index) - curve(at - step, index)) / (2 * _STEP)
                for step in steps
            ]
            ctx.slopes = torch.as_tensor(np.stack(slopes, axis=1), device=d.device)
        return torch.as_tensor(curve(at, index), device=d.device)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None]:
        return grads[0][:, None] * ctx.slopes, None, None


def curve_of(
    model: Any,
    key: str,
    frame: pd.DataFrame,
    strata: Any,
    time: float,
    *,
    kind: str,
    cause: Any,
    owner: str,
) -> Curve:
    """Give log Λ(t | x), S(t | x) or F(t | x) of a cause, from a deep term's d.

    The other terms stay as they are. The function maps d (B, T) and rows (B,) to (B,).
    """
    rows = model._rows_of(frame, strata)
    targets = list(model.predictor_.parts[key].targets)
    label = model.predictor_.parts[key].term.label
    terms = contributions(model, frame)
    others = model.predictor_.deep(frame)
    for k in targets:
        others[:, k] -= terms[k][label]
    at = np.array([time])

    def curve(d: np.ndarray, index: np.ndarray) -> np.ndarray:
        deep = others[index]
        deep[:, targets] += d
        own = rows._replace(
            predictor=GivenDeep(model.predictor_, deep),
            frame=rows.frame.iloc[index],
            strata=None if rows.strata is None else [rows.strata[i] for i in index],
        )
        if kind == "survival":
            return model.curves_.survival(own, at)[:, 0]
        if kind == "incidence":
            return model.curves_.incidence(own, at)[cause][:, 0]
        hazard = model.curves_.cumulative_hazard(own, at)[:, 0]
        if not (hazard > 0).all():
            raise ParameterError(
                parameter="time",
                owner=owner,
                allowed="a time by which the model expects events: Λ(t) > 0",
                given=time,
            )
        return np.log(hazard)

    return curve


@contextmanager
def evaluating(module: nn.Module) -> Iterator[None]:
    """Put a module into evaluation mode, and back."""
    modes = {part: part.training for part in module.modules()}
    module.eval()
    try:
        yield
    finally:
        for part, training in modes.items():
            part.training = training
