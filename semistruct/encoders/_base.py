"""The contract of an encoder specification."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

from sklearn.base import BaseEstimator
from torch import nn

from semistruct._core.validation import check_number
from semistruct.exceptions import ParameterError


class Encoder(BaseEstimator, ABC):
    """What an encoder is to be; `build` makes the torch module.

    A specification only stores its parameters, so that ``get_params``, ``clone`` and
    grids over ``<column>__<parameter>`` work. A subclass names every parameter in its
    ``__init__``, has one called ``output_dim`` and writes `build`.

    Examples
    --------
    >>> from torch import nn
    >>> from semistruct.encoders import Encoder
    >>> class Flat(Encoder):
    ...     def __init__(self, output_dim=4):
    ...         self.output_dim = output_dim
    ...     def build(self, input_shape):
    ...         return nn.Sequential(nn.Flatten(), nn.LazyLinear(self.output_dim))
    >>> Flat().get_params()
    {'output_dim': 4}
    """

    output_dim: int
    bags: ClassVar[bool] = False  # whether a row is a bag of images, (T, C + 1, H, W)
    # what `build` takes as keywords beside the shape: of "columns", "cardinalities",
    # "vocabulary" and "pad_id", see `build_encoder`
    needs: ClassVar[tuple[str, ...]] = ()

    @abstractmethod
    def build(self, input_shape: tuple[int, ...]) -> nn.Module:
        r"""Make an untrained module.

        Parameters
        ----------
        input_shape : tuple of int
            Shape of one row, without the batch: (C, H, W) of an image, (p,) of columns.

        Returns
        -------
        torch.nn.Module
            Maps (B, \*input_shape) to (B, output_dim). In evaluation mode a row's
            output does not depend on the rows beside it.
        """

    def _check_common(self, dropout: object) -> None:
        """Check the parameters that all encoders of this package share."""
        owner = type(self).__name__
        check_number(
            self.output_dim, parameter="output_dim", owner=owner, low=1, integer=True
        )
        check_number(
            dropout, parameter="dropout", owner=owner, low=0, high=1, closed="left"
        )

    def _check_rank(self, input_shape: tuple[int, ...], rank: int, words: str) -> None:
        """Refuse rows of the wrong shape."""
        if len(input_shape) != rank or min(input_shape) < 1:
            raise ParameterError(
                parameter="input_shape",
                owner=type(self).__name__,
                allowed=f"{words}, each at least 1",
                given=tuple(input_shape),
                hint="Another encoder may suit this kind of column.",
            )
