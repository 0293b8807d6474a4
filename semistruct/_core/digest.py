"""A short name of the numbers that a model was fitted to."""

from __future__ import annotations

import hashlib

import numpy as np

__all__ = ["array_digest"]


def array_digest(values: np.ndarray) -> str:
    """Give 16 hexadecimal digits that other values, or another order, will not have.

    Parameters
    ----------
    values : ndarray
        Of any shape.

    Examples
    --------
    >>> import numpy as np
    >>> from semistruct._core.digest import array_digest
    >>> array_digest(np.zeros(2)) == array_digest(np.ones(2))
    False
    """
    return hashlib.sha256(np.ascontiguousarray(values).tobytes()).hexdigest()[:16]
