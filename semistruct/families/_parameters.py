"""Distribution parameters: their domains, their values, and which have formulas."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from semistruct.exceptions import ParameterError
from semistruct.families._links import LINKS, Link, Logit, get_link

DOMAINS = {
    "real": (-math.inf, math.inf),
    "positive": (0.0, math.inf),
    "unit": (0.0, 1.0),
    "power": (1.0, 2.0),
}
# which links a parameter of each domain may have
FITTING = {
    "real": ("identity", "log", "inverse", "softplus", "sqrt"),
    "positive": ("log", "identity", "inverse", "softplus", "sqrt", "logb"),
    "unit": ("logit", "probit", "cloglog", "log", "identity"),
    "power": ("logit",),
}
POWER_ENDS = (1.01, 1.99)


class Parameter(NamedTuple):
    """A declared distribution parameter.

    Attributes
    ----------
    name : str
    domain : str
        A key of ``DOMAINS``.
    link : str
        Default link.
    default : float
        Value before anything is estimated, inside the domain.
    """

    name: str
    domain: str
    link: str
    default: float


class Theta(NamedTuple):
    """A parameter's value, with its logarithms where the domain has them.

    Attributes
    ----------
    value : Tensor of shape (n,) or ()
    log : Tensor
        log θ (domains "positive" and "unit"); empty otherwise.
    log_complement : Tensor
        log(1 − θ) (domain "unit"); empty otherwise.
    """

    value: Tensor
    log: Tensor = torch.empty(0)
    log_complement: Tensor = torch.empty(0)


def link_of(parameter: Parameter, given: object, owner: str) -> Link:
    """Return the link of a parameter, or raise when its domain does not take it."""
    link = get_link(parameter.link if given is None else given)  # type: ignore[arg-type]
    allowed = FITTING[parameter.domain]
    if link.name not in allowed:
        raise ParameterError(
            parameter=f"links[{parameter.name!r}]",
            owner=owner,
            allowed=f"a link for θ in {DOMAINS[parameter.domain]}: "
            + ", ".join(map(repr, allowed)),
            given=link.name,
        )
    if type(link) is not LINKS[link.name]:
        raise ParameterError(
            parameter=f"links[{parameter.name!r}]",
            owner=owner,
            allowed="a link of semistruct.families: another class could not be saved",
            given=type(link).__name__,
        )
    if parameter.domain == "power":
        return Logit(*POWER_ENDS)
    return link


def theta_of(parameter: Parameter, link: Link, eta: Tensor) -> Theta:
    """Return θ at a linear predictor."""
    if parameter.domain == "positive":
        return Theta(link.inverse(eta), link.log_inverse(eta))
    if parameter.domain == "unit":
        return Theta(link.inverse(eta), link.log_inverse(eta), link.log_complement(eta))
    return Theta(link.inverse(eta))


def theta_at(parameter: Parameter, value: Tensor) -> Theta:
    """Return θ at a value on its natural scale."""
    if parameter.domain == "positive":
        return Theta(value, torch.log(value))
    if parameter.domain == "unit":
        return Theta(value, torch.log(value), torch.log1p(-value))
    return Theta(value)


def may_leave(parameter: Parameter, link: Link) -> bool:
    """Whether some η lead to a θ outside of the parameter's domain."""
    low, high = DOMAINS[parameter.domain]
    return link.image[0] < low or link.image[1] > high


def is_inside(parameter: Parameter, value: Tensor) -> Tensor:
    """Where θ lies inside the (open) domain."""
    low, high = DOMAINS[parameter.domain]
    return (value > low) & (value < high)
