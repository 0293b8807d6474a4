"""Survival models: what the ``head`` of a survival estimator may be."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, ClassVar

import numpy as np
from sklearn.base import BaseEstimator

from semistruct._core.surv import Surv
from semistruct._core.validation import suggest
from semistruct.exceptions import ParameterError, TargetError

from ._cox_head import CoxHead
from ._curves import Curves
from ._fitting import AdditiveFit
from ._heads import Head

__all__ = ["CoxModel", "SurvivalModel", "resolve_model"]


class SurvivalModel(BaseEstimator, ABC):
    """Which survival model is fitted, with its options; abstract.

    A specification only stores its parameters, so that ``head__cuts`` reaches them in a
    grid.
    """

    name: ClassVar[str]
    ratio: ClassVar[str | None] = None  # name of exp(coef), where it has one
    provides: tuple[str, ...] = ()  # columns that terms may read and X need not have

    @abstractmethod
    def make_head(
        self,
        y: Surv,
        weight: np.ndarray | None,
        formulas: list[str | None],
        owner: str,
    ) -> Head:
        """Check the target and make the head of a fit.

        ``formulas`` names the linear predictors that have one; ``[None]`` is one
        formula for all.
        """

    @abstractmethod
    def make_curves(self, head: Any, fitted: AdditiveFit) -> Curves:
        """Keep of a fit what predictions over time need."""

    def check(self, owner: str) -> None:
        """Check the options."""

    @property
    def title(self) -> str:
        """Name for a summary."""
        return self.name


class CoxModel(SurvivalModel):
    """Proportional hazards by the partial likelihood."""

    name = "cox"
    ratio = "hazard ratio"

    def __init__(self, ties: str = "efron") -> None:
        self.ties = ties

    @property
    def title(self) -> str:
        return f"Cox, {self.ties.capitalize()}'s ties"

    def make_head(
        self,
        y: Surv,
        weight: np.ndarray | None,
        formulas: list[str | None],
        owner: str,
    ) -> Head:
        only_formula(formulas, owner)
        refuse_causes(y, owner)
        refuse_without_events(y, weight, owner)
        return CoxHead(y, self.ties, weight)

    def make_curves(self, head: CoxHead, fitted: AdditiveFit) -> Curves:
        return head.curves(fitted.exact)


_NAMED: Mapping[str, SurvivalModel] = MappingProxyType({})


def resolve_model(head: Any, owner: str, **options: Any) -> SurvivalModel:
    """Find the model that a ``head`` parameter means.

    ``options`` are those of the estimator itself, for ``"cox"``.
    """
    if isinstance(head, SurvivalModel):
        model = head
    elif head == "cox":
        model = CoxModel(**options)
    elif isinstance(head, str) and head in _NAMED:
        model = _NAMED[head]
    else:
        known = ["cox", *_NAMED]
        raise ParameterError(
            parameter="head",
            owner=owner,
            allowed=f"one of {', '.join(map(repr, known))}, or an object of ss.heads",
            given=head,
            hint=suggest(head, known) if isinstance(head, str) else "",
        )
    model.check(owner)
    return model


def only_formula(formulas: list[str | None], owner: str) -> None:
    """Refuse a dict of formulas."""
    if formulas != [None]:
        raise ParameterError(
            parameter="terms",
            owner=owner,
            allowed="one formula, not a dict of formulas",
            given=formulas,
        )


def refuse_causes(y: Surv, owner: str) -> None:
    """Refuse competing risks."""
    if y.cause is not None and len(y.causes) > 1:
        raise TargetError(
            f"{owner}: y has events of several causes, {y.causes}. For the hazard "
            "of one give Surv(time, event & (cause == one)); for that of any "
            "event give Surv(time, event)."
        )


def refuse_without_events(y: Surv, weight: np.ndarray | None, owner: str) -> None:
    """Refuse a target without an event that counts."""
    seen = y.event if weight is None else y.event & (weight > 0)
    if not seen.any():
        raise TargetError(
            f"{owner}: y has no event: all {len(y)} rows are censored, so there is "
            "nothing to learn from. Check how the event is coded."
        )
