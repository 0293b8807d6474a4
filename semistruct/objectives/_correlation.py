"""Correlation of two latent vectors of the same rows.

Letters: B rows, p and q lengths of the latent vectors, r = min(p, q).
"""

from __future__ import annotations

import torch
from torch import Tensor

from semistruct._core.validation import check_number
from semistruct.exceptions import DataError

__all__ = ["canonical_correlation", "pearson_correlation"]


def pearson_correlation(
    first: Tensor, second: Tensor, present: Tensor | None = None
) -> Tensor:
    """Sum over the dimensions of the correlation of first[:, k] and second[:, k].

    Parameters
    ----------
    first, second : Tensor of shape (B, q)
        Latent vectors.
    present : Tensor of bool of shape (B,), optional
        Rows that count; by default all.

    Returns
    -------
    Tensor, scalar
        In [-q, q]; 0 with fewer than two rows. A dimension that does not vary adds 0.

    References
    ----------
    Yao et al. (2017), MICCAI, 406-414, doi:10.1007/978-3-319-66185-8_46

    Examples
    --------
    >>> import torch
    >>> from semistruct.objectives import pearson_correlation
    >>> a = torch.tensor([[1.0, 0.0], [2.0, 1.0], [3.0, 0.0]])
    >>> round(pearson_correlation(a, torch.stack([-a[:, 0], a[:, 1]], 1)).item(), 4)
    0.0
    """
    if first.shape != second.shape or first.ndim != 2:
        raise DataError(
            "pearson_correlation: both must be (B, q), got "
            f"{tuple(first.shape)} and {tuple(second.shape)}. "
            "Give the encoders one output_dim."
        )
    a, b = _centred(first, present), _centred(second, present)
    if len(a) < 2:
        return (first.sum() + second.sum()) * 0
    variance = a.square().sum(0) * b.square().sum(0)
    safe = variance.where(variance > 0, 1)
    return ((a * b).sum(0) / safe.sqrt()).where(variance > 0, 0).sum()


def canonical_correlation(
    first: Tensor, second: Tensor, present: Tensor | None = None, ridge: float = 1e-3
) -> Tensor:
    """Sum of the canonical correlations, the trace norm of Σ₁₁^-½ Σ₁₂ Σ₂₂^-½.

    Parameters
    ----------
    first : Tensor of shape (B, p)
        Latent vectors.
    second : Tensor of shape (B, q)
        Latent vectors.
    present : Tensor of bool of shape (B,), optional
        Rows that count; by default all.
    ridge : float, default=1e-3
        Added to the variances on the diagonals of Σ₁₁ and Σ₂₂, > 0.

    Returns
    -------
    Tensor, scalar
        In [0, r]; 0 with fewer than two rows.

    Notes
    -----
    The value is noise where a batch has few rows beside p + q.

    References
    ----------
    Andrew et al. (2013), Deep canonical correlation analysis, PMLR 28, 1247-1255

    Examples
    --------
    >>> import torch
    >>> from semistruct.objectives import canonical_correlation
    >>> a = torch.tensor([[1.0, 0.0], [2.0, 1.0], [3.0, 0.0], [5.0, 2.0]])
    >>> mixed = a @ torch.tensor([[1.0, 2.0], [0.0, -1.0]])
    >>> round(canonical_correlation(a, mixed, ridge=1e-6).item(), 2)
    2.0
    """
    check_number(
        ridge,
        parameter="ridge",
        owner="canonical_correlation",
        low=0,
        closed="neither",
    )
    if first.ndim != 2 or second.ndim != 2 or len(first) != len(second):
        raise DataError(
            "canonical_correlation: both must have two axes and the same rows, got "
            f"{tuple(first.shape)} and {tuple(second.shape)}."
        )
    a, b = _centred(first, present), _centred(second, present)
    if len(a) < 2:
        return (first.sum() + second.sum()) * 0
    left = _root(a, ridge)
    right = _root(b, ridge)
    cross = a.T @ b / (len(a) - 1)  # (p, q)
    half = torch.linalg.solve_triangular(left, cross, upper=False)
    whole = torch.linalg.solve_triangular(right, half.T, upper=False)
    return torch.linalg.svdvals(whole).sum()


def _centred(rows: Tensor, present: Tensor | None) -> Tensor:
    rows = rows if present is None else rows[present]
    return rows - rows.mean(0) if len(rows) else rows


def _root(rows: Tensor, ridge: float) -> Tensor:
    """Cholesky factor of the covariance of centred rows."""
    covariance = rows.T @ rows / (len(rows) - 1)
    eye = torch.eye(rows.shape[1], dtype=rows.dtype, device=rows.device)
    return torch.linalg.cholesky(covariance + ridge * eye)
