"""Markov random fields over the levels of a factor."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from scipy import sparse
from scipy.sparse.csgraph import connected_components

from semistruct.design._basis import Basis, Neighbours

__all__ = ["MarkovField"]


class MarkovField(Basis):
    """One coefficient for each region; neighbours are drawn together.

    The penalty is Σ (β_i - β_j)² over the pairs of neighbours: the graph's Laplacian,
    with the number of neighbours on and -1 beside the diagonal (Rue & Held 2005,
    doi:10.1201/9780203492024, 3.3; an intrinsic Gaussian field). A region without data
    takes its effect from its neighbours. The level of each connected part of the map is
    not penalised: an isolated region with data is a fixed effect. Of a connected part
    without any data nothing is known; its regions have no column.

    Parameters
    ----------
    columns : ndarray of shape (r,), int
        Column of each region, -1 where it has none.
    penalty : ndarray of shape (k, k)
        Of the regions that have a column.
    rank : int
        Rank of the penalty: k less the number of connected parts.

    Examples
    --------
    >>> import numpy as np
    >>> from semistruct.design import MarkovField
    >>> line = (("a", ("b",)), ("b", ("a", "c")), ("c", ("b",)))
    >>> MarkovField.fit(np.array([0, 2]), k=3, neighbours=line).penalty
    array([[ 1., -1.,  0.],
           [-1.,  2., -1.],
           [ 0., -1.,  1.]])
    """

    name = "mrf"
    least_k = 2
    marginal = False
    at_knots = True
    factor = True

    def __init__(self, columns: np.ndarray, penalty: np.ndarray, rank: int) -> None:
        self.columns = np.ascontiguousarray(columns, dtype=np.int64)
        self._penalty = np.ascontiguousarray(penalty, dtype=np.float64)
        self._rank = int(rank)
        self.k = len(self._penalty)

    @classmethod
    def fit(
        cls, x: np.ndarray, k: int, *, neighbours: Neighbours | None = None
    ) -> MarkovField:
        neighbours = neighbours or ()
        code = {region: i for i, (region, _) in enumerate(neighbours)}
        pairs = [(code[a], code[b]) for a, others in neighbours for b in others]
        adjacency = np.zeros((len(code), len(code)))
        adjacency[tuple(np.array(pairs, dtype=np.intp).reshape(-1, 2).T)] = 1.0
        count, part = connected_components(sparse.csr_matrix(adjacency), directed=False)
        with_data = np.zeros(count, dtype=bool)
        with_data[part[x]] = True
        kept = with_data[part]  # (r,)
        columns = np.where(kept, np.cumsum(kept) - 1, -1)
        laplacian = np.diag(adjacency.sum(axis=1)) - adjacency
        penalty = laplacian[np.ix_(kept, kept)]
        return cls(columns, penalty, len(penalty) - int(with_data.sum()))

    def evaluate(self, x: np.ndarray) -> np.ndarray:
        values = np.zeros((len(x), self.k))
        column = self.columns[x]
        known = np.flatnonzero(column >= 0)
        values[known, column[known]] = 1.0
        return values

    @property
    def penalty(self) -> np.ndarray:
        return self._penalty

    @property
    def rank(self) -> int:
        return self._rank

    def to_state(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "columns": self.columns,
            "penalty": self._penalty,
            "rank": self._rank,
        }

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> MarkovField:
        return cls(state["columns"], state["penalty"], state["rank"])
