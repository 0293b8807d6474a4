"""Similarity of a row's own modalities.

Letters: B rows, M modalities, q length of a latent vector.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.functional import normalize

from semistruct._core.validation import check_number
from semistruct.exceptions import DataError

__all__ = ["similarity_loss", "stacked"]


def similarity_loss(
    latents: Sequence[Tensor], present: Tensor | None = None, margin: float = 0.1
) -> Tensor:
    """Hinge loss that draws the modalities of one row together and rows apart.

    With h_i(x) the latent vector of modality i of row x, the mean over rows x ≠ y and
    modalities i ≠ j of max(0, margin − cos(h_i(x), h_j(x)) + cos(h_i(x), h_j(y))).

    Parameters
    ----------
    latents : sequence of M Tensor of shape (B, q)
        h_1 … h_M, all of one length.
    present : Tensor of bool of shape (B, M), optional
        True where a row has a modality; by default everywhere. A term counts where
        h_i(x), h_j(x) and h_j(y) are present.
    margin : float, default=0.1
        At least 0.

    Returns
    -------
    Tensor, scalar
        0 when no term counts.

    References
    ----------
    Cheerla & Gevaert (2019), Bioinformatics 35, i446-i454,
    doi:10.1093/bioinformatics/btz342

    Examples
    --------
    >>> import torch
    >>> from semistruct.objectives import similarity_loss
    >>> image = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    >>> similarity_loss([image, image]).item()  # own cosine 1, the others' 0
    0.0
    >>> round(similarity_loss([image, image.flip(0)]).item(), 4)
    1.1
    """
    owner = "similarity_loss"
    check_number(margin, parameter="margin", owner=owner, low=0)
    h = normalize(stacked(latents, owner), dim=2, eps=1e-8)  # (B, M, q)
    n, m = h.shape[:2]
    if present is None:
        present = torch.ones(n, m, dtype=torch.bool, device=h.device)
    cosine = torch.einsum("xiq,yjq->ijxy", h, h)  # of h_i(x) and h_j(y)
    own = cosine.diagonal(dim1=2, dim2=3)  # (M, M, B)
    hinge = (margin - own[..., None] + cosine).clamp_min(0)
    there = present.T  # (M, B)
    both = there[:, None] & there[None]  # h_i(x) and h_j(x)
    valid = both[..., None] & there[None, :, None]  # and h_j(y)
    valid = valid & ~torch.eye(m, dtype=torch.bool, device=h.device)[:, :, None, None]
    valid = valid & ~torch.eye(n, dtype=torch.bool, device=h.device)
    return hinge.where(valid, 0.0).sum() / valid.sum().clamp_min(1)


def stacked(latents: Sequence[Tensor], owner: str) -> Tensor:
    """Put latents of one length side by side, (B, M, q), or say that they are not."""
    shapes = [tuple(latent.shape) for latent in latents]
    if len(shapes) < 2 or len(set(shapes)) > 1 or len(shapes[0]) != 2:
        raise DataError(
            f"{owner}: it takes latent vectors of two modalities or more, all of one "
            f"length; got the shapes {shapes}. Give the encoders one output_dim."
        )
    return torch.stack(list(latents), dim=1)
