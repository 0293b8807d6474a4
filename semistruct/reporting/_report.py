"""A page about one fitted model."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn.utils.validation import check_is_fitted

from semistruct._core.randomness import RandomState
from semistruct._core.surv import Surv
from semistruct._core.validation import check_number
from semistruct.exceptions import DataError, ParameterError

from ._examples import write_examples
from ._facts import Facts, is_of_fit
from ._model_sections import write_data, write_model, write_rests, write_versions
from ._page import Page
from ._performance import write_calibration, write_curves, write_scores

__all__ = ["report"]

_OWNER = "report"


def report(
    model: Any,
    path: str | os.PathLike[str],
    X: Any,
    y: Any,
    *,
    title: str | None = None,
    level: float = 0.95,
    n_boot: int = 200,
    random_state: RandomState = 0,
) -> Path:
    """Write a self-contained HTML page about a fitted model.

    The page holds the data, the model, coefficients, pictures of the smooths, shares of
    the deep terms, scores with intervals, calibration, for survival models curves of
    rows and of risk groups, single rows taken apart, what the standard errors rest on,
    and versions and seed. It needs no network, and can be read in light and dark.

    Parameters
    ----------
    model : estimator
        Fitted: a regressor, a classifier or a survival model.
    path : path-like
        File to write; its folder is made if it is not there.
    X : DataFrame or array-like of shape (n, p)
        Rows that the page is about, better not those of the fit.
    y : array-like or Surv of n rows
        Their target. The page says if it is that of the fit.
    title : str, optional
        Title of the page. Default: the estimator and its head.
    level : float in (0, 1), default=0.95
        Coverage of the intervals of scores.
    n_boot : int, default=200
        Resamples of intervals by the bootstrap.
    random_state : int, Generator, RandomState or None, default=0
        Source of the resamples.

    Returns
    -------
    Path
        Of the page.

    Raises
    ------
    ParameterError, DataError, ColumnError, TargetError
        Naming what cannot be used. A part that cannot be shown for this model is not an
        error: the page says why it is not there.

    Examples
    --------
    >>> import tempfile, semistruct as ss
    >>> X, y = ss.datasets.load_rossi()
    >>> model = ss.SemiStructuredSurvival("fin + age + prio").fit(X[:300], y[:300])
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     page = ss.report(model, f"{folder}/report.html", X[300:], y[300:])
    ...     "Harrell" in page.read_text(encoding="utf-8")
    True
    """
    check_is_fitted(model)
    if not hasattr(model, "predictor_"):
        raise ParameterError(
            parameter="model",
            owner=_OWNER,
            allowed="a SemiStructuredRegressor, -Classifier or -Survival",
            given=type(model).__name__,
            hint="Of a late fusion give one of its members.",
        )
    check_number(
        level, parameter="level", owner=_OWNER, low=0, high=1, closed="neither"
    )
    check_number(n_boot, parameter="n_boot", owner=_OWNER, low=1, integer=True)
    facts = _facts(model, X, y, level, n_boot, random_state)
    page = Page(title or facts.summary.title)
    write_data(page, facts)
    write_model(page, facts)
    write_scores(page, facts)
    write_calibration(page, facts)
    write_curves(page, facts)
    write_examples(page, facts)
    write_rests(page, facts)
    write_versions(page, facts)
    return page.write(path)


def _facts(
    model: Any, X: Any, y: Any, level: float, n_boot: int, random_state: RandomState
) -> Facts:
    """Check rows and target."""
    frame = X if isinstance(X, pd.DataFrame) else model._frame(X)
    if len(frame) < 2:
        raise DataError(f"{_OWNER}: X has {len(frame)} rows; at least 2 are needed.")
    target = model._check_y(y, len(frame))
    if not isinstance(target, Surv):
        target = np.asarray(target)
        model._coded(target)
    elif len(target) != len(frame):
        raise DataError(f"{_OWNER}: X has {len(frame)} rows, but y has {len(target)}.")
    return Facts(
        model=model,
        X=frame,
        y=target,
        summary=model.summary(),
        of_fit=is_of_fit(model, target),
        level=level,
        n_boot=n_boot,
        random_state=random_state,
    )
