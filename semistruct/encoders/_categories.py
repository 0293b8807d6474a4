"""Embeddings of the columns of a block that hold codes of categories.

Letters: B rows, p columns, k of them (the last ones) codes, d width of an embedding.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from semistruct.exceptions import ParameterError

__all__ = ["Categories", "Embedded", "check_cardinalities"]

_WIDEST = 50
_LOOKUP = ("levels", "shift", "unknown")  # of the columns of one width


class Categories(nn.Module):
    """Embeddings of k columns of codes.

    Code 0, a level that is not known, has the mean of the levels' embeddings.

    Parameters
    ----------
    cardinalities : sequence of k int
        Number of codes of each column, that of code 0 included; at least 2.
    widths : sequence of k int
        Length d of the embeddings of each column.
    """

    def __init__(self, cardinalities: Sequence[int], widths: Sequence[int]) -> None:
        super().__init__()
        self.weights = nn.ParameterList(
            torch.randn(codes - 1, d)
            for codes, d in zip(cardinalities, widths, strict=True)
        )
        # columns of one width are looked up at once, in one table
        self._alike = [
            [j for j, own in enumerate(widths) if own == d]
            for d in dict.fromkeys(widths)
        ]
        for g, columns in enumerate(self._alike):
            levels = [cardinalities[j] - 1 for j in columns]
            start = torch.tensor([0, *levels]).cumsum(0)
            unknown = int(start[-1]) + torch.arange(len(columns))
            values = (torch.tensor(levels), start[:-1] - 1, unknown)
            for name, value in zip(_LOOKUP, values, strict=True):
                self.register_buffer(f"_{name}_{g}", value, persistent=False)

    def forward(self, codes: Tensor) -> list[Tensor]:
        """Map codes (B, k) to k tensors (B, d)."""
        codes = codes.long()
        found: dict[int, Tensor] = {}
        for g, columns in enumerate(self._alike):
            levels, shift, unknown = (
                self.get_buffer(f"_{name}_{g}") for name in _LOOKUP
            )
            table = torch.cat([self.weights[j] for j in columns])
            means = torch.segment_reduce(table, "mean", lengths=levels, unsafe=True)
            table = torch.cat([table, means])
            own = codes if len(columns) == codes.shape[1] else codes[:, columns]
            rows = torch.where(own > 0, own + shift, unknown)
            vectors = functional.embedding(rows, table)  # (B, columns, d)
            found.update(zip(columns, vectors.unbind(1), strict=True))
        return [found[j] for j in range(len(self.weights))]


class Embedded(nn.Module):
    """A block of columns whose codes are replaced by their embeddings.

    Parameters
    ----------
    p : int
        Number of columns.
    cardinalities : sequence of k int
        As for `Categories`.
    width : int, optional
        Of an embedding; by default half the number of levels, rounded up, at most 50.

    Attributes
    ----------
    width : int
        Number of columns that come out.
    """

    def __init__(
        self, p: int, cardinalities: Sequence[int], width: int | None = None
    ) -> None:
        super().__init__()
        self.n_numeric = p - len(cardinalities)
        widths = [
            min(_WIDEST, codes // 2) if width is None else width
            for codes in cardinalities
        ]
        self.categories = Categories(cardinalities, widths)
        self.width = self.n_numeric + sum(widths)

    def forward(self, rows: Tensor) -> Tensor:
        """Map (B, p) to (B, width)."""
        found = self.categories(rows[:, self.n_numeric :])
        return torch.cat([rows[:, : self.n_numeric], *found], dim=1)


def check_cardinalities(
    cardinalities: Sequence[int], input_shape: tuple[int, ...], owner: str
) -> None:
    """Raise ParameterError unless there is a column for each of them, with a level."""
    counts = list(cardinalities)
    if len(counts) > input_shape[0] or any(codes < 2 for codes in counts):
        raise ParameterError(
            parameter="cardinalities",
            owner=owner,
            allowed=f"at most {input_shape[0]} numbers of codes, each at least 2",
            given=tuple(counts),
        )
