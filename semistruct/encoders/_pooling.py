"""Poolings of the parts of a row, some of them missing.

Letters: B rows, T parts of a row (tiles or views), d length of a part's vector, L
hidden units of the attention.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn


class Pooling(nn.Module, ABC):
    """Weights of parts that sum to 1 over those present, and the pooled vector."""

    @abstractmethod
    def weights(self, parts: Tensor, present: Tensor) -> Tensor:
        """Give the weights (B, T) of parts (B, T, d); 0 where not present (B, T)."""

    def forward(self, parts: Tensor, present: Tensor) -> Tensor:
        """Map (B, T, d) to (B, d); 0 for a row without parts."""
        return (self.weights(parts, present)[:, :, None] * parts).sum(dim=1)


class Mean(Pooling):
    """The mean of the parts that are present."""

    def weights(self, parts: Tensor, present: Tensor) -> Tensor:
        """Give 1 / their number for those present."""
        count = present.sum(dim=1, keepdim=True).clamp_min(1)
        return present.to(parts.dtype) / count


class Max(Pooling):
    """The largest value of each entry over the parts that are present."""

    def weights(self, parts: Tensor, present: Tensor) -> Tensor:
        """Give for each part its share of the entries where it is the largest."""
        if not parts.shape[1]:
            return parts.new_zeros(parts.shape[:2])
        winner = _filled(parts, present).argmax(dim=1)  # (B, d)
        share = nn.functional.one_hot(winner, parts.shape[1]).to(parts.dtype)
        return share.mean(dim=1) * present

    def forward(self, parts: Tensor, present: Tensor) -> Tensor:
        """Map (B, T, d) to (B, d); 0 for a row without parts."""
        largest = _filled(parts, present).amax(dim=1)
        return torch.where(present.any(dim=1, keepdim=True), largest, 0.0)


class Attention(Pooling):
    """Attention pooling of Ilse, Tomczak & Welling (2018), gated or plain.

    a_k ∝ exp(w'[tanh(V h_k) ⊙ σ(U h_k)]), without the second factor where it is plain.

    Parameters
    ----------
    width : int
        Length d of a part's vector.
    hidden : int
        Hidden units L.
    gated : bool
        Whether there is a gate.
    """

    def __init__(self, width: int, hidden: int, *, gated: bool) -> None:
        super().__init__()
        self.content = nn.Linear(width, hidden)
        self.gate = nn.Linear(width, hidden) if gated else None
        self.score = nn.Linear(hidden, 1, bias=False)  # a softmax knows no constant

    def weights(self, parts: Tensor, present: Tensor) -> Tensor:
        """Give the softmax of the scores over the parts that are present."""
        hidden = self.content(parts).tanh()
        if self.gate is not None:
            hidden = hidden * self.gate(parts).sigmoid()
        scores = self.score(hidden).squeeze(2)  # (B, T)
        lowest = torch.finfo(scores.dtype).min
        return scores.masked_fill(~present, lowest).softmax(dim=1) * present


def _filled(parts: Tensor, present: Tensor) -> Tensor:
    return parts.masked_fill(~present[:, :, None], torch.finfo(parts.dtype).min)
