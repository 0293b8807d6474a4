"""Which parameters of a family have formulas, which are shapes, which are given."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from typing import Any, ClassVar, Self

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from semistruct._core.validation import suggest
from semistruct.exceptions import ParameterError
from semistruct.families._links import Link
from semistruct.families._parameters import (
    DOMAINS,
    Parameter,
    link_of,
    theta_of,
)

FloatArray = NDArray[np.float64]


class Options:
    """The parameters of a family and what each of them is in a model.

    Each declared parameter has one role: "formula" (a linear predictor), "dispersion"
    (its square is φ, handed to the density), "given" (known) or "shape" (a constant
    that is estimated, on its link scale).
    """

    name: ClassVar[str]
    declared: tuple[Parameter, ...]
    dispersion_parameter: ClassVar[str | None] = None

    def __init__(
        self,
        link: str | Link | None = None,
        *,
        links: Mapping[str, Any] | None = None,
        fixed: Mapping[str, float] | None = None,
        formulas: Iterable[str] | None = None,
        shapes: Mapping[str, float] | None = None,
    ) -> None:
        first = self.declared[0].name
        chosen = dict(links or {})
        if link is not None:
            chosen[first] = link
        self._known(chosen, "links")
        self._links = tuple(
            link_of(p, chosen.get(p.name), type(self).__name__) for p in self.declared
        )
        self._fixed = self._checked_fixed(fixed or {})
        names = self._default_formulas() if formulas is None else self._names(formulas)
        self._known(names, "formulas", self._formula_choices())
        for name in names:
            if name in self._fixed:
                raise ParameterError(
                    parameter="fixed",
                    owner=type(self).__name__,
                    allowed="parameters without a formula",
                    given=name,
                )
        if not names:
            raise ParameterError(
                parameter="formulas",
                owner=type(self).__name__,
                allowed="at least one of " + ", ".join(self._formula_choices()),
                given=formulas,
            )
        self._formulas = tuple(p.name for p in self.declared if p.name in names)
        self._roles = tuple(self._assign())
        self._shapes = self._checked_shapes(shapes or {})

    # names

    @property
    def all_parameters(self) -> tuple[str, ...]:
        """Names of all distribution parameters, in their order of declaration."""
        return tuple(p.name for p in self.declared)

    @property
    def parameters(self) -> tuple[str, ...]:
        """Names of the parameters with a linear predictor, in their declared order."""
        return self._formulas

    @property
    def n_predictors(self) -> int:
        """Number K of linear predictors."""
        return len(self._formulas)

    @property
    def has_dispersion(self) -> bool:
        """Whether a dispersion φ > 0 is estimated beside the linear predictors."""
        return any(kind == "dispersion" for kind, _ in self._roles)

    @property
    def links(self) -> dict[str, Link]:
        """Links of all parameters, by name."""
        return dict(zip(self.all_parameters, self._links, strict=True))

    @property
    def fixed(self) -> dict[str, float]:
        """Given parameters on their natural scale, by name."""
        return dict(self._fixed)

    # shapes

    @property
    def shape_names(self) -> tuple[str, ...]:
        """Names of the constant parameters that are estimated."""
        pairs = zip(self.all_parameters, self._roles, strict=True)
        return tuple(name for name, (kind, _) in pairs if kind == "shape")

    @property
    def n_shapes(self) -> int:
        """Number S of shapes."""
        return len(self.shape_names)

    @property
    def shapes(self) -> FloatArray:
        """Current shapes on their link scale, (S,)."""
        return np.array([self._shapes[name] for name in self.shape_names], dtype=float)

    @property
    def shape_values(self) -> dict[str, float]:
        """Current shapes on their natural scale, by name."""
        found = {}
        for p, link in zip(self.declared, self._links, strict=True):
            if p.name in self.shape_names:
                eta = torch.tensor(self._shapes[p.name], dtype=torch.float64)
                found[p.name] = float(theta_of(p, link, eta).value)
        return found

    def with_shapes(self, values: ArrayLike) -> Self:
        """Return a copy with other shapes (S,), on their link scale."""
        given = np.asarray(values, dtype=float)
        if given.shape != (self.n_shapes,):
            raise ParameterError(
                parameter="values",
                owner=f"{type(self).__name__}.with_shapes",
                allowed=f"{self.n_shapes} value(s) for {self.shape_names}",
                given=values,
            )
        named = zip(self.shape_names, given.tolist(), strict=True)
        return self._copy(shapes=dict(named))

    def with_formulas(self, names: Iterable[str]) -> Self:
        """Return a copy in which the named parameters have a linear predictor each.

        Parameters
        ----------
        names : sequence of str
            Some of ``all_parameters``; their order does not matter, predictors follow
            the declared order (``parameters``).
        """
        names = self._names(names)
        self._known(names, "formulas", self._formula_choices())
        kept = {k: v for k, v in self._shapes.items() if k not in names}
        return self._copy(formulas=names, shapes=kept)

    # state

    def to_state(self) -> dict[str, Any]:
        """JSON description; ``get_family(**state)`` rebuilds the family."""
        state: dict[str, Any] = {"name": self.name, **self._constructor_state()}
        links = {
            p.name: link.to_state()
            for p, link in zip(self.declared, self._links, strict=True)
            if link != link_of(p, None, self.name)
        }
        if links:
            state["links"] = links
        if self._fixed:
            state["fixed"] = dict(self._fixed)
        if self._formulas != self._default_formulas():
            state["formulas"] = list(self._formulas)
        defaults = self._default_shapes()
        shapes = {k: v for k, v in self._shapes.items() if v != defaults[k]}
        if shapes:
            state["shapes"] = shapes
        return state

    def _constructor_state(self) -> dict[str, Any]:
        """Further arguments of the family's own constructor."""
        return {}

    def _copy(self, **changes: Any) -> Self:
        state = self.to_state()
        state.pop("name")
        return type(self)(**{**state, **changes})

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and self._key() == other._key()

    def __hash__(self) -> int:
        return hash(self._key())

    def _key(self) -> str:
        return json.dumps(self.to_state(), sort_keys=True)

    # checks

    def _default_formulas(self) -> tuple[str, ...]:
        return (self.declared[0].name,)

    def _formula_choices(self) -> tuple[str, ...]:
        return self.all_parameters

    def _assign(self) -> Iterable[tuple[str, float]]:
        """Role and place (column, index or value) of each declared parameter."""
        shape = 0
        for name in self.all_parameters:
            if name in self._formulas:
                yield "formula", self._formulas.index(name)
            elif name in self._fixed:
                yield "given", self._fixed[name]
            elif name == self.dispersion_parameter:
                yield "dispersion", 0
            else:
                yield "shape", shape
                shape += 1

    def _names(self, names: Iterable[str]) -> tuple[str, ...]:
        return (names,) if isinstance(names, str) else tuple(names)

    def _known(
        self, names: Iterable[str], parameter: str, known: tuple[str, ...] | None = None
    ) -> None:
        known = self.all_parameters if known is None else known
        for name in names:
            if name not in known:
                raise ParameterError(
                    parameter=parameter,
                    owner=type(self).__name__,
                    allowed="names among " + ", ".join(map(repr, known)),
                    given=name,
                    hint=suggest(str(name), known),
                )

    def _checked_fixed(self, fixed: Mapping[str, float]) -> dict[str, float]:
        self._known(fixed, "fixed")
        domains = {p.name: DOMAINS[p.domain] for p in self.declared}
        for name, value in fixed.items():
            low, high = domains[name]
            number = isinstance(value, int | float | np.number)
            if not number or isinstance(value, bool) or not low < value < high:
                raise ParameterError(
                    parameter=f"fixed[{name!r}]",
                    owner=type(self).__name__,
                    allowed=f"a number in ({low:g}, {high:g})",
                    given=value,
                )
        return {p.name: float(fixed[p.name]) for p in self.declared if p.name in fixed}

    def _default_shapes(self) -> dict[str, float]:

        values = {}
        for p, link in zip(self.declared, self._links, strict=True):
            default = torch.tensor(p.default, dtype=torch.float64)
            if p.name in self.shape_names:
                values[p.name] = float(link.link(default))
        return values

    def _checked_shapes(self, shapes: Mapping[str, float]) -> dict[str, float]:
        self._known(shapes, "shapes", self.shape_names)
        for name, value in shapes.items():
            if not isinstance(value, int | float | np.number) or not math.isfinite(
                value
            ):
                raise ParameterError(
                    parameter=f"shapes[{name!r}]",
                    owner=type(self).__name__,
                    allowed="a finite number on the link scale",
                    given=value,
                )
        return self._default_shapes() | {k: float(v) for k, v in shapes.items()}
