"""A student that predicts the averaged layers of its teacher.

Letters: B rows, L tokens, D width of a token, K layers that are averaged.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from semistruct._core.validation import check_number
from semistruct.vlm.components._teacher import EmaTeacher
from semistruct.vlm.components._transformer import Transformer

__all__ = ["LayerPrediction", "layer_target"]


def layer_target(
    transformer: Transformer,
    tokens: Tensor,
    top: int,
    present: Tensor | None = None,
    *,
    axis: int = 2,
) -> Tensor:
    """Average the outputs of the last blocks, each normalised.

    (1/K) Σ (h − mean h) / √(var h + 1e-5), h the output of a block, moments over
    ``axis`` of each row.

    Parameters
    ----------
    transformer : Transformer
    tokens : Tensor of shape (B, L, D)
    top : int
        K.
    present : Tensor of bool of shape (B, L), optional
        False for padding.
    axis : {1, 2}, default=2
        Over what the moments are: 2 for the numbers of a token (layer norm), 1 for the
        tokens of a number (instance norm), which takes off what all tokens share.

    Returns
    -------
    Tensor of shape (B, L, D)

    Notes
    -----
    Baevski et al. (2022), doi:10.48550/arXiv.2202.03555.

    Examples
    --------
    >>> import torch
    >>> from semistruct.vlm.components import Transformer, layer_target
    >>> layer_target(Transformer(8, 3, 2), torch.rand(2, 5, 8), top=2).shape
    torch.Size([2, 5, 8])
    """
    states = transformer.states(tokens, present=present)[-top:]
    outputs = torch.stack(states)  # (K, B, L, D)
    spread, mean = torch.var_mean(outputs, dim=axis + 1, correction=0, keepdim=True)
    return ((outputs - mean) / (spread + 1e-5).sqrt()).mean(dim=0)


class LayerPrediction(nn.Module):
    """Student with hidden tokens, and teacher that sees all of them.

    Parameters
    ----------
    tower : PatchModule or TextModule
        The student.
    teacher : EmaTeacher
        Of the tower.
    top : int
        K, at most the tower's blocks.
    axis : {1, 2}, default=2
        As in `layer_target`.

    Attributes
    ----------
    tower : torch.nn.Module
        The student.
    teacher : EmaTeacher
    """

    class Rows(NamedTuple):
        """What it reads.

        Attributes
        ----------
        rows : Tensor
            Images or ids.
        mask : Tensor of bool of shape (B, L)
            True where a token is hidden from the student.
        present : Tensor of bool of shape (B, L) or None
            False for padding.
        """

        rows: Tensor
        mask: Tensor
        present: Tensor | None = None

    class Pair(NamedTuple):
        """What it gives.

        Attributes
        ----------
        output, target : Tensor of shape (B, L, D)
            Of the student and of the teacher.
        """

        output: Tensor
        target: Tensor

    def __init__(
        self, tower: Any, teacher: EmaTeacher, top: int, *, axis: int = 2
    ) -> None:
        super().__init__()
        blocks = len(tower.transformer.blocks)
        check_number(
            top, parameter="top", owner="data2vec", low=1, high=blocks, integer=True
        )
        self.tower, self.teacher = tower, teacher
        self.top, self.axis = top, axis
        dim = tower.transformer.dim
        self.hidden = nn.Parameter(torch.randn(dim) * 0.02)
        self.predict = nn.Linear(dim, dim)

    def forward(self, given: LayerPrediction.Rows) -> LayerPrediction.Pair:
        """Give what the student predicts, and what the teacher makes of all tokens."""
        tokens = self.tower.tokens(given.rows)
        positions = self.tower.positions[: tokens.shape[1]]
        hidden = self.hidden.to(tokens.dtype)
        tokens = torch.where(given.mask[:, :, None], hidden, tokens) + positions
        output = self.predict(self.tower.transformer(tokens, present=given.present))
        with torch.no_grad():
            teacher: Any = self.teacher.module
            whole = teacher.tokens(given.rows) + teacher.positions[: tokens.shape[1]]
            target = layer_target(
                teacher.transformer, whole, self.top, given.present, axis=self.axis
            )
        return LayerPrediction.Pair(output, target)
