"""An encoder with its mirror image. Letters: B rows, p columns, q latent numbers."""

from __future__ import annotations

from collections.abc import Sequence

from torch import nn

from semistruct.encoders._base import Encoder
from semistruct.encoders._mlp import MLP, check_widths

__all__ = ["Autoencoder"]


class Autoencoder(Encoder):
    """Perceptron with a mirror image that reconstructs the columns.

    The encoder can learn from rows without a target, by
    `semistruct.objectives.ReconstructionObjective`, before it learns from those with
    one. Only the encoder is a part of the model; the decoder belongs to the objective.

    Parameters
    ----------
    hidden : sequence of int, default=(128,)
        Widths of the encoder's hidden layers, each at least 2; the decoder has them in
        reverse.
    output_dim : int, default=16
        Length q of the latent vector, at least 1.
    dropout : float, default=0.1
        Share of the encoder's hidden units that are dropped in training, in [0, 1).

    Notes
    -----
    Hinton & Salakhutdinov (2006), doi:10.1126/science.1127647. Layers as in `MLP`.

    Examples
    --------
    >>> import torch
    >>> from semistruct.encoders import Autoencoder
    >>> spec = Autoencoder(output_dim=4)
    >>> module, decoder = spec.build((100,)), spec.decoder((100,))
    >>> decoder(module(torch.zeros(5, 100))).shape
    torch.Size([5, 100])
    """

    def __init__(
        self,
        hidden: Sequence[int] = (128,),
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
        self._check(input_shape)
        return MLP(self.hidden, self.output_dim, self.dropout).build(input_shape)

    def decoder(self, input_shape: tuple[int, ...]) -> nn.Module:
        """Make an untrained decoder that maps (B, output_dim) to (B, p).

        Parameters
        ----------
        input_shape : tuple of one int
            (p,), the number of columns.

        Returns
        -------
        torch.nn.Module
        """
        self._check(input_shape)
        mirrored = tuple(reversed(self.hidden))
        return MLP(mirrored, input_shape[0], 0.0).build((self.output_dim,))

    def _check(self, input_shape: tuple[int, ...]) -> None:
        self._check_common(self.dropout)
        self._check_rank(input_shape, 1, "(p,), the number of columns")
        check_widths(self.hidden, "Autoencoder", low=2)
