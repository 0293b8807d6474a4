"""Checks of parameters; each error names parameter, owner, allowed and given."""

from __future__ import annotations

import difflib
import math
import numbers
from collections.abc import Iterable
from typing import Any

from semistruct.exceptions import ParameterError

__all__ = ["check_bool", "check_choice", "check_number", "suggest"]


def suggest(name: str, known: Iterable[str]) -> str:
    """Say which known name is the nearest, or nothing.

    Examples
    --------
    >>> from semistruct._core.validation import suggest
    >>> suggest("agee", ["age", "bmi"])
    " Did you mean 'age'?"
    >>> suggest("zzz", ["age", "bmi"])
    ''
    """
    known = [str(k) for k in known]
    lowered = {k.lower(): k for k in known}
    near = difflib.get_close_matches(str(name).lower(), list(lowered), n=1, cutoff=0.5)
    return f" Did you mean {lowered[near[0]]!r}?" if near else ""


def check_choice(
    value: object, allowed: Iterable[object], *, parameter: str, owner: str
) -> None:
    """Raise ParameterError unless ``value`` is one of ``allowed``."""
    options = list(allowed)
    for option in options:
        same = isinstance(value, type(option)) and not (
            isinstance(value, bool) and not isinstance(option, bool)
        )
        if same and value == option:
            return
    near = suggest(value, (str(o) for o in options)) if isinstance(value, str) else ""
    raise ParameterError(
        parameter=parameter,
        owner=owner,
        allowed="one of " + ", ".join(repr(o) for o in options),
        given=value,
        hint=near,
    )


def check_bool(value: object, *, parameter: str, owner: str) -> None:
    """Raise ParameterError unless ``value`` is True or False."""
    if not isinstance(value, bool):
        raise ParameterError(
            parameter=parameter, owner=owner, allowed="True or False", given=value
        )


def check_number(
    value: object,
    *,
    parameter: str,
    owner: str,
    low: float = -math.inf,
    high: float = math.inf,
    closed: str = "both",
    integer: bool = False,
    none: bool = False,
) -> None:
    """Raise ParameterError unless ``value`` is a number in the interval.

    Parameters
    ----------
    value : object
        What was given.
    parameter, owner : str
        Names for the message.
    low, high : float
        Ends of the interval; an infinite one never belongs to it.
    closed : {"both", "left", "right", "neither"}, default="both"
        Which ends belong to it.
    integer : bool, default=False
        Whether only integers are allowed.
    none : bool, default=False
        Whether None is allowed too.
    """
    if none and value is None:
        return
    with_low = closed in ("both", "left") and math.isfinite(low)
    with_high = closed in ("both", "right") and math.isfinite(high)
    kind: type = numbers.Integral if integer else numbers.Real
    good = isinstance(value, kind) and not isinstance(value, bool)
    if good:
        number: Any = value
        above = number >= low if with_low else number > low
        below = number <= high if with_high else number < high
        good = bool(above and below)
    if not good:
        left = "[" if with_low else "("
        right = "]" if with_high else ")"
        word = "an integer" if integer else "a number"
        allowed = f"{word} in {left}{low:g}, {high:g}{right}"
        raise ParameterError(
            parameter=parameter,
            owner=owner,
            allowed=allowed + (" or None" if none else ""),
            given=value,
        )
