"""Branches: the encoder of a deep term, found, built and saved.

A branch has one encoder; that of a fused term has one for each of its terms.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch import nn

from semistruct._core.terms import DeepTerm, Fuse, Pretrained
from semistruct._core.validation import suggest
from semistruct.encoders import (
    build_encoder,
    encoder_from_state,
    encoder_to_state,
    get_encoder,
    untrained,
)
from semistruct.exceptions import ParameterError, PersistenceError
from semistruct.fusion import (
    Fusion,
    fusion_from_state,
    fusion_to_state,
    get_fusion,
)
from semistruct.networks import build_fused

from ._modalities import Modality, child_keys
from ._readers import FusedModality

__all__ = [
    "FusedEncoders",
    "build_branch",
    "check_encoders",
    "encoder_from",
    "encoder_of",
    "encoder_state",
    "without_weights",
]


class FusedEncoders(dict[str, Any]):
    """Specifications of a fused term: an encoder by key, and the fusion."""

    def __init__(self, encoders: Mapping[str, Any], fusion: Fusion) -> None:
        super().__init__(encoders)
        self.fusion = fusion


def encoder_of(encoders: Mapping[str, Any], term: DeepTerm) -> Any:
    """Find the encoder of a term: given under its name or label, or the default."""
    key = term.label if term.label in encoders else term.name
    if isinstance(term, Fuse):
        children = child_keys(term).items()
        fusion = get_fusion(encoders.get(key, term.how))
        return FusedEncoders({k: encoder_of(encoders, c) for k, c in children}, fusion)
    # what early fusion has computed is read by an encoder of its own
    own = None if isinstance(term, Pretrained) else getattr(term, "encoder", None)
    return get_encoder(encoders.get(key, own), term)


def check_encoders(encoders: Mapping[str, Any], deep: Sequence[DeepTerm]) -> None:
    """Refuse a key of ``encoders`` that is no deep term."""
    inner = [c for term in deep if isinstance(term, Fuse) for c in term.terms]
    known = [key for term in [*deep, *inner] for key in (term.name, term.label)]
    for key in encoders:
        if key not in known:
            raise ParameterError(
                parameter="encoders",
                owner="the estimator",
                allowed=f"a dict with keys among {sorted(set(known))}",
                given=key,
                hint=suggest(str(key), known),
            )


def build_branch(
    term: DeepTerm, encoder: Any, modality: Modality
) -> tuple[nn.Module, int]:
    """Make the module of a term, and the length of its latent vector."""
    if not isinstance(modality, FusedModality):
        shape, facts = modality.input_shape, modality.facts
        return build_encoder(encoder, shape, modality.moments, facts)
    assert isinstance(term, Fuse)
    children = modality.children
    return build_fused(
        encoder,
        {key: child.input_shape for key, child in children.items()},
        encoder.fusion,
        head=term.head,
        dropout=term.dropout,
        modality_dropout=term.modality_dropout,
        moments={key: child.moments for key, child in children.items()},
        facts={key: child.facts for key, child in children.items()},
    )


def without_weights(encoder: Any) -> Any:
    """Give the specification without what would be fetched: weights are filled in."""
    if isinstance(encoder, FusedEncoders):
        bare = {key: untrained(child) for key, child in encoder.items()}
        return FusedEncoders(bare, encoder.fusion)
    return untrained(encoder)


def encoder_state(encoder: Any) -> Any:
    """Give the specification of a branch as a state; None stands for code."""
    if not isinstance(encoder, FusedEncoders):
        return encoder_to_state(encoder)
    children = {key: encoder_to_state(child) for key, child in encoder.items()}
    return {"$fused": children, "fusion": fusion_to_state(encoder.fusion)}


def encoder_from(state: Any, term: DeepTerm, given: Mapping[str, Any]) -> Any:
    """Rebuild the specification of a branch; code comes from what is ``given``."""
    if isinstance(state, dict) and "$fused" in state:
        assert isinstance(term, Fuse)
        keys = child_keys(term)
        children = {
            key: encoder_from(child, keys[key], given)
            for key, child in state["$fused"].items()
        }
        fusion = state["fusion"]
        if fusion is None:
            fusion = _given(given, term)
        else:
            fusion = fusion_from_state(fusion)
        return FusedEncoders(children, fusion)
    return _given(given, term) if state is None else encoder_from_state(state)


def _given(given: Mapping[str, Any], term: DeepTerm) -> Any:
    found = given.get(term.name, given.get(term.label))
    if found is None:
        raise PersistenceError(
            f"The term {term.label} was fitted with a module of your own, whose "
            "code is not stored. Give one of the same architecture: "
            f"load(folder, encoders={{{term.name!r}: module}})."
        )
    return found
