"""Two towers into one space.

Letters: B rows, F features of a tower, d numbers of an embedding.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from torch import Tensor, nn
from torch.nn import functional

__all__ = ["DualNetwork", "Embeddings"]


class Embeddings(NamedTuple):
    """Rows of both modalities in the common space.

    Attributes
    ----------
    image, text : Tensor of shape (B, d)
        L2-normalised.
    """

    image: Tensor
    text: Tensor


class DualNetwork(nn.Module):
    """An image tower and a text tower, each with a linear map into the common space.

    Parameters
    ----------
    visual : torch.nn.Module
        From images to features (B, F).
    textual : torch.nn.Module
        From ids to features (B, F').
    image_head, text_head : torch.nn.Module
        From features to (B, d).

    Examples
    --------
    >>> import torch
    >>> from torch import nn
    >>> from semistruct.vlm.components import DualNetwork
    >>> towers = [nn.Flatten(), nn.Flatten()]
    >>> network = DualNetwork(*towers, nn.Linear(9, 4), nn.Identity())
    >>> found = network({"image": torch.rand(5, 1, 3, 3), "text": torch.rand(5, 4)})
    >>> found.image.shape, found.text.shape
    (torch.Size([5, 4]), torch.Size([5, 4]))
    """

    def __init__(
        self,
        visual: nn.Module,
        textual: nn.Module,
        image_head: nn.Module,
        text_head: nn.Module,
    ) -> None:
        super().__init__()
        self.visual, self.textual = visual, textual
        self.image_head, self.text_head = image_head, text_head

    def embed_image(self, images: Tensor) -> Tensor:
        """Map (B, C, H, W) to (B, d), of length 1."""
        return functional.normalize(self.image_head(self.visual(images)), dim=1)

    def embed_text(self, ids: Tensor) -> Tensor:
        """Map ids (B, L) to (B, d), of length 1."""
        return functional.normalize(self.text_head(self.textual(ids)), dim=1)

    def forward(self, batch: Mapping[str, Tensor]) -> Embeddings:
        """Embed ``batch["image"]`` and ``batch["text"]``."""
        return Embeddings(
            self.embed_image(batch["image"]), self.embed_text(batch["text"])
        )
