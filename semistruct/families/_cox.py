"""The Cox partial likelihood in torch.

Letters: n rows, m distinct event times (within strata), d deaths of one tie.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from semistruct._core.validation import check_choice


def cox_log_likelihood(
    eta: Tensor,
    time: Any,
    event: Any,
    *,
    entry: Any = None,
    strata: Any = None,
    weight: Any = None,
    ties: str = "efron",
) -> Tensor:
    r"""Log partial likelihood of the proportional hazards model.

    Without ties: Σ_events w_i [η_i − log Σ_{j at risk at t_i} w_j e^{η_j}], where j is
    at risk at t when entry_j < t ≤ time_j in the same stratum. A tie of d deaths with
    mean weight w̄, risk sum S and death sum D contributes
    Σ_deaths w_i η_i − w̄ Σ_{k<d} log(S − (k/d) D) after Efron, and
    Σ_deaths w_i η_i − d w̄ log S after Breslow.

    Parameters
    ----------
    eta : Tensor of shape (n,)
        Log relative hazards; float32 or float64, on any device.
    time : array-like of shape (n,)
        End of follow-up. Ties are exact equality in the precision that is given.
    event : array-like of shape (n,)
        True (or 1) for a death at ``time``, False for censoring.
    entry : array-like of shape (n,), optional
        Start of being at risk (excluded); no late entry when not given.
    strata : array-like of shape (n,), optional
        Labels of the strata, each with a baseline hazard of its own.
    weight : array-like of shape (n,), optional
        Case weights ≥ 0; a row of weight 0 counts as absent.
    ties : {"efron", "breslow"}, default "efron"

    Returns
    -------
    Tensor, scalar
        The log partial likelihood; 0 with zero gradient when there are no events.

    References
    ----------
    Efron (1977), doi:10.1080/01621459.1977.10480613;
    Breslow (1974), doi:10.2307/2529620.

    Examples
    --------
    >>> import torch
    >>> from semistruct.families import cox_log_likelihood
    >>> cox_log_likelihood(torch.zeros(3), [1.0, 2.0, 3.0], [1, 1, 0])
    tensor(-1.7918)
    """
    check_choice(
        ties, ("efron", "breslow"), parameter="ties", owner="cox_log_likelihood"
    )
    device = eta.device
    dead = torch.as_tensor(event, device=device).bool()
    log_risk = eta
    w = None
    if weight is not None:
        w = torch.as_tensor(weight, dtype=eta.dtype, device=device)
        present = w > 0
        dead = dead & present
        log_w = torch.where(present, w, torch.ones_like(w)).log()
        # a large negative number instead of −inf keeps every gradient finite
        absent = torch.full_like(w, torch.finfo(eta.dtype).min / 4)
        log_risk = torch.where(present, eta + log_w, absent)
    if not bool(dead.any()):
        return (eta * 0.0).sum()
    key, entry_key = _integer_keys(time, entry, strata, device)
    event_keys, tie = torch.unique(key[dead], return_inverse=True)  # sorted, (m,)
    m = event_keys.shape[0]
    if entry_key is None and strata is None:
        log_sum = _tail_log_sums(log_risk, key, event_keys)
    else:
        start = torch.zeros_like(key)
        if entry_key is not None:
            start = torch.searchsorted(event_keys, entry_key, right=True)
        stop = torch.searchsorted(event_keys, key, right=True)
        log_sum = _covering_log_sums(log_risk, start, stop, m)
    death_eta = eta[dead]
    death_weight = torch.ones_like(death_eta) if w is None else w[dead]
    count = torch.bincount(tie, minlength=m)
    tie_weight = torch.zeros_like(log_sum).index_add(0, tie, death_weight)
    observed = (death_weight * death_eta).sum()
    if ties == "breslow" or int(count.max()) == 1:
        return observed - (tie_weight * log_sum).sum()
    log_death = _grouped_log_sums(log_risk[dead], tie, m)
    order = torch.argsort(tie, stable=True)
    group = tie[order]
    first = torch.cumsum(count, 0) - count
    k = torch.arange(group.shape[0], device=device) - first[group]
    share = k.to(eta.dtype) / count[group]  # k/d of the thinned pseudo-steps
    thinned = log_sum[group] + torch.log1p(
        -share * torch.exp(log_death[group] - log_sum[group])
    )
    mean_weight = (tie_weight / count)[group]
    return observed - (mean_weight * thinned).sum()


def _integer_keys(
    time: Any, entry: Any, strata: Any, device: torch.device
) -> tuple[Tensor, Tensor | None]:
    """Order-preserving integer keys of (stratum, time) and of (stratum, entry)."""
    stop = torch.as_tensor(time, device=device)
    n = stop.shape[0]
    every = stop
    if entry is not None:
        start = torch.as_tensor(entry, device=device)
        kind = torch.promote_types(stop.dtype, start.dtype)
        every = torch.cat([stop.to(kind), start.to(kind)])
    values, rank = torch.unique(every, return_inverse=True)
    if strata is not None:
        if not isinstance(strata, Tensor):
            _, codes = np.unique(np.asarray(strata), return_inverse=True)
            strata = torch.as_tensor(codes)
        _, stratum = torch.unique(strata.to(device), return_inverse=True)
        stratum = stratum.repeat(rank.shape[0] // max(n, 1))
        rank = rank + stratum * values.shape[0]
        if entry is None:  # everyone enters before the first time of the stratum
            return rank, stratum * values.shape[0] - 1
    return rank[:n], None if entry is None else rank[n:]


def _tail_log_sums(log_risk: Tensor, key: Tensor, event_keys: Tensor) -> Tensor:
    """Log of Σ e^{log_risk} over rows with key ≥ each event key, (m,)."""
    ordered, order = torch.sort(key, descending=True)
    running = torch.logcumsumexp(log_risk[order], dim=0)
    last = torch.searchsorted(-ordered, -event_keys, right=True) - 1
    return running[last]


def _covering_log_sums(log_risk: Tensor, start: Tensor, stop: Tensor, m: int) -> Tensor:
    """Log of Σ e^{log_risk} over the rows with start ≤ g < stop, for each g < m.

    Every half-open range is cut into nodes of a binary tree over 0 … m−1, so that
    only positive numbers are ever added: nothing cancels when late entries carry
    most of the hazard.
    """
    size = 1 << max(m - 1, 0).bit_length()
    left, right = start + size, stop + size
    rows = torch.arange(log_risk.shape[0], device=log_risk.device)
    nodes, members = [], []
    while True:
        open_ = left < right
        if not bool(open_.any()):
            break
        odd = open_ & (left % 2 == 1)
        nodes.append(left[odd])
        members.append(rows[odd])
        left = left + odd.long()
        odd = open_ & (right % 2 == 1)
        right = right - odd.long()
        nodes.append(right[odd])
        members.append(rows[odd])
        left, right = left // 2, right // 2
    node, member = torch.cat(nodes), torch.cat(members)
    values = log_risk[member]
    shift = torch.full((2 * size,), -torch.inf, dtype=values.dtype, device=node.device)
    shift = shift.scatter_reduce(0, node, values.detach(), "amax")
    total = torch.zeros_like(shift).index_add(0, node, torch.exp(values - shift[node]))
    leaf = torch.arange(m, device=node.device) + size
    level = torch.arange(size.bit_length(), device=node.device)
    path = leaf[:, None] >> level[None, :]  # (m, levels), from leaf to root
    top = shift[path].amax(dim=1)
    parts = total[path] * torch.exp(shift[path] - top[:, None])
    return parts.sum(dim=1).log() + top


def _grouped_log_sums(values: Tensor, group: Tensor, m: int) -> Tensor:
    """Log-sum-exp of ``values`` within each of m non-empty groups, (m,)."""
    shift = torch.full((m,), -torch.inf, dtype=values.dtype, device=values.device)
    shift = shift.scatter_reduce(0, group, values.detach(), "amax")
    scaled = torch.exp(values - shift[group])
    return torch.zeros_like(shift).index_add(0, group, scaled).log() + shift
