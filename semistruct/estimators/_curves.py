"""Curves: what turns the predictors of rows into functions of time.

Letters: n rows, m times, q probabilities.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar, NamedTuple

import numpy as np
import pandas as pd

from semistruct._core.step import StepFunction
from semistruct.exceptions import ParameterError
from semistruct.inference import CurveBand, restricted_mean, survival_quantile
from semistruct.solvers import ExactFit

from ._additive import AdditivePredictor

__all__ = ["Curves", "Rows", "curves_from_state", "register_curves"]


class Rows(NamedTuple):
    """Rows to predict: the fitted predictor, their table and their strata."""

    predictor: AdditivePredictor
    frame: pd.DataFrame
    strata: list[Any] | None = None

    @property
    def eta(self) -> np.ndarray:
        """Linear predictors (n, K)."""
        return self.predictor.linear_predictor(self.frame)


class Curves(ABC):
    """What a head keeps of a fit for predictions over time; abstract.

    ``times`` is the default grid; ``causes`` are those of competing risks, empty
    without; ``labels`` are the strata, ``[None]`` without.
    """

    kind: ClassVar[str]
    times: np.ndarray
    causes: tuple[Any, ...] = ()
    labels: tuple[Any, ...] = (None,)

    @abstractmethod
    def cumulative_hazard(self, rows: Rows, times: np.ndarray) -> np.ndarray:
        """Give Λ(t | x) of any event, (n, m)."""

    @abstractmethod
    def risk(self, rows: Rows) -> np.ndarray:
        """Give a score that is higher for an earlier event: (n,), (n, C) by cause."""

    @abstractmethod
    def to_state(self) -> dict[str, Any]:
        """Give what was learned as a state, ``kind`` among it."""

    @classmethod
    @abstractmethod
    def from_state(cls, state: dict[str, Any]) -> Curves:
        """Make it from what ``to_state`` gave."""

    def survival(self, rows: Rows, times: np.ndarray) -> np.ndarray:
        """Give S(t | x), (n, m)."""
        return np.exp(-self.cumulative_hazard(rows, times))

    def incidence(self, rows: Rows, times: np.ndarray) -> dict[Any, np.ndarray]:
        """Give the cumulative incidence of each cause, (n, m)."""
        raise ParameterError(
            parameter="y",
            owner="predict_cumulative_incidence_function",
            allowed="a model that was fitted to competing risks, Surv(…, cause=…)",
            given="events of one cause",
            hint="With one cause it is 1 - predict_survival_function(X).",
        )

    def quantile(self, rows: Rows, p: np.ndarray) -> np.ndarray:
        """Give the times by which shares p have had the event, (n, q)."""
        return survival_quantile(self._step(rows), p).to_numpy()

    def restricted_mean(self, rows: Rows, horizon: float) -> np.ndarray:
        """Give ∫ S(t | x) dt from 0 to the horizon, (n,)."""
        return restricted_mean(self._step(rows), horizon).to_numpy()

    def band(
        self,
        rows: Rows,
        fit: ExactFit,
        times: np.ndarray,
        level: float,
        transform: str,
    ) -> CurveBand:
        """Give S(t | x) with pointwise limits."""
        raise ParameterError(
            parameter="head",
            owner="predict_survival_band",
            allowed="a head with an exact fit of its curve",
            given=self.kind,
        )

    def _step(self, rows: Rows) -> StepFunction:
        return StepFunction(
            self.times, self.survival(rows, self.times), 1.0, rows.frame.index
        )


_KINDS: dict[str, type[Curves]] = {}


def register_curves(cls: type[Curves]) -> type[Curves]:
    """Let `curves_from_state` make curves of this class."""
    _KINDS[cls.kind] = cls
    return cls


def curves_from_state(state: dict[str, Any]) -> Curves:
    """Make curves from their state; KeyError for a kind that is not known."""
    return _KINDS[state["kind"]].from_state(state)
