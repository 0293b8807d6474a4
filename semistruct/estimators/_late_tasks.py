"""What members of a late fusion say, by task, and how good a pool of it is.

Letters: n rows, d numbers for each row, C classes, m times.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar

import numpy as np
import pandas as pd
from sklearn.linear_model import LogisticRegression, RidgeCV

from semistruct._core.surv import Surv
from semistruct.exceptions import ParameterError, TargetError
from semistruct.metrics import CensoringDistribution
from semistruct.solvers import fit_cox

from ._survival import SemiStructuredSurvival
from ._survival_model import default_times

__all__ = [
    "Curves",
    "Labels",
    "Numbers",
    "Probabilities",
    "Risks",
    "Task",
    "brier_times",
    "curves_of",
    "event_times",
    "restricted_means",
]

_LEAST = 1e-15  # of a probability before its logarithm


class Task(ABC):
    """One kind of statement, fitted to the target of all rows; abstract."""

    loss_name: ClassVar[str]
    units: ClassVar[bool] = False  # whether statements are standardised by member

    @abstractmethod
    def say(self, estimator: Any, frame: pd.DataFrame, name: str) -> np.ndarray:
        """Ask a fitted member, (n, d)."""

    @abstractmethod
    def loss(
        self, pooled: np.ndarray, rows: np.ndarray, weight: np.ndarray | None
    ) -> tuple[float, np.ndarray]:
        """Score pooled statements (r, d) on some rows of fit; with the derivative."""

    @abstractmethod
    def default_meta(self) -> Any:
        """Give the learner that stacks statements, where none is given."""

    def shown(self, said: np.ndarray) -> np.ndarray:
        """Give the statements as a person reads them, (n, d')."""
        return said

    def stacked(self, said: np.ndarray) -> np.ndarray:
        """Give the statements as a learner takes them, without what is redundant."""
        return said


class Numbers(Task):
    """Predictions of regressors; squared error."""

    loss_name = "squared error"

    def __init__(self, y: Any) -> None:
        self.y = np.asarray(y, dtype=np.float64)

    def say(self, estimator: Any, frame: pd.DataFrame, name: str) -> np.ndarray:
        said = np.asarray(estimator.predict(frame), dtype=np.float64)
        if said.ndim != 1:
            raise ParameterError(
                parameter="estimators",
                owner="LateFusion",
                allowed="regressors that predict one number for each row",
                given=f"{name!r}, which predicts an array of shape {said.shape}",
            )
        return said[:, None]

    def loss(
        self, pooled: np.ndarray, rows: np.ndarray, weight: np.ndarray | None
    ) -> tuple[float, np.ndarray]:
        share = _shares(len(rows), weight)
        gap = pooled[:, 0] - self.y[rows]
        return float(share @ gap**2), (2.0 * share * gap)[:, None]

    def default_meta(self) -> Any:
        return RidgeCV()


class Probabilities(Task):
    """Class probabilities; log-loss."""

    loss_name = "log-loss"

    def __init__(self, y: Any) -> None:
        self.classes, self.codes = np.unique(np.asarray(y), return_inverse=True)
        if len(self.classes) < 2:
            raise TargetError(
                f"LateFusion: y has one class only, {self.classes[0]!r}; a classifier "
                "needs two or more."
            )

    def say(self, estimator: Any, frame: pd.DataFrame, name: str) -> np.ndarray:
        if not hasattr(estimator, "predict_proba"):
            raise ParameterError(
                parameter="estimators",
                owner="LateFusion",
                allowed="classifiers with predict_proba",
                given=f"{name!r}, a {type(estimator).__name__} without",
                hint="how='vote' asks for classes only.",
            )
        said = np.asarray(estimator.predict_proba(frame), dtype=np.float64)
        return self._placed(estimator, said)

    def _placed(self, estimator: Any, said: np.ndarray) -> np.ndarray:
        """Put the columns of a member, who may not know all classes, to their place."""
        out = np.zeros((len(said), len(self.classes)))
        out[:, np.searchsorted(self.classes, estimator.classes_)] = said
        return out

    def loss(
        self, pooled: np.ndarray, rows: np.ndarray, weight: np.ndarray | None
    ) -> tuple[float, np.ndarray]:
        share, at = _shares(len(rows), weight), np.arange(len(rows))
        codes = self.codes[rows]
        seen = np.clip(pooled[at, codes], _LEAST, None)
        slope = np.zeros_like(pooled)
        slope[at, codes] = -share / seen
        return float(-share @ np.log(seen)), slope

    def default_meta(self) -> Any:
        return LogisticRegression()

    def shown(self, said: np.ndarray) -> np.ndarray:
        return said[:, 1:] if len(self.classes) == 2 else said

    def stacked(self, said: np.ndarray) -> np.ndarray:
        return said[:, 1:]


class Labels(Probabilities):
    """Predicted classes, as 0 and 1 in the column of each class."""

    def say(self, estimator: Any, frame: pd.DataFrame, name: str) -> np.ndarray:
        codes = np.searchsorted(self.classes, np.asarray(estimator.predict(frame)))
        return np.eye(len(self.classes))[codes]


class _Survival(Task):
    """What survival members say; abstract."""

    def __init__(self, y: Surv) -> None:
        self.y = y

    def default_meta(self) -> Any:
        return SemiStructuredSurvival()

    def _weight(self, rows: np.ndarray, weight: np.ndarray | None) -> np.ndarray:
        own = None if self.y.weights is None else self.y.weights[rows]
        given = own if weight is None else weight
        return np.ones(len(rows)) if given is None else given


class Risks(_Survival):
    """Risk scores, standardised for each member; Cox partial likelihood."""

    loss_name = "partial likelihood"
    units = True

    def say(self, estimator: Any, frame: pd.DataFrame, name: str) -> np.ndarray:
        said = np.asarray(estimator.predict(frame), dtype=np.float64)
        if said.ndim != 1:
            raise ParameterError(
                parameter="estimators",
                owner="LateFusion",
                allowed="survival members of one cause",
                given=f"{name!r}, which gives {said.shape[1]} risks for each row",
                hint="Give Surv(time, event & (cause == one)) for the risk of one.",
            )
        return said[:, None]

    def loss(
        self, pooled: np.ndarray, rows: np.ndarray, weight: np.ndarray | None
    ) -> tuple[float, np.ndarray]:
        """Negative log partial likelihood per event, at the best slope b >= 0.

        The derivative holds b fixed, where it does not move the value.
        """
        y, cases = self.y[rows], self._weight(rows, weight)
        known: dict[str, Any] = {
            "entry": y.entry,
            "strata": y.strata,
            "sample_weight": cases,
        }
        risk = pooled[:, 0] - pooled[:, 0].mean()
        slope = 0.0
        if np.ptp(risk) > 0:
            best = fit_cox(risk[:, None], y.time, y.event, **known)
            slope = max(float(best.coef[0]), 0.0)
        # no column, all in the offset: the likelihood there
        fit = fit_cox(
            np.empty((len(y), 0)), y.time, y.event, offset=slope * risk, **known
        )
        residual = cases * y.event - fit.working_weight[:, 0]
        events = float(cases[y.event].sum())
        return -fit.loglik / events, (-slope / events * residual)[:, None]


class Curves(_Survival):
    """Survival curves at some times; integrated Brier score.

    The weights of the score are the inverse probability of censoring, G(T−) of an event
    and G(t) of a row that lives at t, estimated from all rows of fit.
    """

    loss_name = "integrated Brier score"

    def __init__(self, y: Surv, times: np.ndarray) -> None:
        super().__init__(y)
        self.times = times

    def say(self, estimator: Any, frame: pd.DataFrame, name: str) -> np.ndarray:
        return curves_of(estimator, frame, self.times, name)

    def loss(
        self, pooled: np.ndarray, rows: np.ndarray, weight: np.ndarray | None
    ) -> tuple[float, np.ndarray]:
        y, times = self.y[rows], self.times
        censoring = CensoringDistribution.fit(self.y)
        lives = y.time[:, None] > times
        case = np.zeros(len(y))
        seen = y.event & (y.time <= times[-1])
        case[seen] = 1.0 / censoring(y.time[seen], left=True)
        known = np.where(lives, 1.0 / censoring(times), case[:, None])
        gap = np.diff(times) / (2.0 * (times[-1] - times[0]))
        rule = np.r_[gap, 0.0] + np.r_[0.0, gap]
        known *= rule * _shares(len(y), self._weight(rows, weight))[:, None]
        error = pooled - lives
        return float(np.sum(known * error**2)), 2.0 * known * error

    def shown(self, said: np.ndarray) -> np.ndarray:
        return restricted_means(self.times, said)[:, None]


def curves_of(
    estimator: Any,
    frame: pd.DataFrame,
    times: np.ndarray,
    name: str,
    strata: Any = None,
) -> np.ndarray:
    """Ask a member for S(t | x), (n, m)."""
    if not hasattr(estimator, "predict_survival_function"):
        raise ParameterError(
            parameter="estimators",
            owner="LateFusion",
            allowed="members with predict_survival_function",
            given=f"{name!r}, a {type(estimator).__name__} without",
            hint="average='risk' asks for risks only.",
        )
    options = {} if strata is None else {"strata": strata}
    return estimator.predict_survival_function(frame, times=times, **options)(times)


def restricted_means(times: np.ndarray, survival: np.ndarray) -> np.ndarray:
    """Give ∫ S(t) dt from 0 to the last time, (n,), of steps (n, m)."""
    return times[0] + survival[:, :-1] @ np.diff(times)


def event_times(y: Surv) -> np.ndarray:
    """Give the distinct event times, at most 500."""
    return default_times(y.time, y.event)


def brier_times(y: Surv) -> np.ndarray:
    """Choose times for the Brier score; refuse a target that it is not defined for."""
    if y.entry is not None:
        raise TargetError(
            "LateFusion: survival curves are weighed by the Brier score, which is not "
            "defined with late entry (Surv(entry=…)). Take average='risk'."
        )
    times = CensoringDistribution.fit(y).default_times(50)
    if len(times) < 2:
        raise TargetError(
            "LateFusion: the events of y have fewer than two distinct times, too few "
            "to weigh survival curves. Take average='risk'."
        )
    return times


def _shares(n: int, weight: np.ndarray | None) -> np.ndarray:
    """Give weights (n,) that add up to 1."""
    return np.full(n, 1.0 / n) if weight is None else weight / weight.sum()
