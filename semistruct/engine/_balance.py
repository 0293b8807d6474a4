"""Orders of rows in which each stretch has its share of every stratum."""

from __future__ import annotations

import torch
from torch import Tensor

from semistruct.engine._sources import Source


def row_order(
    source: Source, balance: str | None, generator: torch.Generator
) -> Tensor:
    """Draw the order of an epoch: of all rows alike, or balanced by an entry.

    Parameters
    ----------
    source : Source
    balance : str or None
        Entry of the rows whose values are the strata, such as ``"event"``.
    generator : torch.Generator
        Of the CPU.

    Returns
    -------
    Tensor of int64, (n,)
        Each row once.
    """
    if balance is None:
        return torch.randperm(len(source), generator=generator)
    return balanced_order(source.labels(balance), generator)


def balanced_order(labels: Tensor, generator: torch.Generator) -> Tensor:
    """Permute rows so that every stretch has its share of each label.

    Rows of a label are shuffled and laid out evenly: the k-th of n_h comes at the share
    (k + u_h)/n_h of the way, u_h uniform. Of two labels any stretch of L rows then
    holds L n_h/n rows of each, but for rounding; so do batches, however they are cut.

    Parameters
    ----------
    labels : Tensor of shape (n,)
        On the CPU.
    generator : torch.Generator

    Returns
    -------
    Tensor of int64, (n,)
    """
    n = len(labels)
    mixed = torch.randperm(n, generator=generator)
    codes, count = torch.unique(labels[mixed], return_inverse=True, return_counts=True)[
        1:
    ]
    start = torch.rand(len(count), generator=generator, dtype=torch.float64)
    grouped = torch.argsort(codes, stable=True)  # by label, shuffled within
    code = codes[grouped]
    within = torch.arange(n) - (torch.cumsum(count, 0) - count)[code]
    way = (within + start[code]) / count[code]
    return mixed[grouped[torch.argsort(way, stable=True)]]
