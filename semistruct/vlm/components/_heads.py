"""Heads that only training needs: projections and prototypes.

Letters: B rows, F features, h hidden units, d numbers of a projection, K prototypes.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from semistruct.vlm.components._processes import SharedBatchNorm

__all__ = ["Projected", "ProjectionHead", "PrototypeHead"]


class ProjectionHead(nn.Sequential):
    """Perceptron with batch norm: linear, norm, ReLU, …, linear.

    Parameters
    ----------
    features : int
        F.
    hidden : int
        h.
    dim : int
        d.
    layers : int, default=2
        Linear maps, at least 2.

    Notes
    -----
    Chen et al. (2020), doi:10.48550/arXiv.2002.05709.

    Examples
    --------
    >>> import torch
    >>> from semistruct.vlm.components import ProjectionHead
    >>> ProjectionHead(8, 16, 4)(torch.rand(5, 8)).shape
    torch.Size([5, 4])
    """

    def __init__(self, features: int, hidden: int, dim: int, layers: int = 2) -> None:
        parts: list[nn.Module] = []
        before = features
        for _ in range(layers - 1):
            # the norm takes a bias away again
            parts += [
                nn.Linear(before, hidden, bias=False),
                SharedBatchNorm(hidden),
                nn.ReLU(),
            ]
            before = hidden
        super().__init__(*parts, nn.Linear(before, dim))


class PrototypeHead(nn.Module):
    """Cosines between rows and learned prototypes.

    Parameters
    ----------
    dim : int
        d.
    prototypes : int
        K.

    Examples
    --------
    >>> import torch
    >>> from semistruct.vlm.components import PrototypeHead
    >>> PrototypeHead(4, 10)(torch.rand(5, 4)).shape
    torch.Size([5, 10])
    """

    def __init__(self, dim: int, prototypes: int) -> None:
        super().__init__()
        self.vectors = nn.Parameter(torch.randn(prototypes, dim))

    def forward(self, rows: Tensor) -> Tensor:
        """Map (B, d) to (B, K), each in [−1, 1]."""
        rows = functional.normalize(rows, dim=1)
        return rows @ functional.normalize(self.vectors, dim=1).T


class Projected(nn.Module):
    """An image tower, and a head that only training needs.

    Parameters
    ----------
    visual : torch.nn.Module
        From images to features (B, F).
    head : torch.nn.Module
        From features to what the loss compares.

    Examples
    --------
    >>> import torch
    >>> from torch import nn
    >>> from semistruct.vlm.components import Projected, ProjectionHead
    >>> Projected(nn.Flatten(), ProjectionHead(9, 8, 4))(torch.rand(5, 1, 3, 3)).shape
    torch.Size([5, 4])
    """

    def __init__(self, visual: nn.Module, head: nn.Module) -> None:
        super().__init__()
        self.visual, self.head = visual, head

    def forward(self, images: Tensor) -> Tensor:
        """Map (B, C, H, W) to the head's output."""
        return self.head(self.visual(images))
