"""A network whose first layer joins each group of columns to a unit of its own.

Letters: B rows, p columns, P groups, E edges (pairs of a group and a column in it).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn
from torch.nn import functional

from semistruct._core.validation import check_choice, suggest
from semistruct.encoders._base import Encoder
from semistruct.encoders._mlp import MLP
from semistruct.exceptions import ParameterError

__all__ = ["Grouped", "Pathway", "groups_of"]

_OWNER = "Pathway"
_SHOWN = 5
_ALLOWED = (
    "a dict from the name of a group to a list of columns, or a table of 0 and 1 whose "
    "index are the columns and whose columns are the groups"
)


class Pathway(Encoder):
    """Groups of columns, such as the genes of a pathway, then a perceptron.

    The first layer has a unit for each group, h_g = tanh(Σ_{j in g} w_gj x_j + b_g), a
    weight for each gene of a group and none for others. Columns in no group are not
    read. After it, and dropout, comes an `MLP`.

    Parameters
    ----------
    groups : dict of str to list of str, or DataFrame
        For each group its columns, or a table of 0 and 1: a row for each column of the
        data, a column for each group.
    hidden : sequence of int, default=(32,)
        Widths of the hidden layers after the groups, as for `MLP`.
    output_dim : int, default=16
        Length q of the latent vector, at least 1.
    dropout : float, default=0.1
        Share of the groups' and of the hidden units that are dropped in training, in
        [0, 1).
    unknown : {"error", "drop"}, default="error"
        What happens to names in ``groups`` that are no columns of the term. A group
        that has no column left is an error.

    Notes
    -----
    Hao, Kim, Kim & Kang (2018), doi:10.1186/s12859-018-2500-z; Elmarakeby et al.
    (2021), doi:10.1038/s41586-021-03922-4.

    Examples
    --------
    >>> import torch
    >>> from semistruct.encoders import Pathway
    >>> spec = Pathway({"repair": ["a", "b"], "growth": ["b", "c"]}, output_dim=4)
    >>> module = spec.build((4,), columns=("a", "b", "c", "d"))
    >>> rows = torch.zeros(5, 4)
    >>> module(rows).shape, module.groups, module.pathways(rows).shape
    (torch.Size([5, 4]), ('repair', 'growth'), torch.Size([5, 2]))
    """

    needs: ClassVar[tuple[str, ...]] = ("columns",)

    def __init__(
        self,
        groups: Any = None,
        hidden: Sequence[int] = (32,),
        output_dim: int = 16,
        dropout: float = 0.1,
        unknown: str = "error",
    ) -> None:
        self.groups = groups
        self.hidden = hidden
        self.output_dim = output_dim
        self.dropout = dropout
        self.unknown = unknown

    def build(
        self, input_shape: tuple[int, ...], columns: Sequence[str] | None = None
    ) -> nn.Module:
        """Make an untrained module that maps (B, p) to (B, output_dim).

        Parameters
        ----------
        input_shape : tuple of one int
            (p,), the number of columns.
        columns : sequence of p str
            Their names.

        Returns
        -------
        torch.nn.Module
            ``pathways`` maps (B, p) to the groups' units (B, P), in the order of the
            names ``groups``; ``layer`` is the first one, with ``weight`` (E,), and the
            group and the column of each weight.

        Raises
        ------
        ParameterError
            If ``groups`` has no groups, an empty one, or names that are no columns.
        """
        self._check_common(self.dropout)
        self._check_rank(input_shape, 1, "(p,), the number of columns")
        check_choice(self.unknown, ("error", "drop"), parameter="unknown", owner=_OWNER)
        if columns is None or len(columns) != input_shape[0]:
            raise ParameterError(
                parameter="columns",
                owner=_OWNER,
                allowed=f"the names of the {input_shape[0]} columns",
                given=columns,
                hint="Give build_encoder the facts of the reader, TableColumns.facts.",
            )
        groups = _known(groups_of(self.groups), columns, self.unknown)
        places = {name: j for j, name in enumerate(columns)}
        layer = Grouped([[places[n] for n in names] for names in groups.values()])
        rest = MLP(self.hidden, self.output_dim, self.dropout).build((len(groups),))
        return _PathwayNet(tuple(groups), layer, nn.Dropout(self.dropout), rest)


def groups_of(groups: Any) -> dict[str, list[str]]:
    """Give groups as a dict of lists, each column once in a group.

    Parameters
    ----------
    groups : dict of str to sequence of str, or DataFrame
        As for `Pathway`.

    Returns
    -------
    dict of str to list of str

    Raises
    ------
    ParameterError
        If it is something else, is empty, or has an empty group.
    """
    if isinstance(groups, pd.DataFrame):
        mask = groups.to_numpy()
        if mask.dtype.kind not in "biuf" or not np.isin(mask, (0, 1)).all():
            raise _refused(groups.iloc[:3, :3], "The table holds something else.")
        index = np.asarray(groups.index, dtype=object)
        found = {
            str(name): [str(n) for n in index[mask[:, g] != 0]]
            for g, name in enumerate(groups.columns)
        }
    elif isinstance(groups, Mapping):
        odd = [k for k, v in groups.items() if isinstance(v, str) or not _is_listed(v)]
        if odd:
            raise _refused(groups[odd[0]], f"See the group {odd[0]!r}.")
        found = {
            str(name): list(dict.fromkeys(map(str, members)))
            for name, members in groups.items()
        }
    else:
        raise _refused(groups, "")
    empty = [name for name, names in found.items() if not names]
    if empty or not found:
        given = f"The group {empty[0]!r} is empty." if empty else "There is no group."
        raise _refused(list(found)[:_SHOWN], given)
    return found


class Grouped(nn.Module):
    """A linear layer that has weights on edges only.

    Parameters
    ----------
    members : sequence of P sequences of int
        For each unit the inputs that it reads.

    Attributes
    ----------
    weight : Parameter of shape (E,)
        Of the edges, unit after unit.
    bias : Parameter of shape (P,)
    unit, column : Tensor of int64 of shape (E,)
        Which unit and which input an edge joins.
    """

    unit: Tensor
    column: Tensor
    start: Tensor

    def __init__(self, members: Sequence[Sequence[int]]) -> None:
        super().__init__()
        sizes = torch.tensor([len(columns) for columns in members])
        flat = [j for columns in members for j in columns]
        unit = torch.arange(len(members)).repeat_interleave(sizes)
        self.register_buffer("unit", unit, persistent=False)
        self.register_buffer("column", torch.tensor(flat), persistent=False)
        start = sizes.cumsum(0) - sizes
        self.register_buffer("start", start, persistent=False)
        bound = sizes.float().rsqrt()  # as torch's linear layers, for each unit
        self.weight = nn.Parameter((2 * torch.rand(len(flat)) - 1) * bound[unit])
        self.bias = nn.Parameter((2 * torch.rand(len(members)) - 1) * bound)

    def forward(self, rows: Tensor) -> Tensor:
        """Map (B, p) to (B, P)."""
        # a weighted sum over the members of each group, for all rows: no P × p matrix
        sums = functional.embedding_bag(
            self.column,
            rows.t().contiguous().to(self.weight.dtype),  # (p, B)
            self.start,
            mode="sum",
            per_sample_weights=self.weight,
        )
        return sums.t() + self.bias


class _PathwayNet(nn.Module):
    """The module of `Pathway`."""

    def __init__(
        self,
        groups: tuple[str, ...],
        layer: Grouped,
        dropout: nn.Module,
        rest: nn.Module,
    ) -> None:
        super().__init__()
        self.groups = groups
        self.layer = layer
        self.dropout = dropout
        self.rest = rest

    def pathways(self, rows: Tensor) -> Tensor:
        """Map (B, p) to the groups' units (B, P), each in (−1, 1)."""
        return self.layer(rows).tanh()

    def forward(self, rows: Tensor) -> Tensor:
        """Map (B, p) to (B, q)."""
        return self.rest(self.dropout(self.pathways(rows)))


