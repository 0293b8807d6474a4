"""Names of joint fusions, and their saved states."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from semistruct._core.validation import suggest
from semistruct.exceptions import ParameterError, PersistenceError
from semistruct.fusion._base import Fusion
from semistruct.fusion._cross import CrossAttentionFusion
from semistruct.fusion._embrace import EmbraceFusion
from semistruct.fusion._pointwise import (
    ConcatFusion,
    MaxFusion,
    MeanFusion,
    ProductFusion,
    SumFusion,
)
from semistruct.fusion._tensor import TensorFusion
from semistruct.fusion._weighted import AttentionFusion, GatedFusion

FUSIONS: Mapping[str, type[Fusion]] = MappingProxyType(
    {
        "attention": AttentionFusion,
        "concat": ConcatFusion,
        "cross_attention": CrossAttentionFusion,
        "embrace": EmbraceFusion,
        "gated": GatedFusion,
        "max": MaxFusion,
        "mean": MeanFusion,
        "prod": ProductFusion,
        "sum": SumFusion,
        "tensor": TensorFusion,
    }
)


def get_fusion(how: str | Fusion, owner: str = "fuse()") -> Fusion:
    """Find a joint fusion.

    Parameters
    ----------
    how : str or Fusion
        Name of a registered fusion, or a specification, which is given back as it is.
    owner : str, default="fuse()"
        Who is named in messages.

    Returns
    -------
    Fusion

    Raises
    ------
    ParameterError
        When the name is not known; the message names the nearest.

    Examples
    --------
    >>> from semistruct.fusion import get_fusion
    >>> get_fusion("gated")
    GatedFusion()
    """
    if isinstance(how, Fusion):
        return how
    if isinstance(how, str) and how in FUSIONS:
        return FUSIONS[how]()
    known = ", ".join(repr(name) for name in FUSIONS)
    raise ParameterError(
        parameter="how",
        owner=owner,
        allowed=f"one of {known} or a Fusion object",
        given=how,
        hint=suggest(how, FUSIONS) if isinstance(how, str) else "",
    )


def fusion_to_state(fusion: Fusion) -> dict[str, Any] | None:
    """Give the name and the parameters of a fusion.

    Parameters
    ----------
    fusion : Fusion
        Specification.

    Returns
    -------
    dict or None
        JSON types; None for a fusion that is not registered.

    Examples
    --------
    >>> from semistruct.fusion import TensorFusion, fusion_from_state, fusion_to_state
    >>> state = fusion_to_state(TensorFusion(rank=2))
    >>> state
    {'name': 'tensor', 'params': {'output_dim': None, 'rank': 2}}
    >>> fusion_from_state(state)
    TensorFusion(rank=2)
    """
    name = next((n for n, cls in FUSIONS.items() if type(fusion) is cls), None)
    if name is None:
        return None
    params = fusion.get_params(deep=False).items()
    plain = {k: list(v) if isinstance(v, tuple) else v for k, v in params}
    return {"name": name, "params": plain}


def fusion_from_state(state: Mapping[str, Any]) -> Fusion:
    """Make the specification from what `fusion_to_state` gave.

    Parameters
    ----------
    state : dict
        JSON types.

    Returns
    -------
    Fusion

    Raises
    ------
    PersistenceError
        If the fusion is not known.
    """
    if state["name"] not in FUSIONS:
        raise PersistenceError(
            f"The saved model uses the fusion {state['name']!r}; known are "
            f"{', '.join(FUSIONS)}. It may come from a newer version."
        )
    return FUSIONS[state["name"]](**state["params"])
