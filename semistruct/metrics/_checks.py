"""Checks that the measures share; each error says what, where and what to do."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from semistruct._core.step import StepFunction
from semistruct._core.surv import Surv
from semistruct._core.validation import suggest
from semistruct.exceptions import DataError, TargetError

__all__ = [
    "at_own_times",
    "case_weights",
    "check_times",
    "clusters",
    "no_entry",
    "no_weights",
    "of_cause",
    "one_cause",
    "probabilities_at",
    "quantile_groups",
    "risk_array",
    "strata_codes",
    "survival_at",
    "survival_function",
]


def risk_array(risk: Any, y: Surv) -> np.ndarray:
    """Make a finite array of shape (n,) of predicted risks."""
    risk = np.asarray(risk, dtype=np.float64)
    if risk.shape != y.shape:
        raise DataError(
            f"The predicted risk has shape {risk.shape}, but y has shape {y.shape}."
        )
    bad = np.flatnonzero(~np.isfinite(risk))
    if bad.size:
        row = int(bad[0])
        raise DataError(f"The predicted risk of row {row} is {risk[row]}, not finite.")
    return risk


def case_weights(y: Surv, sample_weight: Any, owner: str) -> np.ndarray:
    """Make the weights of the rows: given, of y, or ones."""
    if sample_weight is None:
        return np.ones(len(y)) if y.weights is None else y.weights
    if y.weights is not None:
        raise DataError(
            f"{owner}: both sample_weight and the weights of y are given; give one."
        )
    weight = np.asarray(sample_weight, dtype=np.float64)
    if weight.shape != y.shape:
        raise DataError(
            f"{owner}: sample_weight has shape {weight.shape}, but y has {y.shape}."
        )
    bad = np.flatnonzero(~np.isfinite(weight) | (weight < 0))
    if bad.size:
        row = int(bad[0])
        raise DataError(
            f"{owner}: sample_weight must be finite and not negative; row {row} is "
            f"{weight[row]}."
        )
    return weight


def no_entry(y: Surv, owner: str) -> None:
    """Refuse late entry, where the measure is not made for it."""
    if y.entry is not None and np.any(y.entry > 0):
        row = int(np.flatnonzero(y.entry > 0)[0])
        raise DataError(
            f"{owner} is not made for late entry (row {row} enters at "
            f"{y.entry[row]:g}); Harrell's concordance is."
        )


def no_weights(y: Surv, owner: str) -> None:
    """Refuse late entry and case weights, where the measure is not made for them."""
    no_entry(y, owner)
    if y.weights is not None and np.any(y.weights != 1):
        raise DataError(
            f"{owner} is not made for case weights; repeat the rows, or give y without "
            "weights."
        )


def one_cause(y: Surv, owner: str) -> None:
    """Refuse events of several causes, where the measure is of any event."""
    if len(y.causes) > 1:
        raise DataError(
            f"{owner}: y has events of several causes, {y.causes}, but this is a "
            "measure of one event. For one cause use its kin with cause= "
            "(cause_concordance, cause_auc, cause_brier_score, "
            "cause_calibration_curve); for any event give Surv(time, event) without "
            "causes."
        )


def of_cause(y: Surv, cause: Any, owner: str) -> np.ndarray:
    """Give booleans (n,) of the rows with an event of the cause."""
    if y.cause is None:
        raise TargetError(f"{owner}: y has no causes; give Surv(…, cause=…).")
    if cause not in y.causes:
        raise TargetError(
            f"{owner}: no event of y has the cause {cause!r}; there are {y.causes}."
            f"{suggest(str(cause), map(str, y.causes))}"
        )
    return y.event & np.asarray(y.cause == cause, dtype=bool)


def strata_codes(y: Surv) -> np.ndarray | None:
    """Give codes of the strata of y, from 0."""
    if y.strata is None:
        return None
    return pd.factorize(y.strata, sort=False)[0].astype(np.int64)


def clusters(influence: np.ndarray, y: Surv) -> np.ndarray:
    """Sum influences over the rows of each id, where y has ids."""
    if y.id is None:
        return influence
    return np.bincount(pd.factorize(y.id)[0], weights=influence)


def check_times(times: Any, y: Surv, owner: str) -> np.ndarray:
    """Make increasing times that lie before the end of the follow-up of y."""
    asked = np.atleast_1d(np.asarray(times, dtype=np.float64))
    if asked.ndim != 1 or asked.size == 0 or not np.all(np.isfinite(asked)):
        raise DataError(
            f"{owner}: times must be finite numbers in one dimension; got {times!r}."
        )
    if np.any(np.diff(asked) <= 0):
        raise DataError(f"{owner}: times must increase, without ties.")
    if asked[0] < 0:
        raise DataError(f"{owner}: times must not be negative; got {asked[0]:g}.")
    if len(y) == 0:
        raise DataError(f"{owner}: y has no rows.")
    last = float(y.time.max())
    open_end = not np.all(y.event[y.time == last])
    if asked[-1] > last or (open_end and asked[-1] == last):
        word = "lie before" if open_end else "not lie beyond"
        raise DataError(
            f"{owner}: times must {word} the horizon of y, {last:g}; the largest is "
            f"{asked[-1]:g}. Leave out the times from the horizon on."
        )
    return asked


def survival_function(survival: Any, y: Surv, owner: str) -> StepFunction:
    """Take a StepFunction of one row for each row of y."""
    if not isinstance(survival, StepFunction):
        raise DataError(
            f"{owner}: survival must be a StepFunction, such as "
            f"predict_survival_function gives; got {type(survival).__name__}."
        )
    if len(survival) != len(y):
        raise DataError(
            f"{owner}: survival has {len(survival)} rows, but y has {len(y)}."
        )
    _in_range(survival.values, owner, "survival")
    return survival


def survival_at(survival: Any, y: Surv, times: np.ndarray, owner: str) -> np.ndarray:
    """Make survival probabilities of shape (n, m) of a StepFunction or an array."""
    return probabilities_at(survival, y, times, owner, "survival")


def probabilities_at(
    curves: Any, y: Surv, times: np.ndarray, owner: str, what: str
) -> np.ndarray:
    """Make probabilities of shape (n, m) of a StepFunction or an array."""
    if isinstance(curves, StepFunction):
        if len(curves) != len(y):
            raise DataError(
                f"{owner}: {what} has {len(curves)} rows, but y has {len(y)}."
            )
        values = curves(times)
    else:
        values = np.asarray(curves, dtype=np.float64)
        if values.ndim == 1 and len(times) == 1:
            values = values[:, None]
        if values.shape != (len(y), len(times)):
            raise DataError(
                f"{owner}: {what} has shape {values.shape}, but {len(y)} rows and "
                f"{len(times)} times need {(len(y), len(times))}."
            )
    _in_range(values, owner, what)
    return values


def at_own_times(survival: StepFunction, time: np.ndarray) -> np.ndarray:
    """Evaluate the curve of each row at its own time: S_i(t_i)."""
    at = np.searchsorted(survival.times, time, side="right") - 1
    if len(survival.times) == 0:
        return np.full(len(time), survival.before)
    values = survival.values[np.arange(len(time)), np.maximum(at, 0)]
    return np.where(at < 0, survival.before, values)


def quantile_groups(values: np.ndarray, groups: int) -> tuple[np.ndarray, np.ndarray]:
    """Give codes of groups of about equal size, and the cuts between them."""
    cuts = np.unique(np.quantile(values, np.arange(1, groups) / groups))
    return np.searchsorted(cuts, values, side="left"), cuts


def _in_range(values: np.ndarray, owner: str, what: str) -> None:
    if values.size and not (values.min() >= -1e-12 and values.max() <= 1 + 1e-12):
        bad = ~((values >= -1e-12) & (values <= 1 + 1e-12))  # NaN is bad
        row, column = (int(i) for i in np.argwhere(bad)[0])
        raise DataError(
            f"{owner}: predicted {what} must lie in [0, 1]; row {row}, time number "
            f"{column} is {values[row, column]} ({int(bad.sum())} such values)."
        )
