"""Rows of a modality made ready for a method, and what they are compared with.

Letters: n rows, m rows of the background, p columns, L words, D width of an embedding.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from semistruct.attribution._module import OfEmbeddings, OfTiles, Outcome
from semistruct.attribution._predictor import Leaf, read_modality
from semistruct.exceptions import DataError, ParameterError

__all__ = ["Rows", "computed_columns", "prepare"]


@dataclass(frozen=True)
class Rows:
    """What a method reads.

    ``block`` (n, …) is what the encoder reads, ``inputs`` (n, …) what is explained: the
    same, but the embeddings (n, L, D) of words where ``embedded``. ``background``
    (m, …) is what inputs are compared with, ``present`` (n,) where the modality is.
    """

    outcome: nn.Module
    block: Tensor
    inputs: Tensor
    background: Tensor
    present: Tensor
    features: tuple[str, ...]
    words: tuple[tuple[str, ...], ...]
    embedded: bool


def computed_columns(model: Any, table: Any) -> Any:
    """Add the columns that a fitted model computes to a table."""
    features = getattr(model, "features_", None)
    if features is None or not isinstance(table, pd.DataFrame) or not len(table):
        return table
    return features.transform(table)


def prepare(
    outcome: Outcome,
    leaf: Leaf,
    frame: pd.DataFrame,
    baseline: Any,
    *,
    gradients: bool,
    owner: str,
) -> Rows:
    """Read the rows of a modality and of a baseline, on the encoder's device."""
    block, present = read_modality(leaf, frame, owner)
    # a masked row may hold anything, and its factor is 0
    block = torch.where(present.reshape(-1, *(1,) * (block.ndim - 1)), block, 0)
    encoder = outcome.contribution.encoder
    device = next((p.device for p in encoder.parameters()), torch.device("cpu"))
    outcome.to(device)
    block = block.to(device)
    if not block.is_floating_point():
        return _texts(outcome, leaf, block, present, baseline, gradients, owner)
    codes = len(leaf.modality.facts.get("cardinalities", ()))
    if codes and gradients:
        raise ParameterError(
            parameter="method",
            owner=owner,
            allowed=f"'occlusion' for {leaf.label}: its categories have no gradient",
            given="a method of gradients",
        )
    background = _background(leaf, baseline, block, owner)
    if codes:
        background[:, -codes:] = 0  # unknown levels: the mean of the embeddings
    if block.ndim == 5:
        tiles, there = OfTiles(outcome, block), np.s_[:, :, :-1]
        inputs = block[there]
        return Rows(tiles, inputs, inputs, background[there], present, (), (), False)
    features: tuple[str, ...] = ()
    if block.ndim == 2:
        columns = leaf.modality.facts.get("columns", leaf.modality.columns)
        features = tuple(columns)
    return Rows(outcome, block, block, background, present, features, (), False)


def _background(leaf: Leaf, baseline: Any, block: Tensor, owner: str) -> Tensor:
    """Read the rows (m, …) that inputs are compared with."""
    if baseline is None:
        return torch.zeros_like(block[:1])
    if not isinstance(baseline, pd.DataFrame) or not len(baseline):
        raise ParameterError(
            parameter="baseline",
            owner=owner,
            allowed="a DataFrame with at least one row, or None",
            given=type(baseline).__name__,
            hint="One row is X.iloc[[0]].",
        )
    rows, present = read_modality(leaf, baseline, f"{owner}: baseline")
    if not present.any():
        raise DataError(f"{owner}: {leaf.label} is missing in all of baseline.")
    return rows[present].to(block.device)


def _texts(
    outcome: Outcome,
    leaf: Leaf,
    ids: Tensor,
    present: Tensor,
    baseline: Any,
    gradients: bool,
    owner: str,
) -> Rows:
    """Make ready ids (n, L): for gradients as the embeddings of the words."""
    if baseline is not None:
        raise ParameterError(
            parameter="baseline",
            owner=owner,
            allowed=f"None for the texts of {leaf.label}, which have no mean",
            given=type(baseline).__name__,
        )
    pad = leaf.modality.facts["pad_id"]
    ids = torch.where(present.to(ids.device)[:, None], ids, pad)
    words = _words(leaf.modality.column, ids.cpu().numpy())
    encoder = outcome.contribution.encoder
    layers = [m for m in encoder.modules() if isinstance(m, nn.Embedding)]
    if not gradients or not layers:
        start = torch.full_like(ids[:1], pad)
        return Rows(outcome, ids, ids, start, present, (), words, False)
    embeddings = layers[0](ids).detach()  # (n, L, D)
    start = torch.zeros_like(embeddings[:1])
    inner = OfEmbeddings(outcome, layers[0], ids)
    return Rows(inner, ids, embeddings, start, present, (), words, True)


def _words(column: Any, ids: np.ndarray) -> tuple[tuple[str, ...], ...]:
    """Write ids as the pieces of words that they stand for."""
    known = {int(i): str(column._backend.id_to_token(int(i))) for i in np.unique(ids)}
    return tuple(tuple(known[int(i)] for i in row) for row in ids)
