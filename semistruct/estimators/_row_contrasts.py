"""Differences of the linear predictor between rows, with their standard errors."""

from __future__ import annotations

from typing import Any

import pandas as pd
from sklearn.utils.validation import check_is_fitted

from semistruct.exceptions import DataError
from semistruct.inference import critical_value, linear_combination

from ._compare import residual_df

__all__ = ["row_contrasts"]


def row_contrasts(
    model: Any, X: Any, reference: Any, level: float = 0.95
) -> pd.DataFrame:
    """Compare the linear predictors of rows with those of reference rows.

    δ_i = η(x_i) − η(r_i), a linear combination of the coefficients: log hazard ratios
    of a Cox or piecewise exponential model (with a column ``time`` in both tables, over
    time), log odds ratios of a logistic one, differences of means with an identity
    link. Deep terms cancel where both rows hold the same scan; otherwise their
    difference is in the estimate and conditioned on.

    Parameters
    ----------
    model : fitted estimator
        Of one linear predictor.
    X : DataFrame of n rows
        Rows of interest.
    reference : DataFrame of n rows or of one
        What they are compared with, row by row.
    level : float in (0, 1), default=0.95
        Coverage of the pointwise limits.

    Returns
    -------
    DataFrame of n rows
        The columns ``estimate``, ``std err``, ``lower`` and ``upper``.

    Raises
    ------
    DataError
        If the numbers of rows do not fit, or the model has several linear predictors.

    Examples
    --------
    >>> import pandas as pd, semistruct as ss
    >>> X, y = ss.datasets.load_rossi()
    >>> model = ss.SemiStructuredSurvival("fin + s(age)").fit(X, y)
    >>> old, young = X[:1].assign(age=40), X[:1].assign(age=20)
    >>> table = ss.analysis.row_contrasts(model, old, young)
    >>> bool(table["estimate"].iloc[0] < 0)
    True
    """
    check_is_fitted(model, "predictor_")
    predictor, fit = model.predictor_, model.exact_
    if len(predictor.predictors) > 1:
        raise DataError(
            "row_contrasts: the model has the linear predictors "
            f"{[p.name for p in predictor.predictors]}; it takes models of one."
        )
    rows, base = model._frame(X), model._frame(reference)
    if len(base) not in (1, len(rows)):
        raise DataError(
            f"row_contrasts: X has {len(rows)} rows, so reference has as many, or "
            f"one; it has {len(base)}."
        )
    difference = predictor.matrices(rows)[0] - predictor.matrices(base)[0]
    known = predictor.linear_predictor(rows) - predictor.linear_predictor(base)
    error = linear_combination(difference, fit.coef, fit.cov).std_error
    estimate = known[:, 0]  # offsets and deep terms are in it
    half = critical_value(level, residual_df(model), "row_contrasts") * error
    return pd.DataFrame(
        {
            "estimate": estimate,
            "std err": error,
            "lower": estimate - half,
            "upper": estimate + half,
        },
        index=rows.index,
    )
