"""The contract of a survival model, and checks that several share."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
from sklearn.base import BaseEstimator

from semistruct._core.surv import Surv
from semistruct._core.terms import StructuredTerm, Term
from semistruct.design import structured_columns
from semistruct.exceptions import FormulaError, ParameterError, TargetError

from ._curves import Curves
from ._fitting import AdditiveFit
from ._heads import Head

__all__ = [
    "SurvivalModel",
    "default_times",
    "only_formula",
    "reads_time",
    "refuse_causes",
    "refuse_strata",
    "refuse_without_events",
]


class SurvivalModel(BaseEstimator, ABC):
    """Which survival model is fitted, with its options; abstract.

    A specification only stores its parameters, so that ``head__cuts`` reaches them in a
    grid.
    """

    name: ClassVar[str]
    ratio: ClassVar[str | None] = None  # name of exp(coef), where it has one
    interval: ClassVar[bool] = False  # whether events in an interval are taken
    provides: tuple[str, ...] = ()  # columns that terms may read and X need not have

    def formulas(
        self, formulas: Mapping[Any, Any], constant: Any, columns: Sequence[str]
    ) -> dict[Any, Any]:
        """Complete the formulas.

        ``constant`` is one of an intercept alone; ``columns`` are those of the table.
        """
        return dict(formulas)

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


def reads_time(terms: Sequence[Term], time: str, columns: Sequence[str]) -> bool:
    """Whether a structured term reads the time axis; refuse a column of its name."""
    own = [t for t in terms if isinstance(t, StructuredTerm)]
    read = time in structured_columns(own)
    if read and time in columns:
        raise FormulaError(
            f"The terms read {time!r}, which is the name of the time axis here, and "
            "the table has a column of that name. Rename the column or leave it out, "
            "or name the axis otherwise: head=ss.heads.PAMM(time='t')."
        )
    return read


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


def refuse_strata(y: Surv, owner: str) -> None:
    """Refuse strata, where a head has no baseline hazard of each."""
    if y.strata is not None:
        raise TargetError(
            f"{owner}: y has strata, which only the heads 'cox' and 'fine_gray' take. "
            "Put the stratum into the terms, C(stratum), or into those of the scale."
        )


def default_times(times: np.ndarray, event: np.ndarray | None) -> np.ndarray:
    """Give the distinct event times, thinned to 500 where there are more."""
    seen = np.unique(times if event is None else times[event])
    if len(seen) > _GRID:
        seen = seen[np.linspace(0, len(seen) - 1, _GRID).round().astype(int)]
    return seen


_GRID = 500
