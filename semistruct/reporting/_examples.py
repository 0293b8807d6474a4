"""The section of a report about single rows."""

from __future__ import annotations

import importlib.util
import warnings
from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from semistruct import attribution, plots

from ._facts import Facts, attempt, drawn
from ._page import Page

__all__ = ["write_examples"]

_ROWS = 4  # whose images are shown
_MANY = 40  # over which columns are averaged


def write_examples(page: Page, facts: Facts) -> None:
    """Take the predictions of some rows apart."""
    page.heading("Single rows")
    order = facts.order()
    parameter = _parameter(facts, range(len(facts.model._predictor_names())))
    chosen = order[[int(q * (len(order) - 1)) for q in (0.1, 0.5, 0.9)]]
    attempt(
        page,
        "The parts of single rows",
        lambda: _waterfalls(page, facts, chosen, parameter),
    )
    if not facts.model.predictor_.parts:
        return
    if importlib.util.find_spec("captum") is None:
        page.text(
            "Where in the images, or in which columns, the networks look is shown if "
            "captum is installed: pip install 'semistruct[attribution]'."
        )
        return
    for part in facts.model.predictor_.parts.values():
        for term in getattr(part.term, "terms", (part.term,)):
            write = partial(_attribution, page, facts, term.label, part.targets, order)
            attempt(page, f"The attribution of {term.label}", write)


def _parameter(facts: Facts, targets: Sequence[int]) -> Any:
    """Choose the linear predictor that is shown: the one that rows are ordered by."""
    if len(targets) == 1:
        return None
    last = facts.probabilities or facts.causes
    return facts.model._predictor_names()[targets[-1 if last else 0]]


def _waterfalls(page: Page, facts: Facts, rows: np.ndarray, parameter: Any) -> None:
    """Draw how the terms of three rows add up, compared with the mean row."""
    found = [
        attribution.waterfall(
            facts.model, facts.X.iloc[[i]], parameter=parameter, reference=facts.X
        )
        for i in rows
    ]
    height = 1.4 + 0.34 * len(found[0].table)
    figure = Figure(figsize=(11.5, height), layout="constrained")
    axes = figure.subplots(1, len(found), sharey=True)
    for axis, one in zip(axes, found, strict=True):
        plots.waterfall(one, axes=axis)
        low, high = axis.get_xlim()
        room = 0.14 * (high - low)  # for the numbers beside the bars
        axis.set_xlim(low - room, high + room)
    page.figure(
        figure,
        "How the terms of three rows add up to their linear predictor, beginning at "
        "the mean of the rows: a low, a middle and a high prediction.",
    )


def _attribution(
    page: Page, facts: Facts, label: str, targets: Sequence[int], order: np.ndarray
) -> None:
    """Draw where a deep term looks: images of some rows, or columns over many."""
    parameter = _parameter(facts, targets)
    spread = np.unique(np.linspace(0, len(order) - 1, _MANY).astype(int))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # told by `delta` below
        found = attribution.explain(
            facts.model, facts.X.iloc[order[spread]], label, parameter=parameter
        )
    lack = np.abs(found.delta).max() / max(np.abs(found.outcome).max(), 1e-12)
    words = f"integrated gradients; they lack at most {lack:.1%} of the contribution"
    if found.values.ndim == 4:
        shown = np.linspace(0, len(found.index) - 1, _ROWS).round().astype(int)
        figure = Figure(figsize=(11.5, 3.0), layout="constrained")
        axes = figure.subplots(1, len(shown))
        for axis, row in zip(axes, shown, strict=True):
            plots.attribution_map(found, int(row), axes=axis)
        page.figure(
            figure,
            f"Where {label} looks in rows of low to high predictions: vermilion "
            f"raises, blue lowers the {found.explained} ({words}).",
        )
        return
    if found.words:
        table = found.word_sums().head(12)
        page.text(f"Words of {label} with the largest attributions ({words}):")
        page.table(table)
        return
    n = min(12, len(found.features))
    page.figure(
        drawn(lambda axis: plots.top_features(found, n, axes=axis), 5.4, 1.2 + 0.3 * n),
        f"Columns of {label} with the largest mean attributions over "
        f"{len(found.index)} rows ({words}).",
    )
