"""Losses that tell pairs from non-pairs.

Letters: n rows of this process, N rows of all processes, d numbers of an embedding,
K texts of a row, τ temperature. Rows are L2-normalised where a cosine is meant.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from semistruct.vlm.components._processes import gather_rows, own_rows

__all__ = [
    "info_nce",
    "mil_nce",
    "nt_xent",
    "pair_info_nce",
    "triplet_loss",
]


def info_nce(logits: Tensor, targets: Tensor, smoothing: float = 0.0) -> Tensor:
    """Cross-entropy between a softmax over candidates and soft targets.

    −(1/n) Σ_i Σ_j q_ij log softmax(logits_i)_j, with q the targets mixed with the
    uniform distribution.

    Parameters
    ----------
    logits : Tensor of shape (n, N)
    targets : Tensor of shape (n, N) or, of int64, (n,)
        Non-negative and adding up to 1 in each row, or the one right candidate.
    smoothing : float in [0, 1), default=0.0
        Share of the uniform distribution.

    Returns
    -------
    Tensor, scalar

    Notes
    -----
    van den Oord et al. (2018), doi:10.48550/arXiv.1807.03748.

    Examples
    --------
    >>> import torch
    >>> from semistruct.vlm.components import info_nce
    >>> round(info_nce(torch.zeros(2, 4), torch.tensor([0, 1])).item(), 4)  # log 4
    1.3863
    """
    return functional.cross_entropy(logits, targets, label_smoothing=smoothing)


def pair_info_nce(
    image: Tensor,
    text: Tensor,
    scale: Tensor | float,
    labels: Tensor | None = None,
    smoothing: float = 0.0,
) -> Tensor:
    """Mean of image → text and text → image `info_nce`, over all processes' rows.

    Parameters
    ----------
    image, text : Tensor of shape (n, d)
        L2-normalised; row i of one belongs to row i of the other.
    scale : Tensor (scalar) or float
        1/τ.
    labels : Tensor of int64 of shape (n,), optional
        Rows of the same label are positives of one another, each with the same weight;
        each row its own label when not given.
    smoothing : float in [0, 1), default=0.0
        As in `info_nce`.

    Returns
    -------
    Tensor, scalar
        Mean over this process's rows.

    Notes
    -----
    Radford et al. (2021), doi:10.48550/arXiv.2103.00020; labels: Yang et al. (2022),
    doi:10.48550/arXiv.2204.03610, in which a row's loss is a mean over its positives.

    Examples
    --------
    >>> import torch
    >>> from semistruct.vlm.components import pair_info_nce
    >>> pair_info_nce(torch.eye(3), torch.eye(3), 100.0).item() < 1e-6
    True
    """
    images, texts = gather_rows(image), gather_rows(text)  # (N, d)
    targets = own_rows(len(image), image.device)
    if labels is not None:
        same = (labels[:, None] == gather_rows(labels)[None]).to(image.dtype)
        targets = same / same.sum(dim=1, keepdim=True)  # (n, N)
    forward = info_nce(scale * image @ texts.T, targets, smoothing)
    backward = info_nce(scale * text @ images.T, targets, smoothing)
    return (forward + backward) / 2


def nt_xent(first: Tensor, second: Tensor, temperature: float) -> Tensor:
    """Each view is to find the other one among all views of all rows but itself.

    Parameters
    ----------
    first, second : Tensor of shape (n, d)
        Two views of the same rows, L2-normalised.
    temperature : float
        τ > 0.

    Returns
    -------
    Tensor, scalar
        Mean over the 2n views of this process.

    Notes
    -----
    Chen et al. (2020), doi:10.48550/arXiv.2002.05709.

    Examples
    --------
    >>> import torch
    >>> from semistruct.vlm.components import nt_xent
    >>> round(nt_xent(torch.eye(2), torch.eye(2), 1.0).item(), 4)  # log(e + 2) − 1
    0.5514
    """
    firsts, seconds = gather_rows(first), gather_rows(second)
    N = len(firsts)
    own = own_rows(len(first), first.device)
    views, others = torch.cat([first, second]), torch.cat([firsts, seconds])
    itself = torch.cat([own, own + N])  # (2n,) its place among the 2N
    logits = views @ others.T / temperature
    logits = logits.scatter(1, itself[:, None], float("-inf"))
    return functional.cross_entropy(logits, torch.cat([own + N, own]))


def triplet_loss(
    image: Tensor, text: Tensor, margin: float, *, hardest: bool = True
) -> Tensor:
    """Hinge loss of pairs against wrong partners, both ways.

    Σ over negatives (or the maximum over them) of max(0, α − s_ii + s_ij), and of
    max(0, α − s_ii + s_ji), averaged over the rows; s is the inner product.

    Parameters
    ----------
    image, text : Tensor of shape (n, d)
        L2-normalised; row i of one belongs to row i of the other.
    margin : float
        α ≥ 0.
    hardest : bool, default=True
        Whether only the hardest negative counts.

    Returns
    -------
    Tensor, scalar
        Mean over this process's rows.

    Notes
    -----
    Faghri et al. (2018), doi:10.48550/arXiv.1707.05612.

    Examples
    --------
    >>> import torch
    >>> from semistruct.vlm.components import triplet_loss
    >>> triplet_loss(torch.eye(3), torch.eye(3), 0.2).item()
    0.0
    """
    images, texts = gather_rows(image), gather_rows(text)
    own = own_rows(len(image), image.device)
    right = (image * text).sum(dim=1, keepdim=True)  # s_ii
    total = right.new_zeros(())
    for scores in (image @ texts.T, text @ images.T):
        cost = (margin - right + scores).clamp_min(0.0)
        cost = cost.scatter(1, own[:, None], 0.0)
        total = total + (cost.amax(dim=1) if hardest else cost.sum(dim=1)).mean()
    return total


def mil_nce(image: Tensor, texts: Tensor, scale: Tensor | float = 1.0) -> Tensor:
    """Contrast where any of K texts of a row may be its partner.

    −mean_i log[ Σ_k e^{s(i, ik)} / (Σ_k e^{s(i, ik)} + Σ_{j≠i,k} (e^{s(i, jk)} +
    e^{s(j, ik)})) ], s the scaled inner product.

    Parameters
    ----------
    image : Tensor of shape (n, d)
    texts : Tensor of shape (n, K, d)
    scale : Tensor (scalar) or float, default=1.0

    Returns
    -------
    Tensor, scalar
        Mean over this process's rows.

    Notes
    -----
    Miech et al. (2020), doi:10.1109/CVPR42600.2020.00990.

    Examples
    --------
    >>> import torch
    >>> from semistruct.vlm.components import mil_nce
    >>> mil_nce(torch.eye(3), torch.eye(3)[:, None], 100.0).item() < 1e-6
    True
    """
    n = len(texts)
    images, all_texts = gather_rows(image), gather_rows(texts)
    own = own_rows(n, image.device)
    to_text = scale * torch.einsum("id,jkd->ijk", image, all_texts)  # (n, N, K)
    to_image = scale * torch.einsum("jd,ikd->ijk", images, texts)  # (n, N, K)
    row = torch.arange(n, device=image.device)
    right = to_text[row, own]  # (n, K)
    others = to_image.index_put((row, own), right.new_tensor(float("-inf")))
    whole = torch.cat([to_text.flatten(1), others.flatten(1)], dim=1)
    return (whole.logsumexp(dim=1) - right.logsumexp(dim=1)).mean()
