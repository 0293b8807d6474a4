"""Log-likelihoods of censored and truncated rows, with derivatives in closed form.

With w(t) = (log t − μ) / σ and s = log σ, a row contributes log f₀(w) − s − log t where
its event was seen at t, log S₀(w) or log F₀(w) where it is censored on the right or on
the left, log[S₀(a) − S₀(b)] where it lies between two times, and −log S₀(w) of its
entry in any case. Klein and Moeschberger (2003), doi:10.1007/b97377, section 3.5.

Letters: n rows, m rows of one kind, p = 1/σ. Derivatives in (μ, s) are listed as
μ, s; μμ, μs, ss; μμμ, μμs, μss, sss.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from semistruct.families._censored_standard import Standard, differentiable
from semistruct.families._special import log1mexp

# S₀(b) / S₀(a) is no more than rounding of 1 − S₀(b) / S₀(a), and of its derivatives
_GONE = 600.0
# places of i, j, k in the lists of second and third derivatives
_PAIRS = ((0, 0), (0, 1), (1, 1))
_PLACE = {(0, 0): 0, (0, 1): 1, (1, 1): 2}
_TRIPLES = ((0, 0, 0), (0, 0, 1), (0, 1, 1), (1, 1, 1))


class Kinds(NamedTuple):
    """Numbers (m,) of the rows of each kind."""

    exact: Tensor
    right: Tensor
    left: Tensor
    between: Tensor
    late: Tensor


class Derivatives(NamedTuple):
    """Value and derivatives in (μ, s), as lists of tensors (m,)."""

    value: Tensor
    first: list[Tensor]
    second: list[Tensor]
    third: list[Tensor]


def kinds(y: Tensor) -> Kinds:
    """Sort rows (entry, lower, upper) by what is known of their event."""
    entry, lower, upper = y.unbind(-1)
    exact, right = lower == upper, torch.isinf(upper)
    left = ~right & (lower == 0.0)
    masks = (exact, right, left, ~(exact | right | left), entry > 0.0)
    return Kinds(*(torch.nonzero(mask)[:, 0] for mask in masks))


def _aligned(y: Tensor, *theta: Tensor) -> tuple[Tensor, ...]:
    """Return y and parameters (n,) in the wider type of y and the first of them."""
    dtype = torch.promote_types(y.dtype, theta[0].dtype)
    parts = (t.to(dtype).expand(y.shape[:1]) for t in theta)
    return (y.to(dtype), *parts)


def log_likelihood(
    y: Tensor, loc: Tensor, scale: Tensor, log_scale: Tensor, standard: Standard
) -> Tensor:
    """Return the log-likelihood (n,), differentiable in μ and σ up to third order.

    Parameters
    ----------
    y : Tensor of shape (n, 3)
        (entry, lower, upper).
    loc, scale, log_scale : Tensor of shape (n,) or ()
    standard : Standard
    """
    y, loc, scale, log_scale = _aligned(y, loc, scale, log_scale)
    rows = kinds(y)
    total = torch.zeros_like(loc)

    def at(index: Tensor, column: int) -> Tensor:
        return (torch.log(y[index, column]) - loc[index]) / scale[index]

    def add(index: Tensor, values: Tensor) -> Tensor:
        return total.index_add(0, index, values)

    if len(rows.exact):
        own = rows.exact
        value = differentiable(standard.log_density, at(own, 1))
        total = add(own, value - log_scale[own] - torch.log(y[own, 1]))
    if len(rows.right):
        total = add(
            rows.right, differentiable(standard.log_survival, at(rows.right, 1))
        )
    if len(rows.left):
        total = add(rows.left, differentiable(standard.log_cdf, at(rows.left, 2)))
    if len(rows.between):
        near, far, _ = _turned(at(rows.between, 1), at(rows.between, 2), standard)
        top = differentiable(standard.log_survival, near)
        rest = standard.log_survival(far.detach(), 0)[0]
        gone = top.detach() - rest > _GONE
        far = torch.where(gone, 0.0, far)  # whose derivatives may be infinite
        gap = top - differentiable(standard.log_survival, far)
        mass = log1mexp(torch.where(gone, 1.0, gap))
        total = add(rows.between, top + torch.where(gone, 0.0, mass))
    if len(rows.late):
        total = add(rows.late, -differentiable(standard.log_survival, at(rows.late, 0)))
    return total


def row_jets(
    y: Tensor, loc: Tensor, log_scale: Tensor, standard: Standard, order: int
) -> Derivatives:
    """Return log-likelihood and derivatives of order 1 … ``order`` ≤ 3, each (n,).

    Parameters are those of :func:`log_likelihood`; nothing is traced by autograd.
    """
    y, loc, log_scale = _aligned(y, loc.detach(), log_scale.detach())
    precision = torch.exp(-log_scale)
    rows = kinds(y)
    counts = (1, 2, 3, 4)
    out = [[torch.zeros_like(loc) for _ in range(counts[k])] for k in range(order + 1)]

    def at(index: Tensor, column: int) -> Tensor:
        return (torch.log(y[index, column]) - loc[index]) * precision[index]

    def add(index: Tensor, part: Derivatives, sign: float = 1.0) -> None:
        groups = ([part.value], part.first, part.second, part.third)
        for mine, theirs in zip(out, groups, strict=False):
            for total, values in zip(mine, theirs, strict=True):
                total.index_add_(0, index, values, alpha=sign)

    if len(rows.exact):
        own, w = rows.exact, at(rows.exact, 1)
        part = _at_point(standard.log_density(w, order), w, precision[own])
        part.first[1].sub_(1.0)
        value = part.value - log_scale[own] - torch.log(y[own, 1])
        add(own, part._replace(value=value))
    singles = (
        (rows.right, 1, standard.log_survival, 1.0),
        (rows.left, 2, standard.log_cdf, 1.0),
        (rows.late, 0, standard.log_survival, -1.0),
    )
    for index, column, jet, sign in singles:
        if len(index):
            w = at(index, column)
            add(index, _at_point(jet(w, order), w, precision[index]), sign)
    if len(rows.between):
        own = rows.between
        ends = at(own, 1), at(own, 2)
        add(own, _between(*ends, precision[own], standard, order))
    first, second, third = [*out[1:], [], []][:3]
    return Derivatives(out[0][0], first, second, third)


def _at_point(g: list[Tensor], w: Tensor, precision: Tensor) -> Derivatives:
    """Return derivatives in (μ, s) of g(w), given its derivatives in w."""
    order = len(g) - 1
    first, second, third = [-precision * g[1], -w * g[1]], [], []
    if order > 1:
        slope = g[1] + w * g[2]
        second = [precision * precision * g[2], precision * slope, w * slope]
    if order > 2:
        bend = precision * (2.0 * g[2] + w * g[3])
        slope = g[1] + w * (3.0 * g[2] + w * g[3])
        steep = -(precision**3) * g[3]
        third = [steep, -precision * bend, -precision * slope, -w * slope]
    return Derivatives(g[0], first, second, third)


def _turned(
    low: Tensor, high: Tensor, standard: Standard
) -> tuple[Tensor, Tensor, Tensor]:
    """Mirror intervals of symmetric distributions to where S₀ is small.

    Gives the ends (m,) and the sign (m,) by which w was multiplied.
    """
    if not standard.symmetric:
        return low, high, torch.ones_like(low)
    below = (low + high).detach() < 0.0
    near, far = torch.where(below, -high, low), torch.where(below, -low, high)
    return near, far, torch.where(below, -1.0, 1.0).to(low.dtype)


def _between(
    low: Tensor, high: Tensor, precision: Tensor, standard: Standard, order: int
) -> Derivatives:
    """Differentiate log S₀(a) + log(1 − e⁻ˣ), x = log S₀(a) − log S₀(b).

    In t = x / (eˣ − 1) and ratios of the derivatives of x to x all terms stay moderate
    for tiny and for large x.
    """
    near, far, sign = _turned(low, high, standard)
    signed = sign * precision
    a = standard.log_survival(near, order)
    b = standard.log_survival(far, order)
    gone = a[0] - b[0] > _GONE
    x = torch.where(gone, _GONE, a[0] - b[0])
    b = [torch.where(gone, 0.0, part) for part in b]
    start = _at_point(a, near, signed)
    end = _at_point(b, torch.where(gone, 0.0, far), signed)
    t = torch.where(gone, 0.0, x / torch.expm1(x))
    bend = -t * (x + t)
    steep = -bend * (x + 2.0 * t)

    def ratios(mine: list[Tensor], theirs: list[Tensor]) -> list[Tensor]:
        pairs = zip(mine, theirs, strict=True)
        return [torch.where(gone, 0.0, (u - v) / x) for u, v in pairs]

    one, two = ratios(start.first, end.first), ratios(start.second, end.second)
    three = ratios(start.third, end.third)
    first = [own + t * z for own, z in zip(start.first, one, strict=True)]
    second = [
        own + t * z + bend * one[i] * one[j]
        for own, z, (i, j) in zip(start.second, two, _PAIRS[: len(two)], strict=True)
    ]
    third = [
        own
        + t * z
        + bend * (two[_PLACE[i, j]] * one[k] + two[_PLACE[i, k]] * one[j])
        + bend * two[_PLACE[j, k]] * one[i]
        + steep * one[i] * one[j] * one[k]
        for own, z, (i, j, k) in zip(
            start.third, three, _TRIPLES[: len(three)], strict=True
        )
    ]
    value = a[0] + torch.where(gone, 0.0, log1mexp(x))
    return Derivatives(value, first, second, third)
