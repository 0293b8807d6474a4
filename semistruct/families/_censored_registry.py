"""Families of censored times by name."""

from __future__ import annotations

from typing import Any

from semistruct._core.validation import suggest
from semistruct.exceptions import ParameterError
from semistruct.families._censored import (
    Censored,
    LogLogisticAFT,
    LogNormalAFT,
    WeibullAFT,
)

CENSORED: dict[str, type[Censored]] = {
    family.name: family for family in (WeibullAFT, LogNormalAFT, LogLogisticAFT)
}
# the names of heads, and what they give
_HEADS: dict[str, tuple[type[Censored], dict[str, Any]]] = {
    "exponential": (WeibullAFT, {"fixed": {"scale": 1.0}}),
    "weibull": (WeibullAFT, {}),
    "lognormal": (LogNormalAFT, {}),
    "loglogistic": (LogLogisticAFT, {}),
}


def get_censored(name: str, **options: Any) -> Censored:
    """Return a family of censored and truncated survival times by name.

    Parameters
    ----------
    name : {"exponential", "weibull", "lognormal", "loglogistic"}
        Also the names of saved families: "weibull_aft", "lognormal_aft",
        "loglogistic_aft".
    **options
        ``link``, ``links``, ``fixed``, ``formulas``, ``shapes`` (see :class:`Family`).
        The scale of "exponential" is fixed at 1.

    Raises
    ------
    ParameterError
        When the name is unknown; the message names the nearest known one. When an
        option is unknown.

    Examples
    --------
    >>> from semistruct.families import get_censored
    >>> get_censored("weibull", formulas=["loc", "scale"]).parameters
    ('loc', 'scale')
    >>> get_censored("exponential")
    WeibullAFT(fixed={'scale': 1.0})
    """
    known = dict(_HEADS)
    known.update((saved, (family, {})) for saved, family in CENSORED.items())
    if not isinstance(name, str) or name not in known:
        raise ParameterError(
            parameter="name",
            owner="get_censored",
            allowed="one of " + ", ".join(map(repr, _HEADS)),
            given=name,
            hint=suggest(str(name), list(known)),
        )
    family, preset = known[name]
    try:
        return family(**{**preset, **options})
    except TypeError as error:
        raise ParameterError(
            parameter="options",
            owner=f"family {name!r}",
            allowed="the options of its constructor",
            given=options,
            hint=str(error),
        ) from error
