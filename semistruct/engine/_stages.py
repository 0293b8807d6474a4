"""Stages of training: what is frozen, for how long, at which rate."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any

from torch import nn

from semistruct._core.validation import check_number
from semistruct.engine._groups import fits, select
from semistruct.engine._schedules import (
    Schedule,
    get_schedule,
    schedule_from_state,
    schedule_to_state,
)
from semistruct.exceptions import ParameterError


@dataclass(frozen=True)
class Stage:
    """One of several stages of training, such as the heads first, then all.

    A stage begins with the best weights so far, and with an optimiser, a schedule and
    an average of weights of its own; patience counts from its beginning.

    Parameters
    ----------
    max_epochs : int
        Epochs of the stage, at most; at least 1.
    freeze : tuple of str, default=()
        Patterns of names of parameters that stay as they are, as in `ParameterGroups`.
        A module of which all parameters are frozen runs in evaluation mode.
    learning_rate : float, optional
        Learning rate, > 0; that of `Training` when not given.
    schedule : str or Schedule, optional
        Schedule of the stage; that of `Training` when not given.

    Examples
    --------
    >>> from semistruct.engine import Stage, Training
    >>> stages = (Stage(5, freeze=("encoders.*",)), Stage(20, learning_rate=1e-4))
    >>> Training(stages=stages).check()
    """

    max_epochs: int
    freeze: tuple[str, ...] = ()
    learning_rate: float | None = None
    schedule: str | Schedule | None = None

    def check(self, owner: str = "Stage") -> None:
        """Check the options.

        Parameters
        ----------
        owner : str, default="Stage"
            Who is named in messages.
        """
        check_number(
            self.max_epochs, parameter="max_epochs", owner=owner, low=1, integer=True
        )
        check_number(
            self.learning_rate,
            parameter="learning_rate",
            owner=owner,
            low=0.0,
            closed="neither",
            none=True,
        )
        strings = isinstance(self.freeze, tuple | list)
        if not strings or not all(isinstance(p, str) for p in self.freeze):
            raise ParameterError(
                parameter="freeze",
                owner=owner,
                allowed="a tuple of patterns of parameter names",
                given=self.freeze,
            )
        if self.schedule is not None:
            get_schedule(self.schedule, owner)

    def to_state(self) -> dict[str, Any]:
        """Give the options as JSON types.

        Returns
        -------
        dict of str to object
        """
        state = {**asdict(self), "freeze": list(self.freeze)}
        return {**state, "schedule": schedule_to_state(self.schedule)}

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> Stage:
        """Make the stage from what `to_state` gave.

        Parameters
        ----------
        state : dict of str to object

        Returns
        -------
        Stage
        """
        schedule = state["schedule"]
        schedule = None if schedule is None else schedule_from_state(schedule)
        freeze = tuple(state["freeze"])
        return cls(state["max_epochs"], freeze, state["learning_rate"], schedule)


@contextmanager
def frozen(objective: nn.Module, stage: Stage) -> Iterator[list[nn.Module]]:
    """Freeze what a stage freezes within the block; give the modules to be at rest."""
    if not stage.freeze:
        yield []
        return
    named = dict(objective.named_parameters())
    for pattern in stage.freeze:
        select(pattern, list(named), parameter="freeze", owner="Stage")
    before = {p: p.requires_grad for p in named.values()}
    still = {p for n, p in named.items() if any(fits(f, n) for f in stage.freeze)}
    for parameter in still:
        parameter.requires_grad_(False)
    resting = [
        module
        for module in objective.modules()
        if (own := list(module.parameters())) and still.issuperset(own)
    ]
    try:
        yield resting
    finally:
        for parameter, requires_grad in before.items():
            parameter.requires_grad_(requires_grad)