def _known(
    groups: dict[str, list[str]], columns: Sequence[str], unknown: str
) -> dict[str, list[str]]:
    """Keep the names that are columns, or name those that are not."""
    there = set(columns)
    lacking = list(
        dict.fromkeys(n for names in groups.values() for n in names if n not in there)
    )
    if lacking and unknown == "error":
        near = suggest(lacking[0], columns)
        raise ParameterError(
            parameter="groups",
            owner=_OWNER,
            allowed="groups of columns that the term has",
            given=lacking[:_SHOWN],
            hint=f"{len(lacking)} names are no columns.{near} unknown='drop' leaves "
            "them out.",
        )
    kept = {g: [n for n in names if n in there] for g, names in groups.items()}
    empty = [name for name, names in kept.items() if not names]
    if empty:
        raise ParameterError(
            parameter="groups",
            owner=_OWNER,
            allowed="groups with at least one column that the term has",
            given=empty[:_SHOWN],
            hint=f"{len(empty)} groups have none. Leave them out.",
        )
    return kept


def _is_listed(members: Any) -> bool:
    return isinstance(members, Sequence | set | frozenset | np.ndarray | pd.Index)


def _refused(given: Any, hint: str) -> ParameterError:
    return ParameterError(
        parameter="groups", owner=_OWNER, allowed=_ALLOWED, given=given, hint=hint
    )
