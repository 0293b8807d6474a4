"""A multilayer perceptron for blocks of columns. Letters: B rows, p columns."""

from __future__ import annotations

from collections.abc import Sequence

from torch import nn

from semistruct._core.validation import check_number
from semistruct.encoders._base import Encoder
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

    def __init__(
        self,
        hidden: Sequence[int] = (64,),
        output_dim: int = 16,
        dropout: float = 0.1,
    ) -> None:
        self.hidden = hidden
        self.output_dim = output_dim
        self.dropout = dropout

    def build(self, input_shape: tuple[int, ...]) -> nn.Module:
        """Make an untrained module that maps (B, p) to (B, output_dim).

        Parameters
        ----------
        input_shape : tuple of one int
            (p,), the number of columns.

        Returns
        -------
        torch.nn.Module
        """
        self._check_common(self.dropout)
        self._check_rank(input_shape, 1, "(p,), the number of columns")
        if isinstance(self.hidden, str) or not isinstance(self.hidden, Sequence):
            raise ParameterError(
                parameter="hidden",
                owner="MLP",
                allowed="a sequence of widths, such as (64,)",
                given=self.hidden,
            )
        layers: list[nn.Module] = []
        width = input_shape[0]
        for units in self.hidden:
            check_number(units, parameter="hidden", owner="MLP", low=2, integer=True)
            layers += [nn.Linear(width, units), nn.LayerNorm(units), nn.GELU()]
            if self.dropout > 0:
                layers.append(nn.Dropout(self.dropout))
            width = units
        return nn.Sequential(*layers, nn.Linear(width, self.output_dim))
