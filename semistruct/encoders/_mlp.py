"""A multilayer perceptron for blocks of columns. Letters: B rows, p columns."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from torch import nn

from semistruct._core.validation import check_number
from semistruct.encoders._base import Encoder
from semistruct.encoders._categories import Embedded, check_cardinalities
from semistruct.exceptions import ParameterError


class MLP(Encoder):
    """Multilayer perceptron: linear, layer norm, GELU and dropout in each layer.

    Parameters
    ----------
    hidden : sequence of int, default=(64,)
        Widths of the hidden layers, each at least 2 (layer norm has nothing to compare
        in a layer of one unit); empty for one linear map.
    output_dim : int, default=16
        Length q of the latent vector, at least 1.
    dropout : float, default=0.1
        Share of the hidden units that are dropped in training, in [0, 1).
    embedding_dim : int, optional
        Length of the embedding of a column of categories, at least 1; by default half
        its number of levels, rounded up, at most 50.

    Notes
    -----
    Columns should come standardised. Layer norm: Ba, Kiros & Hinton (2016),
    arXiv:1607.06450, doi:10.48550/arXiv.1607.06450.

    Examples
    --------
    >>> import torch
    >>> from semistruct.encoders import MLP
    >>> module = MLP(hidden=(32,), output_dim=4).build((100,))
    >>> module(torch.zeros(5, 100)).shape
    torch.Size([5, 4])
    """

    needs: ClassVar[tuple[str, ...]] = ("cardinalities",)

    def __init__(
        self,
        hidden: Sequence[int] = (64,),
        output_dim: int = 16,
        dropout: float = 0.1,
        embedding_dim: int | None = None,
    ) -> None:
        self.hidden = hidden
        self.output_dim = output_dim
        self.dropout = dropout
        self.embedding_dim = embedding_dim

    def build(
        self, input_shape: tuple[int, ...], cardinalities: Sequence[int] = ()
    ) -> nn.Module:
        """Make an untrained module that maps (B, p) to (B, output_dim).

        Parameters
        ----------
        input_shape : tuple of one int
            (p,), the number of columns.
        cardinalities : sequence of k int, default=()
            For each of the last k columns, which hold codes, the number of codes.

        Returns
        -------
        torch.nn.Module
        """
        self._check_common(self.dropout)
        self._check_rank(input_shape, 1, "(p,), the number of columns")
        check_widths(self.hidden, "MLP", low=2)
        check_cardinalities(cardinalities, input_shape, "MLP")
        check_number(
            self.embedding_dim,
            parameter="embedding_dim",
            owner="MLP",
            low=1,
            integer=True,
            none=True,
        )
        layers: list[nn.Module] = []
        width = input_shape[0]
        if cardinalities:
            layers = [Embedded(width, cardinalities, self.embedding_dim)]
            width = layers[0].width  # type: ignore[assignment]
        for units in self.hidden:
            layers += [nn.Linear(width, units), nn.LayerNorm(units), nn.GELU()]
            if self.dropout > 0:
                layers.append(nn.Dropout(self.dropout))
            width = units
        return nn.Sequential(*layers, nn.Linear(width, self.output_dim))


def check_widths(hidden: Any, owner: str, *, low: int) -> None:
    """Raise ParameterError unless ``hidden`` is a sequence of widths."""
    if isinstance(hidden, str) or not isinstance(hidden, Sequence):
        raise ParameterError(
            parameter="hidden",
            owner=owner,
            allowed="a sequence of widths, such as (64,)",
            given=hidden,
        )
    for units in hidden:
        check_number(units, parameter="hidden", owner=owner, low=low, integer=True)
