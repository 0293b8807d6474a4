"""A fitted Cox model and its rows, as the pure functions want them."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from semistruct._core.digest import array_digest
from semistruct._core.surv import Surv
from semistruct.exceptions import DataError, NotFittedError, ParameterError, TargetError
from semistruct.inference._cox_rows import CoxRows

FloatArray = NDArray[np.float64]


class Fitted(NamedTuple):
    """Rows of a fitted Cox model, as the pure functions want them."""

    frame: pd.DataFrame
    names: list[str]
    rows: CoxRows


def read(
    model: Any,
    X: Any,
    y: Any,
    sample_weight: ArrayLike | None,
    owner: str,
    *,
    same: bool,
) -> Fitted:
    """Put a fitted model and rows into the form of the pure functions.

    ``same`` tells that they must be the rows of the fit.
    """
    if getattr(model, "head", "cox") != "cox" or not hasattr(model, "ties"):
        raise ParameterError(
            parameter="model",
            owner=owner,
            allowed="a survival estimator with head='cox'",
            given=model,
        )
    if not hasattr(model, "predictor_"):
        raise NotFittedError(f"{owner}: the model is not fitted; call fit first.")
    if len(getattr(model.exact_, "slices", ())) > 1:
        raise ParameterError(
            parameter="model",
            owner=owner,
            allowed="a Cox model of one event",
            given=model,
            hint="For one of several causes fit Surv(time, event & (cause == one)).",
        )
    target = Surv.coerce(y)
    frame = model._frame(X)
    if len(frame) != len(target):
        raise DataError(f"{owner}: X has {len(frame)} rows, but y has {len(target)}.")
    if same:
        _check_target(model, target, owner)
    if sample_weight is not None and target.weights is not None:
        raise TargetError(
            f"{owner}: both sample_weight and the weights of y are given; give one."
        )
    rows = CoxRows(
        matrix_of(model.predictor_, frame),
        model.predictor_.linear_predictor(frame)[:, 0],
        target.time,
        target.event,
        entry=target.entry,
        strata=target.strata,
        sample_weight=target.weights if sample_weight is None else sample_weight,
        ties=model.ties,
    )
    names = [str(name) for name in design_of(model.predictor_).names]
    return Fitted(frame, names, rows)


def _check_target(model: Any, target: Surv, owner: str) -> None:
    """Raise unless times and events are those of the fit, as far as it is known."""
    known = getattr(model, "target_digest_", None)
    given = array_digest(np.column_stack([target.time, target.event]))
    if known is not None and known != given:
        raise TargetError(
            f"{owner}: y is not the target of the fit; its rows are other ones, or in "
            "another order. Give the X and y that the model was fitted to, without the "
            "rows that missing='drop' left out."
        )


def design_of(predictor: Any) -> Any:
    """Return the structured design of the only linear predictor."""
    designs = getattr(predictor, "designs", None)
    return predictor.design if designs is None else designs[0]


def matrix_of(predictor: Any, frame: pd.DataFrame) -> FloatArray:
    """Columns of the structured part, (n, p)."""
    matrices = getattr(predictor, "matrices", None)
    if matrices is None:
        return np.asarray(design_of(predictor).matrix(frame), dtype=np.float64)
    matrix = matrices(frame)[0]
    if hasattr(matrix, "columns") and not isinstance(matrix, np.ndarray):
        matrix = matrix.columns(slice(None))  # a design operator
    return np.asarray(matrix, dtype=np.float64)
