"""What the sections of a report read."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from semistruct._core.digest import array_digest
from semistruct._core.randomness import RandomState
from semistruct._core.surv import Surv
from semistruct.estimators import Summary
from semistruct.exceptions import SemistructError

from ._page import Page

__all__ = ["Facts", "attempt", "drawn", "formatted", "is_of_fit", "sized"]


@dataclass(frozen=True)
class Facts:
    """A fitted model, rows with their target, and options of the report.

    Parameters
    ----------
    model : estimator
        Fitted.
    X : DataFrame of n rows
        The table.
    y : Surv or ndarray of n rows
        The target, checked.
    summary : Summary
        Of the model.
    of_fit : bool
        Whether the rows are those of the fit.
    level : float
        Coverage of intervals.
    n_boot : int
        Resamples of bootstrap intervals.
    random_state : int, Generator, RandomState or None
        Of the resamples.
    """

    model: Any
    X: pd.DataFrame
    y: Any
    summary: Summary
    of_fit: bool
    level: float
    n_boot: int
    random_state: RandomState

    @property
    def survival(self) -> bool:
        """Whether the target is a survival time."""
        return isinstance(self.y, Surv)

    @property
    def causes(self) -> list[Any]:
        """Causes that the model tells apart; none with one kind of event."""
        return list(self.model.curves_.causes) if self.survival else []

    @property
    def probabilities(self) -> bool:
        """Whether the model predicts probabilities of classes."""
        family = getattr(self.model, "family_", None)
        classes = hasattr(self.model, "classes_")
        return classes or hasattr(family, "n_classes")

    def class_labels(self) -> list[str]:
        """Name the classes."""
        if hasattr(self.model, "classes_"):
            return [str(label) for label in self.model.classes_]
        return [str(k) for k in range(self.model.family_.n_classes)]

    def order(self) -> np.ndarray:
        """Order the rows by one number of their prediction, the lowest first."""
        model = self.model
        if hasattr(model, "classes_"):
            values = model.predict_proba(self.X)[:, -1]
        else:
            values = np.asarray(model.predict(self.X), dtype=np.float64)
            values = values.reshape(len(self.X), -1)[:, -1]
        return np.argsort(values, kind="stable")


def is_of_fit(model: Any, y: Any) -> bool:
    """Whether a target is, row by row, that of the fit."""
    if isinstance(y, Surv):
        code = y.event.astype(np.float64)
        causes = list(model.curves_.causes)
        if y.cause is not None:
            for k, cause in enumerate(causes, start=1):
                code[y.event & (y.cause == cause)] = k
        known = [np.column_stack([y.time, code]), y.bounds()]  # of AFT models
    else:
        known = [np.asarray(model._coded(y), dtype=np.float64)]
    return model.target_digest_ in [array_digest(target) for target in known]


def attempt(page: Page, what: str, write: Callable[[], Any]) -> None:
    """Write a part, or say why it is not there."""
    try:
        write()
    except SemistructError as error:
        page.text(f"{what} cannot be shown: {error}")


def drawn(
    draw: Callable[[Any], Any], width: float = 5.6, height: float = 3.8
) -> Figure:
    """Make a figure of one axis, without the global state of pyplot."""
    figure = Figure(figsize=(width, height), layout="constrained")
    draw(figure.subplots())
    return figure


def formatted(frame: pd.DataFrame) -> pd.DataFrame:
    """Write the numbers of a table with four digits that count."""
    columns = {
        k: [_cell(value, str(name)) for value in frame[name]]
        for k, name in enumerate(frame.columns)
    }
    out = pd.DataFrame(columns, index=[_label(label) for label in frame.index])
    return out.set_axis([_label(name) for name in frame.columns], axis=1)


def sized(value: float) -> str:
    """Write a number with four digits that count."""
    if not np.isfinite(value):
        return "" if np.isnan(value) else str(value)
    if float(value).is_integer() and abs(value) < 1e9:
        return f"{int(value):,}"
    size = abs(value)
    if 1e-3 <= size < 1e5:
        return f"{value:.{max(0, 3 - int(np.floor(np.log10(size))))}f}"
    return f"{value:.3g}"


def _cell(value: Any, column: str) -> str:
    if value is None or isinstance(value, str | bool):
        return "" if value is None else str(value)
    number = float(value)
    if column.startswith(("P>", "p-value")) and np.isfinite(number):
        return "< 0.001" if number < 0.001 else f"{number:.3f}"
    return sized(number)


def _label(label: Any) -> str:
    return ": ".join(map(str, label)) if isinstance(label, tuple) else str(label)
