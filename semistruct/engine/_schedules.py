"""Learning rates over time: a schedule is a pure function of how far training is.

Letters: t the step that comes next (from 0), T the steps of the stage.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from semistruct._core.validation import check_number, suggest
from semistruct.exceptions import ParameterError


@dataclass(frozen=True)
class Schedule(ABC):
    """Base of schedules: a factor for all learning rates, step by step; abstract."""

    @abstractmethod
    def factor(self, step: int, total: int, losses: Sequence[float]) -> float:
        """Give what the learning rates are multiplied by.

        Parameters
        ----------
        step : int
            Steps that were taken in this stage, in [0, total).
        total : int
            Steps of the stage, if nothing stops it early.
        losses : sequence of float
            Validation losses of the stage's epochs so far.

        Returns
        -------
        float
            At least 0.
        """

    @property
    def is_constant(self) -> bool:
        """Whether the factor is 1 at every step."""
        return False

    @property
    def needs_validation(self) -> bool:
        """Whether it looks at validation losses."""
        return False

    def check(self, owner: str) -> None:
        """Check the options.

        Parameters
        ----------
        owner : str
            Who is named in messages.
        """
        for name, (low, high, integer, closed) in _RANGES.items():
            if hasattr(self, name):
                check_number(
                    getattr(self, name),
                    parameter=name,
                    owner=f"{type(self).__name__} ({owner})",
                    low=low,
                    high=high,
                    integer=integer,
                    closed=closed,
                )


_RANGES: dict[str, tuple[float, float, bool, str]] = {
    "warmup": (0, math.inf, True, "left"),
    "floor": (0.0, 1.0, False, "left"),
    "rise": (0.0, 1.0, False, "neither"),
    "start": (0.0, 1.0, False, "right"),
    "end": (0.0, 1.0, False, "both"),
    "patience": (0, math.inf, True, "left"),
    "shrink": (0.0, 1.0, False, "neither"),
}


@dataclass(frozen=True)
class Constant(Schedule):
    """The learning rate as it is, after a linear warm-up.

    Parameters
    ----------
    warmup : int, default=0
        Steps of warm-up, ≥ 0: the factor is (t + 1) / (warmup + 1) in them.

    Examples
    --------
    >>> from semistruct.engine import Constant
    >>> [Constant(warmup=1).factor(t, 9, []) for t in range(3)]
    [0.5, 1.0, 1.0]
    """

    warmup: int = 0

    @property
    def is_constant(self) -> bool:
        """Whether the factor is 1 at every step."""
        return self.warmup == 0

    def factor(self, step: int, total: int, losses: Sequence[float]) -> float:
        """Give the factor, see `Schedule.factor`."""
        return _warmed(step, self.warmup)


@dataclass(frozen=True)
class Cosine(Schedule):
    """Half a cosine from 1 down to a floor, after a linear warm-up.

    floor + (1 − floor)·(1 + cos(π (t − w) / (T − w))) / 2 with w the warm-up.
    Loshchilov & Hutter (2017), doi:10.48550/arXiv.1608.03983.

    Parameters
    ----------
    warmup : int, default=0
        Steps of warm-up, ≥ 0: the factor is (t + 1) / (warmup + 1) in them.
    floor : float, default=0.0
        What the factor ends at, in [0, 1).

    Examples
    --------
    >>> from semistruct.engine import Cosine
    >>> [round(Cosine().factor(t, 4, []), 3) for t in range(4)]
    [1.0, 0.854, 0.5, 0.146]
    """

    warmup: int = 0
    floor: float = 0.0

    def factor(self, step: int, total: int, losses: Sequence[float]) -> float:
        """Give the factor, see `Schedule.factor`."""
        if step < self.warmup:
            return _warmed(step, self.warmup)
        done = (step - self.warmup) / max(1, total - self.warmup)
        return _cosine(1.0, self.floor, done)


@dataclass(frozen=True)
class OneCycle(Schedule):
    """Up from a small rate to the learning rate, then down to nearly nothing.

    Two half cosines; momentum stays as it is. Smith & Topin (2019),
    doi:10.1117/12.2520589.

    Parameters
    ----------
    rise : float, default=0.3
        Share of the steps in which the rate rises, in (0, 1).
    start : float, default=0.04
        First factor, in (0, 1].
    end : float, default=4e-6
        Last factor, in [0, 1].

    Examples
    --------
    >>> from semistruct.engine import OneCycle
    >>> [round(OneCycle(rise=0.5).factor(t, 5, []), 3) for t in range(5)]
    [0.04, 0.76, 0.905, 0.345, 0.0]
    """

    rise: float = 0.3
    start: float = 0.04
    end: float = 4e-6

    def factor(self, step: int, total: int, losses: Sequence[float]) -> float:
        """Give the factor, see `Schedule.factor`."""
        top, last = self.rise * total - 1, total - 1
        if step <= top:
            return _cosine(self.start, 1.0, step / top if top > 0 else 1.0)
        return _cosine(1.0, self.end, (step - top) / (last - top))


@dataclass(frozen=True)
class Plateau(Schedule):
    """Shrink the rate when the validation loss has stopped to fall.

    Parameters
    ----------
    patience : int, default=3
        Epochs without improvement that are let pass, ≥ 0.
    shrink : float, default=0.1
        What the factor is multiplied by then, in (0, 1).
    floor : float, default=0.0
        Smallest factor, in [0, 1).
    warmup : int, default=0
        Steps of warm-up, ≥ 0: the factor is (t + 1) / (warmup + 1) in them.

    Examples
    --------
    >>> from semistruct.engine import Plateau
    >>> rule = Plateau(patience=1, shrink=0.5)
    >>> [rule.factor(9, 9, losses) for losses in ([3.0], [3, 3.1], [3, 3.1, 3.2])]
    [1.0, 1.0, 0.5]
    """

    patience: int = 3
    shrink: float = 0.1
    floor: float = 0.0
    warmup: int = 0

    @property
    def needs_validation(self) -> bool:
        """Whether it looks at validation losses."""
        return True

    def factor(self, step: int, total: int, losses: Sequence[float]) -> float:
        """Give the factor, see `Schedule.factor`."""
        best, waited, factor = math.inf, 0, 1.0
        for loss in losses:
            better = loss < best
            best, waited = (loss, 0) if better else (best, waited + 1)
            if waited > self.patience:
                factor, waited = max(self.floor, factor * self.shrink), 0
        return factor * _warmed(step, self.warmup)


SCHEDULES: dict[str, type[Schedule]] = {
    "constant": Constant,
    "cosine": Cosine,
    "one_cycle": OneCycle,
    "plateau": Plateau,
}


def get_schedule(given: Any, owner: str = "Training") -> Schedule:
    """Give a schedule by its name, with its defaults, or the one that was given."""
    if isinstance(given, Schedule):
        given.check(owner)
        return given
    if isinstance(given, str) and given in SCHEDULES:
        return SCHEDULES[given]()
    raise ParameterError(
        parameter="schedule",
        owner=owner,
        allowed=f"one of {sorted(SCHEDULES)} or a Schedule",
        given=given,
        hint=suggest(given, SCHEDULES) if isinstance(given, str) else "",
    )


def schedule_to_state(given: Any) -> Any:
    """Give a schedule as JSON types."""
    if not isinstance(given, Schedule):
        return given
    name = next((n for n, cls in SCHEDULES.items() if type(given) is cls), None)
    return None if name is None else {"name": name, **asdict(given)}


def schedule_from_state(state: Any) -> Any:
    """Rebuild what `schedule_to_state` gave."""
    if not isinstance(state, dict):
        return "constant" if state is None else state
    options = {key: value for key, value in state.items() if key != "name"}
    return SCHEDULES[state["name"]](**options)


def _warmed(step: int, warmup: int) -> float:
    return min(1.0, (step + 1) / (warmup + 1))


def _cosine(first: float, last: float, done: float) -> float:
    return last + (first - last) * (1 + math.cos(math.pi * done)) / 2
