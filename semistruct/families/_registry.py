"""Families by name."""

from __future__ import annotations

from typing import Any

from semistruct._core.validation import suggest
from semistruct.exceptions import ParameterError
from semistruct.families._base import Family
from semistruct.families._binary import Bernoulli, Binomial
from semistruct.families._classes import Categorical, Ordinal
from semistruct.families._counts import (
    NegativeBinomial,
    Poisson,
    ZeroInflatedNegativeBinomial,
    ZeroInflatedPoisson,
)
from semistruct.families._gaussian import Gaussian
from semistruct.families._location_scale import (
    Gumbel,
    Laplace,
    Logistic,
    LogNormal,
    StudentT,
)
from semistruct.families._positive import Beta, Gamma, InverseGaussian
from semistruct.families._tweedie import Tweedie

FAMILIES: dict[str, type[Family]] = {
    family.name: family
    for family in (
        Gaussian,
        StudentT,
        Bernoulli,
        Binomial,
        Categorical,
        Ordinal,
        Poisson,
        NegativeBinomial,
        ZeroInflatedPoisson,
        ZeroInflatedNegativeBinomial,
        Gamma,
        InverseGaussian,
        Beta,
        Tweedie,
        LogNormal,
        Logistic,
        Laplace,
        Gumbel,
    )
}
ALIASES = {"multinomial": "categorical"}


def get_family(name: str | Family, **options: Any) -> Family:
    """Return a family by name, or the given family itself.

    Parameters
    ----------
    name : str or Family
        One of "gaussian", "student_t", "bernoulli", "binomial", "categorical" (or
        "multinomial"), "ordinal", "poisson", "negative_binomial",
        "zero_inflated_poisson", "zero_inflated_negative_binomial", "gamma",
        "inverse_gaussian", "beta", "tweedie", "lognormal", "logistic", "laplace",
        "gumbel", or an object.
    **options
        Options of the family's constructor: ``link``, ``links``, ``fixed``,
        ``formulas``, ``shapes`` (see :class:`Family`); ``n_classes`` of "categorical"
        and "ordinal".

    Raises
    ------
    ParameterError
        When the name is unknown; the message names the nearest known one. When
        options are given together with an object.

    Examples
    --------
    >>> from semistruct.families import get_family
    >>> get_family("categorical", n_classes=3)
    Categorical(n_classes=3)
    >>> get_family("student_t", fixed={"df": 5.0}).shape_names
    ('scale',)
    """
    if isinstance(name, Family):
        if options:
            raise ParameterError(
                parameter="options",
                owner="get_family",
                allowed="empty when a family object is given",
                given=options,
                hint="Give them to the object's constructor.",
            )
        return name
    known = ALIASES.get(name, name) if isinstance(name, str) else name
    if not isinstance(known, str) or known not in FAMILIES:
        raise ParameterError(
            parameter="family",
            owner="get_family",
            allowed="one of " + ", ".join(map(repr, sorted(FAMILIES))),
            given=name,
            hint=suggest(str(name), [*FAMILIES, *ALIASES]),
        )
    try:
        return FAMILIES[known](**options)
    except TypeError as error:
        raise ParameterError(
            parameter="options",
            owner=f"family {name!r}",
            allowed="the options of its constructor",
            given=options,
            hint=str(error),
        ) from error
