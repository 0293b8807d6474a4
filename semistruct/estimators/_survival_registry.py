"""Survival models by name."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from semistruct._core.validation import suggest
from semistruct.exceptions import ParameterError

from ._aft_head import AFTModel
from ._cox_head import CoxModel
from ._discrete import Discrete
from ._pamm import PAMM
from ._survival_model import SurvivalModel

__all__ = ["resolve_model"]

_NAMED: Mapping[str, SurvivalModel] = MappingProxyType(
    {
        "discrete": Discrete(),
        "pamm": PAMM(),
        **{
            name: AFTModel(name)
            for name in ("weibull", "lognormal", "loglogistic", "exponential")
        },
    }
)


def resolve_model(head: Any, owner: str, **options: Any) -> SurvivalModel:
    """Find the model that a ``head`` parameter means.

    ``options`` are those of the estimator itself, for ``"cox"``.
    """
    if isinstance(head, SurvivalModel):
        model = head
    elif head == "cox":
        model = CoxModel(**options)
    elif isinstance(head, str) and head in _NAMED:
        model = _NAMED[head]
    else:
        known = ["cox", *_NAMED]
        raise ParameterError(
            parameter="head",
            owner=owner,
            allowed=f"one of {', '.join(map(repr, known))}, or an object of ss.heads",
            given=head,
            hint=suggest(head, known) if isinstance(head, str) else "",
        )
    model.check(owner)
    if not isinstance(model, CoxModel):
        _refuse_options(options, head, owner)
    return model


def _refuse_options(options: Mapping[str, Any], head: Any, owner: str) -> None:
    """Refuse options of Cox models that another head would not read."""
    for parameter, default in CoxModel().get_params().items():
        given = options.get(parameter, default)
        if given is not default and given != default:
            raise ParameterError(
                parameter=parameter,
                owner=owner,
                allowed=f"{default!r} with head={head!r}; it is one of head='cox'",
                given=given,
                hint="heads.FineGray has ties= of its own."
                if parameter == "ties"
                else "",
            )
