"""Losses of clustering, regression, matching and masked modelling.

Letters: B rows, K prototypes, L tokens, V ids, d numbers.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from semistruct.vlm.components._processes import gather_rows, own_rows

__all__ = [
    "cosine_regression",
    "hard_negatives",
    "latent_regression",
    "load_balance",
    "masked_modelling",
    "matching_loss",
    "sinkhorn",
    "soft_cross_entropy",
]


@torch.no_grad()
def sinkhorn(scores: Tensor, epsilon: float = 0.05, iterations: int = 3) -> Tensor:
    """Soft assignment of rows to prototypes that are used equally often.

    Starts from exp(scores / ε); in turn columns are scaled to the sum 1/K and rows to
    1/B, over the rows of all processes; at last each row adds up to 1.

    Parameters
    ----------
    scores : Tensor of shape (B, K)
    epsilon : float, default=0.05
        Entropy of the assignment, > 0.
    iterations : int, default=3
        At least 1.

    Returns
    -------
    Tensor of shape (B, K)
        Without gradient.

    Notes
    -----
    Caron et al. (2020), doi:10.48550/arXiv.2006.09882; Cuturi (2013),
    doi:10.48550/arXiv.1306.0895. Computed on the log scale.

    Examples
    --------
    >>> import torch
    >>> from semistruct.vlm.components import sinkhorn
    >>> scores = torch.arange(18.0).sin().view(6, 3)
    >>> sinkhorn(scores, iterations=200).sum(dim=0).round(decimals=3).tolist()
    [2.0, 2.0, 2.0]
    """
    log = gather_rows(scores.float()) / epsilon
    for _ in range(iterations):
        log = log - log.logsumexp(dim=0, keepdim=True)
        log = log - log.logsumexp(dim=1, keepdim=True)
    return log.exp()[own_rows(len(scores), scores.device)].to(scores.dtype)


def soft_cross_entropy(logits: Tensor, targets: Tensor) -> Tensor:
    """Mean over rows of −Σ_k q_k log softmax(logits)_k.

    Parameters
    ----------
    logits : Tensor of shape (B, K)
    targets : Tensor of shape (B, K)
        q, no gradient goes into it.

    Returns
    -------
    Tensor, scalar

    Examples
    --------
    >>> import torch
    >>> from semistruct.vlm.components import soft_cross_entropy
    >>> round(soft_cross_entropy(torch.zeros(1, 2), torch.ones(1, 2) / 2).item(), 4)
    0.6931
    """
    return -(targets.detach() * logits.log_softmax(dim=-1)).sum(dim=-1).mean()


def cosine_regression(output: Tensor, target: Tensor) -> Tensor:
    """Mean over rows of 2 − 2 cos(output, target).

    Parameters
    ----------
    output, target : Tensor of shape (B, d)
        No gradient goes into the target.

    Returns
    -------
    Tensor, scalar
        In [0, 4].

    Notes
    -----
    Grill et al. (2020), doi:10.48550/arXiv.2006.07733.

    Examples
    --------
    >>> import torch
    >>> from semistruct.vlm.components import cosine_regression
    >>> cosine_regression(torch.ones(2, 3), torch.ones(2, 3)).abs().item() < 1e-6
    True
    """
    cosine = functional.cosine_similarity(output, target.detach(), dim=-1)
    return (2 - 2 * cosine).mean()


def latent_regression(
    output: Tensor, target: Tensor, mask: Tensor, beta: float = 0.0
) -> Tensor:
    """Mean error of the hidden tokens: squared, or smooth L1.

    With r = output − target: ½ r²/β where |r| < β, else |r| − ½ β; r² for β = 0.

    Parameters
    ----------
    output, target : Tensor of shape (B, L, d)
        No gradient goes into the target.
    mask : Tensor of bool of shape (B, L)
        True where a token counts.
    beta : float, default=0.0
        β ≥ 0.

    Returns
    -------
    Tensor, scalar
        0 where no token counts.

    Notes
    -----
    He et al. (2022), doi:10.1109/CVPR52688.2022.01553; smooth L1: Baevski et al.
    (2022), doi:10.48550/arXiv.2202.03555.

    Examples
    --------
    >>> import torch
    >>> from semistruct.vlm.components import latent_regression
    >>> hidden = torch.tensor([[True, False]])
    >>> latent_regression(torch.ones(1, 2, 3), torch.zeros(1, 2, 3), hidden).item()
    1.0
    """
    target = target.detach()
    if beta > 0:
        error = functional.smooth_l1_loss(output, target, reduction="none", beta=beta)
    else:
        error = (output - target).square()
    counted = mask.to(error.dtype)
    return (error.mean(dim=-1) * counted).sum() / counted.sum().clamp_min(1.0)


def masked_modelling(logits: Tensor, ids: Tensor, mask: Tensor) -> Tensor:
    """Mean cross-entropy of the hidden tokens' ids.

    Parameters
    ----------
    logits : Tensor of shape (B, L, V)
    ids : Tensor of int64 of shape (B, L)
    mask : Tensor of bool of shape (B, L)
        True where a token was hidden.

    Returns
    -------
    Tensor, scalar
        0 where none was.

    Notes
    -----
    Devlin et al. (2019), doi:10.18653/v1/N19-1423.

    Examples
    --------
    >>> import torch
    >>> from semistruct.vlm.components import masked_modelling
    >>> hidden = torch.tensor([[True, False]])
    >>> loss = masked_modelling(torch.zeros(1, 2, 4), torch.tensor([[1, 2]]), hidden)
    >>> round(loss.item(), 4)
    1.3863
    """
    error = functional.cross_entropy(logits.transpose(1, 2), ids, reduction="none")
    counted = mask.to(error.dtype)
    return (error * counted).sum() / counted.sum().clamp_min(1.0)


@torch.no_grad()
def hard_negatives(
    scores: Tensor,
    generator: torch.Generator | None = None,
    labels: Tensor | None = None,
) -> Tensor:
    """Draw a wrong partner for each row, the likelier the more similar it is.

    Parameters
    ----------
    scores : Tensor of shape (B, B)
        Logits; row i and column i belong together.
    generator : torch.Generator, optional
        Torch's global one when not given.
    labels : Tensor of int64 of shape (B,), optional
        Rows of the same label are no negatives of one another; a row that has no other
        label beside it gets any other row.

    Returns
    -------
    Tensor of int64 of shape (B,)
        Column of each row's negative, never its own where B > 1.

    Notes
    -----
    Li et al. (2021), doi:10.48550/arXiv.2107.07651.

    Examples
    --------
    >>> import torch
    >>> from semistruct.vlm.components import hard_negatives
    >>> hard_negatives(torch.tensor([[5.0, 1.0], [1.0, 5.0]])).tolist()
    [1, 0]
    """
    own = torch.eye(len(scores), dtype=torch.bool, device=scores.device)
    wrong = own
    if labels is not None:
        same = labels[:, None] == labels
        wrong = torch.where(same.all(dim=1, keepdim=True), own, same)
    if len(scores) == 1:
        return torch.zeros(1, dtype=torch.int64, device=scores.device)
    weight = scores.float().masked_fill(wrong, float("-inf")).softmax(dim=1)
    return torch.multinomial(weight, 1, generator=generator)[:, 0]


def matching_loss(right: Tensor, wrong: Tensor) -> Tensor:
    """Logistic loss of telling true pairs from false ones.

    Parameters
    ----------
    right : Tensor of shape (n,)
        Logits of true pairs.
    wrong : Tensor of shape (m,)
        Logits of false ones.

    Returns
    -------
    Tensor, scalar
        Mean over the n + m pairs.

    Examples
    --------
    >>> import torch
    >>> from semistruct.vlm.components import matching_loss
    >>> round(matching_loss(torch.zeros(1), torch.zeros(2)).item(), 4)
    0.6931
    """
    return functional.softplus(torch.cat([-right, wrong])).mean()


def load_balance(probability: Tensor, gates: Tensor) -> Tensor:
    """Penalty on a router that prefers few experts.

    E · Σ_e f_e P_e, f_e the share of tokens that take expert e (of all choices), P_e
    the mean probability of it; 1 when balanced.

    Parameters
    ----------
    probability, gates : Tensor of shape (T, E)
        As `MixtureOfExperts.route` gives them.

    Returns
    -------
    Tensor, scalar

    Notes
    -----
    Fedus et al. (2022), doi:10.48550/arXiv.2101.03961.

    Examples
    --------
    >>> import torch
    >>> from semistruct.vlm.components import load_balance
    >>> load_balance(torch.full((4, 2), 0.5), torch.eye(2).repeat(2, 1)).item()
    1.0
    """
    taken = (gates > 0).to(probability.dtype)
    share = taken.sum(dim=0) / taken.sum().clamp_min(1.0)
    return probability.shape[1] * (share * probability.mean(dim=0)).sum()
