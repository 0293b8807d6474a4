"""Families by name."""

from __future__ import annotations

from typing import Any

from semistruct._core.validation import suggest
from semistruct.exceptions import ParameterError
from semistruct.families._base import Family
from semistruct.families._discrete import Bernoulli, Categorical, Poisson
from semistruct.families._gaussian import Gaussian

FAMILIES: dict[str, type[Family]] = {
    family.name: family for family in (Gaussian, Bernoulli, Categorical, Poisson)
}


def get_family(name: str | Family, **options: Any) -> Family:
    """Return a family by name, or the given family itself.

    Parameters
    ----------
    name : str or Family
        One of "gaussian", "bernoulli", "categorical", "poisson", or an object.
    **options
        Options of the family's constructor (``n_classes`` of "categorical").

    Raises
    ------
    ParameterError
        When the name is unknown; the message names the nearest known one.

    Examples
    --------
    >>> from semistruct.families import get_family
    >>> get_family("categorical", n_classes=3)
    Categorical(n_classes=3)
    """
    if isinstance(name, Family):
        return name
    if not isinstance(name, str) or name not in FAMILIES:
        raise ParameterError(
            parameter="family",
            owner="get_family",
            allowed="one of " + ", ".join(map(repr, sorted(FAMILIES))),
            given=name,
            hint=suggest(str(name), list(FAMILIES)),
        )
    try:
        return FAMILIES[name](**options)
    except TypeError as error:
        raise ParameterError(
            parameter="options",
            owner=f"family {name!r}",
            allowed="the options of its constructor",
            given=options,
            hint=str(error),
        ) from error
