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

    def forward(self, codes: Tensor) -> list[Tensor]:
        """Map codes (B, k) to k tensors (B, d)."""
        found = []
        for j, weight in enumerate(self.weights):
            table = torch.cat([weight.mean(dim=0, keepdim=True), weight])
            found.append(functional.embedding(codes[:, j].long(), table))
        return found


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
