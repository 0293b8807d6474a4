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
    "check_cuts",
    "check_formulas",
    "check_strata",
    "check_time_name",
    "default_times",
    "followed",
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
    ratio_of: ClassVar[str | None] = None  # the predictor that has it; None: all
    interval: ClassVar[bool] = False  # whether events in an interval are taken
    provides: tuple[str, ...] = ()  # columns that terms may read and X need not have

    def formulas(
        self,
        formulas: Mapping[Any, Any],
        constant: Any,
        columns: Sequence[str],
        y: Surv | None,
    ) -> dict[Any, Any]:
        """Complete the formulas.

        ``constant`` is one of an intercept alone; ``columns`` are those of the table;
        ``y`` is the target, None where it is not known yet.
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

    @property
    def likelihood(self) -> str:
        """Name what the likelihood is of: models of one name can be compared."""
        return self.title


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


def check_time_name(time: Any, owner: str) -> None:
    """Refuse a name of the time axis that terms cannot read."""
    if not (isinstance(time, str) and time.isidentifier()):
        raise ParameterError(
            parameter="time",
            owner=owner,
            allowed="a name of letters, digits and underscores, such as 'time'",
            given=time,
        )


def check_cuts(cuts: Any, owner: str) -> np.ndarray:
    """Give the ends of intervals, positive and increasing."""
    try:
        ends = np.asarray(cuts, dtype=np.float64)
    except (TypeError, ValueError):
        ends = np.empty(0)
    good = ends.ndim == 1 and ends.size > 0 and bool(np.isfinite(ends).all())
    if not good or ends[0] <= 0 or not (np.diff(ends) > 0).all():
        raise ParameterError(
            parameter="cuts",
            owner=owner,
            allowed="a number of intervals >= 1, or their ends: positive numbers in "
            "increasing order",
            given=cuts,
        )
    return ends


def followed(
    cuts: np.ndarray, time: np.ndarray, entry: np.ndarray | None
) -> np.ndarray:
    """Give the ends of the intervals between the first entry and the end of follow-up.

    The first interval always begins at 0. Others, in which nobody is at risk, would
    have no hazard.
    """
    begin = 0.0 if entry is None else float(entry.min())
    starts = np.concatenate([[0.0], cuts[:-1]])
    kept = cuts[(cuts > begin) & (starts < time.max())]
    return kept if len(kept) else cuts[-1:]


def check_formulas(
    formulas: Sequence[str | None], causes: Sequence[Any], owner: str
) -> None:
    """Refuse a dict of formulas that is not one for each cause."""
    named = [name for name in formulas if name is not None]
    if not named:
        return
    if not causes:
        raise ParameterError(
            parameter="terms",
            owner=owner,
            allowed="one formula, not a dict of formulas",
            given=named,
            hint="A dict has a formula for each cause of competing risks.",
        )
    if set(named) != {str(cause) for cause in causes}:
        raise TargetError(
            f"{owner}: terms has formulas for {named}, but the causes of y are "
            f"{list(causes)}. Give one formula, or one for each cause."
        )


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


def check_strata(y: Surv, owner: str) -> None:
    """Refuse strata whose labels cannot be put in order."""
    if y.strata is None or y.strata.dtype != object:
        return
    kinds = {type(label).__name__ for label in y.strata.tolist()}
    if len(kinds) > 1:
        raise TargetError(
            f"{owner}: the strata of y have labels of several kinds, {sorted(kinds)}. "
            "Make them all strings or all numbers."
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
