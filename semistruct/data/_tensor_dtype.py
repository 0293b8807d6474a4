"""The pandas type of a column whose cells are arrays of one shape."""

from __future__ import annotations

import builtins
import re
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from pandas.api.extensions import ExtensionDtype, register_extension_dtype

from semistruct.exceptions import DataError

if TYPE_CHECKING:
    from semistruct.data._tensor_array import TensorArray

__all__ = ["TensorDtype", "tensor_dtype"]

_NAME = re.compile(r"tensor\[\s*(\w+)\s*,\s*\(\s*(\d+(?:\s*,\s*\d+)*)\s*,?\s*\)\s*\]")
_KINDS = "biuf"  # boolean, integer, unsigned, floating


@register_extension_dtype
class TensorDtype(ExtensionDtype):
    """Type of a `TensorArray`: the NumPy dtype and the shape of one cell.

    Parameters
    ----------
    subdtype : dtype-like
        Boolean, integer or floating; kept in the machine's byte order.
    shape : tuple of int
        Shape of one cell, at least one axis, each >= 1.

    Raises
    ------
    DataError
        If the dtype is of another kind, or the shape is empty.

    Examples
    --------
    >>> import pandas as pd
    >>> from semistruct.data import TensorDtype
    >>> TensorDtype("uint8", (8, 8))
    tensor[uint8, (8, 8)]
    >>> pd.api.types.pandas_dtype("tensor[float32, (3,)]").shape
    (3,)
    """

    type = np.ndarray
    kind = "O"
    na_value: Any = pd.NA
    _metadata = ("subdtype", "shape")

    def __init__(self, subdtype: Any, shape: tuple[int, ...]) -> None:
        self.subdtype = np.dtype(subdtype).newbyteorder("=")
        self.shape = tuple(int(size) for size in shape)
        if self.subdtype.kind not in _KINDS:
            raise DataError(
                "A tensor column holds booleans, integers or floating numbers; got "
                f"dtype {self.subdtype}. Convert the cells first."
            )
        if not self.shape or min(self.shape) < 1:
            raise DataError(
                "A cell of a tensor column has at least one axis, each of length >= 1; "
                f"got shape {self.shape}. Numbers belong in an ordinary column."
            )

    @property
    def name(self) -> str:  # type: ignore[override]
        """Name, for instance ``tensor[uint8, (8, 8)]``; pandas makes the type of it."""
        return f"tensor[{self.subdtype.name}, {self.shape}]"

    def __repr__(self) -> str:
        return self.name

    @classmethod
    def construct_array_type(cls) -> builtins.type[TensorArray]:
        """Give the class of the arrays of this type."""
        from semistruct.data._tensor_array import TensorArray

        return TensorArray

    @classmethod
    def construct_from_string(cls, string: str) -> TensorDtype:
        """Make the type from its name.

        Parameters
        ----------
        string : str
            As ``tensor[uint8, (8, 8)]``.

        Raises
        ------
        TypeError
            If the string is the name of something else (as pandas asks for).
        """
        if not isinstance(string, str):
            raise TypeError(
                f"'construct_from_string' expects a string, got {type(string)}"
            )
        found = _NAME.fullmatch(string.strip())
        if found is None:
            raise TypeError(f"Cannot construct a 'TensorDtype' from '{string}'")
        shape = tuple(int(size) for size in found.group(2).split(","))
        try:
            return cls(found.group(1), shape)
        except (TypeError, DataError) as error:
            raise TypeError(
                f"Cannot construct a 'TensorDtype' from '{string}': {error}"
            ) from error

    def _get_common_dtype(self, dtypes: list[Any]) -> Any:
        if not all(
            isinstance(d, TensorDtype) and d.shape == self.shape for d in dtypes
        ):
            return None  # pandas then falls back to object
        return TensorDtype(np.result_type(*(d.subdtype for d in dtypes)), self.shape)

    def __from_arrow__(self, array: Any) -> TensorArray:
        """Read a pyarrow array or chunked array (used by ``pandas.read_parquet``)."""
        from semistruct.data._arrow import from_arrow

        return from_arrow(self, array)


def tensor_dtype(dtype: Any) -> TensorDtype:
    """Give a dtype or its name as a `TensorDtype`, or raise TypeError."""
    found = pd.api.types.pandas_dtype(dtype)
    if not isinstance(found, TensorDtype):
        raise TypeError(f"A TensorArray cannot have the dtype {found}.")
    return found
