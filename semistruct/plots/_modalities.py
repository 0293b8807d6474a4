"""What each modality adds: scores of the combinations, and gains with intervals."""

from __future__ import annotations

from typing import Any

import numpy as np

from semistruct._core.validation import check_choice
from semistruct.estimators import ModalityComparison

from ._style import COLORS, make_axes, tidy

__all__ = ["modality_gains"]


def modality_gains(
    comparison: ModalityComparison, *, metric: str | None = None, axes: Any = None
) -> Any:
    """Draw the score of each combination and the gain of each modality.

    Left the score of each split as a small point and their mean as a large one; right
    the gain (all modalities minus all others), its bootstrap interval as a thick line
    and that of the corrected t-test as a thin one.

    Parameters
    ----------
    comparison : ModalityComparison
        What `semistruct.compare_modalities` found.
    metric : str, optional
        Which metric; the first when not given.
    axes : sequence of two Axes, optional
        Where to draw.

    Returns
    -------
    ndarray of two Axes

    Examples
    --------
    >>> import semistruct as ss
    >>> X, y = ss.datasets.load_mcycle()
    >>> X = X.assign(noise=range(len(X)))
    >>> model = ss.SemiStructuredRegressor("s(times) + noise")
    >>> found = ss.compare_modalities(
    ...     model, X, y, {"time": "s(times)", "noise": "noise"}, n_boot=50,
    ...     random_state=0)
    >>> left, right = ss.plots.modality_gains(found)
    >>> right.get_xlabel()
    'gain in r2'
    """
    scores, gains = comparison.scores, comparison.gains
    chosen = scores.columns[0] if metric is None else metric
    check_choice(
        chosen, list(scores.columns), parameter="metric", owner="modality_gains()"
    )
    left, right = make_axes(axes, 2, width=5.2, height=1.2 + 0.42 * len(scores))
    folds = comparison.folds[comparison.folds["metric"] == chosen]
    at = np.arange(len(scores))[::-1]
    for y, name in zip(at, scores.index, strict=True):
        own = folds.loc[folds["model"] == name, "score"]
        left.plot(own, np.full(len(own), y), "o", color=COLORS[6], markersize=4)
    left.plot(scores[chosen], at, "o", color=COLORS[0], markersize=8)
    left.set_yticks(at, list(scores.index))
    left.set(xlabel=chosen, ylim=(-0.7, len(scores) - 0.3))
    gains = gains[gains["metric"] == chosen]
    at = np.arange(len(gains))[::-1]
    right.axvline(0.0, color="#7F7F7F", linewidth=1, linestyle="--")
    right.hlines(at, gains["lower"], gains["upper"], color=COLORS[0], linewidth=1)
    right.hlines(
        at, gains["boot_lower"], gains["boot_upper"], color=COLORS[0], linewidth=4
    )
    right.plot(gains["gain"], at, "o", color=COLORS[1], markersize=8)
    right.set_yticks(at, list(gains["modality"]))
    right.set(xlabel=f"gain in {chosen}", ylim=(-0.7, len(gains) - 0.3))
    for axis in (left, right):
        tidy(axis)
    return np.array([left, right], dtype=object)
