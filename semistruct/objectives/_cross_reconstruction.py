"""Reconstruction of modalities, each from its own code and from those of the others.

Letters: B rows, M modalities, p_m columns of one, q length of a code.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from semistruct.exceptions import DataError

from ._reconstruction import reconstruction_loss

__all__ = ["cross_reconstruction_loss"]


def cross_reconstruction_loss(
    rows: Sequence[Tensor],
    codes: Sequence[Tensor],
    decoders: Sequence[Callable[[Tensor], Tensor]],
    present: Tensor | None = None,
    *,
    cross: bool = True,
) -> Tensor:
    """Sum of mean squared errors: each modality from its code and from every other.

    Σ_i ‖x_i − D_i(z_i)‖² / p_i, and with ``cross`` also
    Σ_{i≠j} ‖x_j − D_j(z_i)‖² / p_j, each a mean over the rows that have both, so that
    modalities with many columns do not outweigh those with few.

    Parameters
    ----------
    rows : sequence of M Tensor of shape (B, p_m)
        x_1 … x_M, best standardised.
    codes : sequence of M Tensor of shape (B, q)
        z_m = E_m(x_m); of one length for ``cross``.
    decoders : sequence of M callables
        D_m, maps (B, q) to (B, p_m).
    present : Tensor of bool of shape (B, M), optional
        True where a row has a modality; by default everywhere.
    cross : bool, default=True
        Whether each modality is to be read from the codes of the others.

    Returns
    -------
    Tensor, scalar

    References
    ----------
    Tong et al. (2020), BMC Medical Informatics and Decision Making 20, 225,
    doi:10.1186/s12911-020-01225-8

    Examples
    --------
    >>> import torch
    >>> from semistruct.objectives import cross_reconstruction_loss
    >>> x = [torch.ones(3, 2), 2 * torch.ones(3, 2)]
    >>> own = [lambda z: z, lambda z: z]
    >>> cross_reconstruction_loss(x, x, own).item()  # 0 + 0 + 1 + 1
    2.0
    """
    n = len(rows)
    if not (n == len(codes) == len(decoders)):
        raise DataError(
            "cross_reconstruction_loss: rows, codes and decoders must be one for each "
            f"modality, got {n}, {len(codes)} and {len(decoders)}."
        )
    total = codes[0].new_zeros(())
    for i, code in enumerate(codes):
        for j in range(n) if cross else (i,):
            cells = torch.ones_like(rows[j])
            if present is not None:
                cells = cells * (present[:, i] & present[:, j])[:, None]
            total = total + reconstruction_loss(decoders[j](code), rows[j], cells)
    return total
