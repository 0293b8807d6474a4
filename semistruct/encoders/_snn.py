"""A self-normalising network. Letters: B rows, p columns."""

from __future__ import annotations

from collections.abc import Sequence

from torch import nn

from semistruct.encoders._base import Encoder
from semistruct.encoders._mlp import check_widths

__all__ = ["SNN"]


class SNN(Encoder):
    """Self-normalising network: linear, SELU and alpha dropout in each layer.

    Where the columns have mean 0 and variance 1, so have the hidden units, whatever the
    depth, without a norm layer. Weights are drawn from N(0, 1 / inputs), biases are 0.

    Parameters
    ----------
    hidden : sequence of int, default=(128, 64)
        Widths of the hidden layers, each at least 1; empty for one linear map.
    output_dim : int, default=16
        Length q of the latent vector, at least 1.
    dropout : float, default=0.05
        Share of the hidden units that are set to the lowest value of SELU in training
        (mean and variance are then set right again), in [0, 1).

    Notes
    -----
    Klambauer, Unterthiner, Mayr & Hochreiter (2017), doi:10.48550/arXiv.1706.02515.

    Examples
    --------
    >>> import torch
    >>> from semistruct.encoders import SNN
    >>> module = SNN(hidden=(32,), output_dim=4).build((100,))
    >>> module(torch.zeros(5, 100)).shape
    torch.Size([5, 4])
    """

    def __init__(
        self,
        hidden: Sequence[int] = (128, 64),
        output_dim: int = 16,
        dropout: float = 0.05,
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
        check_widths(self.hidden, "SNN", low=1)
        layers: list[nn.Module] = []
        width = input_shape[0]
        for units in self.hidden:
            layers += [_linear(width, units), nn.SELU(), nn.AlphaDropout(self.dropout)]
            width = units
        return nn.Sequential(*layers, _linear(width, self.output_dim))


def _linear(inputs: int, outputs: int) -> nn.Linear:
    layer = nn.Linear(inputs, outputs)
    nn.init.normal_(layer.weight, std=inputs**-0.5)
    nn.init.zeros_(layer.bias)
    return layer
