"""The terms of one row's prediction, one after the other."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from semistruct.attribution._predictor import checked, choose_parameter, contributions
from semistruct.attribution._result import describe
from semistruct.exceptions import DataError

__all__ = ["Waterfall", "waterfall"]

_OWNER = "attribution.waterfall"


@dataclass(frozen=True)
class Waterfall:
    """How the terms of one row add up to its linear predictor.

    Parameters
    ----------
    table : DataFrame
        A row for each term: ``contribution``, and ``cumulative``, the sum up to and
        with it, ``start`` included.
    start : float
        Where the sum starts: 0, or the mean of the reference.
    total : float
        The linear predictor of the row.
    label : object
        Label of the row.
    explained : str
        What the linear predictor is, in words.

    Examples
    --------
    >>> import pandas as pd
    >>> from semistruct.attribution import Waterfall
    >>> table = pd.DataFrame({"contribution": [0.6, -0.1], "cumulative": [0.6, 0.5]},
    ...                      index=["age", "image(scan)"])
    >>> print(Waterfall(table, 0.0, 0.5, 17, "log hazard"))
    The log hazard of row 17, 0.50 = age 0.60 − image(scan) 0.10.
    """

    table: pd.DataFrame
    start: float
    total: float
    label: Any
    explained: str

    def __str__(self) -> str:
        parts = [(name, float(d)) for name, d in self.table["contribution"].items()]
        if self.start:
            parts.insert(0, ("mean of the reference", self.start))
        words = [f"{name} {_number(abs(d))}" for name, d in parts]
        signs = [" − " if _negative(d) else " + " for _, d in parts]
        first = "−" if _negative(parts[0][1]) else ""
        text = first + words[0]
        for sign, word in zip(signs[1:], words[1:], strict=True):
            text += sign + word
        sign = "−" if _negative(self.total) else ""
        total = sign + _number(abs(self.total))
        return f"The {self.explained} of row {self.label}, {total} = {text}."


def waterfall(
    model: Any,
    X: Any,
    *,
    parameter: Any = None,
    reference: pd.DataFrame | None = None,
) -> Waterfall:
    """Say how the terms of one row add up to its linear predictor.

    Parameters
    ----------
    model : estimator
        Fitted; a regressor, a classifier or a survival model.
    X : DataFrame of one row
        The row: ``X.iloc[[0]]``.
    parameter : label, optional
        Linear predictor: a distribution parameter, a class, a cause; may be left out
        where there is one.
    reference : DataFrame, optional
        Rows, such as those of fit, whose mean the row is compared with: the sum starts
        at their mean linear predictor, and each contribution is the difference from
        their mean one. Without it the sum starts at 0.

    Returns
    -------
    Waterfall
        ``str()`` of it is a sentence.

    Notes
    -----
    A term of time, in a model of long rows, is taken at the end of the last interval.

    Examples
    --------
    >>> import semistruct as ss
    >>> X, y = ss.datasets.load_rossi()
    >>> model = ss.SemiStructuredSurvival("fin + age + prio").fit(X, y)
    >>> print(ss.attribution.waterfall(model, X.iloc[[0]]))
    The log hazard of row 0, −1.52 = fin 0.00 − age 1.81 + prio 0.29.
    """
    ready, frame = checked(model, X, _OWNER)
    if len(frame) != 1:
        raise DataError(
            f"{_OWNER}: X must have one row; got {len(frame)}. One row is X.iloc[[0]]."
        )
    names = model._predictor_names()
    k = choose_parameter(names, parameter, _OWNER)
    terms = {label: float(d[0]) for label, d in contributions(ready, frame)[k].items()}
    start = 0.0
    if reference is not None:
        _, rows = checked(model, reference, _OWNER)
        means = {c: float(d.mean()) for c, d in contributions(ready, rows)[k].items()}
        start = sum(means.values())
        terms = {label: d - means[label] for label, d in terms.items()}
    values = np.array(list(terms.values()))
    cumulative = start + np.cumsum(values)
    table = pd.DataFrame(
        {"contribution": values, "cumulative": cumulative}, index=list(terms)
    )
    table.index.name = "term"
    explained = describe(model, names[k], len(names) > 1)
    total = float(cumulative[-1]) if len(cumulative) else start
    return Waterfall(table, start, total, frame.index[0], explained)


def _number(value: float) -> str:
    return f"{value:.2f}" if value < 100 else f"{value:.4g}"


def _negative(value: float) -> bool:
    return round(value, 2) < 0
