"""Discrete-time survival as a choice of head."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from semistruct._core.surv import Surv
from semistruct._core.terms import Linear
from semistruct._core.time_grid import CENSORING, SCHEMES, TimeGrid
from semistruct._core.validation import check_choice, check_number
from semistruct.design import PersonPeriod
from semistruct.exceptions import ParameterError, TargetError
from semistruct.families import MTLR, PMF, Bernoulli, LogisticHazard

from ._curves import Curves
from ._discrete_curves import IntervalsCurves, ProportionalCurves
from ._discrete_head import IntervalsHead, ProportionalHead
from ._fitting import AdditiveFit
from ._survival_model import (
    SurvivalModel,
    check_cuts,
    check_time_name,
    only_formula,
    reads_time,
    refuse_causes,
    refuse_strata,
    refuse_without_events,
)

__all__ = ["Discrete"]

LOSSES = ("logistic_hazard", "pmf", "mtlr", "deephit", "multisurv")


class Discrete(SurvivalModel):
    """Survival in intervals of time.

    Parameters
    ----------
    loss : str, default="logistic_hazard"
        ``"logistic_hazard"``: the event in an interval, of those who reach it, is
        Bernoulli. ``"pmf"``: the interval of the event is categorical, with competing
        risks the pair of interval and cause. ``"mtlr"``: multi-task logistic
        regression. ``"deephit"``: pmf, whose deep terms learn from its likelihood and
        from the ranking of pairs. ``"multisurv"``: logistic_hazard, whose deep terms
        learn from the mean over intervals; a censored row has survived the interval
        whose midpoint it reached.
    cuts : int or array-like of shape (J,), default=10
        Ends of the intervals, or their number. Later events are censored there, and
        curves are constant after the last; intervals after the end of follow-up are
        left out.
    grid : {"events", "kaplan_meier", "equidistant"}, default="events"
        How a number of cuts is placed.
    effects : {"proportional", "varying"}, default="proportional"
        For logistic hazards: one predictor of a row, to which the intervals add a
        baseline (``C(time)`` where no term reads the column ``time``), or a predictor
        of its own for each interval. The other losses always have the latter.
    link : {"logit", "cloglog"}, default="logit"
        Of logistic hazards; cloglog is proportional hazards of grouped times.
    alpha : float in [0, 1], default=0.2
        Weight of the likelihood in ``"deephit"``; 1 − alpha is that of the ranking.
    sigma : float, default=0.1
        Scale of the ranking in ``"deephit"``.
    time : str, default="time"
        Name by which terms read the end of the interval.

    References
    ----------
    Kvamme & Borgan (2021), doi:10.1007/s10985-021-09532-6; Gensheimer & Narasimhan
    (2019), doi:10.7717/peerj.6257; Lee et al. (2018), doi:10.1609/aaai.v32i1.11842;
    Vale-Silva & Rohr (2021), doi:10.1038/s41598-021-92799-4

    Examples
    --------
    >>> import semistruct as ss
    >>> X, y = ss.datasets.load_rossi()
    >>> head = ss.heads.Discrete(cuts=[13, 26, 39, 52], link="cloglog")
    >>> model = ss.SemiStructuredSurvival("fin + age + prio", head=head).fit(X, y)
    >>> model.params_[["fin", "age", "prio"]].round(2).tolist()
    [-0.35, -0.07, 0.1]
    """

    name = "discrete"

    def __init__(
        self,
        loss: str = "logistic_hazard",
        *,
        cuts: Any = 10,
        grid: str = "events",
        effects: str = "proportional",
        link: str = "logit",
        alpha: float = 0.2,
        sigma: float = 0.1,
        time: str = "time",
    ) -> None:
        self.loss = loss
        self.cuts = cuts
        self.grid = grid
        self.effects = effects
        self.link = link
        self.alpha = alpha
        self.sigma = sigma
        self.time = time

    @property
    def title(self) -> str:
        return f"discrete times, {self.loss}"

    @property
    def ratio(self) -> str | None:  # type: ignore[override]
        if not self._proportional:
            return None
        return "hazard ratio" if self.link == "cloglog" else "odds ratio"

    @property
    def _hazards(self) -> bool:
        return self.loss in ("logistic_hazard", "multisurv")

    @property
    def _proportional(self) -> bool:
        return self._hazards and self.effects == "proportional"

    @property
    def provides(self) -> tuple[str, ...]:  # type: ignore[override]
        return (self.time,) if self._proportional else ()

    def check(self, owner: str) -> None:
        for parameter, allowed in (
            ("loss", LOSSES),
            ("grid", SCHEMES),
            ("effects", ("proportional", "varying")),
            ("link", ("logit", "cloglog")),
        ):
            value = getattr(self, parameter)
            check_choice(value, allowed, parameter=parameter, owner="Discrete")
        check_number(self.alpha, parameter="alpha", owner="Discrete", low=0, high=1)
        check_number(
            self.sigma, parameter="sigma", owner="Discrete", low=0, closed="neither"
        )
        check_time_name(self.time, "Discrete")
        whole = isinstance(self.cuts, int | np.integer)
        if isinstance(self.cuts, bool) or (whole and self.cuts < 1):
            raise ParameterError(
                parameter="cuts",
                owner="Discrete",
                allowed="a number of intervals >= 1, or their ends",
                given=self.cuts,
            )
        if not whole:
            check_cuts(self.cuts, "Discrete")

    def formulas(
        self,
        formulas: Mapping[Any, Any],
        constant: Any,
        columns: Sequence[str],
        y: Surv | None,
    ) -> dict[Any, Any]:
        """Add a baseline of each interval where no term reads the time."""
        if not self._proportional:
            return dict(formulas)
        baseline: tuple[Linear, ...] = (Linear(f"C({self.time})"),)
        # a target without events has an error of its own
        if y is not None and y.event.any() and self._target(y)[0].n_intervals == 1:
            baseline = ()
        return {
            name: terms
            if reads_time(terms, self.time, columns)
            else (*terms, *baseline)
            for name, terms in formulas.items()
        }

    def make_head(
        self,
        y: Surv,
        weight: np.ndarray | None,
        formulas: list[str | None],
        owner: str,
    ) -> ProportionalHead | IntervalsHead:
        only_formula(formulas, owner)
        refuse_strata(y, owner)
        refuse_without_events(y, weight, owner)
        if self.loss not in ("pmf", "deephit"):
            refuse_causes(y, owner)
        grid, target = self._target(y)
        _check_at_risk(grid, target, owner)
        options = {"loss": self.loss, "alpha": self.alpha, "sigma": self.sigma}
        if self._proportional:
            return ProportionalHead(
                y,
                _long_rows(grid, target),
                Bernoulli(link=self.link),
                weight=weight,
                time=self.time,
                codes=target,
                wide=LogisticHazard(grid.n_intervals, self.link),
                options=options,
            )
        family: Any = MTLR(grid.n_intervals)
        if self._hazards:
            family = LogisticHazard(grid.n_intervals, self.link)
        elif self.loss != "mtlr":
            family = PMF(grid.n_intervals, max(len(y.causes), 1))
        return IntervalsHead(
            family,
            target,
            tuple(family.parameters),
            weight=weight,
            given=y,
            options={**options, "cuts": grid.cuts},
        )

    def _target(self, y: Surv) -> tuple[TimeGrid, np.ndarray]:
        """Give the intervals, and how many of them each row has survived."""
        time, code = y.to_pycox()
        if len(y.causes) < 2:
            code = (code > 0).astype(np.int64)
        if np.ndim(self.cuts) > 0:
            grid = TimeGrid(check_cuts(self.cuts, "Discrete"))
        else:
            grid = TimeGrid.fit(time, code, int(self.cuts), self.grid)
        censored = CENSORING[1] if self.loss == "multisurv" else CENSORING[0]
        target = grid.target(time, code, y.entry, censored=censored)
        last = max(int(_ends(target).max()), 1)
        return TimeGrid(grid.cuts[:last]), target

    def make_curves(self, head: Any, fitted: AdditiveFit) -> Curves:
        if isinstance(head, ProportionalHead):
            return ProportionalCurves(head.period.cuts, self.time, self.link)
        causes = tuple(head.given.causes) if len(head.given.causes) > 1 else ()
        return IntervalsCurves(head.options["cuts"], head.family, causes)


def _ends(target: np.ndarray) -> np.ndarray:
    """Count the intervals that begin before a row leaves, (n,)."""
    return (target[:, 0] + (target[:, 1] > 0)).astype(int)


def _check_at_risk(grid: TimeGrid, target: np.ndarray, owner: str) -> None:
    """Refuse a target without an event on the grid, or with an empty interval."""
    if not (target[:, 1] > 0).any():
        raise TargetError(
            f"{owner}: Discrete: no event lies before the last cut, "
            f"{grid.cuts[-1]:g}, so there is nothing to learn from. Give later cuts."
        )
    ends, size = _ends(target), grid.n_intervals + 1
    begins = np.zeros_like(ends)
    if target.shape[1] == 3:
        begins = target[:, 2].astype(int)
    change = np.bincount(begins, minlength=size) - np.bincount(ends, minlength=size)
    empty = np.flatnonzero(np.cumsum(change)[:-1] == 0)
    if empty.size:
        j = int(empty[0])
        raise TargetError(
            f"{owner}: Discrete: no row is at risk in all of the interval "
            f"({grid.starts[j]:g}, {grid.cuts[j]:g}], so its hazard cannot be "
            "estimated. Give other cuts; with late entry, count the time from the "
            "first one on."
        )


def _long_rows(grid: TimeGrid, target: np.ndarray) -> PersonPeriod:
    """Give the intervals in which a row is at risk; ``target`` is that of the grid."""
    edges = np.concatenate([[0.0], grid.cuts])
    event = target[:, 1] > 0
    ends = edges[_ends(target)]
    if target.shape[1] == 2:
        return PersonPeriod.build(ends, event, None, grid.cuts)
    entry = edges[target[:, 2].astype(int)]
    rows = np.flatnonzero(entry < ends)  # others are at risk in no whole interval
    period = PersonPeriod.build(ends[rows], event[rows], entry[rows], grid.cuts)
    row = rows[period.row].astype(np.int32)
    return replace(period, row=row, n_rows=len(target))
