"""Which tokens a model does not see: at random, in blocks, in spans.

Letters: B rows, L tokens, k axes of a grid, R rectangles or spans that are drawn.
A mask is True where a token is hidden.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from semistruct._core.validation import check_number

__all__ = ["block_mask", "random_mask", "span_mask"]

_DRAWN = 4  # as many blocks as would fill the share this many times over


def _count(share: float, length: int, owner: str) -> int:
    """Count hidden tokens: at least one, and not all of them."""
    check_number(share, parameter="share", owner=owner, low=0, high=1, closed="neither")
    return min(max(1, round(share * length)), max(1, length - 1))


def random_mask(
    rows: int,
    length: int,
    share: float,
    generator: torch.Generator | None = None,
    device: torch.device | None = None,
) -> Tensor:
    """Hide tokens independently of one another, the same number in each row.

    Parameters
    ----------
    rows, length : int
        B and L.
    share : float in (0, 1)
        Hidden are round(share · L), at least one and at most L − 1.
    generator : torch.Generator, optional
        On ``device``; torch's global one when not given.
    device : torch.device, optional
        Where the mask lies.

    Returns
    -------
    Tensor of bool of shape (B, L)

    Examples
    --------
    >>> from semistruct.vlm.components import random_mask
    >>> random_mask(2, 8, 0.75).sum(dim=1).tolist()
    [6, 6]
    """
    count = _count(share, length, "random_mask")
    noise = torch.rand(rows, length, generator=generator, device=device)
    return _smallest(noise, count)


def block_mask(
    rows: int,
    grid: Sequence[int],
    share: float,
    generator: torch.Generator | None = None,
    device: torch.device | None = None,
) -> Tensor:
    """Hide tokens of a grid in rectangular blocks, the same number in each row.

    Blocks are drawn one after the other, each with sides between a quarter and three
    quarters of the grid's; the last one that is needed is cut to size at random.

    Parameters
    ----------
    rows : int
        B.
    grid : sequence of int
        Tokens along each of k axes, L = ∏ grid.
    share : float in (0, 1)
        As in `random_mask`.
    generator : torch.Generator, optional
        On ``device``; torch's global one when not given.
    device : torch.device, optional
        Where the mask lies.

    Returns
    -------
    Tensor of bool of shape (B, L)

    Notes
    -----
    After Bao et al. (2022), doi:10.48550/arXiv.2106.08254, for any number of axes and
    without loops over rows.

    Examples
    --------
    >>> from semistruct.vlm.components import block_mask
    >>> block_mask(2, (4, 4), 0.5).sum(dim=1).tolist()
    [8, 8]
    """
    length, k = math.prod(grid), len(grid)
    count = _count(share, length, "block_mask")
    drawn = _DRAWN * math.ceil(share * 2**k) + 4
    u = torch.rand(2, rows, drawn, k, generator=generator, device=device)
    sides = torch.tensor(grid, dtype=u.dtype, device=u.device)
    extent = ((0.25 + 0.5 * u[0]) * sides).round().clamp_min(1)
    start = (u[1] * (sides - extent + 1)).floor()
    inside = torch.ones(rows, drawn, *(1,) * k, dtype=torch.bool, device=u.device)
    for axis, n in enumerate(grid):
        place = torch.arange(n, device=u.device)
        low, high = start[..., axis, None], (start + extent)[..., axis, None]
        hit = (place >= low) & (place < high)  # (B, R, n)
        shape = [rows, drawn, *(n if a == axis else 1 for a in range(k))]
        inside = inside & hit.view(shape)
    return _first_hit(inside.flatten(2), count, generator)


def span_mask(
    present: Tensor,
    share: float,
    span: int = 3,
    generator: torch.Generator | None = None,
) -> Tensor:
    """Hide tokens of texts in spans, the same share of each text.

    Parameters
    ----------
    present : Tensor of bool of shape (B, L)
        Tokens that may be hidden: False for padding.
    share : float in (0, 1)
        Of n present tokens round(share · n) are hidden, at least one, none where there
        is none.
    span : int, default=3
        Tokens of a span, at least 1.
    generator : torch.Generator, optional
        On the device of ``present``; torch's global one when not given.

    Returns
    -------
    Tensor of bool of shape (B, L)

    Notes
    -----
    After Joshi et al. (2020), doi:10.1162/tacl_a_00300, with spans of one length.

    Examples
    --------
    >>> import torch
    >>> from semistruct.vlm.components import span_mask
    >>> span_mask(torch.ones(2, 8, dtype=torch.bool), 0.5).sum(dim=1).tolist()
    [4, 4]
    """
    rows, length = present.shape
    owner = "span_mask"
    _count(share, length, owner)
    check_number(span, parameter="span", owner=owner, low=1, integer=True)
    drawn = max(4, math.ceil(_DRAWN * share * length / span))
    u = torch.rand(rows, drawn, generator=generator, device=present.device)
    # starts lie among the places of present tokens
    last = length - present.flip(1).long().argmax(dim=1)
    start = (u * last[:, None]).floor() - (span - 1) // 2
    place = torch.arange(length, device=present.device)
    inside = (place >= start[..., None]) & (place < start[..., None] + span)
    n = present.sum(dim=1)
    wanted = (share * n).round().clamp_min(1).minimum(n)  # (B,)
    return _first_hit(inside, wanted, generator, present)


def _smallest(score: Tensor, count: int | Tensor) -> Tensor:
    """Mark the ``count`` smallest entries of each row."""
    rank = score.argsort(dim=1).argsort(dim=1)
    return rank < (count[:, None] if isinstance(count, Tensor) else count)


def _first_hit(
    inside: Tensor,
    count: int | Tensor,
    generator: torch.Generator | None,
    allowed: Tensor | None = None,
) -> Tensor:
    """Hide ``count`` places, by the order of the first block (B, R, L) with them."""
    rows, drawn, length = inside.shape
    noise = torch.rand(rows, length, generator=generator, device=inside.device)
    first = torch.where(inside.any(dim=1), inside.to(torch.uint8).argmax(dim=1), drawn)
    score = first + noise
    if allowed is not None:
        score = score.masked_fill(~allowed, math.inf)
    return _smallest(score, count)
