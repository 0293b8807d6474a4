"""What a model remembers of each structured column: its range, a typical value."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

__all__ = ["column_profile"]

_MOST_LEVELS = 50


def column_profile(frame: pd.DataFrame, columns: Sequence[str]) -> dict[str, Any]:
    """Describe columns, so that a term can be drawn without the data.

    Parameters
    ----------
    frame : DataFrame
        The rows of fit.
    columns : sequence of str
        Structured columns.

    Returns
    -------
    dict
        Of each column ``typical`` (median, or most frequent level) with ``range``
        (least and greatest value) or ``levels``.
    """
    profile: dict[str, Any] = {}
    for column in columns:
        series = frame[column]
        numeric = pd.api.types.is_numeric_dtype(series.dtype)
        if numeric and not pd.api.types.is_bool_dtype(series.dtype):
            values = series.to_numpy(dtype=np.float64)
            span = [float(values.min()), float(values.max())]
            entry = {"typical": float(np.median(values)), "range": span}
            few = len(np.unique(values[:1000])) <= 20
            if few and len(np.unique(values)) <= 20:  # a median may be no level of C()
                entry["typical"] = float(series.mode().iloc[0])
        else:
            counts = series.value_counts()
            counts = counts[counts > 0]  # a category may be unused
            levels = [_plain(v) for v in counts.index[:_MOST_LEVELS]]
            entry = {"typical": levels[0], "levels": levels}
        profile[column] = entry
    return profile


def _plain(value: Any) -> Any:
    return value.item() if isinstance(value, np.generic) else value
