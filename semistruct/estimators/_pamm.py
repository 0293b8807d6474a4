"""The piecewise exponential additive model as a choice of head."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from semistruct._core.surv import Surv
from semistruct._core.terms import Linear, Smooth, StructuredTerm
from semistruct._core.validation import check_choice
from semistruct.design import PersonPeriod
from semistruct.exceptions import DataError, ParameterError, TargetError
from semistruct.families import Poisson

from ._fitting import AdditiveFit
from ._person_period_head import PersonPeriodHead
from ._piecewise_curves import PiecewiseCurves
from ._survival_model import (
    SurvivalModel,
    check_cuts,
    check_formulas,
    check_time_name,
    default_times,
    followed,
    reads_time,
    refuse_strata,
    refuse_without_events,
)

__all__ = ["PAMM"]

_MOST_ROWS = 100_000_000
_SMOOTH = 10  # intervals from which on a smooth is the baseline


class PAMM(SurvivalModel):
    """Piecewise exponential additive model, by the exact path.

    Follow-up is cut into intervals (κ_{j−1}, κ_j]; in each the hazard of a row is
    constant, λ_ij = exp(η_ij). The log-likelihood is that of Poisson counts with the
    offset log t_ij, t_ij the time at risk. Terms may read the interval's end as the
    column ``time``: ``s(time)`` is the log baseline hazard (it is added where no term
    reads the time; with fewer than 10 intervals ``C(time)``), ``s(time, by=x)`` and
    ``te(time, x)`` are effects that vary over time, ``cumulative(z)`` those of past
    exposures, ``re(id)`` is a log-normal frailty. Long rows are never put side by side.

    With events of several causes, each has hazards and coefficients of its own.

    Parameters
    ----------
    cuts : int, array-like of shape (J,) or None, default=None
        Ends κ_j of the intervals; a number J takes quantiles of the event times, None
        all of them. Follow-up after the last cut is dropped; cuts before the first
        entry, and intervals after the end of follow-up, are left out.
    time : str, default="time"
        Name by which terms read the time.
    timescale : {"calendar", "gap"}, default="calendar"
        For rows with an entry (recurrent events, covariates that change): whether time
        runs on, or starts anew at each entry.

    References
    ----------
    Bender, Groll & Scheipl (2018), Statistical Modelling 18, 299-321,
    doi:10.1177/1471082X17748083

    Examples
    --------
    >>> import semistruct as ss
    >>> X, y = ss.datasets.load_rossi()
    >>> head = ss.heads.PAMM(cuts=20)
    >>> model = ss.SemiStructuredSurvival("s(time) + fin + prio", head=head).fit(X, y)
    >>> model.predict_survival_function(X[:1], times=[26, 52]).values.round(2)
    array([[0.87, 0.7 ]])
    """

    name = "pamm"
    ratio = "hazard ratio"

    def __init__(
        self, cuts: Any = None, time: str = "time", timescale: str = "calendar"
    ) -> None:
        self.cuts = cuts
        self.time = time
        self.timescale = timescale

    @property
    def title(self) -> str:
        return "piecewise exponential"

    @property
    def provides(self) -> tuple[str, ...]:  # type: ignore[override]
        return (self.time,)

    def check(self, owner: str) -> None:
        check_choice(
            self.timescale, ("calendar", "gap"), parameter="timescale", owner="PAMM"
        )
        check_time_name(self.time, "PAMM")
        whole = isinstance(self.cuts, int | np.integer)
        if isinstance(self.cuts, bool) or (whole and self.cuts < 1):
            raise ParameterError(
                parameter="cuts",
                owner="PAMM",
                allowed="None, a number of intervals >= 1, or their ends",
                given=self.cuts,
            )
        if self.cuts is not None and not whole:
            check_cuts(self.cuts, "PAMM")

    def formulas(
        self,
        formulas: Mapping[Any, Any],
        constant: Any,
        columns: Sequence[str],
        y: Surv | None,
    ) -> dict[Any, Any]:
        """Add the log baseline hazard where no term reads the time."""
        baseline = self._baseline(y)
        return {
            name: terms
            if reads_time(terms, self.time, columns)
            else (*terms, *baseline)
            for name, terms in formulas.items()
        }

    def _baseline(self, y: Surv | None) -> tuple[StructuredTerm, ...]:
        """Give the log baseline hazard: a smooth, a level of each of few intervals."""
        if y is None or not y.event.any():  # an error of its own in the second case
            return (Smooth(self.time),)
        size = len(self._cuts(*self._spells(y), y.event))
        if size >= _SMOOTH:
            return (Smooth(self.time),)
        return (Linear(f"C({self.time})"),) if size > 1 else ()

    def make_head(
        self,
        y: Surv,
        weight: np.ndarray | None,
        formulas: list[str | None],
        owner: str,
    ) -> PersonPeriodHead:
        refuse_strata(y, owner)
        refuse_without_events(y, weight, owner)
        causes = tuple(y.causes) if len(y.causes) > 1 else ()
        check_formulas(formulas, causes, owner)
        time, entry = self._spells(y)
        cuts = self._cuts(time, entry, y.event)
        if len(cuts) * len(y) > 2 * _MOST_ROWS:
            raise DataError(
                f"{owner}: {len(y)} rows in up to {len(cuts)} intervals each may be "
                f"more than {_MOST_ROWS:.0e} long rows. Give head=PAMM(cuts=100) or so."
            )
        if not (y.event & (time <= cuts[-1])).any():
            raise TargetError(
                f"{owner}: PAMM: no event lies before the last cut, {cuts[-1]:g}, so "
                "there is nothing to learn from. Give later cuts."
            )
        period = PersonPeriod.build(time, y.event, entry, cuts)
        return PersonPeriodHead(
            y, period, Poisson(), causes=causes, weight=weight, time=self.time
        )

    def _spells(self, y: Surv) -> tuple[np.ndarray, np.ndarray | None]:
        """Give the end and the begin of each row on the time axis."""
        if self.timescale == "gap" and y.entry is not None:
            return y.time - y.entry, None
        return y.time, y.entry

    def _cuts(
        self, time: np.ndarray, entry: np.ndarray | None, event: np.ndarray
    ) -> np.ndarray:
        seen = time[event]
        if self.cuts is None:
            return followed(np.unique(seen), time, entry)
        if isinstance(self.cuts, int | np.integer):
            shares = np.arange(1, self.cuts + 1) / self.cuts
            at = np.quantile(seen, shares, method="inverted_cdf")
            return followed(np.unique(at), time, entry)
        return followed(check_cuts(self.cuts, "PAMM"), time, entry)

    def make_curves(
        self, head: PersonPeriodHead, fitted: AdditiveFit
    ) -> PiecewiseCurves:
        cuts = head.period.cuts
        return PiecewiseCurves(cuts, self.time, head.causes, default_times(cuts, None))
