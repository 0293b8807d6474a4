"""Discrete-time models as heads: a predictor of each row, or of each interval.

Letters: n rows, J intervals, N long rows, B rows of a batch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from semistruct._core.surv import Surv
from semistruct.families import DiscreteTimeFamily, LogisticHazard
from semistruct.networks import SemiStructuredNetwork
from semistruct.objectives import (
    DeepHitObjective,
    LikelihoodObjective,
    MultiSurvObjective,
    Objective,
)
from semistruct.solvers import ExactFit

from ._event_split import EventSplit
from ._heads import GlmHead
from ._person_period_head import PersonPeriodHead

__all__ = ["IntervalsHead", "ProportionalHead", "discrete_objective"]


def discrete_objective(
    network: SemiStructuredNetwork, family: DiscreteTimeFamily, options: dict[str, Any]
) -> Objective:
    """Make the objective of a loss; ``options`` holds its ``loss`` and its numbers."""
    loss = options["loss"]
    if loss == "deephit":
        return DeepHitObjective(
            network, family, alpha=options["alpha"], sigma=options["sigma"]
        )
    if loss == "multisurv":
        assert isinstance(family, LogisticHazard)
        return MultiSurvObjective(network, family)
    return LikelihoodObjective(network, family)


@dataclass(frozen=True)
class ProportionalHead(PersonPeriodHead):
    """One predictor of a row for all its intervals, which a time term may add to.

    The exact path fits Bernoulli long rows, an event or none in each interval. The
    network's one output of a row is added to its structured predictors (n, J).
    """

    codes: np.ndarray | None = None  # what the objective takes as y
    wide: LogisticHazard | None = None
    options: dict[str, Any] | None = None

    def _log_exposure(self) -> np.ndarray:
        return np.zeros(len(self.period))

    def _by_row(self, fit: ExactFit) -> ExactFit:
        count = np.maximum(self.period.count, 1)
        mean = self._sums(fit.linear_predictor[:, 0]) / count
        return self._aggregated(fit, mean)

    def tensors(
        self, fit: ExactFit, matrices: Sequence[Any], offset: np.ndarray
    ) -> dict[str, torch.Tensor]:
        row, interval = self.period.row, self.period.interval
        eta = np.zeros((self.n_rows, len(self.period.cuts)))
        # intervals in which a row is not at risk do not enter its likelihood
        eta[row, interval] = matrices[0].dot(fit.coef) + offset[row, 0]
        tensors = {"y": torch.as_tensor(self.codes), "offset": torch.as_tensor(eta)}
        if self.weight is not None:
            tensors["weight"] = torch.as_tensor(self.weight)
        return tensors

    def objective(self, network: SemiStructuredNetwork, fit: ExactFit) -> Objective:
        assert self.wide is not None
        assert self.options is not None
        return discrete_objective(network, self.wide, self.options)


@dataclass(frozen=True)
class IntervalsHead(EventSplit, GlmHead):
    """A predictor of a row for each interval (and cause)."""

    given: Surv | None = None
    options: dict[str, Any] | None = None

    @property
    def surv(self) -> Surv:
        assert self.given is not None
        return self.given

    def _intervals(self) -> tuple[np.ndarray, ...]:
        assert self.options is not None
        return (self.options["cuts"],)

    def objective(self, network: SemiStructuredNetwork, fit: ExactFit) -> Objective:
        assert isinstance(self.family, DiscreteTimeFamily)
        assert self.options is not None
        return discrete_objective(network, self.family, self.options)
