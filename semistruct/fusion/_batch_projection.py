"""The orthogonalisation cell of one batch, for training.

Letters: B rows of the batch, p structured columns, r their rank, q latent features.
"""

from __future__ import annotations

import torch
from torch import Tensor

from semistruct.exceptions import DataError

__all__ = ["project_batch"]


def project_batch(
    latent: Tensor,
    X: Tensor,
    weight: Tensor | None = None,
    mask: Tensor | None = None,
) -> Tensor:
    """Take the batch's structured columns out of its latent features.

    Ũ = U − X(X'WX)⁻X'WU over the rows of the batch; differentiable in U. A prediction
    made with it depends on the rows beside it: it is for training. To predict, use
    `fit_projection` over all rows of fit and `apply_projection`.

    Parameters
    ----------
    latent : Tensor of shape (B, q)
        U, or a linear function of it such as its contribution to η.
    X : Tensor of shape (B, p)
        Structured columns of the same rows; they may depend on one another. No gradient
        goes into them.
    weight : Tensor of shape (B,), optional
        Diagonal of W, ≥ 0; 1 when not given.
    mask : Tensor of bool of shape (B,), optional
        True where the modality is present; other rows do not count and come out as 0.

    Returns
    -------
    Tensor of shape (B, q)
        Of the type of ``latent``; computed in float64 where the device has it. All 0,
        and without a gradient, where the rank of X reaches the number of rows that
        count: choose batches of several times p rows.

    Raises
    ------
    DataError
        When the numbers of rows differ.

    Notes
    -----
    Source: Rügamer, Kolb & Klein (2024), doi:10.1080/00031305.2022.2164054. There X'X
    is inverted; here √W X has a pseudo-inverse by singular values, which knows the
    rank.

    Examples
    --------
    >>> import torch
    >>> from semistruct.fusion import project_batch
    >>> X = torch.tensor([[1.0, 0.0], [1.0, 1.0], [1.0, 2.0], [1.0, 3.0]])
    >>> U = torch.tensor([[1.0], [3.0], [2.0], [4.0]])
    >>> (X.T @ project_batch(U, X)).abs().max() < 1e-5
    tensor(True)
    """
    n = len(latent)
    for name, part in (("X", X), ("weight", weight), ("mask", mask)):
        if part is not None and len(part) != n:
            raise DataError(
                f"project_batch: {name} has {len(part)} rows, the latents have {n}."
            )
    kind = torch.float32 if latent.device.type == "mps" else torch.float64
    root = torch.ones(n, dtype=kind, device=latent.device)
    if weight is not None:
        root = weight.to(kind).clamp(min=0).sqrt()
    values, columns = latent.to(kind), X.detach().to(kind)
    if mask is not None:
        present = mask.bool()[:, None]
        root = torch.where(present[:, 0], root, torch.zeros_like(root))
        # a masked row may hold anything
        values = torch.where(present, values, torch.zeros_like(values))
        columns = torch.where(present, columns, torch.zeros_like(columns))
    inverse, rank = _pseudo_inverse(root[:, None] * columns)  # (p, B)
    if rank >= int((root > 0).sum()):
        return torch.zeros_like(latent)
    coefficients = inverse @ (root[:, None] * values)  # (p, q)
    return (values - columns @ coefficients).to(latent.dtype)


def _pseudo_inverse(columns: Tensor) -> tuple[Tensor, int]:
    """Give the pseudo-inverse (p, B) of columns (B, p) in any units, and their rank."""
    size = columns.norm(dim=0)
    size = torch.where(size > 0, size, torch.ones_like(size))
    if 0 in columns.shape:
        return columns.T, 0
    left, values, right = torch.linalg.svd(columns / size, full_matrices=False)
    tolerance = values[0] * max(columns.shape) * torch.finfo(columns.dtype).eps
    rank = int((values > tolerance).sum())
    inverse = right[:rank].T @ (left[:, :rank] / values[:rank]).T
    return inverse / size[:, None], rank
