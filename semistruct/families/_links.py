"""Links between a distribution parameter θ and its linear predictor η."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor

from semistruct._core.validation import check_number, suggest
from semistruct.exceptions import ParameterError
from semistruct.families._special import log1mexp, softplus

REAL = (-math.inf, math.inf)
POSITIVE = (0.0, math.inf)
UNIT = (0.0, 1.0)


class Link(ABC):
    """A smooth map η = g(θ) with its inverse.

    Attributes
    ----------
    name : str
        The name under which :func:`semistruct.families.get_link` knows it.
    domain : tuple of float
        Open interval of θ on which g is defined.
    image : tuple of float
        Interval that the inverse fills as η runs over the reals.
    """

    name: ClassVar[str]
    domain: tuple[float, float]
    image: tuple[float, float]

    @abstractmethod
    def link(self, theta: Tensor) -> Tensor:
        """Return η = g(θ) for θ inside ``domain``."""

    @abstractmethod
    def inverse(self, eta: Tensor) -> Tensor:
        """Return θ = g⁻¹(η), differentiable to any order."""

    def log_inverse(self, eta: Tensor) -> Tensor:
        """Return log θ, precise where θ itself is next to 0."""
        return torch.log(self.inverse(eta))

    def log_complement(self, eta: Tensor) -> Tensor:
        """Return log(1 − θ), precise where θ is next to 1."""
        return torch.log1p(-self.inverse(eta))

    def derivative(self, eta: Tensor) -> Tensor:
        """Return dθ/dη by autograd."""
        point = eta.detach().requires_grad_(True)
        with torch.enable_grad():
            (slope,) = torch.autograd.grad(self.inverse(point).sum(), point)
        return slope

    def to_state(self) -> Any:
        """JSON description; ``get_link(state)`` rebuilds the link."""
        return self.name

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Link) and self.to_state() == other.to_state()

    def __hash__(self) -> int:
        return hash(repr(self.to_state()))

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"


class Identity(Link):
    """η = θ."""

    name = "identity"
    domain = image = REAL

    def link(self, theta: Tensor) -> Tensor:
        """Return θ."""
        return theta

    def inverse(self, eta: Tensor) -> Tensor:
        """Return η."""
        return eta


class Log(Link):
    """η = log θ."""

    name = "log"
    domain = image = POSITIVE

    def link(self, theta: Tensor) -> Tensor:
        """Return log θ."""
        return torch.log(theta)

    def inverse(self, eta: Tensor) -> Tensor:
        """Return e^η."""
        return torch.exp(eta)

    def log_inverse(self, eta: Tensor) -> Tensor:
        """Return η."""
        return eta


class Logit(Link):
    """η = log((θ − a) / (b − θ)) for θ between a and b.

    Parameters
    ----------
    low, high : float, default 0.0 and 1.0
        The ends a < b.
    """

    name = "logit"

    def __init__(self, low: float = 0.0, high: float = 1.0) -> None:
        self.low, self.high = float(low), float(high)
        self.domain = self.image = (self.low, self.high)

    def link(self, theta: Tensor) -> Tensor:
        """Return log((θ − a) / (b − θ))."""
        if self.domain == UNIT:
            return torch.log(theta) - torch.log1p(-theta)
        return torch.log(theta - self.low) - torch.log(self.high - theta)

    def inverse(self, eta: Tensor) -> Tensor:
        """Return a + (b − a) / (1 + e^{−η})."""
        if self.domain == UNIT:
            return torch.exp(self.log_inverse(eta))
        return self.low + (self.high - self.low) * torch.sigmoid(eta)

    def log_inverse(self, eta: Tensor) -> Tensor:
        """Return log θ."""
        if self.domain == UNIT:
            return -softplus(-eta)
        return super().log_inverse(eta)

    def log_complement(self, eta: Tensor) -> Tensor:
        """Return log(1 − θ)."""
        if self.domain == UNIT:
            return -softplus(eta)
        return super().log_complement(eta)

    def to_state(self) -> Any:
        """Name, and the ends where they are not 0 and 1."""
        if self.domain == UNIT:
            return self.name
        return {"name": self.name, "low": self.low, "high": self.high}


class Probit(Link):
    """η = Φ⁻¹(θ)."""

    name = "probit"
    domain = image = UNIT

    def link(self, theta: Tensor) -> Tensor:
        """Return Φ⁻¹(θ)."""
        return torch.special.ndtri(theta)

    def inverse(self, eta: Tensor) -> Tensor:
        """Return Φ(η)."""
        return 0.5 * torch.special.erfc(-eta / math.sqrt(2.0))

    def log_inverse(self, eta: Tensor) -> Tensor:
        """Return log Φ(η)."""
        return torch.special.log_ndtr(eta)

    def log_complement(self, eta: Tensor) -> Tensor:
        """Return log Φ(−η)."""
        return torch.special.log_ndtr(-eta)


class CLogLog(Link):
    """η = log(−log(1 − θ))."""

    name = "cloglog"
    domain = image = UNIT

    def link(self, theta: Tensor) -> Tensor:
        """Return log(−log(1 − θ))."""
        return torch.log(-torch.log1p(-theta))

    def inverse(self, eta: Tensor) -> Tensor:
        """Return 1 − exp(−e^η)."""
        return -torch.expm1(-torch.exp(eta))

    def log_inverse(self, eta: Tensor) -> Tensor:
        """Return log θ."""
        return log1mexp(torch.exp(eta))

    def log_complement(self, eta: Tensor) -> Tensor:
        """Return −e^η."""
        return -torch.exp(eta)


class Inverse(Link):
    """η = 1/θ; legal parameters need η > 0."""

    name = "inverse"
    domain = POSITIVE
    image = REAL

    def link(self, theta: Tensor) -> Tensor:
        """Return 1/θ."""
        return 1.0 / theta

    def inverse(self, eta: Tensor) -> Tensor:
        """Return 1/η."""
        return 1.0 / eta


class Softplus(Link):
    """η = log(e^θ − 1)."""

    name = "softplus"
    domain = image = POSITIVE

    def link(self, theta: Tensor) -> Tensor:
        """Return θ + log(1 − e^{−θ})."""
        return theta + log1mexp(theta)

    def inverse(self, eta: Tensor) -> Tensor:
        """Return log(1 + e^η)."""
        return softplus(eta)


class Sqrt(Link):
    """η = √θ; θ = η² for negative η too."""

    name = "sqrt"
    domain = image = POSITIVE

    def link(self, theta: Tensor) -> Tensor:
        """Return √θ."""
        return torch.sqrt(theta)

    def inverse(self, eta: Tensor) -> Tensor:
        """Return η²."""
        return eta * eta


class LogB(Link):
    """η = log(θ − b): a log link of a scale that is bounded below.

    Parameters
    ----------
    b : float, default 0.01
        What θ stays above.

    Notes
    -----
    The link of the standard deviation σ in mgcv's ``gaulss``, log(1/τ − b) there for
    the parameter τ = 1/σ.
    """

    name = "logb"

    def __init__(self, b: float = 0.01) -> None:
        check_number(b, parameter="b", owner="LogB", low=0.0, closed="neither")
        self.b = float(b)
        self.domain = self.image = (self.b, math.inf)

    def link(self, theta: Tensor) -> Tensor:
        """Return log(θ − b)."""
        return torch.log(theta - self.b)

    def inverse(self, eta: Tensor) -> Tensor:
        """Return b + e^η."""
        return torch.exp(eta) + self.b

    def log_inverse(self, eta: Tensor) -> Tensor:
        """Return log θ."""
        return math.log(self.b) + softplus(eta - math.log(self.b))

    def to_state(self) -> Any:
        """Name, and b where it is not 0.01."""
        return self.name if self.b == 0.01 else {"name": self.name, "b": self.b}


LINKS: dict[str, type[Link]] = {
    link.name: link
    for link in (
        Identity,
        Log,
        Logit,
        Probit,
        CLogLog,
        Inverse,
        Softplus,
        Sqrt,
        LogB,
    )
}


def get_link(name: str | Link | Mapping[str, Any]) -> Link:
    """Return a link by name, by its state, or the given link itself.

    Parameters
    ----------
    name : str, mapping or Link
        One of "identity", "log", "logit", "probit", "cloglog", "inverse", "softplus",
        "sqrt", "logb"; or ``{"name": "logb", "b": 0.02}``; or an object.

    Returns
    -------
    Link

    Raises
    ------
    ParameterError
        When the name is unknown; the message names the nearest known one.

    Examples
    --------
    >>> import torch
    >>> from semistruct.families import get_link
    >>> get_link("log").inverse(torch.tensor([0.0]))
    tensor([1.])
    """
    if isinstance(name, Link):
        return name
    options: dict[str, Any] = {}
    known: object = name
    if isinstance(name, Mapping):
        options = dict(name)
        known = options.pop("name", None)
    if not isinstance(known, str) or known not in LINKS:
        raise ParameterError(
            parameter="link",
            owner="get_link",
            allowed="one of " + ", ".join(map(repr, LINKS)),
            given=name,
            hint=suggest(str(known), list(LINKS)),
        )
    try:
        return LINKS[known](**options)
    except TypeError as error:
        raise ParameterError(
            parameter="link",
            owner="get_link",
            allowed=f"{known!r} with the options of its constructor",
            given=name,
            hint=str(error),
        ) from error
